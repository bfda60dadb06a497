//! The kind `migrations`: one list of files, what is applied of it, and how it goes on.

mod baseline;
mod compare;
mod down;
mod effect;
mod guarded;
pub(crate) mod look;
pub(crate) mod lower;
mod objections;
mod rehearse;
mod resolve;
pub(crate) mod steps;
mod stepwise;
mod up;

pub(crate) use hive_sql::list::{ACCEPT, BACKUP, DOWN, FILES, MIGRATE, RAW, RESUME, SCHEMA};
pub(crate) use look::look;
pub(crate) use objections::objections;
pub(crate) use rehearse::{can_rehearse, rehearse};
pub(crate) use resolve::resolve;
pub(crate) use up::run_file;

use crate::database::{self, CLAIM, RELEASE};
use crate::session::Step;
use hive_contract::{Change, Failure, FailureKind, Outcome, Rehearsal, Value, WayBack};
use hive_sql::list::{Tried, migration_of};
use hive_sql::{Dialect, Migration};

/// Takes the history of another tool over.
pub(crate) const BASELINE: &str = "baseline";

/// One step of a list.
///
/// # Errors
/// As its verb says.
pub(crate) fn perform(step: &Step<'_>) -> Result<Outcome, Failure> {
    match step.request.operation.verb.as_str() {
        CLAIM => database::claim::claim(step),
        RELEASE => database::claim::release(step),
        BASELINE => baseline::baseline(step),
        MIGRATE => up::migrate(step),
        RESUME => stepwise::resume(step),
        DOWN => down::down(step),
        ACCEPT => baseline::accept(step),
        verb => Err(Failure::new(
            FailureKind::Invalid,
            format!("migrations of SQLite know no `{verb}`"),
        )),
    }
}

/// Which ways lead back from a change.
pub(crate) fn ways_back(change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<WayBack> {
    let Some(Ok(compared)) = compare::compared(change) else { return Vec::new() };
    let files: Vec<&Migration> = compared.pending().collect();
    let tried = Tried::of(rehearsal);
    hive_sql::list::ways_back(&compared.material, &files, &tried, &change.related)
}

/// The migration of a step.
fn migration(step: &Step<'_>) -> Result<Migration, Failure> {
    migration_of(Dialect::Sqlite, step.request.operation.payload.get(FILES))
}

/// The address of a list, by which its history is found whatever the environment is called.
pub(crate) fn list_of(identity: &str) -> &str {
    identity.rsplit_once('/').map_or(identity, |(_, address)| address)
}

/// A payload's text.
pub(crate) fn text<'a>(step: &'a Step<'_>, key: &str) -> Option<&'a str> {
    step.request.operation.payload.get(key).and_then(Value::as_text)
}

/// The database holds something else than the plan saw.
pub(crate) fn moved(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Moved, message)
}
