//! The kind in a real bucket.

use super::toy::{Desk, encrypt, map};
use hive_backup::Seen;
use hive_contract::{Action, FailureKind, Resolution, SecretRef, Value};
use hive_parts::Minio;

fn place(minio: &Minio, desk: &mut Desk, secret: &str) -> Vec<(&'static str, Value)> {
    desk.secrets.insert(SecretRef::env("S3"), secret.into());
    let s3 = map(&[
        ("endpoint", Value::Text(minio.endpoint())),
        ("path_style", true.into()),
        ("access_key", Minio::ACCESS_KEY.into()),
        ("secret_key", Value::Secret(SecretRef::env("S3"))),
    ]);
    let destination = Value::Text(format!("s3://{}/dev/main", Minio::BUCKET));
    vec![("destination", destination), ("s3", s3), ("encrypt", encrypt())]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_a_place_of_backups() {
    let minio = Minio::start();
    let mut desk = Desk::new();
    let place = place(&minio, &mut desk, Minio::SECRET_KEY);
    let lowered = desk.registered(&place).await;
    assert_eq!(minio.keys(""), ["dev/main/hive.json"]);
    for token in ["t1", "t2"] {
        desk.back_up(&lowered, token).await.expect("backs up");
    }
    let verify = desk.run(&lowered, &[("verb", "verify".into())]).await;
    desk.perform(&lowered, &verify[0], "v1").await.expect("verifies");
    let live = desk.look(&lowered).await.expect("is live");
    let seen = Seen::all(Some(&live));
    assert!(seen.len() == 2 && seen[1].verified_ms.is_some() && seen[1].ok);
    for key in minio.keys("") {
        let bytes = minio.get(&key);
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(Minio::SECRET_KEY) && !text.contains("AGE-SECRET"), "{key}");
    }

    let data = minio.keys(&format!("dev/main/{}/data-", seen[1].id)).remove(0);
    let mut bytes = minio.get(&data);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    minio.put(&data, &bytes);
    let failure = desk.perform(&lowered, &verify[0], "v2").await.expect_err("is damaged");
    assert!(failure.message.contains("another checksum"), "{failure}");
    minio.delete(&data);
    let live = desk.look(&lowered).await.expect("is live");
    assert!(!Seen::all(Some(&live))[1].whole && live.outputs["id"].as_text() == Some(&seen[0].id));
    let change = desk.change(&lowered, Action::Delete).await;
    let steps = hive_backup::steps_backup(&change);
    desk.perform(&lowered, &steps[0], "d1").await.expect("releases");
    assert!(desk.look(&lowered).await.is_none() && !minio.keys("").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_under_a_backup_leaves_none_and_the_same_step_completes_it() {
    let mut minio = Minio::start();
    let mut desk = Desk::new();
    desk.rows(4_000_000);
    let place = place(&minio, &mut desk, Minio::SECRET_KEY);
    let lowered = desk.registered(&place).await;
    let steps = desk.run(&lowered, &[("verb", "run".into())]).await;
    let request = desk.request(&lowered, &steps[0], "t1").await;
    let failure = {
        let performing = desk.ask(&request);
        let dying = async {
            tokio::time::sleep(std::time::Duration::from_millis(40)).await;
            minio.kill();
        };
        tokio::join!(performing, dying).0.expect_err("the server is gone")
    };
    assert!(failure.retryable && failure.kind == FailureKind::Unavailable, "{failure:?}");
    minio.restart();
    match desk.resolve(&request).await {
        Resolution::NotStarted { .. } => {}
        other => panic!("it resolves as {other:?}"),
    }
    desk.ask(&request).await.expect("completes it");
    let live = desk.look(&lowered).await.expect("is live");
    assert_eq!(Seen::all(Some(&live)).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_are_refused_and_not_told() {
    let minio = Minio::start();
    let mut desk = Desk::new();
    let place = place(&minio, &mut desk, "canary-of-a-wrong-key");
    let lowered = desk.lowered(&place);
    let change = hive_contract::Change {
        desired: Some(lowered.clone()),
        ..hive_contract::Change::new(super::toy::target(), Action::Create, &lowered.identity)
    };
    let steps = hive_backup::steps_backup(&change);
    let part = hive_contract::AskOne {
        target: super::toy::target(),
        identity: lowered.identity.clone(),
        access: lowered.access.clone(),
    };
    let backups = hive_backup::Backups::new(desk.folder.path());
    let seen = backups.observe(&[&part], &desk.secrets).await;
    let failure = seen.into_values().next().expect("answers").expect_err("is refused");
    assert_eq!(failure.kind, FailureKind::Forbidden);
    assert!(!format!("{failure:?} {steps:?}").contains("canary"), "{failure:?}");
}
