//! What became of a step of a list whose end nobody saw.

use super::{MIGRATE, RESUME, list_of};
use crate::database::CLAIM;
use crate::database::RELEASE;
use crate::session::{self, Step};
use crate::trouble::trouble;
use crate::{books, database, look};
use hive_contract::{Failure, FailureKind, Outcome, Remains, Resolution};
use hive_sql::history::Applied;

/// Looks the step up; what had no effect may have none any more.
///
/// # Errors
/// The database cannot be read or written now.
pub(crate) fn resolve(step: &Step<'_>) -> Result<Resolution, Failure> {
    let verb = step.request.operation.verb.as_str();
    if verb == CLAIM || verb == RELEASE {
        return database::claim::resolve(step);
    }
    if (verb == MIGRATE || verb == RESUME)
        && let Some(half) = half(step)?
    {
        return Ok(half);
    }
    match session::resolve(step)? {
        Some(found) => Ok(found),
        // Without the file nothing of it can be there, and a step needs it.
        None => Ok(Resolution::NotStarted { sealed: false }),
    }
}

/// A file that this step began without a transaction and did not end.
fn half(step: &Step<'_>) -> Result<Option<Resolution>, Failure> {
    let Some(mut held) = step.kept.take(step.site, step.wait)? else { return Ok(None) };
    let bad = |error: rusqlite::Error| trouble(step.site, "read", &error);
    // Whoever still writes is waited for.
    step.sql(&held.connection, "recover", "BEGIN IMMEDIATE")?;
    let there = books::exist(&held.connection).map_err(bad)?;
    let rows =
        if there { held.history(list_of(&step.request.identity)).map_err(bad)? } else { &[] };
    let mine = |row: &&Applied| row.is_half() && row.token == step.request.token.as_str();
    let half = rows.iter().find(mine).cloned();
    step.sql(&held.connection, "recover", "ROLLBACK")?;
    let Some(row) = half else {
        step.kept.keep(step.site, held);
        return Ok(None);
    };
    let facts = format!("{} of {} statements of `{}` are done", row.applied, row.total, row.name);
    let Some(error) = row.error else { return Ok(Some(Resolution::Partly { facts })) };
    let live = look::one(&mut held, step.site, step.request)?.live().cloned();
    let remains = Remains::Left(Box::new(Outcome { live, kept: String::new() }));
    let failure = Failure::new(FailureKind::Invalid, error).diagnosis(facts).remains(remains);
    Ok(Some(Resolution::Failed(failure)))
}
