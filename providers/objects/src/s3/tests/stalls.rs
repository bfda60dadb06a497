//! Servers that hold a connection and let nothing move, and such as are only slow.

use super::scripted::{Answer, Request, Server, patience, settings, small};
use crate::s3::Bucket;
use crate::s3::client::Patience;
use hive_contract::{Failure, FailureKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Far above what the tries of these tests take together, far below a call that does not end.
const SOON: Duration = Duration::from_secs(20);

/// Says what, where, why and what to do, and may be tried again.
#[track_caller]
fn is_told(failure: &Failure, begun: Instant, verb: &str) {
    assert!(failure.retryable && failure.kind == FailureKind::Unavailable, "{failure:?}");
    let said = &failure.message;
    assert!(said.contains(verb) && said.contains("s3://shop/dev"), "{said}");
    assert!(said.contains("nothing moved on the connection for"), "{said}");
    assert!(failure.diagnosis.iter().any(|it| it.contains("`s3.patience`")), "{failure:?}");
    assert!(begun.elapsed() < SOON, "{verb}: {:?}", begun.elapsed());
}

/// Takes connections and reads so many bytes of each, then nothing; never answers.
async fn mute(reads: usize) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("listens");
    let port = listener.local_addr().expect("has one").port();
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            held.push(tokio::spawn(async move {
                let mut bytes = vec![0; reads];
                let _ = stream.read_exact(&mut bytes).await;
                std::future::pending::<()>().await;
            }));
        }
    });
    (port, taken)
}

async fn bucket(port: u16, patience: Patience) -> Bucket {
    let settings = settings(&format!("http://127.0.0.1:{port}"));
    Bucket::open_with("shop", "dev", &settings, patience, small()).await.expect("opens")
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_is_given_up() {
    let (port, taken) = mute(0).await;
    let bucket = bucket(port, patience()).await;
    let begun = Instant::now();
    is_told(&bucket.list("").await.expect_err("is silent"), begun, "cannot list");
    is_told(&bucket.get("a", 10).await.expect_err("is silent"), begun, "cannot read");
    is_told(&bucket.put_new("a", b"x").await.expect_err("is silent"), begun, "cannot write");
    assert_eq!(taken.load(Ordering::SeqCst), 9, "three tries each");
}

#[tokio::test]
async fn a_body_that_stops_coming_is_given_up_and_goes_on_where_it_was() {
    let content: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
    let answer = |request: &Request, content: &[u8]| {
        let from = request.headers.get("range").and_then(|it| it.strip_prefix("bytes="));
        let from: usize = from.and_then(|it| it.trim_end_matches('-').parse().ok()).unwrap_or(0);
        let status = if from > 0 { 206 } else { 200 };
        Answer::new(status, &content[from..]).header("etag", "\"v1\"")
    };
    // Each connection brings some and then nothing: it goes on, whatever the number of tries.
    let some = content.clone();
    let stops = Server::start(move |request, _| answer(request, &some).stalls(100_000)).await;
    let mut reader =
        stops.bucket().await.get_stream("a").await.expect("answers").expect("is there");
    let mut all = Vec::new();
    reader.read_to_end(&mut all).await.expect("comes whole");
    assert!(all == content && stops.seen().len() >= 3, "{} bytes", all.len());
    // Where nothing more comes at all, it ends and says how far it came.
    let begun = Instant::now();
    let most = content.clone();
    let stops = Server::start(move |request, _| {
        let more = if request.headers.contains_key("range") { 0 } else { 5 };
        answer(request, &most).stalls(more)
    });
    let stops = stops.await;
    let bucket = stops.bucket().await;
    let mut reader = bucket.get_stream("a").await.expect("answers").expect("is there");
    let error = reader.read_to_end(&mut Vec::new()).await.expect_err("stops");
    let failure = error.get_ref().and_then(|it| it.downcast_ref::<Failure>());
    let failure = failure.expect("carries a failure");
    assert!(failure.message.contains("at 5 of 300000 bytes"), "{failure}");
    is_told(failure, begun, "reading");
    is_told(&bucket.get("a", 1 << 20).await.expect_err("stops"), begun, "reading");
}

#[tokio::test]
async fn an_upload_that_is_no_longer_read_is_given_up() {
    let (port, taken) = mute(100_000).await;
    // More than the system takes for a server that does not read.
    let bytes = vec![7; 32 << 20];
    let begun = Instant::now();
    let bucket = bucket(port, patience()).await;
    let failure = bucket.put_new("a", &bytes).await.expect_err("is not read");
    is_told(&failure, begun, "cannot write");
    assert_eq!(taken.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn parts_that_a_server_swallows_without_an_answer_are_given_up_with_their_upload() {
    let server = Server::start(|request: &Request, _| {
        match request.method.as_str() {
        "POST" => Answer::new(
            200,
            b"<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>",
        ),
        "PUT" => Answer::new(200, b"").slow(Duration::from_secs(600)),
        _ => Answer::new(204, b""),
    }
    });
    let server = server.await;
    let begun = Instant::now();
    let failure = server.bucket().await.put_stream("a", &vec![1; 300_000][..]).await;
    is_told(&failure.expect_err("no part is answered"), begun, "cannot write");
    assert_eq!((server.count("DELETE"), server.count("POST")), (1, 1), "it is not completed");
}

#[tokio::test]
async fn what_is_slow_and_moves_goes_on() {
    let patience = || Patience { stalled: Duration::from_secs(2), attempts: 1, ..patience() };
    // Down: three times as long as nothing may move, a little at a time.
    let server = Server::start(|_, _| {
        let slow = Answer::new(200, &[7; 60_000]).header("etag", "\"v1\"");
        slow.trickles(1_000, Duration::from_millis(100))
    });
    let server = server.await;
    let begun = Instant::now();
    let far = bucket(server.port, patience()).await;
    let content = far.get("a", 1 << 20).await.expect("goes on").expect("is there");
    assert_eq!((content.bytes.len(), server.seen().len()), (60_000, 1));
    assert!(begun.elapsed() > patience().stalled * 2, "{:?}", begun.elapsed());
    // Up: read a little at a time.
    let read = Arc::new(AtomicU64::new(0));
    let port = sipping(Arc::clone(&read)).await;
    let begun = Instant::now();
    let put = bucket(port, patience()).await.put_new("a", &vec![7; 24 << 20]).await;
    put.expect("goes on");
    assert!(begun.elapsed() > patience().stalled * 2, "{:?}", begun.elapsed());
    assert!(read.load(Ordering::SeqCst) >= 24 << 20);
}

/// Reads what is sent 512 KiB at a time with a wait between, and then answers.
async fn sipping(read: Arc<AtomicU64>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("listens");
    let port = listener.local_addr().expect("has one").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(sip(stream, Arc::clone(&read)));
        }
    });
    port
}

async fn sip(mut stream: TcpStream, read: Arc<AtomicU64>) {
    let mut bytes = vec![0; 512 << 10];
    while read.load(Ordering::SeqCst) < 24 << 20 {
        let mut sip = 0;
        while sip < bytes.len() && read.load(Ordering::SeqCst) < 24 << 20 {
            let Ok(count @ 1..) = stream.read(&mut bytes[sip..]).await else { return };
            sip += count;
            read.fetch_add(count as u64, Ordering::SeqCst);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let answer = b"HTTP/1.1 200 x\r\netag: \"v1\"\r\ncontent-length: 0\r\n\r\n";
    let _ = stream.write_all(answer).await;
    std::future::pending::<()>().await;
}
