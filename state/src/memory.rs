//! A store in memory, for tests: it counts, dies at a boundary, and fails when it is told to.

use crate::store::{Put, Store, StoreError, Stored, Version};
use hive_contract::Task;
use hive_contract::testing::KillSwitch;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A store in memory. Clones share what is in it.
#[derive(Clone, Default)]
pub struct MemoryStore {
    inner: Arc<Mutex<Inner>>,
    switch: KillSwitch,
}

#[derive(Default)]
struct Inner {
    files: BTreeMap<String, (u64, Vec<u8>)>,
    versions: u64,
    counts: Counts,
    faults: Vec<Fault>,
}

/// What was asked of the store so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files read.
    pub reads: u64,
    /// Durable writes asked for: each a create, a replace or a remove.
    pub writes: u64,
    /// Of them, those that were done; each costs one sync.
    pub syncs: u64,
    /// Lists.
    pub lists: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The n-th write from now, counted from 1, fails and leaves nothing.
    FailWrite(u64),
    /// The n-th write from now fails, and is there all the same.
    LieAboutWrite(u64),
    /// Every write to a key that contains this fails.
    FailWritesTo(String),
    /// Every write fails for want of space.
    DiskFull,
    /// Reading or listing a key that contains this fails.
    FailReadsOf(String),
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same store, for a process that dies with this switch: it is asked before and after
    /// each write, as `before create dev/head.json` and `after create dev/head.json`.
    #[must_use]
    pub fn with_switch(&self, switch: KillSwitch) -> Self {
        Self { inner: self.inner.clone(), switch }
    }

    /// Makes something go wrong from now on.
    pub fn fault(&self, fault: Fault) {
        let mut inner = self.inner();
        let from = inner.counts.writes;
        inner.faults.push(match fault {
            Fault::FailWrite(nth) => Fault::FailWrite(from + nth),
            Fault::LieAboutWrite(nth) => Fault::LieAboutWrite(from + nth),
            other => other,
        });
    }

    /// Makes nothing go wrong any more.
    pub fn heal(&self) {
        self.inner().faults.clear();
    }

    /// What was asked so far.
    pub fn counts(&self) -> Counts {
        self.inner().counts
    }

    /// All keys, sorted.
    pub fn keys(&self) -> Vec<String> {
        self.inner().files.keys().cloned().collect()
    }

    /// The bytes of a file, seen without counting.
    pub fn peek(&self, key: &str) -> Option<Vec<u8>> {
        self.inner().files.get(key).map(|(_, bytes)| bytes.clone())
    }

    /// Puts bytes behind the back of whoever uses the store.
    pub fn poke(&self, key: &str, bytes: &[u8]) {
        self.inner().put(key, bytes);
    }

    /// Removes a file behind the back of whoever uses the store.
    pub fn lose(&self, key: &str) {
        self.inner().files.remove(key);
    }

    /// A store of its own with the same content.
    #[must_use]
    pub fn copy(&self) -> Self {
        let inner = self.inner();
        let copy =
            Inner { files: inner.files.clone(), versions: inner.versions, ..Inner::default() };
        Self { inner: Arc::new(Mutex::new(copy)), switch: KillSwitch::never() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One durable write, with the boundaries before and after it.
    async fn write(
        &self,
        verb: &'static str,
        key: &str,
        change: impl FnOnce(&mut Inner) -> Put + Send,
    ) -> Result<Put, StoreError> {
        self.switch.boundary(&format!("before {verb} {key}")).await;
        // What `create` and `replace` cannot do is write.
        let act = if verb == "remove" { verb } else { "write" };
        let done = self.inner().change(act, key, change);
        self.switch.boundary(&format!("after {verb} {key}")).await;
        done
    }
}

impl Inner {
    fn change(
        &mut self,
        act: &'static str,
        key: &str,
        change: impl FnOnce(&mut Self) -> Put,
    ) -> Result<Put, StoreError> {
        self.counts.writes += 1;
        let number = self.counts.writes;
        let mut lies = false;
        for fault in &self.faults {
            match fault {
                Fault::FailWrite(nth) if *nth == number => {
                    return Err(error(act, key, "it failed"));
                }
                Fault::LieAboutWrite(nth) if *nth == number => lies = true,
                Fault::FailWritesTo(part) if key.contains(part.as_str()) => {
                    return Err(error(act, key, "permission denied"));
                }
                Fault::DiskFull => return Err(error(act, key, "no space left on the disk")),
                _ => {}
            }
        }
        let put = change(self);
        if let Put::Done(_) = put {
            self.counts.syncs += 1;
        }
        if lies { Err(error(act, key, "it failed")) } else { Ok(put) }
    }

    fn readable(&self, act: &'static str, key: &str) -> Result<(), StoreError> {
        let fails = self
            .faults
            .iter()
            .any(|fault| matches!(fault, Fault::FailReadsOf(part) if key.contains(part.as_str())));
        if fails { Err(error(act, key, "permission denied")) } else { Ok(()) }
    }

    fn put(&mut self, key: &str, bytes: &[u8]) -> Put {
        self.versions += 1;
        self.counts.bytes += bytes.len() as u64;
        self.files.insert(key.to_owned(), (self.versions, bytes.to_vec()));
        Put::Done(Version(self.versions.to_string()))
    }

    fn is(&self, key: &str, version: &Version) -> bool {
        self.files.get(key).is_some_and(|(found, _)| found.to_string() == version.0)
    }
}

impl Store for MemoryStore {
    fn describe(&self) -> String {
        "memory".to_owned()
    }

    fn read<'a>(&'a self, key: &'a str) -> Task<'a, Result<Option<Stored>, StoreError>> {
        Box::pin(async move {
            let mut inner = self.inner();
            inner.counts.reads += 1;
            inner.readable("read", key)?;
            Ok(inner.files.get(key).map(|(version, bytes)| Stored {
                bytes: bytes.clone(),
                version: Version(version.to_string()),
            }))
        })
    }

    fn create<'a>(&'a self, key: &'a str, bytes: &'a [u8]) -> Task<'a, Result<Put, StoreError>> {
        Box::pin(self.write("create", key, move |inner| match inner.files.contains_key(key) {
            true => Put::Conflict,
            false => inner.put(key, bytes),
        }))
    }

    fn replace<'a>(
        &'a self,
        key: &'a str,
        bytes: &'a [u8],
        version: &'a Version,
    ) -> Task<'a, Result<Put, StoreError>> {
        Box::pin(self.write("replace", key, move |inner| match inner.is(key, version) {
            true => inner.put(key, bytes),
            false => Put::Conflict,
        }))
    }

    fn remove<'a>(
        &'a self,
        key: &'a str,
        version: &'a Version,
    ) -> Task<'a, Result<Put, StoreError>> {
        Box::pin(self.write("remove", key, move |inner| match inner.is(key, version) {
            true => {
                inner.files.remove(key);
                Put::Done(version.clone())
            }
            false => Put::Conflict,
        }))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Task<'a, Result<Vec<String>, StoreError>> {
        Box::pin(async move {
            let mut inner = self.inner();
            inner.counts.lists += 1;
            inner.readable("list", prefix)?;
            let from = inner.files.range(prefix.to_owned()..);
            Ok(from
                .map(|(key, _)| key)
                .take_while(|key| key.starts_with(prefix))
                .cloned()
                .collect())
        })
    }

    fn folders<'a>(&'a self, prefix: &'a str) -> Task<'a, Result<Vec<String>, StoreError>> {
        Box::pin(async move {
            let keys = self.list(prefix).await?;
            let below = keys.iter().filter_map(|key| key.strip_prefix(prefix)?.split_once('/'));
            let names: BTreeSet<&str> = below.map(|(name, _)| name).collect();
            Ok(names.into_iter().map(str::to_owned).collect())
        })
    }

    fn remove_folder<'a>(&'a self, prefix: &'a str) -> Task<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let gone = self.write("remove", prefix, move |inner| {
                inner.files.retain(|key, _| !key.starts_with(prefix));
                Put::Done(Version(String::new()))
            });
            gone.await.map(|_| ())
        })
    }
}

fn error(act: &'static str, key: &str, why: &str) -> StoreError {
    let place = "memory".to_owned();
    StoreError { place, act, key: key.to_owned(), why: why.to_owned() }
}
