//! Wrong TOML: exit 1, naming file, line and column, and nothing is written.

use crate::lab::{Lab, Ran};

/// A small stack that is right, so that each test breaks one thing of it.
const RIGHT: &str = "[stack]\nname = \"{name}\"\n\n[config.a]\ncontent = \"x\\n\"\n";

fn refused(toml: &str) -> (Lab, Ran) {
    let lab = Lab::new(toml);
    let mut last = None;
    for command in [&["validate"][..], &["plan"][..], &["apply", "-y"][..]] {
        let ran = lab.expect(1, command);
        assert!(!ran.all().contains("panicked"), "{ran}");
        last = Some(ran);
    }
    assert!(!lab.path(".hive").exists(), "a refused stack made a store");
    assert!(!lab.path(".hive-run").exists(), "a refused stack had an effect");
    (lab, last.expect("ran"))
}

#[test]
fn a_right_stack_is_accepted() {
    let lab = Lab::new(RIGHT);
    lab.expect(0, &["validate"]);
    lab.expect(2, &["plan", "--exit-code"]);
    assert!(!lab.path(".hive").exists(), "a plan writes nothing");
}

#[test]
fn an_unknown_key() {
    let (_, ran) = refused(&RIGHT.replace("content", "contnet"));
    ran.says("stack.toml:5:1").says("contnet").says("content");
}

#[test]
fn a_wrong_type() {
    let (_, ran) = refused(&RIGHT.replace("\"x\\n\"", "7"));
    ran.says("stack.toml:5:").says("text");
}

#[test]
fn a_bad_duration() {
    let (_, ran) =
        refused(&format!("{RIGHT}\n[check.c]\ntcp = \"127.0.0.1:1\"\ntimeout = \"5 parsecs\"\n"));
    ran.says("stack.toml:9:11").says("5 parsecs").says("30s");
}

#[test]
fn a_duplicate_address() {
    let (_, ran) = refused(&format!("{RIGHT}\n[config.a]\ncontent = \"y\"\n"));
    ran.says("stack.toml:7").says("stands here again");
}

#[test]
fn two_stacks_that_claim_one_file() {
    let lab = Lab::new(&format!("{RIGHT}path = \"claimed.txt\"\n"));
    lab.expect(0, &["apply", "-y"]);
    // The same file by another store: a second stack in another folder cannot reach it, a second
    // environment of this one can.
    lab.write("staging.toml", "");
    lab.expect(1, &["apply", "-y", "-e", "staging"]).says("config.a").says("belongs");
    assert_eq!(lab.read("claimed.txt"), "x\n");
}

#[test]
fn a_missing_source_file() {
    let (_, ran) = refused(&RIGHT.replace("content = \"x\\n\"", "source = \"nowhere.toml\""));
    ran.says("stack.toml:5:10").says("nowhere.toml");
}

#[test]
fn a_reference_to_nothing() {
    let (_, ran) = refused(&RIGHT.replace("\"x\\n\"", "{ from = \"config.b.content\" }"));
    ran.says("stack.toml:5:").says("config.b");
}

#[test]
fn a_reference_to_no_output() {
    let (_, ran) =
        refused(&format!("{RIGHT}\n[config.b]\ncontent = {{ from = \"config.a.contents\" }}\n"));
    ran.says("stack.toml:8:").says("contents").says("content");
}

#[test]
fn a_cycle_shows_its_lines() {
    let (_, ran) = refused(
        "[stack]\nname = \"{name}\"\n\n[config.a]\ncontent = { from = \"config.b.content\" }\n\n[config.b]\ncontent = { from = \"config.a.content\" }\n",
    );
    ran.says("config.a").says("config.b").says("stack.toml:5").says("8");
}

#[test]
fn an_unset_variable() {
    let (_, ran) = refused(&format!(
        "{}\n[variables]\nword = {{ type = \"text\" }}\n",
        RIGHT.replace("\"x\\n\"", "{ var = \"word\" }")
    ));
    ran.says("word").says("--var");
}

#[test]
fn a_variable_that_nobody_declared() {
    let lab = Lab::new(RIGHT);
    lab.expect(1, &["plan", "--var", "nope=1"]).says("nope");
}

#[test]
fn an_unset_secret_is_refused_before_anything_has_an_effect() {
    let toml = format!(
        "{RIGHT}\n[service.s]\nenvironment = {{ TOKEN = {{ env = \"NOT_SET_ANYWHERE\" }} }}\nprocess = {{ command = [\"witness\"] }}\n"
    );
    let lab = Lab::new(&toml);
    lab.expect(0, &["plan"]).says("NOT_SET_ANYWHERE");
    lab.expect(3, &["apply", "-y"]).says("NOT_SET_ANYWHERE");
    assert!(lab.processes().is_empty());
}

#[test]
fn binary_garbage() {
    let lab = Lab::new(RIGHT);
    std::fs::write(lab.path("stack.toml"), b"\x7fELF\x02\x01\x01\x00\xff\xfe\x00garbage")
        .expect("writes");
    for command in [&["validate"][..], &["plan"][..], &["apply", "-y"][..]] {
        lab.expect(1, command).says("stack.toml").says("UTF-8");
    }
    assert!(!lab.path(".hive").exists());
}

#[test]
fn a_file_of_ten_megabytes() {
    let lab = Lab::new(RIGHT);
    let mut text = String::from(RIGHT);
    while text.len() < 10 * 1024 * 1024 {
        text.push_str("# filler filler filler filler filler filler filler filler filler\n");
    }
    lab.write("stack.toml", &text);
    lab.expect(1, &["validate"]).says("stack.toml").says("at most");
}

#[test]
fn deep_nesting() {
    let lab = Lab::new(RIGHT);
    lab.write("stack.toml", &format!("a = {}1{}\n", "[".repeat(100_000), "]".repeat(100_000)));
    lab.expect(1, &["validate"]).says("stack.toml");
    lab.write("stack.toml", &format!("[{}]\nx = 1\n", vec!["a"; 50_000].join(".")));
    lab.expect(1, &["validate"]).says("stack.toml");
}

#[test]
fn all_errors_are_shown_at_once() {
    let (_, ran) = refused(
        "[stack]\nname = \"{name}\"\nnmae = 1\n\n[config.a]\ncontnet = \"x\"\n\n[sevice.b]\n",
    );
    ran.says("stack.toml:3:1").says("stack.toml:6:1").says("stack.toml:8");
}

#[test]
fn a_key_whose_part_is_not_built_is_refused_with_its_line() {
    for (toml, key) in [
        ("[check.d]\ndatabase = \"database.main\"\n", "database"),
        ("[service.s]\nimage = \"x:1\"\nprocess = { command = [\"witness\"] }\n", "image"),
        ("[environment]\napprovals = 1\n", "approvals"),
        ("[alert.a]\nclass = \"latency\"\n", "class"),
        ("[state]\ns3 = { bucket = \"b\" }\n", "s3"),
    ] {
        let (_, ran) = refused(&format!("{RIGHT}\n{toml}"));
        ran.says("not in this version").says(key);
        assert!(ran.err.contains("stack.toml:7:") || ran.err.contains("stack.toml:8:"), "{ran}");
    }
}

#[test]
fn an_environment_that_is_not_there() {
    let lab = Lab::new(RIGHT);
    lab.write("staging.toml", "");
    lab.expect(1, &["plan", "-e", "stagign"]).says("stagign").says("staging");
}

#[test]
fn no_stack_at_all() {
    let lab = Lab::new(RIGHT);
    std::fs::remove_file(lab.path("stack.toml")).expect("removes");
    for command in ["plan", "validate", "status", "history"] {
        lab.expect(1, &[command]).says("stack.toml").says("hive init");
    }
}

#[test]
fn a_command_of_a_service_that_does_not_exist() {
    let (_, ran) = refused(&format!(
        "{RIGHT}\n[service.s]\nprocess = {{ command = [\"no-such-program\"] }}\n"
    ));
    ran.says("no-such-program").says("stack.toml:8:");
}

#[test]
fn a_broken_file_is_never_read_as_another_store() {
    let lab = Lab::new(RIGHT);
    lab.write("production.toml", "[state]\nfolder = \"elsewhere\"\n");
    lab.expect(0, &["apply", "-y", "-e", "production"]);
    lab.write("production.toml", "[state\nfolder = \"elsewhere\"\n");
    lab.expect(1, &["freeze", "-e", "production", "why"]).says("production.toml");
    assert!(!lab.path(".hive").exists(), "the freeze went into a store that is not production's");
    // Where the store is known all the same, the ways back need no TOML that is right.
    lab.write("production.toml", "");
    lab.expect(0, &["apply", "-y"]);
    lab.stack("[stack");
    lab.expect(0, &["freeze", "why"]);
}
