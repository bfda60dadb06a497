//! One resource in its provider's own terms.

use crate::change::ReplaceOrder;
use crate::path::FieldPath;
use crate::value::{Fields, Value};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a provider makes of one declared resource, without having looked at the world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lowered {
    /// What sort of thing it is in the live system.
    pub sort: Sort,
    /// What the live system will know it by. It holds no placeholder.
    pub identity: String,
    /// Canonical fields; values of others stay placeholders.
    pub fields: Fields,
    /// What others may refer to.
    #[serde(default)]
    pub outputs: BTreeMap<String, Output>,
    /// Fields that a live object cannot change, with everything below them, whether they are
    /// declared or not: another value, or none, means another object.
    #[serde(default)]
    pub immutable: BTreeSet<FieldPath>,
    /// In which order such a replacement goes.
    #[serde(default)]
    pub replace: ReplaceOrder,
}

/// What sort of thing a lowered part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sort {
    /// A live object that is created, updated and deleted.
    Object,
    /// A step without effect that must hold before its dependents begin.
    Gate,
    /// Nothing live: hive itself reads it.
    Notice,
}

/// One output of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The fields it is made of: where none of them changes, it does not change either.
    pub made_of: Vec<FieldPath>,
    /// Its value in terms of the fields' own values, where `lower` can say it; else it is known
    /// only after the step, from the live object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// One thing that is wrong with a declared resource. `src/stack` adds file, line and column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The field of the *declared* resource.
    pub field: FieldPath,
    /// What is wrong, a lower-case fragment.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Invalid {
    /// Something wrong at a field, given as its written path.
    pub fn at(field: &str, message: impl Into<String>) -> Self {
        Self { field: FieldPath::parse(field), message: message.into(), help: None }
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
