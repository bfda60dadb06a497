//! Real deaths: a process of its own performs one step and is killed with SIGKILL, after a time that
//! differs from round to round. A restarted hive settles it; SQLite alone says what is there.

use super::world::World;
use crate::Sqlite;
use crate::conforms::{ONE, TWO};
use hive_contract::provider::{Context, Unguarded};
use hive_contract::{
    Action, Change, Failure, FailureKind, Fields, Operation, Perform, Provider, Resolution,
    Secrets, Undo,
};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

const ROWS: i64 = 60_000;

fn two() -> Vec<(&'static str, &'static str)> {
    ONE.into_iter().chain(TWO).collect()
}

/// The process that is killed: told by its standard input where and what.
#[test]
#[ignore = "run by the tests of this file, as the process that they kill"]
fn victim() {
    let mut told = String::new();
    std::io::stdin().read_to_string(&mut told).expect("is told");
    if told.is_empty() {
        return;
    }
    let (folder, request): (PathBuf, Perform) = serde_json::from_str(&told).expect("understands");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runs");
    let sqlite = Sqlite::connect(&folder, &Fields::new()).expect("connects");
    let (secrets, cancel) = (Secrets::default(), AtomicBool::new(false));
    let events = |_| {};
    let context =
        Context { secrets: &secrets, guard: &Unguarded, events: &events, cancel: &cancel };
    runtime.block_on(sqlite.perform(&request, &context)).expect("performs");
}

/// Performs a step in a process of its own, killed after a while. Says whether it was killed.
fn killed(world: &World, request: &Perform, after: Option<Duration>) -> bool {
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new(program)
        .args(["tests::deaths::victim", "--exact", "--ignored", "--quiet"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let told = serde_json::to_string(&(world.folder.path(), request)).expect("says");
    child.stdin.take().expect("stdin").write_all(told.as_bytes()).expect("tells");
    if let Some(after) = after {
        std::thread::park_timeout(after);
        child.kill().expect("kills");
    }
    let status = child.wait().expect("ends");
    assert!(after.is_some() || status.success(), "it ends well where it is let");
    !status.success()
}

/// What a restarted hive makes of it: the step is done in the end.
async fn settle(world: &mut World, request: &Perform) -> &'static str {
    world.anew();
    match world.resolve(request).await {
        Resolution::Done(_) => "done",
        Resolution::Partly { .. } => {
            world.perform(request).await.expect("completes");
            "partly"
        }
        Resolution::NotStarted { .. } => {
            let next = Perform { token: world.token(), ..request.clone() };
            world.perform(&next).await.unwrap_or_else(|failure| panic!("{failure:?}"));
            "not started"
        }
        other => panic!("{other:?}"),
    }
}

/// A database with many rows, its backup, and the two contents that it may have.
struct Scene {
    world: World,
    old: String,
    new: String,
    change: Change,
}

async fn scene(rows: i64) -> Scene {
    let world = World::new();
    world.migrated(&two()).await;
    let rows = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
         INSERT INTO orders SELECT i, i * 7, 'status ' || i FROM n"
    );
    world.sql(&rows);
    let new = sums(&world);
    let id = world.backed_up().await;
    world.sql("UPDATE orders SET total = total + 1; DELETE FROM orders WHERE id % 3 = 0");
    let old = sums(&world);
    let change = world.restore(&id, &two()).await;
    Scene { world, old, new, change }
}

/// A sum over every value, by SQLite alone; and whether the file is whole.
fn sums(world: &World) -> String {
    let connection = world.open();
    let text = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0));
    let check = text("PRAGMA integrity_check").expect("checks");
    let sums = text(
        "SELECT count(*) || ' ' || sum(id) || ' ' || sum(id * total) || ' ' || \
         sum(length(status) * id) FROM orders",
    );
    format!("{check} {}", sums.expect("sums"))
}

fn request(scene: &Scene, operation: Operation) -> Perform {
    let live = scene.change.observed.as_ref().map(|live| &live.fields);
    let managed = super::world::managed(&scene.change);
    scene.world.request(&scene.change, operation, live, &managed)
}

/// The operations of the restore: safety, restore, swap; and the undo of the swap.
fn operations(scene: &Scene) -> [Operation; 4] {
    let [safety, restore, swap] =
        scene.world.sqlite.steps(&scene.change, None).try_into().expect("three");
    let Undo::By(back) = swap.undo.clone() else { panic!("no way back") };
    [safety, restore, swap, *back]
}

/// Kills `step` (0 safety, 1 restore, 2 swap, 3 put back) after each of several spans of time.
async fn killed_restores(step: usize, rounds: u32) -> Vec<&'static str> {
    let mut ways = Vec::new();
    let whole = {
        let scene = scene(ROWS).await;
        let operations = operations(&scene);
        for operation in &operations[..step] {
            let request = request(&scene, operation.clone());
            scene.world.perform(&request).await.expect("performs");
        }
        let request = request(&scene, operations[step].clone());
        let begun = Instant::now();
        killed(&scene.world, &request, None);
        begun.elapsed()
    };
    for round in 0..rounds {
        let mut scene = scene(ROWS).await;
        let operations = operations(&scene);
        for operation in &operations[..step] {
            let request = request(&scene, operation.clone());
            scene.world.perform(&request).await.expect("performs");
        }
        let request = request(&scene, operations[step].clone());
        if !killed(&scene.world, &request, Some(whole * (round + 1) / (rounds + 1))) {
            ways.push("ended");
            continue;
        }
        let found = sums(&scene.world);
        assert!(found == scene.old || found == scene.new, "between old and new: {found}");
        if step < 2 {
            assert_eq!(found, scene.old, "nothing but a swap touches the live file");
        }
        ways.push(settle(&mut scene.world, &request).await);
        let expected = if step == 2 { &scene.new } else { &scene.old };
        assert_eq!(&sums(&scene.world), expected);
    }
    ways
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_restore_leaves_the_live_file() {
    assert_eq!(killed_restores(1, 4).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_swap_is_old_or_new() {
    assert_eq!(killed_restores(2, 8).await.len(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_undo_of_a_swap_is_old_or_new() {
    assert_eq!(killed_restores(3, 4).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_migration_is_there_once_or_not_at_all() {
    let rounds = 6;
    let mut whole = Duration::ZERO;
    for round in 0..=rounds {
        let mut world = World::new();
        let first = world.migrated(&ONE.to_vec()).await;
        let rows = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
             INSERT INTO orders SELECT i, 0 FROM n"
        );
        world.sql(&rows);
        let up = "ALTER TABLE orders ADD COLUMN status TEXT; UPDATE orders SET total = total + 1, status = 'x';";
        let files: Vec<_> = ONE.into_iter().chain([("0002_s.up.sql", up), TWO[1]]).collect();
        let files: Vec<_> = files
            .into_iter()
            .map(|(name, text)| (if name == TWO[1].0 { "0002_s.down.sql" } else { name }, text))
            .collect();
        let second = world.list(&files, "down");
        let change = world.change(Action::Update, Some(&second), Some(&first)).await;
        let step = world.sqlite.steps(&change, None).remove(0);
        let live = change.observed.as_ref().map(|live| &live.fields);
        let request = world.request(&change, step, live, &super::world::managed(&change));
        let begun = Instant::now();
        killed(&world, &request, (round > 0).then(|| whole * round / (rounds + 1)));
        if round == 0 {
            whole = begun.elapsed();
        }
        let total = world.number("SELECT sum(total) FROM orders");
        assert!(total == 0 || total == ROWS, "between: {total}");
        settle(&mut world, &request).await;
        assert_eq!(world.number("SELECT sum(total) FROM orders"), ROWS, "once");
        assert_eq!(world.number("SELECT count(*) FROM hive_migrations"), 2);
    }
}

/// How a step is made to fail.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fails {
    /// The backup's data is cut short.
    Torn,
    /// One bit of it is another.
    Flipped,
    /// It is gone.
    Gone,
    /// Somebody holds the live file's lock.
    Locked,
    /// What lies beside is gone.
    Beside,
}

/// At which step (1 restore, 2 swap) something stands in the way there, and what.
const THERE: [(usize, Fails); 5] = [
    (1, Fails::Torn),
    (1, Fails::Flipped),
    (1, Fails::Gone),
    (2, Fails::Locked),
    (2, Fails::Beside),
];
/// What stands in the way back.
const BACK: [Fails; 4] = [Fails::Torn, Fails::Flipped, Fails::Gone, Fails::Locked];

/// Every failure of the way there, with every failure of the way back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pair_of_failures_ends_in_old_or_new() {
    let scene = scene(2_000).await;
    for (at, there) in THERE {
        for back in BACK {
            pair(&scene, at, there, back).await;
        }
    }
}

/// Fails at a step, then goes back and fails there as well. Ends with the live file as it was.
async fn pair(scene: &Scene, at: usize, there: Fails, back: Fails) {
    let operations = operations(scene);
    let safety = request(scene, operations[0].clone());
    scene.world.perform(&safety).await.expect("copies");
    let source = scene.change.run.as_ref().and_then(|run| run["id"].as_text()).expect("id");
    let mut failed = false;
    for (number, operation) in operations[1..3].iter().enumerate() {
        let request = request(scene, operation.clone());
        let harm = (number + 1 == at).then(|| Harm::done(scene, there, source));
        let ended = limited(scene, request).await;
        drop(harm);
        one_of(scene);
        if ended.is_err() {
            failed = true;
            break;
        }
    }
    assert!(failed, "{there:?} at step {at} stands in no way");
    assert_eq!(sums(&scene.world), scene.old, "{there:?} at step {at}");
    let copy = newest_copy(scene);
    let undo = request(scene, operations[3].clone());
    let harm = Harm::done(scene, back, &copy);
    let ended = limited(scene, undo).await;
    drop(harm);
    assert!(ended.is_err(), "{back:?} stands in no way");
    one_of(scene);
    // The way back works when nothing stands in it.
    let undo = request(scene, operations[3].clone());
    scene.world.perform(&undo).await.expect("goes back");
    assert_eq!(sums(&scene.world), scene.old, "{there:?}, then {back:?}");
}

fn one_of(scene: &Scene) {
    let found = sums(&scene.world);
    assert!(found == scene.old || found == scene.new, "between old and new: {found}");
}

async fn limited(scene: &Scene, mut request: Perform) -> Result<(), Failure> {
    request.operation.deadline_ms = 500;
    let ended = scene.world.perform(&request).await;
    let failure = ended.as_ref().err().map(|failure| failure.kind);
    let known = [
        FailureKind::Malformed,
        FailureKind::Moved,
        FailureKind::Taken,
        FailureKind::TimedOut,
        FailureKind::Unhealthy,
        FailureKind::Unavailable,
        FailureKind::Invalid,
    ];
    assert!(failure.is_none_or(|kind| known.contains(&kind)), "{failure:?}");
    ended.map(|_| ())
}

/// The newest safety copy.
fn newest_copy(scene: &Scene) -> String {
    let folder = scene.world.folder.path().join("backups/main");
    let mut copies: Vec<(std::time::SystemTime, String)> = Vec::new();
    for entry in std::fs::read_dir(folder).expect("reads").map(|it| it.expect("entry")) {
        let manifest = entry.path().join("manifest.json");
        let Ok(text) = std::fs::read_to_string(&manifest) else { continue };
        if text.contains("\"safety\"") {
            let at = manifest.metadata().and_then(|it| it.modified()).expect("time");
            copies.push((at, entry.file_name().to_string_lossy().into_owned()));
        }
    }
    copies.sort();
    copies.pop().expect("a safety copy").1
}

/// Harm that is taken back when it is dropped.
struct Harm {
    restored: Option<(PathBuf, Vec<u8>)>,
    _lock: Option<rusqlite::Connection>,
}

impl Harm {
    fn done(scene: &Scene, how: Fails, backup: &str) -> Self {
        let folder = scene.world.folder.path().join("backups/main").join(backup);
        let entries = std::fs::read_dir(folder).expect("reads").map(|it| it.expect("entry").path());
        let is_data = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("data"))
        };
        let data = entries.into_iter().find(is_data).expect("the data of the backup");
        let bytes = std::fs::read(&data).expect("reads");
        let mut lock = None;
        match how {
            Fails::Torn => std::fs::write(&data, &bytes[..bytes.len() / 2]).expect("writes"),
            Fails::Flipped => {
                let mut flipped = bytes.clone();
                let middle = flipped.len() / 2;
                flipped[middle] ^= 1;
                std::fs::write(&data, flipped).expect("writes");
            }
            Fails::Gone => std::fs::remove_file(&data).expect("removes"),
            Fails::Locked => {
                let other = scene.world.open();
                other.execute_batch("BEGIN IMMEDIATE").expect("locks");
                lock = Some(other);
            }
            Fails::Beside => {
                let desk = scene.world.path().with_file_name(".shop.db.hive");
                for entry in std::fs::read_dir(desk).into_iter().flatten().flatten() {
                    let _ = std::fs::remove_file(entry.path());
                }
            }
        }
        Self { restored: Some((data, bytes)), _lock: lock }
    }
}

impl Drop for Harm {
    fn drop(&mut self) {
        if let Some((data, bytes)) = self.restored.take() {
            std::fs::write(data, bytes).expect("writes again");
        }
    }
}
