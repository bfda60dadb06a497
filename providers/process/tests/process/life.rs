//! Services that live and change as they should.

use crate::world::{CANARY, SUBJECT, World, kill, map, table, with};
use hive_contract::{
    Action, Ask, FailureKind, Fingerprint, Provider, Remains, Resolution, SecretRef, StackMark,
    Value,
};
use hive_process::logs::{Rotation, Tail, paths};
use hive_process::{Process, program};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[tokio::test]
async fn a_service_is_started_with_what_it_is_told_and_hive_may_go() {
    let world = World::new();
    let declared = with(
        world.declared(&["serve"], "a", 2),
        "files",
        map([("/etc/api.toml", "x = 1\n".into())]),
    );
    let desired = world.create(&declared).await.expect("starts");
    let services = world.services();
    assert_eq!(world.versions(), ["0 a", "1 a"]);
    let live = world.live().await.expect("is there");
    assert_eq!(live.fields, desired.fields);
    assert!(live.status.ready, "{:?}", live.status);
    assert_eq!(live.status.summary, "2 of 2 running");
    let port = live.outputs["port"].as_int().expect("a port");
    assert_eq!(live.outputs["url"], Value::from(format!("http://127.0.0.1:{port}")));

    let environment = fs::read(format!("/proc/{}/environ", services[0].pid)).expect("reads");
    let environment = String::from_utf8_lossy(&environment);
    let word = |key: &str| {
        let found = environment.split('\0').find_map(|it| it.strip_prefix(&format!("{key}=")));
        found.unwrap_or_else(|| panic!("no {key}")).to_owned()
    };
    assert_eq!(word("PORT"), port.to_string());
    assert_eq!(word("HIVE_PORT_HTTP"), port.to_string());
    let file = Path::new(&word("HIVE_FILES")).join("etc/api.toml");
    assert_eq!(fs::read_to_string(&file).expect("reads"), "x = 1\n");
    assert_eq!(file.metadata().expect("is there").permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(world.path(".hive-run/.gitignore")).is_ok());

    // Neither a parent nor a terminal ties it to hive.
    let me = i32::try_from(std::process::id()).expect("small");
    // Read, not asked for: the session of these tests may be led from outside of what they see.
    let stat = |pid: String| -> Vec<i64> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("reads");
        let after = stat.rsplit_once(')').expect("a name").1;
        after.split_ascii_whitespace().skip(1).filter_map(|it| it.parse().ok()).collect()
    };
    let mine = stat("self".to_owned())[2];
    for process in world.all() {
        let fields = stat(process.pid.to_string());
        let (parent, session, terminal) = (fields[0], fields[2], fields[3]);
        assert_ne!(parent, i64::from(me));
        assert_ne!(session, mine);
        assert_eq!(terminal, 0);
    }

    world.delete(&desired).await.expect("stops");
    assert_eq!(world.live().await, None);
    assert!(world.all().is_empty(), "{:?}", world.all());
    assert!(!world.path(".hive-run/dev").exists());
}

#[tokio::test]
async fn only_what_differs_is_touched() {
    let world = World::new();
    let first = world.create(&world.declared(&["idle"], "a", 2)).await.expect("starts");
    let before = world.services();

    let declared = with(world.declared(&["idle"], "a", 3), "rollout.timeout", 60_000.into());
    let more = world.update(&declared, &first).await.expect("scales");
    assert_eq!(world.services()[..2], before[..]);
    assert_eq!(world.versions(), ["0 a", "1 a", "2 a"]);
    assert_eq!(world.live().await.expect("is there").fields, more.fields);

    let fewer = world.update(&world.declared(&["idle"], "a", 1), &more).await.expect("scales");
    assert_eq!(world.services(), before[..1]);
    assert_eq!(world.live().await.expect("is there").fields, fewer.fields);

    let second = world.update(&world.declared(&["idle"], "b", 1), &fewer).await.expect("rolls");
    assert_eq!(world.versions(), ["0 b"]);
    assert_eq!(world.starts(), 4);
    assert_eq!(world.live().await.expect("is there").fields, second.fields);

    let none = world.update(&world.declared(&["idle"], "b", 0), &second).await.expect("scales");
    assert!(world.all().is_empty());
    let live = world.live().await.expect("is recorded");
    assert_eq!(live.fields, none.fields);
    assert!(!live.status.ready, "{:?}", live.status);
    assert!(world.path(".hive-run/dev/service.api/0/log").exists(), "what it said before stays");
}

#[tokio::test]
async fn ports_stay_and_a_replica_with_one_is_ended_first() {
    let world = World::new();
    let first = world.create(&world.declared(&["serve"], "a", 1)).await.expect("starts");
    let before = world.live().await.expect("is there");
    world.update(&world.declared(&["serve"], "b", 1), &first).await.expect("rolls");
    let after = world.live().await.expect("is there");
    assert_eq!(before.outputs, after.outputs);
    assert_eq!(world.versions(), ["0 b"]);
}

#[tokio::test]
async fn a_restart_is_a_rollout_without_a_change() {
    let world = World::new();
    let first = world.create(&world.declared(&["idle"], "a", 2)).await.expect("starts");
    let before = world.services();
    let restart = world.change(Action::Run, Some(&first), Some(&first)).await;
    world.perform(&restart).await.expect("restarts");
    let after = world.services();
    assert_eq!(world.versions(), ["0 a", "1 a"]);
    assert!(before.iter().all(|old| after.iter().all(|new| new.pid != old.pid)));
    // The same token again is no second effect.
    world.perform(&restart).await.expect("is done");
    assert_eq!(world.services(), after);
    assert_eq!(world.starts(), 4);
}

#[tokio::test]
async fn a_new_value_of_a_secret_restarts_and_the_same_one_does_not() {
    let world = World::new();
    let secret = Value::Secret(SecretRef::env("SECRET"));
    let declared = with(world.declared(&["idle"], "a", 1), "environment.SECRET", secret);
    let first = world.create(&declared).await.expect("starts");
    let before = world.services();
    let environment = fs::read(format!("/proc/{}/environ", before[0].pid)).expect("reads");
    assert!(String::from_utf8_lossy(&environment).contains(&format!("SECRET={CANARY}")));

    let update = world.change(Action::Update, Some(&first), Some(&first)).await;
    world.perform(&update).await.expect("looks");
    assert_eq!(world.services(), before);

    let update = world.change(Action::Update, Some(&first), Some(&first)).await;
    world.perform_with(&update, "another value").await.expect("rolls");
    let environment =
        fs::read(format!("/proc/{}/environ", world.services()[0].pid)).expect("reads");
    assert!(String::from_utf8_lossy(&environment).contains("SECRET=another value"));
}

#[tokio::test]
async fn a_changed_program_is_rolled_out_and_its_old_content_comes_back() {
    let world = World::new();
    let first = world.create(&world.declared(&["idle"], "a", 1)).await.expect("starts");
    // Overwritten in place while it runs, as `cp` does.
    let mut changed = fs::read(SUBJECT).expect("reads");
    changed.extend_from_slice(b"changed");
    fs::write(world.path("subject"), &changed).expect("the file is not busy");
    let desired = world.lower(&world.declared(&["idle"], "a", 1), Some(&first));
    assert_ne!(desired.fields["program"], first.fields["program"]);
    let update = world.change(Action::Update, Some(&desired), Some(&first)).await;
    world.perform(&update).await.expect("rolls");
    let running = |world: &World| {
        let exe = format!("/proc/{}/exe", world.services()[0].pid);
        program::digest(Path::new(&exe)).expect("reads")
    };
    assert_eq!(running(&world), Fingerprint::of_bytes(&changed));
    let arguments = fs::read(format!("/proc/{}/cmdline", world.services()[0].pid)).expect("reads");
    assert_eq!(arguments, b"./subject\0idle\0");

    let back = world.undo(&update).await;
    fs::remove_file(world.path("subject")).expect("removes");
    world.perform(&back).await.expect("comes back from its copy");
    assert_eq!(running(&world), program::digest(Path::new(SUBJECT)).expect("reads"));
    assert_eq!(world.live().await.expect("is there").fields, first.fields);
}

#[tokio::test]
async fn a_service_that_forks_away_is_found_and_ended_as_a_whole() {
    let world = World::new();
    let desired = world.create(&world.declared(&["fork"], "a", 1)).await.expect("starts");
    world.until("the first process has ended", || world.services().len() == 1).await;
    let live = world.live().await.expect("is there");
    assert_eq!(live.fields, desired.fields);
    assert!(live.status.ready);
    // Also when nobody keeps it any more.
    let keeper = world.all().into_iter().find(|it| it.keeper).expect("a keeper");
    kill(keeper.pid, Signal::KILL);
    world.until("the keeper is gone", || world.all().len() == 1).await;
    assert_eq!(world.live().await.expect("is there").fields, desired.fields);
    world.delete(&desired).await.expect("stops");
    assert!(world.all().is_empty());
}

#[tokio::test]
async fn what_a_service_starts_without_its_environment_is_ended_too() {
    let world = World::new();
    let script = "env -i setsid sleep 1000 & wait";
    let declared = world.declared(&[], "a", 1);
    let command = vec!["/bin/sh".into(), "-c".into(), script.into()];
    let digest = program::digest(Path::new("/bin/sh")).expect("digests");
    let program = map([("name", "/bin/sh".into()), ("digest", digest.as_str().into())]);
    let declared = with(declared, "process.command", Value::List(command));
    let declared = with(declared, "process.program", program);
    let desired = world.create(&declared).await.expect("starts");
    let keeper = world.all().into_iter().find(|it| it.keeper).expect("a keeper");
    world.delete(&desired).await.expect("stops");
    // A keeper ends when all that its service has started has ended.
    let stat = fs::read_to_string(format!("/proc/{}/stat", keeper.pid)).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    assert!(world.all().is_empty());
}

#[tokio::test]
async fn stopped_it_stays_recorded_and_starts_again() {
    let world = World::new();
    let first = world.create(&world.declared(&["serve"], "a", 1)).await.expect("starts");
    let stop = world.change(Action::Stop, Some(&first), Some(&first)).await;
    world.perform(&stop).await.expect("stops");
    assert!(world.all().is_empty());
    let live = world.live().await.expect("is recorded");
    assert_eq!(live.status.summary, "stopped");
    assert_eq!(live.fields["replicas"], Value::Int(0));
    let start = world.change(Action::Start, Some(&first), Some(&first)).await;
    world.perform(&start).await.expect("starts");
    assert_eq!(world.live().await.expect("is there").fields, first.fields);
}

#[tokio::test]
async fn with_a_lost_run_folder_the_processes_are_found_adopted_and_replaced() {
    let world = World::new();
    let first = world.create(&world.declared(&["serve"], "a", 1)).await.expect("starts");
    let before = world.services();
    fs::remove_dir_all(world.path(".hive-run")).expect("removes");

    let owner = StackMark { store: "another".to_owned(), ..world.owner() };
    let ask = Ask { marked: Some(owner), ..Ask::default() };
    let found = world
        .process()
        .observe(&ask, &hive_contract::Secrets::default())
        .await
        .expect("reads")
        .marked;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].identity, "dev/service.api");
    assert_eq!(found[0].mark, Some(world.mark()));
    assert_eq!(found[0].fields["listen"], first.fields["listen"]);
    assert_eq!(found[0].fields.get("environment"), None);

    let adopt = world.change(Action::Adopt, Some(&first), None).await;
    world.perform(&adopt).await.expect("adopts");
    assert_eq!(world.services(), before);
    let second = world.update(&world.declared(&["serve"], "b", 1), &first).await.expect("rolls");
    assert_eq!(world.versions(), ["0 b"]);
    assert_eq!(world.live().await.expect("is there").fields, second.fields);
}

#[tokio::test]
async fn a_lost_run_folder_can_be_destroyed_by_marks_alone() {
    let world = World::new();
    let first = world.create(&world.declared(&["idle"], "a", 2)).await.expect("starts");
    fs::remove_dir_all(world.path(".hive-run")).expect("removes");
    assert_eq!(world.live().await.expect("runs").fields["replicas"], Value::Int(2));
    world.delete(&first).await.expect("stops");
    assert!(world.all().is_empty());
}

#[tokio::test]
async fn another_stores_service_is_taken_over_only_by_adoption() {
    let world = World::new();
    let first = world.create(&world.declared(&["idle"], "a", 1)).await.expect("starts");
    let mut update = world.change(Action::Update, Some(&first), Some(&first)).await;
    update.mark.owner.store = "s2".to_owned();
    let failure = world.perform(&update).await.expect_err("is somebody else's");
    assert_eq!(failure.kind, FailureKind::Taken);
    assert!(failure.message.contains(&format!("store {}", world.store())), "{failure}");
    let mut adopt = world.change(Action::Adopt, Some(&first), None).await;
    adopt.mark.owner.store = "s2".to_owned();
    world.perform(&adopt).await.expect("takes over");
    let live = world.live().await.expect("is there");
    assert_eq!(live.mark.as_ref(), Some(&adopt.mark));
    update.token = world.token();
    world.perform(&update).await.expect("is ours now");
    let mut back = world.undo(&adopt).await;
    back.mark = adopt.mark;
    world.perform(&back).await.expect("goes back");
    assert_eq!(world.live().await.expect("is there").mark, Some(world.mark()));
}

#[tokio::test]
async fn a_moved_folder_changes_nothing_and_a_copied_one_owns_nothing() {
    let world = World::new();
    let first = world.create(&world.declared(&["idle"], "a", 1)).await.expect("starts");
    let copy = tempfile::tempdir().expect("folder");
    let copied = std::process::Command::new("cp")
        .args(["-r", &format!("{}/.", world.folder.path().display())])
        .arg(copy.path())
        .status();
    assert!(copied.expect("runs").success());
    let (there, home) = (copy.path().to_owned(), world.folder.path().to_owned());
    let theirs = Process::connect(&there, &table([])).expect("connects");
    let parts = vec![hive_contract::AskOne {
        target: hive_contract::Target::main(world.mark().address),
        identity: "dev/service.api".to_owned(),
        access: Default::default(),
    }];
    let ask = Ask { parts, ..Ask::default() };
    let observed = |process: Process, ask: Ask| async move {
        let found =
            process.observe(&ask, &hive_contract::Secrets::default()).await.expect("reads").found;
        found.into_values().next().expect("is answered").expect("reads").live().cloned()
    };
    let live = observed(theirs, ask.clone()).await.expect("is recorded");
    assert_eq!(live.fields["replicas"], Value::Int(0), "the copy has no process");

    let aside = home.with_extension("moved");
    fs::rename(&home, &aside).expect("moves");
    let moved = Process::connect(&aside, &table([])).expect("connects");
    let live = observed(moved, ask).await.expect("is there");
    fs::rename(&aside, &home).expect("moves back");
    assert_eq!(live.fields, first.fields);
}

#[tokio::test]
async fn a_log_is_kept_turned_over_and_followed() {
    let world = World::new();
    let declared = world.declared(&[], "a", 1);
    let script = "i=0; while true; do i=$((i+1)); echo line $i; sleep 0.01; done";
    let digest = program::digest(Path::new("/bin/sh")).expect("digests");
    let program = map([("name", "/bin/sh".into()), ("digest", digest.as_str().into())]);
    let command = vec!["/bin/sh".into(), "-c".into(), script.into()];
    let declared = with(declared, "process.command", Value::List(command));
    let declared = with(declared, "process.program", program);
    let desired = world.lower(&declared, None);
    let create = world.change(Action::Create, Some(&desired), None).await;
    let rotation = Rotation { bytes: 300, keep: 2 };
    world.perform_by(world.process().turning_logs(rotation), &create).await.expect("starts");

    let logs = paths(world.folder.path(), &table([]), "dev", &world.mark().address);
    assert_eq!(logs.len(), 1);
    let (replica, path) = &logs[0];
    assert_eq!(*replica, 0);
    let mut tail = Tail::open(path, None).expect("opens");
    let mut said = Vec::new();
    let old = path.with_file_name("1.log");
    world.until("it was turned over", || old.exists()).await;
    while said.iter().filter(|it| **it == b'\n').count() < 60 {
        said.extend(tail.read().expect("reads"));
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    // What is printed while the log is turned over may be lost; nothing comes twice or mixed up.
    let said = String::from_utf8(said).expect("is text");
    let number = |line: &str| line.strip_prefix("line ").and_then(|it| it.parse::<u32>().ok());
    let numbers: Vec<u32> =
        said.lines().map(|line| number(line).unwrap_or_else(|| panic!("`{line}`"))).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    let mode = path.metadata().expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn facts_name_who_holds_a_port() {
    let world = World::new();
    let first = world.create(&world.declared(&["serve"], "a", 1)).await.expect("starts");
    let port =
        first.fields["listen"].as_map().expect("a table")["http"].as_map().expect("ports")["0"]
            .as_int()
            .expect("a port");
    let ask = Ask { facts: true, ..Ask::default() };
    let facts = world
        .process()
        .observe(&ask, &hive_contract::Secrets::default())
        .await
        .expect("reads")
        .facts;
    assert_eq!(facts.ports, Some((20_000, 29_999)));
    let holder = &facts.taken_ports[&u16::try_from(port).expect("a port")];
    assert!(holder.starts_with("replica 0 of service.api in dev (pid "), "{holder}");
}

#[tokio::test]
async fn health_alone_is_changed_without_a_restart() {
    let world = World::new();
    let first = world.create(&world.declared(&["serve"], "a", 1)).await.expect("starts");
    let before = world.services();
    let declared = with(world.declared(&["serve"], "a", 1), "health.grace", 4_000.into());
    let second = world.update(&declared, &first).await.expect("is recorded");
    assert_eq!(world.services(), before);
    assert_eq!(world.live().await.expect("is there").fields, second.fields);
}

#[tokio::test]
async fn an_undone_rollout_expects_what_it_left() {
    let world = World::new();
    let first = world.create(&world.declared(&["serve"], "a", 2)).await.expect("starts");
    world.control("sick");
    let declared = with(world.declared(&["serve"], "b", 2), "health.grace", 300.into());
    let desired = world.lower(&declared, Some(&first));
    let update = world.change(Action::Update, Some(&desired), Some(&first)).await;
    let failure = world.perform(&update).await.expect_err("is sick");
    assert_eq!(failure.kind, FailureKind::Unhealthy);
    assert!(failure.message.contains("answered 503 Service Unavailable"), "{failure}");
    let Remains::Left(left) = failure.remains.clone() else { panic!("{failure:?}") };
    assert_eq!(left.live.as_ref(), world.live().await.as_ref());
    // What it left dies meanwhile: that is no reason not to go back.
    let back = world.undo(&update).await;
    let sick = world.services().into_iter().find(|it| it.version == "b").expect("runs");
    kill(sick.pid, Signal::KILL);
    world.until("it is gone", || world.services().len() == 1).await;
    world.control("");
    world.perform(&back).await.expect("goes back");
    assert_eq!(world.versions(), ["0 a", "1 a"]);
    assert_eq!(world.live().await.expect("is there").fields, first.fields);
    assert!(matches!(world.resolve(&back).await, Resolution::Done(_)));
}
