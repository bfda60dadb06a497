//! What hive keeps in the database itself: whose it is, which steps had an effect, what was
//! applied, and what the last migration left.

use hive_contract::{Failure, FailureKind, Mark, Token};
use hive_sql::facts::Facts;
use hive_sql::history::Applied;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::BTreeMap;

/// The format of these tables that this hive writes.
pub(crate) const FORMAT: i64 = 1;

const OWN: [&str; 5] =
    ["hive_books", "hive_marks", "hive_tokens", "hive_migrations", "hive_objects"];

/// Whether a table is one of these.
pub(crate) fn is_own(table: &str) -> bool {
    OWN.iter().any(|own| own.eq_ignore_ascii_case(table))
}

/// Makes the tables where they are missing, in the caller's transaction.
///
/// # Errors
/// What SQLite says.
pub(crate) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    if exist(connection)? {
        return Ok(());
    }
    connection.execute_batch(
        "CREATE TABLE hive_books (format INTEGER NOT NULL);
         CREATE TABLE hive_marks (
             identity TEXT PRIMARY KEY NOT NULL, mark TEXT, token TEXT NOT NULL);
         CREATE TABLE hive_tokens (
             token TEXT PRIMARY KEY NOT NULL, identity TEXT NOT NULL, verb TEXT NOT NULL,
             ended TEXT NOT NULL CHECK (ended IN ('done', 'void')), at_ms INTEGER NOT NULL);
         CREATE TABLE hive_migrations (
             list TEXT NOT NULL, number INTEGER NOT NULL, version TEXT NOT NULL,
             name TEXT NOT NULL, checksum TEXT NOT NULL, raw_checksum TEXT NOT NULL,
             statements TEXT NOT NULL, applied INTEGER NOT NULL, begun INTEGER NOT NULL,
             total INTEGER NOT NULL, started_ms INTEGER NOT NULL, finished_ms INTEGER,
             error TEXT, error_statement INTEGER, baseline INTEGER NOT NULL,
             hive TEXT NOT NULL, apply TEXT NOT NULL, token TEXT NOT NULL,
             schema_before TEXT NOT NULL, schema_after TEXT NOT NULL, backup TEXT,
             PRIMARY KEY (list, number));
         CREATE TABLE hive_objects (
             object TEXT PRIMARY KEY NOT NULL, owner TEXT NOT NULL, fact TEXT NOT NULL);
         CREATE INDEX hive_objects_by_owner ON hive_objects (owner);",
    )?;
    connection.execute("INSERT INTO hive_books VALUES (?1)", [FORMAT])?;
    Ok(())
}

/// Whether the tables are there.
///
/// # Errors
/// What SQLite says.
pub(crate) fn exist(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'hive_books'";
    connection.prepare_cached(sql)?.exists([])
}

/// Whether this hive reads these tables.
///
/// # Errors
/// A newer hive wrote them.
pub(crate) fn check_format(connection: &Connection, shown: &str) -> Result<(), Failure> {
    let read = connection.prepare_cached("SELECT max(format) FROM hive_books");
    let format = read.and_then(|mut it| it.query_row([], |row| row.get::<_, Option<i64>>(0)));
    match format {
        Ok(Some(format)) if (1..=FORMAT).contains(&format) => Ok(()),
        Ok(Some(format)) => Err(Failure::new(
            FailureKind::Malformed,
            format!(
                "what hive keeps in `{shown}` has format {format}, and this hive knows {FORMAT}"
            ),
        )),
        Ok(None) | Err(_) => Err(Failure::new(
            FailureKind::Malformed,
            format!("what hive keeps in `{shown}` makes no sense: its format is missing"),
        )),
    }
}

/// Whose one thing of the database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marked {
    /// What it is known by.
    pub(crate) identity: String,
    /// Whose it is; none where it was let go.
    pub(crate) mark: Option<Mark>,
    /// The step that last changed it.
    pub(crate) token: Token,
}

/// The row of an identity.
///
/// # Errors
/// What SQLite says, or a mark that makes no sense.
pub(crate) fn marked(connection: &Connection, identity: &str) -> rusqlite::Result<Option<Marked>> {
    let sql = "SELECT identity, mark, token FROM hive_marks WHERE identity = ?1";
    connection.prepare_cached(sql)?.query_row([identity], marked_of).optional()
}

/// All rows.
///
/// # Errors
/// What SQLite says, or a mark that makes no sense.
pub(crate) fn all_marked(connection: &Connection) -> rusqlite::Result<Vec<Marked>> {
    let sql = "SELECT identity, mark, token FROM hive_marks ORDER BY identity";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map([], marked_of)?.collect()
}

fn marked_of(row: &Row<'_>) -> rusqlite::Result<Marked> {
    let mark: Option<String> = row.get(1)?;
    let mark = mark.map(|text| serde_json::from_str(&text)).transpose();
    let mark = mark.map_err(|error| conversion(1, error))?;
    let token: String = row.get(2)?;
    Ok(Marked { identity: row.get(0)?, mark, token: Token::from_text(&token) })
}

fn conversion(column: usize, error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}

/// Says whose something is.
///
/// # Errors
/// What SQLite says.
pub(crate) fn set_mark(
    connection: &Connection,
    identity: &str,
    mark: Option<&Mark>,
    token: &Token,
) -> rusqlite::Result<()> {
    let mark = mark.map(|mark| serde_json::to_string(mark).unwrap_or_default());
    connection
        .prepare_cached("INSERT OR REPLACE INTO hive_marks VALUES (?1, ?2, ?3)")?
        .execute(params![identity, mark, token.as_str()])?;
    Ok(())
}

/// It is nobody's and was nobody's.
///
/// # Errors
/// What SQLite says.
pub(crate) fn remove_mark(connection: &Connection, identity: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM hive_marks WHERE identity = ?1")?.execute([identity])?;
    Ok(())
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With its effect.
    Done,
    /// Given up: it may have none any more.
    Void,
}

/// How a step ended; none where it did not.
///
/// # Errors
/// What SQLite says.
pub(crate) fn ended(connection: &Connection, token: &Token) -> rusqlite::Result<Option<Ended>> {
    let sql = "SELECT ended FROM hive_tokens WHERE token = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let ended = statement.query_row([token.as_str()], |row| row.get::<_, String>(0)).optional()?;
    Ok(ended.map(|it| if it == "done" { Ended::Done } else { Ended::Void }))
}

/// A step ended like this. Fails where it had ended already.
///
/// # Errors
/// What SQLite says.
pub(crate) fn end(
    connection: &Connection,
    token: &Token,
    identity: &str,
    verb: &str,
    ended: Ended,
) -> rusqlite::Result<()> {
    let word = match ended {
        Ended::Done => "done",
        Ended::Void => "void",
    };
    connection
        .prepare_cached("INSERT INTO hive_tokens VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![token.as_str(), identity, verb, word, crate::work::now_ms()])?;
    Ok(())
}

const COLUMNS: &str = "version, name, checksum, raw_checksum, statements, applied, begun, total, \
                       started_ms, finished_ms, error, error_statement, baseline, hive, apply, \
                       token, schema_before, schema_after, backup";

/// What of a list is applied, in order.
///
/// # Errors
/// What SQLite says, or a row that makes no sense.
pub(crate) fn history(connection: &Connection, list: &str) -> rusqlite::Result<Vec<Applied>> {
    let sql = format!("SELECT {COLUMNS} FROM hive_migrations WHERE list = ?1 ORDER BY number");
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_map([list], applied_of)?.collect()
}

fn applied_of(row: &Row<'_>) -> rusqlite::Result<Applied> {
    let statements: String = row.get(4)?;
    Ok(Applied {
        version: row.get(0)?,
        name: row.get(1)?,
        checksum: row.get(2)?,
        raw_checksum: row.get(3)?,
        statements: serde_json::from_str(&statements).map_err(|error| conversion(4, error))?,
        applied: row.get(5)?,
        begun: row.get(6)?,
        total: row.get(7)?,
        started_ms: row.get(8)?,
        finished_ms: row.get(9)?,
        error: row.get(10)?,
        error_statement: row.get(11)?,
        baseline: row.get(12)?,
        hive: row.get(13)?,
        apply: row.get(14)?,
        token: row.get(15)?,
        before: row.get(16)?,
        after: row.get(17)?,
        backup: row.get(18)?,
    })
}

/// Writes a row of a list's history, over the one of the same number.
///
/// # Errors
/// What SQLite says.
pub(crate) fn write(connection: &Connection, list: &str, row: &Applied) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT OR REPLACE INTO hive_migrations (list, number, {COLUMNS}) VALUES \
         (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, \
         ?20, ?21)"
    );
    connection.prepare_cached(&sql)?.execute(params![
        list,
        number_of(row),
        row.version,
        row.name,
        row.checksum,
        row.raw_checksum,
        serde_json::to_string(&row.statements).unwrap_or_default(),
        row.applied,
        row.begun,
        row.total,
        row.started_ms,
        row.finished_ms,
        row.error,
        row.error_statement,
        row.baseline,
        row.hive,
        row.apply,
        row.token,
        row.before,
        row.after,
        row.backup,
    ])?;
    Ok(())
}

/// A row's place in the order as SQLite counts.
pub(crate) fn number_of(row: &Applied) -> i64 {
    i64::try_from(row.number()).unwrap_or(i64::MAX)
}

/// Takes a row out of a list's history.
///
/// # Errors
/// What SQLite says.
pub(crate) fn erase(connection: &Connection, list: &str, number: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM hive_migrations WHERE list = ?1 AND number = ?2")?
        .execute(params![list, number])?;
    Ok(())
}

/// The facts that the last migration left.
///
/// # Errors
/// What SQLite says.
pub(crate) fn objects(connection: &Connection) -> rusqlite::Result<Facts> {
    let mut statement = connection.prepare_cached("SELECT object, fact FROM hive_objects")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Keeps the facts of these owners; none where an owner is gone.
///
/// # Errors
/// What SQLite says.
pub(crate) fn keep_objects<'a>(
    connection: &Connection,
    owners: impl IntoIterator<Item = (&'a str, Option<&'a Facts>)>,
) -> rusqlite::Result<()> {
    let owners: BTreeMap<&str, Option<&Facts>> = owners.into_iter().collect();
    let mut remove = connection.prepare_cached("DELETE FROM hive_objects WHERE owner = ?1")?;
    for owner in owners.keys() {
        remove.execute([owner])?;
    }
    let mut insert =
        connection.prepare_cached("INSERT OR REPLACE INTO hive_objects VALUES (?1, ?2, ?3)")?;
    for (owner, facts) in owners {
        for (object, fact) in facts.into_iter().flatten() {
            insert.execute(params![object, owner, fact])?;
        }
    }
    Ok(())
}

/// Keeps nothing but these facts.
///
/// # Errors
/// What SQLite says.
pub(crate) fn keep_all_objects(
    connection: &Connection,
    schema: &crate::schema::Schema,
) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM hive_objects", [])?;
    keep_objects(connection, schema.owners().map(|owner| (owner, schema.facts_of(owner))))
}
