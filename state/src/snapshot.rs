//! The immutable recorded state after an apply.

use hive_contract::outcome::SecretPrints;
use hive_contract::{
    Address, Declared, FieldPath, Fields, Fingerprint, Place, Target, Token, Value,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that hive knows of one stack in one environment, at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Counts from 1; each is one more than its parent's.
    pub number: u64,
    /// The digest of the snapshot before, none for the first.
    pub parent: Option<Fingerprint>,
    /// The stack's name.
    pub stack: String,
    /// The environment, with its instance: `dev`, `dev+feature`.
    pub environment: String,
    /// Whether everything of its apply was done or taken back. A halted apply leaves a partial one.
    pub whole: bool,
    /// The apply that made it.
    pub apply: String,
    /// When, in milliseconds since 1970 UTC. For people; nothing is decided by it.
    pub at_ms: u64,
    /// What guards the next apply, as the stack declares it (shape: `docs/language.md`).
    pub guards: Fields,
    /// The variables it was planned with.
    pub variables: BTreeMap<String, Value>,
    /// The places of its parts, by id.
    pub places: BTreeMap<String, Place>,
    /// What is there, by address.
    pub resources: BTreeMap<Address, Recorded>,
}

/// One recorded resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// As declared.
    pub declared: Declared,
    /// What each provider holds of it, by part. Empty for what has nothing live.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, Part>,
    /// What it depends on.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub edges: BTreeSet<Address>,
    /// Which backup its data came from last, where it was restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Restored>,
}

/// Where the data of a restored resource came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The id of the backup.
    pub id: String,
    /// The moment whose data that has, in milliseconds since 1970 UTC.
    pub made_ms: u64,
    /// When it was restored: backups from before have what was replaced then.
    pub at_ms: u64,
}

/// What one provider holds of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Which provider.
    pub provider: String,
    /// The form in which it wrote `fields`.
    pub form: u32,
    /// The id of its place, see [`Snapshot::places`].
    pub place: String,
    /// What the live system knows it by.
    pub identity: String,
    /// The identity that `lower` gave when it was recorded: a move keeps the live one.
    pub lowered_identity: String,
    /// What hive made it, with placeholders filled; secrets stay references.
    pub fields: Fields,
    /// How hive itself reaches it: references, never values.
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    pub access: Fields,
    /// The outputs that the live object said.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Value>,
    /// Keyed hashes of the secrets that went into it, by reference.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: SecretPrints,
    /// The step that last changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// Whether what is live is not known: a failed step said `unsure` and nobody looked yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsure: bool,
    /// Whether the step that last changed it failed and left this: nobody has seen it work.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unverified: bool,
}

impl Part {
    /// Whether the step that last changed it was seen to succeed.
    pub fn is_verified(&self) -> bool {
        !self.unsure && !self.unverified
    }
}

/// A rule of a snapshot that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The key is not the address inside.
    #[error("`{key}` holds the record of `{inside}`")]
    Address {
        /// The key.
        key: Address,
        /// What the record says.
        inside: Address,
    },
    /// A part without its place.
    #[error("`{target}` is at place `{place}`, which the snapshot does not have")]
    Place {
        /// Whose part.
        target: Target,
        /// The missing place.
        place: String,
    },
    /// A part with something left to fill in.
    #[error("`{target}` has a field that was never filled in: `{field}`")]
    Unfilled {
        /// Whose part.
        target: Target,
        /// Which field.
        field: FieldPath,
    },
    /// A dependency on nothing. Whole snapshots have none.
    #[error("`{address}` depends on `{on}`, which the snapshot does not have")]
    Edge {
        /// Whose edge.
        address: Address,
        /// The missing resource.
        on: Address,
    },
    /// Numbers count from 1, and only the first has no parent.
    #[error("snapshot {0} and its parent do not fit")]
    Parent(u64),
}

impl Snapshot {
    /// Checks every rule that holds between its parts; asked before each save and after each load.
    ///
    /// # Errors
    /// The first rule that does not hold, with the address.
    pub fn verify(&self) -> Result<(), Broken> {
        if self.number == 0 || (self.number == 1) != self.parent.is_none() {
            return Err(Broken::Parent(self.number));
        }
        for (address, recorded) in &self.resources {
            if &recorded.declared.address != address {
                let inside = recorded.declared.address.clone();
                return Err(Broken::Address { key: address.clone(), inside });
            }
            for (part, held) in &recorded.parts {
                let target = Target { address: address.clone(), part: part.clone() };
                self.verify_part(&target, held)?;
            }
            if let Some(on) = recorded.edges.iter().find(|on| !self.resources.contains_key(*on))
                && self.whole
            {
                return Err(Broken::Edge { address: address.clone(), on: on.clone() });
            }
        }
        Ok(())
    }

    fn verify_part(&self, target: &Target, part: &Part) -> Result<(), Broken> {
        if !self.places.contains_key(&part.place) {
            return Err(Broken::Place { target: target.clone(), place: part.place.clone() });
        }
        let unfilled = part.fields.iter().find(|(_, value)| !value.is_known());
        match unfilled {
            Some((key, _)) => Err(Broken::Unfilled {
                target: target.clone(),
                field: FieldPath::new([key.as_str()]),
            }),
            None => Ok(()),
        }
    }
}
