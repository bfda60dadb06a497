//! A service for this crate's tests, and the keeper of it.
//!
//! Its first argument says what it does: `serve` answers HTTP at `PORT`, `idle` does nothing,
//! `fork` leaves an idle child in a session of its own and ends, `exit CODE` ends. It says that it
//! started in the file `WITNESS`. A file `control` beside it changes what the next one does: `sick`
//! answers 503, `slow` listens only after a while, `mortal` ends after its first answer.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::Duration;

#[expect(clippy::disallowed_methods, reason = "a program of its own, told by its environment")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = arguments.iter().filter_map(|it| it.to_str()).collect();
    match words.as_slice() {
        [hive_process::keeper::ARGUMENT, ..] => {
            return ExitCode::from(hive_process::keeper::main(&arguments[1..]));
        }
        ["serve", ..] => serve(),
        ["fork", ..] => return fork(),
        ["forked", ..] => {
            let _ = rustix::process::setsid();
            started();
            idle();
        }
        ["exit", code, ..] => {
            started();
            return ExitCode::from(code.parse::<u8>().unwrap_or(1));
        }
        _ => {
            started();
            idle();
        }
    }
    ExitCode::SUCCESS
}

fn idle() {
    let (_never, forever) = mpsc::channel::<()>();
    let _ = forever.recv();
}

fn wait(ms: u64) {
    let (_never, until) = mpsc::channel::<()>();
    let _ = until.recv_timeout(Duration::from_millis(ms));
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn started() {
    let (replica, version) = (variable("HIVE_REPLICA"), variable("VERSION"));
    say(&format!("started as {replica} with {}", variable("SECRET")));
    let file = OpenOptions::new().create(true).append(true).open(variable("WITNESS"));
    if let Ok(mut file) = file {
        let line = format!("{} {replica} {version}\n", std::process::id());
        let _ = file.write_all(line.as_bytes());
    }
}

fn fork() -> ExitCode {
    let mut command = Command::new("/proc/self/exe");
    command.arg("forked").stdin(Stdio::null());
    match command.spawn() {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() {
    let control = fs::read_to_string("control").unwrap_or_default();
    started();
    if control == "slow" {
        wait(1_000);
    }
    let listener = match TcpListener::bind(format!("127.0.0.1:{}", variable("PORT"))) {
        Ok(listener) => listener,
        Err(error) => return say(&format!("cannot listen: {error}")),
    };
    let status = if control == "sick" { "503 Service Unavailable" } else { "200 OK" };
    for stream in listener.incoming().flatten() {
        let mut first = String::new();
        let _ = BufReader::new(&stream).read_line(&mut first);
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let _ = (&stream).write_all(answer.as_bytes());
        if control == "mortal" {
            return;
        }
    }
}
