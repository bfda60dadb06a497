//! `pg_dump` and `pg_restore` as children: the password in their environment alone, their end
//! awaited, their last words kept.

use crate::tls::BUNDLES;
use crate::tools::Tools;
use crate::trouble::invalid;
use crate::url::{Tls, Url};
use hive_contract::{Failure, FailureKind};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

/// How many of its last lines a failure shows.
const WORDS: usize = 12;

/// A child that works on one database. Dropped, it is killed.
pub(crate) struct Running {
    child: Child,
    what: &'static str,
    words: JoinHandle<Vec<String>>,
}

/// What of a database goes into a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Schema and rows, hive's own bookkeeping too.
    Whole,
    /// The schema without rows, and without hive's bookkeeping.
    Schema,
}

/// Starts `pg_dump` on a snapshot that another session holds, its archive on its output. It is not
/// compressed: whoever stores it does that once, and better.
///
/// # Errors
/// It cannot be started.
pub(crate) fn dump(
    tools: &Tools,
    url: &Url,
    application: &str,
    snapshot: Option<&str>,
    extent: Extent,
) -> Result<(Running, ChildStdout), Failure> {
    let mut command = command(&tools.dump, url, application)?;
    command.args(["--format=custom", "--compress=0", "--no-password", "--lock-wait-timeout=60s"]);
    if let Some(snapshot) = snapshot {
        command.arg(format!("--snapshot={snapshot}"));
    }
    if extent == Extent::Schema {
        command.args(["--schema-only", "--exclude-schema=hive"]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut running = Running::start(command, "pg_dump")?;
    let output = running.child.stdout.take();
    let output = output.ok_or_else(|| invalid("`pg_dump` has no output"))?;
    Ok((running, output))
}

/// Whose the restored objects are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owners {
    /// As they were, with their privileges.
    Kept,
    /// All of them the role's that restores: in a database that nobody uses.
    Ours,
}

/// Starts `pg_restore` into a database, its archive read from its input.
///
/// # Errors
/// It cannot be started.
pub(crate) fn restore(
    tools: &Tools,
    url: &Url,
    application: &str,
    owners: Owners,
) -> Result<(Running, ChildStdin), Failure> {
    let mut command = command(&tools.restore, url, application)?;
    command.args(["--format=custom", "--exit-on-error", "--no-password"]);
    command.arg(format!("--dbname={}", connection_text("dbname", &url.spot.database)));
    if owners == Owners::Ours {
        command.args(["--no-owner", "--no-privileges"]);
    }
    // What follows it commits in full, and with that all before it.
    command.env("PGOPTIONS", "-c synchronous_commit=off -c statement_timeout=0");
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut running = Running::start(command, "pg_restore")?;
    let input = running.child.stdin.take();
    let input = input.ok_or_else(|| invalid("`pg_restore` has no input"))?;
    Ok((running, input))
}

impl Running {
    fn start(mut command: Command, what: &'static str) -> Result<Self, Failure> {
        command.stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| {
            Failure::new(FailureKind::Unavailable, format!("`{what}` cannot be started: {error}"))
        })?;
        let words = tokio::spawn(last_words(child.stderr.take()));
        Ok(Self { child, what, words })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It says that it failed, or was killed: with its last words.
    pub(crate) async fn end(mut self) -> Result<(), Failure> {
        let what = self.what;
        let ended = self.child.wait().await;
        let words = (&mut self.words).await.unwrap_or_default();
        let status = ended.map_err(|error| {
            Failure::new(FailureKind::Unavailable, format!("`{what}` was lost: {error}"))
        })?;
        if status.success() {
            return Ok(());
        }
        Err(told(what, &status.to_string(), &words))
    }
}

fn told(what: &str, status: &str, words: &[String]) -> Failure {
    let all = words.join("\n");
    let has = |some: &[&str]| some.iter().any(|it| all.contains(it));
    let gone = [
        "server closed the connection",
        "terminating connection",
        "could not connect",
        "connection to server",
        "lost synchronization",
    ];
    // What the server has too little of says nothing against what is restored.
    let full = ["No space left on device", "disk full", "could not extend file", "Check free disk"];
    let short = ["out of memory", "out of shared memory", "canceling statement due to"];
    let (kind, retryable) = match () {
        () if has(&["permission denied", "must be owner", "must be superuser"]) => {
            (FailureKind::Forbidden, false)
        }
        () if has(&full) => (FailureKind::Unavailable, false),
        () if has(&short) => (FailureKind::Unavailable, true),
        () if has(&gone) => (FailureKind::Unavailable, true),
        () if status.contains("signal") => (FailureKind::Unavailable, true),
        () => (FailureKind::Invalid, false),
    };
    let first = words.iter().find(|it| it.contains("error:")).or(words.last());
    let why = first.map_or(String::new(), |it| format!(": {it}"));
    let mut failure = Failure::new(kind, format!("`{what}` failed ({status}){why}"));
    failure.retryable = retryable;
    failure.diagnosis = words.to_vec();
    failure
}

async fn last_words(output: Option<ChildStderr>) -> Vec<String> {
    let mut words = VecDeque::new();
    if let Some(output) = output {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if words.len() == WORDS {
                words.pop_front();
            }
            words.push_back(line);
        }
    }
    words.into()
}

/// A program of PostgreSQL with an environment that says where to, and nothing of ours.
fn command(program: &Path, url: &Url, application: &str) -> Result<Command, Failure> {
    let mut command = Command::new(program);
    let spot = &url.spot;
    command.env_clear();
    command.env("LC_ALL", "C").env("PGAPPNAME", application).env("PGCONNECT_TIMEOUT", "20");
    command.env("PGHOST", &spot.host).env("PGPORT", spot.port.to_string());
    command.env("PGUSER", &spot.user).env("PGDATABASE", &spot.database);
    if let Some(password) = url.password() {
        command.env("PGPASSWORD", OsString::from_vec(password.to_vec()));
    }
    match &url.tls {
        Tls::Off => {
            command.env("PGSSLMODE", "disable");
        }
        Tls::Verified { roots } => {
            command.env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", bundle(roots.as_ref())?);
        }
    }
    Ok(command)
}

fn bundle(roots: Option<&PathBuf>) -> Result<PathBuf, Failure> {
    let known = || BUNDLES.iter().map(PathBuf::from).find(|it| it.is_file());
    roots.cloned().or_else(known).ok_or_else(|| {
        invalid("this system's bundle of certificates is not where hive knows it")
            .diagnosis("name the file as `sslrootcert` in the url")
    })
}

/// A connection text with one key, so that a name with `=` in it is no connection text of its own.
fn connection_text(key: &str, value: &str) -> String {
    format!("{key}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_short_of_something_is_told_from_an_archive_that_is_wrong() {
        let kind = |words: &str| told("pg_restore", "exit status: 1", &[words.to_owned()]).kind;
        for short in [
            "pg_restore: error: COPY failed for table \"t\": ERROR:  could not extend file \
             \"base/1/2\": wrote only 4096 of 8192 bytes at block 1109",
            "HINT:  Check free disk space.",
            "pg_restore: error: could not write: No space left on device",
            "ERROR:  out of memory",
            "ERROR:  canceling statement due to user request",
            "pg_restore: error: connection to server at \"db\" failed",
        ] {
            assert_eq!(kind(short), FailureKind::Unavailable, "{short}");
        }
        for wrong in [
            "pg_restore: error: input file does not appear to be a valid archive",
            "pg_restore: error: could not execute query: ERROR:  relation \"t\" does not exist",
        ] {
            assert_eq!(kind(wrong), FailureKind::Invalid, "{wrong}");
        }
    }
}
