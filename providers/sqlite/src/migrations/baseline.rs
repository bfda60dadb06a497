//! What is taken as it is: another tool's history, and what was changed by hand.

use super::look::foreign;
use super::up::touch;
use super::{list_of, moved};
use crate::held::Held;
use crate::session::{Step, only_ours};
use crate::work::now_ms;
use hive_contract::{Failure, FailureKind, Outcome, Value};
use hive_sql::foreign::{Tool, rows_value};
use hive_sql::history::Applied;
use hive_sql::list::{FOREIGN, NONE, rows_of};

/// Counts files as applied that another tool, or a person, has run.
///
/// # Errors
/// The tool's history is not what the plan saw, or the list is somebody else's.
pub(super) fn baseline(step: &Step<'_>) -> Result<Outcome, Failure> {
    step.transact(|held, live| {
        only_ours(step.request, live)?;
        still_says(step, held)?;
        let schema = held.schema().map_err(|error| step.trouble("read", &error))?.fingerprint();
        let list = list_of(&step.request.identity);
        for row in rows(step)? {
            let now = now_ms();
            let row = Applied {
                finished_ms: Some(now),
                before: schema.clone(),
                after: schema.clone(),
                ..row.by(step.request, now)
            };
            held.write(list, row).map_err(|error| step.trouble("write", &error))?;
        }
        held.accept().map_err(|error| step.trouble("write", &error))?;
        touch(step, held)
    })
}

/// The history that the plan was made from is as it was.
fn still_says(step: &Step<'_>, held: &Held) -> Result<(), Failure> {
    let payload = &step.request.operation.payload;
    let tool = payload.get("baseline").and_then(Value::as_map).and_then(|it| it.get("tool"));
    let tool = tool.and_then(Value::as_text).unwrap_or_default();
    if tool == NONE {
        return Ok(());
    }
    let known = Tool::parse(tool);
    let known = known.ok_or_else(|| moved(format!("hive knows no history of `{tool}`")))?;
    let found = foreign(&held.connection, known).map_err(|error| step.trouble("read", &error))?;
    let found = found.map(|rows| rows_value(&rows));
    if found.as_ref() == payload.get(FOREIGN) {
        return Ok(());
    }
    Err(moved(format!("the history of {tool} is not what the plan saw")))
}

/// Takes what is live, and the files as they are now, as what the last migration left.
///
/// # Errors
/// The list is not as the plan saw it.
pub(super) fn accept(step: &Step<'_>) -> Result<Outcome, Failure> {
    step.transact(|held, live| {
        only_ours(step.request, live)?;
        let list = list_of(&step.request.identity);
        let bad = |error: rusqlite::Error| step.trouble("write", &error);
        for file in rows(step)? {
            let applied = held.history(list).map_err(bad)?;
            let row = applied.iter().find(|row| row.number() == file.number()).cloned();
            let row = row.ok_or_else(|| moved(format!("`{}` is not applied", file.name)))?;
            if row.statements != file.statements {
                return Err(moved(format!("`{}` says something else than was applied", file.name)));
            }
            let row = Applied { checksum: file.checksum, raw_checksum: file.raw_checksum, ..row };
            held.write(list, row).map_err(bad)?;
        }
        held.accept().map_err(bad)?;
        touch(step, held)
    })
}

fn rows(step: &Step<'_>) -> Result<Vec<Applied>, Failure> {
    let rows = rows_of(&step.request.operation.payload);
    rows.ok_or_else(|| Failure::new(FailureKind::Invalid, "the operation's rows make no sense"))
}
