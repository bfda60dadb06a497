//! Retention: which journals, plans and blobs go, and when.
//!
//! Snapshots and notes stay for ever. The journals of the newest applies stay, and so does one that
//! may still be open. A plan goes only with the last journal that names it, so one that was saved
//! and not applied yet stays; a blob goes with the last file that names it.

use crate::journal::JournalRead;
use crate::layout;
use crate::ledger::{Ledger, LedgerError};
use hive_contract::Fingerprint;
use std::collections::BTreeSet;

/// How many journals are kept where nothing else is said.
pub const KEEP_JOURNALS: usize = 50;

impl Ledger {
    /// Removes the journals of all but the newest applies, and what only those named. For the
    /// holder of the lease, after head has moved. Journals that cannot be read stay.
    ///
    /// # Errors
    /// Something cannot be read or removed. What is left is whole; the next call goes on.
    pub async fn retain(&self, keep_journals: usize) -> Result<(), LedgerError> {
        let going = self.going(keep_journals).await?;
        if !going.is_empty() {
            let mut read = Vec::new();
            for apply in &going {
                match self.journal(apply).await {
                    Ok(journal) => read.push(journal),
                    Err(LedgerError::Damaged(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            self.remove_journals(&read).await?;
        }
        Ok(self.store.tidy().await?)
    }

    /// The applies whose journals are beyond the newest.
    async fn going(&self, keep_journals: usize) -> Result<Vec<String>, LedgerError> {
        let all = self.journals_by_age().await?;
        let begun = all.iter().filter(|it| it.begun).count();
        let mut beyond = begun.saturating_sub(keep_journals);
        // One that was never begun says nothing: it goes once the lease does not name it.
        let journals = all.into_iter().filter(|it| {
            let goes = !it.begun || beyond > 0;
            beyond -= usize::from(it.begun && beyond > 0);
            goes
        });
        let lease = self.lease_now().await?;
        let open = self.open_journal().await?.map(|it| it.read.apply);
        let held = |apply: &String| {
            open.as_ref() == Some(apply)
                || lease
                    .as_ref()
                    .is_some_and(|it| &it.apply == apply || it.last.as_ref() == Some(apply))
        };
        Ok(journals.map(|it| it.apply).filter(|apply| !held(apply)).collect())
    }

    async fn remove_journals(&self, going: &[JournalRead]) -> Result<(), LedgerError> {
        let gone: BTreeSet<&str> = going.iter().map(|it| it.apply.as_str()).collect();
        let mut plans: BTreeSet<&Fingerprint> = going.iter().filter_map(plan_of).collect();
        let blobs = self.store.list(&self.layout.blobs()).await?;
        let mut named = BTreeSet::new();
        for apply in self.journals().await? {
            if gone.contains(apply.as_str()) {
                continue;
            }
            if let Some(group) = self.store.read(&self.layout.group(&apply, 1)).await? {
                let text = String::from_utf8_lossy(&group.bytes);
                plans.retain(|plan| !text.contains(plan.as_str()));
            }
            if !blobs.is_empty() {
                self.names_in(&self.layout.journal(&apply), &blobs, &mut named).await?;
            }
        }
        // First what is named, then what names it: dying in between leaves nothing that names what
        // is gone but what goes next.
        for apply in &gone {
            self.store.remove_folder(&self.layout.journal(apply)).await?;
        }
        for plan in plans {
            self.discard(&self.layout.plan(plan)).await?;
        }
        if !blobs.is_empty() {
            self.names_in(&self.layout.plans(), &blobs, &mut named).await?;
            self.names_in(&self.layout.snapshots(), &blobs, &mut named).await?;
            for blob in blobs.iter().filter(|it| !named.contains(*it)) {
                self.discard(blob).await?;
            }
        }
        Ok(())
    }

    /// Adds the blobs whose digests stand in a file below a folder.
    async fn names_in(
        &self,
        folder: &str,
        blobs: &[String],
        named: &mut BTreeSet<String>,
    ) -> Result<(), LedgerError> {
        for key in self.store.list(folder).await? {
            let Some(stored) = self.store.read(&key).await? else { continue };
            let text = String::from_utf8_lossy(&stored.bytes);
            for blob in blobs {
                if !named.contains(blob) && text.contains(layout::name(blob)) {
                    named.insert(blob.clone());
                }
            }
        }
        Ok(())
    }

    async fn discard(&self, key: &str) -> Result<(), LedgerError> {
        if let Some(stored) = self.store.read(key).await? {
            self.store.remove(key, &stored.version).await?;
        }
        Ok(())
    }
}

fn plan_of(journal: &JournalRead) -> Option<&Fingerprint> {
    journal.replay.opened.as_ref().map(|it| &it.plan)
}
