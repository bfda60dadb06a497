//! Marks: put on, with the file where it is absent, and taken off.

use super::{KEEPS, MARK};
use crate::books::{self, Ended};
use crate::held::Held;
use crate::open::absent;
use crate::session::{self, Step, only_ours, outcome};
use crate::{DATABASE, MIGRATIONS};

use crate::look;
use crate::trouble::trouble;
use hive_contract::{Expects, Failure, FailureKind, Live, Mark, Outcome, Resolution, Value};
use hive_objects::{Renames, exists, failure};
use rusqlite::Connection;
use std::fs;
use std::io::ErrorKind;

/// The prepared file in a claim.
const PREPARED: &str = "database";

/// Puts a mark on.
///
/// # Errors
/// Somebody else's mark is on it, or it cannot be written.
pub(crate) fn claim(step: &Step<'_>) -> Result<Outcome, Failure> {
    let mark = other_mark(step)?.unwrap_or_else(|| step.request.mark.clone());
    if step.request.operation.expects == Expects::Absent && !exists(&step.site.path) {
        return make(step, &mark);
    }
    let begins = step.request.target.address.kind() == MIGRATIONS
        && step.request.operation.expects == Expects::Absent;
    step.transact(|held, _| {
        if begins {
            begin(step, held)?;
        }
        write_mark(step, &held.connection, &mark)
    })
}

/// A list that begins on what is there already keeps it as what was left.
fn begin(step: &Step<'_>, held: &mut Held) -> Result<(), Failure> {
    let bad = |error: rusqlite::Error| step.trouble("read", &error);
    match books::objects(&held.connection).map_err(bad)?.is_empty() {
        true => held.accept().map_err(bad),
        false => Ok(()),
    }
}

fn write_mark(step: &Step<'_>, connection: &Connection, mark: &Mark) -> Result<(), Failure> {
    let (identity, token) = (&step.request.identity, &step.request.token);
    books::set_mark(connection, identity, Some(mark), token)
        .map_err(|error| step.trouble("mark", &error))
}

/// Takes the mark off.
///
/// # Errors
/// It is somebody else's, or cannot be written.
pub(crate) fn release(step: &Step<'_>) -> Result<Outcome, Failure> {
    let keeps = step.request.operation.payload.get(KEEPS).and_then(Value::as_bool);
    let outcome = step.transact(|held: &mut Held, live: Option<&Live>| {
        let (identity, token) = (&step.request.identity, &step.request.token);
        let done = match keeps.unwrap_or(false) {
            // An adopt's undo, too: whoever's mark is on it by then is asked for by content alone.
            true => books::set_mark(&held.connection, identity, None, token),
            false => {
                only_ours(step.request, live)?;
                books::remove_mark(&held.connection, identity)
            }
        };
        done.map_err(|error| step.trouble("take hive's mark off", &error))
    })?;
    if keeps == Some(true) || step.request.target.address.kind() != DATABASE {
        return Ok(outcome);
    }
    let kept = format!("`{}` stays with what is in it, and is nobody's", step.site.shown);
    Ok(Outcome { kept, ..outcome })
}

/// Makes the file with everything in it beside its place, and then puts it there in one move.
fn make(step: &Step<'_>, mark: &Mark) -> Result<Outcome, Failure> {
    let site = step.site;
    if !site.create {
        return Err(absent(site).diagnosis("say `create = true` and hive makes it"));
    }
    step.request.check_expected(None)?;
    step.lent.may_write()?;
    let bytes = {
        let scratch = site.scratch("new")?;
        let connection =
            crate::open::open_file(&scratch.path, crate::open::For::Writing, step.wait)
                .map_err(|error| step.trouble("make", &error))?;
        let bad = |error: rusqlite::Error| trouble(site, "make", &error);
        connection.execute_batch("BEGIN").map_err(bad)?;
        books::prepare(&connection).map_err(bad)?;
        write_mark(step, &connection, mark)?;
        step.record(&connection, Ended::Done)?;
        connection.execute_batch("COMMIT").map_err(bad)?;
        drop(connection);
        fs::read(&scratch.path).map_err(|error| failure("make", &site.shown, &error))?
    };
    site.make_desk()?;
    let claim = site.claims().make(&step.request.token)?;
    let made = claim.prepare(PREPARED, &bytes, 0o600, true);
    made.map_err(|error| failure("make", &site.shown, &error))?;
    if let Err(expired) = step.lent.may_write() {
        claim.end();
        return Err(expired);
    }
    let installed = claim.install_new(PREPARED, &site.path);
    claim.end();
    site.clear_desk();
    match installed {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let what = format!("`{}` is there, and the plan expects nothing there", site.shown);
            return Err(Failure::new(FailureKind::Moved, what));
        }
        Err(error) => return Err(failure("make", &site.shown, &error)),
    }
    if let Some(folder) = site.path.parent() {
        // A power cut may not take the new name away.
        let synced = fs::File::open(folder).and_then(|it| it.sync_all());
        synced.map_err(|error| failure("make", &site.shown, &error))?;
    }
    let mut held = step.kept.take(site, step.wait)?.ok_or_else(|| absent(site))?;
    let observed = look::one(&mut held, site, step.request)?;
    step.kept.keep(site, held);
    Ok(outcome(observed))
}

/// What became of a step of one of these two verbs.
///
/// # Errors
/// It cannot be read or written now.
pub(crate) fn resolve(step: &Step<'_>) -> Result<Resolution, Failure> {
    if let Some(found) = session::resolve(step)? {
        return Ok(found);
    }
    step.site.make_desk()?;
    let sealed = step.site.claims().void(&step.request.token, Renames::Out(&[PREPARED]))?;
    // It may have been put there in between.
    Ok(session::resolve(step)?.unwrap_or(Resolution::NotStarted { sealed }))
}

/// The mark that an undo sets again.
fn other_mark(step: &Step<'_>) -> Result<Option<Mark>, Failure> {
    let Some(value) = step.request.operation.payload.get(MARK) else { return Ok(None) };
    let mark = Mark::from_value(value);
    mark.map(Some).ok_or_else(|| Failure::new(FailureKind::Invalid, "the mark makes no sense"))
}
