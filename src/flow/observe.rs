//! One batched read for each place.

use crate::plan::Desired;
use crate::registry::Providers;
use hive_contract::{
    Address, Ask, AskOne, Facts, Failure, FailureKind, Observed, Pick, Sort, Target, Value,
};
use hive_state::Snapshot;
use std::collections::{BTreeMap, BTreeSet};

/// What is live, and what may be chosen, by place.
#[derive(Default)]
pub struct Seen {
    /// By place and part.
    pub observed: BTreeMap<(String, Target), Result<Observed, Failure>>,
    /// Of each place that something is chosen at.
    pub facts: BTreeMap<String, Facts>,
}

/// Looks at everything that is desired or recorded, each place in one call.
pub async fn observe(
    providers: &Providers,
    desired: &BTreeMap<Address, Desired>,
    recorded: Option<&Snapshot>,
) -> Seen {
    let mut seen = Seen::default();
    for (place, ask) in questions(desired, recorded) {
        let parts: Vec<Target> = ask.parts.iter().map(|it| it.target.clone()).collect();
        let answer = match providers.at(&place) {
            Some(provider) => provider.observe(&ask).await,
            None => Err(unreachable_place(&place)),
        };
        match answer {
            Ok(mut answer) => {
                for target in parts {
                    let found = answer.found.remove(&target).unwrap_or_else(|| Err(no_answer()));
                    seen.observed.insert((place.clone(), target), found);
                }
                seen.facts.insert(place, answer.facts);
            }
            Err(failure) => {
                let each = parts.into_iter().map(|it| ((place.clone(), it), Err(failure.clone())));
                seen.observed.extend(each);
            }
        }
    }
    seen
}

/// One question a place: what is recorded there, and what is desired there. Gates and notices have
/// nothing that could be looked at.
fn questions(
    desired: &BTreeMap<Address, Desired>,
    recorded: Option<&Snapshot>,
) -> BTreeMap<String, Ask> {
    let mut questions: BTreeMap<String, Ask> = BTreeMap::new();
    let mut asked: BTreeSet<(String, Target)> = BTreeSet::new();
    let resources = recorded.map(|it| &it.resources).into_iter().flatten();
    for (address, held) in resources {
        for (part, held) in &held.parts {
            let target = Target { address: address.clone(), part: part.clone() };
            asked.insert((held.place.clone(), target.clone()));
            let one = AskOne { target, identity: held.identity.clone() };
            questions.entry(held.place.clone()).or_default().parts.push(one);
        }
    }
    for (address, wanted) in desired {
        for (part, wanted) in &wanted.parts {
            let ask = questions.entry(wanted.place.clone()).or_default();
            ask.facts |= chooses(&wanted.lowered.fields);
            let target = Target { address: address.clone(), part: part.clone() };
            if wanted.lowered.sort == Sort::Object
                && !asked.contains(&(wanted.place.clone(), target.clone()))
            {
                ask.parts.push(AskOne { target, identity: wanted.lowered.identity.clone() });
            }
        }
    }
    questions.retain(|_, ask| !ask.parts.is_empty() || ask.facts);
    questions
}

fn chooses(fields: &hive_contract::Fields) -> bool {
    let mut found = false;
    hive_contract::value::visit_fields(fields, &mut |value| {
        found |= matches!(value, Value::Pick(Pick::Port { .. }));
    });
    found
}

fn unreachable_place(place: &str) -> Failure {
    let message = format!("the place `{place}` cannot be reached from here");
    Failure::new(FailureKind::Unavailable, message)
}

fn no_answer() -> Failure {
    Failure::new(FailureKind::Malformed, "the provider gave no answer for it")
}
