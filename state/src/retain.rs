//! Retention: which journals, plans and blobs go, and when.
//!
//! Snapshots and notes stay for ever. The journals of the newest applies stay, those of the newest runs
//! of backups apart from them, so that a timer pushes no report of an apply out; and so does one that
//! may still be open. A plan goes only with the last journal that names it, so one that was saved
//! and not applied yet stays; a blob goes with the last plan that names it, unless a snapshot does.

use crate::journal::JournalRead;
use crate::layout;
use crate::ledger::{Ledger, LedgerError};
use hive_contract::Fingerprint;
use std::collections::BTreeSet;

/// How many journals are kept where nothing else is said: of applies, and as many of runs of backups.
pub const KEEP_JOURNALS: usize = 50;

impl Ledger {
    /// Removes the journals of all but the newest applies and runs of backups, and what only those
    /// named. For the holder of the lease, after head has moved. Journals that cannot be read stay.
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
        let beyond = |routine: bool| {
            let begun = all.iter().filter(|it| it.begun && it.routine == routine).count();
            begun.saturating_sub(keep_journals)
        };
        let (mut applies, mut runs) = (beyond(false), beyond(true));
        // One that was never begun says nothing: it goes once the lease does not name it.
        let journals = all.into_iter().filter(|it| {
            let beyond = if it.routine { &mut runs } else { &mut applies };
            let goes = !it.begun || *beyond > 0;
            *beyond -= usize::from(it.begun && *beyond > 0);
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
        for apply in self.journals().await?.iter().filter(|it| !gone.contains(it.as_str())) {
            if let Some(first) = self.store.read(&self.layout.group(apply, 1)).await? {
                let text = String::from_utf8_lossy(&first.bytes);
                plans.retain(|plan| !text.contains(plan.as_str()));
            }
        }
        let plans: BTreeSet<String> = plans.into_iter().map(|it| self.layout.plan(it)).collect();
        let blobs = self.only_named_in(&plans).await?;
        // Dying in between leaves things that nothing names any more, and never the other way
        // round.
        for apply in &gone {
            self.store.remove_folder(&self.layout.journal(apply)).await?;
        }
        for key in plans.iter().chain(&blobs) {
            self.discard(key).await?;
        }
        Ok(())
    }

    /// The blobs that these plans name, and no other plan and no snapshot does.
    async fn only_named_in(
        &self,
        plans: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, LedgerError> {
        let all: BTreeSet<String> =
            self.store.list(&self.layout.blobs()).await?.into_iter().collect();
        let mut free = BTreeSet::new();
        for plan in plans {
            free.extend(self.names_in(plan, &all).await?);
        }
        for folder in [self.layout.plans(), self.layout.snapshots()] {
            if free.is_empty() {
                break;
            }
            for key in self.store.list(&folder).await? {
                if !free.is_empty() && !plans.contains(&key) {
                    for named in self.names_in(&key, &free).await? {
                        free.remove(&named);
                    }
                }
            }
        }
        Ok(free)
    }

    /// Those of these blobs whose digests stand in a file.
    async fn names_in(
        &self,
        key: &str,
        blobs: &BTreeSet<String>,
    ) -> Result<Vec<String>, LedgerError> {
        if blobs.is_empty() {
            return Ok(Vec::new());
        }
        let Some(stored) = self.store.read(key).await? else { return Ok(Vec::new()) };
        let text = String::from_utf8_lossy(&stored.bytes);
        Ok(blobs.iter().filter(|blob| text.contains(layout::name(blob))).cloned().collect())
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
