//! Making renames durable, many at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Syncs folders for parallel steps: a step whose rename was done before another step's sync began
/// needs no sync of its own.
#[derive(Default)]
pub struct FolderSync {
    folders: Mutex<BTreeMap<PathBuf, Arc<Turn>>>,
}

#[derive(Default)]
struct Turn {
    /// How many have asked.
    asked: AtomicU64,
    /// How many of them are served.
    served: Mutex<u64>,
}

impl FolderSync {
    /// Returns when everything renamed in `folder` before the call is durable.
    ///
    /// # Errors
    /// The folder cannot be synced.
    pub fn sync(&self, folder: &Path) -> std::io::Result<()> {
        let turn = {
            let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(folders.entry(folder.to_owned()).or_default())
        };
        let mine = turn.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut served = turn.served.lock().unwrap_or_else(PoisonError::into_inner);
        if *served >= mine {
            return Ok(());
        }
        let now = turn.asked.load(Ordering::SeqCst);
        std::fs::File::open(folder)?.sync_all()?;
        *served = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_synced_and_a_missing_one_is_an_error() {
        let folder = tempfile::tempdir().expect("folder");
        let sync = FolderSync::default();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| sync.sync(folder.path()).expect("syncs"));
            }
        });
        let gone = folder.path().join("gone");
        assert!(sync.sync(&gone).is_err());
        assert!(sync.sync(&gone).is_err(), "a sync that failed served nobody");
    }
}
