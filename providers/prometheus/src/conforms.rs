//! The suite that every provider passes, on real rule files.

use crate::Prometheus;
use hive_contract::testing::conformance::{self, Fixtures, Trouble};
use hive_contract::{Declared, Fields, Provider, StackMark, Task, Value};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

struct Rules(tempfile::TempDir);

impl Rules {
    fn file(&self) -> PathBuf {
        self.0.path().join("rules/shop.dev.api-down.yml")
    }
}

pub(crate) fn declare(fields: &[(&str, Value)]) -> Declared {
    let mut all = Fields::from([
        ("expr".to_owned(), Value::text("up{job=\"api\"} == 0")),
        ("for".to_owned(), Value::Int(300_000)),
        ("severity".to_owned(), Value::text("page")),
        ("summary".to_owned(), Value::text("api is down")),
    ]);
    all.extend(fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    Declared {
        address: "alert.api-down".parse().expect("address"),
        fields: all,
        uses: BTreeSet::new(),
        protect: false,
        ignore: Vec::new(),
    }
}

pub(crate) fn owner() -> StackMark {
    let text = str::to_owned;
    StackMark { store: text("s1"), stack: text("shop"), environment: text("dev") }
}

impl Fixtures for Rules {
    fn provider(&self) -> Arc<dyn Provider> {
        let settings = Fields::from([("rules".to_owned(), Value::text("rules"))]);
        Arc::new(Prometheus::connect(self.0.path(), &settings).expect("connects"))
    }

    fn owner(&self) -> StackMark {
        owner()
    }

    fn declared(&self, version: u32) -> Declared {
        match version {
            1 => declare(&[]),
            _ => declare(&[("for", Value::Int(60_000)), ("expr", Value::text("up == 0"))]),
        }
    }

    fn trouble(&self, trouble: Trouble) -> Option<Task<'_, ()>> {
        let file = self.file();
        match trouble {
            Trouble::Meddled => {
                let text = fs::read_to_string(&file).expect("reads");
                fs::write(file, text.replace("5m", "10m")).expect("writes");
            }
            Trouble::Gone => fs::remove_file(file).expect("removes"),
            Trouble::Malformed => {
                fs::rename(&file, self.0.path().join("kept")).expect("moves");
                fs::write(file, "# hive: {").expect("writes");
            }
            _ => return None,
        }
        Some(Box::pin(async {}))
    }

    fn calm(&self) -> Task<'_, ()> {
        let kept = self.0.path().join("kept");
        if kept.exists() {
            fs::rename(kept, self.file()).expect("moves back");
        }
        Box::pin(async {})
    }

    fn witness(&self) -> Option<Task<'_, String>> {
        let text = fs::read_to_string(self.file()).unwrap_or_default();
        let (header, body) = text.split_once('\n').unwrap_or_default();
        let header = header.split("\"token\"").next().unwrap_or_default();
        let seen = format!("{header}\n{body}");
        Some(Box::pin(async move { seen }))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms() {
    let rules = Rules(tempfile::tempdir().expect("folder"));
    let not_offered = conformance::run(&rules).await.expect("conforms");
    let not_here = ["replace", "run", "stop and start", "secret", "forbidden", "unavailable"];
    assert_eq!(not_offered[..6], not_here);
    assert_eq!(not_offered[6..], ["slow", "unhealthy", "upgrade"]);
}
