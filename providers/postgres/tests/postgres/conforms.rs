//! The suite that every provider passes, on a real server.

use crate::lab::{declared, make_role, migrations, owner, url};
use hive_contract::outcome::Upgraded;
use hive_contract::testing::conformance::{self, CANARY, Fixtures, Trouble};
use hive_contract::{
    Ask, Change, Context, Declared, Failure, Fields, Invalid, LowerScope, Lowered, Observation,
    Operation, Outcome, Perform, Place, Provider, Rehearsal, Resolution, SecretRef, Secrets,
    StackMark, Task, Value,
};
use hive_parts::Postgres as Server;
use hive_postgres::Postgres;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// The provider as an executor would call it: with the values of the secrets in `observe` too.
struct WithSecrets(Postgres);

impl Provider for WithSecrets {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn place(&self) -> Place {
        self.0.place()
    }
    fn form(&self) -> u32 {
        self.0.form()
    }
    fn upgrade(&self, form: u32, fields: Fields) -> Upgraded {
        self.0.upgrade(form, fields)
    }
    fn lower(&self, declared: &Declared, scope: &LowerScope) -> Result<Lowered, Vec<Invalid>> {
        self.0.lower(declared, scope)
    }
    fn observe<'a>(
        &'a self,
        ask: &'a Ask,
        _secrets: &'a Secrets,
    ) -> Task<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let mut secrets = Secrets::default();
            secrets.insert(SecretRef::env("PW"), CANARY.into());
            self.0.observe(ask, &secrets).await
        })
    }
    fn objections(&self, change: &Change) -> Vec<Invalid> {
        self.0.objections(change)
    }
    fn steps(&self, change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<Operation> {
        self.0.steps(change, rehearsal)
    }
    fn perform<'a>(
        &'a self,
        request: &'a Perform,
        context: &'a Context<'a>,
    ) -> Task<'a, Result<Outcome, Failure>> {
        self.0.perform(request, context)
    }
    fn resolve<'a>(
        &'a self,
        request: &'a Perform,
        context: &'a Context<'a>,
    ) -> Task<'a, Result<Resolution, Failure>> {
        self.0.resolve(request, context)
    }
}

/// What is tried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Database,
    Migrations,
}

struct Fixture {
    server: Server,
    what: What,
    folder: tempfile::TempDir,
    /// The suite clears: what a delete leaves behind, as it must, goes too.
    clearing: AtomicBool,
    /// A session that holds a lock.
    holder: Mutex<Option<Child>>,
}

impl Fixture {
    fn new(what: What) -> Self {
        let server = Server::start();
        make_role(&server, CANARY);
        server.psql("postgres", "CREATE DATABASE shop OWNER hiver");
        let folder = tempfile::tempdir().expect("a folder");
        let (clearing, holder) = (AtomicBool::new(false), Mutex::new(None));
        Self { server, what, folder, clearing, holder }
    }

    fn of(&self) -> Fields {
        Fields::from([
            ("engine".to_owned(), Value::text("postgres")),
            ("url".to_owned(), url("hiver", self.server.port(), "shop")),
        ])
    }

    fn psql(&self, sql: &str) -> String {
        self.server.psql("shop", sql)
    }

    fn wipe(&self) {
        if self.server.try_psql("shop", "SELECT count(*) FROM hive.marks").as_deref() == Ok("0") {
            self.psql(
                "DROP TABLE IF EXISTS one, two; DELETE FROM hive.migrations; \
                 DELETE FROM hive.objects",
            );
            self.clearing.store(false, Ordering::SeqCst);
        }
    }
}

impl Fixtures for Fixture {
    fn provider(&self) -> Arc<dyn Provider> {
        if self.clearing.load(Ordering::SeqCst) {
            self.wipe();
        }
        let folder: PathBuf = self.folder.path().to_owned();
        Arc::new(WithSecrets(Postgres::connect(&folder, &Fields::new()).expect("connects")))
    }

    fn owner(&self) -> StackMark {
        owner()
    }

    fn changes(&self) -> bool {
        self.what == What::Migrations
    }

    fn declared(&self, version: u32) -> Declared {
        let files = [
            ("0001_one.up.sql", "CREATE TABLE one (id int PRIMARY KEY);"),
            ("0001_one.down.sql", "DROP TABLE one;"),
            ("0002_two.up.sql", "CREATE TABLE two (id int REFERENCES one);"),
            ("0002_two.down.sql", "DROP TABLE two;"),
        ];
        match (self.what, version) {
            (What::Database, _) => declared("database.main", self.of()),
            (What::Migrations, 1) => migrations(&self.of(), &files[..2], &[]),
            (What::Migrations, _) => migrations(&self.of(), &files, &[]),
        }
    }

    fn with_secret(&self) -> Option<Declared> {
        Some(self.declared(1))
    }

    fn trouble(&self, trouble: Trouble) -> Option<Task<'_, ()>> {
        match (trouble, self.what) {
            (Trouble::Forbidden, _) => {
                self.psql("ALTER ROLE hiver NOLOGIN");
            }
            (Trouble::Unavailable, _) => {
                self.psql("ALTER ROLE hiver CONNECTION LIMIT 0");
            }
            (Trouble::Malformed, _) => {
                self.psql("ALTER TABLE hive.marks RENAME COLUMN kind TO sort");
            }
            (Trouble::Gone, _) => {
                self.psql("DELETE FROM hive.marks");
            }
            (Trouble::Meddled, What::Migrations) => {
                self.psql("ALTER TABLE one ADD COLUMN by_hand int");
            }
            (Trouble::Slow, What::Migrations) => {
                let sql = "BEGIN; LOCK TABLE one; SELECT pg_sleep(60)";
                let mut command = self.server.psql_command("shop");
                command.args(["-c", sql]).stdout(Stdio::null()).stderr(Stdio::null());
                let child = command.spawn().expect("starts");
                *self.holder.lock().expect("is not poisoned") = Some(child);
                let held = "SELECT count(*) FROM pg_locks WHERE relation = 'one'::regclass \
                    AND mode = 'AccessExclusiveLock' AND granted";
                while self.psql(held) == "0" {}
            }
            _ => return None,
        }
        Some(Box::pin(async {}))
    }

    fn calm(&self) -> Task<'_, ()> {
        self.clearing.store(true, Ordering::SeqCst);
        if let Some(mut child) = self.holder.lock().expect("is not poisoned").take() {
            self.psql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE query LIKE '%LOCK TABLE one%' AND pid <> pg_backend_pid()",
            );
            child.wait().expect("ends");
        }
        self.psql(
            "DO $$ BEGIN \
             IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'hiver' \
                        AND (NOT rolcanlogin OR rolconnlimit <> -1)) THEN \
               ALTER ROLE hiver LOGIN CONNECTION LIMIT -1; END IF; \
             IF EXISTS (SELECT FROM pg_attribute WHERE attname = 'sort' \
                        AND attrelid = to_regclass('hive.marks')) THEN \
               ALTER TABLE hive.marks RENAME COLUMN sort TO kind; END IF; \
             ALTER TABLE IF EXISTS one DROP COLUMN IF EXISTS by_hand; END $$",
        );
        Box::pin(async {})
    }

    fn witness(&self) -> Option<Task<'_, String>> {
        let columns = "SELECT table_schema, table_name, column_name, data_type \
            FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2, 3;";
        let book = "SELECT identity, store, stack, address FROM hive.marks; \
            SELECT name, checksum, finished_ms IS NULL FROM hive.migrations; \
            SELECT * FROM hive.objects ORDER BY 1;";
        // Where there is no book yet, that is what is seen.
        let seen = self.server.try_psql("shop", &format!("{columns} {book}"));
        let seen = seen.unwrap_or_else(|_| self.psql(columns));
        Some(Box::pin(async move { seen }))
    }

    fn polls(&self) -> u32 {
        14
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_conforms() {
    let not_offered = conformance::run(&Fixture::new(What::Database)).await.expect("conforms");
    let not_here = [
        "update",
        "update undone",
        "replace",
        "run",
        "stop and start",
        "adopt another",
        "killed update",
        "guarded update",
        "slow",
        "unhealthy",
        "meddled",
        "upgrade",
    ];
    assert_eq!(not_offered, not_here);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_conform() {
    let not_offered = conformance::run(&Fixture::new(What::Migrations)).await.expect("conforms");
    assert_eq!(not_offered, ["replace", "run", "stop and start", "unhealthy", "upgrade"]);
}
