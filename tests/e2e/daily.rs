//! What people do every day, and what they are told when it does not go.

use crate::lab::{Lab, Ran, ended, kill, until};
use std::fs;

const STACK: &str = "[stack]\nname = \"{name}\"\n\n[config.a]\ncontent = \"one\\n\"\n";

/// A second config that is made of the first one, and a check that uses it.
const USERS: &str = "\n[config.b]\ncontent = { from = \"config.a.digest\" }\n\n[check.c]\ncommand = [\"true\"]\nuses = [\"config.b\"]\n";

fn with(content: &str) -> String {
    STACK.replace("one", content)
}

fn snapshots(lab: &Lab) -> usize {
    lab.expect(0, &["snapshot", "list", "--format", "json"]).out.matches("\"number\"").count()
}

#[test]
fn the_stack_says_how_many_steps_run_at_once_and_the_command_line_overrides() {
    let lab = Lab::new(&STACK.replace("[config.a]", "parallel = 3\n\n[config.a]"));
    lab.expect(0, &["plan", "--format", "json"]).says("\"parallel\": 3");
    lab.expect(0, &["plan", "--format", "json", "--parallel", "7"]).says("\"parallel\": 7");
    lab.expect(0, &["apply", "-y"]);
    // The ways back read no more of the TOML than this.
    lab.expect(0, &["plan", "--destroy", "--format", "json"]).says("\"parallel\": 3");
    lab.stack(STACK);
    lab.expect(0, &["plan", "--destroy", "--format", "json"]).says("\"parallel\": 10");
}

#[test]
fn a_rollback_goes_back_to_what_differs() {
    let lab = Lab::new(STACK);
    lab.expect(0, &["apply", "-y"]);
    let one = lab.world();
    lab.stack(&with("two"));
    lab.expect(0, &["apply", "-y"]);
    let no = "\n[check.no]\ncommand = [\"false\"]\nuses = [\"config.a\"]\n";
    lab.stack(&format!("{}{no}", with("three")));
    lab.expect(5, &["apply", "-y"]);
    // The apply that was rolled back left a snapshot that holds what the one before it held.
    assert_eq!(snapshots(&lab), 3);
    lab.expect(0, &["rollback", "-y"]).says("rollback to 1").says("asked: rollback to 1");
    assert_eq!(lab.world(), one);
    assert_eq!(snapshots(&lab), 4);
    lab.expect(0, &["status"]).says("frozen");
    lab.expect(0, &["unfreeze"]);

    // What is live already takes no step, no snapshot and no freeze.
    lab.expect(0, &["restore", "1", "-y"]).says("nothing to do");
    assert_eq!(snapshots(&lab), 4);
    assert!(!lab.expect(0, &["status"]).all().contains("frozen"));
}

#[test]
fn a_rollback_to_nowhere_is_refused_and_freezes_nothing() {
    let lab = Lab::new(STACK);
    lab.expect(1, &["rollback", "-y"]).says("nothing was ever applied");
    lab.expect(0, &["apply", "-y"]);
    lab.expect(1, &["rollback", "-y"]).says("no whole snapshot before 1");
    let no = "\n[check.no]\ncommand = [\"false\"]\nuses = [\"config.a\"]\n";
    lab.stack(&format!("{}{no}", with("two")));
    lab.expect(5, &["apply", "-y"]);
    lab.expect(1, &["rollback", "-y"]).says("every whole snapshot before 2 declares the same");
    assert_eq!(snapshots(&lab), 2);
    assert!(!lab.expect(0, &["status"]).all().contains("frozen"));
}

#[test]
fn a_secret_without_a_value_is_refused_before_the_first_step() {
    let check = "\n[check.c]\ncommand = [\"true\"]\nuses = [\"config.a\"]\nenvironment = { TOKEN = { env = \"HIVE_TEST_TOKEN\" } }\n";
    let lab = Lab::new(&format!("{STACK}{check}"));
    let plan = lab.expect(0, &["plan"]);
    assert_eq!(plan.all().matches("has no value here").count(), 1, "{plan}");
    lab.expect(3, &["apply", "-y"]).says("env:HIVE_TEST_TOKEN").says("nothing was begun");
    assert!(lab.world().is_empty());
    let ran = lab.command(&["apply", "-y"]).env("HIVE_TEST_TOKEN", "t").output().expect("starts");
    let ran = Ran::of(ran);
    assert_eq!(ran.code, 0, "{ran}");
}

#[test]
fn what_has_users_is_forgotten_with_them() {
    let lab = Lab::new(&format!("{STACK}{USERS}"));
    lab.expect(0, &["apply", "-y"]);
    let world = lab.world();
    lab.expect(1, &["forget", "config.a", "-y"])
        .says("`config.a` would be forgotten, and is used by `check.c`, `config.b`")
        .says("hive forget config.a check.c config.b");
    lab.expect(0, &["forget", "config.a", "check.c", "config.b", "-y"]);
    assert_eq!(lab.world().len(), world.len(), "what is let go stays as it is");
    lab.expect(0, &["destroy", "-y"]).says("nothing to do");
}

#[test]
fn what_is_protected_says_the_whole_way_out() {
    let protected = format!("{STACK}protect = true\n");
    let lab = Lab::new(&protected);
    lab.expect(0, &["apply", "-y"]);
    let ran = lab.hive(&["destroy", "-y"]);
    assert!([1, 3].contains(&ran.code), "{ran}");
    ran.says("protected").says("`hive apply` that first");
    lab.stack(STACK);
    lab.expect(0, &["apply", "-y"]);
    lab.expect(0, &["destroy", "-y"]);
    assert!(lab.world().is_empty());
}

#[test]
fn an_address_that_nothing_has_is_an_error() {
    let lab = Lab::new(STACK);
    lab.expect(1, &["explain", "config.aa"]).says("there is no `config.aa`").says("`config.a`?");
    lab.expect(1, &["explain", "service.a"]).says("did you mean `config.a`?");
    lab.expect(1, &["explain", "service.zzz"]).says("hive status");
    lab.expect(0, &["explain", "config.a"]);
}

#[test]
fn a_check_is_not_restarted() {
    let lab = Lab::new(&format!("{STACK}{USERS}"));
    lab.expect(0, &["apply", "-y"]);
    lab.expect(1, &["restart", "check.c", "-y"])
        .says("`check.c` cannot be restarted: a check runs");
}

#[test]
fn guards_are_shown_old_and_new_and_go_with_what_they_guarded() {
    let guarded = format!("{STACK}\n[environment]\non_failure = \"halt\"\n");
    let lab = Lab::new(&guarded);
    lab.expect(0, &["apply", "-y"]);
    lab.expect(0, &["plan"]).says("nothing to do");
    lab.stack(&guarded.replace("halt", "rollback"));
    lab.expect(0, &["plan"]).says("halt → rollback");
    lab.stack(STACK);
    let gone = lab.expect(0, &["plan"]);
    assert!(!gone.says("- halt").out.contains("none"), "{gone}");
    lab.stack(&guarded);
    lab.expect(0, &["destroy", "-y"]);
    lab.stack(STACK);
    assert!(!lab.expect(0, &["plan"]).out.contains("halt"));
}

#[test]
fn another_stacks_output_is_needed_to_plan_and_not_to_validate() {
    let taken = "\n[config.b]\ncontent = { stack = \"other\", output = \"config.x.digest\" }\n\n[config.c]\ncontent = { stack = \"nowhere\", output = \"config.x.digest\" }\n";
    let lab = Lab::new(&format!("{STACK}{taken}"));
    let other = "[stack]\nname = \"other\"\n\n[config.x]\ncontent = \"x\"\n";
    lab.write("other/stack.toml", other);
    lab.expect(0, &["validate"]);
    let full = fs::canonicalize(lab.path("other")).expect("a folder");
    lab.expect(1, &["plan"])
        .says("stack.toml:8:11")
        .says(&format!("hive apply {} -e dev", full.display()))
        .says("stack.toml:11:11")
        .says("there is no folder");
    lab.expect(0, &["apply", "other", "-y"]);
    lab.stack(&format!("{STACK}{}", taken.split("\n\n").next().unwrap_or_default()));
    lab.expect(0, &["plan"]).says("config.b");
}

#[test]
fn a_stale_plan_says_first_what_was_made_since() {
    let lab = Lab::new(STACK);
    lab.expect(0, &["apply", "-y"]);
    lab.stack(&with("two"));
    lab.expect(0, &["plan", "-o", "plan.json"]);
    lab.stack(&with("three"));
    lab.expect(0, &["apply", "-y"]);
    lab.expect(3, &["apply", "plan.json", "-y"]).says("snapshot 2 was made since the plan");
}

#[test]
fn an_open_apply_stands_beside_the_newest_snapshot_that_there_is() {
    let lab = Lab::new(STACK);
    lab.expect(0, &["apply", "-y"]);
    let slow = "\n[check.slow]\ncommand = [\"sleep\", \"30\"]\nuses = [\"config.a\"]\n";
    lab.stack(&format!("{}{slow}", with("two")));
    let child = lab.spawn(&["apply", "-y"]);
    until("the first step is done", || lab.world().values().any(|it| it == "two"));
    kill(child.id(), "KILL");
    ended(child);
    lab.expect(0, &["status"]).says("snapshot 1").says("and an open apply");
    lab.expect(0, &["status", "--format", "json"]).says("\"snapshot\": 1");
    lab.expect(0, &["plan"]).says("against snapshot 1");
    lab.expect(0, &["recover", "--back"]);
    assert!(!lab.expect(0, &["status"]).out.contains("open apply"));
}

#[test]
fn what_a_replacement_is_made_of_stands_below_the_step_that_makes() {
    let lab = Lab::new(STACK);
    lab.expect(0, &["apply", "-y"]);
    let plan = lab.expect(0, &["plan", "--replace", "config.a"]);
    let made = plan.out.rfind("  replace  ").expect("two steps");
    assert_eq!(plan.out.matches("  replace  ").count(), 2, "{plan}");
    assert!(plan.out.find("content\n").is_some_and(|at| at > made), "{plan}");
}
