//! What stands in the way: locks, damage, a full disk, a file that may not be written, death.

use super::world::World;
use crate::conforms::{ONE, TWO};
use hive_contract::provider::{Context, Unguarded};
use hive_contract::{Action, Change, FailureKind, Perform, Provider, Resolution, Secrets};
use rusqlite::Connection;
use std::future::poll_fn;
use std::sync::atomic::AtomicBool;
use std::task::Poll;

fn two() -> Vec<(&'static str, &'static str)> {
    ONE.into_iter().chain(TWO).collect()
}

async fn ready(world: &World) -> (Change, Perform) {
    let first = world.migrated(&ONE.to_vec()).await;
    world.sql("INSERT INTO orders VALUES (1, 10), (2, 20)");
    let second = world.list(&two(), "down");
    let change = world.change(Action::Update, Some(&second), Some(&first)).await;
    let request = first_of(world, &change);
    (change, request)
}

fn first_of(world: &World, change: &Change) -> Perform {
    let steps = world.sqlite.steps(change, None);
    let live = change.observed.as_ref().map(|live| &live.fields);
    world.request(change, steps[0].clone(), live, &super::world::managed(change))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_holds_the_lock_is_named() {
    let world = World::new();
    let (_, request) = ready(&world).await;
    let before = world.picture();
    let script = format!(
        "import sqlite3,sys,time\nc=sqlite3.connect({:?},isolation_level=None)\n\
         c.execute('BEGIN IMMEDIATE')\nprint('held',flush=True)\nsys.stdin.read()",
        world.path().display().to_string()
    );
    let child = std::process::Command::new("python3")
        .args(["-c", &script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        // Without another program to hold it, this process does.
        let other = world.open();
        other.execute_batch("BEGIN IMMEDIATE").expect("locks");
        let failure = world.perform(&request).await.expect_err("is locked");
        assert!(failure.message.contains("this hive holds its lock"), "{failure:?}");
        return;
    };
    let mut held = [0; 4];
    let out = child.stdout.as_mut().expect("stdout");
    std::io::Read::read_exact(out, &mut held).expect("says that it holds it");
    let failure = world.perform(&request).await.expect_err("is locked");
    assert_eq!((failure.kind, failure.retryable), (FailureKind::Taken, true));
    let named = format!("(process {}) holds its lock", child.id());
    assert!(failure.message.contains(&named), "{failure:?}");
    drop(child.stdin.take());
    child.wait().expect("ends");
    assert_eq!(world.picture(), before);
    world.perform(&request).await.expect("works when it is let go");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_never_nothing() {
    let world = World::new();
    let (_, request) = ready(&world).await;
    let list = world.list(&two(), "down");
    std::fs::write(world.path(), [7; 4096]).expect("writes");
    let failure = world.look(&list).await.expect_err("is no database");
    assert_eq!(failure.kind, FailureKind::Malformed);
    assert!(failure.message.contains("is no SQLite database"), "{failure:?}");
    assert_eq!(world.perform(&request).await.expect_err("refuses").kind, FailureKind::Malformed);
    std::fs::remove_file(world.path()).expect("removes");
    std::fs::create_dir(world.path()).expect("makes");
    let failure = world.look(&list).await.expect_err("is a folder");
    assert_eq!(failure.kind, FailureKind::Malformed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_file_is_named_and_left() {
    let world = World::new();
    let (_, request) = ready(&world).await;
    world.sql(
        "WITH RECURSIVE n(i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO orders SELECT i, i FROM n",
    );
    let bytes = std::fs::read(world.path()).expect("reads");
    let mut torn = bytes.clone();
    torn[8192..12288].fill(0xff);
    std::fs::write(world.path(), &torn).expect("writes");
    let mut request = request;
    request.operation.payload.insert(
        "files".to_owned(),
        crate::conforms::files(&[(
            "0002_status.up.sql",
            "-- hive: irreversible = \"t\"\nUPDATE orders SET total = total + 1;",
        )]),
    );
    let failure = world.perform(&request).await.expect_err("is damaged");
    assert_eq!(failure.kind, FailureKind::Malformed, "{failure:?}");
    assert_eq!(std::fs::read(world.path()).expect("reads"), torn, "not one byte was changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_to_be_made_is_missed() {
    let world = World::new();
    let mut fields = crate::conforms::database();
    fields.remove("create");
    let lowered = world.lower("database", fields);
    let failure = world.look(&lowered).await.expect_err("is missing");
    assert!(failure.message.contains("there is no database `data/shop.db`"), "{failure:?}");
    assert!(failure.diagnosis[0].contains("create = true"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_changes_nothing() {
    let world = World::new();
    let (_, mut request) = ready(&world).await;
    let before = world.picture();
    let pages = world.number("PRAGMA page_count");
    // SQLite answers the same as for a disk without room: the file may not grow.
    let fill = format!(
        "-- hive: irreversible = \"t\"\nPRAGMA max_page_count = {pages};\n\
         CREATE TABLE big (x); INSERT INTO big SELECT zeroblob(1000000);"
    );
    request
        .operation
        .payload
        .insert("files".to_owned(), crate::conforms::files(&[("0002_big.up.sql", &fill)]));
    let failure = world.perform(&request).await.expect_err("is full");
    assert_eq!((failure.kind, failure.retryable), (FailureKind::Unavailable, true), "{failure:?}");
    assert!(failure.message.contains("the disk is full"), "{failure:?}");
    assert_eq!(world.picture(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_and_a_stop_end_a_long_statement() {
    let world = World::new();
    let (_, mut request) = ready(&world).await;
    let before = world.picture();
    let long = "-- hive: irreversible = \"t\"\n\
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)\n\
                INSERT INTO orders SELECT i + 10, i FROM n LIMIT 500000000;";
    request
        .operation
        .payload
        .insert("files".to_owned(), crate::conforms::files(&[("0002_long.up.sql", long)]));
    request.operation.deadline_ms = 400;
    let failure = world.perform(&request).await.expect_err("takes too long");
    assert_eq!(failure.kind, FailureKind::TimedOut, "{failure:?}");
    assert_eq!(world.picture(), before);
    request.operation.deadline_ms = 600_000;
    let (secrets, cancel) = (Secrets::default(), AtomicBool::new(false));
    let events = |_| {};
    let context =
        Context { secrets: &secrets, guard: &Unguarded, events: &events, cancel: &cancel };
    let performed = world.sqlite.perform(&request, &context);
    let stop = async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        cancel.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (performed, ()) = tokio::join!(performed, stop);
    assert_eq!(performed.expect_err("is stopped").kind, FailureKind::Cancelled);
    assert_eq!(world.picture(), before);
}

/// Drops a step after each number of polls, as a death would, and lets a restarted hive settle it.
/// The witness looks with SQLite alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_anywhere_a_file_is_there_once_or_not_at_all() {
    let mut cut = 0;
    for polls in 0..12 {
        for verb in ["migrate", "down", "no-transaction"] {
            let mut world = World::new();
            let request = prepared(&world, verb).await;
            let ended = cut_off(&world, &request, polls).await;
            cut += usize::from(!ended);
            world.anew();
            match world.resolve(&request).await {
                Resolution::Done(_) => {}
                Resolution::Partly { .. } => {
                    world.perform(&request).await.expect("the same token completes it");
                }
                Resolution::NotStarted { sealed } => {
                    assert!(sealed);
                    assert!(world.perform(&request).await.is_err(), "a late call has no effect");
                    let next = Perform { token: world.token(), ..request.clone() };
                    world.perform(&next).await.expect("another token does it");
                }
                other => panic!("{verb} cut after {polls}: {other:?}"),
            }
            let columns = world.number("SELECT count(*) FROM pragma_table_info('orders')");
            let rows = world.number("SELECT count(*) FROM hive_migrations WHERE finished_ms > 0");
            let expected = if verb == "down" { (2, 1) } else { (3, 2) };
            assert_eq!((columns, rows), expected, "{verb} cut after {polls}");
            assert_eq!(world.number("SELECT sum(total) FROM orders"), 30);
            let check: String = world
                .open()
                .query_row("PRAGMA integrity_check", [], |row| row.get(0))
                .expect("checks");
            assert_eq!(check, "ok");
        }
    }
    assert!(cut > 10, "only {cut} were cut");
}

async fn prepared(world: &World, verb: &str) -> Perform {
    match verb {
        "migrate" => ready(world).await.1,
        "down" => {
            let (change, _) = ready(world).await;
            world.apply(&change, None).await.well();
            let older = world.list(&ONE.to_vec(), "down");
            let newer = world.list(&two(), "down");
            let change = world.change(Action::Update, Some(&older), Some(&newer)).await;
            first_of(world, &change)
        }
        _ => {
            let first = world.migrated(&ONE.to_vec()).await;
            world.sql("INSERT INTO orders VALUES (1, 10), (2, 20)");
            let sql = "-- hive: no-transaction\nALTER TABLE orders ADD COLUMN status TEXT;\n\
                       CREATE INDEX by_status ON orders (status);\nCREATE TABLE x (a);";
            let down = "DROP TABLE x; DROP INDEX by_status; ALTER TABLE orders DROP status;";
            let files: Vec<_> = ONE
                .into_iter()
                .chain([("0002_s.up.sql", sql), ("0002_s.down.sql", down)])
                .collect();
            let second = world.list(&files, "down");
            let change = world.change(Action::Update, Some(&second), Some(&first)).await;
            first_of(world, &change)
        }
    }
}

/// Whether it ended before it was dropped.
pub(super) async fn cut_off(world: &World, request: &Perform, polls: u32) -> bool {
    let (secrets, cancel) = (Secrets::default(), AtomicBool::new(false));
    let events = |_| {};
    let context =
        Context { secrets: &secrets, guard: &Unguarded, events: &events, cancel: &cancel };
    let mut task = world.sqlite.perform(request, &context);
    let mut polled = 0;
    poll_fn(|waker| {
        if polled == polls {
            return Poll::Ready(false);
        }
        polled += 1;
        match task.as_mut().poll(waker) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if polled == polls => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A writer that was killed leaves a journal; whoever looks next rolls it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_writer_left_is_rolled_back() {
    let world = World::new();
    let list = world.migrated(&ONE.to_vec()).await;
    world.sql("INSERT INTO orders VALUES (1, 10), (2, 20)");
    let before = world.picture();
    let (kept, journal) = (world.folder.path().join("kept"), world.folder.path().join("journal"));
    {
        let writer = Connection::open(world.path()).expect("opens");
        writer
            .execute_batch("PRAGMA cache_size = 1; BEGIN; UPDATE orders SET total = 99;")
            .expect("writes");
        writer.execute_batch("CREATE TABLE fill (x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000) INSERT INTO fill SELECT i FROM n;").expect("spills");
        std::fs::copy(world.path(), &kept).expect("copies");
        std::fs::copy(world.path().with_file_name("shop.db-journal"), &journal).expect("copies");
    }
    std::fs::rename(kept, world.path()).expect("moves");
    std::fs::rename(journal, world.path().with_file_name("shop.db-journal")).expect("moves");
    let live = world.live(&list).await;
    assert!(live.status.ready, "{live:?}");
    assert_eq!(world.picture(), before);
}
