//! References to outputs that their resource does not have: known only when it is lowered.

use super::model::{Problem, Stack};
use super::suggest::nearest;
use crate::plan::Desired;
use hive_contract::value::outputs_in;
use hive_contract::{Address, FieldPath, Fields, Invalid, OutputRef, Value};
use std::collections::BTreeMap;

/// Every reference of a stack to an output that is not there, each at its line.
pub fn unknown_outputs(stack: &Stack, desired: &BTreeMap<Address, Desired>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (address, declared) in &stack.declared {
        for reference in outputs_in(&declared.fields) {
            let Some(there) = desired.get(&reference.address) else { continue };
            let has = |it: &&Desired| {
                it.parts.values().any(|part| part.lowered.outputs.contains_key(&reference.output))
            };
            if Some(there).as_ref().is_none_or(has) {
                continue;
            }
            let field = where_named(&declared.fields, &reference).unwrap_or_default();
            problems.push(stack.problem_at(address, &invalid(field, &reference, there)));
        }
    }
    problems
}

fn invalid(field: FieldPath, reference: &OutputRef, there: &Desired) -> Invalid {
    let OutputRef { address, output } = reference;
    let names: Vec<&str> = there
        .parts
        .values()
        .flat_map(|part| part.lowered.outputs.keys().map(String::as_str))
        .collect();
    let help = match nearest(output, &names) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => format!("a {} has no outputs", address.kind()),
        None => format!("its outputs are {}", names.join(", ")),
    };
    Invalid { field, message: format!("`{address}` has no output `{output}`"), help: Some(help) }
}

/// The path of the innermost field that holds a reference.
fn where_named(fields: &Fields, reference: &OutputRef) -> Option<FieldPath> {
    fields.iter().find_map(|(key, value)| {
        let named = |value: &Value| {
            outputs_in(&Fields::from([(String::new(), value.clone())])).contains(reference)
        };
        if !named(value) {
            return None;
        }
        let below = value.as_map().and_then(|inner| where_named(inner, reference));
        let rest = below.map(|path| path.keys().to_vec()).unwrap_or_default();
        Some(FieldPath::new(std::iter::once(key.clone()).chain(rest)))
    })
}
