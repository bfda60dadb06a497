//! A folder with one stack's database, its migrations and its backup, and a very small planner.

use crate::Sqlite;
use crate::conforms::{backup, database, files, text};
use hive_contract::mark::Way;
use hive_contract::provider::{Context, LowerScope, Unguarded};
use hive_contract::{
    Action, Ask, AskOne, Change, Declared, Difference, Expects, Failure, FieldPath, Fields,
    Fingerprint, Live, Lowered, Mark, Operation, Outcome, OutputRef, Perform, Provider, Reason,
    Rehearsal, Resolution, Secrets, StackMark, Target, Token, Undo, Value, path,
};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Files with names and texts.
pub(super) type Files<'a> = Vec<(&'a str, &'a str)>;

/// The world.
pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    pub(super) sqlite: Sqlite,
    tokens: AtomicU32,
    /// Every message of every event.
    pub(super) said: Mutex<Vec<String>>,
    known: Mutex<BTreeMap<OutputRef, Value>>,
}

/// What a change came to.
pub(super) struct Done {
    pub(super) requests: Vec<(Perform, Outcome)>,
    pub(super) failed: Option<(Perform, Failure)>,
}

impl Done {
    pub(super) fn well(self) -> Self {
        if let Some((request, failure)) = &self.failed {
            panic!("{} failed: {failure:?}", request.operation.title);
        }
        self
    }

    pub(super) fn failure(&self) -> &Failure {
        &self.failed.as_ref().expect("fails").1
    }
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let sqlite = Sqlite::connect(folder.path(), &Fields::new()).expect("connects");
        Self {
            folder,
            sqlite,
            tokens: AtomicU32::new(0),
            said: Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// A provider as a restarted hive would have.
    pub(super) fn anew(&mut self) {
        self.sqlite = Sqlite::connect(self.folder.path(), &Fields::new()).expect("connects");
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("data/shop.db")
    }

    /// The witness: SQLite without anything of hive's.
    pub(super) fn open(&self) -> Connection {
        Connection::open(self.path()).expect("opens")
    }

    pub(super) fn sql(&self, sql: &str) {
        self.open().execute_batch(sql).expect("is SQL");
    }

    pub(super) fn number(&self, sql: &str) -> i64 {
        self.open().query_row(sql, [], |row| row.get(0)).expect("answers")
    }

    /// Every row of every table of the application, and the schema, as one text.
    pub(super) fn picture(&self) -> String {
        picture(&self.open())
    }

    pub(super) fn owner(&self) -> StackMark {
        let text = str::to_owned;
        StackMark { store: text("s1"), stack: text("shop"), environment: text("dev") }
    }

    pub(super) fn lower(&self, kind: &str, fields: Fields) -> Lowered {
        let declared = declared(kind, fields);
        let lowered = self.sqlite.lower(&declared, &LowerScope { owner: self.owner() });
        lowered.unwrap_or_else(|wrong| panic!("{wrong:?}"))
    }

    pub(super) fn database(&self) -> Lowered {
        self.lower("database", database())
    }

    pub(super) fn backup(&self) -> Lowered {
        self.lower("backup", backup(false))
    }

    pub(super) fn list(&self, of: &Files<'_>, undo: &str) -> Lowered {
        self.lower("migrations", list(of, undo))
    }

    pub(super) async fn look(&self, lowered: &Lowered) -> Result<Option<Live>, Failure> {
        let (_, address) = lowered.identity.rsplit_once('/').expect("identity");
        let target = Target::main(address.parse().expect("address"));
        let one = AskOne {
            target: target.clone(),
            identity: lowered.identity.clone(),
            access: lowered.access.clone(),
        };
        let ask = Ask { parts: vec![one], ..Ask::default() };
        let mut seen = self.sqlite.observe(&ask, &Secrets::default()).await?;
        seen.found.remove(&target).expect("an answer").map(|it| it.live().cloned())
    }

    pub(super) async fn live(&self, lowered: &Lowered) -> Live {
        self.look(lowered).await.expect("reads").expect("is there")
    }

    pub(super) async fn change(
        &self,
        action: Action,
        desired: Option<&Lowered>,
        before: Option<&Lowered>,
    ) -> Change {
        let lowered = desired.or(before).expect("something");
        let (_, address) = lowered.identity.rsplit_once('/').expect("identity");
        let target = Target::main(address.parse().expect("address"));
        let observed = self.look(lowered).await.expect("reads");
        let mut change = Change::new(target, action, &lowered.identity);
        if let (Some(desired), Some(live)) = (desired, &observed) {
            for field in path::leaves(&desired.fields) {
                let (wanted, found) =
                    (path::get(&desired.fields, &field), path::get(&live.fields, &field));
                if wanted != found {
                    change.differences.push(Difference {
                        field,
                        recorded: None,
                        observed: found.cloned(),
                        desired: wanted.cloned(),
                        reason: Reason::Declared,
                        moved_by: None,
                    });
                }
            }
        }
        change.desired = desired.cloned();
        change.before = before.cloned().map(Box::new);
        change.recorded = before.map(|it| it.fields.clone());
        change.observed = observed;
        change
    }

    pub(super) async fn rehearse(&self, change: &Change) -> Result<Rehearsal, Failure> {
        let (secrets, cancel) = (Secrets::default(), AtomicBool::new(false));
        let events = |_| {};
        let context =
            Context { secrets: &secrets, guard: &Unguarded, events: &events, cancel: &cancel };
        let mut all = self.sqlite.rehearse(std::slice::from_ref(change), &context).await;
        all.remove(0)
    }

    /// Plans and performs, up to the first failure.
    pub(super) async fn apply(&self, change: &Change, rehearsal: Option<&Rehearsal>) -> Done {
        assert_eq!(self.sqlite.objections(change), Vec::new());
        let operations = self.sqlite.steps(change, rehearsal);
        let managed = managed(change);
        let mut left = change.observed.as_ref().map(|live| live.fields.clone());
        let mut done = Done { requests: Vec::new(), failed: None };
        for operation in operations {
            let request = self.request(change, operation, left.as_ref(), &managed);
            match self.perform(&request).await {
                Ok(outcome) => {
                    self.learn(&request, &outcome);
                    left = outcome.live.as_ref().map(|live| live.fields.clone());
                    done.requests.push((request, outcome));
                }
                Err(failure) => {
                    done.failed = Some((request, failure));
                    break;
                }
            }
        }
        done
    }

    fn learn(&self, request: &Perform, outcome: &Outcome) {
        let address = &request.target.address;
        for (output, value) in outcome.live.iter().flat_map(|live| &live.outputs) {
            let reference = OutputRef { address: address.clone(), output: output.clone() };
            self.known.lock().expect("known").insert(reference, value.clone());
        }
    }

    pub(super) fn request(
        &self,
        change: &Change,
        mut operation: Operation,
        live: Option<&Fields>,
        managed: &[FieldPath],
    ) -> Perform {
        let expected = match operation.expects {
            Expects::Content => live.map(|it| Fingerprint::of_managed(it, managed)),
            _ => None,
        };
        let known = self.known.lock().expect("known");
        operation.payload =
            hive_contract::value::fill_fields(&operation.payload, &|value| match value {
                Value::Output(reference) => known.get(reference).cloned(),
                _ => None,
            });
        Perform {
            target: change.target.clone(),
            identity: change.identity.clone(),
            mark: Mark { owner: self.owner(), address: change.target.address.clone() },
            operation,
            expected,
            managed: managed.to_vec(),
            token: self.token(),
            facts: BTreeMap::from([("apply".to_owned(), "a1".to_owned())]),
        }
    }

    pub(super) fn token(&self) -> Token {
        let count = self.tokens.fetch_add(1, Ordering::SeqCst);
        Token::new(&Fingerprint::of("world"), "a1", count, Way::There, 1)
    }

    pub(super) async fn perform(&self, request: &Perform) -> Result<Outcome, Failure> {
        let (secrets, cancel) = (Secrets::default(), AtomicBool::new(false));
        let events =
            |event: hive_contract::Event| self.said.lock().expect("said").push(event.message);
        let context =
            Context { secrets: &secrets, guard: &Unguarded, events: &events, cancel: &cancel };
        self.sqlite.perform(request, &context).await
    }

    pub(super) async fn resolve(&self, request: &Perform) -> Resolution {
        let (secrets, cancel) = (Secrets::default(), AtomicBool::new(false));
        let events = |_| {};
        let context =
            Context { secrets: &secrets, guard: &Unguarded, events: &events, cancel: &cancel };
        self.sqlite.resolve(request, &context).await.expect("resolves")
    }

    /// Takes back what was done, last first.
    pub(super) async fn undo(&self, change: &Change, done: &Done) -> Result<(), Failure> {
        let mut left = done.requests.last().and_then(|(_, it)| it.live.clone()).map(|it| it.fields);
        for (request, _) in done.requests.iter().rev() {
            let Undo::By(undo) = &request.operation.undo else { continue };
            let request = self.request(change, (**undo).clone(), left.as_ref(), &request.managed);
            left = self.perform(&request).await?.live.map(|it| it.fields);
        }
        Ok(())
    }

    /// The database, claimed, with these migrations applied.
    pub(super) async fn migrated(&self, of: &Files<'_>) -> Lowered {
        let database = self.database();
        let change = self.change(Action::Create, Some(&database), None).await;
        self.apply(&change, None).await.well();
        let list = self.list(of, "down");
        let change = self.change(Action::Create, Some(&list), None).await;
        self.apply(&change, None).await.well();
        list
    }

    /// A backup of it, by its id.
    pub(super) async fn backed_up(&self) -> String {
        let backup = self.backup();
        if self.look(&backup).await.expect("reads").is_none() {
            let change = self.change(Action::Create, Some(&backup), None).await;
            self.apply(&change, None).await.well();
        }
        let mut change = self.change(Action::Run, Some(&backup), Some(&backup)).await;
        change.run = Some(Fields::from([
            text("verb", "run"),
            text("reason", "a test"),
            ("now_ms".to_owned(), Value::Int(crate::work::now_ms())),
            ("due".to_owned(), Value::Bool(false)),
            text("kind", "run"),
        ]));
        self.apply(&change, None).await.well();
        let live = self.live(&backup).await;
        live.outputs["id"].as_text().expect("id").to_owned()
    }

    /// A restore of the database from a backup, up to these files.
    pub(super) async fn restore(&self, id: &str, of: &Files<'_>) -> Change {
        let database = self.database();
        let mut change = self.change(Action::Run, Some(&database), Some(&database)).await;
        change.run = Some(Fields::from([
            text("verb", "restore"),
            ("backup".to_owned(), Value::Map(backup(false))),
            text("id", id),
            ("of".to_owned(), Value::Map(crate::conforms::database())),
            ("files".to_owned(), files(of)),
            ("safety".to_owned(), Value::Bool(true)),
            ("now_ms".to_owned(), Value::Int(17)),
        ]));
        change
    }
}

pub(super) fn list(of: &Files<'_>, undo: &str) -> Fields {
    Fields::from([
        text("database", "database.main"),
        ("of".to_owned(), Value::Map(database())),
        ("files".to_owned(), files(of)),
        text("undo", undo),
        ("lock_timeout".to_owned(), Value::Int(300)),
    ])
}

pub(super) fn declared(kind: &str, fields: Fields) -> Declared {
    Declared {
        address: format!("{kind}.main").parse().expect("address"),
        fields,
        uses: BTreeSet::new(),
        protect: false,
        ignore: Vec::new(),
    }
}

pub(super) fn managed(change: &Change) -> Vec<FieldPath> {
    let lowered = change.desired.as_ref().or(change.before.as_deref());
    lowered.map(|it| path::leaves(&it.fields)).unwrap_or_default()
}

/// Every row of every table of the application, and the schema, as one text.
pub(super) fn picture(connection: &Connection) -> String {
    let names: Vec<(String, String)> = connection
        .prepare(
            "SELECT name, coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'hive%' \
             AND name NOT LIKE 'sqlite%' ORDER BY name",
        )
        .expect("prepares")
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("asks")
        .collect::<rusqlite::Result<_>>()
        .expect("reads");
    let mut seen = Vec::new();
    for (name, sql) in names {
        seen.push(sql.clone());
        if !sql.starts_with("CREATE TABLE") {
            continue;
        }
        let mut statement =
            connection.prepare(&format!("SELECT * FROM \"{name}\"")).expect("prepares");
        let columns = statement.column_count();
        let mut rows = statement.query([]).expect("asks");
        let mut lines = Vec::new();
        while let Some(row) = rows.next().expect("reads") {
            let values: Vec<String> =
                (0..columns).map(|at| format!("{:?}", row.get_ref(at).expect("value"))).collect();
            lines.push(values.join("|"));
        }
        lines.sort();
        seen.extend(lines);
    }
    seen.join("\n")
}
