//! The operations of a restore.

use super::{PUT_BACK, SWAP};
use crate::database::steps::{of, shown};
use hive_contract::{Change, Expects, Invalid, Operation, Retry, Reversible, Undo, Value};
use hive_sql::Dialect;
use hive_sql::restoring::{self, Restoring};

/// The operations of a run that asks for a restore; none where it asks for something else.
pub(crate) fn steps(change: &Change) -> Vec<Operation> {
    let Some(of) = of(change) else { return Vec::new() };
    let shown = format!("`{}`", shown(&of));
    let Some(asked) = Restoring::of(change, of, Retry::default()) else { return Vec::new() };
    let mut steps = Vec::new();
    if asked.replaces && asked.safety {
        steps.push(asked.safety(format!("back up {shown} as it is now")));
    }
    steps.push(asked.restore(&shown));
    steps.push(swap(&asked, &shown));
    steps
}

/// What speaks against it: files that make no list.
pub(crate) fn objections(change: &Change) -> Vec<Invalid> {
    restoring::objections(Dialect::Sqlite, change)
}

fn swap(asked: &Restoring<'_>, shown: &str) -> Operation {
    let title = match asked.replaces {
        true => format!("make it the content of {shown}, in one transaction"),
        false => format!("put it in place as {shown}"),
    };
    let mut step = asked.operation(SWAP, title, false);
    if asked.replaces && !asked.safety {
        let why = "no safety copy of what is replaced was asked for".to_owned();
        step.undo = Undo::None { why: why.clone() };
        step.reversible = Reversible::Irreversible { why };
        return step;
    }
    let (verb, title) = match asked.replaces {
        true => (PUT_BACK, "put the safety copy back"),
        false => (SWAP, "take the file out of its place again"),
    };
    let mut undo = asked.operation(verb, title.to_owned(), asked.replaces);
    undo.expects = Expects::Content;
    if !asked.replaces {
        undo.payload.insert("away".to_owned(), Value::Bool(true));
    }
    step.undone_by(undo)
}
