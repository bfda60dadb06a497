//! Head and the snapshots behind it.
//!
//! `head.json` is made, naming nothing, before the first lease is given, so that one that is gone
//! is seen to be gone. It moves by compare-and-swap, after the snapshot that it will name is there.

use crate::layout::{self, FORMAT};
use crate::lease::Lease;
use crate::ledger::{Ledger, LedgerError};
use crate::sealed::{self, Check};
use crate::snapshot::Snapshot;
use crate::store::{Put, Stored, Version};
use hive_contract::Fingerprint;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which snapshot is the newest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its number.
    pub number: u64,
    /// Its digest: [`Snapshot::digest`].
    pub digest: Fingerprint,
    /// The epoch of the lease under which it became head.
    pub epoch: u64,
    /// The apply that made it.
    pub apply: String,
}

/// The content of `head.json`.
#[derive(Serialize, Deserialize)]
struct HeadBody {
    head: Option<Head>,
}

impl Snapshot {
    /// The digest that heads, journals and child snapshots know it by: of its body, as written.
    pub fn digest(&self) -> Fingerprint {
        Fingerprint::of(self)
    }
}

impl Ledger {
    /// The newest snapshot, checked against the head that names it; none before the first.
    ///
    /// # Errors
    /// Either cannot be read, is damaged, or is another stack's.
    pub async fn head(&self) -> Result<Option<(Head, Snapshot)>, LedgerError> {
        let Some(head) = self.head_only().await? else { return Ok(None) };
        let snapshot = self.load(head.number, &head.digest, "head.json").await?;
        self.check_owner(&snapshot)?;
        Ok(Some((head, snapshot)))
    }

    /// Which snapshot is the newest, without reading it.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub async fn head_only(&self) -> Result<Option<Head>, LedgerError> {
        Ok(self.head_file().await?.and_then(|(head, _)| head))
    }

    /// One snapshot by its number; none where there never was one.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or is gone although a later one builds on it.
    pub async fn snapshot(&self, number: u64) -> Result<Option<Snapshot>, LedgerError> {
        let Some(head) = self.head_only().await? else { return Ok(None) };
        if number == 0 || number > head.number {
            return Ok(None);
        }
        if number == head.number {
            return self.load(number, &head.digest, "head.json").await.map(Some);
        }
        let mut files = self.snapshot_files().await?;
        match files.remove(&number).unwrap_or_default().as_slice() {
            [] => {
                let missing = Check::Missing { by: "head.json".to_owned() };
                Err(self.damaged(&format!("{}{number}-….json", self.layout.snapshots()), missing))
            }
            [only] => self.load(number, only, "its own name").await.map(Some),
            // An apply that died before head moved left one behind: the chain says which counts.
            _ => self.follow_chain(&head, number).await.map(Some),
        }
    }

    /// The numbers of all snapshots, oldest first.
    ///
    /// # Errors
    /// They cannot be listed.
    pub async fn snapshots(&self) -> Result<Vec<u64>, LedgerError> {
        let Some(head) = self.head_only().await? else { return Ok(Vec::new()) };
        let files = self.snapshot_files().await?;
        Ok(files.into_keys().filter(|number| (1..=head.number).contains(number)).collect())
    }

    /// Records a snapshot and moves head to it. Where head is there already, nothing happens, so
    /// that a recovery may do it once more.
    ///
    /// # Errors
    /// The snapshot breaks a rule; head is not what `before` says, or is of a newer epoch
    /// ([`LedgerError::Lost`]); the store cannot be written.
    pub async fn advance(
        &self,
        lease: &Lease,
        before: Option<&Head>,
        snapshot: &Snapshot,
    ) -> Result<Head, LedgerError> {
        snapshot.verify()?;
        self.check_owner(snapshot)?;
        let digest = snapshot.digest();
        let next = Head {
            number: snapshot.number,
            digest: digest.clone(),
            epoch: lease.epoch(),
            apply: snapshot.apply.clone(),
        };
        let (now, version) =
            self.head_file().await?.ok_or_else(|| lost("head.json was removed"))?;
        if let Some(now) = &now
            && now.digest == digest
        {
            self.load(now.number, &now.digest, "head.json").await?;
            return Ok(now.clone());
        }
        if now.as_ref() != before {
            return Err(lost("head is not the snapshot that this one builds on"));
        }
        let newest = self.lease_now().await?.map_or(0, |it| it.epoch);
        if newest.max(now.as_ref().map_or(0, |it| it.epoch)) > next.epoch {
            return Err(lost("somebody else has taken the lease over"));
        }
        let fits = before.map_or(1, |it| it.number + 1) == snapshot.number
            && before.map(|it| &it.digest) == snapshot.parent.as_ref();
        if !fits {
            return Err(crate::Broken::Parent(snapshot.number).into());
        }
        self.save(snapshot, &digest).await?;
        let bytes = head_bytes(Some(&next));
        match self.store.replace(&self.layout.head(), &bytes, &version).await? {
            Put::Done(_) => Ok(next),
            Put::Conflict => match self.head_only().await? {
                Some(now) if now.digest == digest => Ok(now),
                _ => Err(lost("somebody else moved head at the same time")),
            },
        }
    }

    /// Makes a head that names nothing, where nothing at all is recorded yet.
    pub(crate) async fn make_head(&self) -> Result<(), LedgerError> {
        if self.head_file().await?.is_none() {
            self.store.create(&self.layout.head(), &head_bytes(None)).await?;
        }
        Ok(())
    }

    async fn head_file(&self) -> Result<Option<(Option<Head>, Version)>, LedgerError> {
        let key = self.layout.head();
        if let Some((body, version)) = self.get::<HeadBody>(&key, "head").await? {
            return Ok(Some((body.head, version)));
        }
        // Everything that needs a head is made after it.
        let later = self.store.list(&self.layout.snapshots()).await?.into_iter().next();
        let later = match self.store.read(&self.layout.lease()).await? {
            Some(_) => Some(self.layout.lease()),
            None => later,
        };
        match later {
            Some(by) => Err(self.damaged(&key, Check::Missing { by })),
            None => Ok(None),
        }
    }

    fn check_owner(&self, snapshot: &Snapshot) -> Result<(), LedgerError> {
        self.check_stack(&snapshot.stack)?;
        if snapshot.environment == self.environment {
            return Ok(());
        }
        let key = self.layout.snapshot(snapshot.number, &snapshot.digest());
        let rule = format!("it is of the environment `{}`", snapshot.environment);
        Err(self.damaged(&key, Check::Rule(rule)))
    }

    async fn save(&self, snapshot: &Snapshot, digest: &Fingerprint) -> Result<(), LedgerError> {
        let key = self.layout.snapshot(snapshot.number, digest);
        let bytes = sealed::seal("snapshot", FORMAT, snapshot.parent.as_ref(), snapshot, false);
        if let Put::Done(_) = self.store.create(&key, &bytes).await? {
            return Ok(());
        }
        // It was written before, or cut off while it was. Its name says what its content must be.
        match self.store.read(&key).await? {
            Some(found) if self.read_snapshot(&key, &found).is_ok_and(|it| &it.1 == digest) => {
                Ok(())
            }
            Some(found) => match self.store.replace(&key, &bytes, &found.version).await? {
                Put::Done(_) => Ok(()),
                Put::Conflict => Err(lost("somebody else wrote the same snapshot")),
            },
            None => Err(lost("somebody else removed the snapshot")),
        }
    }

    /// Reads a snapshot and checks that it is the one that `by` names.
    pub(crate) async fn load(
        &self,
        number: u64,
        digest: &Fingerprint,
        by: &str,
    ) -> Result<Snapshot, LedgerError> {
        let key = self.layout.snapshot(number, digest);
        let Some(stored) = self.store.read(&key).await? else {
            return Err(self.damaged(&key, Check::Missing { by: by.to_owned() }));
        };
        let (snapshot, found) = self.read_snapshot(&key, &stored)?;
        if &found != digest || snapshot.number != number {
            return Err(self.damaged(&key, Check::Digest { by: by.to_owned() }));
        }
        Ok(snapshot)
    }

    fn read_snapshot(
        &self,
        key: &str,
        stored: &Stored,
    ) -> Result<(Snapshot, Fingerprint), LedgerError> {
        let opened = sealed::opened::<Snapshot>("snapshot", FORMAT, &stored.bytes);
        let (header, snapshot) = opened.map_err(|check| self.damaged(key, check))?;
        if header.parent != snapshot.parent {
            return Err(self.damaged(key, Check::Rule("it names two parents".to_owned())));
        }
        let broken = |it: crate::Broken| self.damaged(key, Check::Rule(it.to_string()));
        snapshot.verify().map_err(broken)?;
        Ok((snapshot, Fingerprint::of_bytes(sealed::body(&stored.bytes))))
    }

    async fn follow_chain(&self, head: &Head, number: u64) -> Result<Snapshot, LedgerError> {
        let mut snapshot = self.load(head.number, &head.digest, "head.json").await?;
        while snapshot.number > number {
            let by = format!("snapshot {}", snapshot.number);
            let Some(parent) = snapshot.parent else { break };
            snapshot = self.load(snapshot.number - 1, &parent, &by).await?;
        }
        Ok(snapshot)
    }

    /// The digests of all snapshot files, by number.
    pub(crate) async fn snapshot_files(
        &self,
    ) -> Result<BTreeMap<u64, Vec<Fingerprint>>, LedgerError> {
        let mut files: BTreeMap<u64, Vec<Fingerprint>> = BTreeMap::new();
        for key in self.store.list(&self.layout.snapshots()).await? {
            if let Some((number, digest)) = layout::snapshot_name(&key) {
                files.entry(number).or_default().push(digest);
            }
        }
        Ok(files)
    }
}

fn head_bytes(head: Option<&Head>) -> Vec<u8> {
    sealed::seal("head", FORMAT, None, &HeadBody { head: head.cloned() }, false)
}

fn lost(why: &str) -> LedgerError {
    LedgerError::Lost(why.to_owned())
}

#[cfg(test)]
mod tests;
