//! What services print: where it is kept, how it is turned over, and how it is followed.
//!
//! A service writes into `current.log` itself, so nothing is lost when its keeper dies. When the
//! file is long, its content is copied to `1.log` and the file is emptied; what a service prints
//! between the two may be lost.

use crate::layout::{DIRECTORY, Layout, identity, log_folder};
use hive_contract::value::Fields;
use hive_contract::{Address, Value};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// When a log is turned over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// At this length, in bytes.
    pub bytes: u64,
    /// How many old files are kept.
    pub keep: u32,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { bytes: 10 * 1024 * 1024, keep: 3 }
    }
}

const CURRENT: &str = "current.log";

/// The logs of a service, by replica. `settings` are those of `[platform.process]`.
pub fn paths(
    folder: &Path,
    settings: &Fields,
    environment: &str,
    address: &Address,
) -> Vec<(u32, PathBuf)> {
    paths_of(folder, settings, &identity(environment, &address.to_string()))
}

/// The logs of a service that has kept its first identity, by replica.
pub fn paths_of(folder: &Path, settings: &Fields, identity: &str) -> Vec<(u32, PathBuf)> {
    let directory = settings.get("directory").and_then(Value::as_text).unwrap_or(DIRECTORY);
    let Ok(service) = Layout::new(folder, directory).service(identity) else { return Vec::new() };
    let Ok(entries) = fs::read_dir(&service) else { return Vec::new() };
    let replica = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let mut paths: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| replica(entry.ok()?))
        .map(|replica| (replica, log_folder(&service, replica).join(CURRENT)))
        .filter(|(_, path)| path.exists())
        .collect();
    paths.sort();
    paths
}

/// Turns the log in a folder over when it is long enough.
///
/// # Errors
/// A file cannot be written. Nothing of the log is lost then.
pub(crate) fn rotate(folder: &Path, rotation: Rotation) -> io::Result<()> {
    let path = folder.join(CURRENT);
    if path.metadata()?.len() <= rotation.bytes {
        return Ok(());
    }
    // Two starts of a replica have two keepers for a while.
    let log = OpenOptions::new().read(true).write(true).open(&path)?;
    if flock(&log, FlockOperation::NonBlockingLockExclusive).is_err()
        || log.metadata()?.len() <= rotation.bytes
    {
        return Ok(());
    }
    let old = |number: u32| folder.join(format!("{number}.log"));
    let copy = folder.join(".copy");
    let mut into =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&copy)?;
    io::copy(&mut &log, &mut into)?;
    for number in (1..rotation.keep).rev() {
        match fs::rename(old(number), old(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(&copy, old(1))?;
    log.set_len(0)
}

/// How long the log in a folder is.
pub(crate) fn length(folder: &Path) -> u64 {
    folder.join(CURRENT).metadata().map(|it| it.len()).unwrap_or_default()
}

/// The last lines of the log in a folder, of what was written from an offset on.
pub(crate) fn last_lines(folder: &Path, from: u64, count: usize) -> Vec<String> {
    /// More than this is no line that a person reads.
    const READ: u64 = 64 * 1024;
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(folder.join(CURRENT))?;
        let length = file.metadata()?.len();
        // Turned over meanwhile: all that is there is newer.
        let from = if from > length { 0 } else { from };
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(READ))))?;
        let mut bytes = Vec::new();
        file.take(READ).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = String::from_utf8_lossy(&read().unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|it| (*it).to_owned()).collect()
}

/// Follows one log, also when it is turned over.
pub struct Tail {
    path: PathBuf,
    /// What was read and not given yet.
    ready: Vec<u8>,
    /// How much of the file was read.
    offset: u64,
    /// Which file the newest copy was.
    copy: Option<u64>,
}

impl Tail {
    /// Begins so that the next [`Self::read`] gives the last `lines` lines; all of it for none.
    ///
    /// # Errors
    /// The log cannot be read. One that is not there yet is an empty one.
    pub fn open(path: &Path, lines: Option<usize>) -> io::Result<Self> {
        let mut tail = Self { path: path.to_owned(), ready: Vec::new(), offset: 0, copy: None };
        tail.copy = tail.newest_copy();
        let bytes = tail.read()?;
        let from = lines.map_or(0, |lines| start_of(&bytes, lines));
        tail.ready = bytes[from..].to_vec();
        Ok(tail)
    }

    /// What was printed since the last time.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = std::mem::take(&mut self.ready);
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(bytes),
            Err(error) => return Err(error),
        };
        // A log is not turned over while it is read, nor read while it is turned over.
        flock(&file, FlockOperation::LockShared)?;
        let copy = self.newest_copy();
        if copy != self.copy || file.metadata()?.len() < self.offset {
            // Turned over: what was not read yet stands in the copy, at the same place.
            if let Ok(mut old) = File::open(self.path.with_file_name("1.log")) {
                old.seek(SeekFrom::Start(self.offset))?;
                old.read_to_end(&mut bytes)?;
            }
            self.copy = copy;
            self.offset = 0;
        }
        file.seek(SeekFrom::Start(self.offset))?;
        self.offset += file.read_to_end(&mut bytes)? as u64;
        Ok(bytes)
    }

    fn newest_copy(&self) -> Option<u64> {
        self.path.with_file_name("1.log").metadata().ok().map(|it| it.ino())
    }
}

/// Where the last lines begin.
fn start_of(bytes: &[u8], lines: usize) -> usize {
    let ended = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut breaks = ended.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    match lines.checked_sub(1) {
        None => bytes.len(),
        Some(before) => breaks.nth(before).map_or(0, |(at, _)| at + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn appending(folder: &Path) -> File {
        let path = folder.join(CURRENT);
        OpenOptions::new().append(true).create(true).open(path).expect("opens")
    }

    #[test]
    fn a_long_log_is_turned_over_and_followed_through_it() {
        let folder = tempfile::tempdir().expect("folder");
        let rotation = Rotation { bytes: 10, keep: 2 };
        let mut log = appending(folder.path());
        log.write_all(b"one\ntwo\n").expect("writes");
        rotate(folder.path(), rotation).expect("looks");
        assert_eq!(length(folder.path()), 8);

        let mut tail = Tail::open(&folder.path().join(CURRENT), Some(1)).expect("opens");
        assert_eq!(tail.read().expect("reads"), b"two\n");
        log.write_all(b"three\n").expect("writes");
        rotate(folder.path(), rotation).expect("turns");
        assert_eq!(length(folder.path()), 0);
        log.write_all(b"four\n").expect("writes at the new end");
        assert_eq!(tail.read().expect("reads"), b"three\nfour\n");
        assert_eq!(tail.read().expect("reads"), b"");

        for _ in 0..3 {
            log.write_all(b"long enough\n").expect("writes");
            rotate(folder.path(), rotation).expect("turns");
        }
        let names = crate::private::names(folder.path()).expect("reads");
        assert_eq!(names, ["1.log", "2.log", "current.log"]);
    }

    #[test]
    fn the_last_lines_are_those_of_this_start() {
        let folder = tempfile::tempdir().expect("folder");
        let mut log = appending(folder.path());
        log.write_all(b"old\n").expect("writes");
        let from = length(folder.path());
        log.write_all(b"a\nb\nc\n").expect("writes");
        assert_eq!(last_lines(folder.path(), from, 2), ["b", "c"]);
        assert_eq!(last_lines(folder.path(), from, 9), ["a", "b", "c"]);
        assert_eq!(last_lines(folder.path(), 1_000, 9), ["old", "a", "b", "c"]);
    }

    #[test]
    fn lines_are_counted_from_the_end() {
        assert_eq!(start_of(b"a\nb\nc\n", 2), 2);
        assert_eq!(start_of(b"a\nb\nc", 1), 4);
        assert_eq!(start_of(b"a\nb\n", 7), 0);
        assert_eq!(start_of(b"a\nb\n", 0), 4);
    }
}
