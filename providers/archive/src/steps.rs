//! The operations of one change: those of every backup, and unpacking one.

use hive_backup::steps_backup;
use hive_contract::{Action, Change, Expects, Operation, Retry, Value};

/// Lays a backup out as a folder.
pub(crate) const UNPACK: &str = "unpack";
/// Takes away what [`UNPACK`] laid out, where it is still the same.
pub(crate) const DISCARD: &str = "discard";
/// Payload: which backup.
pub(crate) const ID: &str = "id";
/// Payload: where to, relative to the stack's folder.
pub(crate) const TO: &str = "to";
/// Content takes as long as it takes; this is for what hangs.
const DEADLINE_MS: u64 = 24 * 3_600_000;

/// The operations of one change, in order. Pure.
pub(crate) fn steps(change: &Change) -> Vec<Operation> {
    let asked = change.run.as_ref().filter(|_| change.action == Action::Run);
    let text = |key: &str| asked.and_then(|run| run.get(key)).and_then(Value::as_text);
    if text("verb") != Some(UNPACK) {
        return steps_backup(change);
    }
    let (Some(desired), Some(id), Some(to)) = (&change.desired, text(ID), text(TO)) else {
        return Vec::new();
    };
    let mut payload = desired.access.clone();
    payload.insert(ID.to_owned(), Value::text(id));
    payload.insert(TO.to_owned(), Value::text(to));
    let title = format!("take away `{to}` as long as it is as it was unpacked");
    let mut undo = Operation::new(DISCARD, title, Expects::Content, payload.clone());
    undo.deadline_ms = DEADLINE_MS;
    let title = format!("unpack the backup {id} into `{to}`");
    let mut step = Operation::new(UNPACK, title, Expects::Content, payload).undone_by(undo);
    step.deadline_ms = DEADLINE_MS;
    step.retry = Retry::default();
    step.notes.push("written beside, compared, and then put in its place".to_owned());
    vec![step]
}
