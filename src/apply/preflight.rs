//! Checks that nothing moved that a plan depends on, before anything of it begins.
//!
//! Everything that moved is found at once, and named by its address. Live objects are read in one
//! question a place.

use super::look::look;
use super::model::{ApplyError, Lent, read_words};
use super::under_way::UnderWay;
use crate::plan::{Plan, Read, reads};
use hive_contract::value::secrets_in;
use hive_contract::{
    Address, Ask, AskOne, Failure, FailureKind, FieldPath, Fingerprint, Observation, Observed,
    SecretRef, Target, path,
};
use hive_state::{Replay, Snapshot, StepState};
use std::collections::{BTreeMap, BTreeSet};

/// Checks a plan's whole read set. Where an apply goes on (`replay`), what it has begun itself and
/// the ports that it may have taken are left out.
///
/// # Errors
/// [`ApplyError::Stale`] with everything that moved; [`ApplyError::Refused`] where a secret that a
/// step needs has no value here; or something cannot be read.
pub(super) async fn check(
    lent: Lent<'_>,
    plan: &Plan,
    head: Option<&Snapshot>,
    replay: Option<&Replay>,
) -> Result<(), ApplyError> {
    let begun = begun(plan, replay);
    let users = reads::users(head);
    let moves = |read: &&Read| !recorded_holds(read, head, &users);
    let mut moved: Vec<String> = plan.reads.iter().filter(moves).map(read_words).collect();
    let ask = questions(plan, &begun, replay.is_some());
    let seen = observe(lent, ask).await?;
    for read in &plan.reads {
        moved.extend(live_moved(read, head, &seen, &begun)?);
    }
    let outside = lent.outside.moved(plan).await;
    moved.extend(outside.map_err(|why| ApplyError::Stale(vec![why]))?);
    moved.extend(pinned_moved(lent, plan).await);
    moved.dedup();
    if moved.is_empty() {
        // What is interrupted has had its values once: a step that lacks one now fails, and what
        // was begun is taken back.
        return if replay.is_none() { secrets_are_here(lent, plan).await } else { Ok(()) };
    }
    moved.splice(0..0, newer(plan, head));
    Err(ApplyError::Stale(moved))
}

/// The snapshot that was made since a plan that is stale, where one was.
fn newer(plan: &Plan, head: Option<&Snapshot>) -> Option<String> {
    let head = head.filter(|it| plan.base.is_none_or(|base| base < it.number))?;
    Some(format!("snapshot {} was made since the plan", head.number))
}

/// Whether every secret that a step needs can be read, before the first of them begins.
async fn secrets_are_here(lent: Lent<'_>, plan: &Plan) -> Result<(), ApplyError> {
    let fields = plan.steps.iter().flat_map(|it| [&it.operation.payload, &it.access]);
    let needed: BTreeSet<SecretRef> = fields.flat_map(secrets_in).collect();
    let mut missing = Vec::new();
    for reference in &needed {
        if let Err(why) = lent.secrets.read(reference).await {
            missing.push(format!("{reference}: {why}"));
        }
    }
    match missing.is_empty() {
        true => Ok(()),
        false => Err(ApplyError::Refused(format!(
            "a secret that a step needs has no value here, so nothing was begun: {}",
            missing.join("; ")
        ))),
    }
}

/// The parts that this apply has begun to change. What has no step of its own moves with what it
/// lies in, as the history of migrations does with a database that is restored.
fn begun<'p>(plan: &'p Plan, replay: Option<&Replay>) -> BTreeSet<&'p Target> {
    let steps = replay.into_iter().flat_map(|it| &it.steps);
    let begun =
        steps.filter(|(_, it)| !matches!(it.state, StepState::Waiting | StepState::Void(_)));
    let mut begun: BTreeSet<&Target> =
        begun.filter_map(|(number, _)| Some(&plan.step(*number)?.target)).collect();
    if begun.is_empty() {
        return begun;
    }
    let stepped: BTreeSet<&Target> = plan.steps.iter().map(|it| &it.target).collect();
    let moving: BTreeSet<&Address> = begun.iter().map(|it| &it.address).collect();
    let moves_along = |target: &&Target| {
        let record = plan.records.get(&target.address).and_then(Option::as_ref);
        !stepped.contains(target)
            && record.is_some_and(|it| it.edges.iter().any(|edge| moving.contains(edge)))
    };
    let along: Vec<&Target> =
        plan.changes.iter().map(|it| &it.target).filter(moves_along).collect();
    begun.extend(along);
    begun
}

/// Who depends on what, as recorded.
type Users<'h> = BTreeMap<&'h Address, BTreeSet<&'h Address>>;

/// Whether a fact about the record is still so. Facts about anything else are.
fn recorded_holds(read: &Read, head: Option<&Snapshot>, users_of: &Users<'_>) -> bool {
    match read {
        Read::Recorded { address, fingerprint } => reads::recorded(head, address) == *fingerprint,
        Read::Output { address, output, fingerprint } => {
            reads::output(head, address, output) == *fingerprint
        }
        Read::Exists { address } => head.is_some_and(|it| it.resources.contains_key(address)),
        Read::Users { address, users } => match users_of.get(address) {
            Some(now) => now.iter().copied().eq(users),
            None => users.is_empty(),
        },
        Read::Guards { fingerprint } => reads::guards(head) == *fingerprint,
        Read::Observed { .. }
        | Read::PortFree { .. }
        | Read::Foreign { .. }
        | Read::Pinned { .. } => true,
    }
}

/// One question for each place; a second one where a part is looked at by two identities.
type Questions = BTreeMap<(String, bool), Ask>;

/// What was answered.
#[derive(Default)]
struct Seen {
    /// By place, part and identity.
    found: BTreeMap<(String, Target, String), Result<Observed, Failure>>,
    /// By place.
    taken_ports: BTreeMap<String, BTreeMap<u16, String>>,
}

fn questions(plan: &Plan, begun: &BTreeSet<&Target>, resumed: bool) -> Questions {
    let mut asks = Questions::new();
    let mut asked = BTreeSet::new();
    for read in &plan.reads {
        match read {
            Read::Observed { target, place, identity, access, .. } if !begun.contains(target) => {
                let second = !asked.insert((place, target));
                let one = AskOne {
                    target: target.clone(),
                    identity: identity.clone(),
                    access: access.clone(),
                };
                asks.entry((place.clone(), second)).or_default().parts.push(one);
            }
            Read::PortFree { place, .. } if !resumed => {
                asks.entry((place.clone(), false)).or_default().facts = true;
            }
            _ => {}
        }
    }
    asks
}

async fn observe(lent: Lent<'_>, asks: Questions) -> Result<Seen, ApplyError> {
    let mut under_way = UnderWay::new();
    for (number, ((place, _), ask)) in (0..).zip(asks) {
        let provider = lent.providers.at(&place).cloned();
        let provider = provider.ok_or_else(|| ApplyError::NoPlace(place.clone()))?;
        under_way.push(
            number,
            Box::pin(async move {
                let seen = look(&*provider, lent.secrets, &ask).await;
                (place, ask, seen)
            }),
        );
    }
    let mut seen = Seen::default();
    while let Some((_, (place, ask, answer))) = under_way.next().await {
        match (answer, ask.parts.first()) {
            (Ok(answer), _) => seen.take(&place, ask, answer),
            (Err(failure), Some(first)) => return Err(unreadable(&first.target.address, failure)),
            (Err(_), None) => return Err(ApplyError::NoPlace(place)),
        }
    }
    Ok(seen)
}

impl Seen {
    fn take(&mut self, place: &str, ask: Ask, mut answer: Observation) {
        for AskOne { target, identity, .. } in ask.parts {
            let found = answer.found.remove(&target).unwrap_or_else(|| Err(no_answer()));
            self.found.insert((place.to_owned(), target, identity), found);
        }
        if ask.facts {
            self.taken_ports.insert(place.to_owned(), answer.facts.taken_ports);
        }
    }
}

/// What moved of a fact about the live system, in words; none where it holds or was not asked.
fn live_moved(
    read: &Read,
    head: Option<&Snapshot>,
    seen: &Seen,
    begun: &BTreeSet<&Target>,
) -> Result<Option<String>, ApplyError> {
    match read {
        Read::PortFree { place, port } => Ok(seen.taken_ports.get(place).and_then(|it| {
            let who = it.get(port)?;
            Some(format!("{}: {who} has it", read_words(read)))
        })),
        Read::Observed { target, place, identity, fingerprint, managed, owner, .. }
            if !begun.contains(target) =>
        {
            let asked = (place.clone(), target.clone(), identity.clone());
            let found = match seen.found.get(&asked) {
                Some(Ok(found)) => found,
                Some(Err(failure)) => return Err(unreadable(&target.address, failure.clone())),
                None => return Err(unreadable(&target.address, no_answer())),
            };
            if found.fingerprint(managed) != *fingerprint {
                let how = how_moved(target, found, fingerprint.as_ref(), managed, head);
                return Ok(Some(format!("{}{how}", read_words(read))));
            }
            let mark = found.live().and_then(|it| it.mark.as_ref()).map(ToString::to_string);
            Ok((mark != *owner).then(|| {
                let whose = mark.unwrap_or_else(|| "nobody's".to_owned());
                format!("{}: it is {whose} now", read_words(read))
            }))
        }
        _ => Ok(None),
    }
}

/// What moved of a live object, as far as it can be told.
fn how_moved(
    target: &Target,
    found: &Observed,
    expected: Option<&Fingerprint>,
    managed: &[FieldPath],
    head: Option<&Snapshot>,
) -> String {
    let Some(live) = found.live() else { return ": it is gone".to_owned() };
    let Some(expected) = expected else { return ": it exists by now".to_owned() };
    let part = head.and_then(|it| it.resources.get(&target.address)?.parts.get(&target.part));
    let Some(part) = part.filter(|it| Fingerprint::of_managed(&it.fields, managed) == *expected)
    else {
        return String::new();
    };
    let differs = |it: &&FieldPath| path::get(&live.fields, it) != path::get(&part.fields, it);
    let fields: Vec<String> = managed.iter().filter(differs).map(ToString::to_string).collect();
    if fields.is_empty() { String::new() } else { format!(": {}", fields.join(", ")) }
}

/// The pinned secrets whose value is another than the plan saw.
async fn pinned_moved(lent: Lent<'_>, plan: &Plan) -> Vec<String> {
    let mut moved = Vec::new();
    let pinned: BTreeMap<&str, (&Read, &str)> = plan
        .reads
        .iter()
        .filter_map(|read| match read {
            Read::Pinned { reference, print } => Some((reference.as_str(), (read, print.as_str()))),
            _ => None,
        })
        .collect();
    if pinned.is_empty() {
        return moved;
    }
    let named = references(plan);
    for (reference, (read, print)) in pinned {
        let now = match named.get(reference) {
            Some(secret) => print_of(lent, secret).await,
            None => Err("no step names it".to_owned()),
        };
        match now {
            Ok(now) if now == print => {}
            Ok(_) => moved.push(read_words(read)),
            Err(why) => moved.push(format!("{}: {why}", read_words(read))),
        }
    }
    moved
}

async fn print_of(lent: Lent<'_>, secret: &SecretRef) -> Result<String, String> {
    let value = lent.secrets.read(secret).await?;
    lent.secrets.print(&value).await
}

/// Every secret that the plan names, by its reference.
fn references(plan: &Plan) -> BTreeMap<String, SecretRef> {
    let parts = plan.records.values().flatten().flat_map(|it| it.parts.values());
    let fields = parts.map(|it| &it.fields);
    let payloads = plan.steps.iter().map(|it| &it.operation.payload);
    let all = fields.chain(payloads).flat_map(secrets_in);
    all.map(|it| (it.to_string(), it)).collect()
}

fn unreadable(address: &Address, failure: Failure) -> ApplyError {
    ApplyError::Unreadable { address: address.clone(), failure }
}

fn no_answer() -> Failure {
    Failure::new(FailureKind::Malformed, "the provider gave no answer for it")
}
