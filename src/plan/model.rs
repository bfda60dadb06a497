//! The plan as data: an immutable graph of steps with its rollback plan and digest.

use hive_contract::{
    Action, Address, Declared, Difference, Expects, FieldPath, Fields, Fingerprint, Operation,
    Place, Reason, Reversible, Target, Undo, Value, WayBack,
};
use hive_state::Restored;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The format of plan files that this hive writes and reads.
pub const FORMAT: u32 = 1;

/// What would happen, in which order, from what was seen, and the way back.
///
/// Complete by itself: an apply needs this, the store and the live system, and makes no choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of the hive that made it.
    pub hive: String,
    /// Which command's plan it is.
    pub command: Command,
    /// The stack's name.
    pub stack: String,
    /// The environment, with its instance.
    pub environment: String,
    /// The store's id; none where there was no store yet.
    pub store: Option<String>,
    /// The snapshot it was compared with, for people.
    pub base: Option<u64>,
    /// What guards the next apply, as declared, where the stack changes it.
    pub guards: Option<Fields>,
    /// What they are as recorded, where the stack changes them and there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guards_before: Option<Fields>,
    /// The guards that hold for this plan.
    pub guarded_by: Fields,
    /// The variables it was made with.
    pub variables: BTreeMap<String, Value>,
    /// How many steps may run at once.
    pub parallel: u32,
    /// What a failure leads to.
    pub on_failure: OnFailure,
    /// Whether the environment is frozen when it has been applied.
    pub freezes: bool,
    /// The places of its steps and parts, by id.
    pub places: BTreeMap<String, Place>,
    /// What it depends on not having moved.
    pub reads: Vec<Read>,
    /// What it does about each resource that it does not keep.
    pub changes: Vec<PlannedChange>,
    /// How many resources it keeps.
    pub kept: u32,
    /// Whether every resource was asked about: a plan of some leaves a partial snapshot partial.
    pub covers_all: bool,
    /// What will be recorded of each resource it touches; none where it will be gone.
    pub records: BTreeMap<Address, Option<PlannedRecord>>,
    /// The steps, in an order that is right when they run one by one.
    pub steps: Vec<Step>,
    /// The rollback plan, in an order that is right when it runs one by one.
    pub rollback: Vec<UndoStep>,
    /// The first step behind which there is no way back without loss.
    pub point_of_no_return: Option<u32>,
    /// The ways back from each change that says some, for reviewers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ways: BTreeMap<Target, Vec<WayBack>>,
    /// Files beside the stack that its steps run, bound by digest.
    pub files: Vec<BoundFile>,
    /// What a reviewer should know.
    pub lints: Vec<Lint>,
    /// What `--only` left out although it differs.
    pub left_out: BTreeMap<Address, Action>,
    /// The secrets it refers to, and whether their values could be seen where it was made.
    pub secrets: BTreeMap<String, SecretSeen>,
}

/// Which command made a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Command {
    /// Make live what is declared.
    Apply,
    /// Make live what a snapshot says.
    Restore {
        /// Which snapshot.
        snapshot: u64,
        /// Whether what was written comes back too, from backups.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        with_data: bool,
    },
    /// Make live what the last whole snapshot says that differs from the newest.
    Rollback {
        /// Which snapshot.
        snapshot: u64,
        /// Whether what was written comes back too, from backups.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        with_data: bool,
    },
    /// Make live what a snapshot says where nothing is left, with what was written.
    Rebuild {
        /// Which snapshot.
        snapshot: u64,
    },
    /// Make backups.
    Backup,
    /// Bring back what one backup holds.
    RestoreBackup {
        /// Of which.
        backup: Address,
        /// Its id.
        id: String,
    },
    /// Try whether backups can be restored.
    Verify,
    /// Take away everything that is recorded.
    Destroy,
    /// Take into hive what is live.
    Adopt,
    /// Let go, and leave as it is.
    Forget,
    /// Give a resource another address.
    Move,
    /// A rollout without a change.
    Restart,
}

impl Command {
    /// Whether it brings back what a snapshot holds, which is older than what is recorded by design.
    pub fn goes_back(&self) -> bool {
        matches!(self, Self::Restore { .. } | Self::Rollback { .. } | Self::Rebuild { .. })
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apply => f.write_str("apply"),
            Self::Restore { snapshot, with_data } => {
                write!(f, "restore {snapshot}{}", data(*with_data))
            }
            Self::Rollback { snapshot, with_data } => {
                write!(f, "rollback to {snapshot}{}", data(*with_data))
            }
            Self::Rebuild { snapshot } => write!(f, "rebuild {snapshot}"),
            Self::Backup => f.write_str("backup run"),
            Self::RestoreBackup { backup, id } => write!(f, "backup restore {backup} {id}"),
            Self::Verify => f.write_str("backup verify"),
            Self::Destroy => f.write_str("destroy"),
            Self::Adopt => f.write_str("adopt"),
            Self::Forget => f.write_str("forget"),
            Self::Move => f.write_str("move"),
            Self::Restart => f.write_str("restart"),
        }
    }
}

fn data(with: bool) -> &'static str {
    if with { " --with-data" } else { "" }
}

/// What a failure leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The undo of what was begun.
    #[default]
    Rollback,
    /// Nothing more: a person decides.
    Halt,
}

/// One thing that must not have moved between plan and apply.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "fact")]
pub enum Read {
    /// The record of a resource, or that there is none.
    Recorded {
        /// Which.
        address: Address,
        /// Of the record: [`super::reads::recorded`].
        fingerprint: Option<Fingerprint>,
    },
    /// One recorded output.
    Output {
        /// Whose.
        address: Address,
        /// Which.
        output: String,
        /// Of its value: [`super::reads::output`].
        fingerprint: Option<Fingerprint>,
    },
    /// The managed fields of a live object, or that there is none.
    Observed {
        /// Which.
        target: Target,
        /// Where.
        place: String,
        /// By which identity.
        identity: String,
        /// How it is reached.
        #[serde(default, skip_serializing_if = "Fields::is_empty")]
        access: Fields,
        /// Of its managed fields.
        fingerprint: Option<Fingerprint>,
        /// The managed fields.
        managed: Vec<FieldPath>,
        /// Whose mark it carries, as [`hive_contract::Mark`] prints: none where it carries none or
        /// is absent.
        owner: Option<String>,
    },
    /// That a resource is recorded, whatever its record.
    Exists {
        /// Which.
        address: Address,
    },
    /// Which recorded resources depend on this one.
    Users {
        /// On which.
        address: Address,
        /// Who: [`super::reads::users`].
        users: BTreeSet<Address>,
    },
    /// A port that the plan chose is free.
    PortFree {
        /// Where.
        place: String,
        /// Which.
        port: u16,
    },
    /// The recorded guards, where the plan changes them.
    Guards {
        /// Of the guards: [`super::reads::guards`].
        fingerprint: Option<Fingerprint>,
    },
    /// What another stack said of itself.
    Foreign {
        /// Its folder, relative to this one.
        stack: String,
        /// Its environment.
        environment: String,
        /// `service.api.url`.
        output: String,
        /// Of the value.
        fingerprint: Fingerprint,
    },
    /// A pinned secret's keyed hash.
    Pinned {
        /// The reference.
        reference: String,
        /// Its keyed hash.
        print: String,
    },
}

/// What a plan does about one resource, for reviewers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedChange {
    /// Which part.
    pub target: Target,
    /// What.
    pub action: Action,
    /// Why, most telling first.
    pub reasons: Vec<Reason>,
    /// Field by field.
    pub differences: Vec<Difference>,
    /// Its steps. Empty where only the record changes.
    pub steps: Vec<u32>,
}

/// What will be recorded of one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRecord {
    /// As declared.
    pub declared: Declared,
    /// By part.
    pub parts: BTreeMap<String, PlannedPart>,
    /// What it depends on.
    pub edges: BTreeSet<Address>,
    /// Where it was recorded before, for `move`: the two entries hold together or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<Address>,
    /// Which backup its data comes from, where it is restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Restored>,
}

/// What will be recorded of one part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedPart {
    /// The provider.
    pub provider: String,
    /// Its form.
    pub form: u32,
    /// Its place's id.
    pub place: String,
    /// What the live system will know it by.
    pub identity: String,
    /// What `lower` gave.
    pub lowered_identity: String,
    /// Its fields; outputs of other steps stay placeholders.
    pub fields: Fields,
    /// How hive itself reaches it: references, never values.
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    pub access: Fields,
    /// Outputs that are known without a step.
    pub outputs: BTreeMap<String, Value>,
}

/// One operation with what it waits for and what it expects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Counts from 1 in the plan's order.
    pub number: u32,
    /// Which part.
    pub target: Target,
    /// What it does about it.
    pub action: Action,
    /// Where.
    pub place: String,
    /// What the live system knows it by.
    pub identity: String,
    /// How it is reached.
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    pub access: Fields,
    /// Steps that must be done before.
    pub needs: BTreeSet<u32>,
    /// What must be live before it.
    pub expected: Expected,
    /// The fields that fingerprints of this part are over.
    pub managed: Vec<FieldPath>,
    /// Whether it is a run of something live, such as a backup, and so more than a look.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub acts: bool,
    /// What is done.
    pub operation: Operation,
}

/// What must be live before a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// Anything.
    Anything,
    /// What the plan saw; none where nothing was there.
    Observed(Option<Fingerprint>),
    /// What this step left.
    After(u32),
}

/// What takes one step back; or, where `of` is a gate, the check of the way back: it has no way
/// there, and runs where one of the steps in `needs` was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoStep {
    /// Of which step.
    pub of: u32,
    /// Steps that must be taken back before, where they were begun.
    pub needs: BTreeSet<u32>,
    /// What is done.
    pub operation: Operation,
}

/// A file that the plan's steps use, bound by content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BoundFile {
    /// Relative to the stack's folder.
    pub path: String,
    /// Of its content.
    pub digest: Fingerprint,
}

/// Something that a reviewer should know; never a reason to refuse.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lint {
    /// About which resource; none for the plan as a whole.
    pub address: Option<Address>,
    /// A sentence without its full stop.
    pub message: String,
}

/// Whether a secret's value could be seen where the plan was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretSeen {
    /// It has a value, the same as the one last used.
    Same,
    /// It has a value, and another was last used.
    Moved,
    /// It has a value, and none was used before.
    New,
    /// It has no value here: nothing was compared.
    Unseen,
    /// It has a value and gives hive access to a system; nobody was given it yet, so nothing is
    /// compared.
    Access,
}

impl Step {
    /// Whether it only looks: a check, which has no effect there and nothing to take back.
    pub fn only_looks(&self) -> bool {
        self.action == Action::Run
            && !self.acts
            && self.operation.expects == Expects::Anything
            && self.operation.undo == Undo::Nothing
    }

    /// Whether nothing is lost by it and nothing takes it back, as an expand migration that the
    /// version before runs on too: it stays when the rest is taken back.
    pub fn stays(&self) -> bool {
        let undone = matches!(self.operation.undo, Undo::By(_));
        let looks = self.action == Action::Run && !self.acts;
        !undone && !looks && self.operation.reversible == Reversible::Reversible
    }
}

impl Plan {
    /// Whether nothing would happen and nothing would be recorded.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.changes.is_empty() && self.guards.is_none()
    }

    /// The digest over everything in it.
    pub fn digest(&self) -> Fingerprint {
        Fingerprint::of(self)
    }

    /// The step of a number.
    pub fn step(&self, number: u32) -> Option<&Step> {
        self.steps.get(number.checked_sub(1)? as usize)
    }

    /// What takes a step back.
    pub fn undo(&self, of: u32) -> Option<&UndoStep> {
        self.rollback.iter().find(|undo| undo.of == of)
    }
}
