//! Right input at the wrong moment.

use crate::lab::{Lab, ended, until};
use crate::process::shop as process_stack;
use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::process::Stdio;

const STACK: &str = "[stack]\nname = \"{name}\"\n\n[config.a]\ncontent = \"x\\n\"\n";

#[test]
fn a_fixed_port_taken_by_somebody_else() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let toml = format!(
        "[stack]\nname = \"{{name}}\"\n\n[service.s]\nports = {{ http = 8080 }}\nhealth = {{ http = \"/\" , grace = \"2s\" }}\nprocess = {{ command = [\"witness\"], ports = {{ http = {port} }} }}\n"
    );
    let lab = Lab::new(&toml);
    let ran = lab.hive(&["apply", "-y"]);
    assert!([1, 3, 5].contains(&ran.code), "{ran}");
    ran.says(&port.to_string());
    assert!(lab.processes().is_empty(), "{ran}");
}

#[test]
fn wrong_arguments_are_exit_1_and_never_claps_2() {
    let lab = Lab::new(STACK);
    for arguments in [
        &["plna"][..],
        &["plan", "--no-such-flag"][..],
        &["plan", "--format", "xml"][..],
        &["restore"][..],
        &["restore", "minus-one"][..],
        &["apply", "--parallel", "0", "-y"][..],
        &["explain", "not an address"][..],
        &["plan", "--only", "config.nowhere"][..],
        &["plan", "--var", "no-equals"][..],
        &["plan", "-e", "../escape"][..],
        &["plan", "-e", "Dev"][..],
    ] {
        let ran = lab.expect(1, arguments);
        assert!(!ran.err.is_empty(), "{arguments:?} says nothing");
        assert!(!ran.all().contains("panicked"), "{ran}");
    }
    for unknown in ["backup", "migrate", "rebuild", "approve", "promote", "ci"] {
        lab.expect(1, &[unknown]).says(unknown);
    }
    assert!(!lab.path(".hive").exists());
}

#[test]
fn help_and_version_are_no_errors() {
    let lab = Lab::new(STACK);
    lab.expect(0, &["--help"]).says("apply");
    lab.expect(0, &["--version"]).says("hive 0.1.0");
    lab.expect(0, &["help", "apply"]);
}

#[test]
fn a_question_without_anybody_to_answer_is_refused() {
    let lab = Lab::new(STACK);
    lab.expect(3, &["apply"]).says("-y");
    assert!(lab.world().is_empty());
    assert!(!lab.path(".hive").exists());
}

#[test]
fn a_frozen_environment() {
    let lab = Lab::new(STACK);
    lab.expect(0, &["apply", "-y"]);
    lab.expect(0, &["freeze", "looking into the outage"]);
    lab.stack(&STACK.replace("x\\n", "y\\n"));
    lab.expect(3, &["apply", "-y"]).says("looking into the outage").says("unfreeze");
    lab.expect(0, &["plan"]).says("frozen");
    assert!(lab.world().values().all(|it| it == "x"));
    lab.expect(0, &["unfreeze"]);
    lab.expect(0, &["apply", "-y"]);
    assert!(lab.world().values().all(|it| it == "y"));
}

#[test]
fn a_protected_environment_takes_no_apply_yet() {
    let lab = Lab::new(&format!("{STACK}\n[environment]\nprotected = true\n"));
    lab.expect(3, &["apply", "-y"]).says("protected");
    lab.expect(0, &["plan", "-o", "plan.json"]);
    lab.expect(3, &["apply", "plan.json", "-y"]).says("protected");
    assert!(lab.world().is_empty());
}

#[test]
fn outside_the_window() {
    // A window of one minute a week, on another day than today.
    let day = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let now = std::process::Command::new("date").args(["-u", "+%a"]).output().expect("date");
    let today = String::from_utf8_lossy(&now.stdout).trim().to_owned();
    let at = day.iter().position(|it| *it == today).expect("a day");
    let other = day[(at + 3) % 7];
    let lab = Lab::new(&format!(
        "{STACK}\n[environment]\nwindow = {{ days = [\"{other}\"], from = \"09:00\", to = \"09:01\" }}\n"
    ));
    lab.expect(3, &["apply", "-y"]).says("window").says(other);
    assert!(lab.world().is_empty());
}

#[test]
fn a_second_apply_is_told_who_holds_the_lease() {
    let lab = Lab::new(&process_stack("a").replace("START_LOG", "SLOW_MS = \"1500\", START_LOG"));
    let first = lab.spawn(&["apply", "-y"]);
    until("the first holds the lease", || lab.path(".hive/dev/lease.json").exists());
    lab.expect(4, &["apply", "-y"]).says("tester").says("pid");
    let first = ended(first);
    assert_eq!(first.code, 0, "{first}");
}

#[test]
fn an_interrupt_lets_the_running_step_end_and_closes_the_journal() {
    let lab = Lab::new(&process_stack("a").replace("START_LOG", "SLOW_MS = \"700\", START_LOG"));
    let child = lab.spawn(&["apply", "-y"]);
    until("the first replica starts", || lab.starts() > 0);
    crate::lab::kill(child.id(), "INT");
    let ran = ended(child);
    assert_eq!(ran.code, 130, "{ran}");
    lab.check_starts();
    lab.expect(0, &["apply", "-y"]);
    assert_eq!(lab.processes().len(), 3);
    assert_eq!(lab.starts(), 3, "nothing was started twice");
    lab.expect(0, &["plan", "--exit-code"]);
}

#[test]
fn a_broken_pipe_is_no_error() {
    let lab = Lab::new(STACK);
    let mut child = lab
        .command(&["plan"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().expect("stderr").read_to_string(&mut err).expect("reads");
    let status = child.wait().expect("ends");
    assert_eq!(status.code(), Some(0), "{err}");
    assert!(!err.contains("panicked") && !err.contains("roken pipe"), "{err}");
}

#[test]
fn a_snapshot_that_is_not_there() {
    let lab = Lab::new(STACK);
    lab.expect(1, &["restore", "3", "-y"]).says("3");
    lab.expect(0, &["apply", "-y"]);
    lab.expect(1, &["restore", "3", "-y"]).says("3");
    lab.expect(1, &["rollback", "-y"]).says("no");
    lab.expect(1, &["snapshot", "show", "9"]).says("9");
    lab.expect(1, &["history", "9"]).says("9");
}

#[test]
fn colour_only_on_a_terminal() {
    let lab = Lab::new(STACK);
    let ran = lab.expect(0, &["plan"]);
    assert!(!ran.all().contains('\u{1b}'), "{ran}");
    fs::write(lab.path("stack.toml"), "[stak]\n").expect("writes");
    assert!(!lab.expect(1, &["plan"]).all().contains('\u{1b}'));
}
