//! The same verbs on a real server.

use super::scripted::small;
use crate::location::{S3Keys, S3Settings};
use crate::s3::Bucket;
use crate::s3::client::{Patience, STALLED};
use crate::store::Put;
use hive_contract::FailureKind;
use hive_parts::Minio;
use tokio::io::AsyncReadExt;

fn settings(minio: &Minio, secret: &str) -> S3Settings {
    S3Settings {
        endpoint: Some(minio.endpoint()),
        region: Some(Minio::REGION.to_owned()),
        path_style: true,
        keys: Some(S3Keys { access: Minio::ACCESS_KEY.into(), secret: secret.into() }),
        ..S3Settings::default()
    }
}

async fn open(minio: &Minio) -> Bucket {
    let settings = settings(minio, Minio::SECRET_KEY);
    Bucket::open(Minio::BUCKET, "dev/main", &settings).await.expect("opens")
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 253) as u8).collect()
}

async fn read(bucket: &Bucket, key: &str) -> Vec<u8> {
    let mut reader = bucket.get_stream(key).await.expect("opens").expect("is there");
    let mut all = Vec::new();
    reader.read_to_end(&mut all).await.expect("reads");
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_hold_and_everything_is_listed() {
    let minio = Minio::start();
    let bucket = open(&minio).await;
    bucket.probe().await.expect("conditions hold");
    assert!(minio.keys("").is_empty(), "the probe is taken away");
    assert_eq!(bucket.put_new("mark", b"one").await, Ok(Put::Made));
    assert_eq!(bucket.put_new("mark", b"one").await, Ok(Put::Made));
    assert_eq!(bucket.put_new("mark", b"two").await, Ok(Put::Taken(b"one".to_vec())));
    let seen = bucket.get("mark", 100).await.expect("reads").expect("is there");
    assert_eq!(bucket.put_over("mark", b"two", &seen.version).await, Ok(Put::Made));
    let late = bucket.put_over("mark", b"three", &seen.version).await;
    assert_eq!(late, Ok(Put::Taken(b"two".to_vec())));
    assert_eq!(bucket.put_over("nothing", b"x", "\"v\"").await, Ok(Put::Taken(Vec::new())));
    assert!(bucket.get("mark", 2).await.is_err(), "it is longer");
    minio.put("dev/main-of-others/x", b"x");
    let mut writing = tokio::task::JoinSet::new();
    for number in 0..1100 {
        let bucket = bucket.clone();
        writing.spawn(async move { bucket.put_new(&format!("many/{number:04}"), b"x").await });
    }
    assert!(writing.join_all().await.iter().all(|it| *it == Ok(Put::Made)));
    let entries = bucket.list("").await.expect("lists");
    assert_eq!((entries.len(), entries[0].key.as_str()), (1101, "many/0000"));
    assert_eq!(bucket.list("many/00").await.expect("lists").len(), 100);
    bucket.delete("mark").await.expect("deletes");
    bucket.delete("mark").await.expect("is gone");
    assert_eq!(bucket.head("mark").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_writers_one_wins() {
    let minio = Minio::start();
    let bucket = open(&minio).await;
    for round in 0..20 {
        let key = format!("round-{round}");
        let writers: Vec<_> = (0..12)
            .map(|writer: u8| {
                let (bucket, key) = (bucket.clone(), key.clone());
                tokio::spawn(async move { bucket.put_new(&key, &[writer]).await })
            })
            .collect();
        let mut made = 0;
        for writer in writers {
            made += usize::from(writer.await.expect("ends") == Ok(Put::Made));
        }
        assert_eq!(made, 1, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_all_lengths_come_back() {
    let minio = Minio::start();
    let bucket = open(&minio).await;
    let part = 8 << 20;
    for length in [0, 1, part - 1, part, part + 1, 2 * part, 3 * part + 12_345] {
        let content = bytes(length);
        let key = format!("stream-{length}");
        let size = bucket.put_stream(&key, content.as_slice()).await.expect("uploads");
        assert_eq!(size, length as u64);
        assert_eq!(bucket.head(&key).await.expect("looks").expect("is there").size, size);
        assert!(read(&bucket, &key).await == content, "{length}");
        let again = bucket.put_stream(&key, &b"other"[..]).await.expect_err("is there");
        assert_eq!(again.kind, FailureKind::Taken);
        let again =
            bucket.put_stream(&key, bytes(part + 2).as_slice()).await.expect_err("is there");
        assert_eq!(again.kind, FailureKind::Taken, "{again}");
    }
    assert!(minio.open_uploads().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_lie_in_a_file_arrive() {
    let minio = Minio::start();
    let settings = settings(&minio, Minio::SECRET_KEY);
    let mut sizes = small();
    (sizes.first, sizes.in_memory) = (5 << 20, 6 << 20);
    let patience = Patience::of(STALLED);
    let bucket = Bucket::open_with(Minio::BUCKET, "dev", &settings, patience, sizes).await;
    let bucket = bucket.expect("opens");
    // 5, 5, 10, 10, 20 MiB: the last three from a file.
    let content = bytes(45 << 20);
    bucket.put_stream("spilled", content.as_slice()).await.expect("uploads");
    assert!(read(&bucket, "spilled").await == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_dropped_is_given_up() {
    let minio = Minio::start();
    let bucket = open(&minio).await;
    let (mut feed, reader) = tokio::io::duplex(1 << 20);
    let content = bytes(9 << 20);
    tokio::select! {
        _ = bucket.put_stream("data", reader) => panic!("it cannot end before its source does"),
        () = async {
            tokio::io::AsyncWriteExt::write_all(&mut feed, &content).await.expect("takes");
            for _ in 0..100 {
                if !minio.open_uploads().is_empty() {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        } => {}
    }
    for _ in 0..500 {
        if minio.open_uploads().is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(minio.open_uploads().is_empty() && minio.keys("").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_survives_the_death_of_the_server() {
    let mut minio = Minio::start();
    let bucket = open(&minio).await;
    let content = bytes(40 << 20);
    bucket.put_stream("data", content.as_slice()).await.expect("uploads");
    let mut reader = bucket.get_stream("data").await.expect("opens").expect("is there");
    let mut begin = vec![0; 1 << 20];
    reader.read_exact(&mut begin).await.expect("reads");
    minio.kill();
    minio.restart();
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).await.expect("goes on");
    assert!([begin, rest].concat() == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_is_told_what_and_nothing_of_keys() {
    let minio = Minio::start();
    let wrong = Bucket::open(Minio::BUCKET, "dev", &settings(&minio, "canary-wrong")).await;
    let failure = wrong.expect("opens").put_new("a", b"x").await.expect_err("is refused");
    assert_eq!(failure.kind, FailureKind::Forbidden);
    assert!(failure.message.contains("s3://backups/dev/a"), "{failure}");
    assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
    let missing = Bucket::open("no-such-bucket", "", &settings(&minio, Minio::SECRET_KEY)).await;
    let missing = missing.expect("opens");
    for failure in [
        missing.list("").await.expect_err("is none"),
        missing.head("a").await.expect_err("is none"),
        missing.put_new("a", b"x").await.expect_err("is none"),
    ] {
        assert_eq!(failure.kind, FailureKind::Invalid, "{failure}");
    }
}
