//! A store whose writes take their time, as one behind a network does: whatever is sent off before
//! a write has ended is ahead of it.

use hive_contract::Task;
use hive_state::memory::MemoryStore;
use hive_state::{Put, Store, StoreError, Stored, Version};
use std::time::Duration;

/// How long a write takes.
const WRITE: Duration = Duration::from_millis(5);

pub(super) struct Slow(pub(super) MemoryStore);

impl Slow {
    fn later<'a, T: Send + 'a>(&'a self, write: Task<'a, T>) -> Task<'a, T> {
        Box::pin(async move {
            tokio::time::sleep(WRITE).await;
            write.await
        })
    }
}

impl Store for Slow {
    fn describe(&self) -> String {
        self.0.describe()
    }

    fn read<'a>(&'a self, key: &'a str) -> Task<'a, Result<Option<Stored>, StoreError>> {
        self.0.read(key)
    }

    fn create<'a>(&'a self, key: &'a str, bytes: &'a [u8]) -> Task<'a, Result<Put, StoreError>> {
        self.later(self.0.create(key, bytes))
    }

    fn replace<'a>(
        &'a self,
        key: &'a str,
        bytes: &'a [u8],
        version: &'a Version,
    ) -> Task<'a, Result<Put, StoreError>> {
        self.later(self.0.replace(key, bytes, version))
    }

    fn remove<'a>(
        &'a self,
        key: &'a str,
        version: &'a Version,
    ) -> Task<'a, Result<Put, StoreError>> {
        self.later(self.0.remove(key, version))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Task<'a, Result<Vec<String>, StoreError>> {
        self.0.list(prefix)
    }

    fn folders<'a>(&'a self, prefix: &'a str) -> Task<'a, Result<Vec<String>, StoreError>> {
        self.0.folders(prefix)
    }

    fn remove_folder<'a>(&'a self, prefix: &'a str) -> Task<'a, Result<(), StoreError>> {
        self.later(self.0.remove_folder(prefix))
    }
}
