//! Rehearsals: what trying a change taught, kept by what the change is, so that the same change is
//! tried once.

use crate::layout::FORMAT;
use crate::ledger::{Ledger, LedgerError};
use crate::sealed;
use hive_contract::{Fingerprint, Rehearsal};
use serde::{Deserialize, Serialize};

/// How many are kept; the oldest go first.
const KEEP: usize = 200;

/// What a rehearsal taught, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsed {
    /// What it found.
    pub rehearsal: Rehearsal,
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: u64,
}

impl Ledger {
    /// What was learnt of a change before; none where it was never tried.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub async fn rehearsal(&self, change: &Fingerprint) -> Result<Option<Rehearsed>, LedgerError> {
        let key = self.layout.rehearsal(change);
        Ok(self.get::<Rehearsed>(&key, "rehearsal").await?.map(|(found, _)| found))
    }

    /// Keeps what was learnt of a change, in place of what was learnt of it before. No lease is
    /// needed.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn put_rehearsal(
        &self,
        change: &Fingerprint,
        rehearsed: &Rehearsed,
    ) -> Result<(), LedgerError> {
        self.init().await?;
        let bytes = sealed::seal("rehearsal", FORMAT, None, rehearsed, false);
        let key = self.layout.rehearsal(change);
        self.keep(&key, &bytes).await?;
        self.sweep_rehearsals().await
    }

    /// Removes the oldest beyond [`KEEP`]. One that cannot be read says nothing and goes first.
    async fn sweep_rehearsals(&self) -> Result<(), LedgerError> {
        let keys = self.store.list(&self.layout.rehearsals()).await?;
        let Some(beyond) = keys.len().checked_sub(KEEP).filter(|it| *it > 0) else {
            return Ok(());
        };
        let mut aged = Vec::new();
        for key in keys {
            let at_ms = match self.get::<Rehearsed>(&key, "rehearsal").await {
                Ok(found) => found.map_or(0, |(it, _)| it.at_ms),
                Err(LedgerError::Damaged(_)) => 0,
                Err(error) => return Err(error),
            };
            aged.push((at_ms, key));
        }
        aged.sort();
        for (_, key) in aged.into_iter().take(beyond) {
            if let Some(stored) = self.store.read(&key).await? {
                self.store.remove(&key, &stored.version).await?;
            }
        }
        Ok(())
    }

    /// Reads and checks every one.
    pub(crate) async fn verify_rehearsals(&self) -> Result<(), LedgerError> {
        for key in self.store.list(&self.layout.rehearsals()).await? {
            self.get::<Rehearsed>(&key, "rehearsal").await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryStore;
    use std::sync::Arc;

    fn learnt(at_ms: u64) -> Rehearsed {
        let facts = [("took".to_owned(), format!("{at_ms} ms"))].into();
        Rehearsed { rehearsal: Rehearsal { facts, ..Rehearsal::default() }, at_ms }
    }

    #[tokio::test]
    async fn of_a_change_the_newest_is_kept_and_the_oldest_change_goes() {
        let ledger = Ledger::new(Arc::new(MemoryStore::new()), "s", "dev");
        let change = |it: u64| Fingerprint::of(&it);
        assert_eq!(ledger.rehearsal(&change(1)).await.expect("reads"), None);
        ledger.put_rehearsal(&change(1), &learnt(1)).await.expect("keeps");
        ledger.put_rehearsal(&change(1), &learnt(2)).await.expect("keeps");
        assert_eq!(ledger.rehearsal(&change(1)).await.expect("reads"), Some(learnt(2)));
        for it in 3..=202 {
            ledger.put_rehearsal(&change(it), &learnt(it)).await.expect("keeps");
        }
        assert_eq!(ledger.rehearsal(&change(1)).await.expect("reads"), None);
        assert_eq!(ledger.rehearsal(&change(3)).await.expect("reads"), Some(learnt(3)));
        ledger.verify_all().await.expect("all is well");
    }
}
