//! The safety copy: a published backup of what is about to be replaced.

use super::{ID, KEY, connect, on_file, text};
use crate::Base;
use crate::backup::{Copies, RESTORE};
use crate::database::OF;
use crate::look;
use crate::open::absent;
use crate::session::{self, Step};
use hive_backup::{ALARM, Job, Order};
use hive_contract::{Context, Event, Failure, Fields, Mark, Outcome, Perform, Value};
use hive_sql::manifest::Kind;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Makes it, once for a token.
///
/// # Errors
/// The database cannot be read, or the place of the backups cannot be written.
pub(super) async fn make(
    base: &Arc<Base>,
    request: &Perform,
    context: &Context<'_>,
) -> Result<Outcome, Failure> {
    on_file(base, request, context, |step| expected(step).map(|_| ())).await?;
    let repository = connect(base, request, context).await?;
    let id = match repository.find_by_token(&request.token).await? {
        Some(manifest) => manifest.id,
        None => {
            let from = repository.manifest(&text(request, ID)?).await?;
            // Among the backups of the same resource, so that it is listed and kept with them.
            let mark = Mark { owner: request.mark.owner.clone(), address: from.mark.address };
            let order = Order::new(&mark, &request.token, Kind::Safety, context.guard);
            let notes = BTreeMap::from([(RESTORE.to_owned(), text(request, KEY)?)]);
            let engine = Copies { base: Arc::clone(base), notes };
            let nothing = Fields::new();
            let of = request.operation.payload.get(OF).and_then(Value::as_map);
            let job = Job { of: of.unwrap_or(&nothing), kind: Kind::Safety, request, context };
            let dump = |sink| hive_backup::Engine::dump(&engine, job, sink);
            let manifest = repository.publish(&order, dump).await?;
            if let Some(alarm) = manifest.notes.get(ALARM) {
                context.event(Event::warning(alarm));
            }
            manifest.id
        }
    };
    on_file(base, request, context, move |step| outcome(step, &id)).await
}

/// The database is as the plan saw it.
fn expected(step: &Step<'_>) -> Result<Option<hive_contract::Live>, Failure> {
    let mut held = step.kept.take(step.site, step.wait)?.ok_or_else(|| absent(step.site))?;
    let live = look::one(&mut held, step.site, step.request)?.live().cloned();
    step.kept.keep(step.site, held);
    step.request.check_expected(live.as_ref().map(|live| &live.fields))?;
    session::only_ours(step.request, live.as_ref())?;
    Ok(live)
}

/// What is live, and the safety copy by its name.
///
/// # Errors
/// The database cannot be read.
pub(super) fn outcome(step: &Step<'_>, id: &str) -> Result<Outcome, Failure> {
    let mut held = step.kept.take(step.site, step.wait)?.ok_or_else(|| absent(step.site))?;
    let live = look::one(&mut held, step.site, step.request)?.live().cloned();
    step.kept.keep(step.site, held);
    Ok(Outcome { live, kept: format!("safety copy {id}") })
}
