//! What an operation makes of an object: no lock, no wait.

use super::world::{HEALTHY, Object};
use crate::fingerprint::Fingerprint;
use crate::mark::Mark;
use crate::path::{self, FieldPath};
use crate::provider::Perform;
use crate::value::{Fields, Value, secrets_in};
use std::collections::BTreeMap;

impl Object {
    /// How long it takes until it is ready.
    pub(super) fn settle_ms(&self) -> u64 {
        let ms = self.fields.get("settle_ms").and_then(Value::as_int);
        ms.and_then(|it| u64::try_from(it).ok()).unwrap_or(0)
    }
}

/// Whether an operation makes something run anew, so that it has to get ready.
pub(super) fn rolls_out(request: &Perform) -> bool {
    matches!(request.operation.verb.as_str(), "create" | "update" | "run" | "start" | "contract")
}

/// Whether the content itself makes the step fail, each time it is tried.
pub(super) fn doomed(request: &Perform, how: &str) -> bool {
    let payload = &request.operation.payload;
    let table = ["fields", "set"].iter().find_map(|key| payload.get(*key)).and_then(Value::as_map);
    table.and_then(|it| it.get("doomed")).and_then(Value::as_text) == Some(how)
}

/// What an operation makes of an object.
pub(super) fn changed(
    request: &Perform,
    before: Option<&Object>,
    secrets: &BTreeMap<String, Fingerprint>,
) -> Result<Option<Object>, String> {
    if doomed(request, "refused") {
        return Err("is refused".to_owned());
    }
    let payload = &request.operation.payload;
    let mark = Some(request.mark.clone());
    let Some(before) = before else {
        let fields = table(payload, "fields");
        let made = Object {
            fields,
            mark,
            running: true,
            leftovers: leaves_behind(payload),
            made_with: payload.get("kept").and_then(Value::scalar),
            ..Object::default()
        };
        return Ok(Some(with_secrets(made, secrets)));
    };
    let mut object = before.clone();
    match request.operation.verb.as_str() {
        "delete" => return Ok(None),
        "update" | "adopt" | "release" => {
            apply_set(&mut object.fields, payload);
            if immutable(&object.fields) != immutable(&before.fields) {
                return Err("has a field that cannot change on a live object".to_owned());
            }
            object.leftovers = leaves_behind(payload);
            object.made_with = payload.get("kept").and_then(Value::scalar);
            object.running |= request.operation.verb == "update";
            object.mark = match request.operation.verb.as_str() {
                "release" => mark_in(payload, "mark"),
                _ if payload.contains_key("unmark") => None,
                _ => mark,
            };
        }
        "run" => object.runs += 1,
        "prune" => object.leftovers = 0,
        "unprune" => object.leftovers = 1,
        "keep" => object.kept += 1,
        "contract" => object.leftovers = 0,
        "stop" => {
            object.running = false;
            object.fields.insert(HEALTHY.to_owned(), Value::Bool(false));
        }
        "start" => {
            object.running = true;
            if payload.contains_key("fields") {
                object.fields = table(payload, "fields");
            }
            apply_set(&mut object.fields, payload);
            object.fields.insert(HEALTHY.to_owned(), Value::Bool(true));
        }
        other => return Err(format!("has an operation that the world does not know: {other}")),
    }
    Ok(Some(with_secrets(object, secrets)))
}

/// The object that the second of two writes leaves.
pub(super) fn completed(
    request: &Perform,
    half: &Object,
    secrets: &BTreeMap<String, Fingerprint>,
) -> Object {
    let payload = &request.operation.payload;
    let mut object = half.clone();
    object.fields.extend(table(payload, "fields"));
    apply_set(&mut object.fields, payload);
    with_secrets(object, secrets)
}

/// Takes away what the first of two writes does not make yet: the later half of the keys.
pub(super) fn halve(object: &mut Object, before: Option<&Object>) {
    object.half = true;
    let later: Vec<String> = object.fields.keys().skip(object.fields.len() / 2).cloned().collect();
    for key in later {
        match before.and_then(|it| it.fields.get(&key)) {
            Some(value) => object.fields.insert(key, value.clone()),
            None => object.fields.remove(&key),
        };
    }
}

fn with_secrets(mut object: Object, secrets: &BTreeMap<String, Fingerprint>) -> Object {
    let named = secrets_in(&object.fields).into_iter().map(|it| it.to_string());
    object.secrets = named
        .filter_map(|name| {
            let hash = secrets.get(&name).or_else(|| object.secrets.get(&name)).cloned();
            hash.map(|hash| (name, hash))
        })
        .collect();
    object
}

fn apply_set(fields: &mut Fields, payload: &Fields) {
    let reset = payload.get("reset").and_then(Value::as_list).unwrap_or_default();
    for field in reset.iter().filter_map(Value::as_text) {
        path::remove(fields, &FieldPath::parse(field));
    }
    let set = table(payload, "set");
    for field in path::leaves(&set) {
        if let Some(value) = path::get(&set, &field) {
            path::set(fields, &field, value.clone());
        }
    }
}

fn table(payload: &Fields, key: &str) -> Fields {
    payload.get(key).and_then(Value::as_map).cloned().unwrap_or_default()
}

fn immutable(fields: &Fields) -> Option<&Value> {
    fields.get("immutable")
}

fn leaves_behind(payload: &Fields) -> u32 {
    u32::from(payload.get("leaves").and_then(Value::as_int) == Some(1))
}

pub(super) fn mark_in(payload: &Fields, key: &str) -> Option<Mark> {
    payload.get(key).and_then(Value::as_text).and_then(|text| serde_json::from_str(text).ok())
}
