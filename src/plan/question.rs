//! What the planner is asked: desired, recorded and observed, and what a person wants.

use super::model::{BoundFile, Command, OnFailure};
use super::verbs::{Desired, Verbs};
use hive_contract::{
    Address, Facts, Failure, FieldPath, Fields, Fingerprint, Invalid, Observed, Place, Rehearsal,
    StackMark, Target, Value,
};
use hive_state::Snapshot;
use std::collections::{BTreeMap, BTreeSet};

/// Everything a plan is made of. Same question, same bytes.
pub struct Question<'a> {
    /// Which command asks.
    pub command: Command,
    /// The stack, the environment and the store; the store's id is empty where there is none yet.
    pub owner: StackMark,
    /// What is declared.
    pub desired: BTreeMap<Address, Desired>,
    /// What hive recorded, open journals folded in.
    pub recorded: Option<&'a Snapshot>,
    /// What is live, by place and part.
    pub observed: BTreeMap<(String, Target), Result<Observed, Failure>>,
    /// What is live by the identity that a part is to have, where it is recorded at the same place
    /// under another one; by place and part.
    pub beside: BTreeMap<(String, Target), Result<Observed, Failure>>,
    /// What is free, by place.
    pub facts: BTreeMap<String, Facts>,
    /// The places that may be used, by id.
    pub places: BTreeMap<String, Place>,
    /// The providers' pure verbs.
    pub verbs: &'a dyn Verbs,
    /// The keyed hash of each secret's value now; none where it has none here.
    pub secrets: BTreeMap<String, Option<String>>,
    /// What guards the environment, as declared.
    pub guards: Fields,
    /// The variables used.
    pub variables: BTreeMap<String, Value>,
    /// Files that steps run.
    pub files: Vec<BoundFile>,
    /// What other stacks said: folder, environment, output, value's fingerprint.
    pub foreign: Vec<(String, String, String, Fingerprint)>,
    /// How many steps at once.
    pub parallel: u32,
    /// What a failure leads to.
    pub on_failure: OnFailure,
    /// Whether the environment is frozen afterwards.
    pub freezes: bool,
    /// Which resources.
    pub scope: Scope,
    /// What a person asked of single resources.
    pub asked: BTreeMap<Address, Asked>,
    /// What came of trying the changes that [`super::to_rehearse`] gave, or why it could not be
    /// tried. Empty where nobody tried.
    pub rehearsals: BTreeMap<Target, Result<Rehearsal, String>>,
}

/// Which resources a plan may touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All.
    All,
    /// These and what they need.
    Only(BTreeSet<Address>),
    /// These and nothing else.
    Exactly(BTreeSet<Address>),
}

/// What a person asked of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `--replace`.
    Replace,
    /// `restart`.
    Run,
    /// Something that its provider alone understands, such as which backup is restored: it comes to
    /// `steps` as [`hive_contract::Change::run`] of an [`hive_contract::Action::Run`].
    Do(Fields),
    /// Only what is recorded of it becomes what is declared: something else in this plan makes it
    /// so, as the restore of a database does its migrations.
    Record,
    /// `adopt`, also from another store.
    Adopt {
        /// `--take-over`.
        take_over: bool,
    },
    /// `forget`.
    Forget,
    /// `move`: it was recorded under this address.
    MovedFrom(Address),
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Something could not be read.
    #[error("`{target}` could not be read: {failure}")]
    Unreadable {
        /// Which part.
        target: Target,
        /// Why.
        failure: Failure,
    },
    /// It is there, and hive did not make it.
    #[error("`{target}` exists already as `{identity}`{}", owner.as_ref().map_or(" and is nobody's".to_owned(), |it| format!(": it is {it}")))]
    Exists {
        /// Which part.
        target: Target,
        /// As what.
        identity: String,
        /// Whose mark it carries.
        owner: Option<String>,
    },
    /// It carries another store's or another stack's mark.
    #[error("`{target}` belongs to somebody else: it is {owner}")]
    Foreign {
        /// Which part.
        target: Target,
        /// Whose.
        owner: String,
    },
    /// hive's mark is gone from it.
    #[error("`{target}` no longer carries hive's mark, so hive does not delete it")]
    Unmarked {
        /// Which part.
        target: Target,
    },
    /// It held data, and is not there any more.
    #[error(
        "the data of `{target}` is gone: it is recorded, and where it is declared is none that is hive's"
    )]
    Lost {
        /// Which part.
        target: Target,
        /// The backup that would bring it back, where one is known.
        backup: Option<String>,
    },
    /// `protect = true`.
    #[error("`{address}` is protected, and the plan would {action} it")]
    Protected {
        /// Which.
        address: Address,
        /// What.
        action: hive_contract::Action,
    },
    /// A dependency that the plan does not have and hive does not hold.
    #[error("`{address}` needs `{on}`, which is not recorded and not made by this plan")]
    Missing {
        /// Who.
        address: Address,
        /// What.
        on: Address,
    },
    /// What would be let go, moved or taken away has users that stay.
    #[error("`{address}` would be {how}, and is used by {}", list(.users))]
    InUse {
        /// Which.
        address: Address,
        /// `forgotten`, `moved`, `taken away`.
        how: &'static str,
        /// By whom, also through others.
        users: BTreeSet<Address>,
    },
    /// An address that nothing has.
    #[error("there is no `{0}`: it is neither declared nor recorded")]
    Unknown(Address),
    /// What `adopt` was asked for is not there.
    #[error("there is nothing live to adopt for `{0}`")]
    NothingToAdopt(Address),
    /// What `adopt` was asked for is hive's already.
    #[error("`{0}` is hive's already")]
    AlreadyHeld(Address),
    /// What `restart` was asked for does not run.
    #[error("`{0}` cannot be restarted: {why}", why = match .0.kind() {
        "check" => "a check runs when something that uses it, or that it verifies, has a step",
        _ => "it does not run",
    })]
    NothingToRun(Address),
    /// What `--replace` was asked for makes nothing.
    #[error("`{0}` makes nothing live, so there is nothing to replace")]
    NothingToReplace(Address),
    /// What `move` was asked for.
    #[error("`{from}` cannot be moved to `{to}`: {why}")]
    Move {
        /// From.
        from: Address,
        /// To.
        to: Address,
        /// Why.
        why: String,
    },
    /// The steps wait for each other.
    #[error("these wait for each other: {}", .0.join(" → "))]
    Cycle(Vec<String>),
    /// No port is free.
    #[error("no port is free for `{key}` between {from} and {to}")]
    NoPort {
        /// What for.
        key: String,
        /// First.
        from: u16,
        /// Last.
        to: u16,
    },
    /// A record cannot be read by this hive.
    #[error("the record of `{target}` cannot be read: {why}")]
    Form {
        /// Which part.
        target: Target,
        /// Why.
        why: String,
    },
    /// A provider finds the declaration wrong.
    #[error("`{address}`: {}", invalid.message)]
    Invalid {
        /// Which.
        address: Address,
        /// What.
        invalid: Invalid,
    },
    /// A part takes away before it makes: users move over to what the one makes before the other
    /// takes away what they used.
    #[error("`{target}`: \"{takes}\" comes before \"{makes}\"")]
    TakesFirst {
        /// Which part.
        target: Target,
        /// The title of the operation that takes away.
        takes: String,
        /// The title of the one behind it that makes.
        makes: String,
    },
    /// A reference to an output that its provider does not name, or that nobody knows.
    #[error("`{address}` needs `{on}.{output}`, which is no output of it")]
    NoOutput {
        /// Who.
        address: Address,
        /// Of what.
        on: Address,
        /// Which.
        output: String,
    },
    /// What `adopt` was asked for differs in a field that a live object cannot change.
    #[error("`{target}` cannot be adopted as it is: `{field}` differs and cannot be changed")]
    Fixed {
        /// Which part.
        target: Target,
        /// Which field.
        field: FieldPath,
    },
    /// A place that nobody knows.
    #[error("`{target}` is at the place `{place}`, which is not connected here")]
    NoPlace {
        /// Which part.
        target: Target,
        /// The place's id.
        place: String,
    },
    /// A field outside of what hive manages was named.
    #[error("`{address}` has no field `{field}`")]
    NoField {
        /// Which.
        address: Address,
        /// Which field.
        field: FieldPath,
    },
}

fn list(addresses: &BTreeSet<Address>) -> String {
    addresses.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ")
}
