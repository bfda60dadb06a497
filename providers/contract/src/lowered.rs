//! One resource in its provider's own terms.

use crate::address::Address;
use crate::change::ReplaceOrder;
use crate::path::FieldPath;
use crate::value::{Fields, Value};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Access in a plan that brings data back, lent to `observe` and never recorded: what is absent, or
/// empty and nobody's, is absent; what is nobody's and holds something stands in the way.
pub const RESTORES: &str = "restores";

/// What a provider makes of one declared resource, without having looked at the world.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// How hive itself reaches it: references, such as a database's url. Recorded, lent to
    /// `observe`, and never compared.
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    pub access: Fields,
    /// What its operations are made of beyond its fields, such as the texts of migrations. Neither
    /// recorded nor compared: it can be lowered again from what is declared.
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    pub material: Fields,
    /// Whether it runs in front of the steps of whatever uses it, as a backup does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub before_users: bool,
    /// Whether it holds what nothing that is declared can make again, as a database does. Once it is
    /// recorded and not there any more, it is not quietly made anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub holds_data: bool,
    /// Whether its declaration says itself that something was there before hive came, as a baseline
    /// does. What is nobody's and was never hive's is then taken without being asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_there: bool,
    /// Whose live objects `steps` is shown with a change of it: see [`crate::Change::related`].
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub looks_at: BTreeSet<Address>,
}

/// What sort of thing a lowered part is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sort {
    /// A live object that is created, updated and deleted.
    #[default]
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
