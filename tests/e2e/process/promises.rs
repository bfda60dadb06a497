//! P1 to P8 by name.

use super::scenario::{broken, shop};
use crate::lab::{Lab, kill, until};
use std::collections::BTreeMap;
use std::fs;

fn applied(version: &str) -> (Lab, BTreeMap<String, String>) {
    let lab = Lab::new(&shop(version));
    lab.expect(0, &["apply", "-y"]);
    let world = lab.world();
    assert_eq!(world.keys().filter(|it| it.starts_with("process")).count(), 3, "{world:?}");
    (lab, world)
}

#[test]
fn p1_a_plan_is_refused_when_what_it_touches_moved() {
    let (lab, world) = applied("a");
    lab.stack(&shop("b"));
    lab.expect(0, &["plan", "-o", "plan.json"]);

    // The live object: a replica dies between plan and apply.
    let victim =
        lab.processes().into_iter().find(|it| it.address == "service.front").expect("runs");
    kill(victim.pid, "KILL");
    until("the front is gone", || lab.processes().len() == 2);
    lab.expect(3, &["apply", "plan.json", "-y"]).says("service.front");
    let after = lab.world();
    assert_eq!(after.len(), world.len() - 1, "nothing else was touched: {after:?}");

    // The record: another apply in between.
    lab.expect(0, &["apply", "-y"]);
    lab.expect(3, &["apply", "plan.json", "-y"]).says("moved");
}

#[test]
fn p1_a_plan_with_a_changed_byte_is_refused() {
    let (lab, world) = applied("a");
    lab.stack(&shop("b"));
    lab.expect(0, &["plan", "-o", "plan.json"]);
    let bytes = fs::read(lab.path("plan.json")).expect("a plan");
    for at in (0..bytes.len()).step_by(bytes.len() / 40 + 1) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(lab.path("bad.json"), &changed).expect("writes");
        lab.expect(3, &["apply", "bad.json", "-y"]);
    }
    assert_eq!(lab.world(), world);
    lab.expect(0, &["apply", "plan.json", "-y"]);
    assert!(lab.world().values().any(|it| it == "b"));
}

#[test]
fn p1_an_unrelated_change_does_not_invalidate_a_plan() {
    let base = shop("a") + "\n[config.other]\ncontent = \"one\"\n";
    let lab = Lab::new(&base);
    lab.expect(0, &["apply", "-y"]);
    lab.stack(&(shop("b") + "\n[config.other]\ncontent = \"one\"\n"));
    lab.expect(0, &["plan", "-o", "plan.json"]);
    lab.stack(&(shop("a") + "\n[config.other]\ncontent = \"two\"\n"));
    lab.expect(0, &["apply", "-y"]);
    lab.expect(0, &["apply", "plan.json", "-y"]);
    let world = lab.world();
    assert!(world.values().any(|it| it == "two"), "{world:?}");
    assert!(world.iter().filter(|(key, _)| key.starts_with("process")).all(|(_, it)| it == "b"));
}

#[test]
fn p2_a_killed_apply_is_finished_by_the_next() {
    let (lab, _) = applied("a");
    lab.stack(&shop("b"));
    let child = lab.spawn(&["apply", "-y"]);
    // As soon as the first replica of the new version says that it starts.
    until("a new replica starts", || lab.read("starts.log").contains(" b\n"));
    kill(child.id(), "KILL");
    crate::lab::ended(child);
    lab.expect(0, &["apply", "-y"]);
    let world = lab.world();
    assert_eq!(world.len(), 5, "{world:?}");
    assert!(world.iter().filter(|(key, _)| key.starts_with("process")).all(|(_, it)| it == "b"));
    assert!(!world.keys().any(|it| it.contains("#2")), "{world:?}");
    lab.check_starts();
    lab.expect(0, &["plan", "--exit-code"]);
}

#[test]
fn p3_a_rollout_that_is_not_healthy_is_a_failure() {
    let (lab, world) = applied("a");
    lab.stack(&broken("b"));
    lab.expect(5, &["apply", "-y"]).says("service.front").says("500");
    assert_eq!(lab.world(), world, "it was taken back");
    lab.check_starts();
}

#[test]
fn p3_a_service_that_dies_right_after_it_was_healthy_is_a_failure() {
    let toml =
        shop("a").replacen("environment = { ", "environment = { DIES_AFTER_MS = \"150\", ", 1);
    let lab = Lab::new(&toml);
    let ran = lab.hive(&["apply", "-y"]);
    assert_eq!(ran.code, 5, "{ran}");
    assert!(lab.processes().is_empty());
}

#[test]
fn p4_every_plan_shows_the_way_back_and_a_failed_apply_takes_it() {
    let (lab, world) = applied("a");
    lab.stack(&broken("b"));
    lab.expect(0, &["plan"]).says("way back");
    let ran = lab.expect(5, &["apply", "-y"]);
    assert!(ran.all().contains("rolled back"), "{ran}");
    assert_eq!(lab.world(), world);
    lab.stack(&shop("a"));
    lab.expect(0, &["plan", "--exit-code"]);
}

#[test]
fn p5_a_snapshot_is_restored_into_the_world_without_its_toml() {
    let (lab, world) = applied("a");
    lab.stack(&shop("b"));
    lab.expect(0, &["apply", "-y"]);
    assert_ne!(lab.world(), world);
    fs::remove_file(lab.path("stack.toml")).expect("removes");
    lab.expect(0, &["restore", "1", "-y"]);
    assert_eq!(lab.world(), world);
    lab.check_starts();
    // Frozen, because the TOML still says what was just taken back.
    lab.stack(&shop("a"));
    lab.expect(3, &["apply", "-y", "--replace", "config.settings"]).says("frozen");
    lab.expect(0, &["unfreeze"]);
    lab.expect(0, &["plan", "--exit-code"]);
    assert_eq!(lab.world(), world);
}

#[test]
fn p5_rollback_brings_back_what_was_before() {
    let (lab, world) = applied("a");
    lab.stack(&shop("b"));
    lab.expect(0, &["apply", "-y"]);
    lab.expect(0, &["rollback", "-y"]);
    assert_eq!(lab.world(), world);
    lab.expect(0, &["unfreeze"]);
    lab.stack(&shop("a"));
    lab.expect(0, &["plan", "--exit-code"]);
}

#[test]
fn p6_no_secret_is_in_any_byte_that_hive_wrote_or_printed() {
    const CANARY: &str = "canary-4f1d9a77";
    let toml = shop("a").replacen(
        "environment = { ",
        "environment = { TOKEN = { env = \"LAB_TOKEN\" }, URL = { format = \"x://u:{pw}@h\", pw = { file = \"secret.txt\" } }, ",
        1,
    ) + "\n[check.told]\ncommand = [\"/bin/sh\", \"-c\", \"echo $TOKEN; exit 0\"]\nenvironment = { TOKEN = { env = \"LAB_TOKEN\" } }\n";
    let lab = Lab::new(&toml);
    lab.write("secret.txt", &format!("{CANARY}-file\n"));
    let mut printed = String::new();
    let mut run = |code: i32, arguments: &[&str]| {
        let output = lab.command(arguments).env("LAB_TOKEN", CANARY).output().expect("hive starts");
        let ran = crate::lab::Ran::of(output);
        assert_eq!(ran.code, code, "{arguments:?}\n{ran}");
        printed.push_str(&ran.all());
    };
    run(0, &["plan", "-o", "plan.json"]);
    run(0, &["plan", "--format", "json"]);
    run(0, &["plan", "--format", "html"]);
    run(0, &["apply", "-y"]);
    run(0, &["status"]);
    run(0, &["history", "1"]);
    lab.stack(
        &toml
            .replace("version = a", "version = b")
            .replacen("grace = \"20s\"", "grace = \"1s\"", 1)
            .replacen("environment = { ", "environment = { BROKEN = \"1\", ", 1),
    );
    run(5, &["apply", "-y"]);
    run(0, &["restore", "1", "-y"]);

    // The services did get it: a search that finds nothing must be able to find something.
    let told = lab.processes().into_iter().filter(|it| it.address == "service.orders").all(|it| {
        let environment = fs::read(format!("/proc/{}/environ", it.pid)).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(&format!("TOKEN={CANARY}"))
    });
    assert!(told, "the services were not given the secret");

    assert!(!printed.contains(CANARY), "a secret was printed:\n{printed}");
    let mut searched = 0;
    let mut open = vec![lab.path("")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).expect("lists").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.is_file() && !path.ends_with("secret.txt") {
                let bytes = fs::read(&path).expect("reads");
                searched += 1;
                assert!(
                    !bytes.windows(CANARY.len()).any(|it| it == CANARY.as_bytes()),
                    "a secret is in {}",
                    path.display()
                );
            }
        }
    }
    assert!(searched > 10, "only {searched} files were searched");
    for entry in fs::read_dir("/proc").expect("lists").flatten() {
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&arguments).contains(CANARY), "a secret is an argument");
    }
}

#[test]
fn p7_a_release_touches_only_what_changed() {
    let (lab, _) = applied("a");
    let before: Vec<_> = lab.processes();
    let started = lab.starts();
    lab.stack(&shop("a").replace("for = \"5m\"", "for = \"10m\""));
    lab.expect(0, &["apply", "-y"]);
    assert_eq!(lab.processes(), before, "no service was touched by a changed alert");
    assert_eq!(lab.starts(), started);
    // The url of a service that only gets a new version does not change: its users stay.
    let orders = shop("a").replacen("VERSION = \"a\"", "VERSION = \"c\"", 1);
    lab.stack(&orders);
    lab.expect(0, &["apply", "-y"]);
    let front = |of: &[crate::lab::Process]| -> Vec<u32> {
        of.iter().filter(|it| it.address == "service.front").map(|it| it.pid).collect()
    };
    assert_eq!(front(&lab.processes()), front(&before));
    assert_eq!(lab.starts(), started + 2);
}

#[test]
fn p8_every_scenario_ends_with_an_empty_plan() {
    let (lab, _) = applied("a");
    lab.expect(0, &["plan", "--exit-code"]);
    lab.stack(&shop("b"));
    lab.expect(2, &["plan", "--exit-code"]);
    lab.expect(0, &["apply", "-y"]);
    lab.expect(0, &["plan", "--exit-code"]);
    lab.expect(0, &["destroy", "-y"]);
    assert_eq!(lab.world(), BTreeMap::new());
    lab.expect(0, &["apply", "-y"]);
    lab.expect(0, &["plan", "--exit-code"]);
}

#[test]
fn a_crash_is_drift_that_the_next_apply_mends() {
    let (lab, world) = applied("a");
    let victim =
        lab.processes().into_iter().find(|it| it.address == "service.orders").expect("runs");
    kill(victim.pid, "KILL");
    until("it is gone", || lab.processes().len() == 2);
    let plan = lab.expect(2, &["plan", "--exit-code"]);
    plan.says("service.orders").says("was killed by signal 9");
    assert!(!plan.all().contains("someone else"), "{plan}");
    lab.expect(0, &["apply", "-y"]);
    assert_eq!(lab.world(), world);
    lab.expect(0, &["plan", "--exit-code"]);
}

#[test]
fn a_crash_is_seen_also_where_the_number_of_replicas_is_ignored() {
    let ignore = "[service.orders]\nignore = [{ field = \"replicas\", reason = \"scaled\" }]\n";
    let lab = Lab::new(&shop("a").replacen("[service.orders]\n", ignore, 1));
    lab.expect(0, &["apply", "-y"]);
    let world = lab.world();
    for mend in [["apply", "-y", "--"], ["restart", "service.orders", "-y"]] {
        lab.expect(0, &["plan", "--exit-code"]);
        for victim in lab.processes().iter().filter(|it| it.address == "service.orders") {
            kill(victim.pid, "KILL");
        }
        until("they are gone", || lab.processes().len() == 1);
        lab.expect(2, &["plan", "--exit-code"]).says("service.orders");
        lab.expect(2, &["drift", "--exit-code"]).says("service.orders");
        let mend: Vec<&str> = mend.into_iter().filter(|it| *it != "--").collect();
        lab.expect(0, &mend);
        assert_eq!(lab.world(), world, "{mend:?}");
    }
    lab.expect(0, &["plan", "--exit-code"]);
}

#[test]
fn with_a_lost_store_what_carries_our_marks_is_adopted() {
    let (lab, world) = applied("a");
    let before = lab.processes();
    fs::remove_dir_all(lab.path(".hive")).expect("removes");
    lab.expect(1, &["plan"]).says("take-over");
    lab.expect(0, &["apply", "-y", "--take-over"]);
    assert_eq!(lab.world(), world);
    let pids = |of: &[crate::lab::Process]| of.iter().map(|it| it.pid).collect::<Vec<_>>();
    assert!(pids(&lab.processes()) == pids(&before) || lab.world() == world);
    lab.expect(0, &["plan", "--exit-code"]);
}

#[test]
fn adopt_without_a_name_takes_what_is_live_and_skips_the_rest() {
    let notified =
        |version: &str| shop(version) + "\n[notify.log]\ncommand = [\"true\"]\non = [\"failed\"]\n";
    let lab = Lab::new(&notified("a"));
    lab.expect(0, &["apply", "-y"]);
    let (world, pids) = (lab.world(), lab.processes());
    fs::remove_dir_all(lab.path(".hive")).expect("removes");
    lab.expect(0, &["adopt", "-y"]);
    assert_eq!((lab.world(), lab.processes()), (world, pids), "nothing was started anew");
    lab.expect(0, &["plan", "--exit-code"]);
    // What is held already is no reason to fail.
    lab.expect(0, &["adopt", "-y"]);
    // What differs ends as declared.
    fs::remove_dir_all(lab.path(".hive")).expect("removes");
    lab.stack(&notified("b"));
    lab.expect(0, &["adopt", "-y"]);
    lab.expect(0, &["plan", "--exit-code"]);
    assert!(lab.world().iter().filter(|it| it.0.starts_with("process")).all(|it| it.1 == "b"));
}

/// A service that is never healthy and one that needs it, where a failure leaves all as it is.
fn never_healthy(broken: bool, grace: &str) -> String {
    let broken = if broken { "BROKEN = \"1\", " } else { "" };
    format!(
        r#"
[stack]
name = "{{name}}"

[environment]
on_failure = "halt"

[service.first]
ports = {{ http = 8080 }}
environment = {{ {broken}VERSION = "a", START_LOG = "{{log}}" }}
health = {{ http = "/healthz", every = "50ms", grace = "{grace}" }}
process = {{ command = ["witness"], stop = {{ grace = "2s" }} }}

[service.second]
uses = ["service.first"]
environment = {{ VERSION = "a", START_LOG = "{{log}}" }}
process = {{ command = ["witness"], stop = {{ grace = "2s" }} }}
"#
    )
}

#[test]
fn p3_what_failed_is_not_taken_for_done() {
    let lab = Lab::new(&never_healthy(true, "1s"));
    let only_the_first = |when: &str| {
        let addresses: Vec<String> = lab.processes().into_iter().map(|it| it.address).collect();
        assert_eq!(addresses, ["service.first"], "{when}");
    };
    lab.expect(1, &["apply", "-y"]).says("not healthy");
    only_the_first("it is left as it is");
    lab.expect(0, &["status"]).says("not ready").says("not verified");
    lab.expect(2, &["plan", "--exit-code"]).says("was not seen to succeed");
    for _ in 0..2 {
        lab.expect(1, &["apply", "-y"]).says("not healthy");
        only_the_first("its user still waits");
    }
    assert_eq!(lab.starts(), 1, "it is asked, and not started anew");

    lab.stack(&never_healthy(false, "20s"));
    lab.expect(0, &["apply", "-y"]);
    assert_eq!(lab.processes().len(), 2);
    lab.expect(0, &["plan", "--exit-code"]);
    assert!(!lab.expect(0, &["status"]).all().contains("not verified"));
}

#[test]
fn p3_what_was_closed_by_hand_is_not_taken_for_done() {
    let lab = Lab::new(&never_healthy(true, "5s"));
    let child = lab.spawn(&["apply", "-y"]);
    until("it starts", || lab.starts() == 1);
    kill(child.id(), "KILL");
    crate::lab::ended(child);
    lab.expect(0, &["recover", "--close"]);
    lab.expect(0, &["status"]).says("not verified");
    lab.expect(1, &["apply", "-y"]).says("not healthy");
    assert!(lab.processes().iter().all(|it| it.address == "service.first"));
}

#[test]
fn with_a_lost_store_what_is_live_and_not_declared_is_named() {
    let lab = Lab::new(&shop("a"));
    lab.expect(0, &["apply", "-y"]);
    fs::remove_dir_all(lab.path(".hive")).expect("removes");
    let whole = shop("a");
    let (before, _) = whole.split_once("[service.front]").expect("a front");
    lab.stack(before);
    lab.expect(0, &["status"]).says("service.front carries this stack's mark");
    lab.expect(0, &["plan", "--take-over"])
        .says("service.front")
        .says("carries this stack's mark and is not declared");
    lab.expect(0, &["adopt", "-y"]).says("service.front");
}
