//! The rollback plan: what takes each step back, in reverse, and the check at its end.

use super::graph::collapse;
use super::model::{Step, UndoStep};
use super::survey::Survey;
use hive_contract::{Action, Address, Change, Operation, Reversible, Sort, Target, Undo};
use std::collections::{BTreeMap, BTreeSet};

/// What takes the steps back, in an order that is right when it runs one by one.
pub(super) fn rollback(survey: &Survey<'_>, steps: &[Step]) -> Vec<UndoStep> {
    let needs = in_reverse(steps);
    let mut undos: Vec<UndoStep> = Vec::new();
    for step in steps.iter().rev() {
        if let Undo::By(operation) = &step.operation.undo {
            let needs = needs[step.number as usize - 1].clone();
            undos.push(UndoStep { of: step.number, needs, operation: (**operation).clone() });
        }
    }
    let undone: BTreeSet<u32> = undos.iter().map(|it| it.of).collect();
    undos.extend(checks(survey, steps, &undone));
    undos
}

/// The first step behind which there is no way back without loss.
pub(super) fn point_of_no_return(steps: &[Step]) -> Option<u32> {
    let lasts = |step: &&Step| step.operation.reversible != Reversible::Reversible;
    steps.iter().find(lasts).map(|step| step.number)
}

/// For each step what must be taken back before it: whatever waited for it, through what has
/// nothing to take back.
fn in_reverse(steps: &[Step]) -> Vec<BTreeSet<u32>> {
    let count = steps.len();
    let place = |number: u32| count - number as usize;
    let mut before = vec![Vec::new(); count];
    let mut real = vec![false; count];
    for step in steps {
        real[place(step.number)] = matches!(step.operation.undo, Undo::By(_));
        for needed in &step.needs {
            before[place(*needed)].push(place(step.number));
        }
    }
    let needs = collapse(&before, &real);
    let number = |place: usize| (count - place) as u32;
    let mut by_number: Vec<BTreeSet<u32>> =
        needs.into_iter().map(|set| set.into_iter().map(number).collect()).collect();
    by_number.reverse();
    by_number
}

/// The checks of the way back: a service that is as it was again is verified as it was.
fn checks(survey: &Survey<'_>, steps: &[Step], undone: &BTreeSet<u32>) -> Vec<UndoStep> {
    let mut by_address: BTreeMap<&Address, Vec<&Step>> = BTreeMap::new();
    for step in steps {
        by_address.entry(&step.target.address).or_default().push(step);
    }
    let mut checks: BTreeMap<u32, UndoStep> = BTreeMap::new();
    for (address, its) in &by_address {
        let Some(subject) = survey.get(address) else { continue };
        let Some(recorded) = subject.recorded else { continue };
        if subject.desired.is_none() {
            continue;
        }
        // Behind its own undo, and behind that of what it waited for.
        let waited = its.iter().take(1).flat_map(|it| it.needs.iter().copied());
        let own = its.iter().map(|it| it.number);
        let needs: BTreeSet<u32> = own.chain(waited).filter(|it| undone.contains(it)).collect();
        if needs.is_empty() {
            continue;
        }
        for check in super::desire::verified_by(&recorded.declared) {
            for gate in by_address.get(&check).into_iter().flatten() {
                let Some(operation) = as_recorded(survey, &gate.target) else { continue };
                let of = gate.number;
                let check = UndoStep { of, needs: BTreeSet::new(), operation };
                checks.entry(of).or_insert(check).needs.extend(&needs);
            }
        }
    }
    checks.into_values().collect()
}

/// A check as it was recorded, with the outputs as they were recorded.
fn as_recorded(survey: &Survey<'_>, target: &Target) -> Option<Operation> {
    let question = survey.question;
    let recorded = survey.get(&target.address)?.recorded?;
    let lowered = question.verbs.lower(&recorded.declared).ok()?;
    let part = lowered.into_iter().find(|it| it.part == target.part)?;
    if part.lowered.sort != Sort::Gate {
        return None;
    }
    let fields = hive_contract::value::fill_fields(&part.lowered.fields, &|value| match value {
        hive_contract::Value::Output(reference) => survey.recorded_output(reference).cloned(),
        _ => None,
    });
    if !fields.values().all(hive_contract::Value::is_known) {
        return None;
    }
    let named = Change::new(target.clone(), Action::Run, part.lowered.identity.clone());
    let change =
        Change { desired: Some(hive_contract::Lowered { fields, ..part.lowered }), ..named };
    question.verbs.steps(&part.place, &change, None).into_iter().next()
}
