//! Places that are gone when they are not needed any more.

use crate::lay;
use hive_contract::Failure;
use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Where proofs are made, below the stack's folder.
const BASE: &str = ".hive-run/_archive";

/// A folder for one try of one step. A try that died has left one; the next takes it away.
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes the folder, empty.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn new(stack: &Path, token: &str) -> Result<Self, Failure> {
        let base = stack.join(BASE);
        let path = base.join(format!("{token}-{}", this_try()));
        let made = (|| -> io::Result<()> {
            let run = base.parent().unwrap_or(&base);
            hive_objects::make_unversioned(run)?;
            hive_objects::make_unversioned(&base)?;
            lay::clear_all(&base, OsStr::new(token))?;
            DirBuilder::new().mode(0o700).create(&path)
        })();
        match made {
            Ok(()) => Ok(Self { path }),
            Err(error) => Err(hive_objects::failure("make", &format!("{BASE}/{token}"), &error)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be taken away now is taken away by the same step, or by a person.
        let _ = lay::clear(&self.path);
    }
}

/// A name that no other try has: one that was cut off may still be writing.
pub(crate) fn this_try() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
