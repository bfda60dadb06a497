//! A provider whose database is a file of lines.

use hive_backup::{
    Backups, Contents, Engine, Job, Plain, Proof, Sink, lower_backup, now_ms, steps_backup,
};
use hive_contract::outcome::Upgraded;
use hive_contract::provider::Unguarded;
use hive_contract::{
    Action, Ask, AskOne, Change, Context, Declared, Event, Expects, Failure, FailureKind, Fields,
    Fingerprint, Invalid, Live, LowerScope, Lowered, Mark, Observation, Observed, Operation,
    Outcome, Perform, Place, Provider, Rehearsal, Resolution, SecretRef, Secrets, StackMark,
    Target, Task, Token, Value,
};
use hive_sql::manifest::{Manifest, Source, Table, differences};
use secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

pub(crate) const IDENTITY: &str =
    "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";
pub(crate) const RECIPIENT: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";
pub(crate) const MANAGED: [&str; 3] = ["of", "destination", "encrypted"];

pub(crate) struct Toy {
    root: PathBuf,
    backups: Backups,
}

impl Toy {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), backups: Backups::new(root) }
    }

    fn file(&self, of: &Fields) -> PathBuf {
        self.root.join(of["path"].as_text().expect("is text"))
    }
}

fn table(bytes: &[u8]) -> Table {
    Table {
        name: "lines".to_owned(),
        rows: bytes.iter().filter(|it| **it == b'\n').count() as u64,
        sum: Fingerprint::of_bytes(bytes).as_str().to_owned(),
        ..Table::default()
    }
}

impl Engine for Toy {
    fn dump<'a>(&'a self, job: Job<'a>, mut sink: Sink) -> Task<'a, Result<Contents, Failure>> {
        Box::pin(async move {
            let path = self.file(job.of);
            let read = tokio::task::spawn_blocking(move || fs::read(path)).await.expect("ends");
            let read = read.map_err(|error| {
                Failure::new(FailureKind::Unavailable, format!("cannot read the file: {error}"))
            })?;
            let table = table(&read);
            let written = tokio::task::spawn_blocking(move || {
                sink.write_all(&read).and_then(|()| sink.end_blocking())
            });
            written.await.expect("ends").map_err(|error| {
                Failure::new(FailureKind::Unavailable, format!("cannot dump: {error}"))
            })?;
            Ok(Contents {
                source: Source { engine: "toy".to_owned(), ..Source::default() },
                snapshot_ms: now_ms(),
                tables: vec![table],
                ..Contents::default()
            })
        })
    }

    fn prove<'a>(
        &'a self,
        _job: Job<'a>,
        manifest: &'a Manifest,
        mut plain: Plain,
    ) -> Task<'a, Result<Proof, Failure>> {
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || {
                let mut bytes = Vec::new();
                plain.read_to_end(&mut bytes).map(|_| bytes)
            });
            let read = read.await.expect("ends").map_err(|error| {
                Failure::new(FailureKind::Unavailable, format!("the restore failed: {error}"))
            })?;
            let wrong = differences(&manifest.tables, &[table(&read)]);
            Ok(Proof { restore_ms: 5, wrong, version: "1".to_owned() })
        })
    }
}

impl Provider for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn place(&self) -> Place {
        let system = "here".to_owned();
        Place { provider: "toy".to_owned(), settings: Fields::new(), system }
    }

    fn form(&self) -> u32 {
        1
    }

    fn upgrade(&self, form: u32, fields: Fields) -> Upgraded {
        if form > 1 {
            return Err(hive_contract::outcome::UpgradeError::Newer { form, known: 1 });
        }
        Ok(fields)
    }

    fn lower(&self, declared: &Declared, scope: &LowerScope) -> Result<Lowered, Vec<Invalid>> {
        lower_backup(declared, scope)
    }

    fn observe<'a>(
        &'a self,
        ask: &'a Ask,
        secrets: &'a Secrets,
    ) -> Task<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let parts: Vec<&AskOne> = ask.parts.iter().collect();
            let found = self.backups.observe(&parts, secrets).await;
            let marked = hive_backup::marked(&found, ask.marked.as_ref());
            Ok(Observation { found, marked, ..Observation::default() })
        })
    }

    fn steps(&self, change: &Change, _rehearsal: Option<&Rehearsal>) -> Vec<Operation> {
        steps_backup(change)
    }

    fn perform<'a>(
        &'a self,
        request: &'a Perform,
        context: &'a Context<'a>,
    ) -> Task<'a, Result<Outcome, Failure>> {
        Box::pin(self.backups.perform(self, request, context))
    }

    fn resolve<'a>(
        &'a self,
        request: &'a Perform,
        context: &'a Context<'a>,
    ) -> Task<'a, Result<Resolution, Failure>> {
        Box::pin(self.backups.resolve(request, context))
    }
}

/// One stack's folder with a file and a place for its backups.
pub(crate) struct Desk {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) toy: Toy,
    pub(crate) secrets: Secrets,
    pub(crate) events: Mutex<Vec<Event>>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let mut secrets = Secrets::default();
        secrets.insert(SecretRef::env("KEY"), SecretString::from(IDENTITY));
        let desk = Self { toy: Toy::new(folder.path()), folder, secrets, events: Mutex::default() };
        desk.rows(100);
        desk
    }

    /// Fills the file with so many lines.
    pub(crate) fn rows(&self, count: usize) {
        let text: String = (0..count).map(|row| format!("row {row}\n")).collect();
        fs::write(self.folder.path().join("data.txt"), text).expect("writes");
    }

    pub(crate) fn path(&self, key: &str) -> PathBuf {
        self.folder.path().join("backups").join(key)
    }

    pub(crate) fn lowered(&self, more: &[(&str, Value)]) -> Lowered {
        let declared = declared(more);
        self.toy.lower(&declared, &LowerScope { owner: owner() }).expect("lowers")
    }

    pub(crate) async fn look(&self, lowered: &Lowered) -> Option<Live> {
        let part = AskOne {
            target: target(),
            identity: lowered.identity.clone(),
            access: lowered.access.clone(),
        };
        let ask = Ask { parts: vec![part], ..Ask::default() };
        let seen = self.toy.observe(&ask, &self.secrets).await.expect("observes");
        match seen.found.into_values().next().expect("answers").expect("is read") {
            Observed::Present(live) => Some(live),
            Observed::Absent => None,
        }
    }

    pub(crate) async fn change(&self, lowered: &Lowered, action: Action) -> Change {
        Change {
            desired: Some(lowered.clone()),
            observed: self.look(lowered).await,
            before: Some(Box::new(lowered.clone())),
            ..Change::new(target(), action, &lowered.identity)
        }
    }

    pub(crate) async fn run(&self, lowered: &Lowered, asked: &[(&str, Value)]) -> Vec<Operation> {
        let mut change = self.change(lowered, Action::Run).await;
        change.run = Some(fields(asked));
        self.toy.steps(&change, None)
    }

    pub(crate) async fn request(
        &self,
        lowered: &Lowered,
        operation: &Operation,
        token: &str,
    ) -> Perform {
        let managed = MANAGED.map(hive_contract::FieldPath::parse).to_vec();
        let live = self.look(lowered).await;
        Perform {
            target: target(),
            identity: lowered.identity.clone(),
            mark: mark(),
            operation: operation.clone(),
            expected: match operation.expects {
                Expects::Absent => None,
                _ => live.map(|live| Fingerprint::of_managed(&live.fields, &managed)),
            },
            managed,
            token: Token::from_text(token),
            facts: BTreeMap::new(),
        }
    }

    pub(crate) async fn perform(
        &self,
        lowered: &Lowered,
        operation: &Operation,
        token: &str,
    ) -> Result<Outcome, Failure> {
        let request = self.request(lowered, operation, token).await;
        self.ask(&request).await
    }

    pub(crate) async fn ask(&self, request: &Perform) -> Result<Outcome, Failure> {
        let events = |event| self.events.lock().expect("is whole").push(event);
        let cancel = AtomicBool::new(false);
        let context =
            Context { secrets: &self.secrets, guard: &Unguarded, events: &events, cancel: &cancel };
        self.toy.perform(request, &context).await
    }

    pub(crate) async fn resolve(&self, request: &Perform) -> Resolution {
        let cancel = AtomicBool::new(false);
        let context =
            Context { secrets: &self.secrets, guard: &Unguarded, events: &|_| {}, cancel: &cancel };
        self.toy.resolve(request, &context).await.expect("resolves")
    }

    /// Makes the place and gives what was lowered.
    pub(crate) async fn registered(&self, more: &[(&str, Value)]) -> Lowered {
        let lowered = self.lowered(more);
        let change = self.change(&lowered, Action::Create).await;
        let steps = self.toy.steps(&change, None);
        self.perform(&lowered, &steps[0], "register").await.expect("registers");
        lowered
    }

    /// One backup, without asking whether it is due.
    pub(crate) async fn back_up(&self, lowered: &Lowered, token: &str) -> Result<Outcome, Failure> {
        let steps = self.run(lowered, &[("verb", "run".into())]).await;
        self.perform(lowered, &steps[0], token).await
    }
}

pub(crate) fn fields(pairs: &[(&str, Value)]) -> Fields {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

pub(crate) fn map(pairs: &[(&str, Value)]) -> Value {
    Value::Map(fields(pairs))
}

pub(crate) fn declared(more: &[(&str, Value)]) -> Declared {
    let mut all = fields(&[
        ("of", map(&[("engine", "toy".into()), ("path", "data.txt".into())])),
        ("database", "database.main".into()),
        ("destination", "backups".into()),
    ]);
    all.extend(fields(more));
    Declared {
        address: "backup.main".parse().expect("address"),
        fields: all,
        uses: BTreeSet::new(),
        protect: false,
        ignore: Vec::new(),
    }
}

pub(crate) fn encrypt() -> Value {
    map(&[
        ("recipients", Value::List(vec![RECIPIENT.into()])),
        ("identity", Value::Secret(SecretRef::env("KEY"))),
    ])
}

pub(crate) fn owner() -> StackMark {
    let text = str::to_owned;
    StackMark { store: text("s1"), stack: text("shop"), environment: text("dev") }
}

pub(crate) fn target() -> Target {
    Target::main("backup.main".parse().expect("address"))
}

pub(crate) fn mark() -> Mark {
    Mark { owner: owner(), address: target().address }
}
