//! Everything checked at once.

use crate::layout;
use crate::ledger::{Ledger, LedgerError};
use crate::sealed::{self, Check};

impl Ledger {
    /// Reads and checks every file, and gives how many there are.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub async fn verify_all(&self) -> Result<usize, Vec<LedgerError>> {
        let mut wrong = Vec::new();
        let mut note = |error: Option<LedgerError>| wrong.extend(error);
        note(self.store_id().await.err());
        note(self.secret_key().await.err());
        note(self.lease_now().await.err());
        note(self.freeze().await.err());
        note(self.notes().await.err());
        note(self.verify_rehearsals().await.err());
        note(self.verify_snapshots().await.err());
        note(self.open_journal().await.err());
        match self.journals().await {
            Ok(applies) => {
                for apply in applies {
                    note(self.journal(&apply).await.err());
                }
            }
            Err(error) => note(Some(error)),
        }
        let files = match self.verify_kept().await {
            Ok(files) => files,
            Err(error) => {
                note(Some(error));
                0
            }
        };
        wrong.dedup();
        if wrong.is_empty() { Ok(files) } else { Err(wrong) }
    }

    /// Every snapshot from head down to the first.
    async fn verify_snapshots(&self) -> Result<(), LedgerError> {
        let Some((_, mut snapshot)) = self.head().await? else { return Ok(()) };
        while let Some(parent) = &snapshot.parent {
            let by = format!("snapshot {}", snapshot.number);
            snapshot = self.load(snapshot.number - 1, parent, &by).await?;
        }
        Ok(())
    }

    /// Plans and blobs; gives how many files there are of any kind.
    async fn verify_kept(&self) -> Result<usize, LedgerError> {
        for plan in self.plans().await? {
            if let Some(bytes) = self.plan(&plan).await? {
                let key = self.layout.plan(&plan);
                let found = sealed::check(&self.what(&key), &bytes)?;
                if found != "plan" {
                    let wanted = "plan".to_owned();
                    return Err(self.damaged(&key, Check::Kind { found, wanted }));
                }
            }
        }
        for key in self.store.list(&self.layout.blobs()).await? {
            match layout::digest(&key) {
                Some(digest) => drop(self.blob(&digest).await?),
                None => {
                    let check = Check::Digest { by: "its own name".to_owned() };
                    return Err(self.damaged(&key, check));
                }
            }
        }
        Ok(self.store.list(&self.layout.all()).await?.len())
    }
}
