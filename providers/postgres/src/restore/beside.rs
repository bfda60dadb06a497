//! The backup as a database of its own, proven before anybody uses it.

use super::bring_up::bring_up;
use super::state::{Beside, note};
use super::{given, id, repository};
use crate::child::{self, Owners};
use crate::desk::{Desk, outside};
use crate::dumping::{check_version, compare};
use crate::names::{self, drop_database};
use crate::scratch::{Scratch, fill};
use crate::tools::{self, Tools};
use crate::{quote, roles};
use hive_backup::Plain;
use hive_contract::{Event, Failure, FailureKind, Outcome};
use hive_sql::manifest::Manifest;

/// Restores it. One that an earlier try has left is dropped first, unless it is whole.
pub(super) async fn restore(desk: &Desk<'_>) -> Result<Outcome, Failure> {
    let beside = Beside::look(desk, outside(desk.url, &desk.application()).await?).await?;
    beside.is_free(desk).await?;
    beside.check(desk).await?;
    let repository = repository(desk).await?;
    let manifest = repository.manifest(id(desk)?).await?;
    if beside.is_restored() {
        return done(desk, beside, &manifest).await;
    }
    let version = tools::server(&beside.outside).await?;
    check_version(&version, &manifest)?;
    let tools = tools::find(desk.base.tools.as_deref(), &version).await?;
    given::may_have_roles(desk, &beside.outside, &manifest, beside.is_alone()).await?;
    let plain = repository.open(&manifest).await?;
    names::sweep(desk.url, &names::new_prefix(&desk.url.spot.database)).await?;
    desk.context.guard.may_write()?;
    given::make_roles(&beside, &manifest).await?;
    let name = names::new(&desk.url.spot.database, &beside.key);
    let settings = &manifest.source.settings;
    let scratch = Scratch::make(desk.url, &name, &desk.application(), settings).await?;
    let whole = make_whole(desk, &beside, &scratch, &tools, plain, &manifest).await;
    if let Err(failure) = whole {
        return Err(dropped(scratch, &beside, failure).await);
    }
    let beside = Beside::look(desk, beside.outside).await?;
    done(desk, beside, &manifest).await
}

async fn done(desk: &Desk<'_>, beside: Beside, manifest: &Manifest) -> Result<Outcome, Failure> {
    let mut outcome = beside.outcome(desk).await?;
    outcome.kept = given::told(&beside, manifest).await?;
    Ok(outcome)
}

/// Fills it, proves it, and only then notes that it is whole.
async fn make_whole(
    desk: &Desk<'_>,
    beside: &Beside,
    scratch: &Scratch,
    tools: &Tools,
    plain: Plain,
    manifest: &Manifest,
) -> Result<(), Failure> {
    given::owner(beside, scratch, manifest).await?;
    let (child, input) = child::restore(tools, &scratch.url, &desk.application(), Owners::Kept)?;
    let filled = fill(child, input, plain, desk.context).await;
    filled.map_err(|it| given::with_advice(it, manifest))?;
    prove(desk, scratch, manifest).await?;
    given::rest(desk, beside, scratch, manifest).await?;
    desk.context.guard.may_write()?;
    let name = quote::name(&scratch.url.spot.database);
    let whole = format!("COMMENT ON DATABASE {name} IS {}", quote::text(&note(&beside.key)));
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
async fn dropped(scratch: Scratch, beside: &Beside, failure: Failure) -> Failure {
    if let Err(left) = scratch.drop_it().await {
        return failure.diagnosis(left.message);
    }
    match roles::take_away(&beside.outside, &beside.key).await {
        Ok(stay) => stay.into_iter().fold(failure, Failure::diagnosis),
        Err(left) => failure.diagnosis(left.message),
    }
}

/// Drops what was restored.
pub(super) async fn discard(desk: &Desk<'_>) -> Result<Outcome, Failure> {
    let beside = Beside::look(desk, outside(desk.url, &desk.application()).await?).await?;
    if let Some(new) = &beside.new {
        desk.context.guard.may_write()?;
        drop_database(&beside.outside, &new.name).await?;
        for stays in roles::take_away(&beside.outside, &beside.key).await? {
            desk.context.event(Event::warning(stays));
        }
    }
    beside.outcome(desk).await
}
