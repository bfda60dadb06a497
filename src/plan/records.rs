//! What will be recorded of each resource that a plan touches.

use super::decide::{Decision, Verdict};
use super::fill::{Known, output_value};
use super::learn::unmoved_output;
use super::model::{PlannedPart, PlannedRecord};
use super::question::Asked;
use super::scope::Selection;
use super::survey::Survey;
use hive_contract::lowered::RESTORES;
use hive_contract::{Action, Address, Fields, Sort, Value};
use hive_state::Restored;
use std::collections::BTreeMap;

/// The records of everything chosen that is not kept; none for what will be gone.
pub(super) fn records(
    survey: &Survey<'_>,
    verdicts: &[Verdict<'_>],
    selection: &Selection,
    known: &Known,
) -> BTreeMap<Address, Option<PlannedRecord>> {
    let mut records = BTreeMap::new();
    for (at, verdict) in verdicts.iter().enumerate() {
        let Verdict::Touch(decisions) = verdict else { continue };
        let subject = &survey.subjects[at];
        if !selection.chosen[at] {
            continue;
        }
        if let Some(from) = subject.moved_from {
            records.insert(from.clone(), None);
        }
        let record = match subject.recorded.filter(|_| decisions.iter().all(stays)) {
            Some(recorded) => Some(PlannedRecord {
                declared: recorded.declared.clone(),
                parts: parts(decisions, known),
                edges: recorded.edges.clone(),
                moved_from: None,
                restored: restored(subject.asked),
            }),
            None => subject.desired.map(|desired| PlannedRecord {
                declared: desired.declared.clone(),
                parts: parts(decisions, known),
                edges: subject.edges.clone(),
                moved_from: subject.moved_from.cloned(),
                restored: restored(subject.asked),
            }),
        };
        records.insert(subject.address.clone(), record);
    }
    records
}

/// Which backup a database that is restored gets its data from: later ways back take that one for
/// what the snapshot stands for, and nothing that was made of what is replaced.
fn restored(asked: Option<&Asked>) -> Option<Restored> {
    let Some(Asked::Do(run)) = asked else { return None };
    let text = |key: &str| run.get(key).and_then(Value::as_text);
    let number = |key: &str| u64::try_from(run.get(key)?.as_int()?).ok();
    (text("verb") == Some("restore")).then_some(())?;
    Some(Restored {
        id: text("id")?.to_owned(),
        made_ms: number("at_ms")?,
        at_ms: number("now_ms")?,
    })
}

fn parts(decisions: &[Decision<'_>], known: &Known) -> BTreeMap<String, PlannedPart> {
    let objects = decisions.iter().filter(|it| it.sort == Sort::Object);
    objects.filter_map(|it| Some((it.target.part.clone(), part(it, known)?))).collect()
}

/// Whether it is stopped and started as it is recorded, whatever is declared.
fn stays(decision: &Decision<'_>) -> bool {
    decision.action == Action::Keep && decision.wanted.is_none() && decision.held.is_some()
}

/// A part as it is recorded.
fn held(decision: &Decision<'_>) -> Option<PlannedPart> {
    let part = decision.held.as_ref().filter(|_| stays(decision))?.part;
    Some(PlannedPart {
        provider: part.provider.clone(),
        form: part.form,
        place: part.place.clone(),
        identity: part.identity.clone(),
        lowered_identity: part.lowered_identity.clone(),
        fields: part.fields.clone(),
        access: part.access.clone(),
        outputs: part.outputs.clone(),
    })
}

/// How it is reached, whatever this plan does to it.
fn recorded_access(access: &Fields) -> Fields {
    let lasting = access.iter().filter(|(key, _)| *key != RESTORES);
    lasting.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn part(decision: &Decision<'_>, known: &Known) -> Option<PlannedPart> {
    let Some(wanted) = &decision.wanted else { return held(decision) };
    let lowered = &wanted.part.lowered;
    let identity = match (decision.action, &decision.held, decision.live) {
        (Action::Create | Action::Replace, ..) => &lowered.identity,
        (_, Some(held), _) => &held.part.identity,
        (_, None, Some(live)) => &live.identity,
        (_, None, None) => &lowered.identity,
    };
    Some(PlannedPart {
        provider: wanted.part.provider.clone(),
        form: wanted.form,
        place: wanted.part.place.clone(),
        identity: identity.clone(),
        lowered_identity: lowered.identity.clone(),
        fields: wanted.fields.clone().into_owned(),
        access: recorded_access(&lowered.access),
        outputs: outputs(decision, known),
    })
}

/// The outputs that are known without a step: those that `lower` says in terms of known fields;
/// where only the record changes, all.
fn outputs(decision: &Decision<'_>, known: &Known) -> BTreeMap<String, Value> {
    let Some(wanted) = &decision.wanted else { return BTreeMap::new() };
    let mut outputs = match decision.live {
        Some(live) if !decision.effect => live.outputs.clone(),
        _ => BTreeMap::new(),
    };
    for (name, output) in &wanted.part.lowered.outputs {
        let Some(value) = &output.value else { continue };
        let value = output_value(value, &wanted.part.lowered.fields, &wanted.fields);
        let value = known.fill_value(&value);
        if value.is_known() {
            outputs.insert(name.clone(), value);
        }
    }
    outputs
}

/// Whether an output may say something else afterwards than the record says now.
pub(super) fn outputs_move<'a>(
    survey: &Survey<'a>,
    decision: &Decision<'a>,
    known: &Known,
) -> bool {
    let Some(wanted) = &decision.wanted else { return true };
    let now = outputs(decision, known);
    wanted.part.lowered.outputs.iter().any(|(name, output)| {
        let address = decision.target.address.clone();
        let reference = hive_contract::OutputRef { address, output: name.clone() };
        let after = match &output.value {
            Some(_) => now.get(name),
            None => unmoved_output(survey, decision, &reference, &output.made_of),
        };
        after.is_none() || after != survey.recorded_output(&reference)
    })
}
