//! A system that misbehaves, and people who get in the way.

use super::life::{made, next, refused, same};
use super::suite::{How, Run, Suite, said};
use super::{Checked, Trouble, Verdict};
use crate::change::Action;
use crate::fingerprint::Fingerprint;
use crate::live::Observed;
use crate::lowered::Lowered;
use crate::outcome::{Failure, FailureKind, Remains};
use crate::provider::Perform;

/// Asked to stop at once, a create ends, and what it says it left is what is there.
pub(super) async fn cancelled(suite: &Suite<'_>) -> Checked {
    let desired = suite.desired(&suite.fixtures.declared(1), None).await?;
    let run = suite.plan(Action::Create, Some(&desired), None).await?;
    let request = run.first(suite.token())?;
    match suite.perform(&request, How { cancel: true, ..How::default() }).await {
        Ok(_) if run.operations.len() == 1 => suite.as_desired(&desired).await.map(|_| ())?,
        Ok(_) => {}
        Err(failure) if failure.kind == FailureKind::Cancelled => {
            remains_are_there(suite, &request, &failure).await?;
        }
        Err(failure) => return Err(format!("it was cancelled and says {}", said(&failure))),
    }
    Ok(Verdict::Holds)
}

/// What a failure says it left is what is there.
async fn remains_are_there(
    suite: &Suite<'_>,
    request: &Perform,
    failure: &Failure,
) -> Result<(), String> {
    let found = match suite.look(&request.identity).await {
        Ok(observed) => observed.fingerprint(&request.managed),
        Err(failure) => return Err(said(&failure)),
    };
    let said = match &failure.remains {
        Remains::Nothing => request.expected.clone(),
        Remains::Left(outcome) => outcome.fingerprint(&request.managed),
        Remains::Unsure => return Ok(()),
    };
    if found == said {
        return Ok(());
    }
    Err(format!("it says that it left {:?}, and there is {found:?}", failure.remains))
}

/// A step whose expectation is not what is live is refused.
pub(super) async fn stale(suite: &Suite<'_>) -> Checked {
    let (first, _) = made(suite).await?;
    let before = suite.picture(&first.identity).await?;
    let touch = ready(suite, &first).await?;
    let delete = suite.plan(Action::Delete, None, Some(&first)).await?;
    for run in [touch, delete] {
        let mut request = run.first(suite.token())?;
        request.expected = Some(Fingerprint::of("something else"));
        let what = format!("a stale {}", run.change.action);
        refused(suite.perform(&request, How::default()).await, &what)?;
    }
    same(&before, &suite.picture(&first.identity).await?, "a stale step")?;
    Ok(Verdict::Holds)
}

/// A secret reaches the system and nothing else; without its value nothing is made.
pub(super) async fn secret(suite: &Suite<'_>) -> Checked {
    let Some(declared) = suite.fixtures.with_secret() else { return Ok(Verdict::NotOffered) };
    let desired = suite.desired(&declared, None).await?;
    let run = suite.plan(Action::Create, Some(&desired), None).await?;
    let request = run.first(suite.token())?;
    match suite.perform(&request, How { hand_over: false, ..How::default() }).await {
        Ok(_) => return Err("it was made without the secret's value".to_owned()),
        Err(failure) => remains_are_there(suite, &request, &failure).await?,
    }
    suite.change(Action::Create, Some(&desired), None).await?;
    suite.as_desired(&desired).await?;
    Ok(Verdict::Holds)
}

pub(super) async fn forbidden(suite: &Suite<'_>) -> Checked {
    unreadable(suite, Trouble::Forbidden, FailureKind::Forbidden).await
}

pub(super) async fn unavailable(suite: &Suite<'_>) -> Checked {
    unreadable(suite, Trouble::Unavailable, FailureKind::Unavailable).await
}

pub(super) async fn malformed(suite: &Suite<'_>) -> Checked {
    unreadable(suite, Trouble::Malformed, FailureKind::Malformed).await
}

/// What cannot be read is never "nothing there", and no step is done on it.
async fn unreadable(suite: &Suite<'_>, trouble: Trouble, kind: FailureKind) -> Checked {
    let (first, run) = ready_to_update(suite).await?;
    let before = suite.picture(&first.identity).await?;
    let Some(begins) = suite.fixtures.trouble(trouble) else { return Ok(Verdict::NotOffered) };
    begins.await;
    match suite.look(&first.identity).await {
        Err(failure) if failure.kind == kind => {}
        other => return Err(format!("`observe` says {other:?}")),
    }
    let request = run.first(suite.token())?;
    match suite.perform(&request, How::default()).await {
        Err(failure) if failure.kind == kind => {
            if kind == FailureKind::Unavailable && !failure.retryable {
                return Err("what is unavailable is not retryable".to_owned());
            }
        }
        other => return Err(format!("`perform` says {other:?}")),
    }
    suite.fixtures.calm().await;
    same(&before, &suite.picture(&first.identity).await?, "a step that did not get through")?;
    Ok(Verdict::Holds)
}

async fn ready_to_update(suite: &Suite<'_>) -> Result<(Lowered, Run), String> {
    let (first, _) = made(suite).await?;
    let run = ready(suite, &first).await?;
    Ok((first, run))
}

async fn ready(suite: &Suite<'_>, first: &Lowered) -> Result<Run, String> {
    let second = match suite.touch() {
        Action::Update => Some(next(suite, first).await?),
        _ => None,
    };
    suite.plan(suite.touch(), second.as_ref(), Some(first)).await
}

/// An effect behind its deadline is a failure that says what it left.
pub(super) async fn slow(suite: &Suite<'_>) -> Checked {
    let (_, run) = ready_to_update(suite).await?;
    let Some(begins) = suite.fixtures.trouble(Trouble::Slow) else {
        return Ok(Verdict::NotOffered);
    };
    begins.await;
    let mut request = run.first(suite.token())?;
    request.operation.deadline_ms = 200;
    match suite.perform(&request, How::default()).await {
        Err(failure) if failure.kind == FailureKind::TimedOut => {
            suite.fixtures.calm().await;
            remains_are_there(suite, &request, &failure).await?;
            Ok(Verdict::Holds)
        }
        other => Err(format!("a step behind its deadline says {other:?}")),
    }
}

/// What does not work is a failure, with what it left.
pub(super) async fn unhealthy(suite: &Suite<'_>) -> Checked {
    let (first, run) = ready_to_update(suite).await?;
    let Some(begins) = suite.fixtures.trouble(Trouble::Unhealthy) else {
        return Ok(Verdict::NotOffered);
    };
    begins.await;
    let request = run.first(suite.token())?;
    let failure = match suite.perform(&request, How::default()).await {
        Err(failure) if failure.kind == FailureKind::Unhealthy => failure,
        other => return Err(format!("what does not work says {other:?}")),
    };
    if failure.diagnosis.is_empty() {
        return Err("nobody learns why it does not work".to_owned());
    }
    remains_are_there(suite, &request, &failure).await?;
    suite.fixtures.calm().await;
    if let (crate::Undo::By(undo), false) =
        (&request.operation.undo, failure.remains == Remains::Nothing)
    {
        let live = suite.live(&first.identity).await?;
        let back = run.request((**undo).clone(), Some(&live.fields), suite.token());
        suite.perform(&back, How::default()).await.map_err(|it| format!("undo: {}", said(&it)))?;
    }
    suite.as_desired(&first).await.map_err(|why| format!("taken back: {why}"))?;
    Ok(Verdict::Holds)
}

/// What somebody else changed since the plan is not written over.
pub(super) async fn meddled(suite: &Suite<'_>) -> Checked {
    let (first, run) = ready_to_update(suite).await?;
    let Some(begins) = suite.fixtures.trouble(Trouble::Meddled) else {
        return Ok(Verdict::NotOffered);
    };
    begins.await;
    let before = suite.picture(&first.identity).await?;
    let request = run.first(suite.token())?;
    refused(suite.perform(&request, How::default()).await, "an update of what was changed")?;
    same(&before, &suite.picture(&first.identity).await?, "a refused update")?;
    let live = suite.live(&first.identity).await?;
    if Fingerprint::of_managed(&live.fields, &run.managed)
        == Fingerprint::of_managed(&first.fields, &run.managed)
    {
        return Err("`observe` does not see the change".to_owned());
    }
    Ok(Verdict::Holds)
}

/// What somebody else took away is absent, and is not changed.
pub(super) async fn gone(suite: &Suite<'_>) -> Checked {
    let (first, run) = ready_to_update(suite).await?;
    let Some(begins) = suite.fixtures.trouble(Trouble::Gone) else {
        return Ok(Verdict::NotOffered);
    };
    begins.await;
    match suite.look(&first.identity).await {
        Ok(Observed::Absent) => {}
        other => return Err(format!("what is gone is seen as {other:?}")),
    }
    let request = run.first(suite.token())?;
    refused(suite.perform(&request, How::default()).await, "an update of what is gone")?;
    suite.absent(&first.identity).await?;
    Ok(Verdict::Holds)
}
