//! A store in a folder.
//!
//! Every write goes to a hidden file first, is synced, gets its name in one move, and the folder is
//! synced: what has a name is whole. Conditional writes compare under a lock (`.lock`, flock) that
//! the system takes away from a dead process. Opening makes nothing; the first write does.

use crate::store::{Put, Store, StoreError, Stored, Version, is_key, is_part};
use hive_contract::Task;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{self, AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

const LOCK: &str = ".lock";
const TEMPORARY: &str = ".tmp-";
const IGNORE: &str = ".gitignore";
/// How long a conditional write waits for others. A process that was stopped inside one holds the
/// lock for as long as it is stopped, and no hive may hang because of that.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// How often a write is tried again when its folder or its hidden file was swept away beneath it.
const SWEPT: u32 = 5;

/// How deep a sweep goes. Below are folders of one journal each: large, and removed as a whole.
const SWEPT_LEVELS: u32 = 3;

/// A store in a folder.
#[derive(Clone, Debug)]
pub struct FolderStore {
    top: PathBuf,
    lock_wait: Duration,
}

/// Why a step of a write failed.
enum Trouble {
    /// The system says no.
    System(Errno),
    /// What was read is not a plain file.
    NotAFile,
    /// Somebody else holds the lock for too long.
    Locked,
    /// The text is no key.
    Key,
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::System(Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}

impl FolderStore {
    /// The store in this folder, which need not be there yet.
    pub fn open(top: impl Into<PathBuf>) -> Self {
        Self { top: top.into(), lock_wait: LOCK_WAIT }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.top
    }

    fn read_now(&self, key: &str) -> Result<Option<Stored>, Trouble> {
        let (folders, name) = split(key)?;
        let Some(folder) = self.descend(&folders)? else { return Ok(None) };
        read_in(&folder, name)
    }

    fn create_now(&self, key: &str, bytes: &[u8]) -> Result<Put, Trouble> {
        let (folders, name) = split(key)?;
        again_when_swept(|| {
            let folder = self.make(&folders)?;
            if folders.is_empty() {
                self.hide_from_git(&folder)?;
            }
            create_in(&folder, name, bytes)
        })
    }

    fn replace_now(&self, key: &str, bytes: &[u8], version: &Version) -> Result<Put, Trouble> {
        let (folders, name) = split(key)?;
        let Some(_lock) = self.lock()? else { return Ok(Put::Conflict) };
        let Some(folder) = self.descend(&folders)? else { return Ok(Put::Conflict) };
        if read_in(&folder, name)?.is_none_or(|found| &found.version != version) {
            return Ok(Put::Conflict);
        }
        again_when_swept(|| {
            let (temporary, _held, version) = write_temporary(&folder, bytes)?;
            let moved = fs::renameat(&folder, &temporary, &folder, name);
            if let Err(errno) = moved {
                let _ = fs::unlinkat(&folder, &temporary, AtFlags::empty());
                return Err(errno.into());
            }
            fs::fsync(&folder)?;
            Ok(Put::Done(version))
        })
    }

    fn remove_now(&self, key: &str, version: &Version) -> Result<Put, Trouble> {
        let (folders, name) = split(key)?;
        let Some(_lock) = self.lock()? else { return Ok(Put::Conflict) };
        let Some(folder) = self.descend(&folders)? else { return Ok(Put::Conflict) };
        match read_in(&folder, name)? {
            Some(found) if &found.version == version => {}
            _ => return Ok(Put::Conflict),
        }
        fs::unlinkat(&folder, name, AtFlags::empty())?;
        fs::fsync(&folder)?;
        Ok(Put::Done(version.clone()))
    }

    fn list_now(&self, prefix: &str) -> Result<Vec<String>, Trouble> {
        let folders = folders(prefix)?;
        let mut keys = Vec::new();
        if let Some(folder) = self.descend(&folders)? {
            list_in(&folder, prefix, &mut keys)?;
        }
        keys.sort();
        Ok(keys)
    }

    fn folders_now(&self, prefix: &str) -> Result<Vec<String>, Trouble> {
        let Some(folder) = self.descend(&folders(prefix)?)? else { return Ok(Vec::new()) };
        let found = entries(&folder)?.into_iter();
        let mut names: Vec<String> = found
            .filter(|(name, kind)| *kind == FileType::Directory && is_part(name))
            .map(|(name, _)| name)
            .collect();
        names.sort();
        Ok(names)
    }

    fn remove_folder_now(&self, prefix: &str) -> Result<(), Trouble> {
        let mut parents = folders(prefix)?;
        let Some(name) = parents.pop() else { return Err(Trouble::Key) };
        let Some(parent) = self.descend(&parents)? else { return Ok(()) };
        // With its name gone, all of it is gone, however long the removal takes.
        let gone = format!("{TEMPORARY}{}", random_name()?);
        match fs::renameat(&parent, name, &parent, &gone) {
            Err(Errno::NOENT) => return Ok(()),
            moved => moved?,
        }
        fs::fsync(&parent)?;
        sweep(&parent, &gone)
    }

    fn tidy_now(&self) -> Result<(), Trouble> {
        match self.descend(&[])? {
            Some(top) => tidy_in(&top, SWEPT_LEVELS),
            None => Ok(()),
        }
    }

    /// Opens a folder below the top; none where it is not there. Links below the top are refused.
    fn descend(&self, folders: &[&str]) -> Result<Option<OwnedFd>, Trouble> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut at = match fs::open(&self.top, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            opened => opened?,
        };
        for folder in folders {
            at = match open_folder(&at, folder) {
                Err(Errno::NOENT) => return Ok(None),
                opened => opened?,
            };
        }
        Ok(Some(at))
    }

    /// As [`Self::descend`], making what is not there.
    fn make(&self, folders: &[&str]) -> Result<OwnedFd, Trouble> {
        let mut at = match self.descend(&[])? {
            Some(top) => top,
            None => self.make_top()?,
        };
        for folder in folders {
            at = match open_folder(&at, folder) {
                Err(Errno::NOENT) => {
                    make_folder(&at, *folder)?;
                    open_folder(&at, folder)?
                }
                opened => opened?,
            };
        }
        Ok(at)
    }

    fn make_top(&self) -> Result<OwnedFd, Trouble> {
        let parent = match self.top.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(parent)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let above = fs::open(parent, flags, Mode::empty())?;
        let name = self.top.file_name().ok_or(Errno::INVAL)?;
        make_folder(&above, name)?;
        let top = fs::open(&self.top, flags, Mode::empty())?;
        self.hide_from_git(&top)?;
        Ok(top)
    }

    /// Puts a `.gitignore` into a folder that is the store's alone.
    fn hide_from_git(&self, top: &OwnedFd) -> Result<(), Trouble> {
        for entry in Dir::read_from(top)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if ![&b"."[..], b"..", LOCK.as_bytes()].contains(&name) {
                return Ok(());
            }
        }
        create_in(top, IGNORE, b"*\n").map(|_| ())
    }

    /// The lock of conditional writes; none where there is no store yet.
    fn lock(&self) -> Result<Option<OwnedFd>, Trouble> {
        let Some(top) = self.descend(&[])? else { return Ok(None) };
        let lock = open_lock(&top)?;
        let since = Instant::now();
        let (nobody, bell) = (Mutex::new(()), Condvar::new());
        let mut wait = Duration::from_micros(200);
        loop {
            match fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(lock)),
                Err(Errno::WOULDBLOCK | Errno::INTR) if since.elapsed() < self.lock_wait => {}
                Err(Errno::WOULDBLOCK) => return Err(Trouble::Locked),
                Err(errno) => return Err(errno.into()),
            }
            // Nobody rings: this waits without taking a wake-up from whoever runs the future.
            let guard = nobody.lock().unwrap_or_else(PoisonError::into_inner);
            drop(bell.wait_timeout(guard, wait));
            wait = (wait * 2).min(Duration::from_millis(5));
        }
    }

    fn error(&self, act: &'static str, key: &str, trouble: Trouble) -> StoreError {
        let why = match trouble {
            Trouble::System(errno) => explain(errno),
            Trouble::NotAFile => "it is not a plain file".to_owned(),
            Trouble::Locked => {
                format!("another process has held its lock for {:?}", self.lock_wait)
            }
            Trouble::Key => "it is not a name that a store can have".to_owned(),
        };
        StoreError { place: self.describe(), act, key: key.to_owned(), why }
    }
}

impl Store for FolderStore {
    fn describe(&self) -> String {
        self.top.display().to_string()
    }

    fn read<'a>(&'a self, key: &'a str) -> Task<'a, Result<Option<Stored>, StoreError>> {
        Box::pin(async move { self.read_now(key).map_err(|it| self.error("read", key, it)) })
    }

    fn create<'a>(&'a self, key: &'a str, bytes: &'a [u8]) -> Task<'a, Result<Put, StoreError>> {
        Box::pin(
            async move { self.create_now(key, bytes).map_err(|it| self.error("write", key, it)) },
        )
    }

    fn replace<'a>(
        &'a self,
        key: &'a str,
        bytes: &'a [u8],
        version: &'a Version,
    ) -> Task<'a, Result<Put, StoreError>> {
        Box::pin(async move {
            self.replace_now(key, bytes, version).map_err(|it| self.error("write", key, it))
        })
    }

    fn remove<'a>(
        &'a self,
        key: &'a str,
        version: &'a Version,
    ) -> Task<'a, Result<Put, StoreError>> {
        Box::pin(async move {
            self.remove_now(key, version).map_err(|it| self.error("remove", key, it))
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Task<'a, Result<Vec<String>, StoreError>> {
        Box::pin(async move { self.list_now(prefix).map_err(|it| self.error("list", prefix, it)) })
    }

    fn folders<'a>(&'a self, prefix: &'a str) -> Task<'a, Result<Vec<String>, StoreError>> {
        Box::pin(
            async move { self.folders_now(prefix).map_err(|it| self.error("list", prefix, it)) },
        )
    }

    fn remove_folder<'a>(&'a self, prefix: &'a str) -> Task<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.remove_folder_now(prefix).map_err(|it| self.error("remove", prefix, it))
        })
    }

    fn tidy(&self) -> Task<'_, Result<(), StoreError>> {
        Box::pin(async move { self.tidy_now().map_err(|it| self.error("remove", TEMPORARY, it)) })
    }
}

fn split(key: &str) -> Result<(Vec<&str>, &str), Trouble> {
    if !is_key(key) {
        return Err(Trouble::Key);
    }
    let mut parts: Vec<&str> = key.split('/').collect();
    let name = parts.pop().ok_or(Trouble::Key)?;
    Ok((parts, name))
}

fn folders(prefix: &str) -> Result<Vec<&str>, Trouble> {
    match prefix.strip_suffix('/') {
        Some(folders) if is_key(folders) => Ok(folders.split('/').collect()),
        _ if prefix.is_empty() => Ok(Vec::new()),
        _ => Err(Trouble::Key),
    }
}

fn open_folder(at: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(at, name, flags, Mode::empty())
}

/// Opens the lock file, making it where there is none yet.
fn open_lock(top: &OwnedFd) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        match fs::openat(top, LOCK, flags, Mode::empty()) {
            Err(Errno::NOENT) => {}
            opened => return opened,
        }
        let mode = Mode::RUSR | Mode::WUSR;
        match fs::openat(top, LOCK, flags | OFlags::CREATE | OFlags::EXCL, mode) {
            // Somebody else was first.
            Err(Errno::EXIST) => {}
            made => {
                let lock = made?;
                // Whatever the umask.
                fs::fchmod(&lock, mode)?;
                return Ok(lock);
            }
        }
    }
}

/// Makes a folder that only its owner can enter, whatever the umask, and makes its name durable.
fn make_folder(at: &OwnedFd, name: impl rustix::path::Arg + Copy) -> Result<(), Errno> {
    match fs::mkdirat(at, name, Mode::RWXU) {
        // Somebody else was first.
        Err(Errno::EXIST) => return Ok(()),
        made => made?,
    }
    fs::chmodat(at, name, Mode::RWXU, AtFlags::empty())?;
    fs::fsync(at)
}

fn read_in(folder: &OwnedFd, name: &str) -> Result<Option<Stored>, Trouble> {
    // Without NONBLOCK a pipe in the file's place would hang.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = match fs::openat(folder, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        opened => opened?,
    };
    let stat = fs::fstat(&opened)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Trouble::NotAFile);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(stat.st_size).unwrap_or(0) + 1);
    File::from(opened).read_to_end(&mut bytes)?;
    let version = version(&stat, &bytes);
    Ok(Some(Stored { bytes, version }))
}

/// Another one after every write: the file's own identity, its time, and its content, because the
/// first two may come back within one tick of the file system's clock.
fn version(stat: &fs::Stat, bytes: &[u8]) -> Version {
    let mut hash = DefaultHasher::new();
    hash.write(bytes);
    let (inode, seconds, nanos) = (stat.st_ino, stat.st_mtime, stat.st_mtime_nsec);
    Version(format!("{inode:x}-{seconds:x}.{nanos:x}-{:016x}", hash.finish()))
}

fn create_in(folder: &OwnedFd, name: &str, bytes: &[u8]) -> Result<Put, Trouble> {
    match fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => return Ok(Put::Conflict),
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    let (temporary, _held, version) = write_temporary(folder, bytes)?;
    let moved = match fs::renameat_with(folder, &temporary, folder, name, RenameFlags::NOREPLACE) {
        // The file system cannot move without replacing; a second name does the same.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            let linked = fs::linkat(folder, &temporary, folder, name, AtFlags::empty());
            let _ = fs::unlinkat(folder, &temporary, AtFlags::empty());
            linked
        }
        moved => moved,
    };
    match moved {
        Ok(()) => {
            fs::fsync(folder)?;
            Ok(Put::Done(version))
        }
        Err(errno) => {
            let _ = fs::unlinkat(folder, &temporary, AtFlags::empty());
            if errno == Errno::EXIST { Ok(Put::Conflict) } else { Err(errno.into()) }
        }
    }
}

/// Writes and syncs a hidden file. It stays locked as long as the file is held, so that nobody
/// takes it for one that a dead process left.
fn write_temporary(folder: &OwnedFd, bytes: &[u8]) -> Result<(String, File, Version), Trouble> {
    let name = format!("{TEMPORARY}{}", random_name()?);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    let mut file = File::from(fs::openat(folder, &name, flags, mode)?);
    let written = (|| -> Result<Version, Trouble> {
        fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        // Whatever the umask.
        fs::fchmod(&file, mode)?;
        file.write_all(bytes)?;
        fs::fdatasync(&file)?;
        Ok(version(&fs::fstat(&file)?, bytes))
    })();
    match written {
        Ok(version) => Ok((name, file, version)),
        Err(trouble) => {
            let _ = fs::unlinkat(folder, &name, AtFlags::empty());
            Err(trouble)
        }
    }
}

/// A sweeper may take a hidden file between its making and its locking, or an empty folder.
fn again_when_swept<T>(mut write: impl FnMut() -> Result<T, Trouble>) -> Result<T, Trouble> {
    let mut tries = 0;
    loop {
        tries += 1;
        match write() {
            Err(Trouble::System(Errno::NOENT | Errno::WOULDBLOCK)) if tries < SWEPT => {}
            other => return other,
        }
    }
}

fn random_name() -> Result<String, Errno> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|_| Errno::IO)?;
    Ok(format!("{:016x}", u64::from_le_bytes(bytes)))
}

fn list_in(folder: &OwnedFd, prefix: &str, keys: &mut Vec<String>) -> Result<(), Trouble> {
    for (name, kind) in entries(folder)? {
        // Anything else was not written by hive.
        if !is_part(&name) {
            continue;
        }
        if kind == FileType::Directory {
            // One that has just been removed has no keys.
            match open_folder(folder, &name) {
                Err(Errno::NOENT) => {}
                opened => list_in(&opened?, &format!("{prefix}{name}/"), keys)?,
            }
        } else {
            keys.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}

fn entries(folder: &OwnedFd) -> Result<Vec<(String, FileType)>, Errno> {
    let mut found = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if name == "." || name == ".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => match fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                stat => FileType::from_raw_mode(stat?.st_mode),
            },
            known => known,
        };
        found.push((name.to_owned(), kind));
    }
    Ok(found)
}

/// Removes a folder that has lost its name, with all that is in it.
fn sweep(parent: &OwnedFd, name: &str) -> Result<(), Trouble> {
    let folder = open_folder(parent, name)?;
    for (inner, kind) in entries(&folder)? {
        match kind {
            FileType::Directory => sweep(&folder, &inner)?,
            _ => ignore_gone(fs::unlinkat(&folder, &inner, AtFlags::empty()))?,
        }
    }
    ignore_gone(fs::unlinkat(parent, name, AtFlags::REMOVEDIR))?;
    Ok(())
}

fn tidy_in(folder: &OwnedFd, levels: u32) -> Result<(), Trouble> {
    for (name, kind) in entries(folder)? {
        let hidden = name.starts_with(TEMPORARY);
        match kind {
            FileType::Directory if hidden => sweep(folder, &name)?,
            FileType::Directory if levels > 1 => {
                tidy_in(&open_folder(folder, &name)?, levels - 1)?;
            }
            FileType::RegularFile if hidden => tidy_file(folder, &name)?,
            _ => {}
        }
    }
    Ok(())
}

/// Removes a hidden file whose writer is gone: a writer holds a lock on it.
fn tidy_file(folder: &OwnedFd, name: &str) -> Result<(), Trouble> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match fs::openat(folder, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        opened => opened?,
    };
    match fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Ok(()),
        locked => locked?,
    }
    ignore_gone(fs::unlinkat(folder, name, AtFlags::empty()))?;
    Ok(())
}

fn ignore_gone(done: Result<(), Errno>) -> Result<(), Errno> {
    match done {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

/// What the system said, in words.
fn explain(errno: Errno) -> String {
    match errno {
        Errno::ACCESS | Errno::PERM => "permission denied".to_owned(),
        Errno::NOSPC => "no space left on the disk".to_owned(),
        Errno::DQUOT => "the disk quota is used up".to_owned(),
        Errno::ROFS => "the file system is read-only".to_owned(),
        Errno::LOOP => "it is a symbolic link, which hive does not follow".to_owned(),
        Errno::ISDIR => "it is a folder".to_owned(),
        Errno::NOTDIR => "a part of its path is a file or a link, not a folder".to_owned(),
        Errno::NAMETOOLONG => "the name is too long".to_owned(),
        Errno::MFILE | Errno::NFILE => "too many files are open".to_owned(),
        other => std::io::Error::from(other).to_string(),
    }
}

#[cfg(test)]
mod tests;
