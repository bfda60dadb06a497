//! The language as JSON Schema, from which editors complete.
//!
//! One schema serves `stack.toml` and the environments' files. An environment's file says only what
//! differs, so no key of a table that is merged is required by the schema; hive itself says what
//! is missing.

use super::duration;
use super::language::{Key, Keys, Takes, Type};
use super::sections::TOP;
use super::shape::Shape;
use super::tree::{self, Is, Node};
use serde_json::{Map, Value as Json, json};

/// The schema of a stack's files, draft 2020-12.
pub fn schema() -> Json {
    let Json::Object(mut top) = table(&TOP, false) else { return Json::Null };
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("a hive stack, or one of its environments"));
    schema.append(&mut top);
    schema.insert("$defs".to_owned(), definitions());
    Json::Object(schema)
}

fn table(keys: &Keys, whole: bool) -> Json {
    let built = || keys.keys.iter().filter(|key| !matches!(key.is, Type::Later));
    let properties: Map<String, Json> =
        built().map(|key| (key.name.to_owned(), property(key))).collect();
    let mut table = Map::new();
    table.insert("type".to_owned(), json!("object"));
    table.insert("properties".to_owned(), Json::Object(properties));
    table.insert("additionalProperties".to_owned(), json!(false));
    if whole {
        let required: Vec<&str> = built().filter(|key| key.required).map(|key| key.name).collect();
        table.insert("required".to_owned(), json!(required));
    }
    Json::Object(table)
}

fn property(key: &Key) -> Json {
    let mut property = Map::new();
    property.insert("description".to_owned(), json!(key.doc));
    if let Some(default) = key.default.and_then(tree::value) {
        property.insert("default".to_owned(), toml(&default));
    }
    if let Some(example) = tree::value(key.example) {
        property.insert("examples".to_owned(), json!([toml(&example)]));
    }
    if let Json::Object(mut is) = value(&key.is, key.takes) {
        property.append(&mut is);
    }
    Json::Object(property)
}

fn value(is: &Type, takes: Takes) -> Json {
    match is {
        Type::Table(keys) => table(keys, false),
        Type::Map(shape, of) => {
            let mut map = Map::new();
            map.insert("type".to_owned(), json!("object"));
            if let Some(pattern) = shape.pattern() {
                map.insert("propertyNames".to_owned(), json!({ "pattern": pattern }));
            }
            map.insert("additionalProperties".to_owned(), value(of, takes));
            Json::Object(map)
        }
        Type::List(of, least) => {
            let items = match of {
                Type::Table(keys) => table(keys, true),
                other => value(other, takes),
            };
            json!({ "type": "array", "items": items, "minItems": least })
        }
        scalar => {
            let reference = format!("#/$defs/{}", name(takes));
            json!({ "anyOf": [literal(scalar), { "$ref": reference }] })
        }
    }
}

fn literal(is: &Type) -> Json {
    match is {
        Type::Bool => json!({ "type": "boolean" }),
        Type::Int(least, i64::MAX) => json!({ "type": "integer", "minimum": least }),
        Type::Int(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Type::Text(shape) => text(*shape),
        Type::Choice(choices) => json!({ "enum": choices }),
        Type::Duration(_) => json!({ "type": "string", "pattern": duration::PATTERN }),
        Type::Scalar => json!({ "type": ["string", "integer", "boolean"] }),
        Type::List(..) | Type::Map(..) | Type::Table(_) | Type::Later => json!(false),
    }
}

fn text(shape: Shape) -> Json {
    match shape.pattern() {
        None => json!({ "type": "string" }),
        Some(pattern) => json!({ "type": "string", "pattern": pattern }),
    }
}

fn name(takes: Takes) -> &'static str {
    match takes {
        Takes::Known => "known",
        Takes::Outputs => "outputs",
        Takes::Secrets => "secrets",
    }
}

/// The references, by what may stand in a place.
fn definitions() -> Json {
    let mut definitions = Map::new();
    for takes in [Takes::Known, Takes::Outputs, Takes::Secrets] {
        definitions.insert(name(takes).to_owned(), json!({ "anyOf": references(takes) }));
    }
    Json::Object(definitions)
}

fn references(takes: Takes) -> Vec<Json> {
    let any = || json!({ "type": "string", "minLength": 1 });
    let mut forms = vec![form("the value of a variable", &[("var", any())], &[]), format(takes)];
    if takes >= Takes::Outputs {
        forms.push(form("an output of a resource", &[("from", output())], &[]));
        forms.push(form(
            "an output of another stack",
            &[("stack", any()), ("output", output())],
            &[("environment", any())],
        ));
    }
    if takes >= Takes::Secrets {
        let pin = || ("pin", json!({ "type": "boolean" }));
        let env = text(Shape::EnvName);
        forms.push(form("a secret in an environment variable", &[("env", env)], &[pin()]));
        forms.push(form("a secret in a file", &[("file", any())], &[pin()]));
    }
    forms
}

fn output() -> Json {
    json!({ "type": "string", "pattern": "^[a-z][a-z0-9-]*\\.[a-z][a-z0-9-]*\\..+$" })
}

fn form(doc: &str, required: &[(&str, Json)], more: &[(&str, Json)]) -> Json {
    let names: Vec<&str> = required.iter().map(|(name, _)| *name).collect();
    let properties: Map<String, Json> =
        required.iter().chain(more).map(|(name, is)| ((*name).to_owned(), is.clone())).collect();
    json!({
        "description": doc,
        "type": "object",
        "properties": properties,
        "required": names,
        "additionalProperties": false,
    })
}

/// Text around other values, each of which is known, or again a reference.
fn format(takes: Takes) -> Json {
    let hole = json!({ "anyOf": [
        { "type": ["string", "integer", "boolean"] },
        { "$ref": format!("#/$defs/{}", name(takes)) },
    ] });
    json!({
        "description": "text around other values",
        "type": "object",
        "properties": { "format": { "type": "string", "minLength": 1 } },
        "required": ["format"],
        "additionalProperties": hole,
    })
}

/// TOML as JSON.
pub(crate) fn toml(node: &Node) -> Json {
    match &node.is {
        Is::Bool(truth) => json!(truth),
        Is::Int(number) => json!(number),
        Is::Text(text) => json!(text),
        Is::List(items) => items.iter().map(toml).collect(),
        Is::Table(table) => {
            table.iter().map(|(key, entry)| (key.clone(), toml(&entry.node))).collect()
        }
        Is::Other(words) => json!({ "not in the language": words }),
    }
}
