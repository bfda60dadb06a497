//! Whether a started replica works, and goes on working.

use crate::diagnosis::{Blackened, unhealthy};
use crate::listeners;
use crate::record::{Exit, FILES};
use crate::scan::Scan;
use crate::spec::Probe;
use crate::start::Starter;
use crate::view::Run;
use hive_contract::{Failure, FailureKind};
use hive_probe::Ran;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long it must go well before a replica is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settling {
    /// How long what has no health must live.
    pub alive: Duration,
    /// How long health must last: what dies of its first request is not healthy.
    pub healthy: Duration,
}

impl Default for Settling {
    fn default() -> Self {
        Self { alive: Duration::from_millis(500), healthy: Duration::from_millis(300) }
    }
}

impl Starter<'_> {
    /// Waits until a start of a replica works.
    ///
    /// # Errors
    /// It ended, or does not work in time, with all that is known about it; or hive is asked to
    /// stop waiting.
    pub(crate) async fn healthy(&self, run: &Run) -> Result<(), Failure> {
        let black = Blackened::new(&self.spec.fields, self.context.secrets);
        let health = self.spec.health.as_ref();
        let Settling { alive, healthy } = self.process.settling;
        let settled = health.map_or(alive, |_| healthy);
        let longest = health.map_or(alive, |it| it.every).min(Duration::from_secs(1));
        let begun = Instant::now();
        let mut wait = Duration::from_millis(10);
        let mut good: Option<Instant> = None;
        loop {
            let scan = Scan::read()?;
            let run = run.again(&self.process.layout, &scan)?.ok_or_else(|| self.vanished(run))?;
            let untold = run.exit.is_none() && run.keeper.is_some();
            if !run.lives() && untold && Instant::now() < self.deadline {
                // It has ended this moment: its keeper lives and is about to say how.
                sleep(Duration::from_millis(5)).await;
                continue;
            }
            if !run.lives() {
                let when = match good {
                    Some(_) => "right after it was healthy",
                    None if health.is_none() => "right after its start",
                    None => "before it was healthy",
                };
                let ended = run.exit.as_ref().map_or("is gone".to_owned(), Exit::words);
                return Err(unhealthy(&run, &format!("{ended} {when}"), &[], &black));
            }
            match self.look(&run, &scan).await {
                Ok(()) => {
                    if good.get_or_insert_with(Instant::now).elapsed() >= settled {
                        return Ok(());
                    }
                    wait = (settled / 4).clamp(Duration::from_millis(1), Duration::from_millis(50));
                }
                Err(sick) => {
                    good = None;
                    let grace = health.map(|it| it.grace).unwrap_or_default();
                    if begun.elapsed() >= grace {
                        let what =
                            format!("is not healthy after {} s: {}", grace.as_secs(), sick.what);
                        return Err(unhealthy(&run, &what, &sick.said, &black));
                    }
                }
            }
            if Instant::now() >= self.deadline {
                let what = "was not healthy when the time of the step was over";
                let slow = unhealthy(&run, what, &[], &black);
                return Err(Failure { kind: FailureKind::TimedOut, ..slow });
            }
            if self.context.cancelled() {
                return Err(Failure::new(
                    FailureKind::Cancelled,
                    format!(
                        "hive was asked to stop before replica {} of {} was healthy",
                        run.launch.replica, self.request.target.address
                    ),
                ));
            }
            sleep(wait.min(longest)).await;
            wait = (wait * 2).min(longest);
        }
    }

    fn vanished(&self, run: &Run) -> Failure {
        Failure::new(FailureKind::Moved, format!("`{}` was removed", run.folder.display()))
    }

    /// One look. A port counts only when it is this replica that answers there.
    async fn look(&self, run: &Run, scan: &Scan) -> Result<(), Sick> {
        let Some(health) = &self.spec.health else { return Ok(()) };
        let replica = run.launch.replica;
        let timeout = health.every.clamp(Duration::from_secs(1), Duration::from_secs(10));
        let of = |name: &str| -> Result<u16, Sick> {
            let port = self.spec.ports(replica).get(name).copied();
            let port = port.ok_or_else(|| Sick::of(format!("it has no port `{name}`")))?;
            match listeners::foreign(port, &run.members, scan) {
                Ok(None) => Ok(port),
                Ok(Some(holder)) => {
                    Err(Sick::of(format!("port {port} is answered by {holder}, not by it")))
                }
                Err(failure) => Err(Sick::of(failure.message)),
            }
        };
        match &health.probe {
            Probe::Http { path, port } => {
                let port = of(port)?;
                let url = format!("http://127.0.0.1:{port}{path}");
                let asked = hive_probe::http(&url, timeout, None).await;
                asked.map_err(|what| Sick::of(format!("`{path}` on port {port}: {what}")))
            }
            Probe::Tcp { port } => {
                let port = of(port)?;
                let asked = hive_probe::tcp(&format!("127.0.0.1:{port}"), timeout).await;
                asked.map_err(|what| Sick::of(format!("port {port}: {what}")))
            }
            Probe::Command(command) => self.ask(command, run, health.grace.max(timeout)).await,
        }
    }

    async fn ask(&self, command: &[String], run: &Run, timeout: Duration) -> Result<(), Sick> {
        let directory = self.process.layout.stack.join(&self.spec.directory);
        let name = command.first().map(String::as_str).unwrap_or_default();
        let program = crate::program::find(name, &directory, self.process.path.as_deref());
        let program = program.ok_or_else(|| Sick::of(format!("there is no program `{name}`")))?;
        let variables = self.variables(run.launch.replica, &run.folder.join(FILES));
        let asked = hive_probe::Run {
            program,
            called: Some(name.into()),
            arguments: command.iter().skip(1).map(Into::into).collect(),
            environment: variables.into_iter().map(|(k, v)| (k.into(), v.into())).collect(),
            directory,
        };
        let Ran { ended, output } = hive_probe::command(&asked, timeout).await;
        ended.map_err(|what| {
            let lines: Vec<&str> = output.lines().collect();
            let last = lines[lines.len().saturating_sub(5)..].iter();
            Sick {
                what: format!("`{name}` {what}"),
                said: last.map(|line| format!("{name}: {line}")).collect(),
            }
        })
    }
}

/// What one look found wrong.
struct Sick {
    what: String,
    /// What the health command printed.
    said: Vec<String>,
}

impl Sick {
    fn of(what: String) -> Self {
        Self { what, said: Vec::new() }
    }
}
