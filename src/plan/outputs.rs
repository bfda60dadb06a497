//! The values of outputs while an apply runs: what done steps said, what the plan knows, what
//! head recorded.

use super::model::Plan;
use hive_contract::{Address, Fields, OutputRef, Value};
use hive_state::{Replay, Snapshot, StepState};
use std::collections::BTreeMap;

/// Where placeholders of a plan get their values from.
pub struct Outputs<'o> {
    head: Option<&'o Snapshot>,
    plan: &'o Plan,
    said: BTreeMap<&'o Address, BTreeMap<&'o str, &'o Value>>,
}

impl<'o> Outputs<'o> {
    /// The outputs as far as this journal has come.
    pub fn new(head: Option<&'o Snapshot>, plan: &'o Plan, replay: &'o Replay) -> Self {
        let mut said: BTreeMap<&Address, BTreeMap<&str, &Value>> = BTreeMap::new();
        for (number, record) in &replay.steps {
            let (Some(step), true) = (plan.step(*number), record.state == StepState::Done) else {
                continue;
            };
            if let Some(live) = record.left.as_ref().and_then(|it| it.live.as_ref()) {
                let outputs = live.outputs.iter().map(|(name, value)| (name.as_str(), value));
                said.entry(&step.target.address).or_default().extend(outputs);
            }
        }
        Self { head, plan, said }
    }

    /// The value of an output: what its step said, else what the plan knows without a step, else
    /// what was recorded; none while it is not known.
    pub fn get(&self, reference: &OutputRef) -> Option<&'o Value> {
        let OutputRef { address, output } = reference;
        if let Some(value) = self.said.get(address).and_then(|it| it.get(output.as_str())) {
            return Some(value);
        }
        if let Some(record) = self.plan.records.get(address) {
            let parts = record.iter().flat_map(|it| it.parts.values());
            return parts.flat_map(|it| it.outputs.get(output)).next();
        }
        let recorded = self.head?.resources.get(address)?;
        recorded.parts.values().find_map(|part| part.outputs.get(output))
    }

    /// Fields with every known output in its place.
    pub fn fill(&self, fields: &Fields) -> Fields {
        hive_contract::value::fill_fields(fields, &|value| match value {
            Value::Output(reference) => self.get(reference).cloned(),
            _ => None,
        })
    }
}
