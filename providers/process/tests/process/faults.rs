//! Everything that goes wrong with processes.

use crate::world::{CANARY, World, free_port, kill, map, with};
use hive_contract::{
    Action, Declared, FailureKind, Lowered, Observed, Perform, Remains, Resolution, SecretRef,
    Value,
};
use hive_process::program;
use rustix::process::Signal;
use serde_json::json;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

/// The same service with a shell script in place of the subject.
fn script(declared: Declared, script: &str) -> Declared {
    let command = vec!["/bin/sh".into(), "-c".into(), script.into(), "./subject".into()];
    let digest = program::digest(Path::new("/bin/sh")).expect("digests");
    let program = map([("name", "/bin/sh".into()), ("digest", digest.as_str().into())]);
    with(with(declared, "process.command", Value::List(command)), "process.program", program)
}

/// A service with a fixed port.
fn at_port(world: &World, port: u16) -> Declared {
    let declared = world.declared(&["serve"], "a", 1);
    with(declared, "process.ports", map([("http", i64::from(port).into())]))
}

async fn created(world: &World, declared: &Declared) -> (Perform, Lowered) {
    let desired = world.lower(declared, None);
    (world.change(Action::Create, Some(&desired), None).await, desired)
}

#[tokio::test]
async fn a_reused_pid_is_never_taken_for_the_service() {
    let world = World::new();
    let desired = world.create(&world.declared(&["idle"], "a", 1)).await.expect("starts");
    kill(world.services()[0].pid, Signal::KILL);
    world.until("it and its keeper are gone", || world.all().is_empty()).await;

    // A process of somebody else, with the very number that is on record.
    let mut other = Command::new("sleep").arg("1000").spawn().expect("starts");
    let path = world.start_folder(0).join("started.json");
    let text = fs::read_to_string(&path).expect("reads");
    let mut started: serde_json::Value = serde_json::from_str(&text).expect("is JSON");
    started["process"]["pid"] = json!(other.id());
    fs::write(&path, started.to_string()).expect("writes");
    fs::remove_file(world.start_folder(0).join("exit.json")).expect("removes");

    let live = world.live().await.expect("is recorded");
    assert_eq!(live.fields["replicas"], Value::Int(0));
    world.delete(&desired).await.expect("stops");
    assert!(other.try_wait().expect("is ours").is_none(), "somebody else's process was killed");
    other.kill().expect("ends");
    other.wait().expect("ends");
}

#[tokio::test]
async fn a_crash_is_drift_and_is_mended_without_touching_the_others() {
    let world = World::new();
    let desired = world.create(&world.declared(&["idle"], "a", 2)).await.expect("starts");
    let before = world.services();
    kill(before[0].pid, Signal::KILL);
    world.until("it is gone", || world.services().len() == 1).await;
    world.until("its keeper is gone", || world.all().len() == 2).await;
    let live = world.live().await.expect("is there");
    assert_eq!(live.fields["replicas"], Value::Int(1));
    assert!(!live.status.ready);
    assert!(live.status.details.contains("replica 0 was killed by signal 9"), "{live:?}");
    let update = world.change(Action::Update, Some(&desired), Some(&desired)).await;
    world.perform(&update).await.expect("mends");
    assert_eq!(world.versions(), ["0 a", "1 a"]);
    assert_eq!(world.services()[1], before[1]);
    assert_eq!(world.live().await.expect("is there").fields, desired.fields);
}

#[tokio::test]
async fn a_file_that_somebody_edits_is_drift_in_whichever_replica() {
    let world = World::new();
    let files = map([("/etc/api.toml", "x = 1\n".into())]);
    let declared = with(world.declared(&["idle"], "a", 3), "files", files);
    let desired = world.create(&declared).await.expect("starts");
    let before = world.services();
    for replica in [0, 2] {
        let file = world.start_folder(replica).join("files/etc/api.toml");
        fs::write(file, "by hand").expect("writes");
        let live = world.live().await.expect("is there");
        assert_eq!(live.fields["files"], map([("/etc/api.toml", "by hand".into())]));
        let update = world.change(Action::Update, Some(&desired), Some(&desired)).await;
        world.perform(&update).await.expect("mends");
        assert_eq!(world.live().await.expect("is there").fields, desired.fields);
    }
    assert_eq!(world.services()[1], before[1]);
    assert_eq!(world.starts(), 5);
}

#[tokio::test]
async fn a_zombie_is_dead() {
    let world = World::new();
    // The first process leaves a child that it never waits for, and that child is all that has
    // its environment: `exec` gives the parent another one.
    let declared = script(world.declared(&[], "a", 1), "sleep 0.7 & exec env -i sleep 1000");
    let desired = world.create(&declared).await.expect("starts");
    let zombie = |world: &World| {
        let keeper = world.all().into_iter().find(|it| it.keeper).expect("a keeper").pid;
        children(keeper).into_iter().flat_map(children).any(|pid| {
            fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|it| it.contains(") Z "))
        })
    };
    world.until("there is a zombie", || zombie(&world)).await;
    assert_eq!(world.live().await.expect("is there").fields, desired.fields);
    let first = world.all().into_iter().find(|it| it.keeper).expect("a keeper");
    for pid in children(first.pid) {
        kill(pid, Signal::KILL);
    }
    world.until("all is gone", || world.all().is_empty()).await;
    assert_eq!(world.live().await.expect("is recorded").fields["replicas"], Value::Int(0));
    world.delete(&desired).await.expect("ends at once");
}

fn children(pid: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|it| it.parse().ok()).collect()
}

#[tokio::test]
async fn what_ignores_its_signal_is_killed_after_its_grace() {
    let world = World::new();
    let declared = script(world.declared(&[], "a", 1), "trap '' TERM; exec ./subject idle");
    let declared = with(declared, "process.stop.grace", 300.into());
    let desired = world.create(&declared).await.expect("starts");
    world.until("it ignores the signal", || world.starts() == 1).await;
    let pid = world.services()[0].pid;
    kill(pid, Signal::TERM);
    assert_eq!(world.services().len(), 1, "it ignores the signal");
    world.delete(&desired).await.expect("stops");
    assert!(world.all().is_empty());
}

#[tokio::test]
async fn the_declared_signal_is_the_one_that_is_sent() {
    let world = World::new();
    let text = "trap 'echo bye; exit 0' INT; trap '' TERM; echo ready; \
                while true; do sleep 0.02; done";
    let declared = script(world.declared(&[], "a", 1), text);
    let declared = with(declared, "process.stop", map([("signal", "SIGINT".into())]));
    let desired = world.create(&declared).await.expect("starts");
    let log = world.path(".hive-run/dev/service.api/0/log/current.log");
    let said = || fs::read_to_string(&log).expect("reads");
    world.until("it has set its traps", || said() == "ready\n").await;
    let stop = world.change(Action::Stop, Some(&desired), Some(&desired)).await;
    world.perform(&stop).await.expect("stops");
    assert_eq!(said(), "ready\nbye\n");
}

#[tokio::test]
async fn what_dies_of_its_first_request_is_not_healthy() {
    let world = World::new();
    world.control("mortal");
    let (create, _) = created(&world, &world.declared(&["serve"], "a", 1)).await;
    let failure = world.perform(&create).await.expect_err("is not healthy");
    assert_eq!(failure.kind, FailureKind::Unhealthy);
    assert_eq!(
        failure.message,
        "replica 0 of service.api ended with status 0 right after it was healthy"
    );
    assert!(world.all().is_empty());
}

#[tokio::test]
async fn what_ends_at_once_says_why_and_shows_no_secret() {
    let world = World::new();
    let secret = Value::Secret(SecretRef::env("SECRET"));
    let declared = with(world.declared(&["exit", "7"], "a", 1), "environment.SECRET", secret);
    let (create, _) = created(&world, &declared).await;
    let failure = world.perform(&create).await.expect_err("ends");
    assert_eq!(failure.kind, FailureKind::Unhealthy);
    // Whoever looks while it is still there has seen it healthy.
    let ended = "replica 0 of service.api ended with status 7 right after ";
    assert!(failure.message.starts_with(ended), "{failure}");
    assert!(failure.diagnosis.contains(&"log: started as 0 with (env:SECRET)".to_owned()));
    assert!(!format!("{failure:?}").contains(CANARY));
    // The same token again makes nothing new.
    assert!(matches!(world.resolve(&create).await, Resolution::Partly { .. }));
    let again = world.perform(&create).await.expect_err("has ended");
    assert!(again.message.starts_with(ended), "{again}");
    assert_eq!(world.starts(), 1);
    // And is taken back.
    let back = world.undo(&create).await;
    world.perform(&back).await.expect("is taken back");
    assert_eq!(world.live().await, None);
}

#[tokio::test]
async fn without_a_port_a_sick_successor_leaves_the_old_one_alone() {
    let world = World::new();
    let first = world.create(&world.declared(&["idle"], "a", 2)).await.expect("starts");
    let before = world.services();
    let desired = world.lower(&world.declared(&["exit", "1"], "b", 2), Some(&first));
    let update = world.change(Action::Update, Some(&desired), Some(&first)).await;
    let failure = world.perform(&update).await.expect_err("ends");
    assert_eq!(failure.kind, FailureKind::Unhealthy);
    assert_eq!(world.services(), before);
    let back = world.undo(&update).await;
    world.perform(&back).await.expect("goes back");
    assert_eq!(world.services(), before);
    assert_eq!(world.live().await.expect("is there").fields, first.fields);
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_holder_and_nothing_is_begun() {
    let world = World::new();
    let socket = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = socket.local_addr().expect("address").port();
    let (create, desired) = created(&world, &at_port(&world, port)).await;
    let failure = world.perform(&create).await.expect_err("is taken");
    assert_eq!(failure.kind, FailureKind::Taken);
    assert_eq!(failure.remains, Remains::Nothing);
    let holder = format!("(pid {})", std::process::id());
    assert!(failure.message.contains(&holder), "{failure}");
    assert!(failure.message.starts_with(&format!("port {port} (`http` of replica 0")), "{failure}");
    assert_eq!((world.live().await, world.starts()), (None, 0));
    drop(socket);
    world.perform(&create).await.expect("is free now");
    assert_eq!(world.live().await.expect("is there").fields, desired.fields);
}

#[tokio::test]
async fn a_port_that_somebody_else_answers_is_not_health() {
    let world = World::new();
    // Somebody takes the port between the look and the start: the service itself waits for it.
    let port = free_port();
    let text = "while [ ! -e go ]; do sleep 0.01; done; exec ./subject serve";
    let declared = script(at_port(&world, port), text);
    let declared = with(declared, "health.grace", 700.into());
    let (create, _) = created(&world, &declared).await;
    let other = async {
        while world.services().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        let socket = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("binds");
        loop {
            let (stream, _) = socket.accept().await.expect("accepts");
            stream.writable().await.expect("is open");
            let _ = stream.try_write(b"HTTP/1.1 200 OK\r\n\r\n");
        }
    };
    let failure = tokio::select! {
        performed = world.perform(&create) => performed.expect_err("is not it that answers"),
        () = other => unreachable!("it answers for ever"),
    };
    assert_eq!(failure.kind, FailureKind::Unhealthy);
    let words = format!("port {port} is answered by ");
    assert!(failure.message.contains(&words), "{failure}");
    assert!(failure.message.contains(&format!("(pid {})", std::process::id())), "{failure}");
}

#[tokio::test]
async fn a_killed_performer_is_completed_wherever_it_was() {
    // Each round the performer is dropped somewhat later, as a killed one would be.
    for delay in [0, 2, 5, 10, 20, 40, 80, 160, 320, 640] {
        let world = World::new();
        let first = world.create(&world.declared(&["serve"], "a", 2)).await.expect("starts");
        let desired = world.lower(&world.declared(&["serve"], "b", 2), Some(&first));
        let update = world.change(Action::Update, Some(&desired), Some(&first)).await;
        let cut = std::time::Duration::from_millis(delay);
        let _ = tokio::time::timeout(cut, world.perform(&update)).await;
        match world.resolve(&update).await {
            Resolution::Done(_) => {}
            Resolution::Partly { .. } => {
                world.perform(&update).await.expect("is completed");
            }
            Resolution::NotStarted { sealed: true } => {
                let late = world.perform(&update).await.expect_err("is void");
                assert_eq!(late.kind, FailureKind::Expired);
                let again = Perform { token: world.token(), ..update };
                world.perform(&again).await.expect("is done");
            }
            other => panic!("after {delay} ms: {other:?}"),
        }
        assert_eq!(world.versions(), ["0 b", "1 b"], "after {delay} ms");
        assert_eq!(world.live().await.expect("is there").fields, desired.fields);
        world.until("no keeper is left over", || world.all().len() == 4).await;
        assert_eq!(world.starts(), 4, "after {delay} ms: each replica of each version once");
    }
}

#[tokio::test]
async fn a_keeper_that_is_killed_takes_nothing_with_it() {
    let world = World::new();
    let first = world.create(&world.declared(&["serve"], "a", 1)).await.expect("starts");
    let before = world.services();
    let keeper = world.all().into_iter().find(|it| it.keeper).expect("a keeper");
    kill(keeper.pid, Signal::KILL);
    world.until("it is gone", || world.all().len() == 1).await;
    let live = world.live().await.expect("is there");
    assert_eq!(live.fields, first.fields);
    assert_eq!(world.services(), before);
    world.update(&world.declared(&["serve"], "b", 1), &first).await.expect("rolls");
    assert_eq!(world.versions(), ["0 b"]);
}

#[tokio::test]
async fn what_cannot_be_read_is_not_absent_and_blinds_nobody_else() {
    let world = World::new();
    let desired = world.create(&world.declared(&["idle"], "a", 1)).await.expect("starts");
    let record = world.path(".hive-run/dev/service.api/service.json");
    let whole = fs::read(&record).expect("reads");
    for bad in [&b""[..], b"{", b"[]", b"\xff\xfe", &whole[..whole.len() / 2]] {
        fs::write(&record, bad).expect("writes");
        let failure = world.look().await.expect_err("is damaged");
        assert_eq!(failure.kind, FailureKind::Malformed);
        assert!(failure.message.contains("service.json` is damaged"), "{failure}");
    }
    let text = String::from_utf8_lossy(&whole).replace("\"format\": 1", "\"format\": 99");
    fs::write(&record, text).expect("writes");
    let failure = world.look().await.expect_err("is newer");
    assert!(failure.message.contains("use a newer hive"), "{failure}");
    // As the message says: without the record, what runs says enough of itself.
    fs::remove_file(&record).expect("removes");
    assert!(matches!(world.look().await, Ok(Observed::Present(_))));
    fs::write(&record, whole).expect("writes");
    world.delete(&desired).await.expect("stops");
}

#[tokio::test]
async fn a_program_that_is_neither_there_nor_kept_is_a_clear_error() {
    let world = World::new();
    let declared = world.declared(&["idle"], "a", 1);
    let (create, _) = created(&world, &declared).await;
    fs::write(world.path("subject"), "something else").expect("writes");
    let failure = world.perform(&create).await.expect_err("has changed");
    assert_eq!((failure.kind, &failure.remains), (FailureKind::Invalid, &Remains::Nothing));
    assert!(failure.message.starts_with("`./subject` has another content ("), "{failure}");
    assert_eq!(world.live().await, None);
}

#[tokio::test]
async fn a_program_that_cannot_run_says_why() {
    let world = World::new();
    let declared = world.declared(&[], "a", 1);
    fs::write(world.path("subject"), "#!/nowhere/interpreter\n").expect("writes");
    let digest = program::digest(&world.path("subject")).expect("digests");
    let declared = with(declared, "process.program.digest", digest.as_str().into());
    let (create, _) = created(&world, &declared).await;
    let failure = world.perform(&create).await.expect_err("cannot run");
    assert_eq!(
        failure.message,
        "replica 0 of service.api could not be started: \
         `./subject` or what runs it is not there"
    );
}

#[tokio::test]
async fn health_by_a_command_is_given_the_services_environment() {
    let world = World::new();
    let probe = "test \"$VERSION\" = a && test -z \"$HIVE_TOKEN\" && test -d \"$HIVE_FILES\"";
    let command = vec!["/bin/sh".into(), "-c".into(), probe.into()];
    let health = map([("command", Value::List(command)), ("grace", 400.into())]);
    let declared = with(world.declared(&["idle"], "a", 1), "health", health.clone());
    let first = world.create(&declared).await.expect("is healthy");
    let declared = with(world.declared(&["idle"], "b", 1), "health", health);
    let failure = world.update(&declared, &first).await.expect_err("is not");
    assert!(failure.message.contains("`/bin/sh` ended with status 1"), "{failure}");
    assert_eq!(world.versions(), ["0 a"]);
}

#[tokio::test]
async fn asked_to_stop_a_rollout_ends_where_it_can_be_taken_back() {
    let world = World::new();
    world.control("sick");
    let (create, _) = created(&world, &world.declared(&["serve"], "a", 2)).await;
    let cancelled = async {
        world.until("the first replica runs", || world.starts() == 1).await;
        world.cancel.store(true, std::sync::atomic::Ordering::SeqCst);
    };
    let (performed, ()) = tokio::join!(world.perform(&create), cancelled);
    let failure = performed.expect_err("was cancelled");
    assert_eq!(failure.kind, FailureKind::Cancelled);
    assert_eq!(world.starts(), 1);
    world.cancel.store(false, std::sync::atomic::Ordering::SeqCst);
    let back = world.undo(&create).await;
    world.perform(&back).await.expect("is taken back");
    assert!(world.all().is_empty());
}

#[tokio::test]
async fn no_process_shows_what_it_was_told() {
    let world = World::new();
    let secret = Value::Secret(SecretRef::env("SECRET"));
    let declared = with(world.declared(&["idle"], "a", 1), "environment.SECRET", secret);
    world.create(&declared).await.expect("starts");
    for process in world.all() {
        let arguments = fs::read(format!("/proc/{}/cmdline", process.pid)).expect("reads");
        assert!(!String::from_utf8_lossy(&arguments).contains(CANARY));
        if process.keeper {
            let environment = fs::read(format!("/proc/{}/environ", process.pid)).expect("reads");
            assert!(!String::from_utf8_lossy(&environment).contains(CANARY));
        }
    }
}

#[tokio::test]
async fn a_keeper_with_half_an_instruction_does_nothing() {
    let mut keeper = Command::new(crate::world::SUBJECT)
        .args(["__keep", "run"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    std::io::Write::write_all(&mut keeper.stdin.take().expect("a pipe"), b"{\"program\":\"/bin/")
        .expect("writes");
    let output = keeper.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"");
}

/// Lets a successor change the service right before the last write of a late step.
struct Overtaken {
    record: std::path::PathBuf,
    keepers: Box<dyn Fn() -> bool + Send + Sync>,
}

impl hive_contract::provider::Guard for Overtaken {
    fn may_write(&self) -> Result<(), hive_contract::Failure> {
        // Nothing runs any more: what is left to do is to take the folder away.
        if (self.keepers)() || !self.record.exists() {
            return Ok(());
        }
        let text = fs::read_to_string(&self.record).expect("reads");
        let mut record: serde_json::Value = serde_json::from_str(&text).expect("is JSON");
        record["token"] = json!("a-successor");
        fs::write(&self.record, record.to_string()).expect("writes");
        Ok(())
    }
}

#[tokio::test]
async fn a_late_stop_leaves_its_successors_folder_alone() {
    let world = std::sync::Arc::new(World::new());
    let (_, desired) = {
        let declared = world.declared(&["idle"], "a", 1);
        let (create, desired) = created(&world, &declared).await;
        world.perform(&create).await.expect("starts");
        (create, desired)
    };
    let stop = world.change(Action::Delete, None, Some(&desired)).await;
    let record = world.path(".hive-run/dev/service.api/service.json");
    let seen = world.clone();
    let guard =
        Overtaken { record: record.clone(), keepers: Box::new(move || !seen.all().is_empty()) };
    let secrets = crate::world::secrets(&stop, CANARY);
    let context = hive_contract::Context {
        secrets: &secrets,
        guard: &guard,
        events: &|_| {},
        cancel: &world.cancel,
    };
    let process = world.process();
    let failure =
        hive_contract::Provider::perform(&process, &stop, &context).await.expect_err("late");
    assert_eq!(failure.kind, FailureKind::Moved, "{failure}");
    assert!(record.exists(), "the successor's folder is gone");
}
