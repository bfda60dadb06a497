//! The suite that every provider passes.

use super::{declared, owner};
use crate::Archive;
use hive_contract::testing::conformance::{self, Fixtures, Trouble};
use hive_contract::{Declared, Fields, Provider, StackMark, Task};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

struct Places {
    folder: tempfile::TempDir,
}

impl Places {
    fn marker(&self) -> PathBuf {
        self.folder.path().join("backups/hive.json")
    }
}

impl Fixtures for Places {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(Archive::connect(self.folder.path(), &Fields::new()).expect("connects"))
    }

    fn owner(&self) -> StackMark {
        owner()
    }

    fn declared(&self, version: u32) -> Declared {
        declared("folder", if version == 1 { "data" } else { "other" }, "backups")
    }

    fn trouble(&self, trouble: Trouble) -> Option<Task<'_, ()>> {
        match trouble {
            Trouble::Meddled => {
                let text = fs::read_to_string(self.marker()).expect("reads");
                let text = text.replace("folder data", "folder by-hand");
                fs::write(self.marker(), text.replace("folder other", "folder by-hand"))
                    .expect("writes");
            }
            Trouble::Gone => fs::remove_file(self.marker()).expect("removes"),
            Trouble::Malformed => {
                fs::rename(self.marker(), self.folder.path().join("kept")).expect("moves");
                fs::write(self.marker(), "{").expect("writes");
            }
            _ => return None,
        }
        Some(Box::pin(async {}))
    }

    fn calm(&self) -> Task<'_, ()> {
        let kept = self.folder.path().join("kept");
        if kept.exists() {
            fs::rename(kept, self.marker()).expect("moves back");
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

/// Every file with its content, less what is another for each step.
fn look(folder: &Path, seen: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            look(&path, seen);
        } else if entry.file_name() == "hive.json" {
            let text = fs::read_to_string(&path).expect("reads");
            let lines = text
                .lines()
                .filter(|line| !line.contains("\"token\"") && !line.contains("\"created_ms\""));
            seen.push(format!("{} {}", path.display(), lines.collect::<String>()));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms() {
    let folder = tempfile::tempdir().expect("folder");
    let not_offered = conformance::run(&Places { folder }).await.expect("conforms");
    let of_servers = ["sealed", "secret", "forbidden", "unavailable", "slow", "unhealthy"];
    let not_here = [&["replace", "run", "stop and start"][..], &of_servers, &["upgrade"]].concat();
    assert_eq!(not_offered, not_here);
}
