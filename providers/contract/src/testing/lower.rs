//! The pure half of the world's provider: fields and operations.

use super::data::{self, Ends};
use super::world::HEALTHY;
use crate::change::{Action, Change, ReplaceOrder};
use crate::declared::Declared;
use crate::lowered::{Invalid, Lowered, Output, Sort};
use crate::mark::Mark;
use crate::operation::{Expects, Operation, Reversible, Undo};
use crate::path::{self, FieldPath};
use crate::provider::LowerScope;
use crate::value::{Fields, Pick, Value, visit_fields};
use std::collections::{BTreeMap, BTreeSet};

/// Fields and their shapes: what [`super::WorldProvider`] reads of a declared thing.
///
/// `gate`, `notice` (truth) make it no object. `name` (text) is its identity in place of
/// environment and address, so that two can claim one. `ports` (list of names) becomes `listen`, a
/// table of picked ports. Below `immutable` no field can change on a live object, and
/// `replace = "create-first"` puts their values into the identity, so that two can be side by side.
/// `steps = 2` adds a prune operation, `writes = 2` makes one operation two writes, `settle_ms` is
/// how long it takes to get ready, `deadline_ms` when that was too long. `doomed` is content that fails
/// each time (`refused` before its effect, `unhealthy` after it; a gate never holds), `oneway = true`
/// what nothing takes back, and a gate's `watches` the identity that must be ready.
///
/// `front = true` keeps a copy in front of the steps of whatever uses it, and says its `id`; what is
/// `kept-by` such a thing is made with that. `steps = "contract"` takes away at the end what only a
/// copy brings back (`doomed-contract`: and fails behind that), `steps = "quiet"` is changed while
/// nobody uses it, and of what is `idle` nothing can be stopped. Everything else is content.
pub(super) fn lower(declared: &Declared, scope: &LowerScope) -> Result<Lowered, Vec<Invalid>> {
    let fields = &declared.fields;
    let mut wrong = Vec::new();
    for key in ["gate", "notice"] {
        demand(fields, key, "true or false", |it| it.as_bool().is_some(), &mut wrong);
    }
    for key in ["settle_ms", "deadline_ms"] {
        demand(fields, key, "milliseconds", |it| it.as_int().is_some_and(|it| it >= 0), &mut wrong);
    }
    let one_or_two = |it: &Value| matches!(it, Value::Int(1 | 2));
    demand(fields, "writes", "1 or 2", one_or_two, &mut wrong);
    let steps = |it: &Value| one_or_two(it) || matches!(it.as_text(), Some("contract" | "quiet"));
    demand(fields, "steps", "1, 2, `contract` or `quiet`", steps, &mut wrong);
    demand(fields, "name", "text", |it| it.as_text().is_some(), &mut wrong);
    demand(fields, "ports", "a list of names", is_names, &mut wrong);
    for key in ["immutable", "outputs"] {
        demand(fields, key, "a table", |it| it.as_map().is_some(), &mut wrong);
    }
    let orders = |it: &Value| matches!(it.as_text(), Some("create-first" | "delete-first"));
    demand(fields, "replace", "`create-first` or `delete-first`", orders, &mut wrong);
    let replace = match fields.get("replace").and_then(Value::as_text) {
        Some("create-first") => ReplaceOrder::CreateFirst,
        _ => ReplaceOrder::DeleteFirst,
    };
    if replace == ReplaceOrder::CreateFirst
        && !fields.get("immutable").is_none_or(|it| it.is_known() && !it.has_secret())
    {
        wrong.push(Invalid::at("immutable", "is part of the identity, so it must be known"));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let content = content(declared);
    Ok(Lowered {
        sort: sort(fields),
        identity: identity(declared, scope, replace),
        outputs: outputs(&content),
        // Named also where it is not declared: to take it away is another value, too.
        immutable: BTreeSet::from([FieldPath::new(["immutable"])]),
        fields: content,
        replace,
        before_users: data::is_front(fields),
        ..Lowered::default()
    })
}

fn demand(
    fields: &Fields,
    key: &str,
    shape: &str,
    fits: impl Fn(&Value) -> bool,
    wrong: &mut Vec<Invalid>,
) {
    if fields.get(key).is_some_and(|value| !fits(value)) {
        wrong.push(Invalid::at(key, format!("must be {shape}")));
    }
}

fn is_names(value: &Value) -> bool {
    value.as_list().is_some_and(|names| names.iter().all(|name| name.as_text().is_some()))
}

fn sort(fields: &Fields) -> Sort {
    let says = |key: &str| fields.get(key).and_then(Value::as_bool) == Some(true);
    match () {
        () if says("gate") => Sort::Gate,
        () if says("notice") => Sort::Notice,
        () => Sort::Object,
    }
}

fn identity(declared: &Declared, scope: &LowerScope, replace: ReplaceOrder) -> String {
    let name = match declared.fields.get("name").and_then(Value::as_text) {
        Some(name) => name.to_owned(),
        None => format!("{}/{}", scope.owner.environment, declared.address),
    };
    match (replace, declared.fields.get("immutable")) {
        (ReplaceOrder::CreateFirst, Some(values)) => {
            format!("{name}@{}", crate::fingerprint::Fingerprint::of(values).short())
        }
        _ => name,
    }
}

fn content(declared: &Declared) -> Fields {
    let mut content = declared.fields.clone();
    for key in ["gate", "notice", "name", "ports"] {
        content.remove(key);
    }
    if sort(&declared.fields) != Sort::Object {
        return content;
    }
    content.insert(HEALTHY.to_owned(), Value::Bool(true));
    let names = declared.fields.get("ports").and_then(Value::as_list).unwrap_or_default();
    let listen: Fields = names
        .iter()
        .filter_map(Value::as_text)
        .map(|name| {
            let key = format!("{}/{name}/0", declared.address);
            (name.to_owned(), Value::Pick(Pick::Port { key }))
        })
        .collect();
    if !listen.is_empty() {
        content.insert("listen".to_owned(), Value::Map(listen));
    }
    content
}

fn outputs(content: &Fields) -> BTreeMap<String, Output> {
    let said = content.get("outputs").and_then(Value::as_map).into_iter().flatten();
    let mut outputs: BTreeMap<String, Output> = said
        .map(|(key, value)| {
            let made_of = vec![FieldPath::new(["outputs", key.as_str()])];
            (key.clone(), Output { made_of, value: Some(value.clone()) })
        })
        .collect();
    let listen = content.get("listen").and_then(Value::as_map);
    if let Some((name, port)) = listen.and_then(|it| it.iter().next()) {
        let made_of = vec![FieldPath::new(["listen", name.as_str()])];
        outputs.insert("port".to_owned(), Output { made_of, value: Some(port.clone()) });
    }
    if data::is_front(content) {
        outputs.insert("id".to_owned(), Output { made_of: Vec::new(), value: None });
    }
    // Only the live object knows it, so that something is known only after a step.
    let made_of = vec![FieldPath::new(["weight"])];
    outputs.insert("url".to_owned(), Output { made_of, value: None });
    outputs
}

/// The operations of one change.
pub(super) fn steps(change: &Change) -> Vec<Operation> {
    let operations = match change.action {
        _ if change.desired.as_ref().is_some_and(|it| it.sort == Sort::Notice) => Vec::new(),
        Action::Keep | Action::Replace => Vec::new(),
        Action::Create => data::ended(change, create(change), true),
        Action::Update => data::ended(change, update(change), false),
        Action::Delete => vec![delete(change)],
        Action::Adopt => vec![adopt(change)],
        Action::Forget => vec![forget(change)],
        Action::Run if is_gate(change) => vec![look(change)],
        Action::Run if data::is_front(&desired(change)) => vec![data::keep(change)],
        Action::Run => match &change.run {
            Some(run) => vec![data::restore(change, run)],
            None => vec![plain("run", change, Expects::Content)],
        },
        Action::Stop => stop(change),
        Action::Start => vec![start(change)],
    };
    let each = operations.into_iter().map(|it| one_way(with_deadline(it, change), change));
    each.collect()
}

fn is_gate(change: &Change) -> bool {
    change.desired.as_ref().is_some_and(|it| it.sort == Sort::Gate)
}

fn create(change: &Change) -> Operation {
    let payload = Fields::from([("fields".to_owned(), Value::Map(desired(change)))]);
    operation("create", change, Expects::Absent, leaving(payload, change)).undone_by(plain(
        "delete",
        change,
        Expects::Content,
    ))
}

fn update(change: &Change) -> Operation {
    let mut back = way_back(change);
    if change.observed.as_ref().is_some_and(|live| live.mark.is_none()) {
        back.insert("unmark".to_owned(), Value::Bool(true));
    }
    let undo = operation("update", change, Expects::Content, back);
    let there = leaving(way_there(change), change);
    operation("update", change, Expects::Content, there).undone_by(undo)
}

fn delete(change: &Change) -> Operation {
    let fields = change.observed.as_ref().map(|it| it.fields.clone()).unwrap_or_default();
    let payload = Fields::from([("fields".to_owned(), Value::Map(fields))]);
    plain("delete", change, Expects::Content).undone_by(operation(
        "create",
        change,
        Expects::Absent,
        payload,
    ))
}

fn adopt(change: &Change) -> Operation {
    let mut there = way_there(change);
    let mut back = way_back(change);
    if let Some(mark) = change.observed.as_ref().and_then(|live| live.mark.as_ref()) {
        there.insert("was".to_owned(), mark_value(mark));
        back.insert("mark".to_owned(), mark_value(mark));
    }
    let undo = operation("release", change, Expects::Content, back);
    operation("adopt", change, Expects::Content, there).undone_by(undo)
}

fn forget(change: &Change) -> Operation {
    plain("release", change, Expects::Content).undone_by(plain("adopt", change, Expects::Content))
}

fn look(change: &Change) -> Operation {
    operation("look", change, Expects::Anything, desired(change))
}

/// Nothing of it works any more; its way back is everything as it is. Of what does not run there is
/// nothing to do.
pub(super) fn stop(change: &Change) -> Vec<Operation> {
    let live = change.observed.as_ref().map(|it| it.fields.clone()).unwrap_or_default();
    if live.get(HEALTHY) != Some(&Value::Bool(true)) || data::is_idle(&live) {
        return Vec::new();
    }
    let back = Fields::from([("fields".to_owned(), Value::Map(live))]);
    let back = operation("start", change, Expects::Content, back);
    vec![plain("stop", change, Expects::Content).undone_by(back)]
}

/// As it is desired, else as it was recorded.
pub(super) fn start(change: &Change) -> Operation {
    let there = match (&change.desired, &change.recorded) {
        (None, Some(recorded)) => set_and_reset(recorded.clone(), std::iter::empty()),
        _ => way_there(change),
    };
    operation("start", change, Expects::Content, there).undone_by(plain(
        "stop",
        change,
        Expects::Content,
    ))
}

fn with_deadline(mut operation: Operation, change: &Change) -> Operation {
    let fields = change.desired.as_ref().map(|it| &it.fields).or(change.recorded.as_ref());
    let deadline = fields.and_then(|it| it.get("deadline_ms")).and_then(Value::as_int);
    if let Some(deadline) = deadline.and_then(|it| u64::try_from(it).ok()) {
        operation.deadline_ms = deadline;
    }
    operation
}

/// A step that nothing takes back, where the content says so.
fn one_way(mut operation: Operation, change: &Change) -> Operation {
    if desired(change).get("oneway").and_then(Value::as_bool) == Some(true) {
        let why = "there is no way back to it".to_owned();
        operation.undo = Undo::None { why: why.clone() };
        operation.reversible = Reversible::Irreversible { why };
    }
    operation
}

/// Everything declared, and a reset of what is declared no more.
fn way_there(change: &Change) -> Fields {
    let gone = change.differences.iter().filter(|it| it.desired.is_none()).map(|it| &it.field);
    set_and_reset(desired(change), gone)
}

/// Whether a rollout leaves something behind that a second operation takes away.
fn prunes(change: &Change) -> bool {
    match data::ends(&desired(change)) {
        Ends::Plain => false,
        Ends::Contracts => change.action == Action::Update,
        Ends::Prunes | Ends::Quiet => true,
    }
}

/// The same payload for a rollout that leaves something behind until its prune operation.
fn leaving(mut payload: Fields, change: &Change) -> Fields {
    if prunes(change) {
        payload.insert("leaves".to_owned(), Value::Int(1));
    }
    payload
}

/// Every field that the way there touches, as it is now.
pub(super) fn way_back(change: &Change) -> Fields {
    let live = change.observed.as_ref().map(|it| &it.fields);
    let mut set = Fields::new();
    let mut reset = Vec::new();
    let mut touched = path::leaves(&desired(change));
    touched.extend(change.differences.iter().map(|it| it.field.clone()));
    for field in touched {
        match live.and_then(|live| path::get(live, &field)) {
            Some(value) => path::set(&mut set, &field, value.clone()),
            None => reset.push(field),
        }
    }
    set_and_reset(set, reset.iter())
}

fn set_and_reset<'a>(set: Fields, reset: impl Iterator<Item = &'a FieldPath>) -> Fields {
    let reset = reset.map(|field| Value::Text(field.to_string())).collect();
    Fields::from([("set".to_owned(), Value::Map(set)), ("reset".to_owned(), Value::List(reset))])
}

pub(super) fn desired(change: &Change) -> Fields {
    change.desired.as_ref().map(|it| it.fields.clone()).unwrap_or_default()
}

pub(super) fn plain(verb: &str, change: &Change, expects: Expects) -> Operation {
    operation(verb, change, expects, Fields::new())
}

pub(super) fn operation(
    verb: &str,
    change: &Change,
    expects: Expects,
    payload: Fields,
) -> Operation {
    Operation::new(verb, format!("{verb} {}", change.target), expects, payload)
}

fn mark_value(mark: &Mark) -> Value {
    Value::Text(serde_json::to_string(mark).unwrap_or_default())
}

/// The first field of a table that was never filled in.
pub(super) fn unfilled(fields: &Fields) -> Option<&Value> {
    let mut found = None;
    visit_fields(fields, &mut |value| {
        if matches!(value, Value::Output(_) | Value::Pick(_)) {
            found = found.or(Some(value));
        }
    });
    found
}
