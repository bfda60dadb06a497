//! The backup as a database of its own, proven before anybody uses it.

use super::bring_up::bring_up;
use super::state::{Beside, note};
use super::{id, repository};
use crate::child::{self, Owners};
use crate::desk::{Desk, outside};
use crate::dumping::{check_version, compare};
use crate::names::{self, drop_database};
use crate::quote;
use crate::scratch::{Scratch, fill};
use crate::tools::{self, Tools};
use hive_backup::Plain;
use hive_contract::{Event, Failure, FailureKind, Outcome};
use hive_sql::manifest::Manifest;

/// Restores it. One that an earlier try has left is dropped first, unless it is whole.
pub(super) async fn restore(desk: &Desk<'_>) -> Result<Outcome, Failure> {
    let beside = Beside::look(desk, outside(desk.url, &desk.application()).await?).await?;
    if beside.live.is_some() {
        let what = format!("{} is there: it was not closed", desk.url.spot);
        return Err(Failure::new(FailureKind::Moved, what));
    }
    beside.check(desk).await?;
    if beside.is_restored() {
        return beside.outcome(desk).await;
    }
    let repository = repository(desk).await?;
    let manifest = repository.manifest(id(desk)?).await?;
    let version = tools::server(&beside.outside).await?;
    check_version(&version, &manifest)?;
    let tools = tools::find(desk.base.tools.as_deref(), &version).await?;
    let plain = repository.open(&manifest).await?;
    names::sweep(desk.url, &names::new_prefix(&desk.url.spot.database)).await?;
    desk.context.guard.may_write()?;
    let name = names::new(&desk.url.spot.database, &beside.key);
    let settings = &manifest.source.settings;
    let scratch = Scratch::make(desk.url, &name, &desk.application(), settings).await?;
    if let Err(failure) = make_whole(desk, &scratch, &tools, plain, &manifest, &beside.key).await {
        return Err(dropped(scratch, failure).await);
    }
    let beside = Beside::look(desk, beside.outside).await?;
    beside.outcome(desk).await
}

/// Fills it, proves it, and only then notes that it is whole.
async fn make_whole(
    desk: &Desk<'_>,
    scratch: &Scratch,
    tools: &Tools,
    plain: Plain,
    manifest: &Manifest,
    key: &str,
) -> Result<(), Failure> {
    let (child, input) = child::restore(tools, &scratch.url, &desk.application(), Owners::Kept)?;
    fill(child, input, plain, desk.context).await?;
    prove(desk, scratch, manifest).await?;
    desk.context.guard.may_write()?;
    let name = quote::name(&scratch.url.spot.database);
    let whole = format!("COMMENT ON DATABASE {name} IS {}", quote::text(&note(key)));
    scratch.outside.run("note that it is whole", &whole).await
}

/// Everything is as the manifest says; then, and only then, it is brought up.
async fn prove(desk: &Desk<'_>, scratch: &Scratch, manifest: &Manifest) -> Result<(), Failure> {
    let wrong = compare(&scratch.url, &desk.application(), manifest).await?;
    if !wrong.is_empty() {
        let what = format!("what was restored from {} is not what was backed up", manifest.id);
        let mut failure = Failure::new(FailureKind::Unhealthy, what);
        failure.diagnosis = wrong;
        return Err(failure);
    }
    desk.context.event(Event::info(manifest.proven()));
    bring_up(desk, &scratch.url, manifest).await
}

/// What is half restored goes at once; where it cannot, whoever opens the old one again takes it, or
/// the next restore.
async fn dropped(scratch: Scratch, failure: Failure) -> Failure {
    match scratch.drop_it().await {
        Ok(()) => failure,
        Err(left) => failure.diagnosis(left.message),
    }
}

/// Drops what was restored.
pub(super) async fn discard(desk: &Desk<'_>) -> Result<Outcome, Failure> {
    let beside = Beside::look(desk, outside(desk.url, &desk.application()).await?).await?;
    if let Some(new) = &beside.new {
        desk.context.guard.may_write()?;
        drop_database(&beside.outside, &new.name).await?;
    }
    beside.outcome(desk).await
}
