//! One effect, by its verb.

use crate::desk::{Begun, Desk};
use crate::stepped::Stepped;
use crate::steps::{ADOPT, BASELINE, CLAIM, OF, RELEASE};
use crate::trouble::invalid;
use crate::url::Url;
use crate::{Base, applying, backup, kept, marking, restore};
use hive_contract::{Context, Failure, FailureKind, Fields, Outcome, Perform, Remains, Value};
use hive_sql::list::{ACCEPT, DOWN, MIGRATE, RESUME};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

pub(crate) async fn perform(
    base: &Base,
    request: &Perform,
    context: &Context<'_>,
) -> Result<Outcome, Failure> {
    context.guard.may_write()?;
    if !kept::may_follow(&request.operation.verb) {
        drop(base.shelf.clear());
    }
    if backup::is_of(&request.identity) {
        return backup::perform(base, request, context).await;
    }
    let of = reached(request)?;
    let url = Url::of(&base.folder, of, context.secrets)?;
    let until = Instant::now() + Duration::from_millis(request.operation.deadline_ms);
    let desk = Desk { base, request, context, url: &url, of, until };
    match timeout_at(until, by_verb(&desk)).await {
        Ok(ended) => ended,
        Err(_) => late(&desk).await,
    }
}

/// How the database is reached.
pub(crate) fn reached(request: &Perform) -> Result<&Fields, Failure> {
    let of = request.operation.payload.get(OF).and_then(Value::as_map);
    of.ok_or_else(|| invalid("the operation does not say how its database is reached"))
}

async fn by_verb(desk: &Desk<'_>) -> Result<Outcome, Failure> {
    match desk.request.operation.verb.as_str() {
        CLAIM => marking::claim(desk).await,
        BASELINE => marking::baseline(desk).await,
        ADOPT => marking::adopt(desk).await,
        RELEASE => marking::release(desk).await,
        ACCEPT => marking::accept(desk).await,
        MIGRATE | RESUME | DOWN => applying::apply(desk).await,
        verb if restore::knows(verb) => restore::perform(desk).await,
        verb => Err(invalid(format!("PostgreSQL knows no `{verb}`"))),
    }
}

/// Behind the deadline nothing of the step goes on: its sessions are ended, and its token says what
/// it has done.
async fn late(desk: &Desk<'_>) -> Result<Outcome, Failure> {
    let seconds = desk.request.operation.deadline_ms / 1_000;
    let what = format!("{} took longer than {seconds} s", desk.request.operation.title);
    let failure = Failure::new(FailureKind::TimedOut, what);
    if restore::knows(&desk.request.operation.verb) {
        return Err(restore::late(desk, failure).await);
    }
    match desk.settled().await {
        Ok(Stepped::Done(outcome)) => Ok(*outcome),
        Ok(Stepped::Unknown | Stepped::Void) => Err(failure),
        Ok(Stepped::Begun { applied, .. }) => Err(failure
            .diagnosis(format!("{applied} statements of it are done"))
            .remains(remains(desk).await)),
        Err(unknown) => Err(failure.diagnosis(unknown.message).remains(Remains::Unsure)),
    }
}

/// What is live now, as remains.
pub(crate) async fn remains(desk: &Desk<'_>) -> Remains {
    match desk.begin().await {
        Ok(Begun::Now(work)) => Remains::Left(Box::new(desk.outcome(&work.book))),
        Ok(Begun::Already(outcome)) => Remains::Left(outcome),
        Err(_) => Remains::Unsure,
    }
}
