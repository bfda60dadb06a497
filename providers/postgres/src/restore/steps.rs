//! The operations of a restore.

use super::{ALONE, CLOSE, PUT_BACK, REOPEN, SWAP};
use hive_contract::{Change, Expects, Fields, Invalid, Operation, Retry, Value};
use hive_sql::Dialect;
use hive_sql::restoring::{self, Restoring};

/// The operations of a run that asks for a restore; none where it asks for something else.
pub(crate) fn steps(change: &Change, of: &Fields) -> Vec<Operation> {
    let Some(asked) = Restoring::of(change, of.clone(), Retry::NEVER) else { return Vec::new() };
    let shown = change.target.address.to_string();
    let mut steps = Vec::new();
    if asked.replaces {
        steps.push(close(&asked, &shown));
        if asked.safety {
            steps.push(asked.safety(format!("back up {shown} as it was when it was closed")));
        }
    }
    steps.push(asked.restore(&shown));
    steps.push(swap(&asked, &shown));
    steps
}

/// What speaks against it: files that make no list.
pub(crate) fn objections(change: &Change) -> Vec<Invalid> {
    restoring::objections(Dialect::Postgres, change)
}

fn close(asked: &Restoring<'_>, shown: &str) -> Operation {
    let title = format!("close {shown} to everybody: it is put aside as …_hive_old_{}", asked.key);
    let mut step = asked.operation(CLOSE, title, true);
    step.deadline_ms = 300_000;
    step.notes
        .push("whoever is connected is disconnected, also what hive does not know".to_owned());
    let undo = format!("open {shown} again as it was");
    step.undone_by(asked.operation(REOPEN, undo, false))
}

fn swap(asked: &Restoring<'_>, shown: &str) -> Operation {
    let title = format!("give what was restored the name of {shown}");
    let mut step = asked.operation(SWAP, title, false);
    if asked.replaces {
        step.notes.push(format!("what was there stays as …_hive_old_{}", asked.key));
    }
    let title = format!("take the name of {shown} off it again");
    let mut undo = asked.operation(PUT_BACK, title, false);
    undo.expects = Expects::Content;
    if !asked.replaces {
        undo.payload.insert(ALONE.to_owned(), Value::Bool(true));
    }
    step.undone_by(undo)
}
