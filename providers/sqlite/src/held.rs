//! Connections that are kept between the steps of one apply, with the schema as it was last read.

use crate::books;
use crate::open::{For, open};
use crate::schema::Schema;
use crate::site::Site;
use crate::trouble::trouble;
use hive_contract::Failure;
use hive_sql::facts::{Facts, drift};
use hive_sql::history::Applied;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Connections without an open transaction, each lent to one step at a time.
#[derive(Default)]
pub(crate) struct Kept(Mutex<BTreeMap<PathBuf, Held>>);

impl Kept {
    /// The connection to a database, a new one where none is kept; none where there is no file.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn take(&self, site: &Site, wait: Duration) -> Result<Option<Held>, Failure> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&site.path);
        if let Some(held) = kept
            && file_of(site) == Some(held.file)
        {
            let waits = held.connection.busy_timeout(wait);
            waits.map_err(|error| trouble(site, "open", &error))?;
            return Ok(Some(held));
        }
        let Some(connection) = open(site, For::Writing, wait)? else { return Ok(None) };
        connection.set_prepared_statement_cache_capacity(64);
        let file = file_of(site).unwrap_or_default();
        Ok(Some(Held { connection, file, known: None, histories: BTreeMap::new() }))
    }

    /// Keeps a connection for the next step. It has no open transaction, and what it knows of the
    /// schema is so.
    pub(crate) fn keep(&self, site: &Site, held: Held) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(site.path.clone(), held);
    }

    /// Closes what is kept.
    pub(crate) fn forget(&self, site: &Site) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&site.path);
    }
}

fn file_of(site: &Site) -> Option<(u64, u64)> {
    std::fs::metadata(&site.path).ok().map(|it| (it.dev(), it.ino()))
}

/// One connection.
pub(crate) struct Held {
    /// The connection.
    pub(crate) connection: Connection,
    /// Another file may lie at the path by now.
    file: (u64, u64),
    known: Option<Known>,
    histories: BTreeMap<String, History>,
}

/// What is applied of one list, as long as nobody else writes.
struct History {
    /// SQLite counts the changes of others here.
    version: i64,
    rows: Vec<Applied>,
}

struct Known {
    /// SQLite counts every change of a schema here.
    cookie: i64,
    schema: Schema,
    /// Read when it is asked for.
    drift: Option<Facts>,
}

impl Held {
    /// One that is not kept: for copies and in memory.
    pub(crate) fn alone(connection: Connection) -> Self {
        Self { connection, file: (0, 0), known: None, histories: BTreeMap::new() }
    }

    /// Reads the schema where it changed.
    fn look(&mut self) -> rusqlite::Result<&mut Known> {
        let cookie = cookie(&self.connection)?;
        let known = match self.known.take() {
            Some(known) if known.cookie == cookie => known,
            before => {
                let mut schema = before.map(|it| it.schema).unwrap_or_default();
                schema.refresh(&self.connection)?;
                Known { cookie, schema, drift: None }
            }
        };
        Ok(self.known.insert(known))
    }

    /// What is applied of a list, in order.
    ///
    /// # Errors
    /// What SQLite says, or a row that makes no sense.
    pub(crate) fn history(&mut self, list: &str) -> rusqlite::Result<&[Applied]> {
        let version = self.connection.query_row("PRAGMA data_version", [], |row| row.get(0))?;
        let fresh = self.histories.get(list).is_some_and(|it| it.version == version);
        if !fresh {
            let rows = match books::exist(&self.connection)? {
                true => books::history(&self.connection, list)?,
                false => Vec::new(),
            };
            self.histories.insert(list.to_owned(), History { version, rows });
        }
        Ok(self.histories.get(list).map_or(&[], |it| &it.rows))
    }

    /// Writes a row of a list's history, over the one of the same number.
    ///
    /// # Errors
    /// What SQLite says.
    pub(crate) fn write(&mut self, list: &str, row: Applied) -> rusqlite::Result<()> {
        books::write(&self.connection, list, &row)?;
        if let Some(History { rows, .. }) = self.histories.get_mut(list) {
            match rows.binary_search_by_key(&row.number(), Applied::number) {
                Ok(at) => rows[at] = row,
                Err(at) => rows.insert(at, row),
            }
        }
        Ok(())
    }

    /// Takes a row out of a list's history.
    ///
    /// # Errors
    /// What SQLite says.
    pub(crate) fn erase(&mut self, list: &str, row: &Applied) -> rusqlite::Result<()> {
        books::erase(&self.connection, list, books::number_of(row))?;
        if let Some(History { rows, .. }) = self.histories.get_mut(list) {
            rows.retain(|it| it.number() != row.number());
        }
        Ok(())
    }

    /// The schema as it is.
    ///
    /// # Errors
    /// What SQLite says.
    pub(crate) fn schema(&mut self) -> rusqlite::Result<&Schema> {
        Ok(&self.look()?.schema)
    }

    /// What is not as the last migration left it.
    ///
    /// # Errors
    /// What SQLite says.
    pub(crate) fn drift(&mut self) -> rusqlite::Result<&Facts> {
        self.look()?;
        let Self { connection, known, .. } = self;
        let known = known.as_mut().ok_or(rusqlite::Error::InvalidQuery)?;
        match &mut known.drift {
            Some(drift) => Ok(drift),
            unknown => Ok(unknown.insert(drift_of(connection, &known.schema)?)),
        }
    }

    /// Reads the schema after a change of hive's own, and keeps it as what was left. Says which
    /// owners changed.
    ///
    /// # Errors
    /// What SQLite says.
    pub(crate) fn leave(&mut self) -> rusqlite::Result<BTreeSet<String>> {
        let before = self.known.take();
        // Where there was none, what hive itself changes makes none.
        let none = before.as_ref().and_then(|it| it.drift.clone()).filter(Facts::is_empty);
        let mut schema = before.map(|it| it.schema).unwrap_or_default();
        let changed = schema.refresh(&self.connection)?;
        let owners = changed.iter().map(|owner| (owner.as_str(), schema.facts_of(owner)));
        books::keep_objects(&self.connection, owners)?;
        let cookie = cookie(&self.connection)?;
        self.known = Some(Known { cookie, schema, drift: none });
        Ok(changed)
    }

    /// Knows nothing any more: what it knew was not committed.
    pub(crate) fn forget(&mut self) {
        self.known = None;
        self.histories.clear();
    }

    /// Keeps the schema as it is as what was left, whoever changed it.
    ///
    /// # Errors
    /// What SQLite says.
    pub(crate) fn accept(&mut self) -> rusqlite::Result<()> {
        let schema = self.schema()?.clone();
        books::keep_all_objects(&self.connection, &schema)?;
        self.known = None;
        Ok(())
    }
}

fn cookie(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA schema_version", [], |row| row.get(0))
}

fn drift_of(connection: &Connection, schema: &Schema) -> rusqlite::Result<Facts> {
    if !books::exist(connection)? {
        return Ok(Facts::new());
    }
    Ok(drift(&books::objects(connection)?, &schema.facts()))
}
