//! The canonical fields of a service, typed.

use hive_contract::value::Fields;
use hive_contract::{Failure, FailureKind, Fingerprint, Value};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::time::Duration;

/// The fields of which every start of a replica is made: where one differs, it is started anew.
/// All others are read when they are needed.
const LAUNCHED: [&str; 6] = ["command", "directory", "environment", "files", "inputs", "program"];

/// Signals by the names that a stack may use.
const SIGNALS: [(&str, Signal); 7] = [
    ("TERM", Signal::TERM),
    ("INT", Signal::INT),
    ("QUIT", Signal::QUIT),
    ("HUP", Signal::HUP),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
    ("KILL", Signal::KILL),
];

/// What a service is to be, every placeholder but secrets filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) fields: Fields,
    pub(crate) replicas: u32,
    pub(crate) command: Vec<String>,
    pub(crate) directory: String,
    pub(crate) environment: Fields,
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) program: Bound,
    pub(crate) inputs: Vec<Bound>,
    pub(crate) stop: Stop,
    pub(crate) health: Option<Health>,
}

/// A file that a command uses, bound by content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    /// As it stands in the command.
    pub(crate) name: String,
    pub(crate) digest: Fingerprint,
}

/// How a replica is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    pub(crate) signal: Signal,
    pub(crate) grace: Duration,
}

/// What tells that a replica works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) probe: Probe,
    pub(crate) every: Duration,
    pub(crate) grace: Duration,
}

/// How a replica is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// A GET of this path at this port.
    Http { path: String, port: String },
    /// A connection to this port.
    Tcp { port: String },
    /// A command, run like the service itself.
    Command(Vec<String>),
}

impl Spec {
    /// Reads filled fields.
    ///
    /// # Errors
    /// A field is not what `lower` writes, or is still a placeholder.
    pub(crate) fn read(fields: &Fields) -> Result<Self, Failure> {
        let files = map(fields, "files")?;
        let inputs = map(fields, "inputs")?;
        let program = map(fields, "program")?;
        Ok(Self {
            replicas: u32::try_from(int(fields, "replicas")?).map_err(|_| wrong("replicas"))?,
            command: texts(fields, "command")?,
            directory: text(fields, "directory")?.to_owned(),
            environment: map(fields, "environment")?,
            files: files
                .keys()
                .map(|path| Ok((path.clone(), text(&files, path)?.to_owned())))
                .collect::<Result<_, Failure>>()?,
            program: Bound {
                name: text(&program, "name")?.to_owned(),
                digest: digest(&program, "digest")?,
            },
            inputs: inputs
                .keys()
                .map(|name| Ok(Bound { name: name.clone(), digest: digest(&inputs, name)? }))
                .collect::<Result<_, Failure>>()?,
            stop: Stop::read(fields)?,
            health: match fields.get("health").and_then(Value::as_map) {
                Some(health) => Some(Health::read(health)?),
                None => None,
            },
            fields: fields.clone(),
        })
    }

    /// The fields that one replica is started with.
    pub(crate) fn launched(&self, replica: u32) -> Fields {
        launched(&self.fields, replica)
    }

    /// The ports of one replica by name.
    pub(crate) fn ports(&self, replica: u32) -> BTreeMap<String, u16> {
        ports(&self.fields, replica)
    }
}

impl Stop {
    /// How it is declared in canonical fields.
    ///
    /// # Errors
    /// It is not what `lower` writes.
    pub(crate) fn read(fields: &Fields) -> Result<Self, Failure> {
        let stop = map(fields, "stop")?;
        Ok(Self {
            signal: signal(text(&stop, "signal")?).ok_or_else(|| wrong("stop.signal"))?,
            grace: millis(&stop, "grace")?,
        })
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self { signal: Signal::TERM, grace: Duration::from_secs(10) }
    }
}

impl Health {
    fn read(health: &Fields) -> Result<Self, Failure> {
        let port = || text(health, "port").map(str::to_owned);
        let probe = if health.contains_key("http") {
            Probe::Http { path: text(health, "http")?.to_owned(), port: port()? }
        } else if health.contains_key("tcp") {
            Probe::Tcp { port: port()? }
        } else {
            Probe::Command(texts(health, "command")?)
        };
        Ok(Self { probe, every: millis(health, "every")?, grace: millis(health, "grace")? })
    }
}

/// The fields that one replica of a service with these fields is started with.
pub(crate) fn launched(fields: &Fields, replica: u32) -> Fields {
    let mut launched: Fields = LAUNCHED
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), fields.get(*key)?.clone())))
        .collect();
    let own = |ports: &Fields| ports.get(&replica.to_string()).cloned();
    let listen: Fields = fields
        .get("listen")
        .and_then(Value::as_map)
        .into_iter()
        .flatten()
        .filter_map(|(name, ports)| Some((name.clone(), own(ports.as_map()?)?)))
        .collect();
    launched.insert("listen".to_owned(), Value::Map(listen));
    launched
}

/// The ports of one replica by name; what is not a port is left out.
pub(crate) fn ports(fields: &Fields, replica: u32) -> BTreeMap<String, u16> {
    let launched = launched(fields, replica);
    let listen = launched.get("listen").and_then(Value::as_map).into_iter().flatten();
    listen
        .filter_map(|(name, port)| Some((name.clone(), u16::try_from(port.as_int()?).ok()?)))
        .collect()
}

/// The port that a service is reached at where nothing else is said: its only one, or `http`.
pub(crate) fn main_port<V>(ports: &BTreeMap<String, V>) -> Option<&str> {
    let named = ports.keys().find(|name| *name == "http");
    let only = ports.keys().next().filter(|_| ports.len() == 1);
    named.or(only).map(String::as_str)
}

/// The variable that tells a service a port of its own.
pub(crate) fn port_variable(name: &str) -> String {
    format!("HIVE_PORT_{}", name.to_ascii_uppercase().replace('-', "_"))
}

/// The signal of a name, with or without `SIG`.
pub(crate) fn signal(name: &str) -> Option<Signal> {
    let short = name.strip_prefix("SIG").unwrap_or(name);
    SIGNALS.iter().find(|(known, _)| *known == short).map(|(_, signal)| *signal)
}

/// The names that [`signal`] knows.
pub(crate) fn signal_names() -> String {
    SIGNALS.map(|(name, _)| name).join(", ")
}

fn wrong(field: &str) -> Failure {
    Failure::new(FailureKind::Invalid, format!("the plan's `{field}` is not what it must be"))
}

fn text<'a>(fields: &'a Fields, key: &str) -> Result<&'a str, Failure> {
    fields.get(key).and_then(Value::as_text).ok_or_else(|| wrong(key))
}

fn int(fields: &Fields, key: &str) -> Result<i64, Failure> {
    fields.get(key).and_then(Value::as_int).ok_or_else(|| wrong(key))
}

fn millis(fields: &Fields, key: &str) -> Result<Duration, Failure> {
    u64::try_from(int(fields, key)?).map(Duration::from_millis).map_err(|_| wrong(key))
}

fn map(fields: &Fields, key: &str) -> Result<Fields, Failure> {
    match fields.get(key) {
        None => Ok(Fields::new()),
        Some(value) => value.as_map().cloned().ok_or_else(|| wrong(key)),
    }
}

/// A list of scalars as text. What is left to fill in has none, secrets least of all: arguments
/// are there for every user of the machine to read.
fn texts(fields: &Fields, key: &str) -> Result<Vec<String>, Failure> {
    let list = fields.get(key).and_then(Value::as_list).ok_or_else(|| wrong(key))?;
    list.iter()
        .map(|value| {
            value.scalar().ok_or_else(|| {
                if value.has_secret() {
                    Failure::new(
                        FailureKind::Invalid,
                        format!("a secret may not stand in `{key}`: every user can read arguments"),
                    )
                } else {
                    wrong(key)
                }
            })
        })
        .collect()
}

fn digest(fields: &Fields, key: &str) -> Result<Fingerprint, Failure> {
    Fingerprint::parse(text(fields, key)?).ok_or_else(|| wrong(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen() -> Fields {
        let ports = |first: i64| {
            Value::Map(Fields::from([
                ("0".to_owned(), Value::Int(first)),
                ("1".to_owned(), Value::Int(first + 1)),
            ]))
        };
        let listen = Fields::from([("a".to_owned(), ports(1)), ("http".to_owned(), ports(11))]);
        Fields::from([
            ("listen".to_owned(), Value::Map(listen)),
            ("replicas".to_owned(), Value::Int(2)),
            ("directory".to_owned(), Value::from(".")),
        ])
    }

    #[test]
    fn a_replica_is_started_with_its_own_ports_and_no_count() {
        let launched = launched(&listen(), 1);
        assert_eq!(launched.keys().collect::<Vec<_>>(), ["directory", "listen"]);
        let own = BTreeMap::from([("a".to_owned(), 2), ("http".to_owned(), 12)]);
        assert_eq!(ports(&listen(), 1), own);
        assert_eq!(ports(&listen(), 2), BTreeMap::new());
        assert_eq!(main_port(&own), Some("http"));
        assert_eq!(main_port(&BTreeMap::from([("x".to_owned(), 1)])), Some("x"));
        assert_eq!(port_variable("admin-api"), "HIVE_PORT_ADMIN_API");
    }

    #[test]
    fn a_secret_in_a_command_is_refused_by_name() {
        let secret = Value::Secret(hive_contract::SecretRef::env("PW"));
        let fields = Fields::from([("command".to_owned(), Value::List(vec![secret]))]);
        let failure = texts(&fields, "command").expect_err("refused");
        assert!(failure.message.contains("a secret may not stand in `command`"), "{failure}");
    }

    #[test]
    fn signals_go_by_both_names() {
        assert_eq!(signal("SIGTERM"), Some(Signal::TERM));
        assert_eq!(signal("INT"), Some(Signal::INT));
        assert_eq!(signal("STOP"), None);
    }
}
