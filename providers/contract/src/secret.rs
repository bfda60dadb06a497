//! References to secrets, and their values while a step is performed.

use crate::value::{Format, Value};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Where a secret is. Never its value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretRef {
    /// Where it is read.
    #[serde(flatten)]
    pub source: SecretPlace,
    /// Whether an apply refuses a value other than the one that the plan saw.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pin: bool,
}

/// The sources that hive reads itself; others come with a provider that implements
/// [`crate::SecretSource`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretPlace {
    /// An environment variable of hive.
    Env(String),
    /// A file, relative to the stack's folder; one line end at its end is not part of the value.
    File(String),
    /// A provider's own source, `aws:hiver/db`.
    Secret(String),
}

impl SecretRef {
    /// The secret in an environment variable.
    pub fn env(name: &str) -> Self {
        Self { source: SecretPlace::Env(name.to_owned()), pin: false }
    }

    /// The secret in a file.
    pub fn file(path: &str) -> Self {
        Self { source: SecretPlace::File(path.to_owned()), pin: false }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            SecretPlace::Env(name) => write!(f, "env:{name}"),
            SecretPlace::File(path) => write!(f, "file:{path}"),
            SecretPlace::Secret(name) => write!(f, "secret:{name}"),
        }
    }
}

/// The values of the secrets of one step, in memory only.
#[derive(Default)]
pub struct Secrets {
    values: BTreeMap<SecretRef, SecretString>,
}

/// A secret that was not handed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It has no value here.
    #[error("the secret {0} has no value here")]
    Unset(SecretRef),
    /// A value with a secret in it that is not text.
    #[error("a value with a secret in it must be text")]
    Shape,
}

impl Secrets {
    /// Adds one value.
    pub fn insert(&mut self, reference: SecretRef, value: SecretString) {
        self.values.insert(reference, value);
    }

    /// The references that have a value.
    pub fn references(&self) -> impl Iterator<Item = &SecretRef> {
        self.values.keys()
    }

    /// The text of a value that may have secrets in it.
    ///
    /// # Errors
    /// A secret without a value, or a list or table.
    pub fn text(&self, value: &Value) -> Result<SecretString, SecretError> {
        match value {
            Value::Secret(reference) => {
                self.values.get(reference).cloned().ok_or(SecretError::Unset(reference.clone()))
            }
            Value::Format(format) => self.format(format),
            other => other.scalar().map(SecretString::from).ok_or(SecretError::Shape),
        }
    }

    fn format(&self, format: &Format) -> Result<SecretString, SecretError> {
        for inner in format.values.values() {
            self.text(inner)?;
        }
        format
            .join(|inner| self.text(inner).ok().map(|text| text.expose_secret().to_owned()))
            .map(SecretString::from)
            .map_err(|_| SecretError::Shape)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys().map(ToString::to_string)).finish()
    }
}
