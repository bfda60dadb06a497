//! What became of a step on the in-memory world.

use super::provider::WorldProvider;
use super::world::{Became, Object, Spot, World};
use crate::fingerprint::Fingerprint;
use crate::operation::Expects;
use crate::outcome::{Failure, Outcome, Resolution};
use crate::provider::{Context, Perform};
use crate::value::Value;

pub(super) async fn resolve(
    provider: &WorldProvider,
    request: &Perform,
    context: &Context<'_>,
) -> Result<Resolution, Failure> {
    let world = &provider.world;
    {
        let mut inside = world.inside();
        inside.count("resolve", &[&request.identity], 1);
        if let Some(failure) = inside.script.troubled(&request.identity) {
            return Err(failure.clone());
        }
    }
    if request.operation.verb == "look" {
        // A look has no effect, so there is nothing that could still come.
        return Ok(Resolution::NotStarted { sealed: true });
    }
    let spot = (provider.place.clone(), request.identity.clone());
    match world.became(&spot, request) {
        None if world.forgets() => Ok(compare(world, &spot, request)),
        None => seal(world, request, context).await,
        Some(Became::Void) => Ok(Resolution::NotStarted { sealed: true }),
        Some(Became::Partly) => {
            Ok(Resolution::Partly { facts: "the first of two writes is there".to_owned() })
        }
        Some(Became::Running) => {
            Ok(Resolution::Running { handle: Value::text(request.token.as_str()) })
        }
        Some(Became::Done(outcome)) => Ok(still(world, &spot, request, outcome)),
        Some(Became::Failed(failure)) => Ok(Resolution::Failed(failure)),
    }
}

/// Makes a token that had no effect unusable, so that "not started" lasts.
async fn seal(
    world: &World,
    request: &Perform,
    context: &Context<'_>,
) -> Result<Resolution, Failure> {
    world.boundary(&format!("before seal {}", request.identity)).await;
    context.guard.may_write()?;
    world.inside().tokens.entry(request.token.clone()).or_insert(Became::Void);
    world.boundary(&format!("after seal {}", request.identity)).await;
    Ok(Resolution::NotStarted { sealed: true })
}

/// Whether what a step did is still there.
fn still(world: &World, spot: &Spot, request: &Perform, outcome: Outcome) -> Resolution {
    let object = world.inside().objects.get(spot).cloned();
    let found = object.as_ref().map(|it| Fingerprint::of_managed(&it.fields, &request.managed));
    if found == outcome.fingerprint(&request.managed) {
        return Resolution::Done(outcome);
    }
    Resolution::Foreign { found: describe(object.as_ref()) }
}

/// Live against old and new, where no token is remembered.
fn compare(world: &World, spot: &Spot, request: &Perform) -> Resolution {
    let object = world.inside().objects.get(spot).cloned();
    let found = object.as_ref().map(|it| Fingerprint::of_managed(&it.fields, &request.managed));
    let untouched = match request.operation.expects {
        Expects::Anything => true,
        Expects::Absent => found.is_none(),
        Expects::Content => found.is_some() && found == request.expected,
    };
    if untouched {
        return Resolution::NotStarted { sealed: false };
    }
    Resolution::Foreign { found: describe(object.as_ref()) }
}

fn describe(object: Option<&Object>) -> String {
    match object {
        None => "nothing".to_owned(),
        Some(object) => format!(
            "{:?}, last changed by {:?}",
            object.fields,
            object.token.as_ref().map_or("somebody else", |it| it.as_str())
        ),
    }
}
