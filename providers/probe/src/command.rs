//! Whether a command ends well.

use crate::words;
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};

/// How much of a command's output is kept: the end of it.
const KEPT: usize = 64 * 1024;

/// One command to be run. Its environment is exactly what stands here.
#[derive(Clone, Default)]
pub struct Run {
    /// The file to run.
    pub program: PathBuf,
    /// What the command is called for itself; the program's path where there is none.
    pub called: Option<OsString>,
    /// The arguments behind it.
    pub arguments: Vec<OsString>,
    /// Names and values. Values may be secrets, so this has no `Debug`.
    pub environment: Vec<(OsString, OsString)>,
    /// Where it runs.
    pub directory: PathBuf,
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Whether it ended with status 0 in time; what it did instead, in words.
    pub ended: Result<(), String>,
    /// The end of what it printed on both streams, at most 64 KiB.
    pub output: String,
}

/// Runs a command once, in a process group of its own, without input. When `timeout` passes, or
/// the caller stops waiting, the whole group is killed.
pub async fn command(run: &Run, timeout: Duration) -> Ran {
    let (child, mut output) = match start(run) {
        Ok(started) => started,
        Err(error) => {
            return Ran { ended: Err(start_words(&error)), output: String::new() };
        }
    };
    let mut group = Group(child);
    let mut kept = Vec::new();
    let finished = tokio::time::timeout(timeout, finish(&mut group.0, &mut output, &mut kept));
    let ended = match finished.await {
        Ok(Ok(status)) => judge(status),
        Ok(Err(error)) => Err(format!("its end cannot be seen: {error}")),
        Err(_) => Err(format!("did not end within {}", words(timeout))),
    };
    Ran { ended, output: tail(kept) }
}

fn start(run: &Run) -> io::Result<(Child, Receiver)> {
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(&run.program);
    command.args(&run.arguments).env_clear().current_dir(&run.directory);
    command.envs(run.environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    command.process_group(0).kill_on_drop(true);
    if let Some(called) = &run.called {
        command.arg0(called);
    }
    // The command holds the writing ends: dropped here, so that reading ends with it.
    let child = command.spawn()?;
    drop(command);
    Ok((child, Receiver::from_owned_fd(reader.into())?))
}

/// Reads what the command prints until it has ended. What it left running in the background may
/// hold the pipe open for ever, so the end of the command counts and not the end of the pipe.
async fn finish(
    child: &mut Child,
    output: &mut Receiver,
    kept: &mut Vec<u8>,
) -> io::Result<ExitStatus> {
    loop {
        tokio::select! {
            biased;
            readable = output.readable() => {
                readable?;
                if !read(output, kept)? {
                    return child.wait().await;
                }
            }
            status = child.wait() => {
                read(output, kept)?;
                return status;
            }
        }
    }
}

/// Reads what is there; false at the end of the pipe.
fn read(output: &Receiver, kept: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 8192];
    loop {
        match output.try_read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                kept.extend_from_slice(&buffer[..count]);
                if kept.len() > 2 * KEPT {
                    kept.drain(..kept.len() - KEPT);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        }
    }
}

fn tail(mut kept: Vec<u8>) -> String {
    if kept.len() > KEPT {
        kept.drain(..kept.len() - KEPT);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

fn judge(status: ExitStatus) -> Result<(), String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(format!("ended with status {code}")),
        (None, Some(signal)) => Err(format!("was killed by signal {signal}")),
        (None, None) => Err("ended in an unknown way".to_owned()),
    }
}

fn start_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "cannot be started: no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "cannot be started: permission denied".to_owned(),
        _ => format!("cannot be started: {error}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Run {
        Run {
            program: "/bin/sh".into(),
            called: None,
            arguments: vec!["-c".into(), script.into()],
            environment: vec![("GREETING".into(), "hello".into())],
            directory: "/".into(),
        }
    }

    #[tokio::test]
    async fn the_status_decides_and_the_output_is_kept() {
        let ran = command(&shell("echo $GREETING $HOME; echo there >&2"), SOON).await;
        assert_eq!(ran, Ran { ended: Ok(()), output: "hello\nthere\n".to_owned() });
        let ran = command(&shell("echo no; exit 7"), SOON).await;
        assert_eq!(ran.ended, Err("ended with status 7".to_owned()));
        assert_eq!(ran.output, "no\n");
        let ran = command(&shell("kill -9 $$"), SOON).await;
        assert_eq!(ran.ended, Err("was killed by signal 9".to_owned()));
    }

    #[tokio::test]
    async fn a_command_that_is_not_there_is_said_to_be_missing() {
        let run = Run { program: "/nowhere/x".into(), directory: "/".into(), ..Run::default() };
        let ran = command(&run, SOON).await;
        assert_eq!(ran.ended, Err("cannot be started: no such file".to_owned()));
    }

    #[tokio::test]
    async fn a_slow_command_is_killed_with_all_it_started() {
        let folder = tempfile::tempdir().expect("folder");
        let pid = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! >{}; wait", pid.display());
        let ran = command(&shell(&script), Duration::from_millis(300)).await;
        assert_eq!(ran.ended, Err("did not end within 300ms".to_owned()));
        let pid = std::fs::read_to_string(&pid).expect("the command wrote it");
        let stat = format!("/proc/{}/stat", pid.trim());
        let until = tokio::time::Instant::now() + SOON;
        // Killed, and soon reaped or a zombie.
        while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(tokio::time::Instant::now() < until, "still running");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn what_stays_behind_does_not_hold_up() {
        let ran = command(&shell("sleep 5 & echo done"), SOON).await;
        assert_eq!(ran, Ran { ended: Ok(()), output: "done\n".to_owned() });
    }

    #[tokio::test]
    async fn of_much_output_the_end_is_kept() {
        let ran = command(&shell("seq 1 100000"), SOON).await;
        assert_eq!(ran.ended, Ok(()));
        assert!(ran.output.len() <= KEPT);
        assert!(ran.output.ends_with("99999\n100000\n"));
    }
}
