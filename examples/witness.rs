//! A service for tests that says by itself, in a file of its own, when it started and stopped.
//!
//! Environment: `PORT` where it listens, `START_LOG` the file it appends to, `VERSION` a word that
//! it answers with, `BROKEN=1` to be unhealthy, `SLOW_MS` the time before it listens,
//! `DIES_AFTER_MS` the time after which it exits with 3.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::Duration;

#[expect(clippy::disallowed_methods, reason = "a program of its own, told by its environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn say(line: &str) {
    let Some(path) = variable("START_LOG") else { return };
    if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(path) {
        // One write a line: lines of several processes do not mix.
        let _ = file.write_all(format!("{line}\n").as_bytes());
    }
}

#[expect(clippy::disallowed_methods, reason = "a program of its own, with nothing else to do")]
fn wait(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

fn main() {
    let version = variable("VERSION").unwrap_or_default();
    let replica = variable("HIVE_REPLICA").unwrap_or_default();
    let address = variable("HIVE_ADDRESS").unwrap_or_default();
    let port = variable("PORT").unwrap_or_else(|| "0".to_owned());
    say(&format!("start {} {address} {replica} {port} {version}", std::process::id()));
    if let Some(ms) = variable("SLOW_MS").and_then(|it| it.parse().ok()) {
        wait(ms);
    }
    if let Some(ms) = variable("DIES_AFTER_MS").and_then(|it| it.parse().ok()) {
        std::thread::spawn(move || {
            wait(ms);
            #[expect(clippy::disallowed_methods, reason = "dying is what it is for")]
            std::process::exit(3);
        });
    }
    let listener = match TcpListener::bind(format!("127.0.0.1:{port}")) {
        Ok(listener) => listener,
        Err(error) => {
            say(&format!("refused {} {address} {replica} {port} {error}", std::process::id()));
            return;
        }
    };
    let broken = variable("BROKEN").as_deref() == Some("1");
    for stream in listener.incoming().flatten() {
        let mut first = String::new();
        let mut reader = BufReader::new(&stream);
        if reader.read_line(&mut first).is_err() {
            continue;
        }
        let health = first.starts_with("GET /healthz");
        let (code, body) = match (health, broken) {
            (true, true) => ("500 Internal Server Error", "broken".to_owned()),
            _ => ("200 OK", format!("{version} {replica}")),
        };
        let _ = (&stream).write_all(
            format!(
                "HTTP/1.1 {code}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        );
    }
}
