//! Backups: of one moment, proven by a restore, and never beside a migration.

use crate::lab::{Lab, declared, migrations};
use hive_contract::{Action, FailureKind, Fields, Live, Lowered, Operation, Value};
use hive_parts::Postgres as Server;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A backup of the lab's database in a folder.
pub(crate) fn backup(lab: &Lab<'_>) -> Fields {
    Fields::from([
        ("database".to_owned(), Value::text("database.main")),
        ("of".to_owned(), Value::Map(lab.of())),
        ("destination".to_owned(), Value::text("backups")),
    ])
}

/// What asks for a restore of one of them.
pub(crate) fn restoring(lab: &Lab<'_>, id: &str, files: Vec<Value>) -> Fields {
    Fields::from([
        ("verb".to_owned(), Value::text("restore")),
        ("backup".to_owned(), Value::Map(backup(lab))),
        ("id".to_owned(), Value::text(id)),
        ("files".to_owned(), Value::List(files)),
        ("safety".to_owned(), Value::Bool(true)),
        ("now_ms".to_owned(), Value::Int(1)),
    ])
}

/// Registers the place of the backups, and takes one.
pub(crate) async fn taken(lab: &Lab<'_>) -> Lowered {
    let lowered = lab.lower(&declared("backup.main", backup(lab)));
    lab.apply(Action::Create, &lowered, None).await.expect("registers");
    take(lab, &lowered).await;
    lowered
}

pub(crate) async fn take(lab: &Lab<'_>, lowered: &Lowered) {
    let steps = run(lab, lowered, "run").await;
    let request = lab.request(lowered, steps[0].clone()).await;
    lab.perform(&request).await.expect("backs up");
}

pub(crate) async fn run(lab: &Lab<'_>, lowered: &Lowered, verb: &str) -> Vec<Operation> {
    let mut change = lab.change(Action::Run, Some(lowered), Some(lowered)).await;
    change.run = Some(Fields::from([
        ("verb".to_owned(), Value::text(verb)),
        ("reason".to_owned(), Value::text("asked")),
        ("now_ms".to_owned(), Value::Int(hive_backup_now())),
        ("due".to_owned(), Value::Bool(false)),
        ("kind".to_owned(), Value::text("run")),
        ("pins".to_owned(), Value::List(Vec::new())),
    ]));
    lab.steps(&change, None)
}

fn hive_backup_now() -> i64 {
    let now = std::process::Command::new("date").arg("+%s").output().expect("date starts");
    let text = String::from_utf8(now.stdout).expect("is text");
    text.trim().parse::<i64>().expect("a number") * 1_000
}

pub(crate) fn backups(live: &Live) -> Vec<Fields> {
    let list = live.fields["backups"].as_list().expect("is a list");
    list.iter().map(|it| it.as_map().expect("is a table").clone()).collect()
}

pub(crate) fn fill(lab: &Lab<'_>) {
    lab.psql(
        "CREATE TABLE orders (id int PRIMARY KEY, note text, data json, at timestamptz); \
         INSERT INTO orders SELECT n, 'note ' || n, json_build_object('n', n), \
           '2026-01-01'::timestamptz + n * interval '1 minute' FROM generate_series(1, 3000) n; \
         CREATE TABLE doubles (a int, b text); \
         INSERT INTO doubles SELECT 1, 'same' FROM generate_series(1, 4); \
         CREATE TABLE \"Odd name\" (\"a b\" int); \
         ALTER TABLE orders OWNER TO hiver; ALTER TABLE doubles OWNER TO hiver; \
         ALTER TABLE \"Odd name\" OWNER TO hiver",
    );
}

/// Verifies the newest by its id: also one that was found to be damaged before.
async fn verified(lab: &Lab<'_>, lowered: &Lowered) -> Result<(), hive_contract::Failure> {
    let live = lab.live(lowered).await.expect("is there");
    let id = backups(&live).last().expect("one is there")["id"].clone();
    let mut step = run(lab, lowered, "verify").await.remove(0);
    step.payload.insert("id".to_owned(), id);
    let request = lab.request(lowered, step).await;
    lab.perform(&request).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_of_one_moment_and_is_proven_by_a_restore() {
    let lab = Lab::new(Server::shared());
    fill(&lab);
    // Somebody writes all the time.
    let mut command = lab.server.psql_command(&lab.database);
    command.args([
        "-c",
        "DO $$ BEGIN FOR n IN 10000..40000 LOOP INSERT INTO orders (id) VALUES (n); \
         UPDATE doubles SET a = n; COMMIT; END LOOP; END $$",
    ]);
    let mut writer = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let lowered = taken(&lab).await;
    verified(&lab, &lowered).await.expect("is equal to its own moment");
    writer.kill().expect("ends");
    writer.wait().expect("ends");

    let live = lab.live(&lowered).await.expect("is there");
    let all = backups(&live);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["ok"], Value::Bool(true));
    assert!(all[0].contains_key("restore_ms"), "{all:?}");
    let left = lab.server.databases();
    let try_of = format!("{}_hive_try_", lab.database);
    assert!(!left.iter().any(|it| it.starts_with(&try_of)), "{left:?}");
}

/// The data of the one backup in a folder.
fn found(folder: &Path) -> Option<PathBuf> {
    fs::read_dir(folder).expect("reads").flatten().find_map(|entry| {
        let path = entry.path();
        match path.is_dir() {
            true => found(&path),
            false => Some(path).filter(|it| it.to_string_lossy().contains("/data")),
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_backup_is_found_out() {
    let lab = Lab::new(Server::shared());
    fill(&lab);
    let lowered = taken(&lab).await;
    let data = found(&lab.folder.path().join("backups")).expect("the data is there");
    let whole = fs::read(&data).expect("reads");
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for damaged in [&whole[..whole.len() * 6 / 10], &flipped] {
        fs::write(&data, damaged).expect("writes");
        let failure = verified(&lab, &lowered).await.expect_err("is found out");
        assert_eq!(failure.kind, FailureKind::Unhealthy, "{failure:?}");
    }
    let left = lab.server.databases();
    let try_of = format!("{}_hive_try_", lab.database);
    assert!(!left.iter().any(|it| it.starts_with(&try_of)), "{left:?}");
    fs::write(&data, &whole).expect("writes");
    verified(&lab, &lowered).await.expect("is whole again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_migration_runs_beside_a_dump() {
    let lab = Lab::new(Server::shared());
    let mut command = lab.server.psql_command(&lab.database);
    command
        .env("PGAPPNAME", "hive dumping")
        .args(["-c", "SELECT pg_advisory_lock_shared(1751742053, 1); SELECT pg_sleep(60)"]);
    let mut dump = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    while lab.psql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0" {}
    let files = [("0001_a.up.sql", "CREATE TABLE a ()"), ("0001_a.down.sql", "DROP TABLE a")];
    let list = lab.lower(&migrations(&lab.of(), &files, &[]));
    let change = lab.change(Action::Create, Some(&list), None).await;
    let mut step = lab.steps(&change, None).remove(0);
    step.deadline_ms = 800;
    let request = lab.request(&list, step).await;
    let failure = lab.perform(&request).await.expect_err("waits");
    assert_eq!(failure.kind, FailureKind::Taken);
    assert!(failure.message.contains("hive dumping"), "{failure}");
    // Another dump goes beside it.
    taken(&lab).await;
    dump.kill().expect("ends");
    dump.wait().expect("ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_programs_of_the_servers_own_version_will_do() {
    let lab = Lab::new(Server::shared());
    let tools = lab.folder.path().join("tools");
    fs::create_dir(&tools).expect("makes");
    for name in ["pg_dump", "pg_restore"] {
        use std::os::unix::fs::PermissionsExt;
        let path = tools.join(name);
        fs::write(&path, format!("#!/bin/sh\necho '{name} (PostgreSQL) 9.6.24'\n"))
            .expect("writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("sets");
    }
    let lowered = lab.lower(&declared("backup.main", backup(&lab)));
    lab.apply(Action::Create, &lowered, None).await.expect("registers");
    let steps = run(&lab, &lowered, "run").await;
    let request = lab.request(&lowered, steps[0].clone()).await;
    let settings = Fields::from([("tools".to_owned(), Value::text("tools"))]);
    let provider =
        hive_postgres::Postgres::connect(lab.folder.path(), &settings).expect("connects");
    let secrets = lab.secrets();
    let cancel = std::sync::atomic::AtomicBool::new(false);
    let context = hive_contract::Context {
        secrets: &secrets,
        guard: &hive_contract::provider::Unguarded,
        events: &|_| {},
        cancel: &cancel,
    };
    use hive_contract::Provider;
    let failure = provider.perform(&request, &context).await.expect_err("is refused");
    assert!(failure.message.contains("no `pg_dump` and `pg_restore` of version"), "{failure}");
    assert!(failure.diagnosis.iter().any(|it| it.contains("9.6.24")), "{failure:?}");
}
