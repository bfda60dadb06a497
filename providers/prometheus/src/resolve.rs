//! What became of a step whose end nobody saw.

use crate::Base;
use crate::perform::Order;
use crate::read::read_spot;
use hive_contract::{Failure, Live, Outcome, Perform, Resolution};

pub(crate) fn resolve(base: &Base, request: &Perform) -> Result<Resolution, Failure> {
    let order = Order::read(request)?;
    if let Some(found) = look_well(base, &order, request)? {
        return Ok(found);
    }
    // Nothing yet. From here on the token can have no effect; one that came in between is seen now.
    let sealed = base.claims().void(&request.token, order.renames())?;
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
    if let Some(outcome) = order.already(base, request, &observed) {
        return Ok(Some(Resolution::Done(outcome)));
    }
    let live = observed.live();
    let claims = base.claims();
    if live.is_none() && order.renames().half_done(&|name| claims.holds(&request.token, name)) {
        let facts = "the rule file is moved away and not yet deleted".to_owned();
        return Ok(Some(Resolution::Partly { facts }));
    }
    if request.check_expected(live.map(|live| &live.fields)).is_ok() {
        return Ok(None);
    }
    Ok(Some(match live {
        Some(live) if order.is_written(live) && live.mark.as_ref() == Some(&request.mark) => {
            Resolution::Done(Outcome::live(live.clone()))
        }
        live => Resolution::Foreign { found: found(&order.spot.shown(base), live) },
    }))
}

fn found(shown: &str, live: Option<&Live>) -> String {
    match live.map(|live| &live.mark) {
        None => format!("`{shown}` is not there"),
        Some(None) => format!("`{shown}` is neither the old nor the new rule, and is nobody's"),
        Some(Some(mark)) => format!("`{shown}` is neither the old nor the new rule: it is {mark}"),
    }
}
