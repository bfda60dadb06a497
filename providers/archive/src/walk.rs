//! A folder, entry by entry, in an order that is always the same.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What is never backed up: hive's own stores and what it runs.
const OWN: [&str; 2] = [".hive", ".hive-run"];

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    File,
    Folder,
    /// A symbolic link, with where it leads.
    Link(PathBuf),
}

/// One entry of a folder.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Relative to the folder; empty for the folder itself.
    pub(crate) path: PathBuf,
    pub(crate) sort: Sort,
    pub(crate) meta: Metadata,
}

impl Entry {
    /// The bits that say who may do what.
    pub(crate) fn mode(&self) -> u32 {
        self.meta.mode() & 0o7777
    }
}

/// Something that cannot be read, with its path.
#[derive(Debug)]
pub(crate) struct Unread {
    pub(crate) path: PathBuf,
    pub(crate) error: io::Error,
}

/// Walks a folder. Folders come before what is in them, and names in order.
pub(crate) struct Walk<'a> {
    root: &'a Path,
    /// Not entered: where the backups themselves go.
    except: Option<PathBuf>,
    /// What is left, last first.
    left: Vec<PathBuf>,
    /// What was left out for being no file, folder or link.
    pub(crate) odd: u64,
}

impl<'a> Walk<'a> {
    /// Of a folder; `except` is a folder that is not entered.
    pub(crate) fn new(root: &'a Path, except: Option<&Path>) -> Self {
        let except = except.and_then(|path| path.canonicalize().ok());
        Self { root, except, left: vec![PathBuf::new()], odd: 0 }
    }

    /// The next entry. What goes away meanwhile was never there.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Unread> {
        while let Some(path) = self.left.pop() {
            let whole = self.root.join(&path);
            match self.look(&path, &whole) {
                Ok(Some(entry)) => return Ok(Some(entry)),
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::NotFound && !self.is_root(&path) => {}
                Err(error) => return Err(Unread { path, error }),
            }
        }
        Ok(None)
    }

    fn is_root(&self, path: &Path) -> bool {
        path.as_os_str().is_empty()
    }

    fn look(&mut self, path: &Path, whole: &Path) -> io::Result<Option<Entry>> {
        // The folder that was named may be a link to one; what is in it is as it is.
        let meta = if self.is_root(path) { whole.metadata()? } else { whole.symlink_metadata()? };
        let kind = meta.file_type();
        let sort = if kind.is_dir() {
            if self.is_left_out(path, whole) {
                return Ok(None);
            }
            let mut names = Vec::new();
            for entry in fs::read_dir(whole)? {
                names.push(entry?.file_name());
            }
            names.sort();
            self.left.extend(names.into_iter().rev().map(|name| path.join(name)));
            Sort::Folder
        } else if self.is_root(path) {
            return Err(io::Error::new(ErrorKind::NotADirectory, "it is no folder"));
        } else if kind.is_symlink() {
            Sort::Link(fs::read_link(whole)?)
        } else if kind.is_file() {
            Sort::File
        } else {
            let is_socket = kind.is_socket();
            self.odd += u64::from(!is_socket);
            return Ok(None);
        };
        Ok(Some(Entry { path: path.to_owned(), sort, meta }))
    }

    fn is_left_out(&self, path: &Path, whole: &Path) -> bool {
        let own = path.file_name().is_some_and(|name| OWN.iter().any(|own| name == *own));
        own || self.except.is_some() && whole.canonicalize().ok() == self.except
    }
}
