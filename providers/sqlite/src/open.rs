//! Opening a database without making one.

use crate::site::Site;
use crate::trouble::trouble;
use hive_contract::{Failure, FailureKind};
use rusqlite::{Connection, OpenFlags};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// Looking.
    Reading,
    /// Changing it.
    Writing,
}

/// How long a look waits for a lock.
pub(crate) const LOOK: Duration = Duration::from_millis(2_000);

/// Opens a database; none where there is no file. `wait` is how long each call waits for a lock.
///
/// # Errors
/// It cannot be read, or is no database.
pub(crate) fn open(
    site: &Site,
    purpose: For,
    wait: Duration,
) -> Result<Option<Connection>, Failure> {
    match std::fs::metadata(&site.path) {
        Ok(it) if it.is_file() => {}
        Ok(_) => {
            let what = format!("`{}` is not a file", site.shown);
            return Err(Failure::new(FailureKind::Malformed, what));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(hive_objects::failure("open", &site.shown, &error)),
    }
    let connection = open_file(&site.path, purpose, wait);
    let connection = connection.map_err(|error| trouble(site, "open", &error))?;
    Ok(Some(connection))
}

/// Opens a file that is there.
///
/// # Errors
/// What SQLite says.
pub(crate) fn open_file(path: &Path, purpose: For, wait: Duration) -> rusqlite::Result<Connection> {
    // Also for a look: what a killed writer left is rolled back by whoever opens it next, and a file
    // that may not be written is opened for reading all the same.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(wait)?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "query_only", purpose == For::Reading)?;
    // The first read of the file: it says whether this is a database at all.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
    Ok(connection)
}

/// [`open`] of a database that must be there.
///
/// # Errors
/// It is not, or cannot be opened.
pub(crate) fn open_present(
    site: &Site,
    purpose: For,
    wait: Duration,
) -> Result<Connection, Failure> {
    open(site, purpose, wait)?.ok_or_else(|| absent(site))
}

/// There is no database.
pub(crate) fn absent(site: &Site) -> Failure {
    Failure::new(FailureKind::Moved, format!("there is no database `{}`", site.shown))
}
