//! One batched read for each place.

use crate::apply::{self, SecretReader};
use crate::plan::Desired;
use crate::plan::fill::has_choice;
use crate::registry::Providers;
use hive_contract::{
    Address, Ask, AskOne, Facts, Failure, FailureKind, Mark, Observed, Secrets, Sort, Target,
};
use hive_state::Snapshot;
use std::collections::{BTreeMap, BTreeSet};

/// What is live, and what may be chosen, by place.
#[derive(Default)]
pub struct Seen {
    /// By place and part.
    pub observed: BTreeMap<(String, Target), Result<Observed, Failure>>,
    /// What is live by a part's new identity, where it is recorded here under another one.
    pub beside: BTreeMap<(String, Target), Result<Observed, Failure>>,
    /// Of each place that something is chosen at.
    pub facts: BTreeMap<String, Facts>,
}

/// Looks at everything that is desired or recorded, each place in one call.
pub async fn observe(
    providers: &Providers,
    secrets: &dyn SecretReader,
    desired: &BTreeMap<Address, Desired>,
    recorded: Option<&Snapshot>,
) -> Seen {
    let mut seen = Seen::default();
    for (place, ask) in questions(desired, recorded) {
        if let Some(facts) = look(providers, secrets, &place, &ask, &mut seen.observed).await {
            seen.facts.insert(place, facts);
        }
    }
    for (place, ask) in renamed(desired, recorded) {
        look(providers, secrets, &place, &ask, &mut seen.beside).await;
    }
    seen
}

/// Everything live that carries this stack's mark, whatever its store, each once: how a lost store
/// finds its own again. A place that cannot say is left out; what is asked of it by name says why.
pub async fn marked(providers: &Providers) -> BTreeMap<(Address, String), Mark> {
    let ask = Ask { marked: Some(providers.owner().clone()), ..Ask::default() };
    let mut found = BTreeMap::new();
    for place in providers.places().keys() {
        let Some(provider) = providers.at(place) else { continue };
        let Ok(answer) = provider.observe(&ask, &Secrets::default()).await else { continue };
        for live in answer.marked {
            if let Some(mark) = live.mark {
                found.insert((mark.address.clone(), live.identity), mark);
            }
        }
    }
    found
}

/// Asks one place, and gives its facts where it answers.
async fn look(
    providers: &Providers,
    secrets: &dyn SecretReader,
    place: &str,
    ask: &Ask,
    into: &mut BTreeMap<(String, Target), Result<Observed, Failure>>,
) -> Option<Facts> {
    let answer = match providers.at(place) {
        Some(provider) => apply::look(&**provider, secrets, ask).await,
        None => Err(unreachable_place(place)),
    };
    let parts = ask.parts.iter().map(|it| it.target.clone());
    match answer {
        Ok(mut answer) => {
            for target in parts {
                let found = answer.found.remove(&target).unwrap_or_else(|| Err(no_answer()));
                into.insert((place.to_owned(), target), found);
            }
            Some(answer.facts)
        }
        Err(failure) => {
            into.extend(parts.map(|it| ((place.to_owned(), it), Err(failure.clone()))));
            None
        }
    }
}

/// The parts that are to have another identity at the place where they are recorded: who has that
/// one now is a second question, for an answer is by part.
fn renamed(
    desired: &BTreeMap<Address, Desired>,
    recorded: Option<&Snapshot>,
) -> BTreeMap<String, Ask> {
    let mut questions: BTreeMap<String, Ask> = BTreeMap::new();
    for (address, wanted) in desired {
        let Some(held) = recorded.and_then(|it| it.resources.get(address)) else { continue };
        for (part, wanted) in &wanted.parts {
            let Some(held) = held.parts.get(part) else { continue };
            let identity = &wanted.lowered.identity;
            let other = held.lowered_identity != *identity && held.identity != *identity;
            if held.place == wanted.place && other && wanted.lowered.sort == Sort::Object {
                let target = Target { address: address.clone(), part: part.clone() };
                let one = AskOne {
                    target,
                    identity: identity.clone(),
                    access: wanted.lowered.access.clone(),
                };
                questions.entry(held.place.clone()).or_default().parts.push(one);
            }
        }
    }
    questions
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
            let wanted = desired.get(address).and_then(|it| it.parts.get(part));
            let access = wanted.map_or(&held.access, |it| &it.lowered.access).clone();
            let one = AskOne { target, identity: held.identity.clone(), access };
            questions.entry(held.place.clone()).or_default().parts.push(one);
        }
    }
    for (address, wanted) in desired {
        for (part, wanted) in &wanted.parts {
            let ask = questions.entry(wanted.place.clone()).or_default();
            ask.facts |= has_choice(&wanted.lowered.fields);
            let target = Target { address: address.clone(), part: part.clone() };
            if wanted.lowered.sort == Sort::Object
                && !asked.contains(&(wanted.place.clone(), target.clone()))
            {
                ask.parts.push(AskOne {
                    target,
                    identity: wanted.lowered.identity.clone(),
                    access: wanted.lowered.access.clone(),
                });
            }
        }
    }
    questions.retain(|_, ask| !ask.parts.is_empty() || ask.facts);
    questions
}

fn unreachable_place(place: &str) -> Failure {
    let message = format!("the place `{place}` cannot be reached from here");
    Failure::new(FailureKind::Unavailable, message)
}

fn no_answer() -> Failure {
    Failure::new(FailureKind::Malformed, "the provider gave no answer for it")
}
