//! What SQLite's errors are to a step, and who stands in the way.

use crate::site::{Site, siblings};
use hive_contract::{Failure, FailureKind};
use rusqlite::{Error, ErrorCode};
use rustix::fs::Access;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A failure of a call about a database. `verb` completes `cannot … the database`.
pub(crate) fn trouble(site: &Site, verb: &str, error: &Error) -> Failure {
    let shown = &site.shown;
    let said = words(error);
    let (kind, message) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            return locked(site, verb);
        }
        Some(ErrorCode::NotADatabase) => (
            FailureKind::Malformed,
            format!("`{shown}` is no SQLite database, or is encrypted: {said}"),
        ),
        Some(ErrorCode::DatabaseCorrupt) => {
            (FailureKind::Malformed, format!("`{shown}` is damaged: {said}"))
        }
        Some(
            ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly
            | ErrorCode::AuthorizationForStatementDenied,
        ) => (FailureKind::Forbidden, format!("cannot {verb} `{shown}`: {said}")),
        Some(ErrorCode::CannotOpen) => return cannot_open(site, verb, &said),
        Some(ErrorCode::DiskFull) => (
            FailureKind::Unavailable,
            format!("cannot {verb} `{shown}`: the disk is full; nothing was changed"),
        ),
        Some(ErrorCode::SystemIoFailure) => {
            (FailureKind::Unavailable, format!("cannot {verb} `{shown}`: {said}"))
        }
        Some(ErrorCode::OperationInterrupted) => (
            FailureKind::TimedOut,
            format!("cannot {verb} `{shown}`: the deadline passed; nothing was changed"),
        ),
        _ => (FailureKind::Invalid, format!("cannot {verb} `{shown}`: {said}")),
    };
    let failure = Failure::new(kind, message);
    match kind {
        FailureKind::Unavailable => failure.retryable(),
        _ => failure,
    }
}

/// Somebody else holds the lock that a verb needs.
pub(crate) fn locked(site: &Site, verb: &str) -> Failure {
    let message = match holders(&site.path).as_slice() {
        [] => format!("cannot {verb} `{}`: somebody else holds its lock", site.shown),
        held => format!("cannot {verb} `{}`: {} holds its lock", site.shown, held.join(" and ")),
    };
    Failure::new(FailureKind::Taken, message).retryable()
}

/// SQLite says only that it cannot open a file; the system says why.
fn cannot_open(site: &Site, verb: &str, said: &str) -> Failure {
    // Asked without opening it: closing it would let go of this process's own locks on it.
    match rustix::fs::access(&site.path, Access::READ_OK | Access::WRITE_OK) {
        Err(errno) => hive_objects::failure(verb, &site.shown, &errno.into()),
        Ok(()) => {
            let message = format!("cannot {verb} `{}`: {said}", site.shown);
            Failure::new(FailureKind::Forbidden, message)
                .diagnosis("SQLite needs to write in the folder of the database as well")
        }
    }
}

/// What SQLite says, without the codes around it.
pub(crate) fn words(error: &Error) -> String {
    match error {
        Error::SqliteFailure(code, Some(message)) if !message.is_empty() => {
            let _ = code;
            message.clone()
        }
        Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}

/// The processes that hold a lock on a database, each as `sqlite3 (process 4711)`, where the
/// system tells.
pub(crate) fn holders(path: &Path) -> Vec<String> {
    let mut files: Vec<(u64, u64)> = Vec::new();
    for file in std::iter::once(path.to_owned()).chain(siblings(path)) {
        files.extend(fs::metadata(file).map(|it| (it.dev(), it.ino())));
    }
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let mut held: Vec<String> = Vec::new();
    for process in locks.lines().filter_map(|line| holder(line, &files)) {
        let named = match process == std::process::id() {
            true => "this hive".to_owned(),
            false => {
                let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
                format!("{} (process {process})", name.trim())
            }
        };
        if !held.contains(&named) {
            held.push(named);
        }
    }
    held
}

/// The process of one line of `/proc/locks`, where the lock is on one of these files:
/// `1: POSIX  ADVISORY  WRITE 4711 fd:01:131 1073741824 1073742335`.
fn holder(line: &str, files: &[(u64, u64)]) -> Option<u32> {
    let mut words = line.split_whitespace().skip(1);
    let sort = words.next()?;
    // A waiting lock is shown behind an arrow.
    if sort != "POSIX" {
        return None;
    }
    let process = words.nth(2)?.parse().ok()?;
    let mut file = words.next()?.split(':');
    let major = u64::from_str_radix(file.next()?, 16).ok()?;
    let minor = u64::from_str_radix(file.next()?, 16).ok()?;
    let inode: u64 = file.next()?.parse().ok()?;
    let is_it = |(device, it): &(u64, u64)| {
        let same_device = rustix::fs::makedev(major as u32, minor as u32) == *device;
        // Some file systems show another device there than to `stat`.
        *it == inode && (same_device || major == 0)
    };
    files.iter().any(is_it).then_some(process)
}
