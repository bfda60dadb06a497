//! Gates and notices: what has no effect.

use super::suite::{How, Run, Suite, said};
use super::{CANARY, Checked, Verdict};
use crate::address::Target;
use crate::change::{Action, Change};
use crate::lowered::Lowered;
use crate::operation::Expects;
use crate::outcome::{FailureKind, Resolution};
use crate::provider::Perform;

fn look(suite: &Suite<'_>, lowered: Lowered) -> Result<Perform, String> {
    let target = Target::main(suite.mark().address);
    let change = change(target, Action::Run, lowered);
    let operations = suite.provider().steps(&change, None);
    let run = Run { change, operations, managed: Vec::new(), mark: suite.mark() };
    let request = run.first(suite.token())?;
    if request.operation.expects != Expects::Anything {
        return Err("a gate expects something".to_owned());
    }
    Ok(request)
}

fn change(target: Target, action: Action, lowered: Lowered) -> Change {
    let named = Change::new(target, action, lowered.identity.clone());
    Change { desired: Some(lowered), ..named }
}

pub(super) async fn holds(suite: &Suite<'_>) -> Checked {
    let request = look(suite, suite.lower(&suite.fixtures.declared(1))?)?;
    for _ in 0..2 {
        let outcome = suite.perform(&request, How::default()).await.map_err(|it| said(&it))?;
        if outcome.live.is_some() {
            return Err("a gate says that something is live".to_owned());
        }
    }
    Ok(Verdict::Holds)
}

pub(super) async fn does_not_hold(suite: &Suite<'_>) -> Checked {
    let mut request = look(suite, suite.lower(&suite.fixtures.declared(2))?)?;
    request.operation.deadline_ms = request.operation.deadline_ms.min(500);
    match suite.perform(&request, How::default()).await {
        Err(it) if matches!(it.kind, FailureKind::Unhealthy | FailureKind::TimedOut) => {
            Ok(Verdict::Holds)
        }
        other => Err(format!("a gate that does not hold says {other:?}")),
    }
}

/// A gate under way is cut when hive is asked to stop.
pub(super) async fn cut_short(suite: &Suite<'_>) -> Checked {
    let request = look(suite, suite.lower(&suite.fixtures.declared(2))?)?;
    match suite.perform(&request, How { cancel: true, ..How::default() }).await {
        Err(it) if it.kind == FailureKind::Cancelled => Ok(Verdict::Holds),
        other => Err(format!("a gate that is cut says {other:?}")),
    }
}

/// A gate has no effect that could still come.
pub(super) async fn resolves(suite: &Suite<'_>) -> Checked {
    let request = look(suite, suite.lower(&suite.fixtures.declared(1))?)?;
    match suite.resolve(&request).await? {
        Resolution::NotStarted { .. } | Resolution::Done(_) => Ok(Verdict::Holds),
        other => Err(format!("a gate resolves as {other:?}")),
    }
}

pub(super) async fn secret(suite: &Suite<'_>) -> Checked {
    let Some(declared) = suite.fixtures.with_secret() else { return Ok(Verdict::NotOffered) };
    let request = look(suite, suite.lower(&declared)?)?;
    if let Ok(outcome) = suite.perform(&request, How::default()).await
        && outcome.kept.contains(CANARY)
    {
        return Err("the output that is kept holds a secret".to_owned());
    }
    match suite.perform(&request, How { hand_over: false, ..How::default() }).await {
        Ok(_) => Err("it holds without the secret's value".to_owned()),
        Err(_) => Ok(Verdict::Holds),
    }
}

pub(super) fn notice_has_no_step(suite: &Suite<'_>) -> Checked {
    let lowered = suite.lower(&suite.fixtures.declared(1))?;
    for action in [Action::Create, Action::Update, Action::Delete, Action::Run] {
        let target = Target::main(suite.mark().address);
        let change = change(target, action, lowered.clone());
        if !suite.provider().steps(&change, None).is_empty() {
            return Err(format!("a notice has a step for {action}"));
        }
    }
    Ok(Verdict::Holds)
}
