//! Three-way comparing of one part: desired against recorded and observed.

use hive_contract::path::{get, remove};
use hive_contract::value::visit_fields;
use hive_contract::{Difference, FieldPath, Fields, Ignore, Live, Reason, Value};
use std::borrow::Cow;
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
    /// Whether the declaration is as recorded, so that what moves comes from somewhere else.
    pub unchanged: bool,
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
    let ignored = |path: &FieldPath| ignore.iter().any(|it| it.field.covers(path));
    paths.retain(|path| !ignored(path));
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

/// Whether nothing differs, said without naming a field: what most parts of most plans are.
pub fn same(views: &Views<'_>) -> bool {
    let Some(desired) = views.desired else { return false };
    views.recorded == Some(desired) && holds(desired, &views.live.fields)
}

/// Whether live has every value of the desired fields; what it has beside them is not managed.
fn holds(desired: &Fields, live: &Fields) -> bool {
    desired.iter().all(|(key, value)| match (value, live.get(key)) {
        (Value::Map(inner), Some(Value::Map(live))) => holds(inner, live),
        (Value::Map(inner), None) => inner.is_empty(),
        (value, live) => live == Some(value),
    })
}

/// The fields that are not as they should be.
pub fn differences(views: &Views<'_>) -> Vec<Difference> {
    if same(views) {
        return Vec::new();
    }
    managed(views.desired, views.recorded, &heeded(views.ignore, views.live))
        .into_iter()
        .filter_map(|field| difference(views, field))
        .collect()
}

/// What is ignored less what ended by itself: that is nobody's decision.
pub fn heeded(ignore: &[Ignore], live: &Live) -> Vec<Ignore> {
    ignore.iter().filter(|it| !ended(live, &it.field)).cloned().collect()
}

fn ended(live: &Live, ignored: &FieldPath) -> bool {
    live.ended.keys().any(|field| ignored.covers(field))
}

fn difference(views: &Views<'_>, field: FieldPath) -> Option<Difference> {
    let desired = views.desired.and_then(|it| get(it, &field));
    let recorded = views.recorded.and_then(|it| get(it, &field));
    let observed = get(&views.live.fields, &field);
    if desired == observed || (nothing(desired) && nothing(observed)) {
        return None;
    }
    let reason = match desired {
        _ if desired == recorded => match views.live.ended.get(&field) {
            Some(how) => Reason::Ended { how: how.clone() },
            None => Reason::Drift,
        },
        Some(value) if views.unchanged || !value.is_known() => {
            dependency(views.symbolic, &field).unwrap_or(Reason::Declared)
        }
        _ => Reason::Declared,
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
    let mut named = BTreeSet::new();
    get(symbolic?, field)?.visit(&mut |value| {
        if let Value::Output(reference) = value {
            named.insert(&reference.address);
        }
    });
    named.first().map(|address| Reason::Dependency { address: (*address).clone() })
}

/// The declared fields as they will be recorded and made: an ignored field keeps what is live.
pub fn with_ignored(desired: &Fields, live: Option<&Live>, ignore: &[Ignore]) -> Fields {
    keeping_ignored(Cow::Borrowed(desired), None, live, ignore).into_owned()
}

/// [`with_ignored`], without a copy where nothing is ignored.
pub(super) fn keeping_ignored<'a>(
    desired: Cow<'a, Fields>,
    recorded: Option<&Fields>,
    live: Option<&Live>,
    ignore: &[Ignore],
) -> Cow<'a, Fields> {
    let Some(live) = live else { return desired };
    if ignore.is_empty() {
        return desired;
    }
    let mut fields = desired.into_owned();
    for Ignore { field, .. } in ignore {
        // What ended by itself comes back as it was.
        let kept = match ended(live, field) {
            true => recorded.unwrap_or(&fields).clone(),
            false => live.fields.clone(),
        };
        remove(&mut fields, field);
        if let Some(value) = get(&kept, field) {
            hive_contract::path::set(&mut fields, field, value.clone());
        }
    }
    Cow::Owned(fields)
}

/// Whether two records would say the same of everything that hive manages.
pub fn same_record(desired: &Fields, recorded: &Fields, ignore: &[Ignore]) -> bool {
    let less = |fields: &Fields| {
        let mut fields = fields.clone();
        for it in ignore {
            remove(&mut fields, &it.field);
        }
        fields
    };
    desired == recorded || (!ignore.is_empty() && less(desired) == less(recorded))
}

/// Only those of the desired fields that the record has: a default that a newer form adds counts
/// as declared only from the resource's next change.
pub fn without_new_defaults(desired: &Fields, recorded: &Fields) -> Fields {
    let mut kept = Fields::new();
    for (key, value) in desired {
        match (value, recorded.get(key)) {
            (Value::Map(inner), Some(Value::Map(before))) => {
                kept.insert(key.clone(), Value::Map(without_new_defaults(inner, before)));
            }
            (_, Some(_)) => {
                kept.insert(key.clone(), value.clone());
            }
            (_, None) => {}
        }
    }
    kept
}

/// The secrets of a part whose value now is not the one last used.
pub fn moved_secrets(
    desired: &Fields,
    recorded: &BTreeMap<String, String>,
    now: &BTreeMap<String, Option<String>>,
) -> Vec<Reason> {
    if recorded.is_empty() {
        return Vec::new();
    }
    let mut moved = BTreeSet::new();
    visit_fields(desired, &mut |value| {
        if let Value::Secret(secret) = value {
            let reference = secret.to_string();
            // Without a value here nothing is compared.
            if let (Some(last), Some(Some(value))) = (recorded.get(&reference), now.get(&reference))
                && last != value
            {
                moved.insert(reference);
            }
        }
    });
    moved.into_iter().map(|reference| Reason::Secret { reference }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_contract::OutputRef;

    fn fields(json: &str) -> Fields {
        serde_json::from_str(json).expect("fields")
    }

    fn live(json: &str) -> Live {
        Live {
            identity: "x".to_owned(),
            fields: fields(json),
            outputs: BTreeMap::new(),
            mark: None,
            token: None,
            moved_by: BTreeMap::from([(FieldPath::parse("a"), "ann".to_owned())]),
            ended: BTreeMap::new(),
            status: hive_contract::Status::default(),
        }
    }

    fn compared(desired: &str, recorded: &str, observed: &str) -> Vec<(String, Reason)> {
        let (desired, recorded, live) = (fields(desired), fields(recorded), live(observed));
        let views = Views {
            desired: Some(&desired),
            symbolic: Some(&desired),
            recorded: Some(&recorded),
            live: &live,
            ignore: &[],
            unchanged: false,
        };
        let found = differences(&views).into_iter();
        found.map(|it| (it.field.to_string(), it.reason)).collect()
    }

    #[test]
    fn what_is_nobodys_makes_no_noise() {
        assert_eq!(compared(r#"{"a":1}"#, r#"{"a":1}"#, r#"{"a":1,"b":2}"#), []);
        assert_eq!(compared(r#"{"m":{}}"#, "{}", "{}"), []);
    }

    #[test]
    fn a_removed_key_is_a_reset_and_drift_is_drift() {
        let reset = compared("{}", r#"{"a":1}"#, r#"{"a":1}"#);
        assert_eq!(reset, [("a".to_owned(), Reason::Declared)]);
        let drift = compared(r#"{"a":1}"#, r#"{"a":1}"#, r#"{"a":2}"#);
        assert_eq!(drift, [("a".to_owned(), Reason::Drift)]);
        assert_eq!(compared("{}", r#"{"a":1}"#, "{}"), [], "somebody removed it already");
        assert_eq!(compared(r#"{"a":2}"#, r#"{"a":1}"#, r#"{"a":2}"#), [], "it is so already");
    }

    #[test]
    fn who_moved_it_is_told_only_where_it_moved() {
        let (desired, recorded) = (fields(r#"{"a":3}"#), fields(r#"{"a":1}"#));
        for (observed, by) in [(r#"{"a":2}"#, Some("ann".to_owned())), (r#"{"a":1}"#, None)] {
            let live = live(observed);
            let views = Views {
                desired: Some(&desired),
                symbolic: None,
                recorded: Some(&recorded),
                live: &live,
                ignore: &[],
                unchanged: false,
            };
            assert_eq!(differences(&views)[0].moved_by, by);
        }
    }

    #[test]
    fn a_value_that_becomes_a_table_is_managed_as_a_whole() {
        let paths = managed(
            Some(&fields(r#"{"a":{"x":1},"b":2}"#)),
            Some(&fields(r#"{"a":7,"b":{"y":1}}"#)),
            &[],
        );
        assert_eq!(paths, [FieldPath::parse("a"), FieldPath::parse("b")]);
    }

    #[test]
    fn what_is_not_known_is_a_dependency() {
        let output = OutputRef { address: "a.b".parse().expect("address"), output: "u".to_owned() };
        let desired = Fields::from([("a".to_owned(), Value::Output(output))]);
        let live = live(r#"{"a":"old"}"#);
        let views = Views {
            desired: Some(&desired),
            symbolic: Some(&desired),
            recorded: Some(&live.fields),
            live: &live,
            ignore: &[],
            unchanged: true,
        };
        let address = "a.b".parse().expect("address");
        assert_eq!(differences(&views)[0].reason, Reason::Dependency { address });
    }

    #[test]
    fn an_ignored_field_keeps_what_is_live() {
        let ignore = [Ignore { field: FieldPath::parse("a"), reason: "autoscaler".to_owned() }];
        let desired = fields(r#"{"a":1,"b":2}"#);
        let live = live(r#"{"a":9,"b":2}"#);
        let filled = with_ignored(&desired, Some(&live), &ignore);
        assert_eq!(filled, fields(r#"{"a":9,"b":2}"#));
        assert!(same_record(&filled, &desired, &ignore));
        assert_eq!(managed(Some(&filled), None, &ignore), [FieldPath::parse("b")]);
    }
}
