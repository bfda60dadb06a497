//! The safety copy: a published backup of what is about to be replaced.

use super::state::Beside;
use super::{KEY, id, repository};
use crate::desk::{Desk, outside, text};
use crate::dumping::Dumps;
use crate::session::READER;
use hive_backup::{ALARM, Engine, Job, Order};
use hive_contract::{Event, Failure, FailureKind, Mark, Outcome, Resolution};
use hive_sql::manifest::Kind;
use std::collections::BTreeMap;

/// Makes it, once for a token.
pub(super) async fn make(desk: &Desk<'_>) -> Result<Outcome, Failure> {
    let beside = Beside::look(desk, outside(desk.url, READER).await?).await?;
    let old = match (&beside.old, &beside.live) {
        (Some(old), None) => old.name.clone(),
        _ => {
            let what = format!("{} is not closed by this restore", desk.url.spot);
            return Err(Failure::new(FailureKind::Moved, what));
        }
    };
    beside.check(desk).await?;
    let repository = repository(desk).await?;
    let published = match repository.find_by_token(&desk.request.token).await? {
        Some(manifest) => manifest.id,
        None => {
            let from = repository.manifest(id(desk)?).await?;
            // Among the backups of the same resource, so that it is listed and kept with them.
            let owner = desk.request.mark.owner.clone();
            let mark = Mark { owner, address: from.mark.address };
            let order = Order::new(&mark, &desk.request.token, Kind::Safety, desk.context.guard);
            let key = text(&desk.request.operation.payload, KEY)?.to_owned();
            let mut engine = Dumps::new(desk.base);
            engine.database = Some(old);
            engine.notes = BTreeMap::from([("restore".to_owned(), key)]);
            let job = Job {
                of: desk.of,
                kind: Kind::Safety,
                request: desk.request,
                context: desk.context,
            };
            let manifest = repository.publish(&order, |sink| engine.dump(job, sink)).await?;
            if let Some(alarm) = manifest.notes.get(ALARM) {
                desk.context.event(Event::warning(alarm));
            }
            manifest.id
        }
    };
    let mut outcome = beside.outcome(desk).await?;
    outcome.kept = format!("safety copy {published}");
    Ok(outcome)
}

pub(super) async fn resolve(desk: &Desk<'_>) -> Result<Resolution, Failure> {
    let published = repository(desk).await?.find_by_token(&desk.request.token).await?;
    let Some(manifest) = published else { return Ok(Resolution::NotStarted { sealed: false }) };
    let beside = Beside::look(desk, outside(desk.url, READER).await?).await?;
    let mut outcome = beside.outcome(desk).await?;
    outcome.kept = format!("safety copy {}", manifest.id);
    Ok(Resolution::Done(outcome))
}
