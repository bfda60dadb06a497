//! The read set: everything that a plan depends on not having moved, and nothing else, so that a
//! change elsewhere in the stack does not make it stale.
//!
//! The public functions say what a fact is made of. The planner writes facts with them, and the
//! preflight of an apply compares with them.

use super::decide::{Decision, Verdict};
use super::fill::Known;
use super::model::Read;
use super::records::outputs_move;
use super::scope::Selection;
use super::survey::Survey;
use hive_contract::{Action, Address, Fingerprint, Sort, Value};
use hive_state::Snapshot;
use std::collections::{BTreeMap, BTreeSet};

/// The fingerprint of a resource's record; none where it is not recorded.
pub fn recorded(snapshot: Option<&Snapshot>, address: &Address) -> Option<Fingerprint> {
    snapshot?.resources.get(address).map(Fingerprint::of)
}

/// The fingerprint of a recorded output; none where there is none.
pub fn output(snapshot: Option<&Snapshot>, address: &Address, output: &str) -> Option<Fingerprint> {
    let parts = &snapshot?.resources.get(address)?.parts;
    parts.values().find_map(|part| part.outputs.get(output)).map(Fingerprint::of)
}

/// The recorded resources that depend on each other one, all at once: to ask for one after the other
/// would read every record for each.
pub fn users(snapshot: Option<&Snapshot>) -> BTreeMap<&Address, BTreeSet<&Address>> {
    let mut users: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (user, recorded) in snapshot.into_iter().flat_map(|it| &it.resources) {
        for on in &recorded.edges {
            users.entry(on).or_default().insert(user);
        }
    }
    users
}

/// The fingerprint of the recorded guards; none where nothing is recorded.
pub fn guards(snapshot: Option<&Snapshot>) -> Option<Fingerprint> {
    snapshot.map(|it| Fingerprint::of(&it.guards))
}

/// The read set of the chosen decisions, sorted.
pub(super) fn reads<'a>(
    survey: &Survey<'a>,
    verdicts: &[Verdict<'a>],
    selection: &Selection,
    known: &Known,
    guards_change: bool,
) -> Vec<Read> {
    let mut list = List { survey, known, reads: BTreeSet::new() };
    let touched = |at: usize| selection.chosen[at] && matches!(verdicts[at], Verdict::Touch(_));
    for (at, verdict) in verdicts.iter().enumerate() {
        if let (Verdict::Touch(decisions), true) = (verdict, touched(at)) {
            list.resource(at, decisions, &touched);
        }
    }
    let question = survey.question;
    if guards_change {
        list.reads.insert(Read::Guards { fingerprint: guards(question.recorded) });
    }
    if !list.reads.is_empty() {
        list.foreign();
    }
    list.reads.into_iter().collect()
}

struct List<'l, 'a> {
    survey: &'l Survey<'a>,
    known: &'l Known,
    reads: BTreeSet<Read>,
}

impl List<'_, '_> {
    fn resource(&mut self, at: usize, decisions: &[Decision<'_>], touched: &dyn Fn(usize) -> bool) {
        let subject = &self.survey.subjects[at];
        self.recorded(subject.address);
        for decision in decisions {
            self.part(at, decision);
        }
        let leaves = subject.desired.is_none();
        let moves = decisions.iter().filter(|it| it.sort == Sort::Object && it.effect);
        let outputs_move = moves.into_iter().any(|it| outputs_move(self.survey, it, self.known));
        if leaves || (outputs_move && subject.recorded.is_some()) {
            self.users(subject.address);
        }
        if let Some(from) = subject.moved_from {
            self.recorded(from);
            self.users(from);
        }
        self.dependencies(at, touched);
    }

    fn recorded(&mut self, address: &Address) {
        let fingerprint = recorded(self.survey.question.recorded, address);
        self.reads.insert(Read::Recorded { address: address.clone(), fingerprint });
    }

    fn users(&mut self, address: &Address) {
        let users = self.survey.users(address).iter().map(|it| (*it).clone()).collect();
        self.reads.insert(Read::Users { address: address.clone(), users });
    }

    /// What is live of a part, and what was chosen for it.
    fn part(&mut self, at: usize, decision: &Decision<'_>) {
        if decision.action == Action::Keep && decision.halted.is_none() {
            return;
        }
        self.pinned(decision);
        if decision.sort != Sort::Object {
            return;
        }
        let subject = &self.survey.subjects[at];
        let declared = subject.desired.map(|it| &it.declared);
        let declared = declared.or(subject.recorded.map(|it| &it.declared));
        let managed = decision.managed(declared.map_or(&[], |it| &it.ignore));
        let wanted = decision.wanted.as_ref();
        let seen = match (&decision.held, wanted) {
            (Some(held), _) => {
                let access = wanted.map_or(&held.part.access, |it| &it.part.lowered.access);
                Some((&held.part.place, &held.part.identity, access))
            }
            (None, Some(wanted)) => {
                let lowered = &wanted.part.lowered;
                Some((&wanted.part.place, &lowered.identity, &lowered.access))
            }
            (None, None) => None,
        };
        if let Some((place, identity, access)) = seen {
            let live = decision.live;
            self.reads.insert(Read::Observed {
                target: decision.target.clone(),
                place: place.clone(),
                identity: identity.clone(),
                access: access.clone(),
                fingerprint: live.map(|it| Fingerprint::of_managed(&it.fields, &managed)),
                managed,
                owner: live.and_then(|it| it.mark.as_ref()).map(ToString::to_string),
            });
        }
        let Some(wanted) = wanted else { return };
        // The object at another place, or by another identity here: nothing may be there yet.
        if let Some(held) = &decision.held
            && decision.action != Action::Adopt
            && (held.part.place != wanted.part.place
                || held.part.lowered_identity != wanted.part.lowered.identity)
        {
            self.reads.insert(Read::Observed {
                target: decision.target.clone(),
                place: wanted.part.place.clone(),
                identity: wanted.part.lowered.identity.clone(),
                access: wanted.part.lowered.access.clone(),
                fingerprint: None,
                managed: Vec::new(),
                owner: None,
            });
        }
        let place = &wanted.part.place;
        let ports = wanted.ports.iter();
        self.reads.extend(ports.map(|port| Read::PortFree { place: place.clone(), port: *port }));
    }

    /// The pinned secrets that it is made of. A store that has no key yet has nothing that a value
    /// could be compared with.
    fn pinned(&mut self, decision: &Decision<'_>) {
        let Some(wanted) = &decision.wanted else { return };
        let secrets = &self.survey.question.secrets;
        hive_contract::value::visit_fields(&wanted.fields, &mut |value| {
            let Value::Secret(secret) = value else { return };
            let reference = secret.to_string();
            if let (true, Some(Some(print))) = (secret.pin, secrets.get(&reference))
                && !print.is_empty()
            {
                let print = print.clone();
                self.reads.insert(Read::Pinned { reference, print });
            }
        });
    }

    /// What a touched resource depends on and this plan does not touch.
    fn dependencies(&mut self, at: usize, touched: &dyn Fn(usize) -> bool) {
        let subject = &self.survey.subjects[at];
        let Some(desired) = subject.desired else { return };
        let elsewhere = |address: &Address| !self.survey.at(address).is_some_and(touched);
        let mut reads = BTreeSet::new();
        for on in subject.edges.iter().chain(&subject.verified_by).filter(|on| elsewhere(on)) {
            reads.insert(Read::Exists { address: on.clone() });
        }
        desired.visit_outputs(&mut |reference| {
            if elsewhere(&reference.address) {
                let value = self.survey.recorded_output(reference);
                reads.insert(Read::Output {
                    address: reference.address.clone(),
                    output: reference.output.clone(),
                    fingerprint: value.map(Fingerprint::of),
                });
            }
        });
        self.reads.append(&mut reads);
    }

    /// What other stacks said: their values stand in the fields already, so all are bound.
    fn foreign(&mut self) {
        let foreign = self.survey.question.foreign.iter();
        self.reads.extend(foreign.map(|(stack, environment, output, fingerprint)| Read::Foreign {
            stack: stack.clone(),
            environment: environment.clone(),
            output: output.clone(),
            fingerprint: fingerprint.clone(),
        }));
    }
}
