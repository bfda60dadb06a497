//! How an apply ended, read from its journal.

use super::back::{acted, point_of_no_return};
use super::model::Report;
use super::work::Work;
use crate::plan::{OnFailure, SecretSeen};
use hive_contract::{Failure, Target};
use hive_state::{Ending, Replay, StepRecord, StepState};
use std::collections::{BTreeMap, BTreeSet};

/// The report of a closed journal.
pub(super) fn report(
    work: &Work<'_>,
    replay: &Replay,
    ending: Ending,
    snapshot: Option<u64>,
    frozen: bool,
) -> Report {
    Report {
        apply: work.apply.clone(),
        ending,
        snapshot,
        failures: each(work, replay, |it| it.failure.as_ref()),
        undo_failures: each(work, replay, |it| it.undo_failure.as_ref()),
        stays: stays(work, replay, ending),
        halted_because: halted_because(work, replay, ending),
        moved_secrets: moved_secrets(work, replay).into_iter().collect(),
        kept: kept(replay),
        frozen,
    }
}

fn each<'r>(
    work: &Work<'_>,
    replay: &'r Replay,
    failure: impl Fn(&'r StepRecord) -> Option<&'r Failure>,
) -> Vec<(u32, Target, Failure)> {
    let steps = replay.steps.iter().filter_map(|(number, record)| {
        let target = work.step(*number).ok()?.target.clone();
        Some((*number, target, failure(record)?.clone()))
    });
    steps.collect()
}

/// What was done and nothing takes back, where the rest is.
fn stays(work: &Work<'_>, replay: &Replay, ending: Ending) -> Vec<(u32, Target, String)> {
    if ending != Ending::RolledBack {
        return Vec::new();
    }
    let steps = replay.steps.iter().filter(|(number, record)| acted(work, **number, record));
    let steps = steps.filter_map(|(number, _)| work.step(*number).ok()).filter(|it| it.stays());
    steps.map(|it| (it.number, it.target.clone(), it.operation.title.clone())).collect()
}

fn halted_because(work: &Work<'_>, replay: &Replay, ending: Ending) -> Option<String> {
    if ending != Ending::Halted {
        return None;
    }
    let failed = |it: &StepRecord| matches!(it.state, StepState::UndoFailed(_));
    if let Some((step, _)) = replay.steps.iter().find(|(_, it)| failed(it)) {
        return Some(format!("step {step} could not be taken back"));
    }
    if let Some((step, record)) = replay.steps.iter().find(|(_, it)| it.unsure) {
        let why = record.failure.as_ref().map(ToString::to_string).unwrap_or_default();
        return Some(format!("what step {step} left is not known: {why}"));
    }
    if let Some((step, why)) = point_of_no_return(work, replay) {
        return Some(format!("step {step} is behind the point of no return: {why}"));
    }
    let halt = work.on_failure() == OnFailure::Halt;
    halt.then(|| "`on_failure` says \"halt\"".to_owned())
}

/// Secrets that had the value last used when the plan was made, and another one since.
fn moved_secrets(work: &Work<'_>, replay: &Replay) -> BTreeSet<String> {
    let mut moved = BTreeSet::new();
    for (number, record) in &replay.steps {
        let Ok(step) = work.step(*number) else { continue };
        let head = work.head.as_ref().and_then(|it| it.resources.get(&step.target.address));
        let Some(part) = head.and_then(|it| it.parts.get(&step.target.part)) else { continue };
        for (reference, print) in &record.secrets {
            let same = work.plan.secrets.get(reference) == Some(&SecretSeen::Same);
            if same && part.secrets.get(reference).is_some_and(|last| last != print) {
                moved.insert(reference.clone());
            }
        }
    }
    moved
}

fn kept(replay: &Replay) -> BTreeMap<u32, String> {
    let mut kept = BTreeMap::new();
    for (number, record) in &replay.steps {
        let said = [&record.left, &record.undone].into_iter().flatten();
        let said: String = said.map(|it| it.kept.as_str()).collect();
        if !said.is_empty() {
            kept.insert(*number, said);
        }
    }
    kept
}
