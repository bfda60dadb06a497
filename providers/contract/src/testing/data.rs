//! Things that hold data: what runs in front of its users, what takes away for good at the end, and
//! what is changed while nobody uses it.

use super::lower::{desired, operation, plain, way_back};
use crate::address::Address;
use crate::change::Change;
use crate::operation::{Expects, Operation, Phase, Reversible, Undo};
use crate::value::{Fields, OutputRef, Value};

/// How the change of a thing goes beyond its one operation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// That is all.
    Plain,
    /// What is left behind is taken away at the end.
    Prunes,
    /// What is taken away at the end comes back from a backup alone.
    Contracts,
    /// All of it happens while nobody uses it.
    Quiet,
}

/// How the change of a thing with these fields goes.
pub(super) fn ends(fields: &Fields) -> Ends {
    match fields.get("steps") {
        Some(Value::Int(2)) => Ends::Prunes,
        Some(Value::Text(text)) if text == "contract" => Ends::Contracts,
        Some(Value::Text(text)) if text == "quiet" => Ends::Quiet,
        _ => Ends::Plain,
    }
}

/// Whether it keeps a copy in front of the steps of its users.
pub(super) fn is_front(fields: &Fields) -> bool {
    fields.get("front") == Some(&Value::Bool(true))
}

/// Whether there is nothing of it that could be stopped.
pub(super) fn is_idle(fields: &Fields) -> bool {
    is_front(fields) || fields.contains_key("idle")
}

/// One more copy. It stays, whatever becomes of the rest.
pub(super) fn keep(change: &Change) -> Operation {
    let payload = change.run.clone().unwrap_or_default();
    operation("keep", change, Expects::Content, payload)
}

/// What was there when the copy of this weight was kept, while nobody uses it.
pub(super) fn restore(change: &Change, run: &Fields) -> Operation {
    let weight = run.get("weight").cloned().unwrap_or(Value::Int(0));
    let mut set = desired(change);
    set.insert("weight".to_owned(), weight);
    let there = Fields::from([("set".to_owned(), Value::Map(set))]);
    let undo = operation("update", change, Expects::Content, way_back(change));
    let restore = operation("update", change, Expects::Content, there).undone_by(undo);
    Operation { phase: Phase::Stopped, ..restore }
}

/// The operations of a change that begins with this one.
pub(super) fn ended(change: &Change, mut first: Operation, makes: bool) -> Vec<Operation> {
    let fields = desired(change);
    made_with(&mut first, &fields);
    let prune = || {
        let undo = plain("unprune", change, Expects::Content);
        plain("prune", change, Expects::Content).undone_by(undo)
    };
    match ends(&fields) {
        Ends::Plain => vec![first],
        Ends::Prunes => vec![first, Operation { phase: Phase::Prune, ..prune() }],
        Ends::Contracts if makes => vec![first],
        Ends::Contracts => vec![first, contract(change, &fields)],
        Ends::Quiet => [first, prune()]
            .map(|operation| Operation { phase: Phase::Stopped, ..operation })
            .into(),
    }
}

fn contract(change: &Change, fields: &Fields) -> Operation {
    let mut contract = plain("contract", change, Expects::Content);
    if fields.contains_key("doomed-contract") {
        let doomed = Fields::from([("doomed".to_owned(), Value::from("unhealthy"))]);
        contract.payload.insert("set".to_owned(), Value::Map(doomed));
    }
    made_with(&mut contract, fields);
    contract.phase = Phase::Prune;
    contract.undo = Undo::None { why: "it takes away what was there before".to_owned() };
    let from = fields.get("kept-by").and_then(Value::scalar).unwrap_or_default();
    let loses = "what was written since".to_owned();
    contract.reversible = Reversible::Restorable { from, loses };
    contract
}

/// What it is made with is said only by the step in front of it.
fn made_with(operation: &mut Operation, fields: &Fields) {
    let kept_by = fields.get("kept-by").and_then(Value::as_text);
    if let Some(address) = kept_by.and_then(|it| it.parse::<Address>().ok()) {
        let id = OutputRef { address, output: "id".to_owned() };
        operation.payload.insert("kept".to_owned(), Value::Output(id));
    }
}
