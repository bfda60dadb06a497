//! Why one resource is touched or not, what it waits for, and who waits for it.

use super::compare;
use super::model::{Plan, PlannedChange, SecretSeen, Step};
use super::question::{Question, Scope};
use super::reads;
use hive_contract::value::secrets_in;
use hive_contract::{Action, Address, FieldPath, Ignore, Place, Sort, Target};
use std::collections::{BTreeMap, BTreeSet};

/// Everything there is to say about one resource of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Which.
    pub address: Address,
    /// Whether the stack declares it.
    pub declared: bool,
    /// Whether hive recorded it.
    pub recorded: bool,
    /// What happens to its parts, and why. Empty where it is not touched.
    pub changes: Vec<PlannedChange>,
    /// Why it is not touched; none where it is.
    pub untouched: Option<Untouched>,
    /// Its steps, in order.
    pub steps: Vec<Waiting>,
    /// Where its parts are, by part: place and identity.
    pub held_at: BTreeMap<String, (Place, String)>,
    /// What it depends on.
    pub depends_on: BTreeSet<Address>,
    /// What depends on it: declared, and recorded where it is declared no more.
    pub used_by: BTreeSet<Address>,
    /// The fields that hive manages, by part.
    pub managed: BTreeMap<String, Vec<FieldPath>>,
    /// The fields that are somebody else's, and why.
    pub ignored: Vec<Ignore>,
    /// Its secrets, and whether they could be compared.
    pub secrets: BTreeMap<String, SecretSeen>,
    /// Whether no plan may delete or replace it.
    pub protected: bool,
}

/// Why a resource is not touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untouched {
    /// Live is as recorded, and recorded is as declared.
    Same,
    /// It differs, and the plan was asked about others.
    LeftOut(Action),
    /// The plan was asked about others, and nobody looked whether it differs.
    NotAsked,
    /// A gate that holds as far as anybody knows: nothing that needs it has a step.
    NotNeeded,
    /// It is neither declared nor recorded.
    Unknown,
}

/// One step with what it waits for and who waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The step.
    pub step: StepName,
    /// What must be done before.
    pub waits_for: Vec<StepName>,
    /// What begins only after it.
    pub waited_for_by: Vec<StepName>,
}

/// A step by its number, in words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepName {
    /// Its number.
    pub number: u32,
    /// Whose.
    pub target: Target,
    /// What it does.
    pub title: String,
}

/// Explains one resource of a plan and of the question that it answers.
pub fn explain(question: &Question<'_>, plan: &Plan, address: &Address) -> Explanation {
    let desired = question.desired.get(address);
    let recorded = question.recorded.and_then(|it| it.resources.get(address));
    let declared = desired.map(|it| &it.declared).or(recorded.map(|it| &it.declared));
    let ignored = declared.map(|it| it.ignore.clone()).unwrap_or_default();
    let changes: Vec<PlannedChange> =
        plan.changes.iter().filter(|it| &it.target.address == address).cloned().collect();
    let depends_on = match (desired, recorded) {
        (Some(desired), _) => desired.edges(),
        (None, Some(recorded)) => recorded.edges.clone(),
        (None, None) => BTreeSet::new(),
    };
    Explanation {
        address: address.clone(),
        declared: desired.is_some(),
        recorded: recorded.is_some(),
        untouched: changes.is_empty().then(|| untouched(question, plan, address)),
        changes,
        steps: steps(plan, address),
        held_at: held_at(question, address),
        depends_on,
        used_by: used_by(question, address),
        managed: managed(question, address, &ignored),
        ignored,
        secrets: secrets(question, plan, address),
        protected: declared.is_some_and(|it| it.protect),
    }
}

fn untouched(question: &Question<'_>, plan: &Plan, address: &Address) -> Untouched {
    if let Some(action) = plan.left_out.get(address) {
        return Untouched::LeftOut(*action);
    }
    let desired = question.desired.get(address);
    let recorded = question.recorded.is_some_and(|it| it.resources.contains_key(address));
    if desired.is_none() && !recorded {
        return Untouched::Unknown;
    }
    match (&question.scope, desired.map(|it| it.sort())) {
        (Scope::Exactly(asked), _) if !asked.contains(address) => Untouched::NotAsked,
        (_, Some(Sort::Gate)) => Untouched::NotNeeded,
        _ => Untouched::Same,
    }
}

fn name(step: &Step) -> StepName {
    let title = step.operation.title.clone();
    StepName { number: step.number, target: step.target.clone(), title }
}

fn steps(plan: &Plan, address: &Address) -> Vec<Waiting> {
    let its = plan.steps.iter().filter(|it| &it.target.address == address);
    let waiting = |step: &Step| Waiting {
        step: name(step),
        waits_for: step.needs.iter().filter_map(|it| plan.step(*it)).map(name).collect(),
        waited_for_by: plan
            .steps
            .iter()
            .filter(|it| it.needs.contains(&step.number))
            .map(name)
            .collect(),
    };
    its.map(waiting).collect()
}

fn held_at(question: &Question<'_>, address: &Address) -> BTreeMap<String, (Place, String)> {
    let Some(snapshot) = question.recorded else { return BTreeMap::new() };
    let parts = snapshot.resources.get(address).into_iter().flat_map(|it| &it.parts);
    let at = |(name, part): (&String, &hive_state::Part)| {
        let place = snapshot.places.get(&part.place)?.clone();
        Some((name.clone(), (place, part.identity.clone())))
    };
    parts.filter_map(at).collect()
}

fn used_by(question: &Question<'_>, address: &Address) -> BTreeSet<Address> {
    let declared = question.desired.iter().filter(|(_, it)| it.edges().contains(address));
    let mut users: BTreeSet<Address> = declared.map(|(user, _)| user.clone()).collect();
    let recorded = reads::users(question.recorded).remove(address).unwrap_or_default().into_iter();
    users.extend(recorded.filter(|it| !question.desired.contains_key(*it)).cloned());
    users
}

fn managed(
    question: &Question<'_>,
    address: &Address,
    ignored: &[Ignore],
) -> BTreeMap<String, Vec<FieldPath>> {
    let desired = question.desired.get(address);
    let recorded = question.recorded.and_then(|it| it.resources.get(address));
    let names = desired.into_iter().flat_map(|it| it.parts.keys());
    let names: BTreeSet<&String> =
        names.chain(recorded.into_iter().flat_map(|it| it.parts.keys())).collect();
    let paths = |name: &String| {
        let desired = desired.and_then(|it| it.parts.get(name)).map(|it| &it.lowered.fields);
        let recorded = recorded.and_then(|it| it.parts.get(name)).map(|it| &it.fields);
        compare::managed(desired, recorded, ignored)
    };
    names.into_iter().map(|name| (name.clone(), paths(name))).collect()
}

fn secrets(
    question: &Question<'_>,
    plan: &Plan,
    address: &Address,
) -> BTreeMap<String, SecretSeen> {
    let parts = question.desired.get(address).into_iter().flat_map(|it| it.parts.values());
    let named = parts.flat_map(|it| [&it.lowered.fields, &it.lowered.access]);
    let named = named.flat_map(secrets_in).map(|it| it.to_string());
    named.filter_map(|it| plan.secrets.get(&it).map(|seen| (it, *seen))).collect()
}
