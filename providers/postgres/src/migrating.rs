//! The operations of a list of migrations: what is the same on every engine is
//! [`hive_sql::list`]'s, and what is here is how a history begins, and how an engine is told to wait.

use crate::seen::Seen;
use crate::steps::{BASELINE, payload, release};
use hive_contract::{
    Action, Change, Expects, Fields, Invalid, Lowered, Operation, Rehearsal, Retry, Value, WayBack,
};
use hive_sql::history::Mismatch;
use hive_sql::list::{
    self, Compared, Making, Material, ROWS, Tried, begin_title, counted, is_ahead, mismatched,
    no_history, not_taken, row_value, taken_over,
};
use hive_sql::{Dialect, Migration};

pub(crate) fn create(
    change: &Change,
    of: &Fields,
    rehearsal: Option<&Rehearsal>,
) -> Vec<Operation> {
    let Some(material) = change.desired.as_ref().and_then(material) else { return Vec::new() };
    let mut steps = vec![baseline(change, of, Some(&material))];
    steps.extend(update(change, of, rehearsal));
    steps
}

/// Takes over what another tool has applied, where the database says so.
pub(crate) fn take_over(change: &Change, of: &Fields) -> Option<Operation> {
    let material = material(change.desired.as_ref()?)?;
    let (live, address) = (change.observed.as_ref()?, &change.target.address);
    let step = list::take_over(BASELINE, address, &material, live, payload(of))?;
    Some(step.undone_by(release(change, of, false)))
}

pub(crate) fn update(
    change: &Change,
    of: &Fields,
    rehearsal: Option<&Rehearsal>,
) -> Vec<Operation> {
    let before = before_of(change);
    let seen = seen(change, before.as_ref());
    let Some(Ok(compared)) = compared(change, &seen) else { return Vec::new() };
    operations(&compared, before.as_ref(), &seen, of, rehearsal)
}

fn operations(
    compared: &Compared,
    before: Option<&Material>,
    seen: &Seen,
    of: &Fields,
    rehearsal: Option<&Rehearsal>,
) -> Vec<Operation> {
    let material = &compared.material;
    let mut payload = payload(of);
    payload.insert("lock_timeout".to_owned(), Value::Int(material.lock_timeout));
    payload.insert("retries".to_owned(), Value::Int(material.retries.into()));
    let tried = Tried::of(rehearsal);
    let making = Making {
        compared,
        before,
        tried: &tried,
        drift: &seen.drift,
        sizes: &seen.sizes,
        fresh: compared.is_fresh(),
        payload,
        // A step waits for locks by itself, in the session that it has.
        retry: Retry::NEVER,
    };
    making.operations()
}

/// The material of a lowered list.
pub(crate) fn material(lowered: &Lowered) -> Option<Material> {
    Material::of(Dialect::Postgres, lowered)
}

/// The recorded list.
pub(crate) fn before_of(change: &Change) -> Option<Material> {
    material(change.before.as_deref()?)
}

/// What is live of it.
pub(crate) fn seen(change: &Change, before: Option<&Material>) -> Seen {
    change.observed.as_ref().map(|live| Seen::of(live, before)).unwrap_or_default()
}

/// The files against the history, behind what counts as applied; none where nothing is desired.
pub(crate) fn compared(change: &Change, seen: &Seen) -> Option<Result<Compared, Vec<Mismatch>>> {
    let material = material(change.desired.as_ref()?)?;
    let declared = declared(change, &material);
    let compared = Compared::behind(material, seen.rows.clone(), change.observed.as_ref());
    Some(compared.map(|mut compared| {
        compared.pending.files.retain(|at| *at >= declared);
        compared
    }))
}

/// How many files count as applied because the stack says so, and no tool.
fn declared(change: &Change, material: &Material) -> usize {
    let begins = change.action == Action::Create && !has_tool(material);
    let declared = material.declared_baseline().filter(|_| begins);
    declared.map_or(0, |it| it.files.len())
}

fn has_tool(material: &Material) -> bool {
    material.baseline.as_ref().is_some_and(|it| it.tool.is_some())
}

/// Takes the history for hive, with what the stack says is applied.
pub(crate) fn baseline(change: &Change, of: &Fields, material: Option<&Material>) -> Operation {
    let mut payload = payload(of);
    let begins = material.and_then(|it| it.baseline.as_ref());
    let upto = begins.and_then(|it| it.version.as_deref());
    let mut notes = Vec::new();
    if let (Some(material), Some(_)) = (material, upto) {
        let taken = &material.migrations.list()[..declared(change, material)];
        let rows = taken.iter().map(row_value).collect();
        payload.insert(ROWS.to_owned(), Value::List(rows));
        notes.push(counted(taken.len()));
    }
    let title = begin_title(&change.target.address, begins, upto);
    let mut step = Operation::new(BASELINE, title, Expects::Absent, payload);
    step.notes = notes;
    step.undone_by(release(change, of, true))
}

/// What speaks against a list once its history is known.
pub(crate) fn objections(change: &Change) -> Vec<Invalid> {
    let before = before_of(change);
    let seen = seen(change, before.as_ref());
    let compared = match compared(change, &seen) {
        None => return Vec::new(),
        Some(Err(mismatches)) => return mismatched(&mismatches),
        Some(Ok(compared)) => compared,
    };
    let tool = compared.material.baseline.as_ref().and_then(|it| it.tool);
    if let Some(tool) = tool.filter(|_| change.action == Action::Create) {
        return vec![no_history(tool)];
    }
    if let Some(Err(refused)) = taken_over(&compared.material, change.observed.as_ref()) {
        return vec![not_taken(&refused)];
    }
    let list = &compared.material.migrations;
    let ahead = change.desired.as_ref().is_some_and(|it| is_ahead(it, list));
    list::objections(&compared, before.as_ref(), compared.is_fresh(), ahead)
}

/// Which ways lead back from a change.
pub(crate) fn ways_back(change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<WayBack> {
    let seen = seen(change, before_of(change).as_ref());
    let Some(Ok(compared)) = compared(change, &seen) else { return Vec::new() };
    let files: Vec<&Migration> = compared.pending().collect();
    let tried = Tried::of(rehearsal);
    list::ways_back(&compared.material, &files, &tried, &change.related)
}
