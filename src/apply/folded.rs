//! What an interrupted apply has come to so far.

use super::finish::last_word_ms;
use super::model::ApplyError;
use super::recover::plan_of;
use crate::plan::{self, Plan};
use hive_contract::Fingerprint;
use hive_state::{Ending, Ledger, Snapshot};

/// Head with an open journal folded in.
#[derive(Clone, Debug)]
pub struct Folded {
    /// The id of the apply that is open.
    pub apply: String,
    /// The digest of its plan.
    pub plan: Fingerprint,
    /// The command as a person would type it.
    pub command: String,
    /// Who began it.
    pub who: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Why it was going back, where it was.
    pub back: Option<String>,
    /// The newest snapshot, without what this apply did; none where it is the first.
    pub head: Option<Snapshot>,
    /// What is there now as far as the journal says; what was under way is unsure.
    pub snapshot: Snapshot,
}

/// Head with an open journal folded in; none where no apply is open. Writes nothing.
///
/// # Errors
/// The store cannot be read, or the journal's plan cannot be trusted.
pub async fn folded(ledger: &Ledger) -> Result<Option<Folded>, ApplyError> {
    let Some(open) = ledger.open_journal().await? else { return Ok(None) };
    let replay = open.read.replay;
    let Some(opened) = &replay.opened else { return Ok(None) };
    let plan = plan_of(ledger, &opened.plan).await?;
    let head = ledger.head().await?.map(|(_, snapshot)| snapshot);
    let ending = replay.closed.as_ref().map_or(Ending::Interrupted, |(ending, _)| *ending);
    let snapshot = plan::fold(head.as_ref(), &plan, &replay, ending, last_word_ms(&replay))
        .map_err(|error| ApplyError::Untrusted(format!("the apply cannot be folded: {error}")))?;
    Ok(Some(Folded {
        apply: opened.apply.clone(),
        plan: opened.plan.clone(),
        command: opened.command.clone(),
        who: opened.who.clone(),
        at_ms: opened.at_ms,
        back: replay.back.clone(),
        head,
        snapshot,
    }))
}

/// The plan of the apply that is open; none where none is.
///
/// # Errors
/// The store cannot be read, or the plan cannot be trusted.
pub async fn open_plan(ledger: &Ledger) -> Result<Option<Plan>, ApplyError> {
    let Some(open) = ledger.open_journal().await? else { return Ok(None) };
    match &open.read.replay.opened {
        Some(opened) => Ok(Some(plan_of(ledger, &opened.plan).await?)),
        None => Ok(None),
    }
}
