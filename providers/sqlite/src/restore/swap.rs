//! The swap: one write transaction of the live file, whatever else has it open.
//!
//! The copy beside the live file is also the lock between a late swap and a recovery. A swap reads
//! its token from the copy in the read transaction out of which it copies; a recovery that gives the
//! token up writes so into the copy, which waits for that read to end.

use super::KEY;
use super::beside::{live, path};
use crate::backup::{compare, write_out};
use crate::books::{self, Ended};
use crate::copy::replace;
use crate::held::Held;
use crate::look;
use crate::open::{For, LOOK, open, open_file, open_present};
use crate::session::{Step, given_up, only_ours};
use crate::site::{make_private, remove};
use crate::trouble::{locked, trouble};
use crate::vacant;
use hive_backup::Plain;
use hive_contract::{Expects, Failure, FailureKind, Outcome, Remains, Resolution, Token, Value};
use hive_sql::manifest::Manifest;
use rusqlite::{Connection, params};
use std::path::Path;

/// Makes what was restored the content of the database.
///
/// # Errors
/// The live file cannot be written; it is as it was. Or it was written and does not read back.
pub(super) fn swap(step: &Step<'_>) -> Result<Outcome, Failure> {
    if is_away(step) {
        return take_away(step);
    }
    step.kept.forget(step.site);
    if is_done(step)? {
        return end(step);
    }
    let path = path(step)?;
    if !path.exists() {
        return Err(gone(step));
    }
    match open(step.site, For::Writing, step.wait)? {
        Some(target) => into_live(step, &path, target)?,
        None => install(step, &path)?,
    }
    end(step)
}

/// Puts the safety copy back, proven like any backup.
///
/// # Errors
/// The safety copy is not what it says, or the live file cannot be written; it is as it was.
pub(super) fn put_back(
    step: &Step<'_>,
    manifest: &Manifest,
    plain: Plain,
) -> Result<Outcome, Failure> {
    step.kept.forget(step.site);
    if is_done(step)? {
        return end(step);
    }
    let path = path(step)?.with_extension("back");
    step.site.make_desk()?;
    let refused =
        |error: std::io::Error| hive_objects::failure("write beside", &step.site.shown, &error);
    remove(&path).map_err(refused)?;
    make_private(&path).map_err(refused)?;
    write_out(step.site, plain, &path, step.lent)?;
    let wrong = compare(&path, manifest);
    if !wrong.is_empty() {
        let _ = remove(&path);
        let what =
            format!("the safety copy {} is not what it says: {}", manifest.id, wrong.join("; "));
        return Err(Failure::new(FailureKind::Unhealthy, what));
    }
    let bad = |error: rusqlite::Error| trouble(step.site, "prepare beside", &error);
    let copy = open_file(&path, For::Writing, LOOK).map_err(bad)?;
    books::prepare(&copy).map_err(bad)?;
    drop(copy);
    let target = open_present(step.site, For::Writing, step.wait)?;
    into_live(step, &path, target)?;
    let _ = remove(&path);
    end(step)
}

/// Copies the file beside into the live one, in one transaction of the live one.
fn into_live(step: &Step<'_>, path: &Path, target: Connection) -> Result<(), Failure> {
    let bad = |error: rusqlite::Error| step.trouble("swap in what lies beside", &error);
    let source = open_file(path, For::Writing, LOOK).map_err(bad)?;
    claim(&source, step).map_err(bad)?;
    let mut held = Held::alone(target);
    let seen = look::one(&mut held, step.site, step.request)?.live().cloned();
    if step.request.operation.expects == Expects::Absent {
        // Nobody's and empty: as good as none.
        vacant::check(&held.connection, step.site)?;
    }
    step.request.check_expected(seen.as_ref().map(|live| &live.fields))?;
    only_ours(step.request, seen.as_ref())?;
    step.lent.may_write()?;
    source.execute_batch("BEGIN").map_err(bad)?;
    if books::ended(&source, &step.request.token).map_err(bad)? != Some(Ended::Done) {
        return Err(given_up());
    }
    let mut target = held.connection;
    replace(step.site, &source, &mut target, step.lent)?;
    source.execute_batch("ROLLBACK").map_err(bad)?;
    reads_back(step, &source, target)
}

/// The live file says so itself.
fn reads_back(step: &Step<'_>, source: &Connection, target: Connection) -> Result<(), Failure> {
    let read = || -> rusqlite::Result<bool> {
        let found = crate::schema::Schema::read(&target)?.fingerprint();
        let wanted = crate::schema::Schema::read(source)?.fingerprint();
        let done = books::ended(&target, &step.request.token)? == Some(Ended::Done);
        let check: String = target.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        Ok(found == wanted && done && check == "ok")
    };
    match read() {
        Ok(true) => Ok(()),
        Ok(false) => {
            let what = format!("`{}` does not hold what was swapped in", step.site.shown);
            Err(Failure::new(FailureKind::Unhealthy, what).remains(Remains::Unsure))
        }
        Err(error) => Err(trouble(step.site, "read back", &error).remains(Remains::Unsure)),
    }
}

/// Puts the file beside where no file is.
fn install(step: &Step<'_>, path: &Path) -> Result<(), Failure> {
    step.request.check_expected(None)?;
    let bad = |error: rusqlite::Error| step.trouble("put in place what lies beside", &error);
    let source = open_file(path, For::Writing, LOOK).map_err(bad)?;
    claim(&source, step).map_err(bad)?;
    // Closed, so that everything is in the one file.
    let checkpoint = source.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    checkpoint.map_err(bad)?;
    drop(source);
    step.lent.may_write()?;
    let no_replace = rustix::fs::RenameFlags::NOREPLACE;
    let cwd = rustix::fs::CWD;
    match rustix::fs::renameat_with(cwd, path, cwd, &step.site.path, no_replace) {
        Ok(()) => {}
        Err(rustix::io::Errno::EXIST) => {
            let what =
                format!("`{}` is there, and the plan expects nothing there", step.site.shown);
            return Err(Failure::new(FailureKind::Moved, what));
        }
        Err(errno) => return Err(hive_objects::failure("make", &step.site.shown, &errno.into())),
    }
    if let Some(folder) = step.site.path.parent() {
        let synced = std::fs::File::open(folder).and_then(|it| it.sync_all());
        synced.map_err(|error| hive_objects::failure("make", &step.site.shown, &error))?;
    }
    Ok(())
}

/// Writes the step's token into the copy, unless it was given up: with the content it comes into
/// the live file. So does whether the live file holds what its restore made.
fn claim(copy: &Connection, step: &Step<'_>) -> rusqlite::Result<()> {
    let request = step.request;
    copy.execute_batch("BEGIN IMMEDIATE")?;
    if books::ended(copy, &request.token)?.is_none() {
        books::end(copy, &request.token, &request.identity, &request.operation.verb, Ended::Done)?;
        let key = request.operation.payload.get(KEY).and_then(Value::as_text);
        let swapped = key.map(swapped);
        let swapped = swapped.as_ref().map_or("", Token::as_str);
        copy.execute("DELETE FROM hive_tokens WHERE token = ?1", [swapped])?;
        if request.operation.verb == super::SWAP {
            copy.execute(
                "INSERT INTO hive_tokens VALUES (?1, ?2, 'swap', 'done', ?3)",
                params![swapped, request.identity, crate::work::now_ms()],
            )?;
        }
    }
    copy.execute_batch("COMMIT")
}

/// What says in the live file that the copy of a restore is its content.
fn swapped(key: &str) -> Token {
    Token::from_text(&format!("swapped-{key}"))
}

/// Whether the live file is what this step makes.
fn is_done(step: &Step<'_>) -> Result<bool, Failure> {
    let Some(connection) = open(step.site, For::Writing, step.wait)? else { return Ok(false) };
    let bad = |error: rusqlite::Error| trouble(step.site, "read", &error);
    if !books::exist(&connection).map_err(bad)? {
        return Ok(false);
    }
    match books::ended(&connection, &step.request.token).map_err(bad)? {
        Some(Ended::Done) => Ok(true),
        Some(Ended::Void) => Err(given_up()),
        // Another attempt of the same restore got through, and took the copy away behind it.
        None if step.request.operation.verb == super::SWAP && !is_away(step) => {
            let key = step.request.operation.payload.get(KEY).and_then(Value::as_text);
            let swapped = key.map(|key| books::ended(&connection, &swapped(key)));
            Ok(!path(step)?.exists()
                && swapped.transpose().map_err(bad)? == Some(Some(Ended::Done)))
        }
        None => Ok(false),
    }
}

fn end(step: &Step<'_>) -> Result<Outcome, Failure> {
    // Whatever of it is left lies in nobody's way.
    let _ = remove(&path(step)?);
    step.site.clear_desk();
    live(step)
}

fn gone(step: &Step<'_>) -> Failure {
    let what = format!("what was restored beside `{}` is gone", step.site.shown);
    Failure::new(FailureKind::Moved, what)
}

/// Whether this is the undo of a swap into an empty place.
fn is_away(step: &Step<'_>) -> bool {
    step.request.operation.payload.get("away").and_then(Value::as_bool).unwrap_or(false)
}

/// Takes the file out of its place again; it is kept beside, since somebody may have written to it.
fn take_away(step: &Step<'_>) -> Result<Outcome, Failure> {
    step.kept.forget(step.site);
    let Some(connection) = open(step.site, For::Writing, step.wait)? else {
        return Ok(Outcome::nothing());
    };
    let mut held = Held::alone(connection);
    let seen = look::one(&mut held, step.site, step.request)?.live().cloned();
    step.request.check_expected(seen.as_ref().map(|live| &live.fields))?;
    only_ours(step.request, seen.as_ref())?;
    // Alone, and with everything in the one file.
    let alone = held
        .connection
        .query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0));
    match alone {
        Ok(mode) if mode == "delete" => {}
        _ => return Err(locked(step.site, "take away")),
    }
    drop(held);
    step.lent.may_write()?;
    let away = path(step)?.with_extension("away");
    step.site.make_desk()?;
    std::fs::rename(&step.site.path, &away)
        .map_err(|error| hive_objects::failure("take away", &step.site.shown, &error))?;
    let kept = format!("what was there is kept as `{}`", away.display());
    Ok(Outcome { live: None, kept })
}

/// What became of a swap or of its undo.
///
/// # Errors
/// It cannot be looked up or given up now.
pub(super) fn resolve(step: &Step<'_>) -> Result<Resolution, Failure> {
    step.kept.forget(step.site);
    if is_away(step) {
        return match open(step.site, For::Reading, step.wait)? {
            None => Ok(Resolution::Done(Outcome::nothing())),
            Some(_) => Ok(Resolution::NotStarted { sealed: false }),
        };
    }
    if is_done(step)? {
        return end(step).map(Resolution::Done);
    }
    let copy = match step.request.operation.verb == super::SWAP {
        true => path(step)?,
        false => path(step)?.with_extension("back"),
    };
    if copy.exists() {
        let bad = |error: rusqlite::Error| trouble(step.site, "give up a swap into", &error);
        let copy = open_file(&copy, For::Writing, step.wait).map_err(bad)?;
        void(&copy, step).map_err(bad)?;
        if is_done(step)? {
            return end(step).map(Resolution::Done);
        }
    }
    Ok(Resolution::NotStarted { sealed: true })
}

/// The token may have no effect any more: waits for a swap that still reads the copy.
fn void(copy: &Connection, step: &Step<'_>) -> rusqlite::Result<()> {
    let request = step.request;
    copy.execute_batch("BEGIN EXCLUSIVE")?;
    books::prepare(copy)?;
    copy.execute(
        "INSERT OR REPLACE INTO hive_tokens VALUES (?1, ?2, ?3, 'void', ?4)",
        params![
            request.token.as_str(),
            request.identity,
            request.operation.verb,
            crate::work::now_ms()
        ],
    )?;
    copy.execute_batch("COMMIT")
}
