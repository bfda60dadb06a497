//! Running the statements of a file.

use super::guarded::Guarded;
use crate::session::Step;
use crate::site::Site;
use crate::trouble::{trouble, words};
use hive_contract::{Failure, FailureKind};
use hive_sql::lexeme::position;
use hive_sql::{Script, Statement};
use rusqlite::{Connection, Error, ErrorCode};
use std::collections::{BTreeMap, BTreeSet};

/// Runs all statements of a script in the caller's transaction, and says which tables they may
/// have touched.
///
/// # Errors
/// The statement that failed, with its line; or rows that point nowhere.
pub(super) fn run(
    site: &Site,
    connection: &Connection,
    script: &Script,
) -> Result<BTreeSet<String>, Failure> {
    let sql =
        |sql: &str| connection.execute_batch(sql).map_err(|error| trouble(site, "migrate", &error));
    sql("SAVEPOINT hive_migration")?;
    let touched = all(site, connection, script)?;
    let broken = violations(site, connection)?;
    if !broken.is_empty() {
        // Rows that pointed nowhere before are not this file's.
        sql("ROLLBACK TO hive_migration")?;
        let before = violations(site, connection)?;
        let new = broken.iter().filter(|(key, count)| before.get(*key).is_none_or(|it| it < count));
        let new: Vec<String> = new.map(|(key, count)| key.words(*count)).collect();
        if !new.is_empty() {
            let message =
                format!("`{}` leaves rows that point nowhere: {}", script.file, new.join(", "));
            return Err(Failure::new(
                FailureKind::Invalid,
                format!("{message}; nothing was changed"),
            ));
        }
        all(site, connection, script)?;
    }
    sql("RELEASE hive_migration")?;
    Ok(touched)
}

fn all(site: &Site, connection: &Connection, script: &Script) -> Result<BTreeSet<String>, Failure> {
    let guarded = Guarded::new(connection);
    for statement in &script.statements {
        one(connection, statement)
            .map_err(|error| failed(site, script, statement, &error, guarded.refused()))?;
    }
    Ok(guarded.touched())
}

/// Runs one statement to its end; what it answers is not looked at.
///
/// # Errors
/// What SQLite says.
pub(super) fn one(connection: &Connection, statement: &Statement) -> rusqlite::Result<()> {
    let mut prepared = connection.prepare(&statement.text)?;
    let mut rows = prepared.raw_query();
    while rows.next()?.is_some() {}
    Ok(())
}

/// A statement that failed, with its file and line.
pub(super) fn failed(
    site: &Site,
    script: &Script,
    statement: &Statement,
    error: &Error,
    refused: Option<String>,
) -> Failure {
    let of_sql = !matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::ReadOnly
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::CannotOpen
                | ErrorCode::OperationInterrupted
        )
    );
    if !of_sql {
        return trouble(site, "migrate", error);
    }
    let (line, column) = position(&script.text, statement.start + offset(error));
    let said = refused.unwrap_or_else(|| words(error));
    let message = format!("{}:{line}:{column}: {said}", script.file);
    Failure::new(FailureKind::Invalid, message).diagnosis(excerpt(statement))
}

fn offset(error: &Error) -> usize {
    match error {
        Error::SqlInputError { offset, .. } => usize::try_from(*offset).unwrap_or(0),
        _ => 0,
    }
}

fn excerpt(statement: &Statement) -> String {
    let first: String = statement.text.chars().take(200).collect();
    if first.len() < statement.text.len() { format!("{first} …") } else { first }
}

/// Where rows point nowhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Broken {
    table: String,
    parent: String,
    key: i64,
}

impl Broken {
    fn words(&self, count: u64) -> String {
        let rows = hive_sql::words::count(count, "row");
        format!("{rows} of {} at {}", self.table, self.parent)
    }
}

fn violations(site: &Site, connection: &Connection) -> Result<BTreeMap<Broken, u64>, Failure> {
    let read = || -> rusqlite::Result<BTreeMap<Broken, u64>> {
        let mut found = BTreeMap::new();
        let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let broken = Broken { table: row.get(0)?, parent: row.get(2)?, key: row.get(3)? };
            *found.entry(broken).or_default() += 1;
        }
        Ok(found)
    };
    read().map_err(|error| {
        // A key that names a column that is not unique is the file's mistake, not the system's.
        match error.sqlite_error_code() {
            Some(ErrorCode::Unknown) => Failure::new(FailureKind::Invalid, words(&error)),
            _ => trouble(site, "check the foreign keys of", &error),
        }
    })
}

/// What was asked to stop says so, whatever SQLite made of it.
pub(super) fn stopped(step: &Step<'_>, failure: Failure) -> Failure {
    match step.lent.stopped() {
        Some(stopped) if failure.kind == FailureKind::TimedOut => stopped,
        _ => failure,
    }
}
