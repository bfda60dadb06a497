//! A small validator of the part of JSON Schema that the language's schema is written in. It
//! refuses any other keyword, so that nothing in the schema goes unread.

use crate::stack::Span;
use crate::stack::problem::Findings;
use crate::stack::schema::toml;
use crate::stack::tree::{self, Is, Node};
use serde_json::Value as Json;

/// What in a TOML text is not as the schema says.
pub(super) fn check(schema: &Json, text: &str) -> Vec<String> {
    let mut findings = Findings::default();
    let table = tree::parse(text, 0, &mut findings).expect("it is TOML");
    let at = Span { file: 0, start: 0, end: 0 };
    let mut wrong = Vec::new();
    value(schema, schema, &toml(&Node { at, is: Is::Table(table) }), "", &mut wrong);
    wrong
}

fn value(root: &Json, schema: &Json, json: &Json, at: &str, wrong: &mut Vec<String>) {
    let Some(schema) = schema.as_object() else {
        if schema == &Json::Bool(false) {
            wrong.push(format!("{at}: nothing may stand here"));
        }
        return;
    };
    let mut say = |what: &str| wrong.push(format!("{at}: {what}"));
    for (keyword, is) in schema {
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "examples" => {}
            "type" if !is_type(is, json) => say(&format!("must be {is}, is {json}")),
            "enum" if !is.as_array().is_some_and(|it| it.contains(json)) => {
                say(&format!("must be of {is}"));
            }
            "pattern" => {
                let pattern = regex::Regex::new(is.as_str().expect("text")).expect("a pattern");
                if json.as_str().is_some_and(|text| !pattern.is_match(text)) {
                    say(&format!("must match {is}"));
                }
            }
            "minimum" if json.as_i64() < is.as_i64() && json.is_i64() => say("is too small"),
            "maximum" if json.as_i64() > is.as_i64() && json.is_i64() => say("is too large"),
            "minLength" if json.as_str().is_some_and(str::is_empty) => say("is empty"),
            "minItems" => {
                let least = is.as_u64().and_then(|it| usize::try_from(it).ok());
                if json.as_array().is_some_and(|it| Some(it.len()) < least) {
                    say("has too few items");
                }
            }
            "required" => {
                let names = is.as_array().into_iter().flatten().filter_map(Json::as_str);
                for name in names.filter(|name| json.is_object() && json.get(name).is_none()) {
                    say(&format!("has no `{name}`"));
                }
            }
            "type"
            | "enum"
            | "minimum"
            | "maximum"
            | "minLength"
            | "properties"
            | "additionalProperties"
            | "propertyNames"
            | "items"
            | "anyOf"
            | "$ref" => {}
            other => panic!("the validator does not know `{other}`"),
        }
    }
    inside(root, schema, json, at, wrong);
}

/// The keywords that look at what is inside, or somewhere else.
fn inside(
    root: &Json,
    schema: &serde_json::Map<String, Json>,
    json: &Json,
    at: &str,
    wrong: &mut Vec<String>,
) {
    for (key, inner) in json.as_object().into_iter().flatten() {
        let at = format!("{at}.{key}");
        if let Some(names) = schema.get("propertyNames") {
            value(root, names, &Json::String(key.clone()), &at, wrong);
        }
        let named = schema.get("properties").and_then(|it| it.get(key));
        if let Some(is) = named.or(schema.get("additionalProperties")) {
            value(root, is, inner, &at, wrong);
        }
    }
    if let Some(is) = schema.get("items") {
        for (number, item) in json.as_array().into_iter().flatten().enumerate() {
            value(root, is, item, &format!("{at}[{number}]"), wrong);
        }
    }
    if let Some(Json::Array(choices)) = schema.get("anyOf") {
        let tried: Vec<Vec<String>> = choices
            .iter()
            .map(|choice| {
                let mut wrong = Vec::new();
                value(root, choice, json, at, &mut wrong);
                wrong
            })
            .collect();
        if !tried.iter().any(Vec::is_empty) {
            wrong.push(format!("{at}: {json} is none of {tried:?}"));
        }
    }
    if let Some(Json::String(reference)) = schema.get("$ref") {
        let target = root.pointer(reference.trim_start_matches('#')).expect("it is defined");
        value(root, target, json, at, wrong);
    }
}

fn is_type(is: &Json, json: &Json) -> bool {
    match is {
        Json::Array(types) => types.iter().any(|it| is_type(it, json)),
        Json::String(name) => match name.as_str() {
            "object" => json.is_object(),
            "array" => json.is_array(),
            "string" => json.is_string(),
            "integer" => json.is_i64(),
            "boolean" => json.is_boolean(),
            other => panic!("the validator does not know the type `{other}`"),
        },
        _ => false,
    }
}
