//! Filling in what is known: outputs of others, and the planner's own choices.

use super::question::PlanError;
use hive_contract::{Facts, Fields, Fingerprint, OutputRef, Pick, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The ports that are chosen from where a place says nothing.
const PORTS: (u16, u16) = (20_000, 29_999);

/// What has been decided so far.
#[derive(Default)]
pub struct Known {
    outputs: BTreeMap<OutputRef, Value>,
    taken: BTreeMap<String, BTreeSet<u16>>,
}

/// What a part's choices are made from.
pub struct Choice<'a> {
    /// The id of the place.
    pub place: &'a str,
    /// What is free there.
    pub facts: &'a Facts,
    /// The fields that hold the choices of last time.
    pub before: Option<&'a Fields>,
    /// Whether nothing is live: then a port of last time may be somebody else's by now.
    pub absent: bool,
}

/// Fields with every choice made, and the ports that were chosen anew.
#[derive(Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The fields.
    pub fields: Fields,
    /// Ports that must be free.
    pub ports: BTreeSet<u16>,
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

    /// Whether the ports of a place that records hold are reserved already.
    pub fn knows(&self, place: &str) -> bool {
        self.taken.contains_key(place)
    }

    /// Reserves the ports that a record at a place may hold.
    pub fn reserve<'f>(&mut self, place: &str, records: impl Iterator<Item = &'f Fields>) {
        let ports = self.taken.entry(place.to_owned()).or_default();
        let mut see = |value: &Value| {
            // Every recorded number that may be a port: one too many costs nothing.
            let number = value.as_int().and_then(|number| u16::try_from(number).ok());
            ports.extend(number);
        };
        records.for_each(|fields| hive_contract::value::visit_fields(fields, &mut see));
    }

    /// Fields with every known output in its place.
    pub fn fill(&self, fields: &Fields) -> Fields {
        hive_contract::value::fill_fields(fields, &|value| self.of(value))
    }

    /// A value with every known output in its place.
    pub fn fill_value(&self, value: &Value) -> Value {
        value.fill(&|value| self.of(value))
    }

    fn of(&self, value: &Value) -> Option<Value> {
        match value {
            Value::Output(reference) => self.outputs.get(reference).cloned(),
            _ => None,
        }
    }

    /// Fields with every choice made: what it was before where it was something, else the first
    /// that is free.
    ///
    /// # Errors
    /// Nothing is free.
    pub fn choose(&mut self, fields: &Fields, choice: &Choice<'_>) -> Result<Chosen, PlanError> {
        let mut ports = BTreeSet::new();
        let fields = self.choose_fields(fields, choice.before, choice, &mut ports)?;
        Ok(Chosen { fields, ports })
    }

    fn choose_fields(
        &mut self,
        fields: &Fields,
        before: Option<&Fields>,
        choice: &Choice<'_>,
        ports: &mut BTreeSet<u16>,
    ) -> Result<Fields, PlanError> {
        let chosen = fields.iter().map(|(key, value)| {
            let before = before.and_then(|it| it.get(key));
            Ok((key.clone(), self.choose_value(value, before, choice, ports)?))
        });
        chosen.collect()
    }

    fn choose_value(
        &mut self,
        value: &Value,
        before: Option<&Value>,
        choice: &Choice<'_>,
        ports: &mut BTreeSet<u16>,
    ) -> Result<Value, PlanError> {
        Ok(match value {
            Value::Pick(Pick::Port { key }) => {
                let port = match kept_port(before, choice) {
                    Some(port) => port,
                    None => self.free_port(key, choice)?,
                };
                if choice.absent || before.is_none() {
                    ports.insert(port);
                }
                Value::Int(i64::from(port))
            }
            Value::Map(inner) => {
                let before = before.and_then(Value::as_map);
                Value::Map(self.choose_fields(inner, before, choice, ports)?)
            }
            Value::List(values) => {
                let before = before.and_then(Value::as_list).unwrap_or_default();
                let chosen = values
                    .iter()
                    .enumerate()
                    .map(|(at, value)| self.choose_value(value, before.get(at), choice, ports));
                Value::List(chosen.collect::<Result<_, _>>()?)
            }
            Value::Format(format) => {
                let before = None;
                let values = self.choose_fields(&format.values, before, choice, ports)?;
                let template = format.template.clone();
                Value::Format(hive_contract::Format { template, values }).fill(&|_| None)
            }
            other => other.clone(),
        })
    }

    fn free_port(&mut self, key: &str, choice: &Choice<'_>) -> Result<u16, PlanError> {
        let (from, to) = choice.facts.ports.unwrap_or(PORTS);
        let taken = self.taken.entry(choice.place.to_owned()).or_default();
        let count = u32::from(to.saturating_sub(from)) + 1;
        let hash = Fingerprint::of_bytes(key.as_bytes());
        let start = u32::from_str_radix(&hash.as_str()[..7], 16).unwrap_or_default() % count;
        let mut candidates = (0..count).map(|step| from + ((start + step) % count) as u16);
        let free = candidates
            .find(|port| !choice.facts.taken_ports.contains_key(port) && !taken.contains(port))
            .ok_or_else(|| PlanError::NoPort { key: key.to_owned(), from, to })?;
        taken.insert(free);
        Ok(free)
    }
}

/// The port of last time, unless nothing is live and somebody else has it now.
fn kept_port(before: Option<&Value>, choice: &Choice<'_>) -> Option<u16> {
    let port = u16::try_from(before?.as_int()?).ok()?;
    let lost = choice.absent && choice.facts.taken_ports.contains_key(&port);
    (!lost).then_some(port)
}

/// Whether the planner has to choose something in these fields.
pub fn has_choice(fields: &Fields) -> bool {
    let mut found = false;
    hive_contract::value::visit_fields(fields, &mut |value| {
        found |= matches!(value, Value::Pick(_));
    });
    found
}

/// The value of an output in terms of its own part's fields, `$pick`s replaced by what the filled
/// fields say: `symbolic` and `filled` are the same fields before and after choosing.
pub fn output_value(value: &Value, symbolic: &Fields, filled: &Fields) -> Value {
    if value.is_known() {
        return value.clone();
    }
    let mut picks = BTreeMap::new();
    symbolic.iter().filter_map(|(key, a)| filled.get(key).map(|b| (a, b))).for_each(|(a, b)| {
        collect(a, b, &mut picks);
    });
    value.fill(&|placeholder| match placeholder {
        Value::Pick(pick) => picks.get(pick).map(|it| (*it).clone()),
        _ => None,
    })
}

fn collect<'v>(symbolic: &'v Value, filled: &'v Value, into: &mut BTreeMap<&'v Pick, &'v Value>) {
    match (symbolic, filled) {
        (Value::Pick(pick), chosen) => {
            into.insert(pick, chosen);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(key: &str) -> Value {
        Value::Pick(Pick::Port { key: key.to_owned() })
    }

    fn listen(values: Vec<Value>) -> Fields {
        Fields::from([("listen".to_owned(), Value::List(values))])
    }

    fn choice<'a>(facts: &'a Facts, before: Option<&'a Fields>, absent: bool) -> Choice<'a> {
        Choice { place: "p", facts, before, absent }
    }

    #[test]
    fn a_port_stays_and_a_new_one_is_free() {
        let facts = Facts { ports: Some((10, 12)), ..Facts::default() };
        let before = listen(vec![Value::Int(11)]);
        let mut known = Known::default();
        known.reserve("p", [&before].into_iter());
        let fields = listen(vec![pick("a"), pick("b"), pick("c")]);
        let chosen = known.choose(&fields, &choice(&facts, Some(&before), false)).expect("free");
        let ports = chosen.fields["listen"].as_list().expect("list").to_vec();
        assert_eq!(ports[0], Value::Int(11), "the recorded one stays");
        assert_eq!(chosen.ports, BTreeSet::from([10, 12]), "the new ones are the free ones");
        let full = known.choose(&listen(vec![pick("d")]), &choice(&facts, None, true));
        assert_eq!(full, Err(PlanError::NoPort { key: "d".to_owned(), from: 10, to: 12 }));
    }

    #[test]
    fn a_lost_port_is_chosen_again() {
        let taken_ports = BTreeMap::from([(11, "nginx".to_owned())]);
        let facts = Facts { ports: Some((10, 12)), taken_ports };
        let before = listen(vec![Value::Int(11)]);
        let fields = listen(vec![pick("a")]);
        let mut known = Known::default();
        let live = known.choose(&fields, &choice(&facts, Some(&before), false)).expect("free");
        assert_eq!(live.fields, before, "it is taken by the live object itself");
        let gone = known.choose(&fields, &choice(&facts, Some(&before), true)).expect("free");
        assert_ne!(gone.fields, before);
    }

    #[test]
    fn an_output_takes_the_chosen_port() {
        let format = hive_contract::Format {
            template: "http://h:{p}".to_owned(),
            values: Fields::from([("p".to_owned(), pick("a"))]),
        };
        let symbolic = listen(vec![pick("a")]);
        let filled = listen(vec![Value::Int(80)]);
        let url = output_value(&Value::Format(format), &symbolic, &filled);
        assert_eq!(url, Value::from("http://h:80"));
    }
}
