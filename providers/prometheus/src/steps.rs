//! The operations of one change.

use crate::read::TEXT;
use crate::spot::Spot;
use hive_contract::{Action, Change, Expects, Fields, Mark, Operation, Value};

/// Writes the rule, mark and token.
pub(crate) const WRITE: &str = "write";
/// Takes the rule file away.
pub(crate) const REMOVE: &str = "remove";
/// Sets the mark and leaves the rule.
pub(crate) const ADOPT: &str = "adopt";
/// Removes the mark and leaves the rule.
pub(crate) const RELEASE: &str = "release";

/// Payload: the identity that the alert has.
pub(crate) const AT: &str = "at";
/// Payload of [`ADOPT`]: a mark other than the step's own, for an undo.
pub(crate) const MARK: &str = "mark";

pub(crate) fn steps(change: &Change) -> Vec<Operation> {
    match change.action {
        Action::Create => create(change).into_iter().collect(),
        Action::Update => update(change).into_iter().collect(),
        Action::Delete => vec![delete(change)],
        Action::Adopt => adopt(change),
        Action::Forget => vec![forget(change)],
        // A replacement comes as its two halves, and a rule file does not run.
        Action::Keep | Action::Replace | Action::Run | Action::Stop | Action::Start => Vec::new(),
    }
}

fn create(change: &Change) -> Option<Operation> {
    let desired = change.desired.as_ref()?;
    let step = write(&desired.identity, Expects::Absent, &desired.fields);
    Some(step.undone_by(remove(&desired.identity)))
}

fn update(change: &Change) -> Option<Operation> {
    let step = write(&change.identity, Expects::Content, &change.desired.as_ref()?.fields);
    Some(match &change.observed {
        Some(live) => step.undone_by(write(&change.identity, Expects::Content, &live.fields)),
        None => step,
    })
}

fn delete(change: &Change) -> Operation {
    let step = remove(&change.identity);
    match &change.observed {
        Some(live) => step.undone_by(write(&change.identity, Expects::Absent, &live.fields)),
        None => step,
    }
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
        steps.extend(update(change));
    }
    steps
}

fn forget(change: &Change) -> Operation {
    let before = change.observed.as_ref().and_then(|live| live.mark.as_ref());
    release(&change.identity).undone_by(mark_as(&change.identity, before))
}

fn write(identity: &str, expects: Expects, fields: &Fields) -> Operation {
    let mut payload = at(identity);
    let keys: &[&str] =
        if fields.contains_key(TEXT) { &[TEXT] } else { &["expr", "for", "labels", "annotations"] };
    for key in keys {
        payload.extend(fields.get(*key).map(|value| ((*key).to_owned(), value.clone())));
    }
    Operation::new(WRITE, format!("write the rule {}", shown(identity)), expects, payload)
}

fn remove(identity: &str) -> Operation {
    let title = format!("remove the rule {}", shown(identity));
    Operation::new(REMOVE, title, Expects::Content, at(identity))
}

fn release(identity: &str) -> Operation {
    let title = format!("take hive's mark off the rule {}", shown(identity));
    Operation::new(RELEASE, title, Expects::Content, at(identity))
}

fn mark_as(identity: &str, mark: Option<&Mark>) -> Operation {
    let mut payload = at(identity);
    if let Some(mark) = mark {
        payload.insert(MARK.to_owned(), mark.value());
    }
    let title = format!("mark the rule {} as hive's", shown(identity));
    Operation::new(ADOPT, title, Expects::Content, payload)
}

fn at(identity: &str) -> Fields {
    Fields::from([(AT.to_owned(), Value::text(identity))])
}

/// What a reviewer reads: the file's name.
fn shown(identity: &str) -> String {
    Spot::parse(identity).map_or_else(|_| identity.to_owned(), |it| format!("{}.yml", it.group()))
}
