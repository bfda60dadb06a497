//! Three-way comparing of one part: desired against recorded and observed.

use hive_contract::path::{get, remove};
use hive_contract::value::{outputs_in, secrets_in};
use hive_contract::{Difference, FieldPath, Fields, Ignore, Live, Reason, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The three views of one part, placeholders filled as far as they are known.
pub struct Views<'a> {
    /// Declared now; none where it is declared no more.
    pub desired: Option<&'a Fields>,
    /// The same before anything was filled in, for reasons.
    pub symbolic: Option<&'a Fields>,
    /// As hive recorded it.
    pub recorded: Option<&'a Fields>,
    /// As it is.
    pub live: &'a Live,
    /// What somebody else owns.
    pub ignore: &'a [Ignore],
}

/// The fields that hive manages: declared now or recorded, less the ignored.
///
/// A field of which one view has a value and another a table is managed as a whole.
pub fn managed(
    desired: Option<&Fields>,
    recorded: Option<&Fields>,
    ignore: &[Ignore],
) -> Vec<FieldPath> {
    let mut paths = BTreeSet::new();
    for fields in [desired, recorded].into_iter().flatten() {
        paths.extend(scalars(fields));
    }
    paths.retain(|path| !ignore.iter().any(|it| it.field.covers(path)));
    let mut kept: Vec<FieldPath> = Vec::with_capacity(paths.len());
    for path in paths {
        // Sorted: what covers a path stands right before everything that it covers.
        if kept.last().is_none_or(|last| !last.covers(&path)) {
            kept.push(path);
        }
    }
    kept
}

fn scalars(fields: &Fields) -> impl Iterator<Item = FieldPath> {
    let empty_table = |path: &FieldPath| matches!(get(fields, path), Some(Value::Map(_)));
    hive_contract::path::leaves(fields).into_iter().filter(move |path| !empty_table(path))
}

/// The fields that are not as they should be.
pub fn differences(views: &Views<'_>) -> Vec<Difference> {
    managed(views.desired, views.recorded, views.ignore)
        .into_iter()
        .filter_map(|field| difference(views, field))
        .collect()
}

fn difference(views: &Views<'_>, field: FieldPath) -> Option<Difference> {
    let desired = views.desired.and_then(|it| get(it, &field));
    let recorded = views.recorded.and_then(|it| get(it, &field));
    let observed = get(&views.live.fields, &field);
    if desired == observed || (desired.is_none() && nothing(observed)) {
        return None;
    }
    let reason = match () {
        () if desired == recorded => Reason::Drift,
        () => dependency(views.symbolic, &field).unwrap_or(Reason::Declared),
    };
    // Who moved it matters only where the record and the live object disagree.
    let moved = recorded.is_some() && recorded != observed;
    let moved_by = moved.then(|| views.live.moved_by.get(&field).cloned()).flatten();
    Some(Difference {
        recorded: recorded.cloned(),
        observed: observed.cloned(),
        desired: desired.cloned(),
        field,
        reason,
        moved_by,
    })
}

fn nothing(value: Option<&Value>) -> bool {
    value.is_none_or(|value| value.as_map().is_some_and(Fields::is_empty))
}

/// The first resource that the declared value of a field is made of.
fn dependency(symbolic: Option<&Fields>, field: &FieldPath) -> Option<Reason> {
    let value = get(symbolic?, field)?.clone();
    let named = outputs_in(&Fields::from([(String::new(), value)]));
    named.into_iter().next().map(|it| Reason::Dependency { address: it.address })
}

/// The declared fields as they will be recorded and made: an ignored field keeps what is live.
pub fn with_ignored(desired: &Fields, live: Option<&Live>, ignore: &[Ignore]) -> Fields {
    let mut fields = desired.clone();
    let Some(live) = live else { return fields };
    for Ignore { field, .. } in ignore {
        remove(&mut fields, field);
        if let Some(value) = get(&live.fields, field) {
            hive_contract::path::set(&mut fields, field, value.clone());
        }
    }
    fields
}

/// The secrets of a part whose value now is not the one last used.
pub fn moved_secrets(
    desired: &Fields,
    recorded: &BTreeMap<String, String>,
    now: &BTreeMap<String, Option<String>>,
) -> Vec<Reason> {
    let named = secrets_in(desired).into_iter().map(|it| it.to_string());
    named
        .filter(|reference| match (recorded.get(reference), now.get(reference)) {
            (Some(last), Some(Some(value))) => last != value,
            _ => false,
        })
        .map(|reference| Reason::Secret { reference })
        .collect()
}
