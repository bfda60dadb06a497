//! What came of a step.

use crate::fingerprint::Fingerprint;
use crate::live::Live;
use crate::path::FieldPath;
use crate::value::{Fields, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A step that the thing itself says is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What is live now; absent after a delete or a gate.
    #[serde(default)]
    pub live: Option<Live>,
    /// Output worth keeping with the apply: what a check's command printed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kept: String,
}

impl Outcome {
    /// Something is live now.
    pub fn live(live: Live) -> Self {
        Self { live: Some(live), kept: String::new() }
    }

    /// Nothing is live, or nothing changed.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// The fingerprint of what was left.
    pub fn fingerprint(&self, managed: &[FieldPath]) -> Option<Fingerprint> {
        self.live.as_ref().map(|live| Fingerprint::of_managed(&live.fields, managed))
    }
}

/// What sort of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The system refuses the content.
    Invalid,
    /// The system refuses us.
    Forbidden,
    /// What is live is not what the step expects.
    Moved,
    /// A name, a port or a lock is somebody else's.
    Taken,
    /// The deadline passed.
    TimedOut,
    /// It runs and does not work: the thing itself says so.
    Unhealthy,
    /// The system cannot be reached or asks us to slow down.
    Unavailable,
    /// hive was asked to stop.
    Cancelled,
    /// The lease's guard says no: somebody else may be writing.
    Expired,
    /// What the system says makes no sense.
    Malformed,
}

/// A step that failed, or a question that could not be answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What sort.
    pub kind: FailureKind,
    /// What happened: a lower-case fragment that names the thing.
    pub message: String,
    /// Facts for whoever looks into it: last log lines, exit status, probes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnosis: Vec<String>,
    /// What it left behind.
    #[serde(default)]
    pub remains: Remains,
    /// Whether the same again may work.
    #[serde(default)]
    pub retryable: bool,
}

/// What a failed step left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remains {
    /// Nothing: the world is as before the step.
    #[default]
    Nothing,
    /// This.
    Left(Box<Outcome>),
    /// Not known; recorded as unsure until it is observed.
    Unsure,
}

impl Failure {
    /// A failure that left nothing behind.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            diagnosis: Vec::new(),
            remains: Remains::Nothing,
            retryable: false,
        }
    }

    /// The same, and it may work when tried again.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// The same, and it left something behind.
    #[must_use]
    pub fn remains(mut self, remains: Remains) -> Self {
        self.remains = remains;
        self
    }

    /// The same with one more fact.
    #[must_use]
    pub fn diagnosis(mut self, fact: impl Into<String>) -> Self {
        self.diagnosis.push(fact.into());
        self
    }

    /// What is live is not what the step expects.
    pub fn moved(what: &str, expected: Option<&Fingerprint>, found: Option<&Fingerprint>) -> Self {
        let say = |fingerprint: Option<&Fingerprint>| {
            fingerprint.map_or_else(|| "nothing".to_owned(), |it| it.short().to_owned())
        };
        Self::new(
            FailureKind::Moved,
            format!(
                "{what} is not what the plan expects: expected {}, found {}",
                say(expected),
                say(found)
            ),
        )
    }
}

/// What became of a step that was begun and whose end nobody saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "made once per interrupted step")]
pub enum Resolution {
    /// It had no effect. `sealed`: and its token can never have one any more.
    NotStarted {
        /// Whether that lasts; where not, the step is resolved once more before head moves.
        sealed: bool,
    },
    /// It had some effect; `perform` with the same token completes it.
    Partly {
        /// What is there.
        facts: String,
    },
    /// It is under way without us; `perform` with the same token waits for it.
    Running {
        /// What to wait for, plain data.
        handle: Value,
    },
    /// It is done.
    Done(Outcome),
    /// It failed.
    Failed(Failure),
    /// The live object is neither the old nor the new one: a person must look.
    Foreign {
        /// What was found.
        found: String,
    },
}

/// Keyed hashes of the secrets that a step used, by reference. Made by the executor.
pub type SecretPrints = BTreeMap<String, String>;

/// What a provider gives for a recorded form that is older than its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeError {
    /// Written by a newer hive.
    #[error("form {form} is newer than this hive knows ({known})")]
    Newer {
        /// The form found.
        form: u32,
        /// The newest form known here.
        known: u32,
    },
    /// The fields are not what that form had.
    #[error("form {form} has no {field}")]
    Malformed {
        /// The form found.
        form: u32,
        /// What is missing.
        field: String,
    },
}

/// Fields in a provider's newest form, or why not.
pub type Upgraded = Result<Fields, UpgradeError>;
