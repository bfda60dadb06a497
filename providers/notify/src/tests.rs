//! Notices to a real listener and to real commands, and the conformance suite.

use super::*;
use hive_contract::testing::conformance::{self, CANARY, Fixtures};
use hive_contract::{SecretRef, Secrets, StackMark};
use secrecy::SecretString;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

fn message() -> Message {
    Message {
        event: "failed".to_owned(),
        stack: "shop".to_owned(),
        environment: "dev".to_owned(),
        apply: "a1".to_owned(),
        summary: "shop in dev: failed".to_owned(),
        lines: vec!["step 2, service.api: it is not healthy".to_owned()],
        url: None,
    }
}

fn one(key: &str, value: Value) -> Fields {
    Fields::from([(key.to_owned(), value)])
}

fn command(script: &str) -> Fields {
    one("command", Value::List(vec!["sh".into(), "-c".into(), script.into()]))
}

/// Answers one request with a status, and gives back what it was sent.
fn server(status: u16) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let url = format!("http://{}/hook/{CANARY}", listener.local_addr().expect("address"));
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accepts");
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        // The body is JSON and ends with the last brace.
        while !request.ends_with(b"}") {
            let count = stream.read(&mut buffer).expect("reads");
            request.extend_from_slice(&buffer[..count]);
        }
        let _ = write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
        sender.send(String::from_utf8(request).expect("is text")).expect("somebody listens");
    });
    (url, receiver)
}

#[tokio::test]
async fn a_webhook_is_posted_the_message() {
    let (url, sent) = server(204);
    let fields = one("webhook", Value::text(url));
    send(Path::new("/"), &fields, &message(), &Secrets::default()).await.expect("sent");
    let request = sent.recv().expect("arrives");
    let (head, body) = request.split_once("\r\n\r\n").expect("has a body");
    assert!(head.starts_with("POST /hook/"), "{head}");
    assert!(head.to_lowercase().contains("content-type: application/json"), "{head}");
    assert_eq!(serde_json::from_str::<Message>(body).expect("is JSON"), message());
    let body: serde_json::Value = serde_json::from_str(body).expect("is JSON");
    assert_eq!(body["text"], "shop in dev: failed\nstep 2, service.api: it is not healthy");
}

#[tokio::test]
async fn a_refusal_is_said_without_the_url() {
    for (status, kind, retryable) in [
        (500, FailureKind::Unavailable, true),
        (403, FailureKind::Forbidden, false),
        (302, FailureKind::Invalid, false),
    ] {
        let (url, _sent) = server(status);
        let fields = one("webhook", Value::text(&url));
        let plain = send(Path::new("/"), &fields, &message(), &Secrets::default()).await;
        let plain = plain.expect_err("is refused");
        assert_eq!((plain.kind, plain.retryable), (kind, retryable));
        assert!(plain.message.contains("127.0.0.1") && !plain.message.contains(CANARY), "{plain}");

        let (url, _sent) = server(status);
        let reference = SecretRef::env("HOOK");
        let mut secrets = Secrets::default();
        secrets.insert(reference.clone(), SecretString::from(url));
        let fields = one("webhook", Value::Secret(reference));
        let secret = send(Path::new("/"), &fields, &message(), &secrets).await.unwrap_err();
        assert_eq!(secret.message, format!("the webhook (env:HOOK) answered {status}"));
    }
}

#[tokio::test]
async fn what_cannot_be_called_is_said_without_the_url() {
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        listener.local_addr().expect("address")
    };
    for url in [
        format!("http://{gone}/{CANARY}"),
        format!("https://{gone}/{CANARY}"),
        format!("http://user:{CANARY}@{gone}/"),
        format!("http://{CANARY} is no url/"),
    ] {
        let mut secrets = Secrets::default();
        secrets.insert(SecretRef::env("HOOK"), SecretString::from(url));
        let fields = one("webhook", Value::Secret(SecretRef::env("HOOK")));
        let failure = send(Path::new("/"), &fields, &message(), &secrets).await.unwrap_err();
        assert!(!format!("{failure:?}").contains(CANARY), "{failure:?}");
    }
    let unset = one("webhook", Value::Secret(SecretRef::env("HOOK")));
    let failure = send(Path::new("/"), &unset, &message(), &Secrets::default()).await.unwrap_err();
    assert!(failure.message.contains("env:HOOK has no value"), "{failure}");
}

#[tokio::test]
async fn a_command_gets_the_message_on_its_input_and_in_variables() {
    let folder = tempfile::tempdir().expect("folder");
    let fields = command("cat > input; echo \"$HIVE_EVENT $HIVE_STACK $HIVE_APPLY\" > variables");
    send(folder.path(), &fields, &message(), &Secrets::default()).await.expect("sent");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("reads");
    assert_eq!(serde_json::from_str::<Message>(&read("input")).expect("is JSON"), message());
    assert_eq!(read("variables"), "failed shop a1\n");
}

#[tokio::test]
async fn a_command_that_fails_says_how() {
    let folder = tempfile::tempdir().expect("folder");
    let run = async |fields: Fields| {
        send(folder.path(), &fields, &message(), &Secrets::default()).await.unwrap_err()
    };
    let failure = run(command("echo no route >&2; exit 4")).await;
    assert!(failure.message.contains("status 4"), "{failure}");
    assert_eq!(failure.diagnosis, ["no route"]);
    let failure = run(one("command", Value::List(vec!["./none.sh".into()]))).await;
    assert!(failure.message.contains("no such program"), "{failure}");
    // It leaves something behind that holds its stderr: its own end counts.
    let fields = command("sleep 20 & exit 0");
    send(folder.path(), &fields, &message(), &Secrets::default()).await.expect("sent");
}

#[test]
fn everything_wrong_is_said_at_once() {
    let notify = Notify::connect(Path::new("/"), &Fields::new()).expect("connects");
    let wrong = |fields: Fields| {
        let scope = LowerScope { owner: Heard.owner() };
        let found = notify.lower(&declare(fields), &scope).expect_err("is wrong");
        found.iter().map(|it| it.field.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(wrong(Fields::new()), [""]);
    let mut fields = one("webhook", Value::text("hooks.example"));
    fields.insert("on".to_owned(), Value::List(vec!["aplied".into()]));
    fields.insert("slak".to_owned(), true.into());
    assert_eq!(wrong(fields), ["webhook", "on", "slak"]);
    let secret = Value::List(vec!["tell".into(), Value::Secret(SecretRef::env("T"))]);
    assert_eq!(wrong(one("command", secret)), ["command"]);
}

struct Heard;

fn declare(fields: Fields) -> Declared {
    Declared {
        address: "notify.ops".parse().expect("address"),
        fields,
        uses: BTreeSet::new(),
        protect: false,
        ignore: Vec::new(),
    }
}

impl Fixtures for Heard {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(Notify::connect(Path::new("/"), &Fields::new()).expect("connects"))
    }

    fn owner(&self) -> StackMark {
        let text = str::to_owned;
        StackMark { store: text("s1"), stack: text("shop"), environment: text("dev") }
    }

    fn declared(&self, version: u32) -> Declared {
        let mut fields = one("webhook", Value::Secret(SecretRef::env("HOOK")));
        if version == 2 {
            fields.insert("on".to_owned(), Value::List(vec!["failed".into()]));
        }
        declare(fields)
    }
}

#[tokio::test]
async fn conforms() {
    assert_eq!(conformance::run(&Heard).await.expect("conforms"), ["upgrade"]);
}
