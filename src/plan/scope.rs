//! Which of the decisions a plan holds: all, some with what they need, or some alone.

use super::decide::Verdict;
use super::question::{Asked, PlanError, Scope};
use super::survey::{Subject, Survey};
use hive_contract::{Action, Address, Sort};
use std::collections::{BTreeMap, BTreeSet};

/// What a plan holds.
pub(super) struct Selection {
    /// By subject.
    pub(super) chosen: Vec<bool>,
    /// What differs and was left out.
    pub(super) left_out: BTreeMap<Address, Action>,
}

impl Selection {
    /// Chooses by the question's scope.
    pub(super) fn new(survey: &Survey<'_>, verdicts: &[Verdict<'_>]) -> Self {
        let chosen = match &survey.question.scope {
            Scope::All => vec![true; survey.subjects.len()],
            Scope::Exactly(_) => survey.subjects.iter().map(|it| !it.excluded).collect(),
            Scope::Only(addresses) => with_needs(survey, verdicts, addresses),
        };
        let mut left_out = BTreeMap::new();
        for (at, verdict) in verdicts.iter().enumerate() {
            if !chosen[at] && !verdict.keeps() {
                left_out.insert(survey.subjects[at].address.clone(), action(verdict));
            }
        }
        Self { chosen, left_out }
    }

    /// The same with every gate that runs: it runs for something that was chosen.
    pub(super) fn running(mut self, verdicts: &[Verdict<'_>], gates: &[usize]) -> Self {
        for gate in gates {
            self.chosen[*gate] |=
                verdicts[*gate].has_effect() && !self.left_out_at(*gate, verdicts);
        }
        self
    }

    /// Whether a gate differs by itself and nothing chosen needs it.
    fn left_out_at(&self, gate: usize, verdicts: &[Verdict<'_>]) -> bool {
        let Verdict::Touch(parts) = &verdicts[gate] else { return false };
        parts.iter().any(|it| self.left_out.contains_key(&it.target.address))
    }
}

/// The most telling action of a resource.
pub(super) fn action(verdict: &Verdict<'_>) -> Action {
    match verdict {
        Verdict::Keep => Action::Keep,
        // It differs in a way that could not be planned.
        Verdict::Wrong(_) => Action::Update,
        Verdict::Touch(parts) => {
            let actions = parts.iter().map(|it| it.action);
            actions.filter(|it| *it != Action::Keep).max().unwrap_or(Action::Update)
        }
    }
}

/// The named resources, and of what they depend on whatever differs or is missing.
fn with_needs(
    survey: &Survey<'_>,
    verdicts: &[Verdict<'_>],
    named: &BTreeSet<Address>,
) -> Vec<bool> {
    let mut chosen = vec![false; survey.subjects.len()];
    // `--take-over` allows something of every resource, and asks for none of them.
    let allows = |asked: &Asked| matches!(asked, Asked::Adopt { .. });
    let asked = survey.question.asked.iter().filter(|(_, asked)| !allows(asked));
    let named = named.iter().chain(asked.map(|(address, _)| address));
    let mut next: Vec<usize> = named.filter_map(|it| survey.at(it)).collect();
    next.iter().for_each(|at| chosen[*at] = true);
    while let Some(at) = next.pop() {
        let subject = &survey.subjects[at];
        let is_gate = |at: usize| survey.subjects[at].sort == Sort::Gate;
        if verdicts[at].keeps() && !is_gate(at) {
            continue;
        }
        let mut add = |needed: usize| {
            if !chosen[needed] && (!verdicts[needed].keeps() || is_gate(needed)) {
                chosen[needed] = true;
                next.push(needed);
            }
        };
        let needs = subject.edges.iter().chain(&subject.verified_by);
        needs.filter_map(|it| survey.at(it)).for_each(&mut add);
        // What is taken away has no users left: they go, or move off, in the same plan.
        let leaves = match subject.moved_from {
            Some(from) => Some(from),
            None => subject.desired.is_none().then_some(subject.address),
        };
        let users = leaves.map_or(&[][..], |it| survey.users(it));
        users.iter().filter_map(|it| survey.at(it)).for_each(&mut add);
    }
    chosen
}

/// What would not be there though something that stays depends on it.
pub(super) fn missing(
    survey: &Survey<'_>,
    verdicts: &[Verdict<'_>],
    selection: &Selection,
) -> Vec<PlanError> {
    let touched = |at: usize| selection.chosen[at] && matches!(verdicts[at], Verdict::Touch(_));
    let removed = |address: &Address| {
        let Some(at) = survey.at(address) else { return true };
        let subject = &survey.subjects[at];
        match (subject.moved_to, subject.desired, subject.recorded) {
            (true, ..) => true,
            (_, Some(_), _) if touched(at) => false,
            (_, None, Some(_)) => touched(at),
            (_, _, recorded) => recorded.is_none(),
        }
    };
    let mut found = BTreeSet::new();
    for (at, subject) in survey.subjects.iter().enumerate() {
        if touched(at) && subject.desired.is_some() {
            let needs = subject.edges.iter().chain(&subject.verified_by);
            let needs = needs.filter(|on| removed(on)).map(|on| (subject.address, on));
            found.extend(needs);
        }
        let leaves = subject.moved_to || (touched(at) && subject.desired.is_none());
        if !leaves {
            continue;
        }
        for user in survey.users(subject.address) {
            let Some(user_at) = survey.at(user) else { continue };
            let stays = !removed(user);
            let still = match touched(user_at) {
                true => survey.subjects[user_at].edges.contains(subject.address),
                false => true,
            };
            if stays && still {
                found.insert((user, subject.address));
            }
        }
    }
    let mut errors = Vec::new();
    let mut in_use: BTreeMap<&Address, (&'static str, BTreeSet<Address>)> = BTreeMap::new();
    for (address, on) in found {
        match survey.get(on).and_then(leaving) {
            Some(how) => {
                let stay = || (how, users_that_stay(survey, on, &removed));
                in_use.entry(on).or_insert_with(stay).1.insert(address.clone());
            }
            None => {
                let (address, on) = (address.clone(), on.clone());
                errors.push(PlanError::Missing { address, on });
            }
        }
    }
    let in_use = in_use.into_iter();
    errors.extend(in_use.map(|(address, (how, users))| PlanError::InUse {
        address: address.clone(),
        how,
        users,
    }));
    errors
}

/// How a resource leaves that was there; none where it stays or never was.
fn leaving(subject: &Subject<'_>) -> Option<&'static str> {
    match (subject.moved_to, subject.asked, subject.desired, subject.recorded) {
        (true, ..) => Some("moved"),
        (_, Some(Asked::Forget), ..) => Some("forgotten"),
        (_, _, None, Some(_)) => Some("taken away"),
        _ => None,
    }
}

/// Everything recorded that uses a resource, also through others, and stays.
fn users_that_stay(
    survey: &Survey<'_>,
    of: &Address,
    removed: &dyn Fn(&Address) -> bool,
) -> BTreeSet<Address> {
    let mut users = BTreeSet::new();
    let mut next = vec![of];
    while let Some(at) = next.pop() {
        for user in survey.users(at) {
            if !removed(user) && users.insert((*user).clone()) {
                next.push(user);
            }
        }
    }
    users
}
