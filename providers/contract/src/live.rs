//! What a provider sees.

use crate::address::Target;
use crate::fingerprint::Fingerprint;
use crate::mark::{Mark, StackMark, Token};
use crate::outcome::Failure;
use crate::path::FieldPath;
use crate::value::{Fields, Value};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One batched question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The parts to look at.
    pub parts: Vec<AskOne>,
    /// Also everything that carries this mark, whatever its store: for a lost store and orphans.
    #[serde(default)]
    pub marked: Option<StackMark>,
    /// Also what is free or taken where a plan has to choose.
    #[serde(default)]
    pub facts: bool,
}

/// One part to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskOne {
    /// Whose part.
    pub target: Target,
    /// The identity recorded, else the one lowered.
    pub identity: String,
    /// How it is reached: [`crate::Lowered::access`].
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    pub access: Fields,
}

/// The answer to one batched question.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Observation {
    /// One answer for each part asked for.
    pub found: BTreeMap<Target, Result<Observed, Failure>>,
    /// Everything that carries the mark asked for.
    #[serde(default)]
    pub marked: Vec<Live>,
    /// What is free or taken.
    #[serde(default)]
    pub facts: Facts,
}

/// What a plan may choose from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The range that ports are chosen from, both ends included.
    #[serde(default)]
    pub ports: Option<(u16, u16)>,
    /// Ports that somebody listens on, each with who, where the system tells.
    #[serde(default)]
    pub taken_ports: BTreeMap<u16, String>,
}

/// One part as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are present; a box would be one more allocation each"
)]
pub enum Observed {
    /// There is nothing by this identity. Never said where something could not be read.
    Absent,
    /// There is this.
    Present(Live),
}

/// A live object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// What the system knows it by.
    pub identity: String,
    /// Canonical fields, all that the provider can read. A secret's field holds its reference.
    pub fields: Fields,
    /// What it says of itself.
    #[serde(default)]
    pub outputs: BTreeMap<String, Value>,
    /// Whose it is; without one it is nobody's.
    #[serde(default)]
    pub mark: Option<Mark>,
    /// The step that last changed it.
    #[serde(default)]
    pub token: Option<Token>,
    /// Who moved a field, where the system tells.
    #[serde(default)]
    pub moved_by: BTreeMap<FieldPath, String>,
    /// The fields that moved because something ended by itself, and how it did: nobody has decided
    /// it, so that no `ignore` hides it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ended: BTreeMap<FieldPath, String>,
    /// How it is.
    #[serde(default)]
    pub status: Status,
}

/// How a live object is, for people and for `hive status`. Not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Whether it does what it is for.
    pub ready: bool,
    /// In a few words: `2 of 2 healthy`.
    pub summary: String,
    /// More lines, for a person who looks closer.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub details: BTreeSet<String>,
}

impl Observed {
    /// The live object, where there is one.
    pub fn live(&self) -> Option<&Live> {
        match self {
            Self::Absent => None,
            Self::Present(live) => Some(live),
        }
    }

    /// The fingerprint of the managed fields; none where there is nothing.
    pub fn fingerprint(&self, managed: &[FieldPath]) -> Option<Fingerprint> {
        self.live().map(|live| Fingerprint::of_managed(&live.fields, managed))
    }
}
