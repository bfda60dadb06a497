//! The keeper: a small process beside each replica, which starts it, waits for it and turns its
//! log over. It is hive's own program run again, so nothing else has to be installed, and it goes
//! on when hive ends, is upgraded or removed.
//!
//! What it is to do comes by its input, because every user can read arguments. It is run twice:
//! the first one only starts the second and ends, so that hive has no child to wait for, and the
//! second has a session of its own, so that no key pressed in hive's terminal reaches it.

use crate::claims::{Claim, claim};
use crate::logs::{Rotation, rotate};
use crate::private::write_json;
use crate::record::{EXIT, Exit, STARTED, Started};
use crate::scan::{Ident, boot, ident};
use rustix::process::{WaitOptions, getpid, set_child_subreaper, setsid};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The first argument that makes hive a keeper.
pub const ARGUMENT: &str = "__keep";
/// The second argument of the second keeper.
const RUN: &str = "run";
/// How often the log's length is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What a keeper is told.
#[derive(Serialize, Deserialize)]
pub(crate) struct Instruction {
    pub(crate) program: PathBuf,
    /// What the program is called for itself.
    pub(crate) called: String,
    pub(crate) arguments: Vec<String>,
    /// All of it, secrets included: this is the only way they take.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) directory: PathBuf,
    /// The folder of the log.
    pub(crate) log: PathBuf,
    pub(crate) rotation: Rotation,
    /// The folder of this start.
    pub(crate) folder: PathBuf,
    /// The file to be created right before the start.
    pub(crate) claim: PathBuf,
}

/// What a keeper says, as one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Report {
    /// The service runs.
    Started(Ident),
    /// Somebody else has the claim: nothing was started.
    Claimed,
    /// Nothing was started; why.
    Failed(String),
}

/// The running program, also when its file was replaced or removed.
pub(crate) fn program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

/// Starts a keeper and waits until it says what came of it. Blocks.
///
/// # Errors
/// The keeper cannot be started, or ended without a word.
pub(crate) fn keep(
    program: &Path,
    environment: &[(&str, String)],
    title: &str,
    instruction: &Instruction,
) -> io::Result<Report> {
    let mut command = Command::new(program);
    command.arg0("hive").arg(ARGUMENT).arg(title).env_clear().current_dir("/").process_group(0);
    command.envs(environment.iter().map(|(name, value)| (*name, value)));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut first = command.spawn()?;
    let said = (|| {
        if let Some(mut input) = first.stdin.take() {
            input.write_all(&serde_json::to_vec(instruction)?)?;
        }
        let mut line = String::new();
        let output = first.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        io::BufRead::read_line(&mut io::BufReader::new(output), &mut line)?;
        if line.is_empty() {
            return Err(io::Error::other("the keeper ended before it started anything"));
        }
        Ok(serde_json::from_str(&line)?)
    })();
    first.wait()?;
    said
}

/// What hive does when its first argument is [`ARGUMENT`]: `arguments` are those behind it. Gives
/// the exit code.
pub fn main(arguments: &[OsString]) -> u8 {
    let done = match arguments {
        [first, ..] if first == RUN => second(),
        arguments => first(arguments),
    };
    u8::from(done.is_err())
}

/// Starts the second keeper and leaves it alone.
fn first(title: &[OsString]) -> io::Result<()> {
    let mut command = Command::new(program());
    command.arg0("hive").arg(ARGUMENT).arg(RUN).args(title);
    command.spawn().map(drop)
}

fn second() -> io::Result<()> {
    setsid()?;
    set_child_subreaper(Some(getpid()))?;
    let mut told = Vec::new();
    io::stdin().read_to_end(&mut told)?;
    // Cut off when whoever gives it dies: then it is no JSON, and nothing happens.
    let instruction: Instruction = serde_json::from_slice(&told)?;
    drop(told);
    match start(&instruction) {
        Ok(process) => {
            say(&Report::Started(process.clone()));
            wait(&instruction, process.pid)
        }
        Err(report) => {
            if let Report::Failed(why) = &report {
                let exit = Exit::Unstarted(why.clone());
                let _ = write_json(&instruction.folder.join(EXIT), &exit);
            }
            say(&report);
            Ok(())
        }
    }
}

/// One line to whoever started this. Nobody may listen any more.
fn say(report: &Report) {
    let mut line = serde_json::to_vec(report).unwrap_or_default();
    line.push(b'\n');
    let mut output = io::stdout();
    let _ = output.write_all(&line).and_then(|()| output.flush());
}

fn start(instruction: &Instruction) -> Result<Ident, Report> {
    let failed = |why: &str| Report::Failed(why.to_owned());
    let boot = boot().map_err(|failure| failed(&failure.message))?;
    let me =
        ident(getpid().as_raw_nonzero().get(), &boot).ok().flatten().ok_or(failed("no /proc"))?;
    let path = instruction.log.join("current.log");
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
    let log = log.map_err(|error| Report::Failed(format!("`{}`: {error}", path.display())))?;
    let twice = log.try_clone().map_err(|error| Report::Failed(error.to_string()))?;

    let mut command = Command::new(&instruction.program);
    command.arg0(&instruction.called).args(&instruction.arguments).env_clear();
    command.envs(instruction.environment.iter().map(|(name, value)| (name, value)));
    command.current_dir(&instruction.directory);
    command.stdin(Stdio::null()).stdout(log).stderr(twice);

    match claim(&instruction.claim, &Claim::Keeper(me.clone())) {
        Ok(Claim::Keeper(holder)) if holder == me => {}
        Ok(_) => return Err(Report::Claimed),
        Err(failure) => return Err(Report::Failed(failure.message)),
    }
    let child = command.spawn().map_err(|error| {
        let called = &instruction.called;
        Report::Failed(match error.kind() {
            io::ErrorKind::NotFound => format!("`{called}` or what runs it is not there"),
            _ => format!("`{called}`: {error}"),
        })
    })?;
    // A child that has ended already is still there to be waited for.
    let pid = i32::try_from(child.id()).unwrap_or_default();
    let process =
        ident(pid, &boot).ok().flatten().ok_or(failed("the started process cannot be seen"))?;
    let started = Started { process: process.clone(), keeper: me };
    // Without the file the service is found by what its environment carries.
    let _ = write_json(&instruction.folder.join(STARTED), &started);
    Ok(process)
}

/// Waits for the service and everything that it leaves behind.
fn wait(instruction: &Instruction, first: i32) -> io::Result<()> {
    let (ended, until) = mpsc::channel::<()>();
    let (log, rotation) = (instruction.log.clone(), instruction.rotation);
    let turning = std::thread::spawn(move || {
        while until.recv_timeout(LOOK) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = rotate(&log, rotation);
        }
    });
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == first => {
                let exit = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Exit::Status(code),
                    (None, Some(signal)) => Exit::Signal(signal),
                    (None, None) => continue,
                };
                let _ = write_json(&instruction.folder.join(EXIT), &exit);
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // No child is left.
            Err(_) => break,
        }
    }
    drop(ended);
    let _ = turning.join();
    Ok(())
}
