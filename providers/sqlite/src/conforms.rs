//! The suite that every provider passes, on real files, once for each kind.

use crate::Sqlite;
use hive_contract::testing::conformance::{self, Fixtures, Trouble};
use hive_contract::{Declared, Fields, Provider, StackMark, Task, Value};
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// One kind on one database.
struct Files {
    folder: tempfile::TempDir,
    kind: &'static str,
    held: Mutex<Option<Connection>>,
}

impl Files {
    fn new(kind: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        Self { folder, kind, held: Mutex::new(None) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("data/shop.db")
    }

    fn open(&self) -> Connection {
        Connection::open(self.path()).expect("opens")
    }
}

pub(crate) fn text(key: &str, text: &str) -> (String, Value) {
    (key.to_owned(), Value::text(text))
}

pub(crate) fn database() -> Fields {
    Fields::from([
        text("engine", "sqlite"),
        text("path", "data/shop.db"),
        ("create".to_owned(), Value::Bool(true)),
    ])
}

pub(crate) fn backup(encrypted: bool) -> Fields {
    let mut fields = Fields::from([
        ("of".to_owned(), Value::Map(database())),
        text("database", "database.main"),
        text("destination", "backups/main"),
    ]);
    if encrypted {
        let recipients = Value::List(vec![Value::text(RECIPIENT)]);
        let encrypt = Fields::from([("recipients".to_owned(), recipients)]);
        fields.insert("encrypt".to_owned(), Value::Map(encrypt));
    }
    fields
}

/// The recipient that age's own documentation shows.
const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

pub(crate) const ONE: [(&str, &str); 2] = [
    ("0001_orders.up.sql", "CREATE TABLE orders (id INTEGER PRIMARY KEY, total INT NOT NULL);"),
    ("0001_orders.down.sql", "DROP TABLE orders;"),
];
pub(crate) const TWO: [(&str, &str); 2] = [
    ("0002_status.up.sql", "ALTER TABLE orders ADD COLUMN status TEXT DEFAULT 'new';"),
    ("0002_status.down.sql", "ALTER TABLE orders DROP COLUMN status;"),
];

pub(crate) fn files(files: &[(&str, &str)]) -> Value {
    let file = |(name, content): &(&str, &str)| {
        Value::Map(Fields::from([text("name", name), text("text", content)]))
    };
    Value::List(files.iter().map(file).collect())
}

impl Fixtures for Files {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(Sqlite::connect(self.folder.path(), &Fields::new()).expect("connects"))
    }

    fn owner(&self) -> StackMark {
        let text = str::to_owned;
        StackMark { store: text("s1"), stack: text("shop"), environment: text("dev") }
    }

    fn changes(&self) -> bool {
        self.kind != "database"
    }

    fn declared(&self, version: u32) -> Declared {
        let all: Vec<(&str, &str)> = ONE.into_iter().chain(TWO).collect();
        let fields = match self.kind {
            "database" => database(),
            "backup" => backup(version == 2),
            _ => Fields::from([
                text("database", "database.main"),
                ("of".to_owned(), Value::Map(database())),
                ("files".to_owned(), files(&all[..if version == 1 { 2 } else { 4 }])),
                text("undo", "down"),
                ("lock_timeout".to_owned(), Value::Int(2_000)),
            ]),
        };
        Declared {
            address: format!("{}.main", self.kind).parse().expect("address"),
            fields,
            uses: BTreeSet::new(),
            protect: false,
            ignore: Vec::new(),
        }
    }

    fn trouble(&self, trouble: Trouble) -> Option<Task<'_, ()>> {
        if self.kind == "backup" {
            return None;
        }
        match trouble {
            Trouble::Gone => fs::remove_file(self.path()).expect("removes"),
            Trouble::Malformed => {
                fs::copy(self.path(), self.folder.path().join("kept")).expect("copies");
                fs::write(self.path(), [7; 8192]).expect("writes");
            }
            Trouble::Slow => {
                let other = self.open();
                other.execute_batch("BEGIN IMMEDIATE").expect("locks");
                *self.held.lock().expect("held") = Some(other);
            }
            Trouble::Meddled if self.kind == "migrations" => {
                let by_hand = "ALTER TABLE orders ADD COLUMN by_hand INT";
                self.open().execute_batch(by_hand).expect("is SQL");
            }
            _ => return None,
        }
        Some(Box::pin(async {}))
    }

    fn calm(&self) -> Task<'_, ()> {
        self.held.lock().expect("held").take();
        let kept = self.folder.path().join("kept");
        if kept.exists() {
            fs::rename(kept, self.path()).expect("moves back");
        }
        Box::pin(async {})
    }

    fn wipe(&self) -> Task<'_, ()> {
        crate::site::remove(&self.path()).expect("removes");
        Box::pin(async {})
    }

    fn witness(&self) -> Option<Task<'_, String>> {
        if self.kind == "backup" {
            return None;
        }
        let mut seen = String::new();
        if self.path().exists() {
            let connection = self.open();
            for sql in [
                "SELECT coalesce(group_concat(name || sql, char(10)), '') FROM \
                 (SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'hive%' \
                 AND name NOT LIKE 'sqlite%' ORDER BY name)",
                "SELECT coalesce(group_concat(identity || coalesce(mark, '-')), '') FROM \
                 (SELECT * FROM hive_marks ORDER BY identity)",
                "SELECT coalesce(group_concat(list || name || checksum), '') FROM \
                 (SELECT * FROM hive_migrations ORDER BY number)",
            ] {
                let text = connection.query_row(sql, [], |row| row.get::<_, String>(0));
                seen.push_str(&text.unwrap_or_default());
                seen.push('\n');
            }
        }
        Some(Box::pin(async move { seen }))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_conform() {
    let not_offered = conformance::run(&Files::new("database")).await.expect("conforms");
    assert_eq!(
        not_offered[..6],
        ["update", "update undone", "replace", "run", "stop and start", "adopt another",]
    );
    assert_eq!(
        not_offered[6..],
        [
            "killed update",
            "guarded update",
            "secret",
            "forbidden",
            "unavailable",
            "unhealthy",
            "meddled",
            "upgrade",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_conform() {
    let not_offered = conformance::run(&Files::new("migrations")).await.expect("conforms");
    assert_eq!(not_offered[..4], ["replace", "run", "stop and start", "secret"]);
    assert_eq!(not_offered[4..], ["forbidden", "unavailable", "unhealthy", "upgrade"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_conform() {
    let not_offered = conformance::run(&Files::new("backup")).await.expect("conforms");
    let not_here = ["replace", "run", "stop and start", "sealed", "secret"];
    assert_eq!(not_offered[..5], not_here);
}
