//! What a reviewer should know before saying yes. Never a reason to refuse.

use super::model::{Lint, Plan, Step};
use super::question::Asked;
use super::survey::Survey;
use hive_contract::{Action, Address, Declared, Reversible, Undo, Value};
use std::collections::BTreeSet;

/// The lints of a plan, sorted.
pub(super) fn lints(survey: &Survey<'_>, plan: &Plan) -> Vec<Lint> {
    let mut lints = BTreeSet::new();
    for change in &plan.changes {
        let address = &change.target.address;
        let Some(Some(record)) = plan.records.get(address) else { continue };
        if change.steps.is_empty() || address.kind() != "service" {
            continue;
        }
        lints.extend(service(address, &record.declared, change.action));
    }
    for step in &plan.steps {
        lints.extend(way_back(step, plan.point_of_no_return));
    }
    lints.extend(remarks(survey, plan));
    lints.extend(unmarked(survey, plan));
    lints.extend(not_rehearsed(survey, plan));
    lints.into_iter().collect()
}

fn service(address: &Address, declared: &Declared, action: Action) -> Vec<Lint> {
    let mut lints = Vec::new();
    let fields = &declared.fields;
    let mut lint = |message: &str| {
        lints.push(Lint { address: Some(address.clone()), message: message.to_owned() });
    };
    let replicas = fields.get("replicas").and_then(Value::as_int).unwrap_or(1);
    if replicas > 0 && !fields.contains_key("health") {
        lint("it has no `health`, so a rollout only knows whether it runs");
    }
    let has_ports = fields.get("ports").and_then(Value::as_map).is_some_and(|it| !it.is_empty());
    // A process keeps its port, and two cannot listen on one.
    let stops_first = fields.contains_key("process") && has_ports;
    let goes_down = matches!(action, Action::Update | Action::Run | Action::Replace);
    if replicas == 1 && stops_first && goes_down {
        lint("its only replica stops before the new one starts: it does not answer in between");
    }
    lints
}

fn way_back(step: &Step, point_of_no_return: Option<u32>) -> Option<Lint> {
    let address = Some(step.target.address.clone());
    let number = step.number;
    let lint = |message: String| Some(Lint { address, message });
    match (&step.operation.reversible, &step.operation.undo) {
        (Reversible::Irreversible { why }, _) => {
            lint(format!("step {number} cannot be taken back: {why}"))
        }
        (Reversible::Restorable { from, loses }, _) => lint(format!(
            "step {number} is taken back only by restoring {from}, which loses {loses}"
        )),
        (Reversible::Reversible, Undo::None { why }) => {
            lint(format!("step {number} stays when the rest is taken back: {why}"))
        }
        _ if point_of_no_return.is_some_and(|it| it < number) => {
            lint(format!("step {number} is behind the point of no return: if it fails, hive halts"))
        }
        _ => None,
    }
}

/// What providers say of declarations that change.
fn remarks(survey: &Survey<'_>, plan: &Plan) -> Vec<Lint> {
    let mut lints = Vec::new();
    for change in &plan.changes {
        let target = &change.target;
        let Some(subject) = survey.get(&target.address) else { continue };
        let Some(desired) = subject.desired else { continue };
        let Some(part) = desired.parts.get(&target.part) else { continue };
        if matches!(subject.asked, Some(Asked::Record)) {
            continue;
        }
        let recorded = subject.recorded.map(|it| &it.declared);
        let live = survey.live(&part.place, target).ok().flatten();
        let verbs = survey.question.verbs;
        let remarks = verbs.remarks(&part.place, &desired.declared, recorded, live).into_iter();
        let address = Some(target.address.clone());
        lints.extend(remarks.map(|message| Lint { address: address.clone(), message }));
    }
    lints
}

/// Objects without hive's mark: the next change puts it back, and none deletes them.
fn unmarked(survey: &Survey<'_>, plan: &Plan) -> Vec<Lint> {
    let mut lints = Vec::new();
    for read in &plan.reads {
        let super::model::Read::Observed { target, fingerprint: Some(_), owner: None, .. } = read
        else {
            continue;
        };
        let held = survey.get(&target.address).is_some_and(|it| it.recorded.is_some());
        if held {
            let message = "it no longer carries hive's mark".to_owned();
            lints.push(Lint { address: Some(target.address.clone()), message });
        }
    }
    lints
}

/// Changes that could have been tried beforehand, and were not.
fn not_rehearsed(survey: &Survey<'_>, plan: &Plan) -> Vec<Lint> {
    let mut lints = Vec::new();
    for (target, tried) in &survey.question.rehearsals {
        let has_steps = plan.steps.iter().any(|it| it.target == *target);
        if let (Err(why), true) = (tried, has_steps) {
            let message = format!("it was not rehearsed: {why}");
            lints.push(Lint { address: Some(target.address.clone()), message });
        }
    }
    lints
}
