//! The kind `backup`: what is PostgreSQL's own about it is the engine's, the rest is the same
//! everywhere.

use crate::dumping::Dumps;
use crate::lower::{access, kind_of};
use crate::session::{READER, Session, called, end_all};
use crate::url::Url;
use crate::{Base, desk};
use hive_backup::{BACKUP, Backups, VERIFY};
use hive_contract::{
    AskOne, Change, Context, Declared, Failure, FailureKind, Fields, Invalid, Live, LowerScope,
    Lowered, Observed, Operation, Outcome, Perform, Remains, Resolution, Secrets, StackMark,
    Target, Value,
};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// Whether an identity is a backup's.
pub(crate) fn is_of(identity: &str) -> bool {
    kind_of(identity) == crate::BACKUP
}

pub(crate) fn lower(declared: &Declared, scope: &LowerScope) -> Result<Lowered, Vec<Invalid>> {
    let mut wrong = Vec::new();
    let of = declared.fields.get("of").and_then(Value::as_map).cloned().unwrap_or_default();
    access(&of, "of.", &mut wrong);
    match hive_backup::lower_backup(declared, scope) {
        Ok(lowered) if wrong.is_empty() => Ok(lowered),
        Ok(_) => Err(wrong),
        Err(more) => {
            wrong.extend(more);
            Err(wrong)
        }
    }
}

pub(crate) async fn observe(
    base: &Base,
    parts: &[&AskOne],
    marked: Option<&StackMark>,
    secrets: &Secrets,
) -> (BTreeMap<Target, Result<Observed, Failure>>, Vec<Live>) {
    let found = Backups::new(&base.folder).observe(parts, secrets).await;
    let ours = hive_backup::marked(&found, marked);
    (found, ours)
}

pub(crate) fn steps(change: &Change) -> Vec<Operation> {
    hive_backup::steps_backup(change)
}

pub(crate) async fn perform(
    base: &Base,
    request: &Perform,
    context: &Context<'_>,
) -> Result<Outcome, Failure> {
    let backups = Backups::new(&base.folder);
    let engine = Dumps::new(base);
    let limit = Duration::from_millis(request.operation.deadline_ms);
    match timeout(limit, backups.perform(&engine, request, context)).await {
        Ok(ended) => ended,
        Err(_) => {
            let what =
                format!("{} took longer than {} s", request.operation.title, limit.as_secs());
            // Nothing is listed before its end; what was sent to the server ends here.
            let _ = end_sessions(base, request, context).await;
            Err(Failure::new(FailureKind::TimedOut, what).remains(Remains::Unsure))
        }
    }
}

pub(crate) async fn resolve(
    base: &Base,
    request: &Perform,
    context: &Context<'_>,
) -> Result<Resolution, Failure> {
    if [BACKUP, VERIFY].contains(&request.operation.verb.as_str()) {
        // A server that is gone runs no session of ours; the place of the backups tells the rest.
        let _ = end_sessions(base, request, context).await;
    }
    Backups::new(&base.folder).resolve(request, context).await
}

/// Ends what a step that was cut off has left running at the server.
async fn end_sessions(
    base: &Base,
    request: &Perform,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let nothing = Fields::new();
    let of = request.operation.payload.get("of").and_then(Value::as_map).unwrap_or(&nothing);
    let url = Url::of(&base.folder, of, context.secrets)?;
    let asker = match Session::open(&url, READER).await {
        Ok(session) => session,
        Err(_) => desk::outside(&url, READER).await?,
    };
    end_all(&asker, &called(&request.token)).await
}
