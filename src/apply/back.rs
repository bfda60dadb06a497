//! Which steps are taken back, and where going back ends.

use super::graph::Graph;
use super::run::Steps;
use super::work::Work;
use crate::plan::{Step, UndoStep};
use hive_contract::Reversible;
use hive_state::{Replay, StepRecord, StepState};
use std::collections::BTreeSet;

/// The undo graph of what was begun.
///
/// Steps that are not taken back stay in the graph and are passed, so that what is behind them
/// still waits for what is before them.
pub(super) fn steps(work: &Work<'_>, replay: &Replay) -> Steps {
    let taken = taken_back(work, replay);
    let state = |undo: &UndoStep| replay.state(undo.of);
    let left = || {
        let undos = work.plan.rollback.iter();
        undos.filter(|undo| !matches!(state(undo), StepState::Undone | StepState::UndoFailed(_)))
    };
    let open = replay.steps.values().filter_map(|it| match &it.state {
        StepState::UndoBegun(begun) => Some(begun.clone()),
        _ => None,
    });
    let passed = left().map(|undo| undo.of).filter(|of| !taken.contains(of)).collect();
    let failed = replay.steps.values().any(|it| matches!(it.state, StepState::UndoFailed(_)));
    Steps {
        graph: Graph::new(left().map(|undo| (undo.of, &undo.needs))),
        count: left().count() + usize::from(failed),
        open: open.collect(),
        passed,
        failed,
    }
}

/// The undos that run: of steps that left something, and the checks that look at what those
/// brought back.
fn taken_back(work: &Work<'_>, replay: &Replay) -> BTreeSet<u32> {
    let mut taken = BTreeSet::new();
    for undo in &work.plan.rollback {
        let runs = match work.step(undo.of).is_ok_and(Step::only_looks) {
            true => undo.needs.iter().any(|need| taken.contains(need)),
            false => leaves_something(work, replay, undo),
        };
        if runs {
            taken.insert(undo.of);
        }
    }
    taken
}

fn leaves_something(work: &Work<'_>, replay: &Replay, undo: &UndoStep) -> bool {
    replay.steps.get(&undo.of).is_some_and(|record| match record.state {
        // The check behind it has still to look at what it brought back.
        StepState::Undone => true,
        _ => acted(work, undo.of, record),
    })
}

/// Whether a step may have had an effect that is still there.
pub(super) fn acted(work: &Work<'_>, number: u32, record: &StepRecord) -> bool {
    match (&record.state, work.step(number)) {
        (StepState::Waiting | StepState::Void(_) | StepState::Undone, _) | (_, Err(_)) => false,
        (_, Ok(step)) => !record.untouched(step.action, &step.managed),
    }
}

/// The first step that had an effect and has no way back by itself: its number, and why.
pub(super) fn point_of_no_return(work: &Work<'_>, replay: &Replay) -> Option<(u32, String)> {
    replay.steps.iter().find_map(|(number, record)| {
        let step = work.step(*number).ok().filter(|_| acted(work, *number, record))?;
        no_way_back(step).map(|why| (*number, why))
    })
}

/// Why there is no way back over a step: it loses something. One that loses nothing and has no undo
/// stays when the rest is taken back.
fn no_way_back(step: &Step) -> Option<String> {
    match &step.operation.reversible {
        Reversible::Restorable { from, loses } => {
            Some(format!("only {from} brings it back, which loses {loses}"))
        }
        Reversible::Irreversible { why } => Some(why.clone()),
        Reversible::Reversible => None,
    }
}
