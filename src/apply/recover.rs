//! Settles an interrupted apply: takes the lease over, looks up what was under way, goes on, back,
//! or closes.

use super::begin::{at_once, hold, other_form, work_of};
use super::course;
use super::guard;
use super::model::{ApplyError, Lent, Progress, Report, Settle};
use super::preflight;
use crate::plan::{self, Plan};
use hive_contract::Fingerprint;
use hive_state::{Journal, Lease, Ledger, OpenJournal, Replay, StepRecord, StepState};

/// Settles the apply that is open; none where none is.
///
/// # Errors
/// Somebody else holds the lease, an effect cannot be looked up, or the store says no. The journal
/// is then still open, and this may be asked again.
pub async fn recover(lent: Lent<'_>, settle: Settle) -> Result<Option<Report>, ApplyError> {
    let Some(open) = lent.ledger.open_journal().await? else { return Ok(None) };
    let Some(digest) = digest_of(&open) else { return Ok(None) };
    let plan = plan_of(lent.ledger, &digest).await?;
    at_once(lent.interrupt, go_on(lent, &plan, &open.read.apply, settle)).await
}

/// The digest of the plan of an open journal; none where it was sealed before it was opened.
pub(super) fn digest_of(open: &OpenJournal) -> Option<Fingerprint> {
    open.read.replay.opened.as_ref().map(|it| it.plan.clone())
}

/// The plan of a digest, from the store.
///
/// # Errors
/// It is not there, cannot be trusted, or is another one.
pub(super) async fn plan_of(ledger: &Ledger, digest: &Fingerprint) -> Result<Plan, ApplyError> {
    let bytes = ledger.plan(digest).await?.ok_or_else(|| {
        let message = format!("the store has no plan {digest}, which the open journal names");
        ApplyError::Untrusted(message)
    })?;
    let plan = plan::file::read(&bytes).map_err(|error| {
        ApplyError::Untrusted(format!("the plan {digest} in the store cannot be trusted: {error}"))
    })?;
    if plan.digest() != *digest {
        let message = format!("the file of the plan {digest} in the store holds another plan");
        return Err(ApplyError::Untrusted(message));
    }
    Ok(plan)
}

/// Takes the lease and goes on with an open journal; none where somebody else has settled it while
/// the lease was waited for.
pub(super) async fn go_on(
    lent: Lent<'_>,
    plan: &Plan,
    apply: &str,
    settle: Settle,
) -> Result<Option<Report>, ApplyError> {
    hold(lent, apply, async |lease| resumed(lent, plan, apply, settle, lease).await).await
}

async fn resumed(
    lent: Lent<'_>,
    plan: &Plan,
    apply: &str,
    settle: Settle,
    lease: &Lease,
) -> Result<Option<Report>, ApplyError> {
    if lent.ledger.open_journal().await?.is_none_or(|open| open.read.apply != apply) {
        return Ok(None);
    }
    let mut journal = Journal::resume(lent.ledger, lease, apply).await?;
    let (before, head) = lent.ledger.head().await?.unzip();
    if settle != Settle::Close
        && let Some(provider) = other_form(lent, plan)
    {
        return Err(ApplyError::Untrusted(format!(
            "the interrupted apply {apply} is hive {}'s, which wrote what {provider} holds in \
             another form: finish it with that hive, or close it with `hive recover --close`",
            plan.hive
        )));
    }
    if settle == Settle::On && begins_more(plan, journal.replay()) {
        guard::freeze(lent).await?;
        preflight::check(lent, plan, head.as_ref(), Some(journal.replay())).await?;
    }
    let guard = lease.guard(lent.clock);
    let work = work_of(lent, plan, apply, &guard, head).await?;
    let opened = journal.replay().opened.as_ref();
    work.says(Progress::Opened {
        apply: apply.to_owned(),
        command: opened.map(|it| it.command.clone()).unwrap_or_default(),
        steps: u32::try_from(plan.steps.len()).unwrap_or(u32::MAX),
        resumed: true,
    });
    let open = |it: &&StepRecord| matches!(it.state, StepState::Begun(_) | StepState::UndoBegun(_));
    match journal.replay().steps.values().filter(open).count() {
        0 => {}
        1 => work.note("one step was under way: looking up what became of it"),
        many => work.note(format!("{many} steps were under way: looking up what became of them")),
    }
    course::follow(&work, &mut journal, lease, before.as_ref(), settle).await.map(Some)
}

/// Whether going on begins a step that was not begun before.
fn begins_more(plan: &Plan, replay: &Replay) -> bool {
    let stopped = replay.closed.is_some()
        || replay.back.is_some()
        || replay.steps.values().any(|it| it.state == StepState::Failed);
    let waits = |number| matches!(replay.state(number), StepState::Waiting | StepState::Void(_));
    !stopped && plan.steps.iter().any(|step| waits(step.number))
}
