//! From a request to a changed world: plan, show, ask, apply, report. Shared by every command that
//! changes something.

use super::args::{Changing, Format};
use super::confirm::confirm;
use super::desk::Desk;
use super::ended::Ended;
use super::exit::Exit;
use crate::apply::{ApplyError, Interrupt, Progress, Report, Settle};
use crate::flow::{self, Ask, FlowError, Planned, Session, Trying};
use crate::plan::{Command, Plan};
use crate::render::error::Trouble;
use crate::render::progress::Watcher;
use crate::render::{About, plan_json, plan_text, report, trying, words};
use hive_state::{Hold, Holder};
use std::path::{Path, PathBuf};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often a plan is made anew when what it was made from moves before it has begun.
const ROUNDS: u32 = 3;

/// How a command goes about its change.
pub struct How {
    /// `-y`.
    pub yes: bool,
    /// `--format json`.
    pub json: bool,
    /// `-o`.
    pub output: Option<PathBuf>,
    /// `--save`.
    pub save: bool,
}

impl How {
    /// As the arguments say.
    pub fn of(changing: &Changing) -> Self {
        Self {
            yes: changing.yes,
            json: changing.format == Format::Json,
            output: changing.output.clone(),
            save: changing.save,
        }
    }
}

/// What came of a change.
pub struct Changed {
    /// With which code the command ends.
    pub exit: Exit,
    /// The plan that was made last.
    pub planned: Planned,
    /// How its apply ended; none where there was nothing to apply, or the plan was only kept.
    pub report: Option<Report>,
}

/// Plans, shows the plan, asks, applies it and reports.
///
/// # Errors
/// There is no plan, it was not confirmed, or it could not be applied.
pub async fn change(desk: &Desk, session: &Session, ask: &Ask, how: &How) -> Result<Exit, Ended> {
    Ok(changed(desk, session, ask, how).await?.exit)
}

/// The same, and gives what came of it.
///
/// # Errors
/// See [`change`].
pub async fn changed(
    desk: &Desk,
    session: &Session,
    ask: &Ask,
    how: &How,
) -> Result<Changed, Ended> {
    let mut round = 1;
    loop {
        let planned = plan(desk, session, ask, how.json).await?;
        if how.output.is_some() || how.save {
            let saved = keep(desk, session, &planned.plan, how.output.as_deref(), how.save).await?;
            show(desk, session, &planned, Some(saved), how.json).await?;
            return Ok(Changed { exit: Exit::Done, planned, report: None });
        }
        show(desk, session, &planned, None, how.json).await?;
        let freezes = planned.plan.freezes && planned.frozen.is_none();
        if planned.completes {
            let report = complete(desk, session, &planned, how.json).await?;
            return Ok(Changed { exit: Exit::Done, planned, report });
        }
        if planned.plan.is_empty() && !freezes {
            return Ok(Changed { exit: Exit::Done, planned, report: None });
        }
        confirm(desk, &question(&planned.plan), how.yes, how.json)?;
        match perform(desk, session, &planned.plan, Some(&planned), how.json).await {
            Err(Ended::Flow(FlowError::Apply(ApplyError::Stale(moved)))) if round < ROUNDS => {
                round += 1;
                let moved = words::list(&moved);
                desk.note(&format!("{moved}: nothing was begun, and it is planned once more"));
            }
            Err(ended) => return Err(ended),
            Ok(report) => {
                let exit = Exit::of_report(&report, Some(&planned.plan));
                return Ok(Changed { exit, planned, report: Some(report) });
            }
        }
    }
}

/// Records as whole what is all there: nothing is changed, so nobody is asked. What guards the
/// environment may not let it; then it waits for the next apply.
async fn complete(
    desk: &Desk,
    session: &Session,
    planned: &Planned,
    json: bool,
) -> Result<Option<Report>, Ended> {
    match perform(desk, session, &planned.plan, Some(planned), json).await {
        Ok(report) => Ok(Some(report)),
        Err(Ended::Flow(FlowError::Apply(ApplyError::Refused(_) | ApplyError::Stale(_)))) => {
            Ok(None)
        }
        Err(ended) => Err(ended),
    }
}

/// Makes a plan, and says what is tried on the way.
///
/// # Errors
/// See [`Session::plan`].
pub async fn plan(
    desk: &Desk,
    session: &Session,
    ask: &Ask,
    json_lines: bool,
) -> Result<Planned, Ended> {
    let hears = |trying: Trying| match json_lines {
        true => desk.screen.result(&trying::json(&trying)),
        false if desk.everywhere.quiet => {}
        false => desk.screen.message(&trying::text(&trying, desk.screen.message_style())),
    };
    let planning = async { Ok(session.plan(ask, &hears).await?) };
    // Once a handler is there, a signal ends nothing by itself any more: the plan of a second round
    // has those of the first.
    let mut signals = Signals::new();
    tokio::select! {
        came = planning => came,
        () = signals.next() => Err(Ended::Said {
            exit: Exit::Interrupted,
            trouble: Trouble::new("interrupted while planning: nothing was begun"),
        }),
    }
}

/// Applies a plan and reports.
///
/// # Errors
/// It was refused before the first effect, or could not be followed to its end.
pub async fn perform(
    desk: &Desk,
    session: &Session,
    plan: &Plan,
    planned: Option<&Planned>,
    json: bool,
) -> Result<Report, Ended> {
    let watcher = Watcher::new(&desk.screen);
    let interrupt = Interrupt::default();
    let says = |progress: Progress| watcher.see(&progress);
    let command = plan.command.to_string();
    let applying = async {
        match planned {
            Some(planned) => {
                session.apply(plan, &planned.providers, &command, &says, &interrupt).await
            }
            None => session.apply_saved(plan, &command, &says, &interrupt).await,
        }
    };
    let came = listening(applying, &interrupt).await;
    drop(watcher);
    let ended = came?;
    tell(desk, &ended, Some(plan), json);
    Ok(ended)
}

/// Settles an interrupted apply and reports; nothing where none is open.
///
/// # Errors
/// It cannot be settled, or somebody else holds the lease.
pub async fn settle(
    desk: &Desk,
    session: &Session,
    settle: Settle,
    json: bool,
) -> Result<Option<Report>, Ended> {
    let plan = session.open_plan().await?;
    let watcher = Watcher::new(&desk.screen);
    let interrupt = Interrupt::default();
    let says = |progress: Progress| watcher.see(&progress);
    let recovering = session.recover(settle, &says, &interrupt);
    let came = listening(recovering, &interrupt).await;
    drop(watcher);
    let ended = came?;
    if let Some(ended) = &ended {
        tell(desk, ended, plan.as_ref(), json);
    }
    Ok(ended)
}

/// Runs something while Ctrl-C and TERM are pressed onto its interrupt.
async fn listening<T>(work: impl Future<Output = T>, interrupt: &Interrupt) -> T {
    let mut signals = Signals::new();
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            came = &mut work => return came,
            () = signals.next() => interrupt.press(),
        }
    }
}

/// Ctrl-C and TERM. Where they cannot be listened for, none ever comes: then a signal ends hive at
/// once, which recovery settles as any crash.
struct Signals(Option<(Signal, Signal)>);

impl Signals {
    fn new() -> Self {
        let interrupt = signal(SignalKind::interrupt()).ok();
        Self(interrupt.zip(signal(SignalKind::terminate()).ok()))
    }

    /// Waits for one of them.
    async fn next(&mut self) {
        let Some((interrupt, terminate)) = &mut self.0 else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

/// Writes or saves a plan, and says where.
///
/// # Errors
/// It cannot be written.
pub async fn keep(
    desk: &Desk,
    session: &Session,
    plan: &Plan,
    output: Option<&Path>,
    save: bool,
) -> Result<String, Ended> {
    let mut places = Vec::new();
    if let Some(file) = output {
        flow::write_plan(&desk.outside.folder.join(file), plan)?;
        places.push(format!("saved to {}", file.display()));
    }
    if save {
        let digest = session.save_plan(plan).await?;
        places.push(format!("saved in the store as {}", digest.short()));
    }
    Ok(places.join(", "))
}

/// What is known beside a plan.
///
/// # Errors
/// The store cannot be read.
pub async fn about(
    desk: &Desk,
    session: &Session,
    planned: &Planned,
    saved: Option<String>,
) -> Result<About, Ended> {
    let mut notes = Vec::new();
    if let Some(open) = &planned.open {
        notes.push(match under_way(desk, session).await? {
            Some(Holder { who, pid, .. }) => format!(
                "{who} (pid {pid}) is applying now; what the apply {} did so far is folded in",
                open.apply
            ),
            None => format!(
                "the apply {} was interrupted and is still open; what it did is folded in",
                open.apply
            ),
        });
    }
    if planned.completes {
        notes.push(desk.site().complete(
            "the newest snapshot is partial, and all is as declared: `hive apply` makes a whole one",
        ));
    }
    if let Some(freeze) = &planned.frozen {
        notes.push(format!("frozen by {}: {}", freeze.who, freeze.why));
    }
    let (base_at_ms, now_ms, site) = (planned.base_at_ms, desk.now_ms(), desk.site());
    Ok(About { base_at_ms, now_ms, saved, notes, site })
}

/// Who is applying right now; none where nobody is, or where whoever was is gone.
///
/// # Errors
/// The store cannot be read.
pub async fn under_way(desk: &Desk, session: &Session) -> Result<Option<Holder>, Ended> {
    let lease = session.ledger.lease_now().await?;
    let live = lease.filter(|it| it.hold(desk.now_ms()) == Hold::Live);
    Ok(live.and_then(|it| it.holder))
}

async fn show(
    desk: &Desk,
    session: &Session,
    planned: &Planned,
    saved: Option<String>,
    json: bool,
) -> Result<(), Ended> {
    let about = about(desk, session, planned, saved).await?;
    if json {
        desk.screen.result(&plan_json::summary(&planned.plan, &about));
    } else if !desk.everywhere.quiet {
        desk.screen.result(&plan_text::text(&planned.plan, &about, desk.screen.result_style()));
    }
    Ok(())
}

/// The end of an apply.
pub fn tell(desk: &Desk, ended: &Report, plan: Option<&Plan>, json: bool) {
    let text = match json {
        true => report::json(ended),
        false => report::text(ended, plan, &desk.site(), desk.screen.result_style()),
    };
    desk.screen.result(&text);
}

/// What is asked before a plan is applied.
pub fn question(plan: &Plan) -> String {
    let place = format!("{} in {}", plan.stack, plan.environment);
    match &plan.command {
        Command::Destroy => format!("Take away all of {place}?"),
        Command::Apply => format!("Apply this to {place}?"),
        other => format!("Go on with `{other}` of {place}?"),
    }
}
