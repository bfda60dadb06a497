//! A plan that cannot be trusted, for whatever reason: exit 3 from `apply` and `show`.

use crate::lab::Lab;
use std::collections::BTreeMap;
use std::fs;

const STACK: &str = "[stack]\nname = \"{name}\"\n\n[config.a]\ncontent = \"x\\n\"\n";

fn planned() -> (Lab, Vec<u8>) {
    let lab = Lab::new(STACK);
    lab.expect(0, &["plan", "-o", "plan.json"]);
    let bytes = fs::read(lab.path("plan.json")).expect("a plan");
    (lab, bytes)
}

#[track_caller]
fn refused(lab: &Lab, bytes: &[u8], words: &str) {
    fs::write(lab.path("bad.json"), bytes).expect("writes");
    for command in [&["apply", "bad.json", "-y"][..], &["show", "bad.json"][..]] {
        lab.expect(3, command).says("bad.json").says(words);
    }
    assert_eq!(lab.world(), BTreeMap::new());
    assert!(!lab.path(".hive").exists());
}

#[test]
fn an_empty_plan_file() {
    let (lab, _) = planned();
    refused(&lab, b"", "empty");
}

#[test]
fn a_plan_that_is_not_json() {
    let (lab, _) = planned();
    refused(&lab, b"hello, I am a plan\n", "not");
}

#[test]
fn a_plan_of_a_newer_version() {
    let (lab, bytes) = planned();
    let text = String::from_utf8(bytes).expect("text").replacen("\"format\":1", "\"format\":99", 1);
    let text = text.replacen("\"format\": 1", "\"format\": 99", 1);
    refused(&lab, text.as_bytes(), "");
}

#[test]
fn a_plan_cut_anywhere() {
    let (lab, bytes) = planned();
    for length in (0..bytes.len()).step_by(bytes.len() / 25 + 1) {
        refused(&lab, &bytes[..length], "");
    }
}

#[test]
fn a_plan_with_a_byte_changed_anywhere() {
    let (lab, bytes) = planned();
    for at in (0..bytes.len()).step_by(bytes.len() / 25 + 1) {
        let mut changed = bytes.clone();
        changed[at] = changed[at].wrapping_add(1);
        refused(&lab, &changed, "");
    }
}

#[test]
fn a_plan_of_another_stack() {
    let (_, bytes) = planned();
    let other = Lab::new(STACK);
    fs::write(other.path("plan.json"), bytes).expect("writes");
    other.expect(3, &["apply", "plan.json", "-y"]).says(&other.name);
    assert_eq!(other.world(), BTreeMap::new());
}

#[test]
fn a_stale_plan() {
    let (lab, _) = planned();
    lab.expect(0, &["apply", "-y"]);
    lab.expect(3, &["apply", "plan.json", "-y"]).says("config.a").says("moved");
}

#[test]
fn a_plan_that_is_not_there() {
    let (lab, _) = planned();
    lab.expect(1, &["show", "0123abcd"]).says("0123abcd");
    lab.expect(1, &["apply", "nowhere.json", "-y"]).says("nowhere.json");
}

#[test]
fn a_saved_plan_is_found_by_the_beginning_of_its_digest() {
    let (lab, _) = planned();
    let saved = lab.expect(0, &["plan", "--save", "--format", "json"]);
    let at = saved.out.find("\"digest\"").expect("a digest");
    let digest: String =
        saved.out[at + 8..].chars().filter(char::is_ascii_hexdigit).take(12).collect();
    lab.expect(0, &["show", &digest]).says("config.a");
    lab.expect(0, &["apply", &digest, "-y"]);
    assert_eq!(lab.world().len(), 1);
}
