//! A store that dies with the hive that uses it.

use hive_contract::Task;
use hive_contract::testing::KillSwitch;
use hive_state::MemoryStore;
use hive_state::store::{Put, Store, StoreError, Stored, Version};

/// A memory store with a boundary before and after every durable write.
pub struct Mortal {
    pub store: MemoryStore,
    pub switch: KillSwitch,
}

impl Mortal {
    async fn around<T>(&self, act: &str, key: &str, write: Task<'_, T>) -> T {
        self.switch.boundary(&format!("before {act} {key}")).await;
        let written = write.await;
        self.switch.boundary(&format!("after {act} {key}")).await;
        written
    }
}

impl Store for Mortal {
    fn describe(&self) -> String {
        self.store.describe()
    }

    fn read<'a>(&'a self, key: &'a str) -> Task<'a, Result<Option<Stored>, StoreError>> {
        self.store.read(key)
    }

    fn create<'a>(&'a self, key: &'a str, bytes: &'a [u8]) -> Task<'a, Result<Put, StoreError>> {
        Box::pin(self.around("create", key, self.store.create(key, bytes)))
    }

    fn replace<'a>(
        &'a self,
        key: &'a str,
        bytes: &'a [u8],
        version: &'a Version,
    ) -> Task<'a, Result<Put, StoreError>> {
        Box::pin(self.around("replace", key, self.store.replace(key, bytes, version)))
    }

    fn remove<'a>(
        &'a self,
        key: &'a str,
        version: &'a Version,
    ) -> Task<'a, Result<Put, StoreError>> {
        Box::pin(self.around("remove", key, self.store.remove(key, version)))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Task<'a, Result<Vec<String>, StoreError>> {
        self.store.list(prefix)
    }

    fn folders<'a>(&'a self, prefix: &'a str) -> Task<'a, Result<Vec<String>, StoreError>> {
        self.store.folders(prefix)
    }

    fn remove_folder<'a>(&'a self, prefix: &'a str) -> Task<'a, Result<(), StoreError>> {
        Box::pin(self.around("remove", prefix, self.store.remove_folder(prefix)))
    }
}
