#![doc = include_str!("../README.md")]

mod claim;
mod sync;

pub use claim::{Claim, Claims, Refused};
pub use sync::FolderSync;

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// Makes a folder that git leaves alone, by a note in it.
///
/// # Errors
/// It cannot be made.
pub fn make_unversioned(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    match fs::OpenOptions::new().write(true).create_new(true).open(folder.join(".gitignore")) {
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

fn make_parent(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), fs::create_dir_all)
}

/// Whether anything is there, a broken link included.
pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
