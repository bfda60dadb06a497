//! The operations of one change.

use crate::read::is_stand_in;
use crate::spot::Spot;
use hive_contract::{
    Action, Change, Expects, Fields, Live, Mark, Operation, Reversible, Undo, Value,
};

/// Writes content, mode, mark and token.
pub(crate) const WRITE: &str = "write";
/// Takes the file and its mark away.
pub(crate) const REMOVE: &str = "remove";
/// Sets the mark and leaves the file.
pub(crate) const ADOPT: &str = "adopt";
/// Removes the mark and leaves the file.
pub(crate) const RELEASE: &str = "release";

/// Payload: the identity that the file has.
pub(crate) const AT: &str = "at";
/// Payload of [`ADOPT`]: a mark other than the step's own, for an undo.
pub(crate) const MARK: &str = "mark";

pub(crate) fn steps(change: &Change) -> Vec<Operation> {
    match change.action {
        Action::Create => create(change).into_iter().collect(),
        Action::Update => update(change, &change.identity).into_iter().collect(),
        Action::Delete => vec![delete(change)],
        Action::Adopt => adopt(change),
        Action::Forget => vec![forget(change)],
        // A replacement comes as its two halves, and a file does not run.
        Action::Keep | Action::Replace | Action::Run | Action::Stop | Action::Start => Vec::new(),
    }
}

fn create(change: &Change) -> Option<Operation> {
    let desired = change.desired.as_ref()?;
    let undo = remove(&desired.identity);
    Some(write(&desired.identity, Expects::Absent, &desired.fields)?.undone_by(undo))
}

fn update(change: &Change, identity: &str) -> Option<Operation> {
    let desired = change.desired.as_ref()?;
    let step = write(identity, Expects::Content, &desired.fields)?;
    Some(taken_back(step, change.observed.as_ref(), |live| {
        write(identity, Expects::Content, &live.fields)
    }))
}

fn delete(change: &Change) -> Operation {
    let step = remove(&change.identity);
    taken_back(step, change.observed.as_ref(), |live| {
        write(&change.identity, Expects::Absent, &live.fields)
    })
}

fn adopt(change: &Change) -> Vec<Operation> {
    let identity = &change.identity;
    let before = change.observed.as_ref().and_then(|live| live.mark.as_ref());
    let undo = match before {
        Some(mark) => mark_as(identity, Some(mark)),
        None => release(identity),
    };
    let mut steps = vec![mark_as(identity, None).undone_by(undo)];
    if !change.differences.is_empty() {
        steps.extend(update(change, identity));
    }
    steps
}

fn forget(change: &Change) -> Operation {
    let before = change.observed.as_ref().and_then(|live| live.mark.as_ref());
    release(&change.identity).undone_by(mark_as(&change.identity, before))
}

fn write(identity: &str, expects: Expects, fields: &Fields) -> Option<Operation> {
    let mut payload = at(identity);
    for key in ["content", "mode"] {
        payload.insert(key.to_owned(), fields.get(key)?.clone());
    }
    Some(Operation::new(WRITE, format!("write {}", shown(identity)), expects, payload))
}

fn remove(identity: &str) -> Operation {
    let title = format!("remove {}", shown(identity));
    Operation::new(REMOVE, title, Expects::Content, at(identity))
}

fn release(identity: &str) -> Operation {
    let title = format!("take hive's mark off {}", shown(identity));
    Operation::new(RELEASE, title, Expects::Content, at(identity))
}

fn mark_as(identity: &str, mark: Option<&Mark>) -> Operation {
    let mut payload = at(identity);
    if let Some(mark) = mark {
        payload.insert(MARK.to_owned(), mark.value());
    }
    let title = format!("mark {} as hive's", shown(identity));
    Operation::new(ADOPT, title, Expects::Content, payload)
}

/// An undo that writes again what was live; none where that could not be read as text.
fn taken_back(
    mut step: Operation,
    live: Option<&Live>,
    undo: impl Fn(&Live) -> Option<Operation>,
) -> Operation {
    let written = |live: &&Live| {
        let content = live.fields.get("content").and_then(Value::as_text);
        content.is_some_and(|content| !is_stand_in(content))
    };
    match live.filter(written).and_then(undo) {
        Some(undo) => step.undone_by(undo),
        None => {
            let why = "the content that is live is no text of at most 1 MiB, and hive kept no copy";
            step.undo = Undo::None { why: why.to_owned() };
            step.reversible = Reversible::Irreversible { why: why.to_owned() };
            step
        }
    }
}

fn at(identity: &str) -> Fields {
    Fields::from([(AT.to_owned(), Value::text(identity))])
}

/// What a reviewer reads: the declared path, else the config's name.
fn shown(identity: &str) -> String {
    match Spot::parse(identity) {
        Ok(Spot { path: Some(path), .. }) => path,
        Ok(Spot { name, .. }) => format!("the file of config.{name}"),
        Err(_) => identity.to_owned(),
    }
}
