//! What a command asks the planner for.

use crate::plan::Scope;
use hive_contract::Address;
use std::collections::BTreeSet;

/// One request for a plan.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What is wanted.
    pub want: Want,
    /// Which resources.
    pub scope: Scope,
    /// `--replace`.
    pub replace: BTreeSet<Address>,
    /// `--no-freeze` of restore and rollback.
    pub no_freeze: bool,
    /// `--take-over`: objects that carry another store's mark become this one's.
    pub take_over: bool,
    /// `explain`: why this resource is or is not touched.
    pub explain: Option<Address>,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// What the TOML declares.
    Declared,
    /// What a snapshot holds.
    Snapshot(u64),
    /// What the last whole snapshot holds that declares something else than the newest.
    Before,
    /// Nothing.
    Nothing,
    /// Hive's hold on these, which are live already; where none are named, on whatever is declared,
    /// live and not recorded.
    Adopt(BTreeSet<Address>),
    /// No hold on these, and they stay as they are.
    Forget(BTreeSet<Address>),
    /// The second address for what is recorded under the first.
    Move(Address, Address),
    /// A rollout of these without a change.
    Restart(BTreeSet<Address>),
}

impl Ask {
    /// Everything of this want, nothing special.
    pub fn all(want: Want) -> Self {
        Self {
            want,
            scope: Scope::All,
            replace: BTreeSet::new(),
            no_freeze: false,
            take_over: false,
            explain: None,
        }
    }
}
