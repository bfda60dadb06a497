//! Desired against recorded and observed, for one part.

use crate::address::{Address, Target};
use crate::live::Live;
use crate::lowered::Lowered;
use crate::path::FieldPath;
use crate::value::{Fields, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What a plan does about one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Nothing: live is as declared.
    Keep,
    /// Make what is not there.
    Create,
    /// Change what is there.
    Update,
    /// Make it anew, because a field cannot change.
    Replace,
    /// Take it away.
    Delete,
    /// Take into hive what is there.
    Adopt,
    /// Let go of it and leave it as it is.
    Forget,
    /// Do something once: a rollout without a change, a check.
    Run,
    /// Nothing runs, nothing scales it up.
    Stop,
    /// The recorded fields again, after a stop.
    Start,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "keep",
            Self::Create => "create",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Delete => "delete",
            Self::Adopt => "adopt",
            Self::Forget => "forget",
            Self::Run => "run",
            Self::Stop => "stop",
            Self::Start => "start",
        })
    }
}

/// In which order a replacement goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplaceOrder {
    /// Two of them cannot be: the name is taken.
    #[default]
    DeleteFirst,
    /// Users move over to the new one, then the other goes.
    CreateFirst,
}

/// Why a resource is touched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "because")]
pub enum Reason {
    /// The stack says something else than the record.
    Declared,
    /// The live object is not as recorded.
    Drift,
    /// Something of it ended by itself.
    Ended {
        /// Which, and how.
        how: String,
    },
    /// What it is made of changes.
    Dependency {
        /// What changes.
        address: Address,
    },
    /// A field that cannot change on a live object.
    Forced {
        /// Which field.
        field: FieldPath,
    },
    /// The place it was in is another.
    Moved {
        /// The recorded place.
        from: String,
    },
    /// The value behind a secret is another than the one last used.
    Secret {
        /// The reference.
        reference: String,
    },
    /// The step that last changed it was not seen to succeed.
    Unverified,
    /// A person asked: `--replace`, `restart`, `adopt`, `forget`, `destroy`.
    Asked {
        /// In which words.
        command: String,
    },
}

/// One field whose desired and live values differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Which field.
    pub field: FieldPath,
    /// What hive recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Value>,
    /// What is live; nothing where the field is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Value>,
    /// What is declared; nothing where the key was removed, which is a reset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<Value>,
    /// Why.
    pub reason: Reason,
    /// Who moved it, where the system tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_by: Option<String>,
}

/// What `steps` is given: one part that is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which part.
    pub target: Target,
    /// What to do. `Replace` comes to a provider as its two halves, `Delete` and `Create`.
    pub action: Action,
    /// What the live system knows it by: recorded, else lowered.
    pub identity: String,
    /// What is declared, with the planner's choices filled in; absent for a delete or forget.
    #[serde(default)]
    pub desired: Option<Lowered>,
    /// What hive recorded, absent for what it never held.
    #[serde(default)]
    pub recorded: Option<Fields>,
    /// What is live, absent where there is nothing.
    #[serde(default)]
    pub observed: Option<Live>,
    /// The fields that differ.
    #[serde(default)]
    pub differences: Vec<Difference>,
    /// For `Adopt` of something that hive holds under another address (`hive move`).
    #[serde(default)]
    pub moved_from: Option<Address>,
    /// Whether the step that last changed it was not seen to succeed: also where nothing differs,
    /// the operations of an update end only when the thing itself says that it is well.
    #[serde(default)]
    pub unverified: bool,
    /// For `Run`, `Stop` and `Start`: what a person or another part of the plan asks of it, in this
    /// provider's own words, such as which backup is restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Fields>,
    /// What is recorded, lowered today: with the access and the material of that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<Lowered>>,
    /// What is live of [`Lowered::looks_at`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub related: BTreeMap<Address, Live>,
}

impl Change {
    /// A change of which nothing is known yet but what it is about.
    pub fn new(target: Target, action: Action, identity: impl Into<String>) -> Self {
        Self {
            target,
            action,
            identity: identity.into(),
            desired: None,
            recorded: None,
            observed: None,
            differences: Vec::new(),
            moved_from: None,
            unverified: false,
            run: None,
            before: None,
            related: BTreeMap::new(),
        }
    }
}
