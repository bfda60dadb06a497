#![doc = include_str!("../README.md")]

mod claim;
mod folder;
mod location;
mod open;
mod pieces;
mod s3;
mod store;
mod sync;

pub use claim::{Claim, Claims, Renames};
pub use folder::Folder;
pub use location::{Location, S3Keys, S3Settings, check_key};
pub use open::{Opened, open};
pub use pieces::Pieces;
pub use s3::Bucket;
pub use store::{Content, Entry, ObjectReader, Objects, Put};
pub use sync::FolderSync;

use hive_contract::{Failure, FailureKind};
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes a private folder that git leaves alone, by a note in it.
///
/// # Errors
/// It cannot be made.
pub fn make_unversioned(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    match fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(folder.join(".gitignore"))
    {
        Ok(mut note) => note.write_all(b"*\n"),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Renames, making the target's folder where it is missing.
///
/// # Errors
/// What the system says.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make_parent(to)?;
            fs::rename(from, to)
        }
        done => done,
    }
}

/// Renames to where nothing is.
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system without that flag: a hard link fails as well where something is.
        Err(Errno::INVAL | Errno::NOSYS) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        other => Ok(other?),
    }
}

fn make_parent(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), fs::create_dir_all)
}

/// Whether anything is there, a broken link included.
pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// What a refused file call is to a step. `shown` is the path as a person would name it.
pub fn failure(verb: &str, shown: &str, error: &io::Error) -> Failure {
    let kind = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => FailureKind::Forbidden,
        ErrorKind::NotADirectory | ErrorKind::IsADirectory => FailureKind::Malformed,
        ErrorKind::InvalidFilename | ErrorKind::CrossesDevices => FailureKind::Invalid,
        _ => FailureKind::Unavailable,
    };
    let failure = Failure::new(kind, format!("cannot {verb} `{shown}`: {error}"));
    if kind == FailureKind::Unavailable { failure.retryable() } else { failure }
}

/// This machine's own identity: files of two machines are two places.
pub fn machine_id() -> String {
    let first_line = |path| {
        let text = fs::read_to_string(path).unwrap_or_default();
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    first_line("/etc/machine-id")
        .or_else(|| first_line("/proc/sys/kernel/hostname"))
        .unwrap_or_else(|| "this machine".to_owned())
}
