//! The rules that every plan keeps. Asked when one is read, and by every test that makes one.

use super::model::{Expected, Plan, Step};
use hive_contract::{Action, Address, Expects, OutputRef, Reversible, Undo};
use std::collections::BTreeSet;

/// Checks every rule between the parts of a plan.
///
/// # Errors
/// The first rule that does not hold, as a lower-case fragment that names the step or address.
pub fn verify(plan: &Plan) -> Result<(), String> {
    let mut made = BTreeSet::new();
    for (at, step) in plan.steps.iter().enumerate() {
        if step.number as usize != at + 1 {
            return Err(format!("step {} stands at place {}", step.number, at + 1));
        }
        let broken = |rule| format!("step {}: {rule}", step.number);
        step_holds(plan, step).map_err(broken)?;
        outputs_known(step, &made).map_err(broken)?;
        made.insert(&step.target.address);
    }
    started_again(plan)?;
    way_back_holds(plan)?;
    changes_hold(plan)?;
    records_hold(plan)?;
    if !plan.reads.is_sorted() {
        return Err("the read set is not sorted".to_owned());
    }
    let lasts = |step: &&Step| step.operation.reversible != Reversible::Reversible;
    let first = plan.steps.iter().find(lasts).map(|it| it.number);
    match first == plan.point_of_no_return {
        true => Ok(()),
        false => Err("the point of no return is not where it should be".to_owned()),
    }
}

fn step_holds(plan: &Plan, step: &Step) -> Result<(), String> {
    if let Some(later) = step.needs.iter().find(|it| **it == 0 || **it >= step.number) {
        return Err(format!("it needs step {later}, which is not before it"));
    }
    if !plan.places.contains_key(&step.place) {
        return Err(format!("the plan has no place `{}`", step.place));
    }
    let address = &step.target.address;
    if !plan.records.contains_key(address) {
        return Err(format!("the plan has no record for `{address}`"));
    }
    if let Expected::After(before) = step.expected {
        let same = plan.step(before).is_some_and(|it| {
            it.target == step.target && it.number < step.number && it.place == step.place
        });
        if !same {
            return Err(format!("it expects what step {before} left, which is of something else"));
        }
        if !waits_for(plan, step, before) {
            return Err(format!("it expects what step {before} left, and does not wait for it"));
        }
    }
    let anything = step.operation.expects == Expects::Anything;
    if anything != (step.expected == Expected::Anything) {
        return Err("what it expects is not what its operation expects".to_owned());
    }
    match super::fill::has_choice(&step.operation.payload) {
        true => Err("its payload leaves a choice".to_owned()),
        false => Ok(()),
    }
}

/// Whether every output that a step is made of is said by a resource with a step before it.
fn outputs_known(step: &Step, made: &BTreeSet<&Address>) -> Result<(), String> {
    let outputs = hive_contract::value::outputs_in(&step.operation.payload);
    match outputs.into_iter().find(|it| !made.contains(&it.address)) {
        Some(OutputRef { address, output }) => {
            Err(format!("it is made of `{address}.{output}`, and no step before it says that"))
        }
        None => Ok(()),
    }
}

/// Whether a step waits for another, perhaps through further ones.
fn waits_for(plan: &Plan, step: &Step, other: u32) -> bool {
    let mut next = vec![step];
    let mut seen = BTreeSet::new();
    while let Some(step) = next.pop() {
        if step.needs.contains(&other) {
            return true;
        }
        let needs = step.needs.iter().filter(|it| **it > other && seen.insert(**it));
        next.extend(needs.filter_map(|it| plan.step(*it)));
    }
    false
}

/// What is stopped around something else is started behind it.
fn started_again(plan: &Plan) -> Result<(), String> {
    for stop in plan.steps.iter().filter(|it| it.action == Action::Stop) {
        let starts = |it: &&Step| it.target == stop.target && it.action != Action::Stop;
        let behind = plan.steps[stop.number as usize..].iter();
        if !behind.filter(starts).any(|it| waits_for(plan, it, stop.number)) {
            return Err(format!(
                "step {} stops `{}`, and none starts it",
                stop.number, stop.target
            ));
        }
    }
    Ok(())
}

fn way_back_holds(plan: &Plan) -> Result<(), String> {
    let mut before = BTreeSet::new();
    let undone: BTreeSet<u32> = plan.rollback.iter().map(|it| it.of).collect();
    for undo in &plan.rollback {
        let of = undo.of;
        let Some(step) = plan.step(of) else {
            return Err(format!("the way back takes back step {of}, which there is not"));
        };
        if let Some(late) = undo.needs.iter().find(|it| !before.contains(*it)) {
            return Err(format!("the way back of step {of} needs that of {late}, which is later"));
        }
        if !before.insert(of) {
            return Err(format!("the way back takes back step {of} twice"));
        }
        let same = match &step.operation.undo {
            Undo::By(operation) => **operation == undo.operation,
            // The check of the way back.
            Undo::Nothing => {
                step.only_looks()
                    && undo.operation.expects == Expects::Anything
                    && !undo.needs.is_empty()
            }
            Undo::None { .. } => false,
        };
        if !same {
            return Err(format!("the way back of step {of} is not its undo"));
        }
    }
    let forgotten = plan
        .steps
        .iter()
        .find(|step| matches!(step.operation.undo, Undo::By(_)) && !undone.contains(&step.number));
    match forgotten {
        Some(step) => Err(format!("the way back forgets step {}", step.number)),
        None => Ok(()),
    }
}

fn changes_hold(plan: &Plan) -> Result<(), String> {
    let mut named = BTreeSet::new();
    for change in &plan.changes {
        let target = &change.target;
        if !plan.records.contains_key(&target.address) {
            return Err(format!("`{target}` changes, and the plan has no record for it"));
        }
        for number in &change.steps {
            if plan.step(*number).is_none_or(|step| step.target != *target) {
                return Err(format!("step {number} is not one of `{target}`"));
            }
            named.insert(*number);
        }
    }
    match plan.steps.iter().find(|step| !named.contains(&step.number)) {
        Some(step) => Err(format!("step {} belongs to no change", step.number)),
        None => Ok(()),
    }
}

fn records_hold(plan: &Plan) -> Result<(), String> {
    for (address, record) in &plan.records {
        let Some(record) = record else { continue };
        if &record.declared.address != address {
            return Err(format!("`{address}` has the record of `{}`", record.declared.address));
        }
        if let Some(from) = &record.moved_from
            && plan.records.get(from) != Some(&None)
        {
            return Err(format!("`{address}` is moved from `{from}`, which stays"));
        }
        for (part, held) in &record.parts {
            if !plan.places.contains_key(&held.place) {
                let place = &held.place;
                return Err(format!("`{address}#{part}` is at `{place}`, which is no place"));
            }
        }
    }
    Ok(())
}
