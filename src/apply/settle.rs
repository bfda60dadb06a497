//! Looks at what nobody saw the end of: failures that were not sure, and attempts that may still
//! come to something.

use super::model::ApplyError;
use super::one_step::{self, Attempt};
use super::work::Work;
use crate::plan::Step;
use hive_contract::mark::Way;
use hive_contract::{Ask, AskOne, Observed, Outcome, Remains, Resolution};
use hive_state::{Begun, Journal, Record, StepState};

/// How long to wait between two looks at something that is still under way, in milliseconds.
const EVERY_MS: u64 = 1_000;

/// What to make of an object that is neither the old nor the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strange {
    /// It is recorded as it is: nothing will be done to it.
    Recorded,
    /// A person must look before anything is done to it.
    Refused,
}

/// Settles every failure that was not sure, as far as it can be, and gives why not where not.
///
/// # Errors
/// The journal cannot be written.
pub(super) async fn unsure(
    work: &Work<'_>,
    journal: &mut Journal,
    strange: Strange,
) -> Result<Vec<(u32, String)>, ApplyError> {
    let open: Vec<Begun> = journal
        .replay()
        .steps
        .values()
        .filter(|it| it.state == StepState::Failed && it.unsure)
        .filter_map(|it| it.begun.clone())
        .collect();
    let mut settled = Vec::new();
    let mut left = Vec::new();
    for begun in open {
        let step = begun.step;
        match left_by(work, begun, strange).await {
            Ok(outcome) => {
                if let Ok(planned) = work.step(step) {
                    work.learn(&planned.target.address, &outcome);
                }
                settled.push(work.entry(Record::Settled { step, outcome }));
            }
            Err(why) => left.push((step, why)),
        }
    }
    journal.append(&settled).await?;
    Ok(left)
}

/// What an attempt left: what the system says of its token, else what is live.
async fn left_by(work: &Work<'_>, begun: Begun, strange: Strange) -> Result<Outcome, String> {
    let number = begun.step;
    let attempt = Attempt { way: Way::There, begun, cut: Default::default() };
    let clock = work.lent.clock;
    let deadline_ms = work.step(number).map_or(0, |it| it.operation.deadline_ms);
    let since = clock.ticks_ms();
    loop {
        match one_step::look(work, &attempt).await.map_err(|it| it.message)? {
            Resolution::Done(outcome) => return Ok(outcome),
            Resolution::Running { .. } => {}
            Resolution::Foreign { found } if strange == Strange::Refused => return Err(found),
            Resolution::Failed(failure) => {
                return match failure.remains {
                    Remains::Left(outcome) => Ok(*outcome),
                    _ => observe(work, number).await,
                };
            }
            _ => return observe(work, number).await,
        }
        if clock.ticks_ms().saturating_sub(since) > deadline_ms {
            return Err("it is still under way".to_owned());
        }
        clock.sleep(EVERY_MS).await;
    }
}

async fn observe(work: &Work<'_>, number: u32) -> Result<Outcome, String> {
    let step = work.step(number).map_err(|it| it.message)?;
    let provider = work.lent.providers.at(&step.place);
    let provider = provider.ok_or_else(|| format!("the place `{}` is not here", step.place))?;
    let one = AskOne {
        target: step.target.clone(),
        identity: step.identity.clone(),
        access: step.access.clone(),
    };
    let ask = Ask { parts: vec![one], ..Ask::default() };
    let mut seen =
        super::look::look(&**provider, work.lent.secrets, &ask).await.map_err(|it| it.message)?;
    match seen.found.remove(&step.target) {
        Some(Ok(Observed::Present(live))) => Ok(Outcome::live(live)),
        Some(Ok(Observed::Absent)) => Ok(Outcome::nothing()),
        Some(Err(failure)) => Err(failure.message),
        None => Err("the provider gave no answer for it".to_owned()),
    }
}

/// Looks once more at every step that was given up for not having begun, where its system could
/// not promise that it never will: before head moves, because head says that it did not.
///
/// # Errors
/// It has begun after all, or cannot be looked up.
pub(super) async fn once_more(work: &Work<'_>, journal: &Journal) -> Result<(), ApplyError> {
    for (number, record) in &journal.replay().steps {
        let way = match record.state {
            StepState::Void(_) => Way::There,
            StepState::UndoVoid(_) => Way::Back,
            // A later attempt of it has ended: a late effect of an earlier one would meet other
            // content than it expects, and come to nothing.
            _ => continue,
        };
        let Ok(step) = work.step(*number) else { continue };
        for (_, begun) in record.unsealed.iter().filter(|(it, _)| *it == way) {
            let attempt = Attempt { way, begun: begun.clone(), cut: Default::default() };
            match one_step::look(work, &attempt).await {
                Ok(Resolution::NotStarted { .. }) => {}
                // What is live is neither what the attempt expected nor what it would have left,
                // because the step before it was taken back: it can come to nothing any more.
                Ok(Resolution::Foreign { .. }) if taken_back_since(work, journal, step) => {}
                Ok(_) => {
                    return Err(ApplyError::Unsettled {
                        step: *number,
                        target: step.target.clone(),
                        found: "it began after it was given up".to_owned(),
                    });
                }
                Err(failure) => {
                    let address = step.target.address.clone();
                    return Err(ApplyError::Unreadable { address, failure });
                }
            }
        }
    }
    Ok(())
}

/// Whether another step about the same part was taken back.
fn taken_back_since(work: &Work<'_>, journal: &Journal, step: &Step) -> bool {
    journal.replay().steps.iter().any(|(number, record)| {
        let other = work.step(*number).is_ok_and(|it| it.target == step.target);
        *number != step.number && other && record.state == StepState::Undone
    })
}
