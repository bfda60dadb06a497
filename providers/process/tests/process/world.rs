//! A stack's folder with a provider, a very small planner, and a witness.

use hive_contract::provider::Unguarded;
use hive_contract::value::{Fields, secrets_in};
use hive_contract::{
    Action, Ask, AskOne, Change, Context, Declared, Difference, Expects, Failure, FieldPath,
    Fingerprint, Live, LowerScope, Lowered, Mark, Observed, Operation, Outcome, Perform, Pick,
    Provider, Reason, Resolution, Secrets, StackMark, Target, Token, Undo, Value,
};
use hive_process::{Process, Settling};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The program that is both keeper and service.
pub(crate) const SUBJECT: &str = env!("CARGO_BIN_EXE_hive-process-subject");
/// The value of every secret.
pub(crate) const CANARY: &str = "hive-canary-5f1c0a7e";

pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    tokens: AtomicU32,
    pub(crate) cancel: AtomicBool,
}

/// One process that says it is of this world's folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Witnessed {
    pub(crate) replica: String,
    pub(crate) version: String,
    pub(crate) pid: i32,
    pub(crate) token: String,
    pub(crate) keeper: bool,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        fs::copy(SUBJECT, folder.path().join("subject")).expect("copies");
        Self { folder, tokens: AtomicU32::new(0), cancel: AtomicBool::new(false) }
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub(crate) fn process(&self) -> Process {
        let process = Process::connect(self.folder.path(), &Fields::new()).expect("connects");
        let soon =
            Settling { alive: Duration::from_millis(400), healthy: Duration::from_millis(200) };
        process.kept_by(Path::new(SUBJECT)).settling(soon)
    }

    pub(crate) fn control(&self, what: &str) {
        fs::write(self.path("control"), what).expect("writes");
    }

    /// Each world has a store of its own: marks of the same store are the same owner's, wherever.
    pub(crate) fn owner(&self) -> StackMark {
        let text = str::to_owned;
        StackMark { store: self.store(), stack: text("shop"), environment: text("dev") }
    }

    pub(crate) fn store(&self) -> String {
        Fingerprint::of(&self.folder.path().to_string_lossy()).short().to_owned()
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { owner: self.owner(), address: "service.api".parse().expect("address") }
    }

    pub(crate) fn token(&self) -> Token {
        let count = self.tokens.fetch_add(1, Ordering::SeqCst);
        let folder = self.folder.path().to_string_lossy();
        let hash = Fingerprint::of(&(folder, count));
        Token::from_text(&hash.as_str()[..32])
    }

    /// `service.api` that runs the subject with these arguments.
    pub(crate) fn declared(&self, arguments: &[&str], version: &str, replicas: i64) -> Declared {
        let program = self.path("subject");
        let digest = hive_process::program::digest(&program).expect("digests");
        let mut command = vec![Value::from("./subject")];
        command.extend(arguments.iter().map(|it| Value::from(*it)));
        let mut fields = table([
            ("replicas", Value::Int(replicas)),
            ("environment", map([("VERSION", version.into()), ("WITNESS", self.witness_file())])),
            (
                "process",
                map([
                    ("command", Value::List(command)),
                    (
                        "program",
                        map([("name", "./subject".into()), ("digest", digest.as_str().into())]),
                    ),
                    ("stop", map([("grace", 2_000.into())])),
                ]),
            ),
        ]);
        if arguments == ["serve"] {
            fields.insert("ports".to_owned(), map([("http", 8080.into())]));
            let health = map([("http", "/".into()), ("every", 50.into()), ("grace", 5_000.into())]);
            fields.insert("health".to_owned(), health);
        }
        Declared {
            address: self.mark().address,
            fields,
            uses: BTreeSet::new(),
            protect: false,
            ignore: Vec::new(),
        }
    }

    fn witness_file(&self) -> Value {
        Value::Text(self.path("witness").to_string_lossy().into_owned())
    }

    /// Lowered, with the recorded ports or free ones.
    pub(crate) fn lower(&self, declared: &Declared, recorded: Option<&Lowered>) -> Lowered {
        let scope = LowerScope { owner: self.owner() };
        let mut lowered = self.process().lower(declared, &scope).expect("lowers");
        let before = recorded.map(|it| Value::Map(it.fields.clone()));
        let filled = choose(&Value::Map(lowered.fields), before.as_ref());
        lowered.fields = filled.as_map().expect("a table").clone();
        lowered
    }

    pub(crate) async fn live(&self) -> Option<Live> {
        self.look().await.expect("can be read").live().cloned()
    }

    pub(crate) async fn look(&self) -> Result<Observed, Failure> {
        let target = Target::main(self.mark().address);
        let identity = "dev/service.api".to_owned();
        let parts = vec![AskOne { target: target.clone(), identity, access: Fields::new() }];
        let ask = Ask { parts, ..Ask::default() };
        self.process()
            .observe(&ask, &Secrets::default())
            .await?
            .found
            .remove(&target)
            .expect("is answered")
    }

    pub(crate) async fn change(
        &self,
        action: Action,
        desired: Option<&Lowered>,
        recorded: Option<&Lowered>,
    ) -> Perform {
        let observed = self.live().await;
        let difference = Difference {
            field: FieldPath::parse("environment"),
            recorded: None,
            observed: None,
            desired: None,
            reason: Reason::Declared,
            moved_by: None,
        };
        let change = Change {
            desired: desired.cloned(),
            recorded: recorded.map(|it| it.fields.clone()),
            observed: observed.clone(),
            differences: vec![difference],
            ..Change::new(Target::main(self.mark().address), action, "dev/service.api".to_owned())
        };
        let operation = self.process().steps(&change, None).remove(0);
        self.request(operation, managed(desired, recorded), observed.as_ref())
    }

    pub(crate) fn request(
        &self,
        operation: Operation,
        managed: Vec<FieldPath>,
        live: Option<&Live>,
    ) -> Perform {
        let expected = match operation.expects {
            Expects::Content => live.map(|it| Fingerprint::of_managed(&it.fields, &managed)),
            _ => None,
        };
        Perform {
            target: Target::main(self.mark().address),
            identity: "dev/service.api".to_owned(),
            mark: self.mark(),
            operation,
            expected,
            managed,
            token: self.token(),
            facts: BTreeMap::new(),
        }
    }

    pub(crate) async fn perform(&self, request: &Perform) -> Result<Outcome, Failure> {
        self.perform_with(request, CANARY).await
    }

    pub(crate) async fn perform_by(
        &self,
        process: Process,
        request: &Perform,
    ) -> Result<Outcome, Failure> {
        let secrets = secrets(request, CANARY);
        let context =
            Context { secrets: &secrets, guard: &Unguarded, events: &|_| {}, cancel: &self.cancel };
        process.perform(request, &context).await
    }

    pub(crate) async fn perform_with(
        &self,
        request: &Perform,
        value: &str,
    ) -> Result<Outcome, Failure> {
        let secrets = secrets(request, value);
        let context =
            Context { secrets: &secrets, guard: &Unguarded, events: &|_| {}, cancel: &self.cancel };
        self.process().perform(request, &context).await
    }

    pub(crate) async fn resolve(&self, request: &Perform) -> Resolution {
        let secrets = secrets(request, CANARY);
        let context =
            Context { secrets: &secrets, guard: &Unguarded, events: &|_| {}, cancel: &self.cancel };
        self.process().resolve(request, &context).await.expect("resolves")
    }

    pub(crate) async fn create(&self, declared: &Declared) -> Result<Lowered, Failure> {
        let desired = self.lower(declared, None);
        let request = self.change(Action::Create, Some(&desired), None).await;
        self.perform(&request).await.map(|_| desired)
    }

    pub(crate) async fn update(
        &self,
        declared: &Declared,
        recorded: &Lowered,
    ) -> Result<Lowered, Failure> {
        let desired = self.lower(declared, Some(recorded));
        let request = self.change(Action::Update, Some(&desired), Some(recorded)).await;
        self.perform(&request).await.map(|_| desired)
    }

    pub(crate) async fn delete(&self, recorded: &Lowered) -> Result<Outcome, Failure> {
        let request = self.change(Action::Delete, None, Some(recorded)).await;
        self.perform(&request).await
    }

    /// The request that takes another one back, from what is there now.
    pub(crate) async fn undo(&self, request: &Perform) -> Perform {
        let Undo::By(undo) = &request.operation.undo else { panic!("no undo") };
        self.request((**undo).clone(), request.managed.clone(), self.live().await.as_ref())
    }

    /// Every live process of this folder, keepers too.
    pub(crate) fn all(&self) -> Vec<Witnessed> {
        let run = self.folder.path().canonicalize().expect("is there").join(".hive-run");
        let run = run.to_string_lossy().into_owned();
        let mut found: Vec<Witnessed> =
            pids().into_iter().filter_map(|pid| witnessed(pid, &run)).collect();
        found.sort();
        found
    }

    /// Every live service process of this folder.
    pub(crate) fn services(&self) -> Vec<Witnessed> {
        self.all().into_iter().filter(|it| !it.keeper).collect()
    }

    /// Replica and version of every live service process.
    pub(crate) fn versions(&self) -> Vec<String> {
        let services = self.services();
        services.into_iter().map(|it| format!("{} {}", it.replica, it.version)).collect()
    }

    /// How many starts the services themselves have told of.
    pub(crate) fn starts(&self) -> usize {
        fs::read_to_string(self.path("witness")).unwrap_or_default().lines().count()
    }

    /// Looks again until something holds.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !holds() {
            assert!(Instant::now() < end, "it never came to be that {what}: {:?}", self.all());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The one folder of a replica's newest start.
    pub(crate) fn start_folder(&self, replica: u32) -> PathBuf {
        let folder = self.path(&format!(".hive-run/dev/service.api/{replica}"));
        let entries = fs::read_dir(folder).expect("is there").flatten();
        let starts = entries.map(|it| it.path()).filter(|it| it.join("run.json").exists());
        let mut starts: Vec<PathBuf> = starts.collect();
        assert_eq!(starts.len(), 1, "{starts:?}");
        starts.remove(0)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let left = self.all();
            if left.is_empty() || Instant::now() > end {
                return;
            }
            // Services first: their keepers end with them.
            let services: Vec<_> = left.iter().filter(|it| !it.keeper).collect();
            for process in if services.is_empty() { left.iter().collect() } else { services } {
                kill(process.pid, rustix::process::Signal::KILL);
            }
        }
    }
}

pub(crate) fn kill(pid: i32, signal: rustix::process::Signal) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

pub(crate) fn secrets(request: &Perform, value: &str) -> Secrets {
    let mut secrets = Secrets::default();
    for reference in secrets_in(&request.operation.payload) {
        secrets.insert(reference, value.into());
    }
    secrets
}

fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("lists").flatten();
    entries.filter_map(|it| it.file_name().to_str()?.parse().ok()).collect()
}

fn witnessed(pid: i32, run: &str) -> Option<Witnessed> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let state = stat.rsplit_once(')')?.1.trim_start().chars().next()?;
    if matches!(state, 'Z' | 'X') {
        return None;
    }
    let bytes = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let variables: BTreeMap<&str, &str> =
        text.split('\0').filter_map(|it| it.split_once('=')).collect();
    let word = |key: &str| (*variables.get(key).unwrap_or(&"")).to_owned();
    (word("HIVE_FOLDER") == run).then(|| Witnessed {
        replica: word("HIVE_REPLICA"),
        version: word("VERSION"),
        pid,
        token: word("HIVE_TOKEN"),
        keeper: variables.contains_key("HIVE_KEEPER"),
    })
}

fn choose(value: &Value, recorded: Option<&Value>) -> Value {
    match (value, recorded) {
        (Value::Pick(Pick::Port { .. }), Some(Value::Int(port))) => Value::Int(*port),
        (Value::Pick(Pick::Port { .. }), _) => Value::Int(i64::from(free_port())),
        (Value::Map(fields), recorded) => {
            let before = |key: &String| recorded.and_then(Value::as_map).and_then(|it| it.get(key));
            Value::Map(
                fields.iter().map(|(key, it)| (key.clone(), choose(it, before(key)))).collect(),
            )
        }
        (other, _) => other.clone(),
    }
}

/// A port that nobody listens on, below those that the system gives out, and never the same twice.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let offset = (std::process::id() * 97 + NEXT.fetch_add(1, Ordering::SeqCst)) % 10_000;
        let port = 20_000 + u16::try_from(offset).expect("small");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

pub(crate) fn managed(desired: Option<&Lowered>, recorded: Option<&Lowered>) -> Vec<FieldPath> {
    let fields = [desired, recorded].into_iter().flatten().map(|it| &it.fields);
    let leaves: BTreeSet<FieldPath> = fields.flat_map(hive_contract::path::leaves).collect();
    let mut kept: Vec<FieldPath> = Vec::new();
    for path in leaves {
        if kept.last().is_none_or(|last| !last.covers(&path)) {
            kept.push(path);
        }
    }
    kept
}

pub(crate) fn table<const N: usize>(pairs: [(&str, Value); N]) -> Fields {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

pub(crate) fn map<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    Value::Map(table(pairs))
}

/// Puts a value at a path of a declaration.
pub(crate) fn with(mut declared: Declared, path: &str, value: Value) -> Declared {
    hive_contract::path::set(&mut declared.fields, &FieldPath::parse(path), value);
    declared
}
