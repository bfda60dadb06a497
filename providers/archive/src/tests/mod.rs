//! Whole rounds through the provider, on real files.

mod conforms;
mod folders;
mod repositories;

use crate::Archive;
use hive_contract::mark::Way;
use hive_contract::provider::Unguarded;
use hive_contract::{
    Action, Ask, AskOne, Change, Context, Declared, Failure, Fields, Fingerprint, Live, LowerScope,
    Lowered, Mark, Observed, Operation, Outcome, Perform, Provider, Resolution, Secrets, StackMark,
    Target, Token, Value,
};
use hive_sql::manifest::Manifest;
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::Poll;

fn owner() -> StackMark {
    let text = str::to_owned;
    StackMark { store: text("s1"), stack: text("shop"), environment: text("dev") }
}

/// A declared backup of something in the stack's folder.
fn declared(engine: &str, path: &str, destination: &str) -> Declared {
    let of = Fields::from([
        ("engine".to_owned(), Value::text(engine)),
        ("path".to_owned(), Value::text(path)),
    ]);
    Declared {
        address: "backup.main".parse().expect("address"),
        fields: Fields::from([
            ("of".to_owned(), Value::Map(of)),
            ("destination".to_owned(), Value::text(destination)),
        ]),
        uses: BTreeSet::new(),
        protect: false,
        ignore: Vec::new(),
    }
}

/// One stack with one backup.
struct Desk {
    folder: tempfile::TempDir,
    provider: Archive,
    lowered: Lowered,
    secrets: Secrets,
    tokens: AtomicU32,
}

impl Desk {
    /// Registered, with nothing backed up yet.
    async fn new(engine: &str) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let provider = Archive::connect(folder.path(), &Fields::new()).expect("connects");
        let scope = LowerScope { owner: owner() };
        let lowered = provider.lower(&declared(engine, "data", "backups"), &scope).expect("lowers");
        let desk = Self {
            folder,
            provider,
            lowered,
            secrets: Secrets::default(),
            tokens: AtomicU32::new(0),
        };
        let mut change = desk.change(Action::Create, None);
        change.observed = None;
        for step in desk.provider.steps(&change, None) {
            desk.perform(&step).await.expect("registers");
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn change(&self, action: Action, live: Option<Live>) -> Change {
        let target = Target::main("backup.main".parse().expect("address"));
        let mut change = Change::new(target, action, self.lowered.identity.clone());
        change.desired = Some(self.lowered.clone());
        change.observed = live;
        change
    }

    async fn live(&self) -> Live {
        let target = Target::main("backup.main".parse().expect("address"));
        let one = AskOne {
            target: target.clone(),
            identity: self.lowered.identity.clone(),
            access: self.lowered.access.clone(),
        };
        let ask = Ask { parts: vec![one], ..Ask::default() };
        let mut seen = self.provider.observe(&ask, &self.secrets).await.expect("observes");
        match seen.found.remove(&target) {
            Some(Ok(Observed::Present(live))) => live,
            other => panic!("not there: {other:?}"),
        }
    }

    /// The steps that are asked for in these words.
    async fn steps(&self, run: &[(&str, &str)]) -> Vec<Operation> {
        let mut change = self.change(Action::Run, Some(self.live().await));
        let mut asked: Fields =
            run.iter().map(|(key, text)| ((*key).to_owned(), Value::text(*text))).collect();
        asked.insert("now_ms".to_owned(), Value::Int(hive_backup::now_ms()));
        change.run = Some(asked);
        self.provider.steps(&change, None)
    }

    fn request(&self, step: &Operation) -> Perform {
        let count = self.tokens.fetch_add(1, Ordering::SeqCst);
        Perform {
            target: Target::main("backup.main".parse().expect("address")),
            identity: self.lowered.identity.clone(),
            mark: Mark { owner: owner(), address: "backup.main".parse().expect("address") },
            operation: step.clone(),
            expected: None,
            managed: Vec::new(),
            token: Token::new(&Fingerprint::of("desk"), "test", count, Way::There, 1),
            facts: BTreeMap::new(),
        }
    }

    async fn perform(&self, step: &Operation) -> Result<Outcome, Failure> {
        self.call(&self.request(step), None).await.expect("was not cut off")
    }

    /// Performs, cut off after so many polls; none where it was.
    async fn call(
        &self,
        request: &Perform,
        polls: Option<u32>,
    ) -> Option<Result<Outcome, Failure>> {
        let cancel = AtomicBool::new(false);
        let context =
            Context { secrets: &self.secrets, guard: &Unguarded, events: &|_| {}, cancel: &cancel };
        let mut task = self.provider.perform(request, &context);
        let mut left = polls;
        poll_fn(|waker| match (task.as_mut().poll(waker), &mut left) {
            (Poll::Ready(done), _) => Poll::Ready(Some(done)),
            (Poll::Pending, Some(0)) => Poll::Ready(None),
            (Poll::Pending, Some(left)) => {
                *left -= 1;
                Poll::Pending
            }
            (Poll::Pending, None) => Poll::Pending,
        })
        .await
    }

    async fn resolve(&self, request: &Perform) -> Resolution {
        let cancel = AtomicBool::new(false);
        let context =
            Context { secrets: &self.secrets, guard: &Unguarded, events: &|_| {}, cancel: &cancel };
        self.provider.resolve(request, &context).await.expect("resolves")
    }

    /// Makes a backup and says its id.
    async fn back_up(&self) -> Result<String, Failure> {
        let steps = self.steps(&[("verb", "run"), ("kind", "safety")]).await;
        let [step] = steps.as_slice() else { panic!("{steps:?}") };
        let outcome = self.perform(step).await?;
        let live = outcome.live.expect("is there");
        Ok(live.outputs["id"].as_text().expect("text").to_owned())
    }

    async fn verify(&self, id: &str) -> Result<Outcome, Failure> {
        let steps = self.steps(&[("verb", "verify"), ("id", id)]).await;
        self.perform(&steps[0]).await
    }

    async fn unpack(&self, id: &str, to: &str) -> Operation {
        let mut steps = self.steps(&[("verb", "unpack"), ("id", id), ("to", to)]).await;
        assert_eq!(steps.len(), 1);
        steps.remove(0)
    }

    fn manifest(&self, id: &str) -> Manifest {
        let bytes = std::fs::read(self.path("backups").join(id).join("manifest.json"));
        Manifest::from_json(&bytes.expect("reads")).expect("is one")
    }

    fn data(&self, id: &str) -> PathBuf {
        self.path("backups").join(id).join(&self.manifest(id).objects[0].key)
    }

    /// Nothing of hive's own is left but what is meant to stay.
    fn assert_swept(&self) {
        for folder in [self.folder.path(), &self.path(".hive-run/_archive")] {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name().into_string().expect("text");
                assert!(!name.contains(".hive-") || name == ".hive-run", "{name} is left");
                assert!(folder == self.folder.path() || name == ".gitignore", "{name} is left");
            }
        }
    }
}

/// Every entry below a folder: its name, mode, time to the nanosecond, and content.
fn look(folder: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let mut seen = Vec::new();
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        let meta = path.symlink_metadata().expect("is there");
        let name = path.strip_prefix(folder).expect("below").display().to_string();
        let what = if meta.is_symlink() {
            format!("-> {}", std::fs::read_link(&path).expect("reads").display())
        } else if meta.is_dir() {
            left.extend(
                std::fs::read_dir(&path).expect("reads").map(|one| one.expect("reads").path()),
            );
            format!("{:o}", meta.mode())
        } else {
            let content = std::fs::read(&path).expect("reads");
            format!("{:o} {} {}", meta.mode(), meta.nlink(), Fingerprint::of_bytes(&content))
        };
        seen.push(format!("{name} {}.{:09} {what}", meta.mtime(), meta.mtime_nsec()));
    }
    seen.sort();
    seen
}
