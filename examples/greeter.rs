//! A small HTTP program that plays the services of `stacks/quickstart`.
//!
//! It answers `/` with a greeting, `/healthz` with whether it is healthy, and `/upstream` with what
//! another greeter answers. One that has such an upstream passes its greeting on in place of its own. Its environment: `PORT` where it listens, `HIVE_FILES` the folder below
//! which it finds `etc/greeter.toml`, `AUDIENCE` whom it greets, `RELEASE` what it says of itself,
//! `UPSTREAM_URL` the other greeter, `GREETER_BROKEN=1` to be unhealthy.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// How long one connection may keep a thread waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest request that is read, in bytes.
const LONGEST: u64 = 64 * 1024;

fn main() -> ExitCode {
    let greeter = Arc::new(Greeter::from_environment());
    let port = variable("PORT").unwrap_or_else(|| "8080".to_owned());
    let listener = match TcpListener::bind(format!("127.0.0.1:{port}")) {
        Ok(listener) => listener,
        Err(error) => {
            say(&format!("port {port} cannot be had: {error}"));
            return ExitCode::FAILURE;
        }
    };
    say(&format!("release {} greets {} on port {port}", greeter.release, greeter.audience));
    for stream in listener.incoming().flatten() {
        let greeter = Arc::clone(&greeter);
        // Somebody who hangs up early is no reason to end.
        std::thread::spawn(move || greeter.answer(&stream));
    }
    ExitCode::SUCCESS
}

/// Everything it was told when it started: hive starts it anew when any of this changes.
struct Greeter {
    greeting: String,
    audience: String,
    release: String,
    upstream: Option<String>,
    broken: bool,
}

impl Greeter {
    fn from_environment() -> Self {
        Self {
            greeting: configured("greeting").unwrap_or_else(|| "Hello".to_owned()),
            audience: variable("AUDIENCE").unwrap_or_else(|| "world".to_owned()),
            release: variable("RELEASE").unwrap_or_else(|| "1".to_owned()),
            upstream: variable("UPSTREAM_URL"),
            broken: variable("GREETER_BROKEN").as_deref() == Some("1"),
        }
    }

    fn answer(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut lines = BufReader::new(stream.take(LONGEST)).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        // The rest of the head is read, so that closing does not cut the answer short.
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let mut words = first.split(' ');
        let (status, body) = match (words.next(), words.next()) {
            (Some("GET"), Some("/")) => self.greet(),
            (Some("GET"), Some("/healthz")) => self.health(),
            (Some("GET"), Some("/upstream")) => self.ask_upstream(),
            (Some("GET"), Some(_)) => ("404 Not Found", "there is nothing here\n".to_owned()),
            _ => ("405 Method Not Allowed", "ask with GET\n".to_owned()),
        };
        let mut stream = stream;
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    /// Its own greeting, or the one of its upstream passed on.
    fn greet(&self) -> (&'static str, String) {
        let Some(url) = &self.upstream else {
            let Self { greeting, audience, release, .. } = self;
            return ("200 OK", format!("{greeting}, {audience}! (release {release})\n"));
        };
        match get(url) {
            Ok(said) => ("200 OK", format!("{}, passed on to {}\n", said.trim(), self.audience)),
            Err(error) => silent(url, &error),
        }
    }

    fn health(&self) -> (&'static str, String) {
        match self.broken {
            false => ("200 OK", "healthy\n".to_owned()),
            true => ("500 Internal Server Error", "this release is broken\n".to_owned()),
        }
    }

    fn ask_upstream(&self) -> (&'static str, String) {
        let Some(url) = &self.upstream else {
            return ("404 Not Found", "there is no UPSTREAM_URL\n".to_owned());
        };
        match get(url) {
            Ok(body) => ("200 OK", format!("{url} says: {body}")),
            Err(error) => silent(url, &error),
        }
    }
}

fn silent(url: &str, error: &io::Error) -> (&'static str, String) {
    ("502 Bad Gateway", format!("{url} does not answer: {error}\n"))
}

/// A key of `etc/greeter.toml`; the file holds nothing but lines of `key = "text"`.
fn configured(key: &str) -> Option<String> {
    let path = format!("{}/etc/greeter.toml", variable("HIVE_FILES")?);
    let text = std::fs::read_to_string(path).ok()?;
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let mut values = pairs.filter(|(name, _)| name.trim() == key).map(|(_, value)| value.trim());
    values.next().map(|value| value.trim_matches('"').to_owned())
}

/// The body that `http://host:port` answers with.
fn get(url: &str) -> io::Result<String> {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(LONGEST).read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        _ => Err(io::Error::other("it answers with something else than 200")),
    }
}

#[expect(clippy::disallowed_methods, reason = "a program of its own, told by its environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// One line for the service's log.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "greeter: {line}");
}
