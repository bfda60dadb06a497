//! Which steps of the way there are left.

use super::graph::Graph;
use super::run::Steps;
use super::work::Work;
use hive_state::{Replay, StepState};
use std::collections::BTreeSet;

/// What earlier steps said of themselves is known again.
pub(super) fn learn(work: &Work<'_>, replay: &Replay) {
    for (number, record) in &replay.steps {
        let Ok(step) = work.step(*number) else { continue };
        for said in [&record.left, &record.undone].into_iter().flatten() {
            work.learn(&step.target.address, said);
        }
    }
}

/// The steps that do not hold yet.
pub(super) fn steps(work: &Work<'_>, replay: &Replay) -> Steps {
    learn(work, replay);
    let left = || {
        let steps = work.plan.steps.iter();
        steps.filter(|step| replay.state(step.number) != StepState::Done)
    };
    let open = replay.steps.values().filter_map(|it| match &it.state {
        StepState::Begun(begun) => Some(begun.clone()),
        _ => None,
    });
    Steps {
        graph: Graph::new(left().map(|step| (step.number, &step.needs))),
        count: left().count(),
        open: open.collect(),
        passed: BTreeSet::new(),
        failed: replay.steps.values().any(|it| it.state == StepState::Failed),
    }
}
