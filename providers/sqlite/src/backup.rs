//! What SQLite adds to a backup: a consistent copy of the file, and the proof that it is one.

use crate::copy::copy;
use crate::held::Held;
use crate::open::{For, LOOK, open_file, open_present};
use crate::rows;
use crate::site::Site;
use crate::trouble::{trouble, words};
use crate::work::{Lent, lend, now_ms};
use crate::{Base, ENGINE, books};
use hive_backup::{Contents, Engine, Job, Plain, Proof, Sink, failure_of};
use hive_contract::{Failure, FailureKind, Task};
use hive_sql::manifest::{Head, Manifest, Schema, Source};
use hive_sql::migrations::chain;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// The note of a safety copy: which restore it was made for.
pub(crate) const RESTORE: &str = "restore";

/// The engine of SQLite's backups.
pub(crate) struct Copies {
    pub(crate) base: Arc<Base>,
    /// What else goes into the manifest.
    pub(crate) notes: BTreeMap<String, String>,
}

impl Engine for Copies {
    fn dump<'a>(&'a self, job: Job<'a>, sink: Sink) -> Task<'a, Result<Contents, Failure>> {
        let site = Site::of_access(&self.base.folder, job.of);
        let notes = self.notes.clone();
        let deadline = job.request.operation.deadline_ms;
        Box::pin(async move {
            let site = site?;
            lend(job.context, deadline, move |lent| {
                let mut contents = dump(&site, sink, lent)?;
                contents.notes.extend(notes);
                Ok(contents)
            })
            .await
        })
    }

    fn prove<'a>(
        &'a self,
        job: Job<'a>,
        manifest: &'a Manifest,
        plain: Plain,
    ) -> Task<'a, Result<Proof, Failure>> {
        let site = Site::of_access(&self.base.folder, job.of);
        let manifest = manifest.clone();
        let deadline = job.request.operation.deadline_ms;
        Box::pin(async move {
            let site = site?;
            lend(job.context, deadline, move |lent| prove(&site, &manifest, plain, lent)).await
        })
    }
}

/// Copies the database into a file beside it, reads everything for the manifest from that copy, and
/// writes it out: rows and bytes are of one moment, and no session waits longer than the copy takes.
fn dump(site: &Site, mut sink: Sink, lent: &Lent) -> Result<Contents, Failure> {
    let source = open_present(site, For::Reading, LOOK)?;
    let scratch = site.scratch("dump")?;
    let snapshot_ms = now_ms();
    copy(site, &source, &scratch.path, lent)?;
    let settings = settings(&source).map_err(|error| trouble(site, "read", &error))?;
    drop(source);
    let contents = contents(site, &scratch.path, snapshot_ms, settings)?;
    let refused = |error: &io::Error| hive_objects::failure("read the copy of", &site.shown, error);
    let mut file = File::open(&scratch.path).map_err(|error| refused(&error))?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        if let Some(stopped) = lent.stopped() {
            return Err(stopped);
        }
        let count = file.read(&mut buffer).map_err(|error| refused(&error))?;
        if count == 0 {
            break;
        }
        sink.write_all(&buffer[..count]).map_err(|error| refused(&error))?;
    }
    sink.end_blocking().map_err(|error| refused(&error))?;
    Ok(contents)
}

/// What a restore sets again, or must know.
fn settings(connection: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut settings = BTreeMap::new();
    for pragma in ["journal_mode", "page_size", "encoding", "auto_vacuum", "user_version"] {
        let sql = format!("SELECT CAST({pragma} AS TEXT) FROM pragma_{pragma}");
        settings.insert(pragma.to_owned(), connection.query_row(&sql, [], |row| row.get(0))?);
    }
    Ok(settings)
}

/// What a copy holds.
fn contents(
    site: &Site,
    path: &Path,
    snapshot_ms: i64,
    settings: BTreeMap<String, String>,
) -> Result<Contents, Failure> {
    let bad = |error: rusqlite::Error| trouble(site, "read a copy of", &error);
    let connection = open_file(path, For::Reading, LOOK).map_err(bad)?;
    let tables = rows::contents(&connection, &BTreeSet::new()).map_err(bad)?;
    let lists = lists(&connection).map_err(bad)?;
    let mut held = Held::alone(connection);
    let migrations = match lists.first() {
        Some(list) => Some(head(held.history(list).map_err(bad)?)),
        None => None,
    };
    let schema = held.schema().map_err(bad)?;
    Ok(Contents {
        source: Source {
            engine: ENGINE.to_owned(),
            name: site.shown.clone(),
            system: hive_objects::machine_id(),
            version: rusqlite::version().to_owned(),
            settings,
        },
        snapshot_ms,
        schema: Some(Schema { fingerprint: schema.fingerprint(), facts: schema.facts() }),
        migrations,
        tables: rows::written(&tables),
        surroundings: None,
        tools: BTreeMap::from([("sqlite".to_owned(), rusqlite::version().to_owned())]),
        notes: BTreeMap::new(),
    })
}

/// The lists that a database holds a history of.
///
/// # Errors
/// What SQLite says.
pub(crate) fn lists(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    if !books::exist(connection)? {
        return Ok(Vec::new());
    }
    let mut statement =
        connection.prepare("SELECT DISTINCT list FROM hive_migrations ORDER BY list")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

fn head(rows: &[hive_sql::history::Applied]) -> Head {
    let whole: Vec<_> = rows.iter().filter(|row| !row.is_half()).collect();
    Head {
        head: whole.last().map_or(String::new(), |row| row.name.clone()),
        count: whole.len() as u64,
        chain: chain(whole.iter().map(|row| (row.name.as_str(), row.checksum.as_str()))),
        history: rows.to_vec(),
    }
}

fn prove(site: &Site, manifest: &Manifest, plain: Plain, lent: &Lent) -> Result<Proof, Failure> {
    let begun = Instant::now();
    let scratch = site.scratch("proof")?;
    write_out(site, plain, &scratch.path, lent)?;
    let restore_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let wrong = compare(&scratch.path, manifest);
    Ok(Proof { restore_ms, wrong, version: rusqlite::version().to_owned() })
}

/// Writes a backup's content into a file that is there.
///
/// # Errors
/// The content is not what the manifest says, or the file cannot be written.
pub(crate) fn write_out(
    site: &Site,
    mut plain: Plain,
    to: &Path,
    lent: &Lent,
) -> Result<(), Failure> {
    let failed = |error: io::Error| match failure_of(&error) {
        Some(failure) => failure.clone(),
        None => hive_objects::failure("write beside", &site.shown, &error),
    };
    let mut file = File::options().write(true).truncate(true).open(to).map_err(failed)?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        if let Some(stopped) = lent.stopped() {
            return Err(stopped);
        }
        match plain.read(&mut buffer).map_err(failed)? {
            0 => break,
            count => file.write_all(&buffer[..count]).map_err(failed)?,
        }
    }
    file.sync_all().map_err(failed)
}

/// How a restored file differs from its manifest, each a fragment: nothing where it is equal.
pub(crate) fn compare(path: &Path, manifest: &Manifest) -> Vec<String> {
    let read = || -> rusqlite::Result<Vec<String>> {
        let connection = open_file(path, For::Reading, LOOK)?;
        let mut wrong: Vec<String> = connection
            .prepare("PRAGMA integrity_check(10)")?
            .query_map([], |row| row.get::<_, String>(0))?
            .filter(|line| line.as_ref().map_or(true, |line| line != "ok"))
            .collect::<rusqlite::Result<_>>()?;
        let found = rows::contents(&connection, &BTreeSet::new())?;
        wrong.extend(rows::differences(&manifest.tables, &rows::written(&found)));
        let mut held = Held::alone(connection);
        let schema = held.schema()?;
        if let Some(expected) = &manifest.schema
            && expected.fingerprint != schema.fingerprint()
        {
            let differs = hive_sql::facts::changes(&expected.facts, &schema.facts());
            let named = differs.first_key_value();
            wrong.push(named.map_or("the schema is another".to_owned(), |(object, words)| {
                format!("the schema is another: {object} {words}")
            }));
        }
        Ok(wrong)
    };
    read().unwrap_or_else(|error| vec![format!("it cannot be read: {}", words(&error))])
}

/// A backup that is not of SQLite is not restored here.
///
/// # Errors
/// It is of another engine.
pub(crate) fn only_sqlite(manifest: &Manifest) -> Result<(), Failure> {
    if manifest.source.engine == ENGINE {
        return Ok(());
    }
    let what = format!(
        "the backup {} is of {}, and this is a SQLite database",
        manifest.id, manifest.source.engine
    );
    Err(Failure::new(FailureKind::Invalid, what))
}
