//! The pure verbs of all providers, as the planner sees them.

use hive_contract::outcome::Upgraded;
use hive_contract::{Change, Declared, Fields, Invalid, Lowered, Operation};
use std::collections::BTreeMap;

/// What a declared resource is to one provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoweredPart {
    /// Which part.
    pub part: String,
    /// The provider.
    pub provider: String,
    /// The form in which it lowers.
    pub form: u32,
    /// The id of the place.
    pub place: String,
    /// What it made of it.
    pub lowered: Lowered,
}

/// `lower`, `steps` and `upgrade` of every provider, without a way to touch the world.
pub trait Verbs {
    /// All parts of one declared resource.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    fn lower(&self, declared: &Declared) -> Result<Vec<LoweredPart>, Vec<Invalid>>;

    /// The operations of one change at one place.
    fn steps(&self, place: &str, change: &Change) -> Vec<Operation>;

    /// Recorded fields in today's form.
    ///
    /// # Errors
    /// The form is newer than this hive knows, or is not what it says.
    fn upgrade(&self, provider: &str, form: u32, fields: Fields) -> Upgraded;
}

/// A resource with what its providers made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// As declared.
    pub declared: Declared,
    /// By part.
    pub parts: BTreeMap<String, LoweredPart>,
}
