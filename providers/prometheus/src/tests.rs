//! What the suite does not ask: the file itself, edits by hand, and what `lower` refuses.

use super::*;
use crate::conforms::{declare, owner};
use hive_contract::provider::Unguarded;
use hive_contract::{
    Action, Address, AskOne, Fingerprint, Live, Mark, OutputRef, SecretRef, Secrets, Target, Token,
    Undo,
};
use std::sync::atomic::AtomicBool;

struct Desk {
    folder: tempfile::TempDir,
    rules: Prometheus,
}

fn address() -> Address {
    "alert.api-down".parse().expect("address")
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let rules = Prometheus::connect(folder.path(), &Fields::new()).expect("connects");
        Self { folder, rules }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(".hive-run/rules/shop.dev.api-down.yml")
    }

    async fn live(&self) -> Option<Live> {
        let target = Target::main(address());
        let identity = "shop/dev/alert.api-down".to_owned();
        let ask = Ask {
            parts: vec![AskOne { target: target.clone(), identity, access: Fields::new() }],
            ..Ask::default()
        };
        let mut seen = self.rules.observe(&ask, &Secrets::default()).await.expect("observes");
        seen.found.remove(&target).expect("answers").expect("reads").live().cloned()
    }

    async fn change(&self, action: Action, declared: &Declared, token: &str) -> Perform {
        let lowered = self.rules.lower(declared, &LowerScope { owner: owner() }).expect("lowers");
        let managed = hive_contract::path::leaves(&lowered.fields);
        let named = Change::new(Target::main(address()), action, lowered.identity.clone());
        let change = Change { desired: Some(lowered), observed: self.live().await, ..named };
        let live = change.observed.as_ref();
        Perform {
            target: change.target.clone(),
            identity: change.identity.clone(),
            mark: Mark { owner: owner(), address: address() },
            operation: self.rules.steps(&change, None).remove(0),
            expected: live.map(|live| Fingerprint::of_managed(&live.fields, &managed)),
            managed,
            token: Token::from_text(token),
            facts: Default::default(),
        }
    }

    async fn perform(&self, request: &Perform) -> Result<Outcome, Failure> {
        let (secrets, cancel) = (Secrets::default(), AtomicBool::new(false));
        let context =
            Context { secrets: &secrets, guard: &Unguarded, events: &|_| {}, cancel: &cancel };
        self.rules.perform(request, &context).await
    }

    async fn create(&self) {
        self.perform(&self.change(Action::Create, &declare(&[]), "t1").await).await.expect("made");
    }
}

#[tokio::test]
async fn the_file_is_what_prometheus_loads() {
    let desk = Desk::new();
    desk.create().await;
    let text = std::fs::read_to_string(desk.file()).expect("reads");
    let (header, body) = text.split_once('\n').expect("has a header");
    assert!(header.starts_with("# hive: {") && header.contains("alert.api-down"), "{header}");
    let expected = "\
groups:
- name: \"shop.dev.api-down\"
  rules:
  - alert: \"api-down\"
    expr: \"up{job=\\\"api\\\"} == 0\"
    for: \"5m\"
    labels:
      severity: \"page\"
    annotations:
      summary: \"api is down\"
";
    assert_eq!(body, expected);
    assert!(desk.folder.path().join(".hive-run/.gitignore").exists());
}

#[tokio::test]
async fn a_rule_rewritten_by_hand_is_drift_and_its_undo_is_the_text_by_hand() {
    let desk = Desk::new();
    desk.create().await;
    let text = std::fs::read_to_string(desk.file()).expect("reads");
    let by_hand = text.replace("    for:", "    keep_firing_for: 5m\n    for:");
    std::fs::write(desk.file(), &by_hand).expect("writes");
    let live = desk.live().await.expect("live");
    assert!(live.mark.is_some() && live.fields.keys().eq(["text"]), "{live:?}");

    let update = desk.change(Action::Update, &declare(&[]), "t2").await;
    desk.perform(&update).await.expect("writes over it");
    assert!(desk.live().await.expect("live").fields.contains_key("expr"));
    let Undo::By(undo) = update.operation.undo.clone() else { panic!("no undo") };
    let mut back = desk.change(Action::Update, &declare(&[]), "t3").await;
    back.operation = *undo;
    desk.perform(&back).await.expect("goes back");
    let body = |text: &str| text.split_once('\n').map(|(_, body)| body.to_owned());
    let now = std::fs::read_to_string(desk.file()).expect("reads");
    assert_eq!(body(&now), body(&by_hand));
}

#[tokio::test]
async fn not_started_lasts() {
    let desk = Desk::new();
    let request = desk.change(Action::Create, &declare(&[]), "t1").await;
    let (secrets, cancel) = (Secrets::default(), AtomicBool::new(false));
    let context =
        Context { secrets: &secrets, guard: &Unguarded, events: &|_| {}, cancel: &cancel };
    let resolved = desk.rules.resolve(&request, &context).await.expect("resolves");
    assert_eq!(resolved, Resolution::NotStarted { sealed: true });
    assert_eq!(desk.perform(&request).await.unwrap_err().kind, FailureKind::Expired);
    assert_eq!(desk.live().await, None);
}

#[test]
fn severity_service_and_summary_have_their_place_in_the_rule() {
    let desk = Desk::new();
    let url = OutputRef { address: "service.api".parse().expect("address"), output: "url".into() };
    let annotations = Fields::from([("runbook".to_owned(), Value::Output(url))]);
    let labels = Fields::from([("tier".to_owned(), Value::Int(1))]);
    let declared = declare(&[
        ("service", Value::text("api")),
        ("labels", Value::Map(labels)),
        ("annotations", Value::Map(annotations)),
    ]);
    let fields =
        desk.rules.lower(&declared, &LowerScope { owner: owner() }).expect("lowers").fields;
    let keys =
        |key: &str| fields[key].as_map().expect("a table").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys("labels"), ["service", "severity", "tier"]);
    assert_eq!(keys("annotations"), ["runbook", "summary"]);
    assert_eq!(fields["labels"].as_map().expect("a table")["tier"], Value::text("1"));
}

#[test]
fn everything_wrong_is_said_at_once() {
    let desk = Desk::new();
    let wrong = |fields: &[(&str, Value)]| {
        let scope = LowerScope { owner: owner() };
        let found = desk.rules.lower(&declare(fields), &scope).expect_err("is wrong");
        found.iter().map(|it| it.field.to_string()).collect::<Vec<_>>()
    };
    let table = |key: &str, value: Value| Value::Map(Fields::from([(key.to_owned(), value)]));
    let many = [
        ("expr", Value::text("up == (")),
        ("for", Value::Int(-1)),
        ("labels", table("bad-name", "x".into())),
        ("annotations", table("token", Value::Secret(SecretRef::env("T")))),
        ("kind", "x".into()),
    ];
    assert_eq!(wrong(&many), ["expr", "for", "labels.bad-name", "annotations.token", "kind"]);
    assert_eq!(wrong(&[("labels", table("seen", "{{ $value }}".into()))]), ["labels.seen"]);
    assert_eq!(wrong(&[("labels", table("severity", "info".into()))]), ["severity"]);
    assert_eq!(wrong(&[("labels", table("alertname", "x".into()))]), ["labels.alertname"]);
}

#[test]
fn a_setting_that_is_not_known_yet_is_refused() {
    let settings = Fields::from([("url".to_owned(), Value::text("http://localhost:9090"))]);
    let refused = Prometheus::connect(Path::new("/"), &settings).err().expect("is refused");
    assert!(refused.message.contains("not in this version"), "{refused}");
}

#[test]
fn form_1_is_read_as_it_is() {
    let desk = Desk::new();
    let scope = LowerScope { owner: owner() };
    let fields = desk.rules.lower(&declare(&[]), &scope).expect("lowers").fields;
    assert_eq!(desk.rules.upgrade(1, fields.clone()), Ok(fields));
    assert!(matches!(desk.rules.upgrade(2, Fields::new()), Err(UpgradeError::Newer { .. })));
    assert!(matches!(desk.rules.upgrade(1, Fields::new()), Err(UpgradeError::Malformed { .. })));
}
