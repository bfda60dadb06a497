//! A server that says what a test tells it to: a script of faults, and no store.

use crate::location::{S3Keys, S3Settings};
use crate::s3::Bucket;
use crate::s3::client::Patience;
use crate::s3::upload::Sizes;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The secret that no message may have.
pub(super) const CANARY: &str = "hive-canary-5f1c0a7e";

/// One request as it came.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

/// What it is answered with.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// How much of the body is sent before the connection is cut.
    cut: Option<usize>,
    wait: Duration,
    gone: bool,
    /// How much of the body is sent before nothing more comes, on a connection that stays.
    stalls: Option<usize>,
    /// How much is sent at a time, and the wait between.
    trickle: Option<(usize, Duration)>,
}

impl Answer {
    pub(super) fn new(status: u16, body: &[u8]) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_vec(),
            cut: None,
            wait: Duration::ZERO,
            gone: false,
            stalls: None,
            trickle: None,
        }
    }

    /// An error as S3 writes it.
    pub(super) fn error(status: u16, code: &str) -> Self {
        let body = format!("<Error><Code>{code}</Code><Message>it is so</Message></Error>");
        Self::new(status, body.as_bytes())
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The connection is cut behind so much of the body.
    pub(super) fn cut(mut self, at: usize) -> Self {
        self.cut = Some(at);
        self
    }

    /// Nothing more comes behind so much of the body.
    pub(super) fn stalls(mut self, at: usize) -> Self {
        self.stalls = Some(at);
        self
    }

    /// So much at a time, with a wait between.
    pub(super) fn trickles(mut self, piece: usize, wait: Duration) -> Self {
        self.trickle = Some((piece, wait));
        self
    }

    pub(super) fn slow(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// The connection is closed without a word.
    pub(super) fn gone() -> Self {
        Self { gone: true, ..Self::new(200, b"") }
    }
}

type Script = dyn Fn(&Request, usize) -> Answer + Send + Sync;

/// The server: it ends with the runtime of its test.
pub(super) struct Server {
    pub(super) port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// The script is asked with each request and how many came before it.
    pub(super) async fn start(
        script: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("listens");
        let port = listener.local_addr().expect("has one").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (all, script): (_, Arc<Script>) = (Arc::clone(&seen), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&all), Arc::clone(&script)));
            }
        });
        Self { port, seen }
    }

    pub(super) fn seen(&self) -> Vec<Request> {
        self.seen.lock().expect("is whole").clone()
    }

    pub(super) fn count(&self, method: &str) -> usize {
        self.seen().iter().filter(|it| it.method == method).count()
    }

    /// A bucket on it, for a client with little patience and small parts.
    pub(super) async fn bucket(&self) -> Bucket {
        let settings = settings(&format!("http://127.0.0.1:{}", self.port));
        let opened = Bucket::open_with("shop", "dev", &settings, patience(), small()).await;
        opened.expect("opens")
    }
}

pub(super) fn settings(endpoint: &str) -> S3Settings {
    S3Settings {
        endpoint: Some(endpoint.to_owned()),
        region: None,
        path_style: true,
        keys: Some(S3Keys { access: "access".into(), secret: CANARY.into() }),
        ..S3Settings::default()
    }
}

pub(super) fn patience() -> Patience {
    Patience {
        connect: Duration::from_millis(500),
        stalled: Duration::from_millis(500),
        attempt: Duration::from_millis(700),
        attempts: 3,
        first_wait: Duration::from_millis(1),
    }
}

/// Parts of 64 KiB that double after two, of which those above 128 KiB are spilled.
pub(super) fn small() -> Sizes {
    Sizes { first: 64 << 10, doubles_after: 2, in_memory: 128 << 10 }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<Request>>>, script: Arc<Script>) {
    let mut left = Vec::new();
    while let Some(request) = read(&mut stream, &mut left).await {
        let count = {
            let mut seen = seen.lock().expect("is whole");
            seen.push(request.clone());
            seen.len() - 1
        };
        let answer = script(&request, count);
        tokio::time::sleep(answer.wait).await;
        if answer.gone || !write(&mut stream, &request, &answer).await {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream, left: &mut Vec<u8>) -> Option<Request> {
    let end = loop {
        if let Some(end) = left.windows(4).position(|it| it == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(left).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&left[..end]).into_owned();
    left.drain(..end + 4);
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
    while left.len() < length {
        if stream.read_buf(left).await.ok()? == 0 {
            return None;
        }
    }
    let body = left.drain(..length).collect();
    Some(Request { method, path, headers, body })
}

/// Whether the connection goes on.
async fn write(stream: &mut TcpStream, request: &Request, answer: &Answer) -> bool {
    let mut head = format!("HTTP/1.1 {} x\r\n", answer.status);
    let length = answer.headers.iter().any(|(name, _)| name == "content-length");
    if !length {
        head.push_str(&format!("content-length: {}\r\n", answer.body.len()));
    }
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let bytes = head.into_bytes();
    let body = if request.method == "HEAD" { &[][..] } else { &answer.body[..] };
    let shown = answer.stalls.or(answer.cut).unwrap_or(body.len()).min(body.len());
    let (piece, wait) = answer.trickle.unwrap_or((usize::MAX, Duration::ZERO));
    if stream.write_all(&bytes).await.is_err() {
        return false;
    }
    for piece in body[..shown].chunks(piece) {
        if stream.write_all(piece).await.is_err() {
            return false;
        }
        tokio::time::sleep(wait).await;
    }
    if answer.stalls.is_some() {
        // Until the other side goes.
        while stream.read_u8().await.is_ok() {}
    }
    answer.cut.is_none() && answer.stalls.is_none()
}
