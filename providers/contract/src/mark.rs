//! Who owns a live object, and which step made it.

use crate::address::Address;
use crate::fingerprint::Fingerprint;
use crate::value::{Fields, Value};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The stack in one environment of one store: what all of its marks have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StackMark {
    /// The id of the store that recorded it.
    pub store: String,
    /// The stack's name.
    pub stack: String,
    /// The environment, such as `dev`.
    pub environment: String,
}

/// Readable on every object that hive owns. Set by create and adopt, removed by forget.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mark {
    /// Whose it is.
    #[serde(flatten)]
    pub owner: StackMark,
    /// Which resource it is.
    pub address: Address,
}

impl Mark {
    /// The mark as a value, for payloads.
    pub fn value(&self) -> Value {
        Value::Map(Fields::from([
            ("store".to_owned(), Value::text(&self.owner.store)),
            ("stack".to_owned(), Value::text(&self.owner.stack)),
            ("environment".to_owned(), Value::text(&self.owner.environment)),
            ("address".to_owned(), Value::text(self.address.to_string())),
        ]))
    }

    /// A mark from its value.
    pub fn from_value(value: &Value) -> Option<Self> {
        let text = |key| value.as_map()?.get(key)?.as_text();
        let owner = StackMark {
            store: text("store")?.to_owned(),
            stack: text("stack")?.to_owned(),
            environment: text("environment")?.to_owned(),
        };
        Some(Self { owner, address: text("address")?.parse().ok()? })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StackMark { store, stack, environment } = &self.owner;
        write!(f, "{} of stack {stack}, {environment}, store {store}", self.address)
    }
}

/// The id that one step's effect carries into the live system, so that recovery can look it up.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// The token of one attempt at one step of one apply: 32 hex digits of a hash of the four.
    /// `way` keeps a step and its undo apart.
    pub fn new(plan: &Fingerprint, apply: &str, step: u32, way: Way, attempt: u32) -> Self {
        let hash = Fingerprint::of(&(plan, apply, step, way, attempt));
        Self(hash.as_str()[..32].to_owned())
    }

    /// A token from its text, as a live system gives it back.
    pub fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text that goes into the live system.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..8).unwrap_or(&self.0))
    }
}

/// Whether a step is performed or taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// The step itself.
    There,
    /// Its undo.
    Back,
}
