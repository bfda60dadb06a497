//! The program `git`.

use hive_contract::{Failure, FailureKind};
use std::io::ErrorKind;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, Command};

/// How much of what it says on its way is kept.
const SAID: usize = 2000;
/// What it says where the machine is short of something, and nothing is wrong with what it was
/// given.
const SHORT: [&str; 8] = [
    "No space left on device",
    "diskspace",
    "Disk quota exceeded",
    "File too large",
    "Read-only file system",
    "Cannot allocate memory",
    "ut of memory",
    "died of signal",
];
/// How much of an answer is taken.
const ANSWER: u64 = 64 << 20;

/// `git` in a folder, without anything that the environment or a repository's own settings could
/// make it do beside. It looks for the repository as `git` does.
pub(crate) fn at(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    for name in [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_NAMESPACE",
        "GIT_TEMPLATE_DIR",
        "GIT_CONFIG_PARAMETERS",
        "GIT_CONFIG_COUNT",
    ] {
        command.env_remove(name);
    }
    command
        .env("LC_ALL", "C")
        .env("GIT_TERMINAL_PROMPT", "0")
        // Objects as they are, not as somebody wants them to look, and none from elsewhere.
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_LFS_SKIP_SMUDGE", "1")
        .args(["-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", "-c", "core.fsmonitor=false"])
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// `git` for exactly this repository, by the folder that holds its objects.
pub(crate) fn of(git_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = at(git_dir, arguments);
    command.env("GIT_DIR", git_dir);
    command
}

/// Starts it.
///
/// # Errors
/// There is no `git` here.
pub(crate) fn start(mut command: Command) -> Result<Child, Failure> {
    command.spawn().map_err(|error| {
        let kind = match error.kind() {
            ErrorKind::NotFound => FailureKind::Invalid,
            ErrorKind::PermissionDenied => FailureKind::Forbidden,
            _ => FailureKind::Unavailable,
        };
        Failure::new(kind, format!("cannot run `git`: {error}"))
    })
}

/// What came of a call.
pub(crate) struct Answer {
    pub(crate) status: ExitStatus,
    pub(crate) out: Vec<u8>,
    pub(crate) said: String,
}

/// Runs it to its end.
///
/// # Errors
/// It cannot be run.
pub(crate) async fn run(command: Command) -> Result<Answer, Failure> {
    let mut child = start(command)?;
    let (out, said) = (child.stdout.take(), child.stderr.take());
    let read = async {
        let mut bytes = Vec::new();
        if let Some(out) = out {
            out.take(ANSWER).read_to_end(&mut bytes).await?;
        }
        Ok::<_, std::io::Error>(bytes)
    };
    let (out, said) = tokio::join!(read, said_of(said));
    let ended = child.wait().await;
    let broken = |error: std::io::Error| {
        Failure::new(FailureKind::Unavailable, format!("`git` broke off: {error}")).retryable()
    };
    Ok(Answer { status: ended.map_err(broken)?, out: out.map_err(broken)?, said })
}

/// The same where only a good end is an answer.
///
/// # Errors
/// It cannot be run, or refuses; with what it says.
pub(crate) async fn ask(command: Command) -> Result<Vec<u8>, Failure> {
    let answer = run(command).await?;
    if answer.status.success() {
        return Ok(answer.out);
    }
    Err(refused(&answer.said))
}

/// Why it does not take what it was given; nothing where it does.
///
/// # Errors
/// It did not come so far: it was killed, or the machine is short of something.
pub(crate) fn verdict(answer: &Answer) -> Result<Option<String>, Failure> {
    if answer.status.success() {
        return Ok(None);
    }
    let failure = refused(&answer.said);
    match (answer.status.code(), failure.kind) {
        (Some(_), FailureKind::Invalid) => Ok(Some(failure.message)),
        (Some(_), _) => Err(failure),
        (None, _) => {
            let what = format!("`git` was killed: {}", answer.status);
            Err(Failure::new(FailureKind::Unavailable, what).retryable())
        }
    }
}

/// What it said before it refused.
pub(crate) fn refused(said: &str) -> Failure {
    let short = said.lines().find(|line| SHORT.iter().any(|it| line.contains(it)));
    let kind = if short.is_some() { FailureKind::Unavailable } else { FailureKind::Invalid };
    let line = short.or_else(|| said.lines().find(|line| !line.trim().is_empty()));
    let line = line.unwrap_or("without a word");
    let line = line.strip_prefix("fatal: ").unwrap_or(line);
    let mut failure = Failure::new(kind, format!("`git` refuses: {line}"));
    failure.diagnosis = said.lines().map(str::to_owned).collect();
    failure
}

/// The end of what it says on its way.
pub(crate) async fn said_of(said: Option<ChildStderr>) -> String {
    let mut all = Vec::new();
    if let Some(mut said) = said {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = said.read(&mut buffer).await {
            all.extend_from_slice(&buffer[..count]);
            let over = all.len().saturating_sub(SAID);
            all.drain(..over);
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    fn answer(raw: i32, said: &str) -> Answer {
        Answer { status: ExitStatus::from_raw(raw), out: Vec::new(), said: said.to_owned() }
    }

    #[test]
    fn a_machine_that_is_short_of_something_is_told_from_a_bundle_that_is_wrong() {
        assert_eq!(verdict(&answer(0, "")), Ok(None));
        let wrong = verdict(&answer(128 << 8, "fatal: pack is corrupted (SHA1 mismatch)\n"));
        assert_eq!(wrong, Ok(Some("`git` refuses: pack is corrupted (SHA1 mismatch)".to_owned())));
        for short in [
            "fatal: write error: No space left on device\nfatal: index-pack failed\n",
            "error: whatever\nfatal: sha1 file 'x' write error. Out of diskspace\n",
            "fatal: Out of memory, malloc failed (tried to allocate 9 bytes)\n",
            "error: index-pack died of signal 9\nfatal: index-pack failed\n",
        ] {
            let failure = verdict(&answer(128 << 8, short)).expect_err(short);
            assert_eq!(failure.kind, FailureKind::Unavailable, "{short}");
        }
        let killed = verdict(&answer(9, "")).expect_err("was killed");
        assert_eq!((killed.kind, killed.retryable), (FailureKind::Unavailable, true));
    }
}
