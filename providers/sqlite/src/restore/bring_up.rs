//! An older backup at the schema that is wanted, and whose everything in it is.

use super::FILES;
use crate::backup::lists;
use crate::books;
use crate::held::Held;
use crate::migrations::run_file;
use crate::session::Step;
use crate::trouble::trouble;
use hive_contract::{Event, Failure, FailureKind, Mark};
use hive_sql::history::{Order, compare};
use hive_sql::manifest::Manifest;
use hive_sql::{Dialect, FileText, Migrations};
use rusqlite::Connection;

/// Runs what is wanted and not in the backup, and marks everything of the backup's owner as the
/// step's.
///
/// # Errors
/// The files do not go with what is applied in the backup, or one fails.
pub(super) fn bring_up(
    step: &Step<'_>,
    manifest: &Manifest,
    connection: Connection,
) -> Result<Connection, Failure> {
    let bad = |error: rusqlite::Error| trouble(step.site, "bring up a copy beside", &error);
    let mut held = Held::alone(connection);
    books::prepare(&held.connection).map_err(bad)?;
    books::check_format(&held.connection, &manifest.id)?;
    let list = list(step, &held.connection).map_err(bad)?;
    run(step, manifest, &mut held, &list)?;
    held.connection.execute_batch("BEGIN IMMEDIATE").map_err(bad)?;
    marks(step, manifest, &held.connection, &list).map_err(bad)?;
    held.connection.execute_batch("COMMIT").map_err(bad)?;
    Ok(held.connection)
}

/// The list whose files are given: that of the backup, else that of what is live, else the one of
/// the same name.
fn list(step: &Step<'_>, connection: &Connection) -> rusqlite::Result<String> {
    if let Some(list) = lists(connection)?.into_iter().next() {
        return Ok(list);
    }
    let of_live = match step.kept.take(step.site, step.wait) {
        Ok(Some(live)) => lists(&live.connection)?.into_iter().next(),
        _ => None,
    };
    let name = step.request.target.address.name();
    Ok(of_live.unwrap_or_else(|| format!("{}.{name}", crate::MIGRATIONS)))
}

fn run(step: &Step<'_>, manifest: &Manifest, held: &mut Held, list: &str) -> Result<(), Failure> {
    let files = FileText::list(step.request.operation.payload.get(FILES));
    if files.is_empty() {
        return Ok(());
    }
    let invalid = |what: String| Failure::new(FailureKind::Invalid, what);
    let migrations = Migrations::read(Dialect::Sqlite, &files).map_err(|faults| {
        let named = faults.first().map(ToString::to_string).unwrap_or_default();
        invalid(format!("the files of the list make no sense: {named}"))
    })?;
    let bad = |error: rusqlite::Error| trouble(step.site, "bring up a copy beside", &error);
    let rows = held.history(list).map_err(bad)?.to_vec();
    let pending = compare(&migrations, &rows, Order::Any).map_err(|wrong| {
        let named: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        invalid(format!(
            "the backup {} does not go with the files: {}",
            manifest.id,
            named.join("; ")
        ))
    })?;
    if let Some(row) = pending.beyond.first().and_then(|at| rows.get(*at)) {
        let what = format!(
            "the backup {} is newer than the schema that is wanted: it holds `{}`",
            manifest.id, row.name
        );
        return Err(invalid(what));
    }
    if let Some(half) = &pending.half {
        return Err(invalid(format!("in the backup {} {}", manifest.id, half.words())));
    }
    for migration in pending.files.iter().filter_map(|at| migrations.list().get(*at)) {
        step.lent.say(Event::info(format!("brings it up to {}", migration.name)));
        step.lent.may_write()?;
        run_file(step, held, list, migration)?;
    }
    Ok(())
}

/// What the backup's owner held is the step's owner's: another environment may have made it.
fn marks(
    step: &Step<'_>,
    manifest: &Manifest,
    connection: &Connection,
    list: &str,
) -> rusqlite::Result<()> {
    let (owner, token) = (&step.request.mark.owner, &step.request.token);
    for marked in books::all_marked(connection)? {
        let Some(mark) = marked.mark.filter(|it| it.owner == manifest.mark.owner) else { continue };
        let mark = Mark { owner: owner.clone(), address: mark.address };
        let identity = format!("{}/{}", owner.environment, mark.address);
        books::remove_mark(connection, &marked.identity)?;
        books::set_mark(connection, &identity, Some(&mark), token)?;
    }
    books::set_mark(connection, &step.request.identity, Some(&step.request.mark), token)?;
    let has_history = lists(connection)?.iter().any(|it| it == list);
    if let (true, Ok(address)) = (has_history, list.parse()) {
        let mark = Mark { owner: owner.clone(), address };
        let identity = format!("{}/{list}", owner.environment);
        books::set_mark(connection, &identity, Some(&mark), token)?;
    }
    Ok(())
}
