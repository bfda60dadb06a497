//! The course of one apply from its first record to its last: there, perhaps back, and closed.

use super::back::{self, point_of_no_return};
use super::finish;
use super::model::{ApplyError, Progress, Report, Settle};
use super::run::{May, Stopped, run};
use super::settle::{self, Strange};
use super::there;
use super::work::Work;
use crate::plan::OnFailure;
use hive_contract::mark::Way;
use hive_contract::{Phase, Target};
use hive_state::{Ending, Head, Journal, Lease, Record, StepState};

/// Follows an apply to its end, from wherever its journal is.
///
/// # Errors
/// The journal stays open: what could not be written, read or settled.
pub(super) async fn follow(
    work: &Work<'_>,
    journal: &mut Journal,
    lease: &Lease,
    before: Option<&Head>,
    settle: Settle,
) -> Result<Report, ApplyError> {
    let folded = match &journal.replay().closed {
        Some(_) => None,
        None => {
            let ending = ending(work, journal, settle).await?;
            finish::close(work, journal, ending).await?
        }
    };
    finish::conclude(work, journal, lease, before, folded).await
}

async fn ending(
    work: &Work<'_>,
    journal: &mut Journal,
    settle: Settle,
) -> Result<Ending, ApplyError> {
    if journal.replay().back.is_none() {
        match there(work, journal, settle).await? {
            Turn::Ends(ending) => return Ok(ending),
            Turn::Back { why, failed } => {
                work.says(Progress::GoingBack { why: why.clone(), failed });
                journal.append(&[work.entry(Record::Back { why })]).await?;
            }
        }
    }
    back(work, journal, settle).await
}

/// What follows the way there.
enum Turn {
    Ends(Ending),
    Back { why: String, failed: Option<(u32, Target)> },
}

async fn there(work: &Work<'_>, journal: &mut Journal, settle: Settle) -> Result<Turn, ApplyError> {
    let may = match settle {
        Settle::On => May::Begin,
        Settle::Back => May::Complete,
        Settle::Close => May::Look,
    };
    let steps = there::steps(work, journal.replay());
    let stopped = run(work, journal, Way::There, steps, may).await?;
    match (settle, stopped) {
        (Settle::Close, _) => Ok(Turn::Ends(Ending::ClosedByHand)),
        (_, Stopped::Interrupted) if in_the_quiet(work, journal) => Err(ApplyError::LeftOpen),
        (_, Stopped::Interrupted) => Ok(Turn::Ends(Ending::Interrupted)),
        (Settle::On, Stopped::AllDone) => Ok(Turn::Ends(Ending::Applied)),
        (Settle::On, _) => after_failure(work, journal).await,
        (Settle::Back, _) => match stays(work, journal).await? {
            None => Ok(Turn::Back { why: format!("{} asked", work.lent.who), failed: None }),
            Some(why) => Err(ApplyError::Refused(format!(
                "hive does not go back by itself: {why}; go on with `hive recover`, or record it \
                 as it is with `hive recover --close`"
            ))),
        },
    }
}

/// Whether something was made quiet, and is neither whole again nor taken back: a database that is
/// closed is no state to be recorded. The apply stays open, and goes on or back by `recover`.
fn in_the_quiet(work: &Work<'_>, journal: &Journal) -> bool {
    let quiet = || work.plan.steps.iter().filter(|it| it.operation.phase == Phase::Stopped);
    let states: Vec<_> = quiet().map(|it| journal.replay().state(it.number)).collect();
    let whole = states.iter().all(|it| matches!(it, StepState::Done));
    let untouched =
        |it: &StepState| matches!(it, StepState::Waiting | StepState::Void(_) | StepState::Undone);
    !whole && !states.iter().all(untouched)
}

/// A step failed, and nothing is under way any more.
async fn after_failure(work: &Work<'_>, journal: &mut Journal) -> Result<Turn, ApplyError> {
    if work.on_failure() == OnFailure::Halt {
        return Ok(Turn::Ends(Ending::Halted));
    }
    if let Some(why) = stays(work, journal).await? {
        work.note(format!("hive does not go back by itself: {why}"));
        return Ok(Turn::Ends(Ending::Halted));
    }
    let first = journal.replay().steps.iter().find(|(_, it)| it.state == StepState::Failed);
    let failed = first.and_then(|(number, record)| {
        let target = work.step(*number).ok()?.target.clone();
        let why = format!("step {number} ({target}) failed: {}", record.failure.as_ref()?);
        Some((why, (*number, target)))
    });
    Ok(match failed {
        Some((why, failed)) => Turn::Back { why, failed: Some(failed) },
        None => Turn::Back { why: "a step failed".to_owned(), failed: None },
    })
}

/// Why hive does not go back by itself, where it does not: a step has had an effect that nothing
/// takes back, or what one left is not known.
async fn stays(work: &Work<'_>, journal: &mut Journal) -> Result<Option<String>, ApplyError> {
    let unsettled = settle::unsure(work, journal, Strange::Refused).await?;
    if let Some((step, found)) = unsettled.first() {
        return Ok(Some(format!("what step {step} left is not known: {found}")));
    }
    let point = point_of_no_return(work, journal.replay());
    Ok(point.map(|(step, why)| format!("step {step} is behind the point of no return: {why}")))
}

async fn back(
    work: &Work<'_>,
    journal: &mut Journal,
    settle: Settle,
) -> Result<Ending, ApplyError> {
    let may = if settle == Settle::Close { May::Look } else { May::Begin };
    // What the way there said of itself is what the way back refers to.
    there::learn(work, journal.replay());
    let steps = back::steps(work, journal.replay());
    let stopped = run(work, journal, Way::Back, steps, may).await?;
    if settle != Settle::Close && stopped == Stopped::Interrupted && in_the_quiet(work, journal) {
        return Err(ApplyError::LeftOpen);
    }
    Ok(match (settle, stopped) {
        (Settle::Close, _) => Ending::ClosedByHand,
        (_, Stopped::AllDone) => Ending::RolledBack,
        (_, Stopped::Interrupted) => Ending::Interrupted,
        (_, Stopped::Failed | Stopped::Left) => Ending::Halted,
    })
}
