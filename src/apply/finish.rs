//! The end of an apply: what it came to is folded, written down, and becomes head.
//!
//! The last record names the digest of the snapshot before head moves to it. A death in between is
//! finished by folding once more: same head, same plan, same journal, same snapshot.

use super::back::{acted, point_of_no_return};
use super::model::{ApplyError, Progress, Report};
use super::report;
use super::settle::{self, Strange};
use super::work::Work;
use crate::plan::{self, OnFailure};
use hive_state::retain::KEEP_JOURNALS;
use hive_state::{
    Ending, Freeze, Head, Journal, Lease, LedgerError, Record, Replay, Snapshot, StepState,
};

/// Writes the last record and gives the snapshot that it names; none where nothing happened that
/// would have to be recorded.
///
/// # Errors
/// Something that was given up has begun after all; or the journal cannot be written.
pub(super) async fn close(
    work: &Work<'_>,
    journal: &mut Journal,
    ending: Ending,
) -> Result<Option<Snapshot>, ApplyError> {
    if looks_before_closing(work, ending) {
        for (step, why) in settle::unsure(work, journal, Strange::Recorded).await? {
            work.note(format!("what step {step} left is not known: {why}"));
        }
    }
    match settle::once_more(work, journal).await {
        Err(late) if ending == Ending::ClosedByHand => work.note(late.to_string()),
        other => other?,
    }
    let snapshot = match moves_head(work, journal.replay(), ending) {
        true => Some(folded(work, journal.replay(), ending)?),
        false => None,
    };
    let digest = snapshot.as_ref().map(Snapshot::digest);
    let mut entries = work.take_events();
    entries.push(work.entry(Record::Closed { ending, snapshot: digest }));
    journal.append(&entries).await?;
    Ok(snapshot)
}

/// Whether what unsure failures left is looked at before an apply is closed. It was already where
/// that decided whether to go back: what is still not known then is recorded as not known.
fn looks_before_closing(work: &Work<'_>, ending: Ending) -> bool {
    match ending {
        Ending::Applied | Ending::RolledBack => false,
        Ending::Halted => work.on_failure() == OnFailure::Halt,
        Ending::Interrupted | Ending::ClosedByHand => true,
    }
}

/// Freezes where that follows, and moves head. Everything here may be done twice.
///
/// # Errors
/// The store cannot be written; or what is recorded does not fold to what the last record names.
pub(super) async fn conclude(
    work: &Work<'_>,
    journal: &Journal,
    lease: &Lease,
    before: Option<&Head>,
    snapshot: Option<Snapshot>,
) -> Result<Report, ApplyError> {
    let ledger = work.lent.ledger;
    let replay = journal.replay();
    let Some((ending, digest)) = replay.closed.clone() else {
        let message = format!("the apply {} has no last record", work.apply);
        return Err(LedgerError::Lost(message).into());
    };
    let frozen = freeze(work, replay, ending).await?;
    let mut head = before.map(|it| it.number);
    let mut moved = None;
    if let Some(digest) = digest
        && before.is_none_or(|it| it.digest != digest)
    {
        let snapshot = match snapshot {
            Some(snapshot) => snapshot,
            None => folded(work, replay, ending)?,
        };
        if snapshot.digest() != digest {
            let message = format!(
                "the journal of the apply {} does not come to the snapshot that its last record \
                 names",
                work.apply
            );
            return Err(LedgerError::Lost(message).into());
        }
        head = Some(ledger.advance(lease, before, &snapshot).await?.number);
        moved = head;
    }
    if let Err(error) = ledger.retain(KEEP_JOURNALS).await {
        work.note(format!("old journals were not removed: {error}"));
    }
    work.says(Progress::Closed { ending, snapshot: moved });
    Ok(report::report(work, replay, ending, head, frozen))
}

/// Whether anything is other than head says.
fn moves_head(work: &Work<'_>, replay: &Replay, ending: Ending) -> bool {
    ending == Ending::Applied || touched(work, replay)
}

fn touched(work: &Work<'_>, replay: &Replay) -> bool {
    replay.steps.iter().any(|(number, record)| {
        matches!(record.state, StepState::Undone) || acted(work, *number, record)
    })
}

fn folded(work: &Work<'_>, replay: &Replay, ending: Ending) -> Result<Snapshot, ApplyError> {
    plan::fold(work.head.as_ref(), work.plan, replay, ending, last_word_ms(replay))
        .map_err(|error| ApplyError::Untrusted(format!("the apply cannot be recorded: {error}")))
}

/// When the journal last said something about a step: the time of the snapshot, so that folding
/// once more gives the same one.
pub(super) fn last_word_ms(replay: &Replay) -> u64 {
    let opened = replay.opened.as_ref().map_or(0, |it| it.at_ms);
    replay.steps.values().map(|it| it.times.1).max().map_or(opened, |last| last.max(opened))
}

/// Freezes the environment where a person has to look before the next apply. Gives whether it is
/// frozen now.
async fn freeze(work: &Work<'_>, replay: &Replay, ending: Ending) -> Result<bool, ApplyError> {
    let ledger = work.lent.ledger;
    let held = ledger.freeze().await?.is_some();
    let Some(why) = why_freeze(work, replay, ending).filter(|_| !held) else { return Ok(held) };
    let who = work.lent.who.to_owned();
    ledger.set_freeze(Some(&Freeze { who, why, at_ms: last_word_ms(replay) })).await?;
    Ok(true)
}

fn why_freeze(work: &Work<'_>, replay: &Replay, ending: Ending) -> Option<String> {
    let apply = &work.apply;
    if ending == Ending::Halted && replay.back.is_some() {
        return Some(format!("the way back of the apply {apply} failed"));
    }
    if ending == Ending::Halted
        && let Some((step, why)) = point_of_no_return(work, replay)
    {
        return Some(format!(
            "the apply {apply} failed behind the point of no return (step {step}: {why})"
        ));
    }
    let unsure = |(number, it): (&u32, &hive_state::StepRecord)| it.unsure.then_some(*number);
    if ending == Ending::Halted
        && let Some(step) = replay.steps.iter().find_map(unsure)
    {
        return Some(format!("what step {step} of the apply {apply} left is not known"));
    }
    let stays = ending != Ending::RolledBack && moves_head(work, replay, ending);
    (work.plan.freezes && stays)
        .then(|| format!("{}: the TOML still says what it took back", work.plan.command))
}
