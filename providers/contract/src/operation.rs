//! One operation of a plan: everything `perform` needs, decided beforehand.

use crate::value::Fields;
use serde::{Deserialize, Serialize};

/// What one step does, decided by `steps` and reviewed in the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The provider's own word: `launch`, `write`, `roll`.
    pub verb: String,
    /// What a reviewer reads.
    pub title: String,
    /// Everything the effect is made of; placeholders are filled right before it.
    pub payload: Fields,
    /// What must be live before it.
    pub expects: Expects,
    /// When in a rollout it belongs.
    #[serde(default)]
    pub phase: Phase,
    /// What takes it back.
    pub undo: Undo,
    /// How far it can be taken back.
    pub reversible: Reversible,
    /// What a reviewer should know of it, each a lower-case fragment: `expand`, `rehearsed in 1.2 s`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// How long it usually takes, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes_ms: Option<u64>,
    /// When it has failed for being too slow, in milliseconds from its begin.
    pub deadline_ms: u64,
    /// When a failure that the contract calls retryable is tried again.
    #[serde(default)]
    pub retry: Retry,
}

/// What must be live before an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expects {
    /// Nothing by this identity.
    Absent,
    /// The content that the plan saw, or that the step before left.
    Content,
    /// Anything: there is no effect.
    Anything,
}

/// When in a rollout an operation belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Makes the desired thing be and work.
    #[default]
    Ready,
    /// The same, while nothing that uses it runs: its users are stopped before and started after.
    Stopped,
    /// Takes away what nobody needs any more.
    Prune,
}

/// What takes an operation back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undo {
    /// There was no effect, or none that outlives the apply.
    Nothing,
    /// This operation. Its own undo is not used. Where the step made an object that was not there,
    /// the undo takes it away.
    By(Box<Operation>),
    /// Nothing can; why.
    None {
        /// A lower-case fragment.
        why: String,
    },
}

/// How far an operation can be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reversible {
    /// Its undo brings back what was.
    Reversible,
    /// A backup brings it back.
    Restorable {
        /// From which backup, in words or as a step.
        from: String,
        /// What is lost.
        loses: String,
    },
    /// Nothing brings it back.
    Irreversible {
        /// Why.
        why: String,
    },
}

/// One way back from a change as a whole, for the reviewer's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayBack {
    /// Which: `previous version`, `down scripts`, `restore`.
    pub way: String,
    /// Why it does not hold, a lower-case fragment; none where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_because: Option<String>,
    /// What is lost on it: `nothing`, `what was written since 03:00`.
    pub loses: String,
    /// How long it takes as it was measured, in milliseconds; none where nobody measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes_ms: Option<u64>,
}

/// A schedule of attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// How often it is tried at most, the first time included.
    pub attempts: u32,
    /// The wait before the second attempt, in milliseconds; each next wait is twice as long.
    pub first_ms: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 3, first_ms: 200 }
    }
}

impl Retry {
    /// One attempt.
    pub const NEVER: Self = Self { attempts: 1, first_ms: 0 };

    /// The wait before attempt `next`, which counts from 2; none when there are no more.
    pub fn wait_ms(&self, next: u32) -> Option<u64> {
        (next <= self.attempts)
            .then(|| self.first_ms.saturating_mul(1 << next.saturating_sub(2).min(20)))
    }
}

impl Operation {
    /// An operation with the usual deadline of five minutes that nothing takes back yet.
    pub fn new(verb: &str, title: impl Into<String>, expects: Expects, payload: Fields) -> Self {
        Self {
            verb: verb.to_owned(),
            title: title.into(),
            payload,
            expects,
            phase: Phase::Ready,
            undo: Undo::Nothing,
            reversible: Reversible::Reversible,
            notes: Vec::new(),
            takes_ms: None,
            deadline_ms: 300_000,
            retry: Retry::default(),
        }
    }

    /// The same with what takes it back.
    #[must_use]
    pub fn undone_by(mut self, undo: Operation) -> Self {
        self.undo = Undo::By(Box::new(undo));
        self
    }
}
