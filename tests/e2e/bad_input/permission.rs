//! Folders that may not be read or written, tried as an unprivileged user: root reads everything.

use crate::lab::{Lab, Ran, command};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;

/// The user `nobody`, everywhere.
const NOBODY: u32 = 65_534;

fn as_nobody(lab: &Lab, arguments: &[&str]) -> Ran {
    Ran::of(
        command(&lab.path(""), arguments).uid(NOBODY).gid(NOBODY).output().expect("hive starts"),
    )
}

/// A lab whose folder belongs to `nobody`; none where this test is not run by root, which alone
/// can become somebody else. Then the tests run as who they are, which is unprivileged too.
fn lab() -> (Lab, bool) {
    let lab = Lab::new("[stack]\nname = \"{name}\"\n\n[config.a]\ncontent = \"x\\n\"\n");
    let root = rustix::process::geteuid().is_root();
    if root {
        fs::set_permissions(lab.path(""), fs::Permissions::from_mode(0o755)).expect("opens");
        chown(lab.path(""), Some(NOBODY), Some(NOBODY)).expect("gives away");
        chown(lab.path("stack.toml"), Some(NOBODY), Some(NOBODY)).expect("gives away");
    }
    (lab, root)
}

fn run(lab: &Lab, root: bool, arguments: &[&str]) -> Ran {
    if root { as_nobody(lab, arguments) } else { lab.hive(arguments) }
}

/// The user is first proven to be refused, by somebody else than hive.
#[track_caller]
fn proven_refused(lab: &Lab, root: bool, script: &str) {
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", script]).current_dir(lab.path(""));
    if root {
        shell.uid(NOBODY).gid(NOBODY);
    }
    let output = shell.output().expect("a shell");
    assert!(!output.status.success(), "`{script}` was not refused: the test would prove nothing");
}

#[test]
fn a_store_that_may_not_be_read_is_not_an_absent_one() {
    let (lab, root) = lab();
    let ran = run(&lab, root, &["apply", "-y"]);
    assert_eq!(ran.code, 0, "{ran}");
    fs::set_permissions(lab.path(".hive"), fs::Permissions::from_mode(0o000)).expect("closes");
    proven_refused(&lab, root, "ls .hive");
    for arguments in [&["plan"][..], &["apply", "-y"][..], &["status"][..]] {
        let ran = run(&lab, root, arguments);
        assert_eq!(ran.code, 1, "{ran}");
        ran.says(".hive").says("ermission denied");
    }
    fs::set_permissions(lab.path(".hive"), fs::Permissions::from_mode(0o700)).expect("opens");
    assert_eq!(run(&lab, root, &["plan", "--exit-code"]).code, 0);
}

#[test]
fn a_folder_that_may_not_be_written_is_said_before_anything_happens() {
    let (lab, root) = lab();
    fs::set_permissions(lab.path(""), fs::Permissions::from_mode(0o555)).expect("closes");
    proven_refused(&lab, root, "touch x");
    assert_eq!(run(&lab, root, &["plan"]).code, 0, "a plan writes nothing");
    let ran = run(&lab, root, &["apply", "-y"]);
    assert_eq!(ran.code, 1, "{ran}");
    ran.says("ermission denied");
    assert!(!lab.path(".hive").exists() && !lab.path(".hive-run").exists());
    fs::set_permissions(lab.path(""), fs::Permissions::from_mode(0o755)).expect("opens");
}

#[test]
fn a_stack_that_may_not_be_read() {
    let (lab, root) = lab();
    fs::set_permissions(lab.path("stack.toml"), fs::Permissions::from_mode(0o000)).expect("closes");
    proven_refused(&lab, root, "cat stack.toml");
    let ran = run(&lab, root, &["plan"]);
    assert_eq!(ran.code, 1, "{ran}");
    ran.says("stack.toml").says("ermission denied");
}
