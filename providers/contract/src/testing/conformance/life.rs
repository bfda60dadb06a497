//! A life: made, changed, taken back, taken away.

use super::suite::{Done, How, Suite, said};
use super::{Checked, Verdict};
use crate::change::{Action, ReplaceOrder};
use crate::lowered::Lowered;
use crate::operation::{Expects, Reversible, Undo};
use crate::outcome::FailureKind;

/// Makes version 1.
pub(super) async fn made(suite: &Suite<'_>) -> Result<(Lowered, Done), String> {
    let desired = suite.desired(&suite.fixtures.declared(1), None).await?;
    let done = suite.change(Action::Create, Some(&desired), None).await?;
    Ok((desired, done))
}

/// Version 2, where version 1 is live.
pub(super) async fn next(suite: &Suite<'_>, first: &Lowered) -> Result<Lowered, String> {
    suite.desired(&suite.fixtures.declared(2), Some(&first.fields)).await
}

pub(super) async fn create(suite: &Suite<'_>) -> Checked {
    let desired = suite.lower(&suite.fixtures.declared(1))?;
    suite.absent(&desired.identity).await?;
    let (desired, done) = made(suite).await?;
    let (first, _) = &done.requests[0];
    if first.operation.expects != Expects::Absent {
        return Err("a create does not expect nothing to be there".to_owned());
    }
    let live = suite.as_desired(&desired).await?;
    if !live.status.ready {
        return Err(format!("it was made and is not ready: {}", live.status.summary));
    }
    let (last, outcome) = &done.requests[done.requests.len() - 1];
    if outcome.fingerprint(&last.managed) != Some(fingerprint(&live, last)) {
        return Err("the outcome is not what `observe` sees".to_owned());
    }
    if live.token.as_ref().is_some_and(|token| token != &last.token) {
        return Err("it carries another step's token".to_owned());
    }
    let again = done.run.request(first.operation.clone(), None, suite.token());
    refused(suite.perform(&again, How::default()).await, "a second create")?;
    suite.as_desired(&desired).await?;
    reversible(&done)?;
    suite.undo(&done).await?;
    suite.absent(&desired.identity).await?;
    Ok(Verdict::Holds)
}

fn fingerprint(live: &crate::Live, request: &crate::Perform) -> crate::Fingerprint {
    crate::Fingerprint::of_managed(&live.fields, &request.managed)
}

/// What must be refused because live is not what is expected.
pub(super) fn refused(
    result: Result<crate::Outcome, crate::Failure>,
    what: &str,
) -> Result<(), String> {
    match result {
        Ok(_) => Err(format!("{what} was done")),
        Err(it) if matches!(it.kind, FailureKind::Moved | FailureKind::Taken) => Ok(()),
        Err(it) => Err(format!("{what} was refused as {}", said(&it))),
    }
}

fn reversible(done: &Done) -> Result<(), String> {
    let lies = done.requests.iter().find(|(request, _)| {
        let operation = &request.operation;
        operation.reversible == Reversible::Reversible
            && matches!(operation.undo, Undo::None { .. })
    });
    match lies {
        Some((request, _)) => {
            Err(format!("`{}` is reversible and has no undo", request.operation.title))
        }
        None => Ok(()),
    }
}

pub(super) async fn update(suite: &Suite<'_>) -> Checked {
    if !suite.fixtures.changes() {
        return Ok(Verdict::NotOffered);
    }
    let (first, _) = made(suite).await?;
    let second = next(suite, &first).await?;
    let done = suite.change(Action::Update, Some(&second), Some(&first)).await?;
    suite.as_desired(&second).await?;
    reversible(&done)?;
    let third = suite.desired(&suite.fixtures.declared(1), Some(&second.fields)).await?;
    suite.change(Action::Update, Some(&third), Some(&second)).await?;
    suite.as_desired(&third).await?;
    Ok(Verdict::Holds)
}

pub(super) async fn update_undone(suite: &Suite<'_>) -> Checked {
    if !suite.fixtures.changes() {
        return Ok(Verdict::NotOffered);
    }
    let (first, _) = made(suite).await?;
    let before = suite.picture(&first.identity).await?;
    let second = next(suite, &first).await?;
    let done = suite.change(Action::Update, Some(&second), Some(&first)).await?;
    suite.undo(&done).await?;
    suite.as_desired(&first).await?;
    same(&before, &suite.picture(&first.identity).await?, "an update and its undo")?;
    Ok(Verdict::Holds)
}

pub(super) fn same(before: &str, after: &str, what: &str) -> Result<(), String> {
    if before == after {
        return Ok(());
    }
    Err(format!("{what} did not leave things as they were: {before} → {after}"))
}

pub(super) async fn delete(suite: &Suite<'_>) -> Checked {
    let (first, _) = made(suite).await?;
    let done = suite.change(Action::Delete, None, Some(&first)).await?;
    suite.absent(&first.identity).await?;
    if done.requests.last().is_some_and(|(_, outcome)| outcome.live.is_some()) {
        return Err("a delete says that something is live".to_owned());
    }
    reversible(&done)?;
    Ok(Verdict::Holds)
}

pub(super) async fn delete_undone(suite: &Suite<'_>) -> Checked {
    let (first, _) = made(suite).await?;
    let done = suite.change(Action::Delete, None, Some(&first)).await?;
    if done.requests.iter().any(|(it, _)| matches!(it.operation.undo, Undo::None { .. })) {
        return Ok(Verdict::NotOffered);
    }
    suite.undo(&done).await?;
    suite.as_desired(&first).await?;
    Ok(Verdict::Holds)
}

pub(super) async fn replace(suite: &Suite<'_>) -> Checked {
    let Some(declared) = suite.fixtures.replaced() else { return Ok(Verdict::NotOffered) };
    let (first, _) = made(suite).await?;
    let other = suite.desired(&declared, Some(&first.fields)).await?;
    let forced = first.immutable.iter().chain(&other.immutable).any(|field| {
        crate::path::get(&first.fields, field) != crate::path::get(&other.fields, field)
    });
    if !forced {
        return Err("no immutable field differs".to_owned());
    }
    match other.replace {
        ReplaceOrder::DeleteFirst => {
            suite.change(Action::Delete, None, Some(&first)).await?;
            suite.change(Action::Create, Some(&other), None).await?;
        }
        ReplaceOrder::CreateFirst => {
            if other.identity == first.identity {
                return Err("two by one identity cannot be side by side".to_owned());
            }
            suite.change(Action::Create, Some(&other), None).await?;
            suite.as_desired(&first).await?;
            suite.change(Action::Delete, None, Some(&first)).await?;
            suite.absent(&first.identity).await?;
        }
    }
    suite.as_desired(&other).await?;
    Ok(Verdict::Holds)
}

/// A rollout without a change.
pub(super) async fn run_again(suite: &Suite<'_>) -> Checked {
    let (first, _) = made(suite).await?;
    let run = suite.plan(Action::Run, Some(&first), Some(&first)).await?;
    if run.operations.is_empty() {
        return Ok(Verdict::NotOffered);
    }
    suite.perform_all(run).await?;
    suite.as_desired(&first).await?;
    Ok(Verdict::Holds)
}

pub(super) async fn stop_and_start(suite: &Suite<'_>) -> Checked {
    let (first, _) = made(suite).await?;
    let mut run = suite.plan(Action::Stop, Some(&first), Some(&first)).await?;
    run.operations = suite.provider().stop(&run.change);
    if run.operations.is_empty() {
        return Ok(Verdict::NotOffered);
    }
    suite.perform_all(run).await?;
    if let Ok(live) = suite.live(&first.identity).await
        && live.status.ready
    {
        return Err("it is ready after a stop".to_owned());
    }
    let mut run = suite.plan(Action::Start, Some(&first), Some(&first)).await?;
    run.operations = suite.provider().start(&run.change);
    suite.perform_all(run).await?;
    let live = suite.as_desired(&first).await?;
    if !live.status.ready {
        return Err("it is not ready after a start".to_owned());
    }
    Ok(Verdict::Holds)
}
