//! The pure verbs of all providers, as the planner sees them.

use hive_contract::outcome::Upgraded;
use hive_contract::{
    Change, Declared, Fields, Invalid, Live, Lowered, Operation, Rehearsal, WayBack,
};
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

/// The pure verbs of every provider, without a way to touch the world.
pub trait Verbs {
    /// All parts of one declared resource.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    fn lower(&self, declared: &Declared) -> Result<Vec<LoweredPart>, Vec<Invalid>>;

    /// What speaks against a change at a place, each with the declared field that is to blame.
    fn objections(&self, place: &str, change: &Change) -> Vec<Invalid>;

    /// What the desired fields come to on what is live, where that is ahead of them and stays so;
    /// see [`hive_contract::Provider::ahead`].
    fn ahead(
        &self,
        place: &str,
        desired: &Lowered,
        recorded: Option<&Declared>,
        live: &Live,
    ) -> Option<Fields>;

    /// What a reviewer should know of a changed declaration that no operation tells.
    fn remarks(
        &self,
        place: &str,
        desired: &Declared,
        recorded: Option<&Declared>,
        live: Option<&Live>,
    ) -> Vec<String>;

    /// Whether a rehearsal of a change at a place tells something.
    fn can_rehearse(&self, place: &str, change: &Change) -> bool;

    /// The operations of one change at one place.
    fn steps(&self, place: &str, change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<Operation>;

    /// The ways back from a change as a whole, for the reviewer's table.
    fn ways_back(
        &self,
        place: &str,
        change: &Change,
        rehearsal: Option<&Rehearsal>,
    ) -> Vec<WayBack>;

    /// What makes nothing of it run; nothing where it never runs.
    fn stop(&self, place: &str, change: &Change) -> Vec<Operation>;

    /// What makes it run again, as it is desired, else as it was recorded.
    fn start(&self, place: &str, change: &Change) -> Vec<Operation>;

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
