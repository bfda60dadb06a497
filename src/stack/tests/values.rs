//! What a right stack says.

use super::{fields, finished, folder, json, parse, read, shown, stack};
use crate::stack::{ForeignRef, ForeignValue};
use hive_contract::{Address, FieldPath, Invalid, Value};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const SHOP: &str = r#"
[stack]
name = "shop"
parallel = 4

[variables]
level = { default = "info" }
count = { default = 2 }

[defaults.service]
environment = { LOG_LEVEL = { var = "level" }, TRACE = true }
process = { stop = { grace = "5s" } }

[config.api]
source = "config/api.toml"

[service.orders]
replicas = { var = "count" }
ports = { http = 8080 }
health = { http = "/healthz", every = "500ms" }

[service.orders.process]
command = ["./serve.sh", "data.json", "--port"]

[service.api]
ports = { http = 8080 }
environment = { ORDERS_URL = { from = "service.orders.url" }, TOKEN = { env = "TOKEN", pin = true }, DB = { format = "postgres://u:{pw}@{host}/x", pw = { file = "pw" }, host = "db" } }
files = { "/etc/api.toml" = "config.api" }
uses = ["check.ready"]
protect = true
ignore = [{ field = "replicas", reason = "scaled by hand" }]
rollout = { timeout = "2m", verify = ["check.smoke"] }

[service.api.process]
command = ["sh", "-c", "sleep 1"]
ports = { http = 9000 }

[check.ready]
tcp = "localhost:5432"
timeout = "1m"

[check.smoke]
http = { format = "{url}/healthz", url = { from = "service.api.url" } }

[alert.down]
expr = "up == 0"
for = "5m"
service = "api"

[notify.ops]
webhook = { env = "HOOK" }
on = ["failed"]
"#;

pub(super) const SHOP_FILES: &[(&str, &str)] = &[
    ("stack.toml", SHOP),
    ("config/api.toml", "level = 3\n"),
    ("serve.sh", "#!/bin/sh\n"),
    ("data.json", "{}"),
    (
        "staging.toml",
        r#"
[environment]
remove = ["alert.down", "service.api.environment.TRACE"]
on_failure = "halt"

[service.api]
environment = { ORDERS_URL = "http://fixed" }
rollout = { timeout = "9m" }

[config.api]
mode = "0600"
"#,
    ),
];

#[test]
fn a_stack_is_declared_as_it_says() {
    let folder = folder(SHOP_FILES);
    let shop = finished(read(folder.path(), "dev"));
    assert_eq!((shop.name.as_str(), shop.environment.as_str()), ("shop", "dev"));
    assert_eq!((shop.parallel, shop.store.as_str()), (Some(4), ".hive"));
    assert_eq!(shop.variables["level"], Value::from("info"));
    assert_eq!(shop.platforms.keys().collect::<Vec<_>>(), ["process"]);
    let api = &shop.declared[&"service.api".parse::<Address>().expect("address")];
    assert_eq!(api.uses, BTreeSet::from(["check.ready".parse().expect("address")]));
    assert!(api.protect);
    assert_eq!(api.ignore[0].field, FieldPath::parse("replicas"));
    let mut seen = api.fields.clone();
    let Some(Value::Map(process)) = seen.get_mut("process") else { panic!("no process") };
    let Some(Value::Map(program)) = process.remove("program") else { panic!("no program") };
    assert_eq!(program["name"], Value::from("sh"));
    assert_eq!(program["digest"].as_text().map(str::len), Some(64));
    assert_eq!(
        Value::Map(seen),
        json(
            r#"{
            "replicas": 1,
            "ports": {"http": 8080},
            "environment": {
                "LOG_LEVEL": "info",
                "TRACE": true,
                "ORDERS_URL": {"$output": {"address": "service.orders", "output": "url"}},
                "TOKEN": {"$secret": {"env": "TOKEN", "pin": true}},
                "DB": {"$format": {"template": "postgres://u:{pw}@{host}/x",
                    "values": {"host": "db", "pw": {"$secret": {"file": "pw"}}}}}
            },
            "files": {"/etc/api.toml": {"$output": {"address": "config.api", "output": "content"}}},
            "rollout": {"timeout": 120000, "verify": ["check.smoke"]},
            "process": {"command": ["sh", "-c", "sleep 1"], "ports": {"http": 9000},
                "stop": {"grace": 5000}}
        }"#
        )
    );
    assert_eq!(fields(&shop, "service.orders")["replicas"], Value::from(2));
    assert_eq!(
        fields(&shop, "service.orders")["health"],
        json(r#"{"http": "/healthz", "every": 500}"#)
    );
    assert_eq!(
        Value::Map(fields(&shop, "config.api").clone()),
        json(r#"{"content": "level = 3\n", "mode": "0644"}"#)
    );
    assert_eq!(
        Value::Map(fields(&shop, "check.ready").clone()),
        json(r#"{"tcp": "localhost:5432", "timeout": 60000, "every": 1000}"#)
    );
    assert_eq!(
        Value::Map(fields(&shop, "alert.down").clone()),
        json(r#"{"expr": "up == 0", "for": 300000, "severity": "warning", "service": "api"}"#)
    );
    let files: Vec<&str> = shop.files.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(files, ["data.json", "serve.sh"]);
    let orders = fields(&shop, "service.orders")["process"].as_map().expect("process");
    let inputs = orders["inputs"].as_map().expect("inputs");
    assert_eq!(inputs.keys().collect::<Vec<_>>(), ["data.json"]);
    assert_eq!(inputs["data.json"].as_text(), Some(shop.files[0].digest.as_str()));
}

#[test]
fn an_overlay_merges_tables_replaces_the_rest_and_removes() {
    let folder = folder(SHOP_FILES);
    let shop = finished(read(folder.path(), "staging"));
    assert!(!shop.declared.contains_key(&"alert.down".parse::<Address>().expect("address")));
    let api = fields(&shop, "service.api");
    let environment = api["environment"].as_map().expect("a table");
    // `TRACE` comes from the defaults: what is removed does not come back from there.
    assert_eq!(environment.keys().collect::<Vec<_>>(), ["DB", "LOG_LEVEL", "ORDERS_URL", "TOKEN"]);
    assert_eq!(environment["ORDERS_URL"], Value::from("http://fixed"));
    assert_eq!(api["rollout"], json(r#"{"timeout": 540000, "verify": ["check.smoke"]}"#));
    assert_eq!(fields(&shop, "config.api")["mode"], Value::from("0600"));
    assert_eq!(Value::Map(shop.guards.clone()), json(r#"{"on_failure": "halt"}"#));
    // `TRACE` stays where it was not removed.
    let orders = fields(&shop, "service.orders")["environment"].as_map().expect("a table");
    assert!(orders.contains_key("TRACE"));
}

#[test]
fn what_a_provider_finds_is_shown_where_the_winning_value_stands() {
    let folder = folder(SHOP_FILES);
    let shop = finished(read(folder.path(), "staging"));
    let at = |address: &str, field: &str| {
        let address = address.parse().expect("address");
        let problem = shop.problem_at(&address, &Invalid::at(field, "it is wrong").help("help"));
        shown(&[problem])
    };
    let wrong = "it is wrong (help)\n";
    assert_eq!(at("service.api", "rollout.timeout"), format!("staging.toml:8:23: {wrong}"));
    assert_eq!(at("service.api", "rollout.verify.0"), format!("stack.toml:32:39: {wrong}"));
    assert_eq!(at("service.api", "process.stop.grace"), format!("stack.toml:12:30: {wrong}"));
    assert_eq!(at("service.api", "process.nothing"), format!("stack.toml:34:1: {wrong}"));
    assert_eq!(at("config.api", "content"), format!("stack.toml:15:10: {wrong}"));
    assert_eq!(at("config.api", "nothing"), format!("stack.toml:14:1: {wrong}"));
    assert_eq!(at("service.gone", "x"), "`service.gone`: it is wrong (help)\n");
}

#[test]
fn an_instance_is_an_environment_of_its_own_out_of_the_same_files() {
    let text = "[stack]\nname = \"shop\"\n";
    let folder = folder(&[("stack.toml", text), ("dev.toml", "[stack]\nparallel = 2\n")]);
    let nothing = BTreeMap::new();
    let parsed = parse(folder.path(), "dev", Some("feature-7"), &nothing, &nothing, None);
    let shop = finished(parsed);
    assert_eq!((shop.environment.as_str(), shop.parallel), ("dev+feature-7", Some(2)));
}

#[test]
fn variables_are_given_by_argument_else_by_environment_else_by_default() {
    let text = r#"
[stack]
name = "shop"
[variables]
a = { default = 1 }
b = { type = "bool" }
c-d = { default = "x" }
[config.x]
content = { format = "{a} {b} {c}", a = { var = "a" }, b = { var = "b" }, c = { var = "c-d" } }
"#;
    let folder = folder(&[("stack.toml", text)]);
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    };
    let content = |vars: &[(&str, &str)], env: &[(&str, &str)]| {
        let parsed = parse(folder.path(), "dev", None, &map(vars), &map(env), None);
        fields(&finished(parsed), "config.x")["content"].clone()
    };
    let env = [("HIVE_VAR_b", "true"), ("HIVE_VAR_C_D", "y"), ("a", "5"), ("HIVE_VAR_other", "")];
    assert_eq!(content(&[], &env), Value::from("5 true y"));
    assert_eq!(content(&[("a", "7"), ("b", "false")], &env), Value::from("7 false y"));
}

#[test]
fn outputs_of_other_stacks_are_filled_in() {
    let text = r#"
[stack]
name = "shop"
[config.x]
content = { format = "{u}/x", u = { stack = "../other", output = "service.api.url" } }
[service.x]
environment = { U = { stack = "../other", output = "service.api.url", environment = "staging" } }
process = { command = ["sh"] }
"#;
    let folder = folder(&[("stack.toml", text)]);
    let reference = |environment: &str| ForeignRef {
        stack: "../other".to_owned(),
        environment: environment.to_owned(),
        address: "service.api".parse().expect("address"),
        output: "url".to_owned(),
    };
    let parsed = read(folder.path(), "dev").expect("right");
    assert_eq!(parsed.foreign(), [reference("dev"), reference("staging")]);
    let values = BTreeMap::from([
        (reference("dev"), Value::from("http://dev")),
        (reference("staging"), Value::from("http://staging")),
    ]);
    let shop = parsed.finish(&values).expect("filled");
    assert_eq!(fields(&shop, "config.x")["content"], Value::from("http://dev/x"));
    let environment = &fields(&shop, "service.x")["environment"];
    assert_eq!(environment, &json(r#"{"U": "http://staging"}"#));
    assert_eq!(
        shop.foreign[0],
        ForeignValue { reference: reference("dev"), value: Value::from("http://dev") }
    );
    let why = crate::stack::Unread { why: "it is gone".to_owned(), help: Some("look".to_owned()) };
    let unread = BTreeMap::from([(reference("dev"), why)]);
    let parsed = read(folder.path(), "dev").expect("right");
    let missing = parsed.finish_or(&BTreeMap::new(), &unread);
    assert_eq!(
        shown(&missing.expect_err("nothing is known")),
        "stack.toml:5:35: `service.api.url` of the stack `../other` in `dev` has no value here: it \
         is gone (look)\n\
         stack.toml:7:21: `service.api.url` of the stack `../other` in `staging` has no value here\n"
    );
}

#[test]
fn a_small_stack_needs_a_name_and_nothing_else() {
    assert_eq!(stack("[stack]\nname = \"a\"\n").declared.len(), 0);
    assert_eq!(stack("\u{feff}[stack]\r\nname = \"a\"\r\n").name, "a");
}
