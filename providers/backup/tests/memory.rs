//! What a backup takes of memory does not depend on its size. A process of its own, so that nobody
//! else's memory is counted.

use hive_backup::{Contents, Order, Repository, Settings, Sink};
use hive_contract::provider::Unguarded;
use hive_contract::{Failure, FailureKind, Fields, Mark, StackMark, Token, Value};
use hive_sql::manifest::{Kind, Manifest};
use std::fs;
use std::io::{self, Write};
use std::time::Instant;

const MIB: u64 = 1 << 20;
const RECIPIENT: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";

/// The most that this process ever had in memory, in MiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("reads");
    let line = status.lines().find(|it| it.starts_with("VmHWM:")).expect("has it");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|it| it.parse().ok()).expect("a number");
    kib / 1024
}

/// Writes so many bytes that do not compress.
fn fill(mut sink: Sink, size: u64) -> io::Result<()> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut piece = vec![0; 1 << 20];
    for _ in 0..size / MIB {
        for word in piece.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        sink.write_all(&piece)?;
    }
    sink.end_blocking()
}

async fn publish(repository: &Repository, size: u64) -> Manifest {
    let owner = StackMark {
        store: "s1".to_owned(),
        stack: "shop".to_owned(),
        environment: "dev".to_owned(),
    };
    let mark = Mark { owner, address: "backup.main".parse().expect("address") };
    let token = Token::from_text("t1");
    let order = Order::new(&mark, &token, Kind::Run, &Unguarded);
    let dump = |sink| async move {
        let filled = tokio::task::spawn_blocking(move || fill(sink, size));
        filled.await.expect("ends").map_err(|error| {
            Failure::new(FailureKind::Unavailable, format!("cannot dump: {error}"))
        })?;
        Ok(Contents::default())
    };
    repository.publish(&order, dump).await.expect("publishes")
}

fn settings(destination: &str, more: &[(&str, Value)]) -> Fields {
    let recipients = Value::List(vec![RECIPIENT.into()]);
    let encrypt = Fields::from([("recipients".to_owned(), recipients)]);
    let mut fields = Fields::from([
        ("destination".to_owned(), destination.into()),
        ("encrypt".to_owned(), Value::Map(encrypt)),
    ]);
    fields.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    fields
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_takes_a_backup_of_any_size() {
    let folder = tempfile::tempdir().expect("folder");
    let settings = Settings::read(&settings("backups", &[])).expect("reads");
    let repository = settings.connect(folder.path(), &Default::default()).await.expect("connects");
    let begun = Instant::now();
    let manifest = publish(&repository, 256 * MIB).await;
    assert_eq!(manifest.bytes(), 256 * MIB);
    assert!(peak() < 200, "{} MiB after {:?}", peak(), begun.elapsed());
}

#[cfg(feature = "real-parts")]
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_takes_a_gigabyte_and_gives_it_back() {
    use hive_contract::{SecretRef, Secrets};
    use hive_parts::Minio;

    const IDENTITY: &str =
        "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";
    let minio = Minio::start();
    let folder = tempfile::tempdir().expect("folder");
    let mut secrets = Secrets::default();
    secrets.insert(SecretRef::env("S3"), Minio::SECRET_KEY.into());
    secrets.insert(SecretRef::env("AGE"), IDENTITY.into());
    let s3 = Fields::from([
        ("endpoint".to_owned(), Value::Text(minio.endpoint())),
        ("path_style".to_owned(), Value::Bool(true)),
        ("access_key".to_owned(), Minio::ACCESS_KEY.into()),
        ("secret_key".to_owned(), Value::Secret(SecretRef::env("S3"))),
    ]);
    let encrypt = Fields::from([
        ("recipients".to_owned(), Value::List(vec![RECIPIENT.into()])),
        ("identity".to_owned(), Value::Secret(SecretRef::env("AGE"))),
    ]);
    let more = [("s3", Value::Map(s3)), ("encrypt", Value::Map(encrypt))];
    let fields = settings(&format!("s3://{}/dev", Minio::BUCKET), &more);
    let settings = Settings::read(&fields).expect("reads");
    let repository = settings.connect(folder.path(), &secrets).await.expect("connects");
    let begun = Instant::now();
    let manifest = publish(&repository, 1024 * MIB).await;
    let sent = begun.elapsed();
    repository.check(&manifest).await.expect("is whole");
    let read = begun.elapsed() - sent;
    assert!(peak() < 200, "{} MiB; sent in {sent:?}, read in {read:?}", peak());
}
