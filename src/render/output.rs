//! What resources say of themselves.

use super::line::{Line, columns};
use super::plan_json::{FORMAT, document};
use super::style::{Paint, Style};
use super::value as values;
use hive_contract::{Address, Value};
use serde::Serialize;
use std::collections::BTreeMap;

/// Outputs by resource and name.
pub type Outputs = BTreeMap<(Address, String), Value>;

/// All of them, one a line.
pub fn text(outputs: &Outputs, style: Style) -> String {
    let mut out = String::new();
    let names: Vec<String> = outputs
        .keys()
        .map(|(address, name)| format!("{address}.{}", super::clean::clean(name)))
        .collect();
    let widest = names.iter().map(|it| columns(it)).max().unwrap_or(0).min(48);
    for (name, value) in names.into_iter().zip(outputs.values()) {
        Line::new()
            .with(Paint::Bold, name)
            .to_column(widest + 2)
            .plain(values::show(value, &|_| None))
            .write(&mut out, style, widest + 4);
    }
    if outputs.is_empty() {
        out.push_str("there is no output\n");
    }
    out
}

/// The value of one alone, for scripts: text as it is, all else as JSON.
pub fn value(value: &Value) -> String {
    match value.scalar() {
        Some(text) => format!("{text}\n"),
        None => value_json(value),
    }
}

/// The value of one alone, as JSON.
pub fn value_json(value: &Value) -> String {
    super::plan_json::line(value)
}

#[derive(Serialize)]
struct OutputsJson<'a> {
    format: u32,
    outputs: BTreeMap<String, &'a Value>,
}

/// All of them, as one JSON document.
pub fn json(outputs: &Outputs) -> String {
    let outputs = outputs
        .iter()
        .map(|((address, name), value)| (format!("{address}.{name}"), value))
        .collect();
    document(&OutputsJson { format: FORMAT, outputs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_contract::SecretRef;

    #[test]
    fn text_and_json() {
        let address: Address = "service.api".parse().expect("address");
        let outputs = Outputs::from([
            ((address.clone(), "port".to_owned()), Value::from(20_001)),
            ((address.clone(), "url".to_owned()), Value::from("http://127.0.0.1:20001")),
            ((address, "pw".to_owned()), Value::Secret(SecretRef::env("PW"))),
        ]);
        assert_eq!(
            text(&outputs, Style::PLAIN),
            "service.api.port  20001\nservice.api.pw    (secret env:PW)\n\
             service.api.url   http://127.0.0.1:20001\n"
        );
        assert_eq!(value(&Value::from("plain")), "plain\n");
        assert_eq!(value(&Value::List(vec![1.into()])), "[1]\n");
        assert!(json(&outputs).contains("\"service.api.url\": \"http://127.0.0.1:20001\""));
    }
}
