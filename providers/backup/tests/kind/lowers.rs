//! What is wrong with a declared backup is said at its field.

use super::toy::{Desk, RECIPIENT, declared, encrypt, map, owner};
use hive_contract::{LowerScope, SecretRef, Value};

fn wrong(more: &[(&str, Value)]) -> Vec<String> {
    let scope = LowerScope { owner: owner() };
    match hive_backup::lower_backup(&declared(more), &scope) {
        Ok(_) => Vec::new(),
        Err(wrong) => wrong.iter().map(|it| format!("{}: {}", it.field, it.message)).collect(),
    }
}

#[test]
fn a_backup_lowers_to_its_place() {
    let desk = Desk::new();
    let policy = [
        ("schedule", Value::from("0 3 * * *")),
        ("keep", map(&[("minimum", 3.into())])),
        ("rpo", Value::Int(26 * 3_600_000)),
        ("encrypt", encrypt()),
    ];
    let lowered = desk.lowered(&policy);
    assert_eq!(lowered.identity, "dev/backup.main");
    assert_eq!(lowered.fields["of"], Value::from("database.main"));
    assert_eq!(lowered.fields["encrypted"], Value::Bool(true));
    assert!(lowered.before_users && lowered.access.contains_key("encrypt"));
    assert_eq!(lowered.material.keys().collect::<Vec<_>>(), ["keep", "rpo", "schedule"]);
}

#[test]
fn each_mistake_is_named_at_its_field() {
    let one = |key, value: Value| wrong(&[(key, value)]).join("\n");
    let s3 = |pairs: &[(&str, Value)]| {
        wrong(&[("destination", "s3://shop-backups/dev".into()), ("s3", map(pairs))]).join("\n")
    };
    assert!(wrong(&[("destination", "s3://shop-backups/dev".into())]).is_empty());
    assert!(one("destination", "s3://S".into()).starts_with("destination: `S` is no bucket"));
    assert!(one("destination", "gs://x".into()).contains("not at `gs://`"));
    assert!(one("schedule", "at three".into()).starts_with("schedule: "));
    assert!(one("schedule", "0 0 30 2 *".into()).contains("never comes"));
    assert!(one("keep", map(&[])).contains("keeps nothing"));
    assert!(one("keep", map(&[("daily", (-1).into())])).contains("keep.daily: it is less"));
    assert!(one("verify", map(&[("every", 0.into())])).starts_with("verify.every: "));
    assert!(one("s3", map(&[])).contains("the destination is a folder"));
    assert!(s3(&[("access_key", "a".into())]).contains("has no `secret_key` beside it"));
    assert!(s3(&[("endpoint", "minio:9000".into())]).contains("`minio:9000` is no server"));
    let plain = [("access_key", "a".into()), ("secret_key", "b".into())];
    assert!(s3(&plain).contains("does not stand in a stack's files"));
    let late = wrong(&[("schedule", "0 3 * * *".into()), ("rpo", 3_600_000.into())]);
    assert_eq!(late, ["rpo: the schedule leaves up to 24 h between backups"]);
}

#[test]
fn encryption_needs_readers_and_verifying_needs_a_key() {
    let one = |pairs: &[(&str, Value)]| wrong(&[("encrypt", map(pairs))]).join("\n");
    assert!(one(&[]).contains("nobody who could read"));
    let list = |text: &str| ("recipients", Value::List(vec![text.into()]));
    assert!(one(&[list("age1nonsense")]).contains("is no age recipient"));
    let secret = one(&[list(super::toy::IDENTITY)]);
    assert!(secret.contains("it is a secret key") && !secret.contains("1GQ9778"), "{secret}");
    assert!(
        one(&[list(RECIPIENT), ("identity", "AGE-SECRET-KEY-1X".into())]).contains("stack's files")
    );
    assert!(one(&[list(RECIPIENT)]).is_empty(), "who only writes needs no key");
    let verified = wrong(&[
        ("encrypt", map(&[list(RECIPIENT)])),
        ("verify", map(&[("every", 86_400_000.into())])),
    ]);
    assert!(verified[0].contains("cannot be verified without `identity`"));
    let good = map(&[list(RECIPIENT), ("identity", Value::Secret(SecretRef::env("KEY")))]);
    assert!(wrong(&[("encrypt", good)]).is_empty());
}
