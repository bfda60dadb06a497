//! A database of one's own, and a very small executor over it.

use hive_contract::mark::Way;
use hive_contract::path::leaves;
use hive_contract::provider::Unguarded;
use hive_contract::{
    Action, Ask, AskOne, Change, Context, Declared, Event, Expects, Failure, FieldPath, Fields,
    Fingerprint, Format, Guard, Live, LowerScope, Lowered, Mark, Observed, Operation, Outcome,
    Perform, Provider, Rehearsal, Resolution, SecretRef, Secrets, StackMark, Target, Token, Value,
};
use hive_parts::Postgres as Server;
use hive_postgres::Postgres;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The role that hive is: no superuser, and may make databases.
pub(crate) const ROLE: &str = "hiver";
/// Its password, which nothing may ever show.
pub(crate) const PASSWORD: &str = "canary-hiver-83c1";

/// One database on a server, and hive's role on it.
pub(crate) struct Lab<'a> {
    pub(crate) server: &'a Server,
    pub(crate) database: String,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) said: Mutex<Vec<String>>,
    pub(crate) port: u16,
    tokens: AtomicU32,
}

impl<'a> Lab<'a> {
    /// A new, empty database of hive's role.
    pub(crate) fn new(server: &'a Server) -> Self {
        let lab = Self::without(server);
        let name = &lab.database;
        server.psql("postgres", &format!("CREATE DATABASE {name} OWNER {ROLE}"));
        lab
    }

    /// A name without a database.
    pub(crate) fn without(server: &'a Server) -> Self {
        make_role(server, PASSWORD);
        Self {
            server,
            database: server.unused(),
            folder: tempfile::tempdir().expect("a folder"),
            said: Mutex::default(),
            port: server.port(),
            tokens: AtomicU32::new(0),
        }
    }

    /// A database that is there, given to hive's role.
    pub(crate) fn on(server: &'a Server, database: &str) -> Self {
        let mut lab = Self::without(server);
        server.psql("postgres", &format!("ALTER DATABASE {database} OWNER TO {ROLE}"));
        lab.database = database.to_owned();
        lab
    }

    /// What a resource was made with, once this lab is gone: its folder stays.
    pub(crate) fn keep(self, lowered: Lowered, folder: std::path::PathBuf) -> Kept {
        let stays = tempfile::tempdir().expect("a folder");
        copy(&folder, stays.path());
        Kept { lowered, folder: stays }
    }

    /// The same resource with what its folder held.
    pub(crate) fn moved_in(&self, kept: Kept) -> Lowered {
        copy(kept.folder.path(), self.folder.path());
        kept.lowered
    }

    /// The same step with another token.
    pub(crate) fn request_on_token(&self, request: &Perform) -> Perform {
        let count = self.tokens.fetch_add(1, Ordering::SeqCst);
        let token = Token::new(&Fingerprint::of(&self.database), "again", count, Way::There, 1);
        Perform { token, ..request.clone() }
    }

    pub(crate) fn provider(&self) -> Postgres {
        Postgres::connect(self.folder.path(), &Fields::new()).expect("connects")
    }

    pub(crate) fn secrets(&self) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.insert(SecretRef::env("PW"), PASSWORD.into());
        secrets
    }

    /// The url as a stack writes it.
    pub(crate) fn url(&self) -> Value {
        url(ROLE, self.port, &self.database)
    }

    /// How the database is reached.
    pub(crate) fn of(&self) -> Fields {
        Fields::from([
            ("engine".to_owned(), Value::text("postgres")),
            ("url".to_owned(), self.url()),
            ("create".to_owned(), Value::Bool(false)),
        ])
    }

    pub(crate) fn psql(&self, sql: &str) -> String {
        self.server.psql(&self.database, sql)
    }

    pub(crate) fn lower(&self, declared: &Declared) -> Lowered {
        let scope = LowerScope { owner: owner() };
        self.provider().lower(declared, &scope).unwrap_or_else(|wrong| panic!("{wrong:?}"))
    }

    pub(crate) async fn observe(&self, lowered: &Lowered) -> Result<Observed, Failure> {
        let target = target(lowered);
        let ask = Ask { parts: vec![one(lowered)], ..Ask::default() };
        let secrets = self.secrets();
        let mut seen = self.provider().observe(&ask, &secrets).await?;
        self.hear(&format!("{seen:?}"));
        seen.found.remove(&target).expect("an answer")
    }

    pub(crate) async fn live(&self, lowered: &Lowered) -> Option<Live> {
        match self.observe(lowered).await {
            Ok(observed) => observed.live().cloned(),
            Err(failure) => panic!("{failure:?}"),
        }
    }

    /// The change that a planner would make.
    pub(crate) async fn change(
        &self,
        action: Action,
        desired: Option<&Lowered>,
        before: Option<&Lowered>,
    ) -> Change {
        let known = desired.or(before).expect("something is known");
        let observed = self.live(known).await;
        let mut change = Change::new(target(known), action, &known.identity);
        change.desired = desired.cloned();
        change.recorded = before.map(|it| it.fields.clone());
        change.before = before.cloned().map(Box::new);
        change.observed = observed;
        change
    }

    pub(crate) fn steps(&self, change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<Operation> {
        let steps = self.provider().steps(change, rehearsal);
        self.hear(&serde_json::to_string(&steps).expect("writes"));
        steps
    }

    /// One operation as a request, against what is live.
    pub(crate) async fn request(&self, known: &Lowered, operation: Operation) -> Perform {
        let live = self.observe(known).await.ok().and_then(|it| it.live().cloned());
        self.request_on(known, operation, live.as_ref())
    }

    pub(crate) fn request_on(
        &self,
        known: &Lowered,
        operation: Operation,
        live: Option<&Live>,
    ) -> Perform {
        let managed: Vec<FieldPath> = leaves(&known.fields);
        let expected = match operation.expects {
            Expects::Content => live.map(|it| Fingerprint::of_managed(&it.fields, &managed)),
            _ => None,
        };
        let count = self.tokens.fetch_add(1, Ordering::SeqCst);
        Perform {
            target: target(known),
            identity: known.identity.clone(),
            mark: Mark { owner: owner(), address: target(known).address },
            operation,
            expected,
            managed,
            token: Token::new(&Fingerprint::of(&self.database), "lab", count, Way::There, 1),
            facts: BTreeMap::from([("apply".to_owned(), "a-1".to_owned())]),
        }
    }

    pub(crate) async fn perform(&self, request: &Perform) -> Result<Outcome, Failure> {
        self.perform_as(request, &Unguarded, false).await
    }

    pub(crate) async fn perform_as(
        &self,
        request: &Perform,
        guard: &dyn Guard,
        cancel: bool,
    ) -> Result<Outcome, Failure> {
        self.perform_by(&self.provider(), request, guard, cancel).await
    }

    /// By a provider that has performed other steps before.
    pub(crate) async fn perform_by(
        &self,
        provider: &Postgres,
        request: &Perform,
        guard: &dyn Guard,
        cancel: bool,
    ) -> Result<Outcome, Failure> {
        let secrets = self.secrets();
        let cancel = AtomicBool::new(cancel);
        let events = |event: Event| self.hear(&format!("{event:?}"));
        let context = Context { secrets: &secrets, guard, events: &events, cancel: &cancel };
        let ended = provider.perform(request, &context).await;
        self.hear(&format!("{ended:?}"));
        ended
    }

    pub(crate) async fn resolve(&self, request: &Perform) -> Result<Resolution, Failure> {
        let secrets = self.secrets();
        let cancel = AtomicBool::new(false);
        let events = |event: Event| self.hear(&format!("{event:?}"));
        let context =
            Context { secrets: &secrets, guard: &Unguarded, events: &events, cancel: &cancel };
        let ended = self.provider().resolve(request, &context).await;
        self.hear(&format!("{ended:?}"));
        ended
    }

    pub(crate) async fn rehearse(&self, change: &Change) -> Result<Rehearsal, Failure> {
        let secrets = self.secrets();
        let cancel = AtomicBool::new(false);
        let events = |event: Event| self.hear(&format!("{event:?}"));
        let context =
            Context { secrets: &secrets, guard: &Unguarded, events: &events, cancel: &cancel };
        let provider = self.provider();
        assert!(provider.can_rehearse(change), "it can be rehearsed");
        let changes = [change.clone()];
        let mut found = provider.rehearse(&changes, &context).await;
        self.hear(&format!("{found:?}"));
        found.remove(0)
    }

    /// Performs all operations of a change, each against what is live then.
    pub(crate) async fn run(&self, known: &Lowered, steps: Vec<Operation>) -> Result<(), Failure> {
        for step in steps {
            let request = self.request(known, step).await;
            self.perform(&request).await?;
        }
        Ok(())
    }

    /// Plans and performs.
    pub(crate) async fn apply(
        &self,
        action: Action,
        desired: &Lowered,
        before: Option<&Lowered>,
    ) -> Result<(), Failure> {
        let change = self.change(action, Some(desired), before).await;
        let wrong = self.provider().objections(&change);
        assert!(wrong.is_empty(), "{wrong:?}");
        self.run(desired, self.steps(&change, None)).await
    }

    /// Plans and performs what takes a resource away.
    pub(crate) async fn take_away(&self, before: &Lowered) -> Result<(), Failure> {
        let change = self.change(Action::Delete, None, Some(before)).await;
        self.run(before, self.steps(&change, None)).await
    }

    pub(crate) fn hear(&self, what: &str) {
        self.said.lock().expect("is not poisoned").push(what.to_owned());
    }

    /// Everything that the provider ever said of itself.
    pub(crate) fn heard(&self) -> String {
        self.said.lock().expect("is not poisoned").join("\n")
    }
}

impl Drop for Lab<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(!self.heard().contains(PASSWORD), "the password was said");
        }
    }
}

/// A resource and the files of the lab it came from.
pub(crate) struct Kept {
    lowered: Lowered,
    folder: tempfile::TempDir,
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let status = std::process::Command::new("cp")
        .arg("-a")
        .arg(from.join("."))
        .arg(to)
        .status()
        .expect("cp starts");
    assert!(status.success(), "the folder is copied");
}

/// hive's role on a server. Two tests at once may both make it.
pub(crate) fn make_role(server: &Server, password: &str) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock();
    let sql = format!(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN \
         CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{password}'; END IF; END $$"
    );
    server.psql("postgres", &sql);
}

pub(crate) fn url(role: &str, port: u16, database: &str) -> Value {
    let template = format!("postgres://{role}:{{pw}}@127.0.0.1:{port}/{database}");
    let values = Fields::from([("pw".to_owned(), Value::Secret(SecretRef::env("PW")))]);
    Value::Format(Format { template, values })
}

pub(crate) fn owner() -> StackMark {
    let text = str::to_owned;
    StackMark { store: text("s1"), stack: text("shop"), environment: text("dev") }
}

pub(crate) fn target(lowered: &Lowered) -> Target {
    let (_, address) = lowered.identity.split_once('/').expect("an identity");
    Target::main(address.parse().expect("an address"))
}

pub(crate) fn one(lowered: &Lowered) -> AskOne {
    AskOne {
        target: target(lowered),
        identity: lowered.identity.clone(),
        access: lowered.access.clone(),
    }
}

pub(crate) fn declared(address: &str, fields: Fields) -> Declared {
    Declared {
        address: address.parse().expect("an address"),
        fields,
        uses: BTreeSet::new(),
        protect: false,
        ignore: Vec::new(),
    }
}

/// A list of files as a stack gives it.
pub(crate) fn migrations(of: &Fields, files: &[(&str, &str)], more: &[(&str, Value)]) -> Declared {
    let files = files.iter().map(|(name, text)| {
        Value::Map(Fields::from([
            ("name".to_owned(), Value::text(*name)),
            ("text".to_owned(), Value::text(*text)),
        ]))
    });
    let mut fields = Fields::from([
        ("database".to_owned(), Value::text("database.main")),
        ("of".to_owned(), Value::Map(of.clone())),
        ("files".to_owned(), Value::List(files.collect())),
        ("during".to_owned(), Value::text("running")),
        ("order".to_owned(), Value::text("linear")),
        ("lock_timeout".to_owned(), Value::Int(300)),
        ("retries".to_owned(), Value::Int(3)),
        ("undo".to_owned(), Value::text("down")),
    ]);
    fields.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    declared("migrations.main", fields)
}
