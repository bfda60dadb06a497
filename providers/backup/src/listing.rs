//! What backups there are.

use crate::id::{BackupId, now_ms};
use crate::publish::{ALARM, BEHIND_MS, DATA, MANIFEST};
use crate::repository::Repository;
use hive_contract::{Failure, FailureKind, Mark, Token};
use hive_objects::{Entry, Put};
use hive_sql::manifest::{Depth, Manifest, Verified};
use hive_sql::retention::Kept;
use std::collections::{BTreeMap, VecDeque};
use tokio::task::JoinSet;

/// No manifest is longer.
const LIMIT: u64 = 64 << 20;
/// How many objects are read at once.
const AT_ONCE: usize = 8;
/// What the keys of verify results begin with.
const VERIFIED: &str = "verified-";

/// All backups of a place.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Those with a manifest, newest last.
    pub backups: Vec<Held>,
    /// Those whose manifest cannot be used, by id, each with why. They are there all the same.
    pub damaged: BTreeMap<BackupId, String>,
    /// What tries that never got to their manifest have left, by id.
    pub garbage: BTreeMap<BackupId, Vec<Entry>>,
}

/// One backup.
#[derive(Clone, Debug)]
pub struct Held {
    /// Its id.
    pub id: BackupId,
    /// What it says of itself.
    pub manifest: Manifest,
    /// The looks that were taken at it, in order.
    pub verified: Vec<Verified>,
    /// What is missing or has another size, each a lower-case fragment.
    pub wrong: Vec<String>,
}

impl Held {
    /// The last successful restore of it, where the last one was successful.
    pub fn proof(&self) -> Option<&Verified> {
        let restored = |it: &&Verified| it.depth == Depth::Restored;
        self.verified.iter().rev().find(restored).filter(|it| it.ok)
    }

    /// Whether it counts: all there, not shrunk, and no look at it found something wrong.
    pub fn is_good(&self) -> bool {
        self.wrong.is_empty()
            && !self.manifest.notes.contains_key(ALARM)
            && self.verified.last().is_none_or(|it| it.ok)
    }

    /// What retention knows of it.
    pub fn kept(&self) -> Kept {
        Kept {
            id: self.id.to_string(),
            finished_ms: self.manifest.finished_ms,
            verified: self.wrong.is_empty() && self.proof().is_some(),
            whole: self.wrong.is_empty(),
            shrunk: self.manifest.notes.contains_key(ALARM),
        }
    }
}

impl Listing {
    /// The manifests, for comparison.
    pub fn manifests(&self) -> Vec<Manifest> {
        self.backups.iter().map(|it| it.manifest.clone()).collect()
    }

    /// One backup by its id.
    pub fn get(&self, id: &str) -> Option<&Held> {
        self.backups.iter().find(|it| it.id.as_str() == id)
    }

    /// The newest backup that counts. One of the future, of a clock that was wrong, is the newest only
    /// where there is no other.
    pub fn newest_good(&self) -> Option<&Held> {
        let now_ms = now_ms() + BEHIND_MS;
        let good = || self.backups.iter().rev().filter(|it| it.is_good());
        good().find(|it| it.manifest.finished_ms <= now_ms).or_else(|| good().next())
    }
}

impl Repository {
    /// All backups. A manifest that is damaged, foreign or of a newer hive is named and never taken
    /// for absence. With `mark`, those of other stacks are foreign; those that the same stack made
    /// under another address, or in a store that was lost, are not.
    ///
    /// # Errors
    /// The place cannot be read.
    pub async fn list(&self, mark: Option<&Mark>) -> Result<Listing, Failure> {
        let mut by_id: BTreeMap<BackupId, Vec<Entry>> = BTreeMap::new();
        for entry in self.objects.list("").await? {
            if let Some(id) = entry.key.split_once('/').and_then(|(id, _)| BackupId::parse(id)) {
                by_id.entry(id).or_default().push(entry);
            }
        }
        let mut wanted: VecDeque<String> = VecDeque::new();
        for (id, entries) in &by_id {
            let listed = entries.iter().any(|it| it.key == id.key(MANIFEST));
            let read = |key: &str| key == id.key(MANIFEST) || key.starts_with(&id.key(VERIFIED));
            wanted.extend(
                entries.iter().filter(|it| listed && read(&it.key)).map(|it| it.key.clone()),
            );
        }
        let mut contents = self.read_all(wanted).await?;
        let mut listing = Listing::default();
        for (id, entries) in by_id {
            let Some(read) = contents.remove(&id.key(MANIFEST)) else {
                // Without one among its entries; one that went away since is being pruned.
                listing.garbage.insert(id, entries);
                continue;
            };
            let manifest = read.and_then(|bytes| parse(&id, mark, &bytes));
            let results = entries.iter().filter_map(|it| contents.remove(&it.key));
            let (verified, unread) = results_of(results);
            match manifest {
                Err(why) => {
                    listing.damaged.insert(id, why);
                }
                Ok(manifest) => {
                    let left = strays(&id, &manifest, &entries);
                    if !left.is_empty() {
                        listing.garbage.insert(id.clone(), left);
                    }
                    let mut wrong = missing(&id, &manifest, &entries);
                    wrong.extend(unread);
                    listing.backups.push(Held { id, manifest, verified, wrong });
                }
            }
        }
        listing
            .backups
            .sort_by(|a, b| (a.manifest.finished_ms, &a.id).cmp(&(b.manifest.finished_ms, &b.id)));
        Ok(listing)
    }

    /// The backup that a step has published; none where it has not.
    ///
    /// # Errors
    /// The place cannot be read, or a manifest that may be the step's is damaged.
    pub async fn find_by_token(&self, token: &Token) -> Result<Option<Manifest>, Failure> {
        let mut found = None;
        for entry in self.objects.list("").await? {
            let Some((id, name)) = entry.key.split_once('/') else { continue };
            let Some(id) = BackupId::parse(id).filter(|it| it.may_be_of(token)) else { continue };
            if name != MANIFEST {
                continue;
            }
            let Some(content) = self.objects.get(&entry.key, LIMIT).await? else { continue };
            let manifest = parse(&id, None, &content.bytes).map_err(|why| {
                Failure::new(FailureKind::Malformed, format!("{id} at {}: {why}", self.shown()))
            })?;
            if manifest.token == token.as_str() {
                found = Some(manifest);
            }
        }
        Ok(found)
    }

    /// Reads one manifest by its id.
    ///
    /// # Errors
    /// There is none, which names the id, or it is damaged.
    pub async fn manifest(&self, id: &str) -> Result<Manifest, Failure> {
        let missing = || {
            let message = format!("there is no backup `{id}` at {}", self.shown());
            Failure::new(FailureKind::Invalid, message)
        };
        let id = BackupId::parse(id).ok_or_else(missing)?;
        let content = self.objects.get(&id.key(MANIFEST), LIMIT).await?.ok_or_else(missing)?;
        parse(&id, None, &content.bytes).map_err(|why| {
            Failure::new(FailureKind::Malformed, format!("{id} at {}: {why}", self.shown()))
        })
    }

    /// Records the outcome of one look at a backup, as an object of its own.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn record_verified(&self, result: &Verified) -> Result<(), Failure> {
        let malformed = |why: String| Failure::new(FailureKind::Malformed, why);
        let id = BackupId::parse(&result.id)
            .ok_or_else(|| malformed(format!("`{}` is no backup's id", result.id)))?;
        let bytes = serde_json::to_vec_pretty(result)
            .map_err(|error| malformed(format!("no result can be written: {error}")))?;
        let taken = self.objects.list(&id.key(VERIFIED)).await?;
        for number in taken.len() + 1..taken.len() + 1000 {
            // Numbers sort as text.
            let key = id.key(&format!("{VERIFIED}{number:06}.json"));
            if self.objects.put_new(&key, &bytes).await? == Put::Made {
                return Ok(());
            }
        }
        Err(malformed(format!("there is no number left for another result of {id}")))
    }

    /// The look that a step has recorded; none where it has not.
    ///
    /// # Errors
    /// The place cannot be read.
    pub async fn find_verified(&self, token: &Token) -> Result<Option<Verified>, Failure> {
        let listing = self.list(None).await?;
        let all = listing.backups.into_iter().flat_map(|it| it.verified);
        let mut ours = all.filter(|it| it.token == token.as_str());
        Ok(ours.next())
    }

    /// Many small objects at once; what cannot be read is an error in words.
    async fn read_all(
        &self,
        mut wanted: VecDeque<String>,
    ) -> Result<BTreeMap<String, Result<Vec<u8>, String>>, Failure> {
        let mut reading = JoinSet::new();
        let mut read = BTreeMap::new();
        loop {
            while reading.len() < AT_ONCE
                && let Some(key) = wanted.pop_front()
            {
                let objects = self.objects.clone();
                reading.spawn(async move {
                    let content = objects.get(&key, LIMIT).await;
                    (key, content)
                });
            }
            let Some(done) = reading.join_next().await else { return Ok(read) };
            let (key, content) = done.map_err(|error| {
                Failure::new(FailureKind::Malformed, format!("listing broke off: {error}"))
            })?;
            match content {
                Ok(Some(content)) => read.insert(key, Ok(content.bytes)),
                // Pruned beside us.
                Ok(None) => None,
                Err(failure) if failure.kind == FailureKind::Malformed => {
                    read.insert(key, Err(failure.message))
                }
                Err(failure) => return Err(failure),
            };
        }
    }
}

fn parse(id: &BackupId, mark: Option<&Mark>, bytes: &[u8]) -> Result<Manifest, String> {
    let manifest = Manifest::from_json(bytes).map_err(|error| error.to_string())?;
    if manifest.id != id.as_str() {
        return Err(format!("its manifest is of another backup, {}", manifest.id));
    }
    match mark {
        Some(mark) if manifest.mark.owner.stack != mark.owner.stack => {
            Err(format!("it is somebody else's: {}", manifest.mark))
        }
        _ => Ok(manifest),
    }
}

/// The results in order, and what is wrong with those that are none.
fn results_of(read: impl Iterator<Item = Result<Vec<u8>, String>>) -> (Vec<Verified>, Vec<String>) {
    let mut results = Vec::new();
    let mut wrong = Vec::new();
    for bytes in read {
        let parsed = bytes.and_then(|bytes| {
            serde_json::from_slice::<Verified>(&bytes).map_err(|error| error.to_string())
        });
        match parsed {
            Ok(result) => results.push(result),
            Err(why) => wrong.push(format!("a verify result is damaged: {why}")),
        }
    }
    (results, wrong)
}

/// Data that the manifest does not name: of a try that another one overtook.
fn strays(id: &BackupId, manifest: &Manifest, entries: &[Entry]) -> Vec<Entry> {
    let stray = |it: &&Entry| {
        let named = manifest.objects.iter().any(|object| it.key == id.key(&object.key));
        it.key.starts_with(&id.key(DATA)) && !named
    };
    entries.iter().filter(stray).cloned().collect()
}

fn missing(id: &BackupId, manifest: &Manifest, entries: &[Entry]) -> Vec<String> {
    let wrong = manifest.objects.iter().filter_map(|object| {
        let key = id.key(&object.key);
        match entries.iter().find(|it| it.key == key) {
            None => Some(format!("`{key}` is gone")),
            Some(entry) if entry.size != object.stored => {
                Some(format!("`{key}` has {} bytes of {}", entry.size, object.stored))
            }
            Some(_) => None,
        }
    });
    wrong.collect()
}
