//! One resource as the stack declares it.

use crate::address::Address;
use crate::path::FieldPath;
use crate::value::Fields;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One declared resource: after overlay, defaults and variables, before any provider saw it.
///
/// A snapshot holds these, so that a stack can be planned again when its files are gone: contents
/// of files stand in the fields as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// Its name.
    pub address: Address,
    /// Its keys, checked against the language, references resolved to placeholders.
    pub fields: Fields,
    /// What it uses beyond what its fields refer to.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub uses: BTreeSet<Address>,
    /// No plan may delete or replace it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protect: bool,
    /// Fields that somebody else owns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<Ignore>,
}

/// A field that hive leaves alone once the resource exists, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ignore {
    /// The field and everything below it.
    pub field: FieldPath,
    /// Why; shown by `explain`.
    pub reason: String,
}
