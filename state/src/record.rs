//! What a journal says, one record a fact.

use hive_contract::outcome::SecretPrints;
use hive_contract::{Event, Failure, Fingerprint, Outcome, Token};
use serde::{Deserialize, Serialize};

/// A record and when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds since 1970 UTC. For people; nothing is decided by it.
    pub at_ms: u64,
    /// The fact.
    pub record: Record,
}

/// One fact of an apply. The law of their order is [`crate::law`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Record {
    /// The first: which plan, by whom.
    Opened {
        /// The digest of the plan, which is in the store already.
        plan: Fingerprint,
        /// The apply's id.
        apply: String,
        /// The command as a person would type it: `apply`, `restore 3`.
        command: String,
        /// Who: user and host.
        who: String,
        /// The lease's epoch.
        epoch: u64,
    },
    /// A step's effect may start now.
    Begin(Begun),
    /// The thing itself says that the step is done.
    Done {
        /// Which step.
        step: u32,
        /// What is there now.
        outcome: Outcome,
        /// Keyed hashes of the secrets it used.
        #[serde(default, skip_serializing_if = "SecretPrints::is_empty")]
        secrets: SecretPrints,
    },
    /// The step failed.
    Failed {
        /// Which step.
        step: u32,
        /// How, and what it left.
        failure: Failure,
    },
    /// The attempt had no effect and never will; the next attempt may begin.
    Void {
        /// Which step.
        step: u32,
        /// Why.
        why: String,
    },
    /// The attempt, there or back, had no effect so far, and nothing says that it never will. The
    /// next attempt may begin; this one is looked up once more before head moves.
    Unsealed {
        /// Which step.
        step: u32,
        /// Why.
        why: String,
    },
    /// What an unsure failure left, now that it was looked at.
    Settled {
        /// Which step.
        step: u32,
        /// What is there; nothing where there is nothing.
        outcome: Outcome,
    },
    /// From here on the apply goes back.
    Back {
        /// Why: the failure, or who asked.
        why: String,
    },
    /// A step's undo may start now.
    UndoBegin(Begun),
    /// It is taken back.
    UndoDone {
        /// Which step.
        step: u32,
        /// What is there now.
        outcome: Outcome,
        /// Keyed hashes of the secrets it used.
        #[serde(default, skip_serializing_if = "SecretPrints::is_empty")]
        secrets: SecretPrints,
    },
    /// It could not be taken back.
    UndoFailed {
        /// Which step.
        step: u32,
        /// How, and what it left.
        failure: Failure,
    },
    /// The attempt to take it back had no effect and never will.
    UndoVoid {
        /// Which step.
        step: u32,
        /// Why.
        why: String,
    },
    /// Something a provider said. Written with the next record that must be durable.
    Event {
        /// Which step, none for the apply as a whole.
        step: Option<u32>,
        /// What.
        event: Event,
    },
    /// Somebody else took the lease over; the holder before may write no more.
    Sealed {
        /// The new epoch.
        epoch: u64,
        /// Who.
        by: String,
    },
    /// The last: how it ended.
    Closed {
        /// How.
        ending: Ending,
        /// The digest of the snapshot that the fold yields, where head moves.
        snapshot: Option<Fingerprint>,
    },
}

/// An attempt that may have an effect from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Which step.
    pub step: u32,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The id that its effect carries.
    pub token: Token,
    /// The content expected live; none where nothing may be there.
    pub expected: Option<Fingerprint>,
    /// Keyed hashes of the secrets that its effect is made of, as far as they had a value: whoever
    /// finds it done later may see other values.
    #[serde(default, skip_serializing_if = "SecretPrints::is_empty")]
    pub secrets: SecretPrints,
}

/// How an apply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Every step is done.
    Applied,
    /// It failed and everything it had begun is taken back.
    RolledBack,
    /// It failed and was left as it is.
    Halted,
    /// A person stopped it between steps.
    Interrupted,
    /// A person closed it with `recover --close`.
    ClosedByHand,
}
