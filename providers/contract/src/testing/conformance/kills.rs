//! One token, one effect, wherever it is cut off.

use super::life::{made, next, same};
use super::suite::{How, Run, Suite, said};
use super::{Checked, Verdict};
use crate::change::Action;
use crate::lowered::Lowered;
use crate::outcome::{Failure, FailureKind, Resolution};
use crate::provider::{Guard, Perform};
use std::sync::atomic::{AtomicU32, Ordering};

/// Performed again with its token, a step that is done gives the same and does nothing.
pub(super) async fn same_token_twice(suite: &Suite<'_>) -> Checked {
    for action in [Action::Create, suite.touch(), Action::Delete] {
        suite.clear().await?;
        let case = Case::set_up(suite, action).await?;
        let request = case.run.first(suite.token())?;
        let once = suite.perform(&request, How::default()).await.map_err(|it| said(&it))?;
        let before = suite.picture(&case.identity).await?;
        let twice = suite.perform(&request, How::default()).await.map_err(|it| said(&it))?;
        same(&before, &suite.picture(&case.identity).await?, "the same token twice")?;
        if once.fingerprint(&request.managed) != twice.fingerprint(&request.managed) {
            return Err(format!("{action}: the second time says something else"));
        }
        match suite.resolve(&request).await? {
            Resolution::Done(outcome)
                if outcome.fingerprint(&request.managed) == once.fingerprint(&request.managed) => {}
            other => return Err(format!("{action}: what is done resolves as {other:?}")),
        }
    }
    Ok(Verdict::Holds)
}

/// What was looked up before it began never begins, where the provider says that this lasts.
pub(super) async fn sealed(suite: &Suite<'_>) -> Checked {
    let mut lasts = true;
    for action in [Action::Create, suite.touch(), Action::Delete] {
        suite.clear().await?;
        let case = Case::set_up(suite, action).await?;
        let request = case.run.first(suite.token())?;
        match suite.resolve(&request).await? {
            Resolution::NotStarted { sealed: true } => {
                late_has_no_effect(suite, &case, &request).await?
            }
            Resolution::NotStarted { sealed: false } => lasts = false,
            other => return Err(format!("{action}: what never began resolves as {other:?}")),
        }
        let request = case.run.first(suite.token())?;
        suite.perform(&request, How::default()).await.map_err(|it| said(&it))?;
    }
    Ok(if lasts { Verdict::Holds } else { Verdict::NotOffered })
}

async fn late_has_no_effect(
    suite: &Suite<'_>,
    case: &Case,
    request: &Perform,
) -> Result<(), String> {
    let before = suite.picture(&case.identity).await?;
    if suite.perform(request, How::default()).await.is_ok() {
        return Err("a step that was resolved as not started was performed later".to_owned());
    }
    same(&before, &suite.picture(&case.identity).await?, "a late call with a sealed token")
}

pub(super) async fn killed_create(suite: &Suite<'_>) -> Checked {
    killed(suite, Action::Create).await
}

pub(super) async fn killed_update(suite: &Suite<'_>) -> Checked {
    if !suite.fixtures.changes() {
        return Ok(Verdict::NotOffered);
    }
    killed(suite, Action::Update).await
}

pub(super) async fn killed_delete(suite: &Suite<'_>) -> Checked {
    killed(suite, Action::Delete).await
}

/// Cut off after each number of polls, then looked up on a new connection and brought to its end.
async fn killed(suite: &Suite<'_>, action: Action) -> Checked {
    for polls in 0..=suite.fixtures.polls() {
        suite.clear().await?;
        let case = Case::set_up(suite, action).await?;
        let request = case.run.first(suite.token())?;
        let how = How { polls: Some(polls), ..How::default() };
        let ended = suite.try_perform(&request, how).await;
        let settled = settle(suite, &case, request).await;
        settled.map_err(|why| format!("cut off after {polls} polls: {why}"))?;
        if ended.is_some() {
            return Ok(Verdict::Holds);
        }
    }
    Ok(Verdict::Holds)
}

pub(super) async fn guarded_create(suite: &Suite<'_>) -> Checked {
    guarded(suite, Action::Create).await
}

pub(super) async fn guarded_update(suite: &Suite<'_>) -> Checked {
    if !suite.fixtures.changes() {
        return Ok(Verdict::NotOffered);
    }
    guarded(suite, Action::Update).await
}

pub(super) async fn guarded_delete(suite: &Suite<'_>) -> Checked {
    guarded(suite, Action::Delete).await
}

/// Refused by the guard at each of its questions, then looked up and brought to its end.
async fn guarded(suite: &Suite<'_>, action: Action) -> Checked {
    for ask in 1..=64 {
        suite.clear().await?;
        let case = Case::set_up(suite, action).await?;
        let request = case.run.first(suite.token())?;
        let before = suite.picture(&case.identity).await?;
        let guard = NoAt { ask, asked: AtomicU32::new(0) };
        let how = How { guard: &guard, ..How::default() };
        match suite.perform(&request, how).await {
            Ok(_) if ask == 1 => return Err("it wrote without asking the guard".to_owned()),
            Ok(_) => return Ok(Verdict::Holds),
            Err(it) if it.kind == FailureKind::Expired => {}
            Err(it) => return Err(format!("the guard says no, and it says {}", said(&it))),
        }
        if ask == 1 {
            same(&before, &suite.picture(&case.identity).await?, "a write that the guard forbids")?;
        }
        let settled = settle(suite, &case, request).await;
        settled.map_err(|why| format!("refused at question {ask}: {why}"))?;
    }
    Err("it asks the guard more than 64 times".to_owned())
}

/// Says no from one question on.
struct NoAt {
    ask: u32,
    asked: AtomicU32,
}

impl Guard for NoAt {
    fn may_write(&self) -> Result<(), Failure> {
        if self.asked.fetch_add(1, Ordering::SeqCst) + 1 < self.ask {
            return Ok(());
        }
        crate::provider::NeverWrite.may_write()
    }
}

/// A change that waits for its first operation.
struct Case {
    run: Run,
    identity: String,
    /// What must be live in the end; none where nothing may be.
    then: Option<Lowered>,
}

impl Case {
    async fn set_up(suite: &Suite<'_>, action: Action) -> Result<Self, String> {
        let (run, then) = match action {
            Action::Create => {
                let desired = suite.desired(&suite.fixtures.declared(1), None).await?;
                (suite.plan(action, Some(&desired), None).await?, Some(desired))
            }
            Action::Update => {
                let (first, _) = made(suite).await?;
                let second = next(suite, &first).await?;
                (suite.plan(action, Some(&second), Some(&first)).await?, Some(second))
            }
            _ => {
                let (first, _) = made(suite).await?;
                (suite.plan(Action::Delete, None, Some(&first)).await?, None)
            }
        };
        Ok(Self { identity: run.change.identity.clone(), run, then })
    }
}

/// Looks an interrupted first operation up, brings the change to its end, and checks the end.
async fn settle(suite: &Suite<'_>, case: &Case, request: Perform) -> Result<(), String> {
    let outcome = match suite.resolve(&request).await? {
        Resolution::Done(outcome) => outcome,
        Resolution::Partly { .. } | Resolution::Running { .. } => {
            let again = suite.perform(&request, How::default()).await;
            again.map_err(|it| format!("with the same token again: {}", said(&it)))?
        }
        Resolution::NotStarted { sealed } => {
            if sealed {
                late_has_no_effect(suite, case, &request).await?;
            }
            let next = Perform { token: suite.token(), ..request.clone() };
            let again = suite.perform(&next, How::default()).await;
            again.map_err(|it| format!("with another token: {}", said(&it)))?
        }
        other => return Err(format!("it resolves as {other:?}")),
    };
    let mut left = outcome.live.map(|live| live.fields);
    for operation in case.run.operations.iter().skip(1) {
        let request = case.run.request(operation.clone(), left.as_ref(), suite.token());
        let outcome = suite.perform(&request, How::default()).await.map_err(|it| said(&it))?;
        left = outcome.live.map(|live| live.fields);
    }
    match &case.then {
        Some(desired) => suite.as_desired(desired).await.map(|_| ()),
        None => suite.absent(&case.identity).await,
    }
}
