//! One test for each row of `docs/exit-codes.md`.

use crate::lab::{Lab, ended, kill, until};
use crate::process::shop;

const STACK: &str = "[stack]\nname = \"{name}\"\n\n[config.a]\ncontent = \"x\\n\"\n";

/// A stack whose second step fails, because its check says no.
fn failing(lab: &Lab, on_failure: &str) -> String {
    format!(
        "[stack]\nname = \"{}\"\n\n[environment]\non_failure = \"{on_failure}\"\n\n[config.a]\ncontent = \"y\\n\"\n\n[check.no]\ncommand = [\"/bin/sh\", \"-c\", \"echo the reason; exit 7\"]\nuses = [\"config.a\"]\n",
        lab.name
    )
}

#[test]
fn exit_0_done_or_nothing_to_do() {
    let lab = Lab::new(STACK);
    lab.expect(0, &["apply", "-y"]);
    lab.expect(0, &["apply", "-y"]).says("nothing to do");
    lab.expect(0, &["plan", "--exit-code"]);
    lab.expect(0, &["drift", "--exit-code"]);
    lab.expect(0, &["recover"]);
    lab.expect(0, &["help"]);
}

#[test]
fn exit_1_failed_and_left_as_it_is() {
    let lab = Lab::new(STACK);
    lab.stack(&failing(&lab, "halt"));
    lab.expect(1, &["apply", "-y"]).says("check.no").says("7").says("the reason");
    assert!(lab.world().values().any(|it| it == "y"), "what was begun is left");
    lab.expect(1, &["no-such-command"]);
    let wrong = lab.expect(1, &["plan", "--only", "nope", "--format", "json"]);
    assert!(wrong.out.starts_with("{\"format\":1,\"is\":\"error\",\"exit\":1,"), "{wrong}");
}

#[test]
fn exit_2_there_are_changes() {
    let lab = Lab::new(STACK);
    lab.expect(2, &["plan", "--exit-code"]);
    lab.expect(0, &["plan"]);
    lab.expect(0, &["apply", "-y"]);
    lab.write(".hive-run/dev/config/a", "by hand\n");
    lab.expect(2, &["drift", "--exit-code"]).says("config.a");
    lab.expect(0, &["drift"]);
}

#[test]
fn exit_3_refused_and_nothing_changed() {
    let lab = Lab::new(STACK);
    lab.expect(0, &["freeze", "a reason"]);
    let refused = lab.expect(3, &["apply", "-y"]);
    assert_eq!(refused.says("a reason").all().matches("hive unfreeze").count(), 1, "{refused}");
    assert!(lab.world().is_empty());
    lab.expect(0, &["unfreeze"]);
    lab.expect(3, &["apply"]);
    assert!(lab.world().is_empty());
}

#[test]
fn exit_4_somebody_else_holds_the_lease() {
    let lab = Lab::new(&shop("a").replace("START_LOG", "SLOW_MS = \"1500\", START_LOG"));
    let first = lab.spawn(&["apply", "-y"]);
    until("the first has begun", || lab.starts() > 0);
    lab.expect(4, &["apply", "-y"]).says("tester").says("pid");
    let status = lab.expect(0, &["status"]);
    assert!(!status.says("is applying now").all().contains("interrupted"), "{status}");
    assert_eq!(ended(first).code, 0);
}

#[test]
fn a_damaged_lease_can_be_broken() {
    let lab = Lab::new(STACK);
    lab.expect(0, &["apply", "-y"]);
    lab.write(".hive/dev/lease.json", "{ half");
    lab.expect(3, &["lease", "break"]);
    lab.expect(0, &["lease", "break", "-y"]).says("the lease is free");
    lab.write(".hive-run/dev/config/a", "by hand\n");
    lab.expect(0, &["apply", "-y"]);
}

#[test]
fn exit_5_failed_and_rolled_back() {
    let lab = Lab::new(STACK);
    lab.expect(0, &["apply", "-y"]);
    let world = lab.world();
    lab.stack(&failing(&lab, "rollback"));
    lab.expect(5, &["apply", "-y"]).says("check.no").says("the reason");
    assert_eq!(lab.world(), world);
}

#[test]
fn exit_130_interrupted_once_and_twice() {
    for times in [1, 2] {
        let lab = Lab::new(&shop("a").replace("START_LOG", "SLOW_MS = \"2000\", START_LOG"));
        let child = lab.spawn(&["apply", "-y"]);
        until("the first replica starts", || lab.starts() > 0);
        for _ in 0..times {
            kill(child.id(), "INT");
            // Two signals at once are one: the first must have been heard.
            crate::lab::pause(300);
        }
        let ran = ended(child);
        assert_eq!(ran.code, 130, "{ran}");
        lab.expect(0, &["apply", "-y"]);
        assert_eq!(lab.processes().len(), 3);
        lab.check_starts();
    }
}

#[test]
fn every_row_of_the_table_has_its_test() {
    let table = include_str!("../../docs/exit-codes.md");
    let here = include_str!("exit_codes.rs");
    let codes: Vec<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(' ').next())
        .filter(|it| it.chars().all(|c| c.is_ascii_digit()))
        .collect();
    assert_eq!(codes, ["0", "1", "2", "3", "4", "5", "130"]);
    for code in codes {
        assert!(here.contains(&format!("fn exit_{code}_")), "no test for exit code {code}");
    }
}
