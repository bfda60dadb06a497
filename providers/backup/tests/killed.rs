//! A process that is killed while it publishes: what is listed is whole, and what is left is garbage
//! that is collected.

use hive_backup::{Contents, Order, Repository, Settings};
use hive_contract::provider::Unguarded;
use hive_contract::{Fields, Mark, StackMark, Token, Value};
use hive_sql::manifest::{Kind, Manifest};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Where the child, this same program, publishes to.
const CHILD: &str = "HIVE_BACKUP_CHILD";

/// How many deaths, spread over the time that a whole run takes.
const ROUNDS: u32 = 24;

fn open(root: &Path) -> Repository {
    let fields = Fields::from([("destination".to_owned(), Value::from("backups"))]);
    let settings = Settings::read(&fields).expect("reads");
    let connect = async { settings.connect(root, &Default::default()).await };
    runtime().block_on(connect).expect("connects")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("starts")
}

fn publish(root: &Path, token: &str) -> Manifest {
    let owner = StackMark {
        store: "s1".to_owned(),
        stack: "shop".to_owned(),
        environment: "dev".to_owned(),
    };
    let mark = Mark { owner, address: "backup.main".parse().expect("address") };
    let token = Token::from_text(token);
    let order = Order::new(&mark, &token, Kind::Run, &Unguarded);
    let dump = |mut sink: hive_backup::Sink| async move {
        let filled = tokio::task::spawn_blocking(move || {
            let piece: Vec<u8> = (0..1 << 20).map(|at: u32| (at / 3 * 7) as u8).collect();
            (0..24).try_for_each(|_| sink.write_all(&piece)).and_then(|()| sink.end_blocking())
        });
        filled.await.expect("ends").expect("writes");
        Ok(Contents::default())
    };
    let repository = open(root);
    runtime().block_on(repository.publish(&order, dump)).expect("publishes")
}

#[expect(clippy::disallowed_methods, reason = "the child is told where it publishes to")]
fn child() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// Says when it begins, so that it is killed at a time that means something.
#[test]
fn the_child_publishes() {
    let Some(root) = child() else { return };
    fs::write(root.join("begun"), "").expect("writes");
    publish(&root, "t1");
}

/// How long a whole run takes from its begin, so that the deaths are spread over it.
fn whole_run() -> Duration {
    let folder = tempfile::tempdir().expect("folder");
    let begun = Instant::now();
    publish(folder.path(), "t1");
    begun.elapsed()
}

#[test]
fn killed_anywhere_there_is_a_whole_backup_or_none() {
    if child().is_some() {
        return;
    }
    let whole = whole_run();
    let (mut none, mut done) = (0, 0);
    for round in 0..ROUNDS {
        let folder = tempfile::tempdir().expect("folder");
        let mut process = Command::new(std::env::current_exe().expect("has a path"))
            .args(["--exact", "the_child_publishes"])
            .env(CHILD, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("starts");
        while !folder.path().join("begun").exists() {
            std::thread::yield_now();
        }
        let wait = whole * round / ROUNDS;
        let begun = Instant::now();
        while begun.elapsed() < wait {
            std::thread::yield_now();
        }
        // The last one is let live.
        if round < ROUNDS - 1 {
            process.kill().expect("kills");
        }
        process.wait().expect("is waited for");
        match judge(folder.path()) {
            true => done += 1,
            false => none += 1,
        }
    }
    assert!(none > 3 && done > 0, "{none} died before their end, {done} behind it");
}

/// Whether the backup is there; whatever is, is whole, and the same token completes it once.
fn judge(root: &Path) -> bool {
    let repository = open(root);
    let runtime = runtime();
    let listing = runtime.block_on(repository.list(None)).expect("lists");
    assert!(listing.damaged.is_empty() && listing.backups.len() <= 1);
    let there = !listing.backups.is_empty();
    for held in &listing.backups {
        assert!(held.wrong.is_empty(), "{:?}", held.wrong);
        runtime.block_on(repository.check(&held.manifest)).expect("is whole");
    }
    let manifest = publish(root, "t1");
    let listing = runtime.block_on(repository.list(None)).expect("lists");
    assert_eq!(listing.backups.len(), 1, "one token, one backup");
    assert!(!there || listing.backups[0].manifest == manifest);
    runtime.block_on(repository.check(&manifest)).expect("is whole");
    there
}
