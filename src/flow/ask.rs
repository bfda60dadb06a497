//! What a command asks the planner for.

use super::rehearse::Rehearse;
use crate::plan::{Command, Scope};
use hive_contract::{Address, Fields};
use std::collections::{BTreeMap, BTreeSet};

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
    /// Whether changes are tried beforehand.
    pub rehearse: Rehearse,
    /// How far restore and rollback go back.
    pub back: Back,
}

/// How far a way back goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Back {
    /// Services, configuration and alerts; refused where a migration took away what they need.
    #[default]
    Usual,
    /// `--services-only`: the same, and never refused for what a migration took away.
    Services,
    /// `--down`: also the schema, by the down scripts.
    Schema,
    /// `--with-data`: also what was written, from backups.
    Data,
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
    /// What is recorded, and these asked of the providers of single resources: a backup, a restore
    /// of one database. The command is whose plan it is.
    Do(Command, BTreeMap<Address, Fields>),
    /// The data of one database, from a backup that is known to be there.
    Data {
        /// Which database.
        database: Address,
        /// From which backups.
        backup: Address,
        /// Which of them.
        id: String,
    },
    /// Everything of the newest whole snapshot, where little is left of it.
    Rebuild,
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
            rehearse: Rehearse::Known,
            back: Back::Usual,
        }
    }
}
