//! One declared check in canonical fields.

use hive_contract::{Declared, Fields, Invalid, LowerScope, Lowered, ReplaceOrder, Sort, Value};
use std::collections::{BTreeMap, BTreeSet};

/// How long until it must hold, where nothing is said: milliseconds.
const TIMEOUT_MS: i64 = 30_000;
/// The wait between two looks, where nothing is said: milliseconds.
const EVERY_MS: i64 = 1_000;

/// What each way of looking takes beside `timeout`.
const KEYS: [(&str, &[&str]); 3] = [
    ("http", &["status", "every"]),
    ("tcp", &["every"]),
    ("command", &["environment", "directory", "program", "inputs", "every"]),
];

pub(crate) fn lower(declared: &Declared, scope: &LowerScope) -> Result<Lowered, Vec<Invalid>> {
    let mut wrong = Vec::new();
    let fields = &declared.fields;
    match KEYS.iter().filter(|(key, _)| fields.contains_key(*key)).collect::<Vec<_>>()[..] {
        [(way, keys)] => {
            unknown_keys(fields, way, keys, &mut wrong);
            match *way {
                "http" => http(fields, &mut wrong),
                "tcp" => tcp(fields, &mut wrong),
                _ => command(fields, &mut wrong),
            }
        }
        [] => wrong.push(
            Invalid::at("", "a check needs something to look at")
                .help("give it one of `http`, `tcp` or `command`"),
        ),
        [_, (second, _), ..] => wrong.push(
            Invalid::at(second, "a check looks at one thing")
                .help("make a second check of it, and name both where they are used"),
        ),
    }
    let timeout = duration(fields, "timeout", TIMEOUT_MS, &mut wrong);
    let every = duration(fields, "every", EVERY_MS, &mut wrong);
    let once = fields.contains_key("command");
    if once && every != EVERY_MS {
        wrong.push(
            Invalid::at("every", "a command is run once")
                .help("leave `every` away, or let the command itself try again"),
        );
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let mut fields = fields.clone();
    fields.insert("timeout".to_owned(), Value::Int(timeout));
    match once {
        true => fields.remove("every"),
        false => fields.insert("every".to_owned(), Value::Int(every)),
    };
    Ok(Lowered {
        sort: Sort::Gate,
        identity: format!("{}/{}", scope.owner.environment, declared.address),
        fields,
        outputs: BTreeMap::new(),
        immutable: BTreeSet::new(),
        replace: ReplaceOrder::DeleteFirst,
        ..Lowered::default()
    })
}

fn unknown_keys(fields: &Fields, way: &str, keys: &[&str], wrong: &mut Vec<Invalid>) {
    for key in fields.keys() {
        if key != way && key != "timeout" && !keys.contains(&key.as_str()) {
            wrong.push(
                Invalid::at(key, format!("a check by {way} has no `{key}`"))
                    .help(format!("beside `timeout` it has {}", keys.join(", "))),
            );
        }
    }
}

fn http(fields: &Fields, wrong: &mut Vec<Invalid>) {
    match &fields["http"] {
        Value::Text(url) if !url.starts_with("http://") && !url.starts_with("https://") => wrong
            .push(
                Invalid::at("http", format!("`{url}` is not a url"))
                    .help("begin it with http:// or https://"),
            ),
        Value::Text(_) | Value::Output(_) | Value::Format(_) | Value::Secret(_) => {}
        _ => wrong.push(Invalid::at("http", "the url is not text")),
    }
    let status = fields.get("status").map(|it| it.as_int().unwrap_or_default());
    if status.is_some_and(|status| !(100..600).contains(&status)) {
        wrong.push(
            Invalid::at("status", "that is not an HTTP status")
                .help("give the one that must be answered, as in `status = 204`"),
        );
    }
}

fn tcp(fields: &Fields, wrong: &mut Vec<Invalid>) {
    match &fields["tcp"] {
        Value::Text(address) if !is_host_and_port(address) => wrong.push(
            Invalid::at("tcp", format!("`{address}` is not an address to connect to"))
                .help("write `host:port`, as in `tcp = \"localhost:5432\"`"),
        ),
        Value::Text(_) | Value::Output(_) | Value::Format(_) | Value::Secret(_) => {}
        _ => wrong.push(Invalid::at("tcp", "the address is not text")),
    }
}

fn is_host_and_port(address: &str) -> bool {
    let parts = address.rsplit_once(':');
    parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|it| it > 0))
}

fn command(fields: &Fields, wrong: &mut Vec<Invalid>) {
    let words = fields["command"].as_list().unwrap_or_default();
    if words.first().is_none_or(|first| first.as_text().is_none_or(str::is_empty)) {
        wrong.push(
            Invalid::at("command", "the command names no program")
                .help("write a list, program first, as in `command = [\"./smoke.sh\"]`"),
        );
    }
    if words.iter().any(Value::has_secret) {
        wrong.push(
            Invalid::at("command", "a secret may not stand among a command's arguments")
                .help("others on the machine can read them: put it into `environment`"),
        );
    }
    if words.iter().any(|word| matches!(word, Value::List(_) | Value::Map(_))) {
        wrong.push(Invalid::at("command", "a command is a list of texts"));
    }
    environment(fields, wrong);
    match fields.get("directory").map(Value::as_text) {
        None => {}
        Some(Some(path)) if !path.is_empty() && !path.starts_with('/') => {}
        Some(_) => wrong.push(
            Invalid::at("directory", "the directory is not a relative path")
                .help("it counts from the stack's folder, as in `directory = \"tests\"`"),
        ),
    }
}

fn environment(fields: &Fields, wrong: &mut Vec<Invalid>) {
    let Some(environment) = fields.get("environment") else { return };
    let Some(environment) = environment.as_map() else {
        wrong.push(Invalid::at("environment", "the environment is not a table of variables"));
        return;
    };
    for (name, value) in environment {
        let at = format!("environment.\"{name}\"");
        if name.is_empty() || name.contains(['=', '\0']) {
            wrong.push(Invalid::at(&at, "that is not a variable's name"));
        }
        if name.starts_with("HIVE_") {
            wrong.push(
                Invalid::at(&at, format!("hive itself sets `{name}`"))
                    .help("variables that begin with HIVE_ tell the command what it checks"),
            );
        }
        if matches!(value, Value::List(_) | Value::Map(_)) {
            wrong.push(Invalid::at(&at, "a variable is text, a number or a truth value"));
        }
    }
}

fn duration(fields: &Fields, key: &str, default_ms: i64, wrong: &mut Vec<Invalid>) -> i64 {
    match fields.get(key).map(Value::as_int) {
        None => default_ms,
        Some(Some(ms)) if ms > 0 => ms,
        Some(_) => {
            wrong.push(Invalid::at(key, "that is not a duration above zero"));
            default_ms
        }
    }
}
