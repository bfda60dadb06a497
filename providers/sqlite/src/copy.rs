//! Copies by SQLite's own online backup: consistent whatever other sessions do.

use crate::open::{For, open_file};
use crate::site::Site;
use crate::trouble::{locked, trouble};
use crate::work::Lent;
use hive_contract::Failure;
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use std::path::Path;
use std::time::{Duration, Instant};

/// Pages between two looks at whether to go on.
const PAGES: i32 = 4_096;

/// Copies a database as it is now into a file that is there and empty. Sessions that write wait for
/// it where the database has no write-ahead log.
///
/// # Errors
/// It cannot be read or written, or the step was given up.
pub(crate) fn copy(
    from: &Site,
    source: &Connection,
    to: &Path,
    lent: &Lent,
) -> Result<(), Failure> {
    let bad = |error: rusqlite::Error| trouble(from, "copy", &error);
    let mut target = open_file(to, For::Writing, Duration::from_secs(1)).map_err(bad)?;
    // Nobody else looks at it before it is whole, and what did not end is taken away.
    target.pragma_update(None, "synchronous", "OFF").map_err(bad)?;
    // One read transaction around all of it: the copy is of one moment.
    source.execute_batch("BEGIN").map_err(bad)?;
    let copied = source
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
        .map_err(bad)
        .and_then(|_| run(from, source, &mut target, PAGES, lent));
    let ended = source.execute_batch("ROLLBACK").map_err(bad);
    copied.and(ended)?;
    // A copy is a single file.
    target.pragma_update(None, "journal_mode", "DELETE").map_err(bad)
}

/// Makes the content of one database that of another, in one transaction of the target: whoever has
/// it open sees all of it or nothing. The source is read within the caller's transaction.
///
/// # Errors
/// Somebody else holds the lock, it cannot be written, or the step was given up. The target is as
/// it was.
pub(crate) fn replace(
    to: &Site,
    source: &Connection,
    target: &mut Connection,
    lent: &Lent,
) -> Result<(), Failure> {
    run(to, source, target, -1, lent)
}

fn run(
    named: &Site,
    source: &Connection,
    target: &mut Connection,
    pages: i32,
    lent: &Lent,
) -> Result<(), Failure> {
    let bad = |error: rusqlite::Error| trouble(named, "write", &error);
    let backup = Backup::new(source, target).map_err(bad)?;
    let patience = Instant::now() + Duration::from_secs(10).min(lent.left());
    loop {
        if let Some(stopped) = lent.stopped() {
            return Err(stopped);
        }
        match backup.step(pages).map_err(bad)? {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            _ if Instant::now() >= patience => return Err(locked(named, "write")),
            _ => std::thread::park_timeout(Duration::from_millis(5)),
        }
    }
}
