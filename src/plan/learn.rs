//! Which outputs are known before any step runs.

use super::decide::Decision;
use super::fill::{Known, output_value};
use super::survey::Survey;
use hive_contract::{Action, FieldPath, Fields, OutputRef, Value, path};
use std::collections::BTreeSet;

/// Says which outputs of a part are known without a step: those that `lower` can say, and those
/// none of whose fields change.
pub(super) fn learn<'a>(
    survey: &Survey<'a>,
    wanted_outputs: &BTreeSet<&OutputRef>,
    known: &mut Known,
    decision: &Decision<'a>,
) {
    let Some(wanted) = &decision.wanted else { return };
    for (name, output) in &wanted.part.lowered.outputs {
        let reference =
            OutputRef { address: decision.target.address.clone(), output: name.clone() };
        if !wanted_outputs.contains(&reference) {
            continue;
        }
        let value = match &output.value {
            Some(value) => {
                let value = output_value(value, &wanted.part.lowered.fields, &wanted.fields);
                Some(known.fill_value(&value)).filter(Value::is_known)
            }
            None => unmoved_output(survey, decision, &reference, &output.made_of).cloned(),
        };
        if let Some(value) = value {
            known.output(reference, value);
        }
    }
}

/// The value of an output that no step moves: the recorded one where what it is made of is declared
/// as it was recorded, the live one where that is live already.
pub(super) fn unmoved_output<'a>(
    survey: &Survey<'a>,
    decision: &Decision<'a>,
    reference: &OutputRef,
    made_of: &[FieldPath],
) -> Option<&'a Value> {
    let (wanted, live) = (decision.wanted.as_ref()?, decision.live?);
    if matches!(decision.action, Action::Replace | Action::Create | Action::Delete) {
        return None;
    }
    let same = |fields: &Fields| {
        made_of.iter().all(|field| path::get(fields, field) == path::get(&wanted.fields, field))
    };
    let says = live.outputs.get(&reference.output);
    match &decision.held {
        Some(held) if !held.part.unsure && same(&held.fields) => {
            survey.recorded_output(reference).or(says)
        }
        _ if same(&live.fields) => says,
        _ => None,
    }
}
