//! Filling in what is known: outputs of others, and the planner's own choices.

use super::question::PlanError;
use hive_contract::{Facts, Fields, Fingerprint, OutputRef, Pick, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What has been decided so far.
#[derive(Default)]
pub struct Known {
    outputs: BTreeMap<OutputRef, Value>,
    chosen: BTreeMap<String, BTreeSet<u16>>,
    /// Ports chosen by this plan that are in no record, by place.
    pub new_ports: BTreeSet<(String, u16)>,
}

impl Known {
    /// An output's value is known.
    pub fn output(&mut self, reference: OutputRef, value: Value) {
        self.outputs.insert(reference, value);
    }

    /// The value of an output, where it is known.
    pub fn get(&self, reference: &OutputRef) -> Option<&Value> {
        self.outputs.get(reference)
    }

    /// A port of a place is taken by a record.
    pub fn reserve(&mut self, place: &str, fields: &Fields) {
        let ports = self.chosen.entry(place.to_owned()).or_default();
        hive_contract::value::visit_fields(fields, &mut |value| {
            if let Value::Int(number) = value
                && let Ok(port) = u16::try_from(*number)
            {
                // Every recorded number that may be a port: one too many costs nothing.
                ports.insert(port);
            }
        });
    }

    /// Fields with every known output in its place.
    pub fn fill(&self, fields: &Fields) -> Fields {
        hive_contract::value::fill_fields(fields, &|value| match value {
            Value::Output(reference) => self.outputs.get(reference).cloned(),
            _ => None,
        })
    }

    /// Fields with every choice made: the recorded value where there is one, else the first free.
    ///
    /// # Errors
    /// Nothing is free.
    pub fn choose(
        &mut self,
        fields: &Fields,
        recorded: Option<&Fields>,
        place: &str,
        facts: &Facts,
    ) -> Result<Fields, PlanError> {
        let mut filled = Fields::new();
        for (key, value) in fields {
            let before = recorded.and_then(|it| it.get(key));
            filled.insert(key.clone(), self.choose_value(value, before, place, facts)?);
        }
        Ok(filled)
    }

    fn choose_value(
        &mut self,
        value: &Value,
        recorded: Option<&Value>,
        place: &str,
        facts: &Facts,
    ) -> Result<Value, PlanError> {
        Ok(match value {
            Value::Pick(Pick::Port { key }) => match recorded {
                Some(Value::Int(port)) => Value::Int(*port),
                _ => Value::Int(i64::from(self.free_port(key, place, facts)?)),
            },
            Value::Map(inner) => {
                let before = recorded.and_then(Value::as_map);
                Value::Map(self.choose(inner, before, place, facts)?)
            }
            Value::List(values) => {
                let before = recorded.and_then(Value::as_list).unwrap_or_default();
                let chosen = values
                    .iter()
                    .enumerate()
                    .map(|(at, value)| self.choose_value(value, before.get(at), place, facts));
                Value::List(chosen.collect::<Result<_, _>>()?)
            }
            other => other.clone(),
        })
    }

    fn free_port(&mut self, key: &str, place: &str, facts: &Facts) -> Result<u16, PlanError> {
        let (from, to) = facts.ports.unwrap_or((20_000, 29_999));
        let chosen = self.chosen.entry(place.to_owned()).or_default();
        let count = u32::from(to.saturating_sub(from)) + 1;
        let hash = Fingerprint::of_bytes(key.as_bytes());
        let start = u32::from_str_radix(&hash.as_str()[..7], 16).unwrap_or_default() % count;
        let candidates = (0..count).map(|step| from + ((start + step) % count) as u16);
        let free = candidates
            .into_iter()
            .find(|port| !facts.taken_ports.contains_key(port) && !chosen.contains(port))
            .ok_or_else(|| PlanError::NoPort { key: key.to_owned(), from, to })?;
        chosen.insert(free);
        self.new_ports.insert((place.to_owned(), free));
        Ok(free)
    }
}

/// The value of an output in terms of its own part's fields, `$pick`s replaced by what the filled
/// fields say: `symbolic` and `filled` are the same fields before and after choosing.
pub fn output_value(value: &Value, symbolic: &Fields, filled: &Fields) -> Value {
    let mut picks = BTreeMap::new();
    collect(&Value::Map(symbolic.clone()), &Value::Map(filled.clone()), &mut picks);
    value.fill(&|placeholder| match placeholder {
        Value::Pick(pick) => picks.get(pick).cloned(),
        _ => None,
    })
}

fn collect(symbolic: &Value, filled: &Value, into: &mut BTreeMap<Pick, Value>) {
    match (symbolic, filled) {
        (Value::Pick(pick), chosen) => {
            into.insert(pick.clone(), chosen.clone());
        }
        (Value::Map(a), Value::Map(b)) => {
            a.iter().filter_map(|(key, a)| b.get(key).map(|b| (a, b))).for_each(|(a, b)| {
                collect(a, b, into);
            });
        }
        (Value::List(a), Value::List(b)) => {
            a.iter().zip(b).for_each(|(a, b)| collect(a, b, into));
        }
        _ => {}
    }
}
