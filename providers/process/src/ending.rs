//! Ending processes: asked first, then killed, until none is left.

use crate::Process;
use crate::scan::Seen;
use crate::spec::Stop;
use crate::view::{Run, View};
use hive_contract::{Context, Failure, FailureKind};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long the kernel may take over a killed process, and a keeper over writing its last word.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a keeper may go on without a service.
const KEEPER: Duration = Duration::from_secs(3);

/// Which processes of a service are ended.
pub(crate) struct Which<'a> {
    pub(crate) runs: &'a (dyn Fn(&Run) -> bool + Send + Sync),
    pub(crate) strays: &'a (dyn Fn(&Seen) -> bool + Send + Sync),
}

impl Which<'static> {
    /// All.
    pub(crate) const ALL: Self = Self { runs: &|_| true, strays: &|_| true };
}

impl Which<'_> {
    fn members(&self, view: &View) -> Vec<Seen> {
        let runs = view.runs.iter().filter(|run| (self.runs)(run)).flat_map(|run| &run.members);
        runs.chain(view.strays.iter().filter(|seen| (self.strays)(seen))).cloned().collect()
    }

    fn keepers(&self, view: &View) -> Vec<Seen> {
        let runs = view.runs.iter().filter(|run| (self.runs)(run));
        let kept = runs.filter_map(|run| run.keeper.clone());
        let strays = view.stray_keepers.iter().filter(|seen| (self.strays)(seen)).cloned();
        kept.chain(strays).collect()
    }
}

/// Ends processes with everything they started: the signal, the grace, then a kill. Every process
/// is looked up anew before it is sent anything, so that what it forks meanwhile is found and a
/// reused number is not.
///
/// # Errors
/// We may not, or one does not die.
pub(crate) async fn end(
    process: &Process,
    identity: &str,
    which: &Which<'_>,
    stop: Stop,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let mut asked = BTreeSet::new();
    let mut wait = Duration::from_millis(5);
    let begun = Instant::now();
    let mut alone: Option<Instant> = None;
    loop {
        let view = process.view(identity)?;
        let members = which.members(&view);
        let keepers = which.keepers(&view);
        if members.is_empty() && keepers.is_empty() {
            return Ok(());
        }
        context.guard.may_write()?;
        let late = begun.elapsed() >= stop.grace;
        for seen in &members {
            if late {
                seen.signal(Signal::KILL)?;
            } else if asked.insert((seen.pid, seen.started)) {
                seen.signal(stop.signal)?;
            }
        }
        if members.is_empty() {
            // Nothing is left to keep: it ends by itself, unless somebody has stopped it.
            if alone.get_or_insert_with(Instant::now).elapsed() >= KEEPER {
                keepers.iter().try_for_each(|seen| seen.signal(Signal::KILL).map(drop))?;
            }
        } else {
            alone = None;
        }
        if begun.elapsed() >= stop.grace + KEEPER + PATIENCE {
            let left: Vec<String> = members.iter().chain(&keepers).map(Seen::words).collect();
            return Err(Failure::new(
                FailureKind::TimedOut,
                format!("{} could not be killed", left.join(", ")),
            ));
        }
        sleep(wait).await;
        wait = (wait * 2).min(Duration::from_millis(100));
    }
}
