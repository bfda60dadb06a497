//! Declared → desired: every resource through its providers' `lower`.

use super::verbs::{Desired, Verbs};
use hive_contract::value::outputs_in;
use hive_contract::{Address, Declared, FieldPath, Invalid, OutputRef, Sort, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Lowers everything, and gives everything that is wrong.
///
/// # Errors
/// Each wrong field with its resource.
pub fn desire(
    declared: &BTreeMap<Address, Declared>,
    verbs: &dyn Verbs,
) -> Result<BTreeMap<Address, Desired>, Vec<(Address, Invalid)>> {
    let mut desired = BTreeMap::new();
    let mut wrong = Vec::new();
    for (address, declared) in declared {
        match verbs.lower(declared) {
            Ok(parts) => {
                let parts = parts.into_iter().map(|part| (part.part.clone(), part)).collect();
                desired.insert(address.clone(), Desired { declared: declared.clone(), parts });
            }
            Err(invalid) => wrong.extend(invalid.into_iter().map(|it| (address.clone(), it))),
        }
    }
    if wrong.is_empty() { Ok(desired) } else { Err(wrong) }
}

impl Desired {
    /// Everything it depends on: what it uses and what its fields refer to. What verifies it
    /// depends on it, not the other way round.
    pub fn edges(&self) -> BTreeSet<Address> {
        let mut edges = declared_edges(&self.declared);
        self.visit_outputs(&mut |it| {
            if !edges.contains(&it.address) {
                edges.insert(it.address.clone());
            }
        });
        edges.remove(&self.declared.address);
        edges
    }

    /// Shows every output of others that its parts are made of.
    pub fn visit_outputs<'a>(&'a self, see: &mut impl FnMut(&'a OutputRef)) {
        let mut see = |value: &'a Value| {
            if let Value::Output(reference) = value {
                see(reference);
            }
        };
        for part in self.parts.values() {
            hive_contract::value::visit_fields(&part.lowered.fields, &mut see);
            let outputs = part.lowered.outputs.values().filter_map(|it| it.value.as_ref());
            outputs.for_each(|value| value.visit(&mut see));
        }
    }

    /// The checks that verify its rollout.
    pub fn verified_by(&self) -> BTreeSet<Address> {
        verified_by(&self.declared)
    }

    /// What sort of thing it is; an object, where any part is one.
    pub fn sort(&self) -> Sort {
        let sorts = self.parts.values().map(|part| part.lowered.sort);
        sorts.min_by_key(|sort| *sort as u8).unwrap_or(Sort::Notice)
    }
}

/// What a resource uses, refers to and watches, by its declaration alone.
pub fn declared_edges(declared: &Declared) -> BTreeSet<Address> {
    let mut edges = declared.uses.clone();
    edges.extend(outputs_in(&declared.fields).into_iter().map(|it| it.address));
    edges.extend(watched(declared));
    edges
}

/// The service that an alert watches: loaded after it is verified, removed before it is.
fn watched(declared: &Declared) -> Option<Address> {
    let name = (declared.address.kind() == "alert").then(|| declared.fields.get("service"))??;
    let name = name.as_text()?;
    name.parse().or_else(|_| Address::new("service", name)).ok()
}

/// The checks in `rollout.verify`.
pub fn verified_by(declared: &Declared) -> BTreeSet<Address> {
    let path = FieldPath::new(["rollout", "verify"]);
    let named = hive_contract::path::get(&declared.fields, &path).and_then(Value::as_list);
    let named = named.unwrap_or_default().iter().filter_map(Value::as_text);
    named.filter_map(|text| text.parse().ok()).collect()
}
