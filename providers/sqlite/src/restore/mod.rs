//! A database from a backup: a safety copy of what is there, the backup restored and proven beside
//! it, and the swap. Whatever fails, the live file holds all of the old content or all of the new.

mod beside;
mod bring_up;
mod safety;
pub(crate) mod steps;
mod swap;

use crate::database::OF;
use crate::session::Step;
use crate::site::Site;
use crate::work::lend;
use crate::{Base, Sqlite};
use hive_backup::{Plain, Repository, Settings};
use hive_contract::{Context, Failure, FailureKind, Fields, Outcome, Perform, Resolution, Value};
use hive_sql::manifest::{Kind, Manifest};
use hive_sql::restoring::{DISCARD, FILES, ID, KEY, PUT_BACK, RESTORE, SAFETY, SWAP};
use std::sync::Arc;
use std::time::Duration;

/// Whether a verb is one of these.
pub(crate) fn knows(verb: &str) -> bool {
    [SAFETY, RESTORE, DISCARD, SWAP, PUT_BACK].contains(&verb)
}

/// One step.
///
/// # Errors
/// As the verb says.
pub(crate) async fn perform(
    sqlite: &Sqlite,
    request: &Perform,
    context: &Context<'_>,
) -> Result<Outcome, Failure> {
    context.guard.may_write()?;
    let base = &sqlite.base;
    match request.operation.verb.as_str() {
        SAFETY => safety::make(base, request, context).await,
        RESTORE => {
            let repository = connect(base, request, context).await?;
            let manifest = repository.manifest(&text(request, ID)?).await?;
            crate::backup::only_sqlite(&manifest)?;
            let plain = repository.open(&manifest).await?;
            let source = (manifest, plain);
            on_file(base, request, context, move |step| beside::make(step, &source.0, source.1))
                .await
        }
        DISCARD => on_file(base, request, context, beside::discard).await,
        SWAP => on_file(base, request, context, swap::swap).await,
        _ => put_back(base, request, context).await,
    }
}

async fn put_back(
    base: &Arc<Base>,
    request: &Perform,
    context: &Context<'_>,
) -> Result<Outcome, Failure> {
    let repository = connect(base, request, context).await?;
    let key = text(request, KEY)?;
    let made_for = |manifest: &Manifest| {
        let note = manifest.notes.get(crate::backup::RESTORE);
        manifest.kind == Kind::Safety && note == Some(&key)
    };
    let listing = repository.list(None).await?;
    let manifest = listing.manifests().into_iter().rev().find(made_for).ok_or_else(|| {
        let what = format!("the safety copy of this restore is not at {}", repository.shown());
        Failure::new(FailureKind::Moved, what)
    })?;
    let plain: Plain = repository.open(&manifest).await?;
    on_file(base, request, context, move |step| swap::put_back(step, &manifest, plain)).await
}

/// What became of a step.
///
/// # Errors
/// It cannot be looked up now.
pub(crate) async fn resolve(
    sqlite: &Sqlite,
    request: &Perform,
    context: &Context<'_>,
) -> Result<Resolution, Failure> {
    let base = &sqlite.base;
    match request.operation.verb.as_str() {
        SAFETY => {
            let repository = connect(base, request, context).await?;
            match repository.find_by_token(&request.token).await? {
                None => Ok(Resolution::NotStarted { sealed: false }),
                Some(manifest) => {
                    let named = manifest.id.clone();
                    let done = move |step: &Step<'_>| safety::outcome(step, &named);
                    on_file(base, request, context, done).await.map(Resolution::Done)
                }
            }
        }
        RESTORE => on_file(base, request, context, beside::resolve).await,
        DISCARD => on_file(base, request, context, beside::discard).await.map(Resolution::Done),
        _ => on_file(base, request, context, swap::resolve).await,
    }
}

/// Runs blocking work on the step's database.
async fn on_file<T: Send + 'static>(
    base: &Arc<Base>,
    request: &Perform,
    context: &Context<'_>,
    work: impl FnOnce(&Step<'_>) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (base, owned) = (Arc::clone(base), request.clone());
    lend(context, request.operation.deadline_ms, move |lent| {
        let site = site(&base, &owned)?;
        let wait = Duration::from_secs(10);
        work(&Step { kept: &base.kept, site: &site, request: &owned, lent, wait })
    })
    .await
}

fn site(base: &Base, request: &Perform) -> Result<Site, Failure> {
    let of = request.operation.payload.get(OF).and_then(Value::as_map);
    let site = Site::of_access(&base.folder, of.unwrap_or(&Fields::new()))?;
    // A restore was asked for by a person: it makes the file.
    Ok(Site { create: true, ..site })
}

async fn connect(
    base: &Base,
    request: &Perform,
    context: &Context<'_>,
) -> Result<Repository, Failure> {
    let settings = Settings::read(&request.operation.payload)?;
    settings.connect(&base.folder, context.secrets).await
}

fn text(request: &Perform, key: &str) -> Result<String, Failure> {
    let text = request.operation.payload.get(key).and_then(Value::as_text);
    let missing = || Failure::new(FailureKind::Invalid, format!("the operation has no `{key}`"));
    text.map(str::to_owned).ok_or_else(missing)
}
