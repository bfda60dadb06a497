//! A file without a transaction, statement by statement: how far it is stands in its history row.

use super::effect::{failed, one, stopped};
use super::guarded::Guarded;
use super::up::{as_rehearsed, begun, is_applied, touch};
use super::{list_of, moved};
use crate::books::Ended;
use crate::held::Held;
use crate::look;
use crate::open::absent;
use crate::session::{Step, given_up, only_ours, outcome};
use crate::work::now_ms;
use hive_contract::{Failure, Outcome, Remains};
use hive_sql::history::Applied;
use hive_sql::{GoesOn, Half, Migration, Statement, applied_so_far};

/// Runs a file, or goes on with it where an earlier try with the same token was interrupted.
///
/// # Errors
/// What the database says, with what it left.
pub(super) fn migrate(step: &Step<'_>, migration: &Migration) -> Result<Outcome, Failure> {
    go(step, migration, false)
}

/// Goes on with a file that another step began.
///
/// # Errors
/// What the database says, with what it left.
pub(super) fn resume(step: &Step<'_>) -> Result<Outcome, Failure> {
    go(step, &super::migration(step)?, true)
}

fn go(step: &Step<'_>, migration: &Migration, resumes: bool) -> Result<Outcome, Failure> {
    step.lent.may_write()?;
    let wait = step.wait.min(step.lent.left());
    let mut held = step.kept.take(step.site, wait)?.ok_or_else(|| absent(step.site))?;
    let Some(mut row) = begin(step, &mut held, migration, resumes)? else {
        return end(step, held);
    };
    let ran = statements(step, &mut held, migration, &mut row);
    if let Err(failure) = ran {
        let so_far = applied_so_far(&row.name, row.applied, row.total);
        return Err(left(step, held, failure.diagnosis(so_far)));
    }
    match finish(step, &mut held, migration, row) {
        Ok(()) => end(step, held),
        Err(failure) => Err(left(step, held, failure)),
    }
}

/// The row to go on with, durable before the first statement; none where all is done.
fn begin(
    step: &Step<'_>,
    held: &mut Held,
    migration: &Migration,
    resumes: bool,
) -> Result<Option<Applied>, Failure> {
    let list = list_of(&step.request.identity);
    step.sql(&held.connection, "begin a change of", "BEGIN IMMEDIATE")?;
    let bad = |error: rusqlite::Error| step.trouble("migrate", &error);
    match crate::books::ended(&held.connection, &step.request.token).map_err(bad)? {
        Some(Ended::Done) => {
            step.sql(&held.connection, "read", "ROLLBACK")?;
            return Ok(None);
        }
        Some(Ended::Void) => return Err(given_up()),
        None => {}
    }
    let rows = held.history(list).map_err(bad)?;
    let there = rows.iter().find(|row| row.number() == migration.number).cloned();
    let row = match there {
        // An earlier try of this step: what it expected was so when it began.
        Some(row) if row.is_half() && row.token == step.request.token.as_str() => row,
        // Or another attempt of the same apply at the same file.
        Some(row) if row.is_half() && (resumes || same_apply(step, &row)) => {
            expected(step, held)?;
            taken_over(step, migration, row)?
        }
        _ if resumes => return Err(moved(format!("`{}` is not half applied", migration.name))),
        _ => {
            expected(step, held)?;
            if is_applied(step, held, migration)? {
                touch(step, held)?;
                step.record(&held.connection, Ended::Done)?;
                step.sql(&held.connection, "write", "COMMIT")?;
                return Ok(None);
            }
            begun(step, held, migration)?
        }
    };
    held.write(list, row.clone()).map_err(bad)?;
    touch(step, held)?;
    step.lent.may_write()?;
    step.sql(&held.connection, "write", "COMMIT")?;
    Ok(Some(row))
}

fn same_apply(step: &Step<'_>, row: &Applied) -> bool {
    !row.apply.is_empty() && step.request.facts.get("apply") == Some(&row.apply)
}

fn expected(step: &Step<'_>, held: &mut Held) -> Result<(), Failure> {
    let live = look::one(held, step.site, step.request)?.live().cloned();
    step.request.check_expected(live.as_ref().map(|live| &live.fields))?;
    only_ours(step.request, live.as_ref())
}

/// The row of a step that did not end, as this step's.
fn taken_over(step: &Step<'_>, migration: &Migration, row: Applied) -> Result<Applied, Failure> {
    match Half::new(migration, &row).goes_on {
        GoesOn::Resume(_) => {}
        GoesOn::Ask(facts) => return Err(moved(facts.join("; "))),
        GoesOn::Down => return Err(moved(format!("`{}` is not wanted any more", row.name))),
    }
    Ok(Applied {
        token: step.request.token.as_str().to_owned(),
        error: None,
        error_statement: None,
        applied: row.applied,
        started_ms: row.started_ms,
        before: row.before,
        backup: row.backup,
        apply: step.request.facts.get("apply").cloned().unwrap_or_default(),
        hive: env!("CARGO_PKG_VERSION").to_owned(),
        ..Applied::of(migration)
    })
}

fn statements(
    step: &Step<'_>,
    held: &mut Held,
    migration: &Migration,
    row: &mut Applied,
) -> Result<(), Failure> {
    let done = usize::try_from(row.applied).unwrap_or(usize::MAX);
    for statement in migration.up.statements.iter().skip(done) {
        step.lent.may_write()?;
        if let Some(stopped) = step.lent.stopped() {
            return Err(stopped);
        }
        let list = list_of(&step.request.identity);
        let next = Applied {
            applied: row.applied + 1,
            begun: row.applied + 1,
            error: None,
            error_statement: None,
            ..row.clone()
        };
        let ran = match stands_alone(statement) {
            false => {
                // Together with how far it is: nobody ever has to guess whether it ran.
                step.sql(&held.connection, "begin a change of", "BEGIN IMMEDIATE")?;
                let ran = guarded(step, held, migration, statement);
                ran.and_then(|()| {
                    // What half a file leaves is what it left, and nobody's work by hand.
                    held.leave().map_err(|error| step.trouble("migrate", &error))
                })
                .and_then(|_| wrote(step, held, list, &next))
                .and_then(|()| step.sql(&held.connection, "write", "COMMIT"))
            }
            // It changes nothing that a second time would not: a vacuum, a pragma.
            true => one(&held.connection, statement)
                .map_err(|error| failed(step.site, &migration.up, statement, &error, None))
                .and_then(|()| wrote(step, held, list, &next)),
        };
        match ran {
            Ok(()) => *row = next,
            Err(failure) => {
                if !held.connection.is_autocommit() {
                    step.sql(&held.connection, "roll back", "ROLLBACK")?;
                }
                held.forget();
                row.error = Some(failure.message.clone());
                row.error_statement = Some(row.applied);
                wrote(step, held, list, row)?;
                return Err(stopped(step, failure));
            }
        }
    }
    Ok(())
}

fn guarded(
    step: &Step<'_>,
    held: &Held,
    migration: &Migration,
    statement: &Statement,
) -> Result<(), Failure> {
    let guarded = Guarded::new(&held.connection);
    one(&held.connection, statement)
        .map_err(|error| failed(step.site, &migration.up, statement, &error, guarded.refused()))
}

fn wrote(step: &Step<'_>, held: &mut Held, list: &str, row: &Applied) -> Result<(), Failure> {
    held.write(list, row.clone()).map_err(|error| step.trouble("migrate", &error))
}

/// Whether SQLite runs it in no transaction.
pub(super) fn stands_alone(statement: &Statement) -> bool {
    let first = statement.text.split(|c: char| !c.is_ascii_alphabetic()).next();
    first.is_some_and(|word| ["vacuum", "pragma"].iter().any(|it| word.eq_ignore_ascii_case(it)))
}

fn finish(
    step: &Step<'_>,
    held: &mut Held,
    migration: &Migration,
    mut row: Applied,
) -> Result<(), Failure> {
    step.lent.may_write()?;
    let bad = |error: rusqlite::Error| step.trouble("migrate", &error);
    step.sql(&held.connection, "begin a change of", "BEGIN IMMEDIATE")?;
    held.leave().map_err(bad)?;
    row.after = held.schema().map_err(bad)?.fingerprint();
    as_rehearsed(step, &migration.up.file, &row.after)?;
    row.finished_ms = Some(now_ms());
    held.write(list_of(&step.request.identity), row).map_err(bad)?;
    touch(step, held)?;
    step.record(&held.connection, Ended::Done)?;
    step.sql(&held.connection, "write", "COMMIT")
}

fn end(step: &Step<'_>, mut held: Held) -> Result<Outcome, Failure> {
    let observed = look::one(&mut held, step.site, step.request)
        .map_err(|failure| failure.remains(Remains::Unsure))?;
    step.kept.keep(step.site, held);
    Ok(outcome(observed))
}

/// What a file that did not end left. The next step opens the database anew.
fn left(step: &Step<'_>, mut held: Held, failure: Failure) -> Failure {
    if !held.connection.is_autocommit() {
        let _ = held.connection.execute_batch("ROLLBACK");
    }
    held.forget();
    let remains = match look::one(&mut held, step.site, step.request) {
        Ok(observed) => Remains::Left(Box::new(outcome(observed))),
        Err(_) => Remains::Unsure,
    };
    failure.remains(remains)
}
