//! The backup beside the database: written out, compared with its manifest, brought up, marked.

use super::{KEY, bring_up};
use crate::backup::{compare, write_out};
use crate::books::{self, Ended};
use crate::look;
use crate::open::{For, LOOK, open, open_file};
use crate::session::{Step, given_up, only_ours, outcome};
use crate::site::{make_private, remove};
use crate::trouble::trouble;
use crate::vacant;
use hive_backup::Plain;
use hive_contract::{
    Event, Failure, FailureKind, Observed, Outcome, Perform, Remains, Resolution, Value,
};
use hive_sql::manifest::Manifest;
use hive_sql::words::size;
use rusqlite::Connection;
use std::fs;
use std::path::PathBuf;

/// Where the restored copy of a step's restore lies.
pub(super) fn path(step: &Step<'_>) -> Result<PathBuf, Failure> {
    let key = step.request.operation.payload.get(KEY).and_then(Value::as_text);
    let key = key.filter(|it| it.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let missing = || Failure::new(FailureKind::Invalid, "the operation does not name its restore");
    key.map(|key| step.site.beside(key)).ok_or_else(missing)
}

/// How a step ended by what a copy beside the database says; none where there is no such copy or it
/// was not made to its end.
pub(super) fn ended(step: &Step<'_>) -> Result<Option<Ended>, Failure> {
    let path = path(step)?;
    if !path.exists() {
        return Ok(None);
    }
    let read = open_file(&path, For::Reading, LOOK).and_then(|connection| {
        match books::exist(&connection)? {
            true => books::ended(&connection, &step.request.token),
            false => Ok(None),
        }
    });
    // Half a copy is no database yet.
    Ok(read.unwrap_or(None))
}

/// Restores.
///
/// # Errors
/// The backup is not what it says, or does not go with the files. The live file is as it was.
pub(super) fn make(step: &Step<'_>, manifest: &Manifest, plain: Plain) -> Result<Outcome, Failure> {
    if ended(step)? == Some(Ended::Done) {
        return live(step);
    }
    let live_now = look_at(step)?;
    let live_now = live_now.live();
    if live_now.is_none()
        && let Some(there) = open(step.site, For::Reading, LOOK)?
    {
        vacant::check(&there, step.site)?;
    }
    step.request.check_expected(live_now.map(|live| &live.fields))?;
    only_ours(step.request, live_now)?;
    let path = path(step)?;
    step.site.make_desk()?;
    let made = write(step, manifest, plain, &path);
    if let Err(failure) = made {
        // Nothing of it may be taken for a whole one.
        let _ = remove(&path);
        step.site.clear_desk();
        return Err(failure);
    }
    live(step)
}

fn write(
    step: &Step<'_>,
    manifest: &Manifest,
    plain: Plain,
    path: &std::path::Path,
) -> Result<(), Failure> {
    let shown = &step.site.shown;
    let refused = |error: std::io::Error| hive_objects::failure("write beside", shown, &error);
    step.lent.may_write()?;
    remove(path).map_err(refused)?;
    make_private(path).map_err(refused)?;
    write_out(step.site, plain, path, step.lent)?;
    let held = size(fs::metadata(path).map_or(0, |it| it.len()));
    step.lent.say(Event::info(format!("restored {held} beside `{shown}`")));
    let wrong = compare(path, manifest);
    if !wrong.is_empty() {
        let what = format!("the backup {} is not what it says: {}", manifest.id, wrong.join("; "));
        return Err(Failure::new(FailureKind::Unhealthy, what));
    }
    step.lent.say(Event::info(manifest.proven()));
    step.lent.may_write()?;
    let bad = |error: rusqlite::Error| trouble(step.site, "bring up a copy beside", &error);
    let connection = open_file(path, For::Writing, LOOK).map_err(bad)?;
    connection.progress_handler(2_000, Some(step.lent.watch()));
    let connection = bring_up::bring_up(step, manifest, connection)?;
    connection.progress_handler(0, None::<fn() -> bool>);
    same_shape(step, manifest, &connection).map_err(bad)?;
    // The last thing: with its token the copy is whole.
    step.record(&connection, Ended::Done)
}

/// Pages as large as the live file's, which a file with a write-ahead log cannot change; the journal
/// as it was where there is no live file.
fn same_shape(
    step: &Step<'_>,
    manifest: &Manifest,
    connection: &Connection,
) -> rusqlite::Result<()> {
    let pages = |connection: &Connection| {
        connection.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0))
    };
    match open(step.site, For::Reading, LOOK) {
        Ok(Some(live)) => {
            let (wanted, found) = (pages(&live)?, pages(connection)?);
            if wanted != found {
                connection.pragma_update(None, "journal_mode", "DELETE")?;
                connection.pragma_update(None, "page_size", wanted)?;
                connection.execute_batch("VACUUM")?;
            }
        }
        _ => {
            let mode = manifest.source.settings.get("journal_mode").map(String::as_str);
            if mode == Some("wal") {
                connection.pragma_update(None, "journal_mode", "WAL")?;
            }
        }
    }
    Ok(())
}

/// What is live now.
fn look_at(step: &Step<'_>) -> Result<Observed, Failure> {
    let Some(mut held) = step.kept.take(step.site, step.wait)? else { return Ok(Observed::Absent) };
    let observed = look::one(&mut held, step.site, step.request)?;
    step.kept.keep(step.site, held);
    Ok(observed)
}

/// The outcome of what does not touch the live file.
pub(super) fn live(step: &Step<'_>) -> Result<Outcome, Failure> {
    look_at(step).map(outcome).map_err(|failure| failure.remains(Remains::Unsure))
}

/// Takes the copy away.
///
/// # Errors
/// It cannot be taken away.
pub(super) fn discard(step: &Step<'_>) -> Result<Outcome, Failure> {
    step.lent.may_write()?;
    remove(&path(step)?).map_err(|error| {
        hive_objects::failure("remove what lies beside", &step.site.shown, &error)
    })?;
    step.site.clear_desk();
    live(step)
}

/// What became of a restore beside the database.
///
/// # Errors
/// It cannot be looked up now.
pub(super) fn resolve(step: &Step<'_>) -> Result<Resolution, Failure> {
    match ended(step)? {
        Some(Ended::Done) => live(step).map(Resolution::Done),
        Some(Ended::Void) => Err(given_up()),
        None => not_swapped(step.request, step),
    }
}

/// A copy that is not there: it was not made, or it was swapped in already.
fn not_swapped(request: &Perform, step: &Step<'_>) -> Result<Resolution, Failure> {
    let Some(held) = step.kept.take(step.site, step.wait)? else {
        return Ok(Resolution::NotStarted { sealed: false });
    };
    let bad = |error: rusqlite::Error| trouble(step.site, "read", &error);
    let there = books::exist(&held.connection).map_err(bad)?;
    let ended = match there {
        true => books::ended(&held.connection, &request.token).map_err(bad)?,
        false => None,
    };
    step.kept.keep(step.site, held);
    match ended {
        Some(Ended::Done) => live(step).map(Resolution::Done),
        _ => Ok(Resolution::NotStarted { sealed: false }),
    }
}
