//! What became of a step whose end nobody saw.

use crate::Base;
use crate::perform::{Order, Work};
use crate::read::read_spot;
use hive_contract::{Failure, Live, Outcome, Perform, Resolution};

pub(crate) fn resolve(base: &Base, request: &Perform) -> Result<Resolution, Failure> {
    let order = Order::read(request)?;
    if let Some(found) = look_well(base, &order, request)? {
        return Ok(found);
    }
    // Nothing yet. From here on the token can have no effect; one that came in between is seen now.
    let claims = base.claims(&order.spot.environment);
    let sealed = claims.void(&request.token, order.renames())?;
    Ok(look_well(base, &order, request)?.unwrap_or(Resolution::NotStarted { sealed }))
}

/// [`look`], and once more before anything is called foreign: a holder that was thought dead may
/// have ended the step between two of the questions.
fn look_well(base: &Base, order: &Order, request: &Perform) -> Result<Option<Resolution>, Failure> {
    match look(base, order, request)? {
        Some(Resolution::Foreign { .. }) => look(base, order, request),
        found => Ok(found),
    }
}

/// What is there; none where it is what was there before.
fn look(base: &Base, order: &Order, request: &Perform) -> Result<Option<Resolution>, Failure> {
    let observed = read_spot(base, &order.spot)?;
    if let Some(outcome) = order.already(base, request, &observed)? {
        return Ok(Some(Resolution::Done(outcome)));
    }
    let live = observed.live();
    if order.was_interrupted(base, request, live) {
        let facts = match order.work {
            Work::Remove => "the file is moved away and not yet deleted",
            _ => "the content is written and the mark is not",
        };
        return Ok(Some(Resolution::Partly { facts: facts.to_owned() }));
    }
    if request.check_expected(live.map(|live| &live.fields)).is_ok() {
        return Ok(None);
    }
    Ok(Some(match live {
        Some(live) if order.is_written(live) && live.mark.as_ref() == Some(&request.mark) => {
            Resolution::Done(Outcome::live(live.clone()))
        }
        live => Resolution::Foreign { found: found(order.spot.relative(base), live) },
    }))
}

fn found(path: String, live: Option<&Live>) -> String {
    match live {
        None => format!("`{path}` is not there"),
        Some(live) => {
            let whose = live.mark.as_ref().map_or("nobody's".to_owned(), ToString::to_string);
            format!(
                "`{path}` ({}) is neither the old nor the new one: it is {whose}",
                live.status.summary
            )
        }
    }
}
