//! The operations of one change of the kind `backup`.

use crate::runs;
use hive_contract::{Action, Change, Expects, Fields, Lowered, Mark, Operation, Undo, Value};

/// Writes the marker.
pub const REGISTER: &str = "register";
/// Takes the marker over from whoever had it.
pub const ADOPT: &str = "adopt";
/// Takes the marker away; the backups stay.
pub const RELEASE: &str = "release";
/// Takes the mark out of the marker: the place is nobody's.
pub const UNMARK: &str = "unmark";
/// Makes one backup.
pub const BACKUP: &str = "backup";
/// Restores one backup into a scratch place and compares it.
pub const VERIFY: &str = "verify";
/// Takes away the backups that nothing keeps.
pub const PRUNE: &str = "prune";

/// Payload: what is backed up, in one text.
pub(crate) const NAME: &str = "name";
/// Payload: whether backups are encrypted.
pub(crate) const ENCRYPTED: &str = "encrypted";
/// Payload of [`ADOPT`]: a mark other than the step's own, for an undo.
pub(crate) const MARK: &str = "mark";

/// The operations of one change, for all engines. Of [`Action::Run`] those of the verbs `run` and
/// `verify`; another verb is the engine's own, and gives none here. Pure.
pub fn steps_backup(change: &Change) -> Vec<Operation> {
    match change.action {
        Action::Create => create(change).into_iter().collect(),
        Action::Update => update(change).into_iter().collect(),
        Action::Adopt => adopt(change),
        Action::Delete => delete(change).into_iter().collect(),
        Action::Forget => forget(change).into_iter().collect(),
        Action::Run => runs::steps(change),
        // A replacement comes as its two halves, and a place of backups does not run.
        Action::Keep | Action::Replace | Action::Stop | Action::Start => Vec::new(),
    }
}

fn create(change: &Change) -> Option<Operation> {
    let desired = change.desired.as_ref()?;
    let undo = release(reach(desired), desired.fields.get("destination"));
    Some(register(reach(desired), &desired.fields, Expects::Absent).undone_by(undo))
}

fn update(change: &Change) -> Option<Operation> {
    let desired = change.desired.as_ref()?;
    let step = register(reach(desired), &desired.fields, Expects::Content);
    let Some(live) = &change.observed else { return Some(step) };
    Some(step.undone_by(register(reach(desired), &live.fields, Expects::Content)))
}

fn adopt(change: &Change) -> Vec<Operation> {
    let Some(desired) = &change.desired else { return Vec::new() };
    let live = change.observed.as_ref();
    let before = live.and_then(|live| live.mark.as_ref());
    let fields = live.map_or(&desired.fields, |live| &live.fields);
    let step = take_over(reach(desired), fields, None);
    let step = match before {
        Some(mark) => step.undone_by(take_over(reach(desired), fields, Some(mark))),
        None => step.undone_by(unmark(reach(desired))),
    };
    let mut steps = vec![step];
    if !change.differences.is_empty() {
        steps.extend(update(change));
    }
    steps
}

fn delete(change: &Change) -> Option<Operation> {
    let held = held(change)?;
    let step = release(reach(held), held.fields.get("destination"));
    let Some(live) = &change.observed else { return Some(step) };
    let mut undo = register(reach(held), &live.fields, Expects::Absent);
    if let Some(mark) = &live.mark {
        undo.payload.insert(MARK.to_owned(), mark.value());
    }
    Some(step.undone_by(undo))
}

fn forget(change: &Change) -> Option<Operation> {
    let held = held(change)?;
    let live = change.observed.as_ref();
    let fields = live.map_or(&held.fields, |live| &live.fields);
    let before = live.and_then(|live| live.mark.as_ref());
    Some(unmark(reach(held)).undone_by(take_over(reach(held), fields, before)))
}

fn held(change: &Change) -> Option<&Lowered> {
    change.before.as_deref().or(change.desired.as_ref())
}

/// How the place is reached, without what only reading a backup needs.
pub(crate) fn reach(lowered: &Lowered) -> Fields {
    let mut payload = with_identity(lowered);
    payload.remove("of");
    if let Some(Value::Map(encrypt)) = payload.get_mut("encrypt") {
        encrypt.remove("identity");
    }
    payload
}

/// How the place is reached, and what is backed up, to read a backup.
pub(crate) fn with_identity(lowered: &Lowered) -> Fields {
    lowered.access.clone()
}

fn register(mut payload: Fields, fields: &Fields, expects: Expects) -> Operation {
    let title = format!("mark {} as the place of these backups", shown(payload.get("destination")));
    describe(&mut payload, fields);
    Operation::new(REGISTER, title, expects, payload)
}

fn take_over(mut payload: Fields, fields: &Fields, mark: Option<&Mark>) -> Operation {
    let title = format!("take over the backups at {}", shown(payload.get("destination")));
    describe(&mut payload, fields);
    if let Some(mark) = mark {
        payload.insert(MARK.to_owned(), mark.value());
    }
    Operation::new(ADOPT, title, Expects::Content, payload)
}

fn release(payload: Fields, destination: Option<&Value>) -> Operation {
    let title = format!("take hive's mark off {}", shown(destination));
    let mut step = Operation::new(RELEASE, title, Expects::Content, payload);
    step.notes.push("the backups stay".to_owned());
    step.undo = Undo::Nothing;
    step
}

fn unmark(payload: Fields) -> Operation {
    let title = format!("leave {} to nobody", shown(payload.get("destination")));
    let mut step = Operation::new(UNMARK, title, Expects::Content, payload);
    step.notes.push("the backups stay".to_owned());
    step
}

fn describe(payload: &mut Fields, fields: &Fields) {
    for (key, field) in [(NAME, "of"), (ENCRYPTED, "encrypted")] {
        payload.extend(fields.get(field).map(|it| (key.to_owned(), it.clone())));
    }
}

pub(crate) fn shown(destination: Option<&Value>) -> &str {
    destination.and_then(Value::as_text).unwrap_or("the destination")
}
