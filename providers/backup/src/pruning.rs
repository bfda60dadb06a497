//! Taking backups away.

use crate::id::{BackupId, now_ms};
use crate::listing::Listing;
use crate::publish::MANIFEST;
use crate::repository::Repository;
use hive_contract::{Failure, FailureKind, Guard};
use std::collections::BTreeSet;

/// How old must be what has no manifest: its writer may still be at it.
const GRACE_MS: i64 = 24 * 3_600_000;

impl Repository {
    /// Takes these backups away: of each the manifest first, so that it does not exist any more, then
    /// its data. What is gone already is gone. Checks at the place itself that the newest verified
    /// backup and the newest good one stay.
    ///
    /// # Errors
    /// One of them must stay, which is named; or the place cannot be written.
    pub async fn prune(&self, ids: &[BackupId], guard: &dyn Guard) -> Result<(), Failure> {
        let listing = self.list(None).await?;
        check_rest(&listing, ids)?;
        for id in ids {
            guard.may_write()?;
            self.objects.delete(&id.key(MANIFEST)).await?;
            for entry in self.objects.list(&id.key("")).await? {
                self.objects.delete(&entry.key).await?;
            }
        }
        Ok(())
    }

    /// Takes away what backups that never got a manifest have left, where it is older than a day.
    /// Only keys of hive's own layout are touched. Says how many objects those were.
    ///
    /// # Errors
    /// The place cannot be read or written.
    pub async fn collect(&self, guard: &dyn Guard) -> Result<usize, Failure> {
        let before_ms = now_ms() - GRACE_MS;
        let mut collected = 0;
        for (id, entries) in self.list(None).await?.garbage {
            let old = entries.iter().all(|it| it.modified_ms < before_ms)
                && id.begun_ms().is_some_and(|begun| begun < before_ms);
            if !old {
                continue;
            }
            for entry in entries {
                guard.may_write()?;
                self.objects.delete(&entry.key).await?;
                collected += 1;
            }
        }
        guard.may_write()?;
        Ok(collected + self.objects.sweep(before_ms).await?)
    }

    /// Which of these are still there, by their manifests.
    ///
    /// # Errors
    /// The place cannot be read.
    pub async fn still_there(&self, ids: &[BackupId]) -> Result<Vec<BackupId>, Failure> {
        let mut there = Vec::new();
        for id in ids {
            if !self.objects.list(&id.key("")).await?.is_empty() {
                there.push(id.clone());
            }
        }
        Ok(there)
    }
}

/// Whatever was planned: what has been proven last, and what is newest, is not taken away.
fn check_rest(listing: &Listing, ids: &[BackupId]) -> Result<(), Failure> {
    let going: BTreeSet<&BackupId> = ids.iter().collect();
    let newest_verified =
        listing.backups.iter().rev().find(|it| it.wrong.is_empty() && it.proof().is_some());
    for (one, what) in [
        (newest_verified, "the newest verified backup"),
        (listing.newest_good(), "the newest backup"),
    ] {
        if let Some(held) = one.filter(|it| going.contains(&it.id)) {
            return Err(Failure::new(
                FailureKind::Moved,
                format!("{} is {what} now, and is not removed", held.id),
            ));
        }
    }
    let all_go = listing.backups.iter().all(|it| going.contains(&it.id));
    if all_go && !listing.backups.is_empty() {
        return Err(Failure::new(FailureKind::Moved, "no backup would be left"));
    }
    Ok(())
}
