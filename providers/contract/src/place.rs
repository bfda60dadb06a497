//! Where a provider acts.

use crate::fingerprint::Fingerprint;
use crate::value::Fields;
use serde::{Deserialize, Serialize};

/// A provider with its connection settings, without secrets, and the system's own identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The provider's name, such as `process`.
    pub provider: String,
    /// How it is reached.
    pub settings: Fields,
    /// What the system says it is: machine id, account and region, cluster uid.
    pub system: String,
}

impl Place {
    /// A short id of the place, the same wherever the same place is meant.
    pub fn id(&self) -> String {
        format!("{}-{}", self.provider, Fingerprint::of(self).short())
    }
}
