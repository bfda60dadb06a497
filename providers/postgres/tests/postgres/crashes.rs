//! The server, its sessions and hive's children killed in the middle.

use crate::backups::{backups, fill, run, taken};
use crate::lab::{Lab, declared, migrations};
use hive_contract::outcome::Resolution;
use hive_contract::{Action, Failure, Lowered, Outcome, Perform};
use hive_parts::{Fault, Postgres as Server, Proxy, alive};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const FILES: [(&str, &str); 4] = [
    ("0001_orders.up.sql", "CREATE TABLE orders (id int PRIMARY KEY, note text);"),
    ("0001_orders.down.sql", "DROP TABLE orders;"),
    (
        "0002_slow.up.sql",
        "CREATE TABLE slow (id int); INSERT INTO slow SELECT generate_series(1, 100);\n\
         SELECT pg_sleep(0.4); ALTER TABLE orders ADD COLUMN slow int;",
    ),
    ("0002_slow.down.sql", "ALTER TABLE orders DROP COLUMN slow; DROP TABLE slow;"),
];

/// What `psql` says of the lists: both or neither of file and history.
fn witness(lab: &Lab<'_>) -> String {
    lab.psql(
        "SELECT (SELECT count(*) FROM hive.migrations WHERE name = '0002_slow'), \
         to_regclass('slow') IS NOT NULL, \
         (SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'slow')",
    )
}

/// Brings a step that was cut off to its end, as recovery does.
async fn recovered(lab: &Lab<'_>, request: &Perform) -> Result<Outcome, Failure> {
    match lab.resolve(request).await? {
        Resolution::Done(outcome) => Ok(outcome),
        Resolution::Partly { .. } | Resolution::Running { .. } => lab.perform(request).await,
        Resolution::NotStarted { sealed } => {
            assert!(sealed, "a database that is there seals");
            let late = lab.perform(request).await;
            assert!(late.is_err(), "a sealed token has no effect");
            let fresh = lab.request_on_token(request);
            lab.perform(&fresh).await
        }
        other => panic!("{other:?}"),
    }
}

async fn two_lists(lab: &Lab<'_>) -> (Lowered, Perform) {
    let first = lab.lower(&migrations(&lab.of(), &FILES[..2], &[]));
    lab.apply(Action::Create, &first, None).await.expect("applies");
    let both = lab.lower(&migrations(&lab.of(), &FILES, &[]));
    let change = lab.change(Action::Update, Some(&both), Some(&first)).await;
    let step = lab.steps(&change, None).remove(0);
    let request = lab.request(&both, step).await;
    (both, request)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_is_there_or_not_wherever_it_is_cut_off() {
    let lab = Lab::new(Server::shared());
    let (both, _) = two_lists(&lab).await;
    let first = lab.lower(&migrations(&lab.of(), &FILES[..2], &[]));
    for ms in [5, 60, 150, 300, 430, 470, 500, 530, 570, 620] {
        let change = lab.change(Action::Update, Some(&both), Some(&first)).await;
        let step = lab.steps(&change, None).remove(0);
        let request = lab.request(&both, step).await;
        let limit = Duration::from_millis(ms);
        let _ = tokio::time::timeout(limit, lab.perform(&request)).await;
        recovered(&lab, &request).await.unwrap_or_else(|it| panic!("{ms} ms: {it:?}"));
        assert_eq!(witness(&lab), "1|t|1", "{ms} ms");
        lab.apply(Action::Update, &first, Some(&both)).await.expect("goes down");
        assert_eq!(witness(&lab), "0|f|0");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_dies_half_way_is_looked_up() {
    let lab = Lab::new(Server::shared());
    let database = lab.lower(&declared("database.main", lab.of()));
    lab.apply(Action::Create, &database, None).await.expect("claims");
    // The commit itself takes its time, so that the session can be ended in the middle of it.
    lab.psql(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END'; \
         CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON hive.steps DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION wait()",
    );
    let list = lab.lower(&migrations(&lab.of(), &FILES[..2], &[]));
    let change = lab.change(Action::Create, Some(&list), None).await;
    let step = lab.steps(&change, None).remove(0);
    let request = lab.request(&list, step).await;
    let end = async {
        let sql = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'COMMIT' \
             AND state = 'active' AND application_name = 'hive {}'",
            request.token
        );
        let until = Instant::now() + Duration::from_secs(20);
        while lab.psql(&sql) != "t" && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (ended, ()) = tokio::join!(lab.perform(&request), end);
    let failure = ended.expect_err("its session was ended");
    assert!(failure.retryable, "{failure:?}");
    assert_eq!(failure.remains, hive_contract::Remains::Nothing, "it was looked up: {failure:?}");
    assert_eq!(lab.psql("SELECT count(*) FROM hive.marks"), "1");
    lab.psql("DROP TRIGGER wait ON hive.steps");
    recovered(&lab, &request).await.expect("goes on");
    assert_eq!(lab.psql("SELECT count(*) FROM hive.marks"), "2");
}

/// The way to the server is cut after so many bytes of its answers, at the commit's too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_was_lost_is_never_guessed() {
    let mut lab = Lab::new(Server::shared());
    let proxy = Proxy::to(lab.server.port());
    lab.port = proxy.port();
    let (both, _) = two_lists(&lab).await;
    let first = lab.lower(&migrations(&lab.of(), &FILES[..2], &[]));
    let (mut lost, mut kept) = (0, 0);
    for cut in (600..4_200).step_by(300) {
        let change = lab.change(Action::Update, Some(&both), Some(&first)).await;
        let step = lab.steps(&change, None).remove(0);
        let request = lab.request(&both, step).await;
        let faults = proxy.faults();
        proxy.set(Fault::CutAnswerAfter(cut));
        let heal = async {
            let until = Instant::now() + Duration::from_secs(5);
            while proxy.faults() == faults && Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            proxy.set(Fault::None);
        };
        let (ended, ()) = tokio::join!(lab.perform(&request), heal);
        match ended {
            Ok(_) => {
                assert_eq!(witness(&lab), "1|t|1", "{cut} bytes");
                kept += 1;
            }
            Err(failure) => {
                assert!(failure.retryable, "{cut} bytes: {failure:?}");
                assert_eq!(witness(&lab), "0|f|0", "{cut} bytes: {failure:?}");
                recovered(&lab, &request).await.unwrap_or_else(|it| panic!("{cut}: {it:?}"));
                lost += 1;
            }
        }
        lab.apply(Action::Update, &first, Some(&both)).await.expect("goes down");
    }
    assert!(lost > 0, "{lost} were cut before their commit, {kept} after");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_takes_nothing_half_with_it() {
    let mut guard = Server::start();
    for during in ["migrate", "backup", "verify"] {
        let name = guard.database();
        let (backed, request, both) = {
            let lab = Lab::on(&guard, &name);
            fill(&lab);
            lab.psql("ALTER TABLE orders RENAME TO kept; INSERT INTO kept (id) SELECT generate_series(5001, 90000)");
            let (both, migrate) = two_lists(&lab).await;
            let backed = taken(&lab).await;
            let request = match during {
                "migrate" => migrate,
                verb => {
                    let verb = if verb == "backup" { "run" } else { "verify" };
                    let step = run(&lab, &backed, verb).await.remove(0);
                    lab.request(&backed, step).await
                }
            };
            let folder = lab.folder.path().to_owned();
            let pid = std::fs::read_to_string(guard.data().join("postmaster.pid")).expect("reads");
            let pid = pid.lines().next().expect("a line").to_owned();
            let kill = async {
                tokio::time::sleep(Duration::from_millis(350)).await;
                std::process::Command::new("kill").args(["-KILL", &pid]).status().expect("kills");
            };
            let (ended, ()) = tokio::join!(lab.perform(&request), kill);
            if let Err(failure) = &ended {
                assert!(
                    failure.retryable || failure.remains != hive_contract::Remains::Nothing,
                    "{during}: {failure:?}"
                );
            }
            (lab.keep(backed, folder), request, both)
        };
        guard.kill();
        guard.restart();
        let lab = Lab::on(&guard, &name);
        let backed = lab.moved_in(backed);
        match during {
            "migrate" => {
                recovered(&lab, &request).await.expect("goes on");
                assert_eq!(witness(&lab), "1|t|1");
                assert!(lab.live(&both).await.is_some());
            }
            _ => {
                let outcome = match lab.resolve(&request).await.expect("is looked up") {
                    Resolution::Done(outcome) => Ok(outcome),
                    _ => lab.perform(&request).await,
                };
                outcome.unwrap_or_else(|it| panic!("{during}: {it:?}"));
                let all = backups(&lab.live(&backed).await.expect("is there"));
                assert!(all.iter().all(|it| it["ok"] == hive_contract::Value::Bool(true)));
                let left = guard.databases();
                let try_of = format!("{}_hive_try_", lab.database);
                assert!(!left.iter().any(|it| it.starts_with(&try_of)), "{left:?}");
            }
        }
    }
}

/// The children of this process that are one of PostgreSQL's programs, seen while they run.
fn children(name: &str) -> Vec<u32> {
    let me = std::process::id();
    let tasks = std::fs::read_dir(format!("/proc/{me}/task")).expect("reads").flatten();
    tasks
        .flat_map(|task| {
            let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            list.split_whitespace().filter_map(|it| it.parse::<u32>().ok()).collect::<Vec<_>>()
        })
        .filter(|pid| {
            let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<&str> = line.split('\0').collect();
            words[0].ends_with(name) && words.contains(&"--format=custom") && alive(*pid)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_is_killed_fails_the_step_and_leaves_nothing() {
    let server = Server::start();
    let lab = Lab::new(&server);
    fill(&lab);
    lab.psql("INSERT INTO orders (id, note) SELECT n, repeat('x', 200) FROM generate_series(5001, 200000) n");
    let backed = lab.lower(&declared("backup.main", crate::backups::backup(&lab)));
    lab.apply(Action::Create, &backed, None).await.expect("registers");
    for (verb, program) in [("run", "pg_dump"), ("verify", "pg_restore")] {
        let step = run(&lab, &backed, verb).await.remove(0);
        let request = lab.request(&backed, step).await;
        let killed = Arc::new(Mutex::new(0));
        let seen = Arc::clone(&killed);
        let kill = std::thread::spawn(move || {
            let until = Instant::now() + Duration::from_secs(30);
            while Instant::now() < until {
                let Some(pid) = children(program).first().copied() else { continue };
                let mut kill = std::process::Command::new("kill");
                let status = kill.args(["-KILL", &pid.to_string()]).status();
                let status = status.expect("kill starts");
                *seen.lock().expect("is not poisoned") += u32::from(status.success());
                return;
            }
        });
        let failure = lab.perform(&request).await.expect_err("its child was killed");
        kill.join().expect("ends");
        assert_eq!(*killed.lock().expect("is not poisoned"), 1, "{program} was seen: {failure:?}");
        assert!(failure.message.contains(program), "{failure}");
        assert!(failure.retryable, "{failure:?}");
        let left = server.databases();
        let try_of = format!("{}_hive_try_", lab.database);
        assert!(!left.iter().any(|it| it.starts_with(&try_of)), "{left:?}");
        let live = lab.live(&backed).await.expect("is there");
        let count = if verb == "run" { 0 } else { 1 };
        assert_eq!(backups(&live).len(), count, "nothing half is listed");
        let again = lab.request_on_token(&request);
        lab.perform(&again).await.expect("works the next time");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_concurrent_index_whose_end_nobody_saw_is_looked_at() {
    let lab = Lab::new(Server::shared());
    let first = lab.lower(&migrations(&lab.of(), &FILES[..2], &[]));
    lab.apply(Action::Create, &first, None).await.expect("applies");
    lab.psql("INSERT INTO orders SELECT n, 'n' || n FROM generate_series(1, 20000) n");
    let index = [
        FILES[0],
        FILES[1],
        (
            "0002_index.up.sql",
            "-- hive: no-transaction\nCREATE INDEX CONCURRENTLY by_note ON orders (note);\n\
             CREATE INDEX CONCURRENTLY by_both ON orders (id, note);",
        ),
        (
            "0002_index.down.sql",
            "-- hive: no-transaction\nDROP INDEX CONCURRENTLY IF EXISTS by_note;\nDROP INDEX CONCURRENTLY IF EXISTS by_both;",
        ),
    ];
    let next = lab.lower(&migrations(&lab.of(), &index, &[]));
    // Somebody's old snapshot keeps the build from ending.
    let mut command = lab.server.psql_command(&lab.database);
    command.args([
        "-c",
        "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM orders LIMIT 1; SELECT pg_sleep(100)",
    ]);
    let mut holder = command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("starts");
    let held = "SELECT count(*) FROM pg_locks WHERE relation = 'orders'::regclass AND granted";
    while lab.psql(held) == "0" {}
    let change = lab.change(Action::Update, Some(&next), Some(&first)).await;
    let step = lab.steps(&change, None).remove(0);
    let request = lab.request(&next, step).await;
    let cut = tokio::time::timeout(Duration::from_millis(900), lab.perform(&request)).await;
    assert!(cut.is_err(), "it waits: {cut:?}");
    assert_eq!(lab.psql("SELECT count(*) FROM pg_index WHERE NOT indisvalid"), "1");
    lab.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(100)%' AND pid <> pg_backend_pid()");
    holder.wait().expect("ends");
    let Resolution::Partly { facts } = lab.resolve(&request).await.expect("is looked up") else {
        panic!("it is half");
    };
    assert!(facts.contains("the end of statement 1 was not seen"), "{facts}");
    lab.perform(&request).await.expect("goes on");
    assert_eq!(lab.psql("SELECT count(*), bool_and(indisvalid) FROM pg_index WHERE indrelid = 'orders'::regclass"), "3|t");
    assert_eq!(lab.psql("SELECT applied, total FROM hive.migrations WHERE number = 2"), "2|2");
}
