//! One down file: what it takes back is out of the history in the same transaction.

use super::effect::{run, stopped};
use super::up::{as_rehearsed, touch};
use super::{SCHEMA, list_of, moved, text};
use crate::session::{Step, only_ours};
use hive_contract::{Event, Failure, FailureKind, Outcome};

/// Runs a down file.
///
/// # Errors
/// What the database says; nothing was changed then.
pub(super) fn down(step: &Step<'_>) -> Result<Outcome, Failure> {
    let migration = super::migration(step)?;
    let script = migration.down.script().ok_or_else(|| {
        Failure::new(FailureKind::Invalid, format!("nothing takes `{}` back", migration.name))
    })?;
    let list = list_of(&step.request.identity);
    step.transact(|held, live| {
        only_ours(step.request, live)?;
        let bad = |error: rusqlite::Error| step.trouble("migrate", &error);
        let rows = held.history(list).map_err(bad)?;
        let row = rows.iter().find(|row| row.number() == migration.number).cloned();
        let row = row.ok_or_else(|| moved(format!("`{}` is not applied", migration.name)))?;
        if !row.is_half() && row.checksum != migration.up.checksum {
            let what =
                format!("`{}` is applied with another content than the plan knows", row.name);
            return Err(moved(what));
        }
        let ran = run(step.site, &held.connection, script);
        ran.map_err(|failure| stopped(step, failure))?;
        held.leave().map_err(bad)?;
        let after = held.schema().map_err(bad)?.fingerprint();
        as_rehearsed(step, &script.file, &after)?;
        if text(step, SCHEMA).is_none() && !row.before.is_empty() && row.before != after {
            let what = format!(
                "`{}` does not bring back the schema that was there before `{}`",
                script.file, row.name
            );
            step.lent.say(Event::warning(what));
        }
        held.erase(list, &row).map_err(bad)?;
        touch(step, held)
    })
}
