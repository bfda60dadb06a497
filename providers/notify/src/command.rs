//! A message as the input of a command.

use crate::message::Message;
use hive_contract::{Failure, FailureKind};
use rustix::process::{Pid, Signal, kill_process_group};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, Command};

/// How long a command may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How much of what it says on stderr is shown, in bytes.
const SHOWN: usize = 2048;

/// How long the end of its stderr is waited for when it has ended.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Runs the command once, with the message as JSON on its input. It has hive's own environment:
/// it is the user's own program, and finds its desktop or its credentials there.
pub(crate) async fn run(folder: &Path, words: &[String], message: &Message) -> Result<(), Failure> {
    let (name, arguments) = (&words[0], &words[1..]);
    let mut command = Command::new(program(folder, name));
    command.args(arguments).current_dir(folder).envs(told(message));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    let child = command.spawn().map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "there is no such program".to_owned(),
            io::ErrorKind::PermissionDenied => "it may not be run".to_owned(),
            _ => error.to_string(),
        };
        Failure::new(FailureKind::Invalid, format!("`{name}` was not started: {why}"))
    })?;
    let mut group = Group(child);
    let mut said = Vec::new();
    let ended = tokio::time::timeout(TIMEOUT, finish(&mut group.0, message, &mut said)).await;
    let why = match ended {
        Ok(Ok(status)) if status.success() => return Ok(()),
        Ok(Ok(status)) => words_of(status),
        Ok(Err(error)) => format!("cannot be followed: {error}"),
        Err(_) => "did not end within 30s".to_owned(),
    };
    let mut failure = Failure::new(FailureKind::Unhealthy, format!("`{name}` {why}"));
    failure.diagnosis = String::from_utf8_lossy(&said).lines().map(str::to_owned).collect();
    Err(failure)
}

/// A path with a `/` counts from the folder, a plain name is looked up in PATH.
fn program(folder: &Path, name: &str) -> PathBuf {
    if name.contains('/') { folder.join(name) } else { PathBuf::from(name) }
}

fn told(message: &Message) -> [(&'static str, &str); 6] {
    [
        ("HIVE_EVENT", &message.event),
        ("HIVE_STACK", &message.stack),
        ("HIVE_ENVIRONMENT", &message.environment),
        ("HIVE_APPLY", &message.apply),
        ("HIVE_SUMMARY", &message.summary),
        ("HIVE_URL", message.url.as_deref().unwrap_or_default()),
    ]
}

/// Feeds it and listens to it until it has ended. What it left running in the background may hold
/// its stderr open for ever, so its own end counts.
async fn finish(
    child: &mut Child,
    message: &Message,
    said: &mut Vec<u8>,
) -> io::Result<ExitStatus> {
    let (input, errors) = (child.stdin.take(), child.stderr.take());
    let mut talk = pin!(async {
        tokio::join!(feed(input, message.json()), listen(errors, said));
    });
    let status = tokio::select! {
        biased;
        () = &mut talk => return child.wait().await,
        status = child.wait() => status,
    };
    // Its last words may still be in the pipe.
    let _ = tokio::time::timeout(LAST_WORDS, talk).await;
    status
}

/// A command that does not read its input is none the worse for it.
async fn feed(input: Option<ChildStdin>, json: String) {
    if let Some(mut input) = input {
        let _ = input.write_all(json.as_bytes()).await;
    }
}

async fn listen(errors: Option<ChildStderr>, said: &mut Vec<u8>) {
    let Some(mut errors) = errors else { return };
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = errors.read(&mut buffer).await {
        said.extend_from_slice(&buffer[..count]);
        let over = said.len().saturating_sub(SHOWN);
        said.drain(..over);
    }
}

fn words_of(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

/// A running command with everything it started; killed as a whole unless it has ended.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // An id is there only until the command was waited for, so it is nobody else's.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}
