//! Checks against real listeners and real commands.

use super::*;
use hive_contract::provider::Unguarded;
use hive_contract::{
    Address, Event, FailureKind, Mark, SecretRef, Secrets, StackMark, Target, Token,
};
use secrecy::SecretString;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

fn owner() -> StackMark {
    StackMark { store: "s1".into(), stack: "shop".into(), environment: "dev".into() }
}

fn address() -> Address {
    "check.smoke".parse().expect("address")
}

fn declared(fields: &[(&str, Value)]) -> Declared {
    Declared {
        address: address(),
        fields: fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
        uses: Default::default(),
        protect: false,
        ignore: Vec::new(),
    }
}

fn list(words: &[&str]) -> Value {
    Value::List(words.iter().map(|word| Value::text(*word)).collect())
}

/// A shell script as a command.
fn script(text: &str) -> Value {
    list(&["sh", "-c", text])
}

struct Desk {
    folder: tempfile::TempDir,
    check: Check,
    secrets: Secrets,
    cancel: AtomicBool,
    events: Mutex<Vec<Event>>,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let check = Check::connect(folder.path(), &Fields::new()).expect("connects");
        let (secrets, cancel) = (Secrets::default(), AtomicBool::new(false));
        Self { folder, check, secrets, cancel, events: Mutex::default() }
    }

    fn lower(&self, fields: &[(&str, Value)]) -> Result<Lowered, Vec<Invalid>> {
        self.check.lower(&declared(fields), &LowerScope { owner: owner() })
    }

    fn request(&self, fields: &[(&str, Value)]) -> Perform {
        let lowered = self.lower(fields).expect("lowers");
        let named = Change::new(Target::main(address()), Action::Run, lowered.identity.clone());
        let change = Change { desired: Some(lowered), ..named };
        Perform {
            target: change.target.clone(),
            identity: change.identity.clone(),
            mark: Mark { owner: owner(), address: address() },
            operation: self.check.steps(&change, None).remove(0),
            expected: None,
            managed: Vec::new(),
            token: Token::from_text(&format!("t-{}", self.folder.path().display())),
            facts: BTreeMap::from([("apply".to_owned(), "a1".to_owned())]),
        }
    }

    async fn perform(&self, fields: &[(&str, Value)]) -> Result<Outcome, Failure> {
        let request = self.request(fields);
        let says = |event| self.events.lock().expect("lock").push(event);
        let context = Context {
            secrets: &self.secrets,
            guard: &Unguarded,
            events: &says,
            cancel: &self.cancel,
        };
        self.check.perform(&request, &context).await
    }
}

/// Answers each request with the next status; the last for ever.
fn server(statuses: &'static [u16]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let url = format!("http://{}/healthz", listener.local_addr().expect("address"));
    std::thread::spawn(move || {
        for (at, stream) in listener.incoming().enumerate() {
            let mut stream = stream.expect("accepts");
            let _ = stream.read(&mut [0; 2048]);
            let status = statuses.get(at).or(statuses.last()).expect("a status");
            let _ = write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
        }
    });
    url
}

fn soon() -> [(&'static str, Value); 2] {
    [("every", Value::Int(5)), ("timeout", Value::Int(10_000))]
}

#[tokio::test]
async fn http_is_asked_until_it_answers_as_it_should() {
    let desk = Desk::new();
    let [every, timeout] = soon();
    let url = Value::text(server(&[500, 500, 200]));
    desk.perform(&[("http", url), every.clone(), timeout.clone()]).await.expect("holds");
    // Told once, although it was seen twice.
    assert_eq!(desk.events.lock().expect("lock").len(), 1);
    let teapot = Value::text(server(&[200, 418]));
    let fields = [("http", teapot), ("status", Value::Int(418)), every, timeout];
    desk.perform(&fields).await.expect("holds");
}

#[tokio::test]
async fn what_never_holds_fails_with_what_was_seen() {
    let desk = Desk::new();
    let url = server(&[503]);
    let fields =
        [("http", Value::text(&url)), ("every", Value::Int(5)), ("timeout", Value::Int(500))];
    let failure = desk.perform(&fields).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unhealthy);
    assert!(failure.message.contains("503") && failure.message.contains(&url), "{failure}");
}

#[tokio::test]
async fn tcp_holds_when_somebody_listens() {
    let desk = Desk::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let at = listener.local_addr().expect("address").to_string();
    let [every, timeout] = soon();
    desk.perform(&[("tcp", Value::text(&at)), every.clone(), timeout]).await.expect("holds");
    drop(listener);
    let fields = [("tcp", Value::text(&at)), every, ("timeout", Value::Int(30))];
    assert!(desk.perform(&fields).await.unwrap_err().message.contains("refused"));
}

#[tokio::test]
async fn waiting_ends_when_hive_is_asked_to_stop() {
    let desk = Desk::new();
    desk.cancel.store(true, Ordering::Relaxed);
    let [every, timeout] = soon();
    let fields = [("http", Value::text("http://127.0.0.1:9/")), every, timeout.clone()];
    assert_eq!(desk.perform(&fields).await.unwrap_err().kind, FailureKind::Cancelled);
    let fields = [("command", script("sleep 60")), timeout];
    assert_eq!(desk.perform(&fields).await.unwrap_err().kind, FailureKind::Cancelled);
}

#[tokio::test]
async fn a_url_with_a_secret_is_in_no_message() {
    let mut desk = Desk::new();
    let reference = SecretRef::env("URL");
    let url = server(&[500]);
    desk.secrets.insert(reference.clone(), SecretString::from(url.clone()));
    let fields =
        [("http", Value::Secret(reference)), ("every", Value::Int(5)), ("timeout", Value::Int(30))];
    let failure = desk.perform(&fields).await.unwrap_err();
    assert!(!format!("{failure:?}{:?}", desk.events).contains(&url), "{failure:?}");
}

#[tokio::test]
async fn a_command_is_told_what_it_checks_and_nothing_of_hives_own() {
    let desk = Desk::new();
    std::fs::create_dir(desk.folder.path().join("sub")).expect("folder");
    let fields = [
        ("command", script("env; echo on stderr >&2; pwd")),
        ("environment", Value::Map(Fields::from([("DEPTH".to_owned(), Value::Int(3))]))),
        ("directory", Value::text("sub")),
    ];
    let kept = desk.perform(&fields).await.expect("holds").kept;
    for line in ["HIVE_STACK=shop", "HIVE_ENVIRONMENT=dev", "HIVE_APPLY=a1", "DEPTH=3", "on stderr"]
    {
        assert!(kept.lines().any(|it| it == line), "{line} is not in {kept}");
    }
    assert!(kept.trim_end().ends_with("/sub"), "{kept}");
    assert!(!kept.contains("CARGO"), "{kept}");
}

#[tokio::test]
async fn a_command_that_fails_says_how_and_shows_its_last_lines() {
    let desk = Desk::new();
    let failure = desk.perform(&[("command", script("seq 1 50; exit 3"))]).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unhealthy);
    assert!(failure.message.contains("status 3"), "{failure}");
    assert_eq!(failure.diagnosis.first().map(String::as_str), Some("31"));
    assert_eq!(failure.diagnosis.last().map(String::as_str), Some("50"));
    let failure = desk.perform(&[("command", list(&["no-such-program"]))]).await.unwrap_err();
    assert!(failure.message.contains("no program `no-such-program`"), "{failure}");
}

#[tokio::test]
async fn a_secret_that_a_command_prints_is_not_kept() {
    let mut desk = Desk::new();
    let reference = SecretRef::env("PW");
    desk.secrets.insert(reference.clone(), SecretString::from("hunter2".to_owned()));
    let environment = Value::Map(Fields::from([("PW".to_owned(), Value::Secret(reference))]));
    let text = "echo pw=$PW; echo \"$PW\" >&2";
    let fields = [("command", script(text)), ("environment", environment.clone())];
    let kept = desk.perform(&fields).await.expect("holds").kept;
    assert_eq!(kept, "pw=***\n***\n");
    let fields = [("command", script("echo $PW; false")), ("environment", environment)];
    assert_eq!(desk.perform(&fields).await.unwrap_err().diagnosis, ["***"]);
}

#[tokio::test]
async fn nothing_of_a_command_outlives_it() {
    let desk = Desk::new();
    let text = "setsid sleep 1000 >/dev/null 2>&1 & echo $!";
    let kept = desk.perform(&[("command", script(text))]).await.expect("holds").kept;
    let state = |pid: &str| std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    // Gone, or a zombie that its own parent has not yet waited for. One that is just being ended
    // has lost its memory before its state says so.
    let ended = || state(&kept).map_or(true, |stat| stat.contains(") Z "));
    for _ in 0..200 {
        if !ended() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
    assert!(ended(), "{kept}");

    let fields = [("command", script("sleep 1000")), ("timeout", Value::Int(100))];
    let failure = desk.perform(&fields).await.unwrap_err();
    assert!(failure.message.contains("100ms"), "{failure}");
}

#[tokio::test]
async fn an_interrupted_command_is_ended_before_not_started_is_said() {
    let desk = Desk::new();
    let request = desk.request(&[("command", script("sleep 1000"))]);
    let mut orphan = std::process::Command::new("sleep");
    let mut orphan =
        orphan.arg("1000").env("HIVE_TOKEN", request.token.as_str()).spawn().expect("starts");
    let context = Context {
        secrets: &desk.secrets,
        guard: &Unguarded,
        events: &|_| {},
        cancel: &desk.cancel,
    };
    let resolved = desk.check.resolve(&request, &context).await.expect("resolves");
    assert_eq!(resolved, Resolution::NotStarted { sealed: true });
    assert!(orphan.wait().expect("waits").code().is_none(), "it was killed");
}

#[tokio::test]
async fn another_program_than_the_planned_one_is_not_run() {
    let desk = Desk::new();
    let path = desk.folder.path().join("smoke.sh");
    std::fs::write(&path, "#!/bin/sh\necho one\n").expect("writes");
    let mut mode = path.metadata().expect("file").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    std::fs::set_permissions(&path, mode).expect("mode");
    let digest = hive_contract::Fingerprint::of_bytes(b"#!/bin/sh\necho one\n");
    let program = Value::Map(Fields::from([
        ("name".to_owned(), Value::text("./smoke.sh")),
        ("digest".to_owned(), Value::text(digest.as_str())),
    ]));
    let fields = [("command", list(&["./smoke.sh"])), ("program", program)];
    assert_eq!(desk.perform(&fields).await.expect("holds").kept, "one\n");
    std::fs::write(&path, "#!/bin/sh\necho two\n").expect("writes");
    assert_eq!(desk.perform(&fields).await.unwrap_err().kind, FailureKind::Moved);
}

#[test]
fn everything_wrong_is_said_at_once() {
    let desk = Desk::new();
    let wrong = |fields: &[(&str, Value)]| {
        let found = desk.lower(fields).expect_err("is wrong");
        found.iter().map(|it| it.field.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(wrong(&[]), [""]);
    assert_eq!(wrong(&[("http", Value::text("x")), ("tcp", Value::text("y"))]), ["tcp"]);
    let fields = [("http", Value::text("x")), ("status", Value::Int(9)), ("port", Value::Int(1))];
    assert_eq!(wrong(&fields), ["port", "http", "status"]);
    assert_eq!(wrong(&[("tcp", Value::text("localhost")), ("timeout", Value::Int(0))]).len(), 2);
    let secret = Value::List(vec!["curl".into(), Value::Secret(SecretRef::env("T"))]);
    assert_eq!(wrong(&[("command", secret)]), ["command"]);
    let environment = Value::Map(Fields::from([("HIVE_APPLY".to_owned(), "x".into())]));
    let fields = [("command", script("true")), ("environment", environment)];
    assert_eq!(wrong(&fields), ["environment.HIVE_APPLY"]);
    assert_eq!(wrong(&[("command", script("true")), ("every", Value::Int(7))]), ["every"]);
}

#[test]
fn form_1_is_read_as_it_is() {
    let desk = Desk::new();
    let fields = desk.lower(&[("tcp", Value::text("a:1"))]).expect("lowers").fields;
    assert_eq!(desk.check.upgrade(1, fields.clone()), Ok(fields));
    assert!(matches!(desk.check.upgrade(2, Fields::new()), Err(UpgradeError::Newer { .. })));
    assert!(matches!(desk.check.upgrade(1, Fields::new()), Err(UpgradeError::Malformed { .. })));
}
