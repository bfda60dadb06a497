//! The operations of a list of migrations: what is the same on every engine is
//! [`hive_sql::list`]'s, and what is here is how a history begins, and how an engine is told to wait.

use crate::seen::Seen;
use crate::steps::{BASELINE, payload, release};
use hive_contract::{
    Change, Expects, Fields, Invalid, Lowered, Operation, Rehearsal, Retry, Value, WayBack,
};
use hive_sql::history::Mismatch;
use hive_sql::list::{
    Compared, FILES, Making, Material, RAW, Tried, begin_title, counted, is_ahead, mismatched,
};
use hive_sql::{Dialect, Migration};

/// Payload of [`BASELINE`]: the files that count as applied, or whose history tells.
pub(crate) const APPLIED: &str = "applied";
/// Payload of [`BASELINE`]: another tool.
pub(crate) const TOOL: &str = "tool";

pub(crate) fn create(
    change: &Change,
    of: &Fields,
    rehearsal: Option<&Rehearsal>,
) -> Vec<Operation> {
    let Some(material) = change.desired.as_ref().and_then(material) else { return Vec::new() };
    let mut steps = vec![baseline(change, of, Some(&material))];
    let tool = material.baseline.as_ref().and_then(|it| it.tool);
    let covered = material.declared_baseline().map_or(0, |it| it.files.len());
    // What another tool has applied is read when its history is taken over, and not before.
    let seen = Seen::default();
    let Ok(compared) = Compared::new(material, Vec::new()) else { return Vec::new() };
    for mut step in operations(&compared, None, &seen, of, covered, rehearsal) {
        step.notes.extend(tool.map(|it| format!("nothing to do where {it} has applied it")));
        steps.push(step);
    }
    steps
}

pub(crate) fn update(
    change: &Change,
    of: &Fields,
    rehearsal: Option<&Rehearsal>,
) -> Vec<Operation> {
    let before = before_of(change);
    let seen = seen(change, before.as_ref());
    let Some(Ok(compared)) = compared(change, &seen) else { return Vec::new() };
    operations(&compared, before.as_ref(), &seen, of, 0, rehearsal)
}

fn operations(
    compared: &Compared,
    before: Option<&Material>,
    seen: &Seen,
    of: &Fields,
    covered: usize,
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
        covered,
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

/// The files against the history; none where nothing is desired.
pub(crate) fn compared(change: &Change, seen: &Seen) -> Option<Result<Compared, Vec<Mismatch>>> {
    let material = material(change.desired.as_ref()?)?;
    Some(Compared::new(material, seen.rows.clone()))
}

/// Takes the history for hive, with what counts as applied.
pub(crate) fn baseline(change: &Change, of: &Fields, material: Option<&Material>) -> Operation {
    let mut payload = payload(of);
    let declared = material.and_then(|it| it.baseline.as_ref());
    let upto = declared.and_then(|it| it.version.as_deref());
    let mut notes = Vec::new();
    if let Some(material) = material
        && let Some(declared) = &material.baseline
    {
        let all = material.migrations.list().iter();
        let taken: Vec<&Migration> = match material.declared_baseline() {
            Some(known) => all.take(known.files.len()).collect(),
            None => all.collect(),
        };
        let files = taken.iter().map(|it| {
            let raw = Value::text(&it.up.raw_checksum);
            Value::Map(Fields::from([(FILES.to_owned(), it.files_value()), (RAW.to_owned(), raw)]))
        });
        payload.insert(APPLIED.to_owned(), Value::List(files.collect()));
        if let Some(tool) = declared.tool {
            payload.insert(TOOL.to_owned(), Value::text(tool.as_str()));
        }
        if let Some(version) = &declared.version {
            payload.insert("version".to_owned(), Value::text(version));
            notes.push(counted(taken.len()));
        } else if declared.tool.is_none() {
            payload.remove(APPLIED);
        }
    }
    let title = begin_title(&change.target.address, declared, upto);
    let mut step = Operation::new(BASELINE, title, Expects::Absent, payload);
    step.notes = notes;
    step.undone_by(release(change, of, true))
}

/// What speaks against a list once its history is known.
pub(crate) fn objections(change: &Change) -> Vec<Invalid> {
    let before = before_of(change);
    let seen = seen(change, before.as_ref());
    match compared(change, &seen) {
        None => Vec::new(),
        Some(Err(mismatches)) => mismatched(&mismatches),
        Some(Ok(compared)) => {
            let fresh = compared.is_fresh();
            let list = &compared.material.migrations;
            let ahead = change.desired.as_ref().is_some_and(|it| is_ahead(it, list));
            hive_sql::list::objections(&compared, before.as_ref(), fresh, ahead)
        }
    }
}

/// Which ways lead back from a change.
pub(crate) fn ways_back(change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<WayBack> {
    let seen = seen(change, before_of(change).as_ref());
    let Some(Ok(compared)) = compared(change, &seen) else { return Vec::new() };
    let files: Vec<&Migration> = compared.pending().collect();
    let tried = Tried::of(rehearsal);
    hive_sql::list::ways_back(&compared.material, &files, &tried, &change.related)
}
