//! The six verbs on real files.

use super::*;
use hive_contract::provider::{NeverWrite, Unguarded};
use hive_contract::{
    Action, Address, AskOne, Expects, FieldPath, Fingerprint, Live, Mark, Observed, Remains,
    Secrets, StackMark, Target, Token, Undo,
};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::AtomicBool;

struct Desk {
    folder: tempfile::TempDir,
    file: File,
}

fn owner() -> StackMark {
    StackMark { store: "s1".into(), stack: "shop".into(), environment: "dev".into() }
}

fn address() -> Address {
    "config.api".parse().expect("address")
}

fn declared(fields: &[(&str, &str)]) -> Declared {
    Declared {
        address: address(),
        fields: fields.iter().map(|(key, text)| ((*key).to_owned(), Value::text(*text))).collect(),
        uses: Default::default(),
        protect: false,
        ignore: Vec::new(),
    }
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let file = File::connect(folder.path(), &Fields::new()).expect("connects");
        Self { folder, file }
    }

    fn lower(&self, fields: &[(&str, &str)]) -> Lowered {
        self.file.lower(&declared(fields), &LowerScope { owner: owner() }).expect("lowers")
    }

    async fn observe(&self, identity: &str) -> Result<Observed, Failure> {
        let target = Target::main(address());
        let one =
            AskOne { target: target.clone(), identity: identity.to_owned(), access: Fields::new() };
        let ask = Ask { parts: vec![one], ..Ask::default() };
        self.file.observe(&ask, &Secrets::default()).await?.found.remove(&target).expect("answers")
    }

    async fn live(&self, identity: &str) -> Option<Live> {
        self.observe(identity).await.expect("reads").live().cloned()
    }

    async fn change(&self, action: Action, lowered: Lowered) -> Change {
        let named = Change::new(Target::main(address()), action, lowered.identity.clone());
        Change { observed: self.live(&lowered.identity).await, desired: Some(lowered), ..named }
    }

    /// The request for the only step of a change.
    async fn request(&self, action: Action, fields: &[(&str, &str)], token: &str) -> Perform {
        let lowered = self.lower(fields);
        let managed = hive_contract::path::leaves(&lowered.fields);
        let change = self.change(action, lowered).await;
        let operation = self.file.steps(&change, None).remove(0);
        self.request_of(&change, operation, managed, token)
    }

    fn request_of(
        &self,
        change: &Change,
        operation: Operation,
        managed: Vec<FieldPath>,
        token: &str,
    ) -> Perform {
        let live = change.observed.as_ref();
        Perform {
            target: change.target.clone(),
            identity: change.identity.clone(),
            mark: Mark { owner: owner(), address: address() },
            expected: live.map(|live| Fingerprint::of_managed(&live.fields, &managed)),
            managed,
            operation,
            token: Token::from_text(token),
            facts: Default::default(),
        }
    }

    async fn perform(&self, request: &Perform) -> Result<Outcome, Failure> {
        guarded(&self.file, request, &Unguarded).await
    }

    async fn resolve(&self, request: &Perform) -> Resolution {
        let secrets = Secrets::default();
        let cancel = AtomicBool::new(false);
        let context =
            Context { secrets: &secrets, guard: &Unguarded, events: &|_| {}, cancel: &cancel };
        self.file.resolve(request, &context).await.expect("resolves")
    }

    /// What a holder that died half-way had made.
    fn claim(&self, request: &Perform) -> hive_objects::Claim {
        self.file.base.claims("dev").make(&request.token).expect("claims")
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }
}

async fn guarded(
    file: &File,
    request: &Perform,
    guard: &dyn hive_contract::Guard,
) -> Result<Outcome, Failure> {
    let secrets = Secrets::default();
    let cancel = AtomicBool::new(false);
    file.perform(request, &Context { secrets: &secrets, guard, events: &|_| {}, cancel: &cancel })
        .await
}

const FILE: &str = ".hive-run/dev/config/api";
const V1: &[(&str, &str)] = &[("content", "one\n")];
const V2: &[(&str, &str)] = &[("content", "two\n"), ("mode", "0600")];

#[tokio::test]
async fn what_is_written_is_what_was_lowered() {
    let desk = Desk::new();
    let lowered = desk.lower(V2);
    assert_eq!(desk.live(&lowered.identity).await, None);
    let request = desk.request(Action::Create, V2, "t1").await;
    let live = desk.perform(&request).await.expect("writes").live.expect("live");
    assert_eq!(live.fields, lowered.fields);
    assert_eq!(live.mark, Some(request.mark.clone()));
    assert_eq!(live.outputs["path"], Value::text(FILE));
    assert!(lowered.outputs.keys().eq(live.outputs.keys()));
    assert_eq!(desk.live(&lowered.identity).await, Some(live));
    let mode = desk.path(FILE).metadata().expect("file").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let again = desk.perform(&request).await.expect("the same token is one effect");
    assert_eq!(again.live.map(|live| live.token), Some(Some(Token::from_text("t1"))));
    assert_eq!(std::fs::read_dir(desk.path(".hive-run/dev/config/.steps")).unwrap().count(), 0);
}

#[tokio::test]
async fn an_update_and_its_undo_end_where_they_began() {
    let desk = Desk::new();
    desk.perform(&desk.request(Action::Create, V1, "t1").await).await.expect("creates");
    let before = desk.live("dev/config.api").await.expect("live");
    let request = desk.request(Action::Update, V2, "t2").await;
    desk.perform(&request).await.expect("updates");
    let Undo::By(undo) = request.operation.undo.clone() else { panic!("no undo") };
    let now = desk.change(Action::Update, desk.lower(V1)).await;
    let back = desk.request_of(&now, *undo, request.managed.clone(), "t3");
    desk.perform(&back).await.expect("goes back");
    assert_eq!(desk.live("dev/config.api").await.expect("live").fields, before.fields);
}

#[tokio::test]
async fn a_delete_takes_file_and_mark_away_and_its_undo_brings_them_back() {
    let desk = Desk::new();
    desk.perform(&desk.request(Action::Create, V1, "t1").await).await.expect("creates");
    let request = desk.request(Action::Delete, V1, "t2").await;
    assert_eq!(desk.perform(&request).await.expect("removes"), Outcome::nothing());
    assert_eq!(desk.perform(&request).await.expect("again"), Outcome::nothing());
    assert!(
        !desk.path(FILE).exists() && !desk.path(".hive-run/dev/config/.marks/api.json").exists()
    );
    let Undo::By(undo) = request.operation.undo.clone() else { panic!("no undo") };
    assert_eq!(undo.expects, Expects::Absent);
    let now = desk.change(Action::Create, desk.lower(V1)).await;
    desk.perform(&desk.request_of(&now, *undo, request.managed.clone(), "t3")).await.expect("back");
    assert_eq!(std::fs::read_to_string(desk.path(FILE)).unwrap(), "one\n");
}

#[tokio::test]
async fn a_file_changed_by_hand_is_not_written_over() {
    let desk = Desk::new();
    desk.perform(&desk.request(Action::Create, V1, "t1").await).await.expect("creates");
    let request = desk.request(Action::Update, V2, "t2").await;
    std::fs::write(desk.path(FILE), "by hand").unwrap();
    assert_eq!(desk.perform(&request).await.unwrap_err().kind, FailureKind::Moved);
    assert_eq!(std::fs::read_to_string(desk.path(FILE)).unwrap(), "by hand");
    assert!(matches!(desk.resolve(&request).await, Resolution::Foreign { .. }));
}

#[tokio::test]
async fn a_file_of_nobody_is_present_without_a_mark_and_can_be_adopted() {
    let desk = Desk::new();
    let fields = [("content", "mine"), ("path", "etc/api.toml")];
    std::fs::create_dir(desk.path("etc")).unwrap();
    std::fs::write(desk.path("etc/api.toml"), "mine").unwrap();
    let identity = desk.lower(&fields).identity;
    assert_eq!(desk.live(&identity).await.expect("present").mark, None);
    let create = desk.request(Action::Create, &fields, "t1").await;
    assert_eq!(desk.perform(&create).await.unwrap_err().kind, FailureKind::Moved);

    let adopt = desk.request(Action::Adopt, &fields, "t2").await;
    let live = desk.perform(&adopt).await.expect("adopts").live.expect("live");
    assert_eq!(live.mark, Some(adopt.mark.clone()));
    let ask = Ask { marked: Some(owner()), ..Ask::default() };
    assert_eq!(desk.file.observe(&ask, &Secrets::default()).await.expect("reads").marked, [live]);

    let forget = desk.request(Action::Forget, &fields, "t3").await;
    assert_eq!(desk.perform(&forget).await.expect("forgets").live.expect("live").mark, None);
    assert!(desk.file.observe(&ask, &Secrets::default()).await.expect("reads").marked.is_empty());
    assert_eq!(std::fs::read_to_string(desk.path("etc/api.toml")).unwrap(), "mine");
}

#[tokio::test]
async fn another_environment_sees_whose_a_declared_path_is() {
    let desk = Desk::new();
    let fields = [("content", "x"), ("path", "etc/api.toml")];
    desk.perform(&desk.request(Action::Create, &fields, "t1").await).await.expect("creates");
    let live = desk.live("staging/config.api:etc/api.toml").await.expect("present");
    assert_eq!(live.mark.expect("marked").owner.environment, "dev");
}

#[tokio::test]
async fn nothing_is_written_without_the_lease() {
    let desk = Desk::new();
    let request = desk.request(Action::Create, V1, "t1").await;
    let failure = guarded(&desk.file, &request, &NeverWrite).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Expired);
    assert!(!desk.path(".hive-run").exists());
}

#[tokio::test]
async fn not_started_lasts() {
    let desk = Desk::new();
    let request = desk.request(Action::Create, V1, "t1").await;
    assert_eq!(desk.resolve(&request).await, Resolution::NotStarted { sealed: true });
    let late = desk.perform(&request).await.unwrap_err();
    assert_eq!(late.kind, FailureKind::Expired);
    assert_eq!(desk.live("dev/config.api").await, None);
    let next = desk.request(Action::Create, V1, "t2").await;
    desk.perform(&next).await.expect("the next attempt has its own token");
    assert!(matches!(desk.resolve(&next).await, Resolution::Done(_)));
}

#[tokio::test]
async fn a_late_holder_between_its_preparation_and_its_rename_has_no_effect() {
    let desk = Desk::new();
    let request = desk.request(Action::Create, V1, "t1").await;
    let claim = desk.claim(&request);
    claim.prepare(perform::CONTENT, b"one\n", 0o644, true).unwrap();
    assert_eq!(desk.resolve(&request).await, Resolution::NotStarted { sealed: true });
    let late = claim.install_new(perform::CONTENT, &desk.path(FILE));
    assert!(late.is_err() && !desk.path(FILE).exists());
}

#[tokio::test]
async fn a_step_that_died_between_its_two_renames_is_completed() {
    let desk = Desk::new();
    let request = desk.request(Action::Create, V1, "t1").await;
    let claim = desk.claim(&request);
    claim.prepare(perform::CONTENT, b"one\n", 0o644, true).unwrap();
    claim.prepare(perform::SIDECAR, b"torn", 0o644, false).unwrap();
    claim.install(perform::CONTENT, &desk.path(FILE)).unwrap();
    assert!(matches!(desk.resolve(&request).await, Resolution::Partly { .. }));
    let live = desk.perform(&request).await.expect("completes").live.expect("live");
    assert_eq!(live.mark, Some(request.mark.clone()));
    assert!(matches!(desk.resolve(&request).await, Resolution::Done(_)));

    let delete = desk.request(Action::Delete, V1, "t2").await;
    let claim = desk.claim(&delete);
    claim.take(&desk.path(FILE), perform::CONTENT).unwrap();
    assert!(matches!(desk.resolve(&delete).await, Resolution::Partly { .. }));
    assert_eq!(desk.perform(&delete).await.expect("completes"), Outcome::nothing());
    assert_eq!(desk.resolve(&delete).await, Resolution::Done(Outcome::nothing()));
}

#[tokio::test]
async fn what_is_no_text_is_compared_by_its_digest_and_cannot_be_brought_back() {
    let desk = Desk::new();
    desk.perform(&desk.request(Action::Create, V1, "t1").await).await.expect("creates");
    for bytes in [vec![0xff, 0xfe], vec![b'a'; (read::LIMIT + 1) as usize]] {
        std::fs::write(desk.path(FILE), &bytes).unwrap();
        let live = desk.live("dev/config.api").await.expect("live");
        let content = live.fields["content"].as_text().expect("text").to_owned();
        assert!(content.contains(&lower::digest_of(&bytes)), "{content}");
        let request = desk.request(Action::Update, V2, "t2").await;
        assert!(matches!(request.operation.undo, Undo::None { .. }));
    }
    let request = desk.request(Action::Update, V2, "t2").await;
    desk.perform(&request).await.expect("overwrites");
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_and_not_absent() {
    let desk = Desk::new();
    desk.perform(&desk.request(Action::Create, V1, "t1").await).await.expect("creates");
    std::fs::remove_file(desk.path(FILE)).unwrap();
    std::fs::create_dir(desk.path(FILE)).unwrap();
    let failure = desk.observe("dev/config.api").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Malformed);
    std::fs::remove_dir(desk.path(FILE)).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", desk.path(FILE)).unwrap();
    assert!(desk.observe("dev/config.api").await.is_err());
    std::fs::remove_file(desk.path(FILE)).unwrap();
    std::fs::write(desk.path(FILE), "one\n").unwrap();
    std::fs::write(desk.path(".hive-run/dev/config/.marks/api.json"), "{").unwrap();
    let failure = desk.observe("dev/config.api").await.unwrap_err();
    assert!(failure.message.contains("damaged"), "{failure}");
}

#[tokio::test]
async fn a_declared_path_does_not_leave_the_folder_through_a_link() {
    let desk = Desk::new();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), desk.path("out")).unwrap();
    let identity = "dev/config.api:out/deep/file";
    assert_eq!(desk.observe(identity).await.unwrap_err().kind, FailureKind::Forbidden);
}

#[tokio::test]
async fn a_failure_leaves_nothing() {
    let desk = Desk::new();
    let request = desk.request(Action::Create, V1, "t1").await;
    std::fs::create_dir_all(desk.path(".hive-run/dev")).unwrap();
    std::fs::write(desk.path(".hive-run/dev/config"), "in the way").unwrap();
    let failure = desk.perform(&request).await.unwrap_err();
    assert_eq!(failure.remains, Remains::Nothing);
}

#[test]
fn everything_wrong_is_said_at_once() {
    let desk = Desk::new();
    let wrong = |fields: &[(&str, &str)]| {
        let scope = LowerScope { owner: owner() };
        desk.file.lower(&declared(fields), &scope).unwrap_err()
    };
    let found = wrong(&[("mode", "rw"), ("path", "../x"), ("colour", "red")]);
    let fields: Vec<String> = found.iter().map(|it| it.field.to_string()).collect();
    assert_eq!(fields, ["", "mode", "path", "colour"]);
    assert_eq!(wrong(&[("content", ""), ("path", ".hive-run/x")]).len(), 1);
    assert_eq!(wrong(&[("content", ""), ("mode", "1777")]).len(), 1);
    assert_eq!(wrong(&[("content", &"x".repeat(1 << 21))]).len(), 1);
}

#[test]
fn the_identity_does_not_depend_on_the_store() {
    let desk = Desk::new();
    let mut scope = LowerScope { owner: owner() };
    let first = desk.file.lower(&declared(V1), &scope);
    scope.owner.store = String::new();
    assert_eq!(desk.file.lower(&declared(V1), &scope), first);
}

#[test]
fn form_1_is_read_as_it_is() {
    let desk = Desk::new();
    let fields = desk.lower(V1).fields;
    assert_eq!(desk.file.upgrade(1, fields.clone()), Ok(fields));
    assert!(matches!(desk.file.upgrade(2, Fields::new()), Err(UpgradeError::Newer { .. })));
    assert!(matches!(desk.file.upgrade(1, Fields::new()), Err(UpgradeError::Malformed { .. })));
}
