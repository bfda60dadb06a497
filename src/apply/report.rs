//! How an apply ended, read from its journal.

use super::back::{acted, point_of_no_return};
use super::model::Report;
use super::work::Work;
use crate::plan::{OnFailure, SecretSeen, Step};
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
    let (unfinished, stays) = stays(work, replay, ending);
    Report {
        apply: work.apply.clone(),
        ending,
        snapshot,
        failures: each(work, replay, |it| it.failure.as_ref()),
        undo_failures: each(work, replay, |it| it.undo_failure.as_ref()),
        stays,
        unfinished,
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

/// A step that stays: number, whose, in the plan's words.
type Stays = (u32, Target, String);

/// What nothing takes back, where the rest is: what failed midway, and what was done.
fn stays(work: &Work<'_>, replay: &Replay, ending: Ending) -> (Vec<Stays>, Vec<Stays>) {
    if ending != Ending::RolledBack {
        return (Vec::new(), Vec::new());
    }
    let steps = replay.steps.iter().filter(|(number, record)| acted(work, **number, record));
    let steps = steps.filter_map(|(number, _)| work.step(*number).ok()).filter(|it| it.stays());
    let (unfinished, done): (Vec<&Step>, Vec<&Step>) =
        steps.partition(|it| is_unfinished(work, replay, it));
    let named = |steps: Vec<&Step>| {
        let steps = steps.into_iter();
        steps.map(|it| (it.number, it.target.clone(), it.operation.title.clone())).collect()
    };
    (named(unfinished), named(done))
}

/// Whether a step failed midway and nothing has taken back what it left, neither itself nor what
/// was done before it to the same.
fn is_unfinished(work: &Work<'_>, replay: &Replay, step: &Step) -> bool {
    let before = work.plan.steps.iter();
    let mut before = before.filter(|it| it.target == step.target && it.number < step.number);
    replay.state(step.number) == StepState::Failed
        && !before.any(|it| replay.state(it.number) == StepState::Undone)
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
        // What was taken back left nothing but what its undo says.
        let left = record.left.as_ref().filter(|_| record.undone.is_none());
        let said = left.into_iter().chain(&record.undone);
        let said: String = said.map(|it| it.kept.as_str()).collect();
        if !said.is_empty() {
            kept.insert(*number, said);
        }
    }
    kept
}
