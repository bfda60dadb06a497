//! The freeze: a hold on an environment, with who and why.

use crate::layout::FORMAT;
use crate::ledger::{Ledger, LedgerError};
use crate::sealed;
use crate::store::Put;
use serde::{Deserialize, Serialize};

/// Why nothing may be applied until somebody lifts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// Who froze it.
    pub who: String,
    /// Why.
    pub why: String,
    /// When, in milliseconds since 1970 UTC. For people; nothing is decided by it.
    pub at_ms: u64,
}

impl Ledger {
    /// The freeze that holds; none where the environment is not frozen.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub async fn freeze(&self) -> Result<Option<Freeze>, LedgerError> {
        Ok(self.get(&self.layout.freeze(), "freeze").await?.map(|(freeze, _)| freeze))
    }

    /// Freezes the environment, or lifts the freeze, and gives what held before. No lease is
    /// needed.
    ///
    /// # Errors
    /// It cannot be read or written, or is damaged.
    pub async fn set_freeze(&self, freeze: Option<&Freeze>) -> Result<Option<Freeze>, LedgerError> {
        let key = self.layout.freeze();
        self.init().await?;
        loop {
            let before = self.get::<Freeze>(&key, "freeze").await?;
            let put = match (&before, freeze) {
                (None, None) => return Ok(None),
                (None, Some(freeze)) => self.store.create(&key, &freeze_bytes(freeze)).await?,
                (Some((_, version)), Some(freeze)) => {
                    self.store.replace(&key, &freeze_bytes(freeze), version).await?
                }
                (Some((_, version)), None) => self.store.remove(&key, version).await?,
            };
            // A conflict is somebody else who freezes or lifts: once more, seeing that.
            if let Put::Done(_) = put {
                return Ok(before.map(|(freeze, _)| freeze));
            }
        }
    }
}

fn freeze_bytes(freeze: &Freeze) -> Vec<u8> {
    sealed::seal("freeze", FORMAT, None, freeze, false)
}
