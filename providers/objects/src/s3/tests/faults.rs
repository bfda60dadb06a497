//! What a server does wrong, and what is said of it.

use super::scripted::{Answer, CANARY, Request, Server, patience, settings, small};
use crate::s3::Bucket;
use crate::store::Put;
use hive_contract::{Failure, FailureKind};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// An object with its version, from the offset that was asked for.
fn object(request: &Request, content: &[u8]) -> Answer {
    let from = request.headers.get("range").and_then(|it| it.strip_prefix("bytes="));
    let from: usize = from.and_then(|it| it.trim_end_matches('-').parse().ok()).unwrap_or(0);
    let status = if from > 0 { 206 } else { 200 };
    Answer::new(status, &content[from..]).header("etag", "\"v1\"")
}

async fn read(bucket: &Bucket, key: &str) -> Result<Vec<u8>, Failure> {
    let mut reader = bucket.get_stream(key).await?.expect("is there");
    let mut all = Vec::new();
    match reader.read_to_end(&mut all).await {
        Ok(_) => Ok(all),
        Err(error) => {
            let inner = error.get_ref().and_then(|it| it.downcast_ref::<Failure>());
            Err(inner.expect("carries a failure").clone())
        }
    }
}

#[tokio::test]
async fn a_server_that_stumbles_is_asked_again() {
    for trouble in
        [Answer::error(500, "InternalError"), Answer::error(503, "SlowDown"), Answer::gone()]
    {
        let script = move |_: &Request, count| match count {
            0 | 1 => trouble.clone(),
            _ => Answer::new(200, b"").header("etag", "\"v1\""),
        };
        let server = Server::start(script).await;
        assert_eq!(server.bucket().await.put_new("a", b"x").await, Ok(Put::Made));
        let seen = server.seen();
        assert_eq!((seen.len(), seen[2].path.split('?').next()), (3, Some("/shop/dev/a")));
        assert_eq!(
            (seen[2].headers["if-none-match"].as_str(), &seen[2].body[..]),
            ("*", &b"x"[..])
        );
    }
}

#[tokio::test]
async fn a_server_that_goes_on_failing_is_given_up_soon() {
    let slow = Answer::new(200, b"").slow(Duration::from_secs(60));
    let cases = [
        (Answer::error(500, "InternalError"), "500 InternalError, it is so"),
        (Answer::error(503, "SlowDown"), "503 SlowDown"),
        (Answer::gone(), "cannot write `s3://shop/dev/a`: "),
        (slow, "does not answer"),
    ];
    for (trouble, said) in cases {
        let server = Server::start(move |_, _| trouble.clone()).await;
        let begun = Instant::now();
        let failure = server.bucket().await.put_new("a", b"x").await.expect_err("fails");
        assert!(failure.retryable && failure.kind == FailureKind::Unavailable, "{failure:?}");
        assert!(
            failure.message.contains(said) && failure.message.contains("s3://shop/dev/a"),
            "{failure}"
        );
        assert_eq!(server.seen().len(), 3, "{said}");
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    }
    let nobody = settings("http://127.0.0.1:1");
    let bucket = Bucket::open_with("shop", "dev", &nobody, patience(), small()).await;
    let failure = bucket.expect("opens").list("").await.expect_err("is not there");
    assert!(
        failure.retryable && failure.message.contains("cannot list `s3://shop/dev`"),
        "{failure}"
    );
}

#[tokio::test]
async fn refusals_are_told_apart_and_say_nothing_of_keys() {
    let refused = async |status, code: &'static str| {
        let server = Server::start(move |_, _| Answer::error(status, code)).await;
        let failure = server.bucket().await.put_new("a", b"x").await.expect_err("is refused");
        assert!(!format!("{failure:?}").contains(CANARY) && !failure.retryable, "{failure:?}");
        (failure.kind, failure.message)
    };
    for code in ["AccessDenied", "SignatureDoesNotMatch", "InvalidAccessKeyId"] {
        let (kind, message) = refused(403, code).await;
        assert_eq!(kind, FailureKind::Forbidden);
        assert!(message.contains(code) && !message.contains("it is so"), "{message}");
    }
    assert!(refused(403, "RequestTimeTooSkewed").await.1.contains("clock"));
    assert_eq!(refused(404, "NoSuchBucket").await.0, FailureKind::Invalid);
    assert!(refused(301, "PermanentRedirect").await.1.contains("another region"));
    assert_eq!(refused(507, "XMinioStorageFull").await.0, FailureKind::Unavailable);
    assert!(refused(400, "EntityTooLarge").await.1.contains("EntityTooLarge, it is so"));
}

#[tokio::test]
async fn a_missing_object_is_told_from_a_missing_bucket() {
    let server = Server::start(|request, _| match request.path.contains("/dev/") {
        true => Answer::error(404, "NoSuchKey"),
        false => Answer::new(200, b""),
    });
    let server = server.await;
    let bucket = server.bucket().await;
    assert_eq!((bucket.head("a").await, bucket.get("a", 9).await), (Ok(None), Ok(None)));
    assert!(bucket.get_stream("a").await.expect("looks").is_none());
    let server = Server::start(|_, _| Answer::error(404, "NoSuchBucket")).await;
    let bucket = server.bucket().await;
    assert!(bucket.head("a").await.expect_err("is no bucket").message.contains("no bucket `shop`"));
    assert!(bucket.get("a", 9).await.is_err() && bucket.list("").await.is_err());
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_known_for_ours() {
    for (there, put) in [("ours", Put::Made), ("theirs", Put::Taken(b"theirs".to_vec()))] {
        let server = Server::start(move |request, _| match request.method.as_str() {
            "GET" => object(request, there.as_bytes()),
            _ => Answer::error(412, "PreconditionFailed"),
        });
        let server = server.await;
        assert_eq!(server.bucket().await.put_new("a", b"ours").await, Ok(put));
    }
    let server = Server::start(|request, count| match (request.method.as_str(), count) {
        ("PUT", 0) => Answer::gone(),
        ("PUT", _) => Answer::error(412, "PreconditionFailed"),
        _ => object(request, b"ours"),
    });
    let server = server.await;
    assert_eq!(server.bucket().await.put_new("a", b"ours").await, Ok(Put::Made));
    assert_eq!(server.count("PUT"), 2);
    let busy = Server::start(|_, count| match count {
        0 | 1 => Answer::error(409, "ConditionalRequestConflict"),
        _ => Answer::new(200, b""),
    });
    let busy = busy.await;
    assert_eq!(busy.bucket().await.put_over("a", b"x", "\"v1\"").await, Ok(Put::Made));
    assert_eq!(busy.seen()[2].headers["if-match"], "\"v1\"");
}

#[tokio::test]
async fn a_download_goes_on_where_it_was_cut() {
    let content = bytes(300_000);
    let whole = content.clone();
    let server = Server::start(move |request, count| match count {
        0 => object(request, &content).cut(100_000),
        1 => Answer::error(500, "InternalError"),
        2 => object(request, &content).cut(77),
        3 => Answer::gone(),
        _ => object(request, &content),
    });
    let server = server.await;
    assert_eq!(read(&server.bucket().await, "a").await.expect("reads"), whole);
    let seen = server.seen();
    assert_eq!(seen[2].headers["range"], "bytes=100000-");
    assert_eq!(seen[4].headers["range"], "bytes=100077-");
    assert_eq!(seen[4].headers["if-match"], "\"v1\"");
}

#[tokio::test]
async fn a_download_that_comes_to_no_end_is_no_content() {
    let content = bytes(300_000);
    let cut = content.clone();
    let server = Server::start(move |request, count| match count {
        0 => object(request, &cut).cut(1000),
        _ => Answer::gone(),
    });
    let server = server.await;
    let failure = read(&server.bucket().await, "a").await.expect_err("breaks off");
    assert!(failure.retryable, "{failure:?}");
    assert!(failure.message.contains("broke off at 1000 of 300000 bytes"), "{failure}");

    let changed = Server::start(move |request, count| match count {
        0 => object(request, &content).cut(1000),
        _ => Answer::error(412, "PreconditionFailed"),
    });
    let changed = changed.await;
    let failure = read(&changed.bucket().await, "a").await.expect_err("was changed");
    assert_eq!(failure.kind, FailureKind::Moved);

    let stuck = Server::start(|request, _| {
        let longer = object(request, b"begin").header("content-length", "300000");
        if request.headers.contains_key("range") { Answer::gone() } else { longer }
    });
    let stuck = stuck.await;
    let begun = Instant::now();
    let failure = read(&stuck.bucket().await, "a").await.expect_err("is stuck");
    assert!(
        failure.message.contains("at 5 of 300000") && begun.elapsed().as_secs() < 8,
        "{failure}"
    );
}

#[tokio::test]
async fn what_arrives_with_another_checksum_is_never_taken() {
    let wrong = |request: &Request, _| {
        let object = object(request, b"some content");
        object.header("x-amz-checksum-crc32", "AAAAAA==")
    };
    let server = Server::start(wrong).await;
    let bucket = server.bucket().await;
    let failure = bucket.get("a", 100).await.expect_err("is damaged");
    assert!(failure.message.contains("checksum"), "{failure}");
    let failure = read(&bucket, "a").await.expect_err("is damaged");
    assert!(
        failure.kind == FailureKind::Malformed && failure.message.contains("damaged"),
        "{failure}"
    );
}

/// A server that takes uploads, and does to the calls what a test says.
fn uploads(
    trouble: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static,
) -> impl Fn(&Request, usize) -> Answer + Send + Sync {
    move |request, _| {
        if let Some(answer) = trouble(request) {
            return answer;
        }
        match request.method.as_str() {
            "POST" if request.path.contains("uploads") => Answer::new(
                200,
                b"<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>",
            ),
            "POST" => Answer::new(200, b"<CompleteMultipartUploadResult></CompleteMultipartUploadResult>"),
            "DELETE" => Answer::new(204, b""),
            _ => Answer::new(200, b"").header("etag", "\"p\""),
        }
    }
}

#[tokio::test]
async fn an_upload_goes_in_growing_parts_each_with_its_checksum() {
    let server = Server::start(uploads(|_| None)).await;
    let content = bytes(1_000_000);
    let size = server.bucket().await.put_stream("a", content.as_slice()).await.expect("uploads");
    assert_eq!(size, 1_000_000);
    let mut parts: Vec<Request> = server.seen();
    parts.retain(|it| it.method == "PUT");
    let number = |it: &Request| {
        let from = it.path.split("partNumber=").nth(1).expect("has one");
        from.split('&').next().and_then(|it| it.parse::<u32>().ok()).expect("is one")
    };
    parts.sort_by_key(number);
    let lengths: Vec<usize> = parts.iter().map(|it| it.body.len() >> 10).collect();
    // Those of 256 KiB come from a file, framed with their checksum behind them.
    assert_eq!(lengths[..4], [64, 64, 128, 128]);
    assert!(lengths[4] >= 256 && parts.len() == 7, "{lengths:?}");
    let summed = |it: &&Request| {
        it.headers.contains_key("x-amz-checksum-crc32")
            || it.headers.get("x-amz-trailer").is_some_and(|it| it == "x-amz-checksum-crc32")
    };
    assert_eq!(parts.iter().filter(summed).count(), 7);
    let completed = server.seen().pop().expect("was completed");
    assert!(completed.method == "POST" && completed.headers["if-none-match"] == "*");
    let sent: Vec<u8> = parts[..4].iter().flat_map(|it| it.body.clone()).collect();
    assert_eq!(sent, content[..384 << 10]);
}

#[tokio::test]
async fn an_upload_that_fails_is_given_up() {
    let content = bytes(300_000);
    let damaged = |request: &Request| {
        request.path.contains("partNumber=2").then(|| Answer::error(400, "BadDigest"))
    };
    let server = Server::start(uploads(damaged)).await;
    let failure = server.bucket().await.put_stream("a", content.as_slice()).await;
    let failure = failure.expect_err("arrived damaged");
    assert!(failure.retryable && failure.message.contains("arrived damaged"), "{failure}");
    assert_eq!(server.count("DELETE"), 1);

    let full = |request: &Request| {
        request.path.contains("partNumber").then(|| Answer::error(507, "XMinioStorageFull"))
    };
    let server = Server::start(uploads(full)).await;
    let failure = server.bucket().await.put_stream("a", content.as_slice()).await;
    assert!(failure.expect_err("is full").message.contains("no space is left"));

    let server = Server::start(uploads(|_| None)).await;
    struct Cut;
    impl tokio::io::AsyncRead for Cut {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Err(std::io::Error::other("the dump broke off")))
        }
    }
    let broken = tokio::io::AsyncReadExt::chain(content.as_slice(), Cut);
    let failure = server.bucket().await.put_stream("a", broken).await.expect_err("breaks off");
    assert!(failure.message.contains("the dump broke off"), "{failure}");
    assert_eq!((server.count("DELETE"), server.count("POST")), (1, 1), "it is not completed");
}

#[tokio::test]
async fn an_upload_whose_last_answer_was_lost_is_done() {
    let content = bytes(300_000);
    let lost = |request: &Request| match request.method.as_str() {
        "POST" if request.path.contains("uploadId") => Some(Answer::error(404, "NoSuchUpload")),
        "HEAD" => Some(Answer::new(200, b"").header("content-length", "300000")),
        _ => None,
    };
    let server = Server::start(uploads(lost)).await;
    assert_eq!(server.bucket().await.put_stream("a", content.as_slice()).await, Ok(300_000));
    let other = |request: &Request| match request.method.as_str() {
        "POST" if request.path.contains("uploadId") => {
            Some(Answer::error(412, "PreconditionFailed"))
        }
        "HEAD" => Some(Answer::new(200, b"").header("content-length", "5")),
        _ => None,
    };
    let server = Server::start(uploads(other)).await;
    let failure = server.bucket().await.put_stream("a", content.as_slice()).await;
    assert_eq!(failure.expect_err("is another's").kind, FailureKind::Taken);
}

#[tokio::test]
async fn a_server_that_ignores_conditions_is_not_used() {
    let store: Mutex<BTreeMap<String, Vec<u8>>> = Mutex::default();
    let heedless = move |request: &Request, _| {
        let mut store = store.lock().expect("is whole");
        let path = request.path.split('?').next().unwrap_or_default().to_owned();
        match request.method.as_str() {
            "PUT" => {
                store.insert(path, request.body.clone());
                Answer::new(200, b"").header("etag", "\"v1\"")
            }
            "DELETE" => {
                store.remove(&path);
                Answer::new(204, b"")
            }
            _ => object(request, &store[&path]),
        }
    };
    let server = Server::start(heedless).await;
    let failure = server.bucket().await.probe().await.expect_err("is refused");
    assert!(failure.message.contains("ignores conditions"), "{failure}");
    assert_eq!(server.count("DELETE"), 1, "the probe is taken away");
}

#[tokio::test]
async fn a_server_without_tls_is_no_server_of_https() {
    let server = Server::start(|_, _| Answer::new(200, b"")).await;
    let settings = settings(&format!("https://127.0.0.1:{}", server.port));
    let bucket = Bucket::open_with("shop", "dev", &settings, patience(), small()).await;
    let failure = bucket.expect("opens").put_new("a", b"x").await.expect_err("speaks no TLS");
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert!(server.seen().is_empty(), "nothing was sent in the clear");
}
