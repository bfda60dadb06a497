//! What a service says of itself: `url`, `urls`, `port`, `ports`.

use crate::spec::main_port;
use hive_contract::value::Fields;
use hive_contract::{FieldPath, Format, Output, Value};
use std::collections::BTreeMap;

/// The outputs of a service with these fields, in terms of the fields' own values: chosen ports
/// may still be placeholders.
///
/// Without a port that is the only one or `http` there are no `url`, `urls` and `port`. A service
/// without replicas keeps the ports of its first one, so that its `url` stays.
pub(crate) fn of(fields: &Fields) -> BTreeMap<String, Output> {
    let Some(listen) = fields.get("listen").and_then(Value::as_map) else {
        return BTreeMap::new();
    };
    let mut outputs = BTreeMap::new();
    let lists = listen.iter().map(|(name, ports)| (name.clone(), Value::List(in_order(ports))));
    let ports = Value::Map(lists.collect());
    outputs.insert("ports".to_owned(), output(&["listen"], ports));
    if let Some(name) = main_port(listen) {
        let ports = in_order(&listen[name]);
        let urls = ports.iter().map(url).collect();
        outputs.insert("urls".to_owned(), output(&["listen", name], Value::List(urls)));
        if let Some(first) = ports.first() {
            let made_of = ["listen", name, "0"];
            outputs.insert("url".to_owned(), output(&made_of, url(first)));
            outputs.insert("port".to_owned(), output(&made_of, first.clone()));
        }
    }
    outputs
}

/// The values of all outputs of a service whose ports are chosen.
pub(crate) fn values(fields: &Fields) -> BTreeMap<String, Value> {
    of(fields)
        .into_iter()
        .filter_map(|(name, output)| Some((name, output.value?.fill(&|_| None))))
        .collect()
}

fn output(made_of: &[&str], value: Value) -> Output {
    Output { made_of: vec![FieldPath::new(made_of.iter().copied())], value: Some(value) }
}

fn url(port: &Value) -> Value {
    Value::Format(Format {
        template: "http://127.0.0.1:{port}".to_owned(),
        values: Fields::from([("port".to_owned(), port.clone())]),
    })
    .fill(&|_| None)
}

/// A port's values by replica, as numbers: "10" comes behind "9".
fn in_order(ports: &Value) -> Vec<Value> {
    let by_replica: BTreeMap<u32, Value> = ports
        .as_map()
        .into_iter()
        .flatten()
        .filter_map(|(replica, port)| Some((replica.parse().ok()?, port.clone())))
        .collect();
    by_replica.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_contract::Pick;

    fn fields(port: impl Fn(u32) -> Value, replicas: u32) -> Fields {
        let ports = (0..replicas).map(|it| (it.to_string(), port(it))).collect();
        let listen = Fields::from([("http".to_owned(), Value::Map(ports))]);
        Fields::from([("listen".to_owned(), Value::Map(listen))])
    }

    #[test]
    fn a_chosen_port_gives_plain_values() {
        let values = values(&fields(|it| Value::Int(20_000 + i64::from(it)), 11));
        assert_eq!(values["url"], Value::from("http://127.0.0.1:20000"));
        assert_eq!(values["port"], Value::Int(20_000));
        let urls = values["urls"].as_list().expect("a list");
        assert_eq!(urls.last(), Some(&Value::from("http://127.0.0.1:20010")));
    }

    #[test]
    fn a_port_to_be_chosen_stays_a_placeholder() {
        let pick = |it: u32| Value::Pick(Pick::Port { key: format!("service.api/http/{it}") });
        let outputs = of(&fields(pick, 2));
        let url = &outputs["url"];
        assert_eq!(url.made_of, [FieldPath::parse("listen.http.0")]);
        let filled = url.value.as_ref().expect("a value").fill(&|_| Some(Value::Int(7)));
        assert_eq!(filled, Value::from("http://127.0.0.1:7"));
    }

    #[test]
    fn without_ports_there_is_no_url() {
        let none = Fields::from([("listen".to_owned(), Value::Map(Fields::new()))]);
        assert_eq!(values(&none).keys().collect::<Vec<_>>(), ["ports"]);
    }
}
