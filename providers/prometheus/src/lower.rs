//! One declared alert in canonical fields.

use crate::expr;
use crate::rule::is_label;
use crate::spot::Spot;
use hive_contract::{Declared, Fields, Invalid, LowerScope, Lowered, ReplaceOrder, Sort, Value};
use std::collections::{BTreeMap, BTreeSet};

/// How bad an alert is, where nothing is said.
const SEVERITY: &str = "warning";

const KEYS: [&str; 7] = ["expr", "for", "severity", "service", "summary", "labels", "annotations"];

pub(crate) fn lower(declared: &Declared, scope: &LowerScope) -> Result<Lowered, Vec<Invalid>> {
    let mut wrong = Vec::new();
    let fields = &declared.fields;
    let expr = expr(fields, &mut wrong);
    let for_ms = match fields.get("for").map(Value::as_int) {
        None => 0,
        Some(Some(ms)) if ms >= 0 => ms,
        Some(_) => {
            wrong.push(Invalid::at("for", "that is not a duration"));
            0
        }
    };
    let mut labels = table(fields, "labels", &["severity", "service"], &mut wrong);
    labels.entry("severity".to_owned()).or_insert_with(|| Value::text(SEVERITY));
    let annotations = table(fields, "annotations", &["summary"], &mut wrong);
    for (name, value) in &labels {
        label(name, value, &mut wrong);
    }
    for key in fields.keys() {
        if !KEYS.contains(&key.as_str()) {
            wrong.push(Invalid::at(key, format!("an alert has no `{key}`")));
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let mut fields = Fields::from([
        ("expr".to_owned(), Value::Text(expr)),
        ("for".to_owned(), Value::Int(for_ms)),
    ]);
    for (key, table) in [("labels", labels), ("annotations", annotations)] {
        if !table.is_empty() {
            fields.insert(key.to_owned(), Value::Map(table));
        }
    }
    let spot = Spot {
        stack: scope.owner.stack.clone(),
        environment: scope.owner.environment.clone(),
        name: declared.address.name().to_owned(),
    };
    Ok(Lowered {
        sort: Sort::Object,
        identity: spot.identity(),
        fields,
        outputs: BTreeMap::new(),
        immutable: BTreeSet::new(),
        replace: ReplaceOrder::DeleteFirst,
        ..Lowered::default()
    })
}

fn expr(fields: &Fields, wrong: &mut Vec<Invalid>) -> String {
    let text = match fields.get("expr") {
        Some(Value::Text(text)) => text,
        Some(_) => {
            wrong.push(Invalid::at("expr", "the expression is not text"));
            return String::new();
        }
        None => {
            wrong.push(
                Invalid::at("", "an alert needs an `expr`")
                    .help("write PromQL, as in `expr = 'up{job=\"api\"} == 0'`"),
            );
            return String::new();
        }
    };
    expr::canonical(text).unwrap_or_else(|why| {
        wrong.push(
            Invalid::at("expr", format!("the expression is not PromQL for an alert: {why}"))
                .help("see https://prometheus.io/docs/prometheus/latest/querying/basics/"),
        );
        String::new()
    })
}

/// A declared table, with the keys that have a place of their own in the stack put in.
fn table(fields: &Fields, key: &str, own: &[&str], wrong: &mut Vec<Invalid>) -> Fields {
    let mut table = match fields.get(key) {
        None => Fields::new(),
        Some(Value::Map(table)) => table.clone(),
        Some(_) => {
            wrong.push(Invalid::at(key, "that is not a table of texts"));
            return Fields::new();
        }
    };
    for (name, value) in &mut table {
        let at = format!("{key}.{name}");
        if !is_label(name) || name.starts_with("__") {
            wrong.push(
                Invalid::at(&at, format!("`{name}` is not a name that Prometheus takes"))
                    .help("use letters, digits and `_`, and begin with a letter"),
            );
        }
        plain(&at, value, wrong);
    }
    for name in own {
        let Some(mut value) = fields.get(*name).cloned() else { continue };
        plain(name, &mut value, wrong);
        if table.get(*name).is_some_and(|other| *other != value) {
            wrong.push(
                Invalid::at(name, format!("`{key}.{name}` says something else"))
                    .help(format!("leave `{name}` out of `{key}`")),
            );
        }
        table.insert((*name).to_owned(), value);
    }
    table
}

/// Scalars become text, because that is what Prometheus has. Placeholders stay.
fn plain(at: &str, value: &mut Value, wrong: &mut Vec<Invalid>) {
    if value.has_secret() {
        wrong.push(Invalid::at(
            at,
            "a rule file may not hold a secret: it is recorded and readable",
        ));
    }
    match value {
        Value::Int(_) | Value::Bool(_) => *value = Value::Text(value.scalar().unwrap_or_default()),
        Value::Text(_) | Value::Output(_) | Value::Format(_) | Value::Secret(_) => {}
        _ => wrong.push(Invalid::at(at, "that is not text")),
    }
}

fn label(name: &str, value: &Value, wrong: &mut Vec<Invalid>) {
    let at = match name {
        "severity" | "service" => name.to_owned(),
        _ => format!("labels.{name}"),
    };
    if name == "alertname" {
        wrong.push(Invalid::at(&at, "the alert's name is its address"));
    }
    if value.as_text().is_some_and(|text| text.contains("$value") || text.contains(".Value")) {
        wrong.push(
            Invalid::at(&at, "a label made of the value is another alert at each evaluation")
                .help("put the value into an annotation"),
        );
    }
}
