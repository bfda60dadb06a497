//! The suite that every provider passes.

use super::toy::{Toy, declared, encrypt, owner};
use hive_contract::testing::conformance::{self, Fixtures, Trouble};
use hive_contract::{Declared, Provider, StackMark, Task};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

struct Places {
    folder: tempfile::TempDir,
}

impl Fixtures for Places {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(Toy::new(self.folder.path()))
    }

    fn owner(&self) -> StackMark {
        owner()
    }

    fn declared(&self, version: u32) -> Declared {
        match version {
            1 => declared(&[]),
            _ => declared(&[("encrypt", encrypt())]),
        }
    }

    fn trouble(&self, trouble: Trouble) -> Option<Task<'_, ()>> {
        let marker = self.folder.path().join("backups/hive.json");
        match trouble {
            Trouble::Meddled => {
                let text = fs::read_to_string(&marker).expect("reads");
                fs::write(&marker, text.replace("database.main", "database.x")).expect("writes");
            }
            Trouble::Gone => fs::remove_file(marker).expect("removes"),
            Trouble::Malformed => {
                fs::rename(&marker, self.folder.path().join("kept")).expect("moves");
                fs::write(&marker, "{").expect("writes");
            }
            _ => return None,
        }
        Some(Box::pin(async {}))
    }

    fn calm(&self) -> Task<'_, ()> {
        let kept = self.folder.path().join("kept");
        if kept.exists() {
            fs::rename(kept, self.folder.path().join("backups/hive.json")).expect("moves back");
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

/// Every file with its mode and content, less what is half written, tokens and times.
fn look(folder: &Path, seen: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        match name.to_str() {
            Some(".partial" | "kept") => {}
            _ if path.is_dir() => look(&path, seen),
            _ => {
                let mode = entry.metadata().expect("reads").permissions().mode();
                let text = fs::read_to_string(&path).expect("reads");
                let timeless = |line: &&str| !line.contains("token") && !line.contains("_ms");
                let text: Vec<&str> = text.lines().filter(timeless).collect();
                seen.push(format!("{} {mode:o} {text:?}", path.display()));
            }
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
