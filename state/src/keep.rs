//! What is kept by content: plans and blobs.

use crate::layout;
use crate::ledger::{Ledger, LedgerError};
use crate::sealed::Check;
use crate::store::Put;
use hive_contract::Fingerprint;

impl Ledger {
    /// Keeps the file of a plan under the plan's digest.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn save_plan(&self, digest: &Fingerprint, bytes: &[u8]) -> Result<(), LedgerError> {
        self.init().await?;
        self.keep(&self.layout.plan(digest), bytes).await
    }

    /// The file of a kept plan as it stands, for the plan's own reader to check; none where there
    /// is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn plan(&self, digest: &Fingerprint) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(self.store.read(&self.layout.plan(digest)).await?.map(|stored| stored.bytes))
    }

    /// The digests of all kept plans, sorted.
    ///
    /// # Errors
    /// They cannot be listed.
    pub async fn plans(&self) -> Result<Vec<Fingerprint>, LedgerError> {
        let keys = self.store.list(&self.layout.plans()).await?;
        Ok(keys.iter().filter_map(|key| layout::digest(key)).collect())
    }

    /// Keeps bytes under their digest.
    ///
    /// # Errors
    /// They cannot be written.
    pub async fn save_blob(&self, bytes: &[u8]) -> Result<Fingerprint, LedgerError> {
        self.init().await?;
        let digest = Fingerprint::of_bytes(bytes);
        self.keep(&self.layout.blob(&digest), bytes).await?;
        Ok(digest)
    }

    /// The bytes kept under a digest; none where there are none.
    ///
    /// # Errors
    /// They cannot be read, or are not what was kept.
    pub async fn blob(&self, digest: &Fingerprint) -> Result<Option<Vec<u8>>, LedgerError> {
        let key = self.layout.blob(digest);
        let Some(stored) = self.store.read(&key).await? else { return Ok(None) };
        if &Fingerprint::of_bytes(&stored.bytes) != digest {
            return Err(self.damaged(&key, Check::Digest { by: "its own name".to_owned() }));
        }
        Ok(Some(stored.bytes))
    }

    /// Makes a file whose name says what is in it, or makes one right that is not that.
    pub(crate) async fn keep(&self, key: &str, bytes: &[u8]) -> Result<(), LedgerError> {
        loop {
            if let Put::Done(_) = self.store.create(key, bytes).await? {
                return Ok(());
            }
            let Some(found) = self.store.read(key).await? else { continue };
            if found.bytes == bytes {
                return Ok(());
            }
            if let Put::Done(_) = self.store.replace(key, bytes, &found.version).await? {
                return Ok(());
            }
        }
    }
}
