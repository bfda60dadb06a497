//! Files and folders that only their owner may read, each written whole or not at all.

use hive_contract::{Failure, FailureKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Makes a folder and those above it.
pub(crate) fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file by a temporary one beside it: whole or not at all, unless the machine fails.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary(path, bytes, false)?;
    moved(&temporary, path)
}

/// [`write()`] that also outlives the machine's failure.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary(path, bytes, true)?;
    moved(&temporary, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

fn moved(temporary: &Path, path: &Path) -> io::Result<()> {
    let moved = fs::rename(temporary, path);
    if moved.is_err() {
        let _ = fs::remove_file(temporary);
    }
    moved
}

/// Writes a file that must not be there yet. False when it is.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let temporary = temporary(path, bytes, false)?;
    let linked = fs::hard_link(&temporary, path);
    let _ = fs::remove_file(&temporary);
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn temporary(path: &Path, bytes: &[u8], durable: bool) -> io::Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_file_name(format!(".{name}.{}.{number}", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(bytes)?;
        if durable { file.sync_all() } else { Ok(()) }
    })();
    match written {
        Ok(()) => Ok(temporary),
        Err(error) => {
            let _ = fs::remove_file(&temporary);
            Err(error)
        }
    }
}

/// [`write()`] of JSON.
pub(crate) fn write_json<T: Serialize>(path: &Path, content: &T) -> io::Result<()> {
    write(path, &serde_json::to_vec_pretty(content)?)
}

/// Reads JSON; none where there is no file.
///
/// # Errors
/// It cannot be read, or is not what it should be. Never taken for "nothing is there".
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Failure> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unread(path, &error)),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        Failure::new(FailureKind::Malformed, format!("`{}` is damaged: {error}", path.display()))
            .diagnosis("remove the file, and hive reads what it can from the processes themselves")
    })
}

/// The names in a folder, sorted; none where there is no folder.
///
/// # Errors
/// It cannot be read.
pub(crate) fn names(path: &Path) -> Result<Vec<String>, Failure> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unread(path, &error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| unread(path, &error))?;
        names.extend(entry.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// A failure to read a path.
pub(crate) fn unread(path: &Path, error: &io::Error) -> Failure {
    Failure::new(kind(error), format!("cannot read `{}`: {error}", path.display()))
}

/// A failure to write a path.
pub(crate) fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::new(kind(error), format!("cannot write `{}`: {error}", path.display()))
}

fn kind(error: &io::Error) -> FailureKind {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            FailureKind::Forbidden
        }
        _ => FailureKind::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_are_private_whole_and_created_once() {
        let top = tempfile::tempdir().expect("folder");
        let below = top.path().join("a/b");
        folder(&below).expect("makes");
        let mode = |path: &Path| path.metadata().expect("is there").permissions().mode() & 0o777;
        assert_eq!(mode(&below), 0o700);
        let path = below.join("x.json");
        write_json(&path, &1).expect("writes");
        write_json(&path, &2).expect("writes again");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(read_json::<u32>(&path), Ok(Some(2)));
        assert!(!create(&path, b"3").expect("looks"));
        assert!(create(&below.join("y"), b"3").expect("creates"));
        assert_eq!(names(&below), Ok(vec!["x.json".to_owned(), "y".to_owned()]));
    }

    #[test]
    fn a_damaged_file_is_not_an_absent_one() {
        let top = tempfile::tempdir().expect("folder");
        let path = top.path().join("x.json");
        assert_eq!(read_json::<u32>(&path), Ok(None));
        fs::write(&path, "").expect("writes");
        let failure = read_json::<u32>(&path).expect_err("damaged");
        assert_eq!(failure.kind, FailureKind::Malformed);
        assert!(failure.message.contains("x.json` is damaged"), "{failure}");
    }
}
