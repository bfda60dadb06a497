//! From the checked fields of a resource to what it declares, and the rules that hold between its
//! keys and between resources.

use super::access::access;
use super::check::Checker;
use super::model::Span;
use hive_contract::{Address, Declared, FieldPath, Fields, Ignore, OutputRef, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Takes out what every kind has, and turns addresses of configs into their contents.
pub(crate) fn declare(address: Address, mut fields: Fields, checker: &mut Checker<'_>) -> Declared {
    let protect = fields.remove("protect") == Some(Value::Bool(true));
    let uses = uses(&address, fields.remove("uses"), checker);
    let ignore = ignore(fields.remove("ignore"));
    if let Some(Value::Map(files)) = fields.get_mut("files") {
        contents(&address, files, checker);
    }
    let declared = Declared { address, fields, uses, protect, ignore };
    rules(&declared, checker);
    declared
}

fn uses(address: &Address, value: Option<Value>, checker: &mut Checker<'_>) -> BTreeSet<Address> {
    let Some(Value::List(items)) = value else { return BTreeSet::new() };
    let named = |(at, item): (usize, Value)| {
        let used: Address = item.as_text()?.parse().ok()?;
        let field = ["uses", &at.to_string()];
        if let Some(at) = checker.place(address, &field) {
            checker.uses.insert((address.clone(), used.clone()), at);
        }
        known(address, &field, &used, checker).then_some(used)
    };
    items.into_iter().enumerate().filter_map(named).collect()
}

fn ignore(value: Option<Value>) -> Vec<Ignore> {
    let Some(Value::List(items)) = value else { return Vec::new() };
    let one = |item: &Value| {
        let text = |key: &str| item.as_map()?.get(key)?.as_text();
        Some(Ignore { field: FieldPath::parse(text("field")?), reason: text("reason")?.to_owned() })
    };
    items.iter().filter_map(one).collect()
}

/// `"config.api"` → the content that `config.api` gives.
fn contents(address: &Address, files: &mut Fields, checker: &mut Checker<'_>) {
    for (path, value) in files {
        let Some(config) = value.as_text().and_then(|text| text.parse::<Address>().ok()) else {
            continue;
        };
        known(address, &["files", path], &config, checker);
        *value = Value::Output(OutputRef { address: config, output: "content".to_owned() });
    }
}

/// Whether an address that a field names is declared; says so at that field where it is not.
fn known(address: &Address, field: &[&str], named: &Address, checker: &mut Checker<'_>) -> bool {
    match checker.place(address, field) {
        Some(at) => checker.declared(named, at),
        None => checker.addresses.contains(named),
    }
}

fn rules(declared: &Declared, checker: &mut Checker<'_>) {
    match declared.address.kind() {
        "service" => {
            fixed_ports(declared, checker);
            health(declared, checker);
            verify(declared, checker);
        }
        "alert" => watched(declared, checker),
        "database" | "backup" => access(declared, checker),
        _ => {}
    }
}

fn map<'a>(fields: &'a Fields, path: &[&str]) -> Option<&'a Fields> {
    let (first, rest) = path.split_first()?;
    let inner = fields.get(*first)?.as_map()?;
    if rest.is_empty() { Some(inner) } else { map(inner, rest) }
}

/// Fixed ports are some of the service's ports, and leave room for one replica.
fn fixed_ports(declared: &Declared, checker: &mut Checker<'_>) {
    let address = &declared.address;
    let Some(fixed) = map(&declared.fields, &["process", "ports"]) else { return };
    let nothing = Fields::new();
    let ports = map(&declared.fields, &["ports"]).unwrap_or(&nothing);
    for name in fixed.keys().filter(|name| !ports.contains_key(*name)) {
        no_port(address, &["process", "ports", name], name, ports, checker);
    }
    let replicas = declared.fields.get("replicas").and_then(Value::as_int).unwrap_or(1);
    if replicas > 1 && !fixed.is_empty() {
        let at = checker.place(address, &["process", "ports"]);
        checker
            .findings
            .add(at, format!("with fixed ports one replica can run, and {replicas} are declared"))
            .help("take the fixed ports away: each replica then gets free ones");
    }
}

fn no_port(
    address: &Address,
    field: &[&str],
    name: &str,
    ports: &Fields,
    checker: &mut Checker<'_>,
) {
    let near = checker.findings.nearest(name, ports.keys());
    let at = checker.place(address, field);
    checker
        .findings
        .add(at, format!("`{address}` has no port `{name}`"))
        .help(format!("declare it, as in `ports = {{ {name} = 8080 }}`"))
        .maybe_help(near);
}

/// Health is asked at one of the service's ports, and it is clear at which.
fn health(declared: &Declared, checker: &mut Checker<'_>) {
    let address = &declared.address;
    let Some(health) = map(&declared.fields, &["health"]) else { return };
    if health.get("tcp") == Some(&Value::Bool(false)) {
        let at = checker.place(address, &["health", "tcp"]);
        checker
            .findings
            .add(at, "`tcp` can only be `true`")
            .help("take `health` away where nothing is to be asked");
    }
    if health.contains_key("command") {
        return;
    }
    let nothing = Fields::new();
    let ports = map(&declared.fields, &["ports"]).unwrap_or(&nothing);
    match health.get("port").and_then(Value::as_text) {
        Some(name) if !ports.contains_key(name) => {
            no_port(address, &["health", "port"], name, ports, checker);
        }
        None if ports.len() != 1 => {
            let at = checker.place(address, &["health"]);
            let (message, help) = match ports.len() {
                0 => (
                    "health is asked at a port, and the service has none".to_owned(),
                    "declare one, as in `ports = { http = 8080 }`".to_owned(),
                ),
                many => (
                    format!("the service has {many} ports, and health does not say at which"),
                    "add `port = …` to `health`".to_owned(),
                ),
            };
            checker.findings.add(at, message).help(help);
        }
        _ => {}
    }
}

fn verify(declared: &Declared, checker: &mut Checker<'_>) {
    for (at, check) in verifying(declared).into_iter().enumerate() {
        known(&declared.address, &["rollout", "verify", &at.to_string()], &check, checker);
    }
}

/// The checks that must hold after a service's rollout, in their order.
pub(crate) fn verifying(declared: &Declared) -> Vec<Address> {
    let rollout = map(&declared.fields, &["rollout"]);
    let checks = rollout.and_then(|it| it.get("verify")).and_then(Value::as_list);
    checks.unwrap_or_default().iter().filter_map(|it| it.as_text()?.parse().ok()).collect()
}

/// An alert names its service by name alone.
fn watched(declared: &Declared, checker: &mut Checker<'_>) {
    let Some(name) = declared.fields.get("service").and_then(Value::as_text) else { return };
    let Ok(service) = Address::new("service", name) else { return };
    known(&declared.address, &["service"], &service, checker);
}

/// What two resources may not both claim: a fixed port, the path of a file, a database, the place of
/// backups.
pub(crate) fn claims(declared: &BTreeMap<Address, Declared>, checker: &mut Checker<'_>) {
    let mut ports: BTreeMap<i64, (String, Option<Span>)> = BTreeMap::new();
    let mut paths: BTreeMap<String, (String, Option<Span>)> = BTreeMap::new();
    let mut urls: BTreeMap<&Value, (String, Option<Span>)> = BTreeMap::new();
    for (address, resource) in declared {
        let fixed = map(&resource.fields, &["process", "ports"]);
        for (name, port) in fixed.into_iter().flatten() {
            let Some(port) = port.as_int() else { continue };
            let at = checker.place(address, &["process", "ports", name]);
            let by = format!("port {port}");
            claim(&mut ports, port, &by, address, at, checker);
        }
        if let Some((field, path)) = written(resource) {
            let at = checker.place(address, &[field]);
            let by = match field {
                "path" => format!("the file `{path}`"),
                _ => format!("the place `{path}`"),
            };
            claim(&mut paths, path, &by, address, at, checker);
        }
        if let Some(url) = resource.fields.get("url").filter(|_| address.kind() == "database") {
            let at = checker.place(address, &["url"]);
            claim(&mut urls, url, "the database of this url", address, at, checker);
        }
    }
}

fn claim<K: Ord>(
    taken: &mut BTreeMap<K, (String, Option<Span>)>,
    key: K,
    what: &str,
    address: &Address,
    at: Option<Span>,
    checker: &mut Checker<'_>,
) {
    let Some((holder, holder_at)) = taken.get(&key) else {
        taken.insert(key, (address.to_string(), at));
        return;
    };
    let message = format!("`{address}` and `{holder}` both claim {what}");
    let finding = checker.findings.add(at, message);
    if let Some(holder_at) = holder_at {
        finding.related(format!("`{holder}` claims it here"), *holder_at);
    }
}

/// The field that says what a resource alone writes, and that path without `.` in it.
fn written(declared: &Declared) -> Option<(&'static str, String)> {
    let field = match declared.address.kind() {
        "config" | "database" => "path",
        "backup" => "destination",
        _ => return None,
    };
    let path = declared.fields.get(field)?.as_text()?;
    let root = if path.starts_with('/') { "/" } else { "" };
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    Some((field, format!("{root}{}", parts.collect::<Vec<_>>().join("/"))))
}
