//! A declared service in this platform's terms. All validation of services is here.

use crate::layout::identity;
use crate::outputs;
use crate::spec::{main_port, port_variable, signal, signal_names};
use hive_contract::value::Fields;
use hive_contract::{Declared, Invalid, LowerScope, Lowered, Pick, ReplaceOrder, Sort, Value};
use std::collections::{BTreeMap, BTreeSet};

/// How long a service may take to be healthy, in milliseconds, unless it says.
const GRACE_MS: i64 = 30_000;
/// How often its health is looked at, in milliseconds, unless it says.
const EVERY_MS: i64 = 1_000;
/// How long it may take to end, in milliseconds, unless it says.
const STOP_GRACE_MS: i64 = 10_000;
/// More than this is a typing error and not a laptop.
const MOST_REPLICAS: i64 = 1_000;

/// Lowers one service.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn lower(declared: &Declared, scope: &LowerScope) -> Result<Lowered, Vec<Invalid>> {
    let mut reader = Reader { declared: &declared.fields, wrong: Vec::new() };
    // Many stacks share a machine: each begins to look for its ports somewhere else.
    let whose = [&scope.owner.stack, &scope.owner.environment, &declared.address.to_string()];
    let whose = whose.map(String::as_str).join("/");
    let fields = reader.fields(&whose);
    if !reader.wrong.is_empty() {
        return Err(reader.wrong);
    }
    Ok(Lowered {
        sort: Sort::Object,
        identity: identity(&scope.owner.environment, &declared.address.to_string()),
        outputs: outputs::of(&fields),
        fields,
        immutable: BTreeSet::new(),
        replace: ReplaceOrder::DeleteFirst,
        ..Lowered::default()
    })
}

struct Reader<'a> {
    declared: &'a Fields,
    wrong: Vec<Invalid>,
}

impl Reader<'_> {
    fn fields(&mut self, whose: &str) -> Fields {
        let process = self.table(self.declared, "process", "process");
        let replicas = self.replicas();
        let ports = self.ports(whose, &process, replicas);
        let (command, program) = self.command(&process);
        let directory = self.text(&process, "process.directory").unwrap_or_else(|| ".".to_owned());
        let mut fields = Fields::from([
            ("replicas".to_owned(), Value::Int(replicas)),
            ("command".to_owned(), command),
            ("program".to_owned(), program),
            ("directory".to_owned(), Value::Text(directory)),
            ("environment".to_owned(), self.environment()),
            ("files".to_owned(), self.files()),
            ("stop".to_owned(), self.stop(&process)),
        ]);
        let inputs = self.table(&process, "inputs", "process.inputs");
        fields.insert("inputs".to_owned(), Value::Map(inputs));
        if let Some(health) = self.health(&ports) {
            fields.insert("health".to_owned(), health);
        }
        if let Some(timeout) = self.rollout() {
            fields.insert("rollout".to_owned(), timeout);
        }
        fields.insert("listen".to_owned(), Value::Map(ports));
        fields
    }

    fn replicas(&mut self) -> i64 {
        let replicas = self.int(self.declared, "replicas", 1);
        if !(0..=MOST_REPLICAS).contains(&replicas) {
            self.say("replicas", format!("a service has 0 to {MOST_REPLICAS} replicas"));
        }
        replicas.clamp(0, MOST_REPLICAS)
    }

    /// Name → replica → port. There is always a first replica's port, so that scaling to nothing
    /// and back changes no url.
    fn ports(&mut self, whose: &str, process: &Fields, replicas: i64) -> Fields {
        let declared = self.table(self.declared, "ports", "ports");
        let fixed = self.table(process, "ports", "process.ports");
        if !fixed.is_empty() && replicas > 1 {
            self.say(
                "process.ports",
                format!("{replicas} replicas on one machine cannot share a fixed port"),
            );
        }
        for name in fixed.keys().filter(|name| !declared.contains_key(*name)) {
            self.say(&format!("process.ports.{name}"), "`ports` declares no such port");
        }
        let mut variables = BTreeMap::new();
        let mut listen = Fields::new();
        for (name, port) in &declared {
            self.port_number(&format!("ports.{name}"), port);
            if let Some(other) = variables.insert(port_variable(name), name.clone()) {
                let variable = port_variable(name);
                self.say(
                    &format!("ports.{name}"),
                    format!("`{name}` and `{other}` would both be told by `{variable}`"),
                );
            }
            let own = match fixed.get(name) {
                Some(port) => {
                    self.port_number(&format!("process.ports.{name}"), port);
                    Fields::from([("0".to_owned(), port.clone())])
                }
                None => (0..replicas.max(1))
                    .map(|replica| {
                        let key = format!("{whose}/{name}/{replica}");
                        (replica.to_string(), Value::Pick(Pick::Port { key }))
                    })
                    .collect(),
            };
            listen.insert(name.clone(), Value::Map(own));
        }
        listen
    }

    fn port_number(&mut self, field: &str, port: &Value) {
        if !port.as_int().is_some_and(|port| (1..=65_535).contains(&port)) {
            self.say(field, "a port is a number from 1 to 65535");
        }
    }

    fn command(&mut self, process: &Fields) -> (Value, Value) {
        let command = self.list(process, "process.command");
        let program = self.table(process, "program", "process.program");
        if !process.contains_key("command") {
            let invalid =
                Invalid::at("process.command", "on the process platform a service needs a command");
            self.wrong
                .push(invalid.help("write `command = [\"./server\"]` in its `process` table"));
        } else if command.is_empty() {
            self.say("process.command", "a command has at least a program");
        } else if let Some(name) = command[0].as_text() {
            if program.is_empty() {
                self.wrong.push(
                    Invalid::at(
                        "process.command",
                        format!("there is no program `{name}` that can be executed"),
                    )
                    .help(
                        "a name with a `/` counts from `process.directory`, \
                         any other is looked up in PATH",
                    ),
                );
            }
        } else {
            self.say("process.command", "the program must be plain text, so that it can be bound");
        }
        (Value::List(command), Value::Map(program))
    }

    fn environment(&mut self) -> Value {
        let declared = self.table(self.declared, "environment", "environment");
        let mut environment = Fields::new();
        for (name, value) in declared {
            let field = format!("environment.{name}");
            if name.is_empty() || name.contains(['=', '\0']) {
                self.say(&field, "no variable can have that name");
            } else if name.starts_with("HIVE_") {
                self.say(&field, "names that begin with `HIVE_` are hive's own");
            }
            if value.as_text().is_some_and(|text| text.contains('\0')) {
                self.say(&field, "a variable cannot hold a zero byte");
            }
            let text = match value {
                Value::List(_) | Value::Map(_) => {
                    self.say(&field, "a variable is text, a number or a truth value");
                    continue;
                }
                // A variable is always text, so `5` and `"5"` are the same.
                Value::Bool(_) | Value::Int(_) => Value::Text(value.scalar().unwrap_or_default()),
                other => other,
            };
            environment.insert(name, text);
        }
        Value::Map(environment)
    }

    fn files(&mut self) -> Value {
        let files = self.table(self.declared, "files", "files");
        let mut mapped: BTreeMap<String, String> = BTreeMap::new();
        for (path, content) in &files {
            let field = format!("files.\"{path}\"");
            let below = path.trim_start_matches('/');
            let strange = |part: &str| matches!(part, "" | "." | "..");
            if below.split('/').any(strange) || below.contains('\0') {
                self.say(&field, "a file's path has no `.`, `..`, double or last `/`");
            }
            if content.has_secret() {
                self.say(&field, "a secret may not stand in a file: give it as a variable");
            }
            if let Some(other) = mapped.insert(below.to_owned(), path.clone()) {
                self.say(&field, format!("`{other}` is the same file below `HIVE_FILES`"));
            }
        }
        let paths: Vec<_> = mapped.keys().cloned().collect();
        for path in &paths {
            let folder = format!("{path}/");
            if let Some(inner) = paths.iter().find(|other| other.starts_with(&folder)) {
                let (outer, inner) = (&mapped[path], &mapped[inner]);
                let field = format!("files.\"{outer}\"");
                self.wrong.push(Invalid::at(&field, format!("`{inner}` makes it a folder")));
            }
        }
        Value::Map(files)
    }

    fn stop(&mut self, process: &Fields) -> Value {
        let stop = self.table(process, "stop", "process.stop");
        let name = self.text(&stop, "process.stop.signal").unwrap_or_else(|| "TERM".to_owned());
        if signal(&name).is_none() {
            let message = format!("`{name}` is not a signal: use {}", signal_names());
            self.say("process.stop.signal", message);
        }
        let short = name.strip_prefix("SIG").unwrap_or(&name).to_owned();
        let grace = self.millis(&stop, "process.stop.grace", STOP_GRACE_MS);
        Value::Map(Fields::from([
            ("signal".to_owned(), Value::Text(short)),
            ("grace".to_owned(), Value::Int(grace)),
        ]))
    }

    fn health(&mut self, ports: &Fields) -> Option<Value> {
        self.declared.get("health")?;
        let declared = self.table(self.declared, "health", "health");
        let mut health = Fields::from([
            ("every".to_owned(), Value::Int(self.millis(&declared, "health.every", EVERY_MS))),
            ("grace".to_owned(), Value::Int(self.millis(&declared, "health.grace", GRACE_MS))),
        ]);
        let kinds = ["http", "tcp", "command"];
        let named: Vec<&str> =
            kinds.into_iter().filter(|kind| declared.contains_key(*kind)).collect();
        let [kind] = named[..] else {
            self.say("health", "health is one of `http`, `tcp` and `command`");
            return None;
        };
        let value = match kind {
            "http" => {
                let path = self.text(&declared, "health.http").unwrap_or_default();
                if !path.starts_with('/') || path.contains(|c: char| c.is_ascii_control()) {
                    self.say("health.http", "a path begins with `/`");
                }
                Value::Text(path)
            }
            "tcp" => {
                if declared["tcp"] != Value::Bool(true) {
                    self.say("health.tcp", "write `tcp = true`");
                }
                Value::Bool(true)
            }
            _ => {
                let command = self.list(&declared, "health.command");
                if command.is_empty() {
                    self.say("health.command", "a command has at least a program");
                }
                Value::List(command)
            }
        };
        health.insert(kind.to_owned(), value);
        match (kind, self.health_port(&declared, ports)) {
            ("command", Some(_)) => self.say("health.port", "a command is not given a port"),
            ("command", None) => {}
            (_, Some(port)) => {
                health.insert("port".to_owned(), Value::Text(port));
            }
            (_, None) if ports.is_empty() => {
                self.say("health", format!("the service has no port for `{kind}`: declare one"));
            }
            (_, None) => self.say("health", "say which `port` is meant"),
        }
        Some(Value::Map(health))
    }

    fn health_port(&mut self, declared: &Fields, ports: &Fields) -> Option<String> {
        match self.text(declared, "health.port") {
            Some(port) => {
                if !ports.contains_key(&port) {
                    self.say("health.port", format!("`ports` declares no `{port}`"));
                }
                Some(port)
            }
            None if declared.contains_key("command") => None,
            None => main_port(ports).map(str::to_owned),
        }
    }

    fn rollout(&mut self) -> Option<Value> {
        let rollout = self.table(self.declared, "rollout", "rollout");
        rollout.get("timeout")?;
        let timeout = self.millis(&rollout, "rollout.timeout", 0);
        Some(Value::Map(Fields::from([("timeout".to_owned(), Value::Int(timeout))])))
    }

    fn say(&mut self, field: &str, message: impl Into<String>) {
        self.wrong.push(Invalid::at(field, message));
    }

    /// The table at a key; an empty one where there is none.
    fn table(&mut self, fields: &Fields, key: &str, field: &str) -> Fields {
        match fields.get(key) {
            None => Fields::new(),
            Some(Value::Map(table)) => table.clone(),
            Some(_) => {
                self.say(field, "this must be a table");
                Fields::new()
            }
        }
    }

    /// The list at a path's last key, without a secret in it.
    fn list(&mut self, fields: &Fields, field: &str) -> Vec<Value> {
        let values = match fields.get(last(field)) {
            None => return Vec::new(),
            Some(Value::List(values)) => values.clone(),
            Some(_) => {
                self.say(field, "this must be a list");
                return Vec::new();
            }
        };
        for value in &values {
            if value.has_secret() {
                self.say(field, "a secret may not stand in a command: every user can read it");
            } else if matches!(value, Value::List(_) | Value::Map(_)) {
                self.say(field, "a command is a list of text");
            } else if value.as_text().is_some_and(|text| text.contains('\0')) {
                self.say(field, "a command cannot hold a zero byte");
            }
        }
        values
    }

    fn text(&mut self, fields: &Fields, field: &str) -> Option<String> {
        match fields.get(last(field)) {
            None => None,
            Some(Value::Text(text)) => Some(text.clone()),
            Some(_) => {
                self.say(field, "this must be text");
                None
            }
        }
    }

    fn int(&mut self, fields: &Fields, field: &str, unless: i64) -> i64 {
        match fields.get(last(field)) {
            None => unless,
            Some(Value::Int(number)) => *number,
            Some(_) => {
                self.say(field, "this must be a whole number");
                unless
            }
        }
    }

    fn millis(&mut self, fields: &Fields, field: &str, unless: i64) -> i64 {
        let millis = self.int(fields, field, unless);
        if millis < 0 {
            self.say(field, "a duration is not negative");
        }
        millis
    }
}

fn last(field: &str) -> &str {
    field.rsplit('.').next().unwrap_or(field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_contract::{SecretRef, StackMark};

    fn map<const N: usize>(pairs: [(&str, Value); N]) -> Value {
        Value::Map(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    fn fields<const N: usize>(pairs: [(&str, Value); N]) -> Fields {
        map(pairs).as_map().expect("a table").clone()
    }

    fn process() -> Value {
        map([
            ("command", Value::List(vec!["./server".into()])),
            ("program", map([("name", "./server".into()), ("digest", "0".repeat(64).into())])),
        ])
    }

    fn lowered(fields: Fields) -> Result<Lowered, Vec<String>> {
        let declared = Declared {
            address: "service.api".parse().expect("address"),
            fields,
            uses: BTreeSet::new(),
            protect: false,
            ignore: Vec::new(),
        };
        let owner = StackMark {
            store: String::new(),
            stack: "shop".to_owned(),
            environment: "dev".to_owned(),
        };
        let words = |it: Invalid| format!("{}: {}", it.field, it.message);
        lower(&declared, &LowerScope { owner })
            .map_err(|wrong| wrong.into_iter().map(words).collect())
    }

    #[test]
    fn defaults_are_filled_and_every_replica_gets_a_port() {
        let lowered = lowered(fields([
            ("process", process()),
            ("replicas", 2.into()),
            ("ports", map([("http", 8080.into())])),
            ("environment", map([("N", 5.into()), ("PW", Value::Secret(SecretRef::env("PW")))])),
            ("health", map([("http", "/up".into())])),
        ]))
        .expect("lowers");
        assert_eq!(lowered.identity, "dev/service.api");
        let pick = |replica: u32| {
            Value::Pick(Pick::Port { key: format!("shop/dev/service.api/http/{replica}") })
        };
        let expected = map([("http", map([("0", pick(0)), ("1", pick(1))]))]);
        assert_eq!(lowered.fields["listen"], expected);
        assert_eq!(
            lowered.fields["health"],
            map([
                ("http", "/up".into()),
                ("port", "http".into()),
                ("every", 1000.into()),
                ("grace", 30_000.into())
            ])
        );
        let environment = lowered.fields["environment"].as_map().expect("a table");
        assert_eq!(environment["N"], Value::from("5"));
        assert_eq!(
            lowered.fields["stop"],
            map([("signal", "TERM".into()), ("grace", 10_000.into())])
        );
        let outputs: Vec<_> = lowered.outputs.keys().collect();
        assert_eq!(outputs, ["port", "ports", "url", "urls"]);
    }

    #[test]
    fn no_replica_keeps_the_url() {
        let lowered = lowered(fields([
            ("process", process()),
            ("replicas", 0.into()),
            ("ports", map([("http", 8080.into())])),
        ]))
        .expect("lowers");
        assert!(lowered.outputs.contains_key("url"));
    }

    #[test]
    fn everything_wrong_is_said_at_once_with_its_field() {
        let wrong = lowered(fields([
            ("process", map([("stop", map([("signal", "STOP".into())]))])),
            ("replicas", (-1).into()),
            ("ports", map([("a-b", 1.into()), ("a_b", 70_000.into())])),
            ("environment", map([("HIVE_X", "1".into()), ("L", Value::List(Vec::new()))])),
            ("files", map([("/etc/a", "x".into()), ("etc/a", "y".into()), ("../b", "z".into())])),
            ("health", map([("tcp", true.into())])),
        ]))
        .expect_err("is wrong");
        assert_eq!(
            wrong,
            [
                "replicas: a service has 0 to 1000 replicas",
                "ports.a_b: a port is a number from 1 to 65535",
                "ports.a_b: `a_b` and `a-b` would both be told by `HIVE_PORT_A_B`",
                "process.command: on the process platform a service needs a command",
                "environment.HIVE_X: names that begin with `HIVE_` are hive's own",
                "environment.L: a variable is text, a number or a truth value",
                "files.\"../b\": a file's path has no `.`, `..`, double or last `/`",
                "files.etc/a: `/etc/a` is the same file below `HIVE_FILES`",
                "process.stop.signal: `STOP` is not a signal: use TERM, INT, QUIT, HUP, USR1, \
                 USR2, KILL",
                "health: say which `port` is meant",
            ]
        );
    }

    #[test]
    fn fixed_ports_and_secrets_have_their_limits() {
        let mut declared = fields([("process", process()), ("replicas", 2.into())]);
        let Some(Value::Map(process)) = declared.get_mut("process") else { panic!("a table") };
        process.insert("ports".to_owned(), map([("http", 9000.into())]));
        let secret = Value::Secret(SecretRef::env("PW"));
        let command = vec!["./server".into(), secret];
        process.insert("command".to_owned(), Value::List(command));
        assert_eq!(
            lowered(declared).expect_err("is wrong"),
            [
                "process.ports: 2 replicas on one machine cannot share a fixed port",
                "process.ports.http: `ports` declares no such port",
                "process.command: a secret may not stand in a command: every user can read it",
            ]
        );
    }

    #[test]
    fn a_program_that_was_not_found_is_an_error() {
        let mut declared = fields([("process", process())]);
        let Some(Value::Map(process)) = declared.get_mut("process") else { panic!("a table") };
        process.remove("program");
        assert_eq!(
            lowered(declared).expect_err("is wrong"),
            ["process.command: there is no program `./server` that can be executed"]
        );
    }
}
