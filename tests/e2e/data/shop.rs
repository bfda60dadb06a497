//! A service with its database, migrations and backup, at three stages of its life.

use crate::lab::{Lab, Ran};
#[cfg(feature = "real-parts")]
use hive_parts::Postgres;
use std::fs;
use std::path::PathBuf;
#[cfg(feature = "real-parts")]
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The stack under test.
pub struct Shop {
    pub lab: Lab,
    engine: Engine,
}

/// Where its database is.
pub enum Engine {
    /// A file in the stack's folder.
    Sqlite,
    /// A database of a server that other tests use too.
    #[cfg(feature = "real-parts")]
    Shared(&'static Postgres, String),
    /// A database of a server of its own, which may be killed.
    #[cfg(feature = "real-parts")]
    Own(Box<Mutex<Postgres>>, String),
}

/// A migration: its name, the way there and the way back.
pub type Migration = (&'static str, &'static str, &'static str);

/// The migrations of each stage. The second adds rows that would be there twice if it ran twice;
/// the third is a contract: it takes away what the version before reads.
const STAGES: [Migration; 3] = [
    (
        "0001_create_orders",
        "CREATE TABLE orders (id integer PRIMARY KEY, item text NOT NULL);\n\
         CREATE TABLE changes (what text NOT NULL);\n",
        "DROP TABLE changes;\nDROP TABLE orders;\n",
    ),
    (
        "0002_add_status",
        "ALTER TABLE orders ADD COLUMN status text;\n\
         CREATE INDEX orders_status ON orders (status);\n\
         INSERT INTO changes (what) VALUES ('status added');\n",
        "DELETE FROM changes WHERE what = 'status added';\n\
         DROP INDEX orders_status;\nALTER TABLE orders DROP COLUMN status;\n",
    ),
    (
        "0003_drop_item",
        "-- hive: irreversible = \"what was ordered is gone\"\n\
         ALTER TABLE orders DROP COLUMN item;\n",
        "",
    ),
];

impl Shop {
    /// A shop on SQLite, at no stage yet.
    pub fn sqlite() -> Self {
        Self { lab: Lab::new(""), engine: Engine::Sqlite }
    }

    /// A shop on the server that the tests share.
    #[cfg(feature = "real-parts")]
    pub fn postgres() -> Self {
        let server = Postgres::shared();
        Self::on(Engine::Shared(server, server.unused()))
    }

    /// A shop on a server of its own, which may be killed.
    #[cfg(feature = "real-parts")]
    pub fn own_postgres() -> Self {
        Self::in_postgres(Postgres::start())
    }

    /// A shop on this server, which is its own.
    #[cfg(feature = "real-parts")]
    pub fn in_postgres(server: Postgres) -> Self {
        let name = server.unused();
        Self::on(Engine::Own(Box::new(Mutex::new(server)), name))
    }

    #[cfg(feature = "real-parts")]
    fn on(engine: Engine) -> Self {
        let shop = Self { lab: Lab::new(""), engine };
        let url = shop.with_server(|server, name| server.url(name));
        shop.url(&url);
        shop
    }

    /// Changes the url that hive is told.
    #[cfg(feature = "real-parts")]
    pub fn url(&self, url: &str) {
        self.lab.write("secret/url", url);
    }

    pub fn is_sqlite(&self) -> bool {
        matches!(self.engine, Engine::Sqlite)
    }

    /// What the stack says of the database.
    fn database(&self) -> &'static str {
        match self.engine {
            Engine::Sqlite => {
                "[database.main]\nengine = \"sqlite\"\npath = \"data/shop.db\"\ncreate = true\n"
            }
            #[cfg(feature = "real-parts")]
            _ => {
                "[database.main]\nengine = \"postgres\"\nurl = { file = \"secret/url\" }\n\
                 create = true\n"
            }
        }
    }

    /// The stack at a stage, with words that are added to it; `broken` is never healthy.
    pub fn toml(&self, stage: usize, broken: bool, more: &str) -> String {
        let output = if self.is_sqlite() { "path" } else { "url" };
        let broken = if broken { ", BROKEN = \"1\"" } else { "" };
        let grace = if broken.is_empty() { "20s" } else { "1s" };
        format!(
            r#"
[stack]
name = "{{name}}"

{database}
[migrations.main]
database = "main"
path = "migrations"
lock_timeout = "200ms"
retries = 2

[backup.main]
database = "main"
destination = "backups"
keep = {{ minimum = 4 }}

[service.api]
ports = {{ http = 8080 }}
environment = {{ VERSION = "{stage}", START_LOG = "{{log}}", DATABASE = {{ from = "database.main.{output}" }}{broken} }}
health = {{ http = "/healthz", every = "50ms", grace = "{grace}" }}
process = {{ command = ["witness"], stop = {{ grace = "2s" }} }}
{more}"#,
            database = self.database(),
        )
    }

    /// Declares a stage: its migrations and its stack.
    pub fn stage(&self, stage: usize) {
        self.stage_with(stage, false, "");
    }

    /// The same, with a service that is never healthy, or more words.
    pub fn stage_with(&self, stage: usize, broken: bool, more: &str) {
        let folder = self.lab.path("migrations");
        // What is not there yet need not be removed.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        for (name, up, down) in STAGES.iter().take(stage) {
            self.migration(name, up, down);
        }
        self.lab.stack(&self.toml(stage, broken, more));
    }

    /// Writes the files of a migration; an empty way back is none.
    pub fn migration(&self, name: &str, up: &str, down: &str) {
        self.lab.write(&format!("migrations/{name}.up.sql"), up);
        if !down.is_empty() {
            self.lab.write(&format!("migrations/{name}.down.sql"), down);
        }
    }

    /// A shop at the first stage, with twenty orders.
    pub fn with_orders(self) -> Self {
        self.stage(1);
        self.lab.expect(0, &["apply", "-y"]);
        self.order(1, 20);
        self
    }

    /// Writes orders as a user of the database would.
    pub fn order(&self, from: u32, to: u32) {
        let rows: Vec<String> = (from..=to).map(|n| format!("({n}, 'thing {n}')")).collect();
        self.sql(&format!("INSERT INTO orders (id, item) VALUES {}", rows.join(", ")));
    }

    pub fn hive(&self, arguments: &[&str]) -> Ran {
        self.lab.hive(arguments)
    }

    #[track_caller]
    pub fn expect(&self, code: i32, arguments: &[&str]) -> Ran {
        self.lab.expect(code, arguments)
    }

    /// The file of the database on SQLite.
    pub fn file(&self) -> PathBuf {
        self.lab.path("data/shop.db")
    }

    #[cfg(feature = "real-parts")]
    pub fn with_server<T>(&self, ask: impl FnOnce(&Postgres, &str) -> T) -> T {
        match &self.engine {
            Engine::Sqlite => panic!("SQLite is no server"),
            Engine::Shared(server, name) => ask(server, name),
            Engine::Own(server, name) => ask(&lock(server), name),
        }
    }

    /// Kills the server; whether there is one to kill.
    pub fn kill_server(&self) {
        match &self.engine {
            #[cfg(feature = "real-parts")]
            Engine::Own(server, _) => lock(server).kill(),
            _ => panic!("no server of its own"),
        }
    }

    pub fn restart_server(&self) {
        match &self.engine {
            #[cfg(feature = "real-parts")]
            Engine::Own(server, _) => lock(server).restart(),
            _ => panic!("no server of its own"),
        }
    }

    /// Runs statements past hive, as a user of the database.
    #[track_caller]
    pub fn sql(&self, sql: &str) {
        match &self.engine {
            Engine::Sqlite => self.open().execute_batch(sql).expect("the statements run"),
            #[cfg(feature = "real-parts")]
            _ => self.with_server(|server, name| drop(server.psql(name, sql))),
        }
    }

    /// The answer of a query: a line a row, columns split by `|`.
    #[track_caller]
    pub fn ask(&self, sql: &str) -> String {
        match &self.engine {
            Engine::Sqlite => self.try_ask_sqlite(sql).expect("the query runs"),
            #[cfg(feature = "real-parts")]
            _ => self.with_server(|server, name| server.psql(name, sql)),
        }
    }

    /// All rows of all tables that are not hive's, or their checksums.
    #[track_caller]
    pub fn rows(&self) -> String {
        match &self.engine {
            Engine::Sqlite => {
                let tables = self.ask(&format!("SELECT name {TABLES} AND type = 'table' {ORDER}"));
                let mut all = String::new();
                for table in tables.lines() {
                    let mut rows: Vec<String> = self
                        .ask(&format!("SELECT * FROM \"{table}\""))
                        .lines()
                        .map(str::to_owned)
                        .collect();
                    rows.sort();
                    all += &format!("{table} {}: {}\n", rows.len(), rows.join(" / "));
                }
                all
            }
            #[cfg(feature = "real-parts")]
            _ => self.with_server(|server, name| server.rows(name)),
        }
    }

    /// The schema without what is hive's, in the engine's own words.
    #[track_caller]
    pub fn schema(&self) -> String {
        match &self.engine {
            Engine::Sqlite => self.ask(&format!("SELECT sql {TABLES} AND sql IS NOT NULL {ORDER}")),
            #[cfg(feature = "real-parts")]
            _ => self.with_server(Postgres::schema),
        }
    }

    /// Rows and schema: what must be old or new, and nothing between. Without its order of columns,
    /// which a way there and back changes.
    #[track_caller]
    pub fn data(&self) -> String {
        format!("{}\n{}", self.schema(), self.rows())
    }

    /// The same; none while the database is closed, or under another name.
    pub fn data_where_it_can_be_asked(&self) -> Option<String> {
        match &self.engine {
            Engine::Sqlite => Some(self.data()),
            #[cfg(feature = "real-parts")]
            _ => {
                let open = self.with_server(|server, name| {
                    let sql =
                        format!("SELECT datallowconn FROM pg_database WHERE datname = '{name}'");
                    server.psql("postgres", &sql)
                });
                (open == "t").then(|| self.data())
            }
        }
    }

    /// A session of SQLite past hive.
    pub fn open(&self) -> rusqlite::Connection {
        let file = rusqlite::Connection::open(self.file()).expect("the database opens");
        file.busy_timeout(std::time::Duration::from_secs(5)).expect("a time to wait");
        file
    }

    fn try_ask_sqlite(&self, sql: &str) -> rusqlite::Result<String> {
        let file = self.open();
        let mut statement = file.prepare(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        let mut lines = Vec::new();
        while let Some(row) = rows.next()? {
            let mut cells = Vec::new();
            for column in 0..columns {
                cells.push(match row.get_ref(column)? {
                    rusqlite::types::ValueRef::Null => String::new(),
                    rusqlite::types::ValueRef::Integer(it) => it.to_string(),
                    rusqlite::types::ValueRef::Real(it) => it.to_string(),
                    rusqlite::types::ValueRef::Text(it) | rusqlite::types::ValueRef::Blob(it) => {
                        String::from_utf8_lossy(it).into_owned()
                    }
                });
            }
            lines.push(cells.join("|"));
        }
        Ok(lines.join("\n"))
    }

    /// The folders of backups that are published, oldest first.
    pub fn backups(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = fs::read_dir(self.lab.path("backups"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|it| it.path())
            .filter(|it| it.join("manifest.json").is_file())
            .collect();
        // By when they were published: the names of two of one second are in no order.
        found.sort_by_key(|it| {
            let manifest = fs::metadata(it.join("manifest.json"));
            (manifest.and_then(|it| it.modified()).expect("a time"), it.clone())
        });
        found
    }

    /// The version that the service says it runs, where it runs.
    pub fn running(&self) -> Vec<String> {
        self.lab.processes().into_iter().map(|it| it.version).collect()
    }

    /// The world is at this stage, everything agrees, and nothing more is planned.
    #[track_caller]
    pub fn is_settled(&self, stage: usize, data: &str) {
        assert_eq!(self.data(), data, "stage {stage}");
        assert_eq!(self.running(), [stage.to_string()]);
        self.lab.check_starts();
        self.expect(0, &["plan", "--exit-code"]);
    }

    /// Whether the database is there.
    pub fn is_there(&self) -> bool {
        match &self.engine {
            Engine::Sqlite => self.file().exists(),
            #[cfg(feature = "real-parts")]
            _ => self.with_server(|server, name| server.databases().iter().any(|it| it == name)),
        }
    }

    /// How many databases lie aside, closed, as they were before a restore.
    pub fn kept_aside(&self) -> usize {
        match &self.engine {
            Engine::Sqlite => 0,
            #[cfg(feature = "real-parts")]
            _ => self.with_server(|server, name| {
                let aside = |it: &&String| it.starts_with(name) && it.contains("_old_");
                server.databases().iter().filter(aside).count()
            }),
        }
    }

    /// The databases of the server that are none of the shop's, but look like work of hive's that
    /// was left half done.
    pub fn leftovers(&self) -> Vec<String> {
        match &self.engine {
            Engine::Sqlite => fs::read_dir(self.lab.path("data"))
                .into_iter()
                .flatten()
                .flatten()
                .map(|it| it.file_name().to_string_lossy().into_owned())
                .filter(|it| !["shop.db", "shop.db-wal", "shop.db-shm"].contains(&it.as_str()))
                .collect(),
            #[cfg(feature = "real-parts")]
            _ => self.with_server(|server, name| {
                let ours =
                    |it: &String| it.starts_with(name) && it != name && !it.contains("_old_");
                server.databases().into_iter().filter(ours).collect()
            }),
        }
    }
}

#[cfg(feature = "real-parts")]
fn lock(server: &Mutex<Postgres>) -> MutexGuard<'_, Postgres> {
    server.lock().unwrap_or_else(PoisonError::into_inner)
}

const TABLES: &str =
    "FROM sqlite_master WHERE tbl_name NOT LIKE 'hive%' AND tbl_name NOT LIKE 'sqlite%'";
const ORDER: &str = "ORDER BY name";
