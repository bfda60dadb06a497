//! The suite that every provider passes, on real processes: once with a port, which is ended
//! before its successor starts, once without.

use crate::world::{CANARY, SUBJECT, World, kill, map, with};
use hive_contract::testing::conformance::{self, Fixtures, Trouble};
use hive_contract::{Declared, Provider, SecretRef, StackMark, Task, Value};
use hive_process::{Settling, program};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

struct Services {
    world: World,
    arguments: &'static [&'static str],
    replicas: i64,
}

impl Services {
    fn kept(&self) -> std::path::PathBuf {
        self.world.path("kept.json")
    }

    /// A script is hashed in no time, which counts where everything is done a hundred times.
    fn started_by_a_script(&self, declared: Declared) -> Declared {
        let script = self.world.path("run.sh");
        if !script.exists() {
            fs::write(&script, format!("#!/bin/sh\nexec {SUBJECT} $1\n")).expect("writes");
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("mode");
        }
        let digest = program::digest(&script).expect("digests");
        let program = map([("name", "./run.sh".into()), ("digest", digest.as_str().into())]);
        let command = vec!["./run.sh".into(), self.arguments[0].into()];
        let declared = with(declared, "process.command", Value::List(command));
        with(declared, "process.program", program)
    }

    fn record(&self) -> std::path::PathBuf {
        self.world.path(".hive-run/dev/service.api/service.json")
    }
}

impl Fixtures for Services {
    fn provider(&self) -> Arc<dyn Provider> {
        let soon =
            Settling { alive: Duration::from_millis(30), healthy: Duration::from_millis(20) };
        Arc::new(self.world.process().settling(soon))
    }

    fn owner(&self) -> StackMark {
        self.world.owner()
    }

    fn declared(&self, version: u32) -> Declared {
        let text = format!("v{version}");
        let declared =
            self.started_by_a_script(self.world.declared(self.arguments, &text, self.replicas));
        let files = map([("/etc/api.toml", Value::Text(format!("version = {version}\n")))]);
        let mut declared = with(declared, "files", files);
        if self.arguments == ["serve"] {
            declared = with(declared, "health.grace", 1_000.into());
        }
        declared
    }

    fn with_secret(&self) -> Option<Declared> {
        let secret = Value::Secret(SecretRef::env("SECRET"));
        Some(with(self.declared(1), "environment.SECRET", secret))
    }

    fn trouble(&self, trouble: Trouble) -> Option<Task<'_, ()>> {
        let serves = self.arguments == ["serve"];
        match trouble {
            Trouble::Slow if serves => self.world.control("slow"),
            Trouble::Unhealthy if serves => self.world.control("sick"),
            Trouble::Malformed => {
                fs::rename(self.record(), self.kept()).expect("moves");
                fs::write(self.record(), "{").expect("writes");
            }
            Trouble::Meddled => {
                let file = self.world.start_folder(0).join("files/etc/api.toml");
                fs::write(file, "by hand").expect("writes");
            }
            Trouble::Gone => {
                while let Some(first) = self.world.all().first() {
                    kill(first.pid, Signal::KILL);
                }
                fs::remove_dir_all(self.world.path(".hive-run/dev")).expect("removes");
            }
            _ => return None,
        }
        Some(Box::pin(async {}))
    }

    fn calm(&self) -> Task<'_, ()> {
        if self.kept().exists() {
            fs::rename(self.kept(), self.record()).expect("moves back");
        }
        self.world.control("");
        Box::pin(async {})
    }

    fn witness(&self) -> Option<Task<'_, String>> {
        let seen = self.world.versions().join(", ");
        Some(Box::pin(async move { seen }))
    }

    fn polls(&self) -> u32 {
        10
    }
}

async fn conforms(arguments: &'static [&'static str], replicas: i64) -> Vec<&'static str> {
    let services = Services { world: World::new(), arguments, replicas };
    let not_offered = conformance::run(&services).await.expect("conforms");
    // The secret reached the services and no file of hive's.
    let mut open = vec![services.world.path(".hive-run")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).expect("lists").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_none_or(|it| it != "log") {
                // A log is what the service wrote.
                let bytes = fs::read(&path).expect("reads");
                let text = String::from_utf8_lossy(&bytes);
                assert!(!text.contains(CANARY), "{}", path.display());
            }
        }
    }
    not_offered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_with_a_port_conforms() {
    let not_offered = conforms(&["serve"], 1).await;
    assert_eq!(not_offered, ["replace", "forbidden", "unavailable", "upgrade"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_without_a_port_conforms() {
    let not_offered = conforms(&["idle"], 2).await;
    let expected = ["replace", "forbidden", "unavailable", "slow", "unhealthy", "upgrade"];
    assert_eq!(not_offered, expected);
}
