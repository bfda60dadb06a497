//! The suite that every provider passes, on real files.

use crate::File;
use hive_contract::testing::conformance::{self, Fixtures, Trouble};
use hive_contract::{Declared, Fields, Provider, StackMark, Task, Value};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

struct Files {
    folder: tempfile::TempDir,
    path: Option<&'static str>,
}

impl Files {
    fn live(&self) -> std::path::PathBuf {
        self.folder.path().join(self.path.unwrap_or(".hive-run/dev/config/api"))
    }

    fn sidecar(&self) -> std::path::PathBuf {
        let marks = match self.path {
            None => ".hive-run/dev/config/.marks",
            Some(_) => ".hive-run/_paths",
        };
        let marks = fs::read_dir(self.folder.path().join(marks)).expect("a sidecar is there");
        marks.flatten().next().expect("a sidecar is there").path()
    }

    fn declare(&self, content: &str, mode: &str, path: Option<&str>) -> Declared {
        let mut fields = Fields::from([
            ("content".to_owned(), Value::text(content)),
            ("mode".to_owned(), Value::text(mode)),
        ]);
        if let Some(path) = path {
            fields.insert("path".to_owned(), Value::text(path));
        }
        Declared {
            address: "config.api".parse().expect("address"),
            fields,
            uses: BTreeSet::new(),
            protect: false,
            ignore: Vec::new(),
        }
    }
}

impl Fixtures for Files {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(File::connect(self.folder.path(), &Fields::new()).expect("connects"))
    }

    fn owner(&self) -> StackMark {
        let text = str::to_owned;
        StackMark { store: text("s1"), stack: text("shop"), environment: text("dev") }
    }

    fn declared(&self, version: u32) -> Declared {
        match version {
            1 => self.declare("one\n", "0644", self.path),
            _ => self.declare("two\n", "0600", self.path),
        }
    }

    fn replaced(&self) -> Option<Declared> {
        Some(self.declare("one\n", "0644", Some("etc/other.toml"))).filter(|_| self.path.is_some())
    }

    fn trouble(&self, trouble: Trouble) -> Option<Task<'_, ()>> {
        match trouble {
            Trouble::Meddled => fs::write(self.live(), "by hand").expect("writes"),
            Trouble::Gone => fs::remove_file(self.live()).expect("removes"),
            Trouble::Malformed => {
                let sidecar = self.sidecar();
                fs::rename(&sidecar, self.folder.path().join("kept")).expect("moves");
                fs::write(&sidecar, "{").expect("writes");
            }
            _ => return None,
        }
        Some(Box::pin(async {}))
    }

    fn calm(&self) -> Task<'_, ()> {
        let kept = self.folder.path().join("kept");
        if kept.exists() {
            fs::rename(kept, self.sidecar()).expect("moves back");
        }
        Box::pin(async {})
    }

    fn witness(&self) -> Option<Task<'_, String>> {
        let mut seen = Vec::new();
        look(self.folder.path(), &mut seen);
        seen.sort();
        Some(Box::pin(async move { seen.join("\n") }))
    }
}

/// Every file with its mode and content, less the steps' own folders and the sidecars' tokens.
fn look(folder: &Path, seen: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        match name.to_str() {
            Some(".steps" | "kept") => {}
            _ if path.is_dir() => look(&path, seen),
            _ => {
                let mode = entry.metadata().expect("reads").permissions().mode();
                let text = fs::read_to_string(&path).expect("reads");
                let text = text.split("\"token\"").next().unwrap_or_default();
                seen.push(format!("{} {mode:o} {text}", path.display()));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms() {
    let folder = tempfile::tempdir().expect("folder");
    let not_offered = conformance::run(&Files { folder, path: None }).await.expect("conforms");
    let not_here = ["replace", "run", "stop and start", "secret", "forbidden", "unavailable"];
    assert_eq!(not_offered[..6], not_here);
    assert_eq!(not_offered[6..], ["slow", "unhealthy", "upgrade"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms_at_a_declared_path() {
    let folder = tempfile::tempdir().expect("folder");
    let files = Files { folder, path: Some("etc/api.toml") };
    let not_offered = conformance::run(&files).await.expect("conforms");
    assert!(!not_offered.contains(&"replace"), "{not_offered:?}");
}
