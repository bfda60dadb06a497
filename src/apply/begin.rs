//! Begins an apply: everything that can refuse it, the lease, and the first record.

use super::course;
use super::guard;
use super::lease_keeper::keep;
use super::model::{ApplyError, Interrupt, Lent, Progress, Report, Settle};
use super::preflight;
use super::recover::{digest_of, go_on};
use super::work::Work;
use crate::plan::{self, FORMAT, Plan, check};
use hive_contract::{Guard, StackMark};
use hive_state::{Entry, Holder, Journal, Lease, LedgerError, OpenJournal, Record, Snapshot};
use std::collections::BTreeSet;

/// Runs a plan to its end: applied, rolled back, halted or interrupted. Where an apply of the same
/// plan is open, goes on with that.
///
/// # Errors
/// It was refused before the first effect; or it could not be followed to its end, and its journal
/// is open.
pub async fn apply(
    lent: Lent<'_>,
    plan: &Plan,
    command: &str,
    apply_id: &str,
) -> Result<Report, ApplyError> {
    at_once(lent.interrupt, begin(lent, plan, command, apply_id)).await
}

/// Does something until a person asks for the second time, and then leaves it as a death would.
pub(super) async fn at_once<T>(
    interrupt: &Interrupt,
    work: impl Future<Output = Result<T, ApplyError>>,
) -> Result<T, ApplyError> {
    tokio::select! {
        biased;
        () = interrupt.pressed(2) => Err(ApplyError::LeftAtOnce),
        done = work => done,
    }
}

async fn begin(
    lent: Lent<'_>,
    plan: &Plan,
    command: &str,
    apply_id: &str,
) -> Result<Report, ApplyError> {
    trust(lent, plan).await?;
    if let Some(open) = lent.ledger.open_journal().await?
        && is_of(&open, plan)
    {
        return go_on(lent, plan, &open.read.apply, Settle::On).await?.ok_or_else(|| {
            let apply = open.read.apply;
            ApplyError::Stale(vec![format!("somebody else has settled its apply {apply}")])
        });
    }
    let head = lent.ledger.head().await?.map(|(_, snapshot)| snapshot);
    guard::check(lent, plan, head.as_ref()).await?;
    hold(lent, apply_id, async |lease| fresh(lent, plan, command, apply_id, lease).await).await
}

fn is_of(open: &OpenJournal, plan: &Plan) -> bool {
    digest_of(open).is_some_and(|digest| digest == plan.digest())
}

/// Refuses a plan that is another stack's or does not hold together.
async fn trust(lent: Lent<'_>, plan: &Plan) -> Result<(), ApplyError> {
    let refuse = |message: String| Err(ApplyError::Untrusted(message));
    if plan.format != FORMAT {
        return refuse(format!("the plan has format {}, and this hive runs {FORMAT}", plan.format));
    }
    let here = (lent.ledger.stack(), lent.ledger.environment());
    if (plan.stack.as_str(), plan.environment.as_str()) != here {
        return refuse(format!(
            "the plan is of the stack `{}` in {}, and here is `{}` in {}",
            plan.stack, plan.environment, here.0, here.1
        ));
    }
    if plan.store.is_some() && plan.store != lent.ledger.store_id().await? {
        return refuse("the plan was made with another store than the one here".to_owned());
    }
    if let Err(rule) = check::verify(plan) {
        return refuse(format!("the plan breaks a rule: {rule}"));
    }
    if let Some(provider) = other_form(lent, plan) {
        return refuse(format!(
            "the plan was made by hive {}, which wrote what {provider} holds in another form: plan \
             again",
            plan.hive
        ));
    }
    match used_places(plan).into_iter().find(|place| lent.providers.at(place).is_none()) {
        Some(place) => Err(ApplyError::NoPlace(place.to_owned())),
        None => Ok(()),
    }
}

/// The provider that would have to perform steps which another hive planned in another form.
pub(super) fn other_form(lent: Lent<'_>, plan: &Plan) -> Option<String> {
    if plan.hive == env!("CARGO_PKG_VERSION") {
        return None;
    }
    let other = plan.steps.iter().find_map(|step| {
        let record = plan.records.get(&step.target.address)?.as_ref()?;
        let part = record.parts.get(&step.target.part)?;
        let provider = lent.providers.at(&part.place)?;
        (provider.form() != part.form).then(|| provider.name())
    });
    other.map(ToOwned::to_owned)
}

fn used_places(plan: &Plan) -> BTreeSet<&str> {
    plan.steps.iter().map(|step| step.place.as_str()).collect()
}

/// Takes the lease, keeps it while something is done, and gives it back: but not where what was
/// done could not be written down or was taken over, which the next holder looks into.
pub(super) async fn hold<T>(
    lent: Lent<'_>,
    apply: &str,
    work: impl AsyncFnOnce(&Lease) -> Result<T, ApplyError>,
) -> Result<T, ApplyError> {
    let lease = lent.ledger.acquire(lent.clock, Holder::here(lent.who), apply).await?;
    let done = keep(&lease, lent.clock, work(&lease)).await;
    if !matches!(
        done,
        Err(ApplyError::Expired(_)
            | ApplyError::Ledger(LedgerError::Fenced { .. } | LedgerError::Lost(_)))
    ) && let Err(error) = lease.release().await
    {
        let message = format!("the lease was not given back: {error}");
        (lent.says)(Progress::Note { message });
    }
    done
}

async fn fresh(
    lent: Lent<'_>,
    plan: &Plan,
    command: &str,
    apply_id: &str,
    lease: &Lease,
) -> Result<Report, ApplyError> {
    // Asked only now: while somebody holds the lease, theirs is open because it runs.
    if let Some(open) = lent.ledger.open_journal().await? {
        let who = open.read.replay.opened.as_ref().map(|it| it.who.clone()).unwrap_or_default();
        let digest = digest_of(&open).map(|it| it.to_string()).unwrap_or_default();
        return Err(ApplyError::Open { apply: open.read.apply, who, plan: digest });
    }
    let (before, head) = lent.ledger.head().await?.unzip();
    guard::check(lent, plan, head.as_ref()).await?;
    preflight::check(lent, plan, head.as_ref(), None).await?;
    bind(lent, plan).await?;
    let mut journal = Journal::create(lent.ledger, lease, apply_id).await?;
    let guard = lease.guard(lent.clock);
    let work = work_of(lent, plan, apply_id, &guard, head).await?;
    let opened = Record::Opened {
        plan: work.digest.clone(),
        apply: apply_id.to_owned(),
        command: command.to_owned(),
        who: lent.who.to_owned(),
        epoch: lease.epoch(),
    };
    journal.append(&[Entry { at_ms: lent.clock.wall_ms(), record: opened }]).await?;
    work.says(Progress::Opened {
        apply: apply_id.to_owned(),
        command: command.to_owned(),
        steps: u32::try_from(plan.steps.len()).unwrap_or(u32::MAX),
        resumed: false,
    });
    course::follow(&work, &mut journal, lease, before.as_ref(), Settle::On).await
}

/// Copies the plan and every file that it binds into the store, so that nothing outside is needed
/// to go on with it.
async fn bind(lent: Lent<'_>, plan: &Plan) -> Result<(), ApplyError> {
    lent.ledger.save_plan(&plan.digest(), &plan::file::write(plan)).await?;
    for file in &plan.files {
        let content = lent.outside.content(file).await;
        let content = content.map_err(|why| ApplyError::Stale(vec![why]))?;
        if let Some(bytes) = content {
            lent.ledger.save_blob(&bytes).await?;
        }
    }
    Ok(())
}

/// The work of one apply, marked with the store's real id.
pub(super) async fn work_of<'a>(
    lent: Lent<'a>,
    plan: &'a Plan,
    apply: &str,
    guard: &'a dyn Guard,
    head: Option<Snapshot>,
) -> Result<Work<'a>, ApplyError> {
    let store = lent.ledger.init().await?;
    let (stack, environment) = (plan.stack.clone(), plan.environment.clone());
    let owner = StackMark { store, stack, environment };
    Ok(Work::new(lent, plan, apply, owner, guard, head))
}
