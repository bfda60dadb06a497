//! One file in one transaction, with its history row in it.

use super::effect::{failed, one, run, stopped};
use super::{BACKUP, RAW, SCHEMA, list_of, moved, stepwise, text};
use crate::books;
use crate::held::Held;
use crate::session::{Step, only_ours};
use crate::work::now_ms;
use hive_contract::{Failure, FailureKind, Outcome};
use hive_sql::Migration;
use hive_sql::history::Applied;

/// Runs a file.
///
/// # Errors
/// What the database says. A file that runs in a transaction leaves nothing behind then.
pub(super) fn migrate(step: &Step<'_>) -> Result<Outcome, Failure> {
    let migration = super::migration(step)?;
    if !migration.up.transactional {
        return stepwise::migrate(step, &migration);
    }
    let list = list_of(&step.request.identity);
    step.transact(|held, live| {
        only_ours(step.request, live)?;
        let bad = |error: rusqlite::Error| step.trouble("migrate", &error);
        if is_applied(step, held, &migration)? {
            // From a time before the list was let go: it is in the history, and is not run again.
            return touch(step, held);
        }
        let mut row = begun(step, held, &migration)?;
        let ran = run(step.site, &held.connection, &migration.up);
        ran.map_err(|failure| stopped(step, failure))?;
        held.leave().map_err(bad)?;
        row.after = held.schema().map_err(bad)?.fingerprint();
        as_rehearsed(step, &migration.up.file, &row.after)?;
        row.applied = row.total;
        row.begun = row.total;
        row.finished_ms = Some(now_ms());
        held.write(list, row).map_err(bad)?;
        touch(step, held)
    })
}

/// Runs a file on a copy that nobody else has open, with its history row.
///
/// # Errors
/// What the database says.
pub(crate) fn run_file(
    step: &Step<'_>,
    held: &mut Held,
    list: &str,
    migration: &Migration,
) -> Result<(), Failure> {
    let bad = |error: rusqlite::Error| step.trouble("migrate a copy of", &error);
    let mut row = begun(step, held, migration)?;
    if migration.up.statements.iter().any(stepwise::stands_alone) {
        for statement in &migration.up.statements {
            one(&held.connection, statement)
                .map_err(|error| failed(step.site, &migration.up, statement, &error, None))?;
        }
        held.connection.execute_batch("BEGIN IMMEDIATE").map_err(bad)?;
    } else {
        held.connection.execute_batch("BEGIN IMMEDIATE").map_err(bad)?;
        run(step.site, &held.connection, &migration.up)
            .map_err(|failure| stopped(step, failure))?;
    }
    held.leave().map_err(bad)?;
    row.after = held.schema().map_err(bad)?.fingerprint();
    row.applied = row.total;
    row.begun = row.total;
    row.finished_ms = Some(now_ms());
    held.write(list, row).map_err(bad)?;
    held.connection.execute_batch("COMMIT").map_err(bad)
}

/// Whether the history has it already.
///
/// # Errors
/// It has another file of this number, or half of this one.
pub(super) fn is_applied(
    step: &Step<'_>,
    held: &mut Held,
    migration: &Migration,
) -> Result<bool, Failure> {
    let rows = held.history(list_of(&step.request.identity));
    let rows = rows.map_err(|error| step.trouble("read", &error))?;
    match rows.iter().find(|row| row.number() == migration.number) {
        None => Ok(false),
        Some(row) if row.is_half() => {
            Err(moved(format!("`{}` is half applied, and the plan did not know it", row.name)))
        }
        Some(row) if row.name == migration.name && row.checksum == migration.up.checksum => {
            Ok(true)
        }
        Some(row) => Err(moved(format!(
            "`{}` is applied with another content than `{}` has",
            row.name, migration.up.file
        ))),
    }
}

/// The row of a file that is about to run.
pub(super) fn begun(
    step: &Step<'_>,
    held: &mut Held,
    migration: &Migration,
) -> Result<Applied, Failure> {
    let before = held.schema().map_err(|error| step.trouble("read", &error))?.fingerprint();
    let row = Applied::of(migration).by(step.request, now_ms());
    Ok(Applied {
        after: before.clone(),
        before,
        backup: text(step, BACKUP).map(str::to_owned),
        raw_checksum: text(step, RAW).map_or(row.raw_checksum, str::to_owned),
        ..row
    })
}

/// What is live carries this step's token from now on.
pub(super) fn touch(step: &Step<'_>, held: &Held) -> Result<(), Failure> {
    let (request, connection) = (step.request, &held.connection);
    books::set_mark(connection, &request.identity, Some(&request.mark), &request.token)
        .map_err(|error| step.trouble("write", &error))
}

/// The schema is what the rehearsal left, where there was one.
///
/// # Errors
/// It is another; the transaction is not committed.
pub(super) fn as_rehearsed(step: &Step<'_>, file: &str, found: &str) -> Result<(), Failure> {
    let Some(expected) = text(step, SCHEMA).filter(|expected| *expected != found) else {
        return Ok(());
    };
    let short = |text: &str| text.get(..8).unwrap_or(text).to_owned();
    let message = format!(
        "`{file}` leaves another schema than in the rehearsal: expected {}, found {}; nothing was \
         changed",
        short(expected),
        short(found)
    );
    let failure = Failure::new(FailureKind::Unhealthy, message);
    Err(failure.diagnosis(
        "the database is not as it was rehearsed on, or the file does not do the \
                           same each time",
    ))
}
