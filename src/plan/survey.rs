//! Everything that a question is about, side by side: what is declared and what is recorded of
//! each address, who uses whom, and what a person asked.

use super::question::{Asked, PlanError, Question, Scope};
use super::verbs::Desired;
use hive_contract::{Address, Live, OutputRef, Sort, Target, Value};
use hive_state::{Part, Recorded};
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::{BTreeMap, BTreeSet};

/// One address with what is declared and what is recorded under it.
#[derive(Clone)]
pub(super) struct Subject<'a> {
    /// Its address.
    pub(super) address: &'a Address,
    /// What is declared; none where it shall be no more.
    pub(super) desired: Option<&'a Desired>,
    /// What is recorded, under this address or the one it is moved from.
    pub(super) recorded: Option<&'a Recorded>,
    /// The address it is moved from.
    pub(super) moved_from: Option<&'a Address>,
    /// The address it is moved to: nothing is decided here.
    pub(super) moved_to: bool,
    /// What it depends on as declared; empty where it is not.
    pub(super) edges: BTreeSet<Address>,
    /// The checks of its rollout; empty where it is not declared.
    pub(super) verified_by: BTreeSet<Address>,
    /// What sort of thing it is.
    pub(super) sort: Sort,
    /// What a person asked of it.
    pub(super) asked: Option<&'a Asked>,
    /// Outside of [`Scope::Exactly`]: it stays as recorded, whatever is declared.
    pub(super) excluded: bool,
}

/// All subjects of a question, sorted by address.
pub(super) struct Survey<'a> {
    /// The question.
    pub(super) question: &'a Question<'a>,
    /// The subjects.
    pub(super) subjects: Vec<Subject<'a>>,
    index: BTreeMap<&'a Address, usize>,
    users: BTreeMap<&'a Address, Vec<&'a Address>>,
}

impl<'a> Survey<'a> {
    /// Puts everything side by side.
    ///
    /// # Errors
    /// Addresses that nothing has, and moves that cannot be.
    pub(super) fn new(question: &'a Question<'a>) -> Result<Self, Vec<PlanError>> {
        let recorded = question.recorded.map(|it| &it.resources);
        let mut errors = unknown(question);
        let mut moves = BTreeMap::new();
        for (to, asked) in &question.asked {
            if let Asked::MovedFrom(from) = asked {
                match may_move(question, from, to) {
                    Ok(()) => drop(moves.insert(from, to)),
                    Err(why) => {
                        errors.push(PlanError::Move { from: from.clone(), to: to.clone(), why });
                    }
                }
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let addresses: BTreeSet<&Address> =
            question.desired.keys().chain(recorded.into_iter().flat_map(BTreeMap::keys)).collect();
        let subjects: Vec<_> =
            addresses.into_iter().map(|address| subject(question, &moves, address)).collect();
        let index = subjects.iter().enumerate().map(|(at, it)| (it.address, at)).collect();
        let mut users: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (user, it) in recorded.into_iter().flatten() {
            for on in &it.edges {
                users.entry(on).or_default().push(user);
            }
        }
        Ok(Self { question, subjects, index, users })
    }

    /// Where a subject stands in [`Self::subjects`].
    pub(super) fn at(&self, address: &Address) -> Option<usize> {
        self.index.get(address).copied()
    }

    /// The subject of an address.
    pub(super) fn get(&self, address: &Address) -> Option<&Subject<'a>> {
        self.at(address).map(|at| &self.subjects[at])
    }

    /// What is recorded as depending on an address, sorted.
    pub(super) fn users(&self, address: &Address) -> &[&'a Address] {
        self.users.get(address).map_or(&[], Vec::as_slice)
    }

    /// The declared users of each subject, by index.
    pub(super) fn declared_users(&self) -> Vec<Vec<usize>> {
        let mut users = vec![Vec::new(); self.subjects.len()];
        for (at, subject) in self.subjects.iter().enumerate() {
            for on in subject.edges.iter().filter_map(|on| self.at(on)) {
                users[on].push(at);
            }
        }
        users
    }

    /// What is live of a part at a place.
    ///
    /// # Errors
    /// It could not be read, or nobody looked.
    pub(super) fn live(&self, place: &str, target: &Target) -> Result<Option<&'a Live>, PlanError> {
        match self.question.observed.get(&(place.to_owned(), target.clone())) {
            Some(Ok(observed)) => Ok(observed.live()),
            Some(Err(failure)) => {
                let failure = failure.clone();
                Err(PlanError::Unreadable { target: target.clone(), failure })
            }
            None => Err(PlanError::NoPlace { target: target.clone(), place: place.to_owned() }),
        }
    }

    /// What is live under an address, whatever is to happen to it: of its main part where that is
    /// there. Nothing where nobody could look.
    pub(super) fn any_live(&self, address: &Address) -> Option<&'a Live> {
        let subject = self.get(address)?;
        let recorded = subject.recorded.into_iter().flat_map(|it| &it.parts);
        let recorded = recorded.map(|(name, part)| (name, &part.place));
        let desired = subject.desired.into_iter().flat_map(|it| &it.parts);
        let desired = desired.map(|(name, part)| (name, &part.place));
        let mut parts: Vec<_> = recorded.chain(desired).collect();
        parts.sort_by_key(|(name, _)| *name != hive_contract::address::MAIN);
        parts.into_iter().find_map(|(name, place)| {
            let target = Target { address: address.clone(), part: name.clone() };
            self.live(place, &target).ok().flatten()
        })
    }

    /// What is live by the identity that a part is to have, beside the recorded one.
    ///
    /// # Errors
    /// It could not be read.
    pub(super) fn beside(
        &self,
        place: &str,
        target: &Target,
    ) -> Result<Option<&'a Live>, PlanError> {
        match self.question.beside.get(&(place.to_owned(), target.clone())) {
            Some(Ok(observed)) => Ok(observed.live()),
            Some(Err(failure)) => {
                let failure = failure.clone();
                Err(PlanError::Unreadable { target: target.clone(), failure })
            }
            None => Ok(None),
        }
    }

    /// The recorded value of an output.
    pub(super) fn recorded_output(&self, reference: &OutputRef) -> Option<&'a Value> {
        let recorded = self.get(&reference.address)?.recorded?;
        recorded.parts.values().find_map(|part| part.outputs.get(&reference.output))
    }

    /// All declared subjects, each after everything that it depends on.
    ///
    /// # Errors
    /// A cycle, with its path.
    pub(super) fn dependencies_first(&self) -> Result<Vec<usize>, PlanError> {
        let mut graph = DiGraph::<(), ()>::with_capacity(self.subjects.len(), 0);
        for _ in &self.subjects {
            graph.add_node(());
        }
        for (at, subject) in self.subjects.iter().enumerate() {
            for on in subject.edges.iter().filter_map(|on| self.at(on)) {
                graph.add_edge(NodeIndex::new(at), NodeIndex::new(on), ());
            }
        }
        // Strongly connected components come dependencies first.
        let components = petgraph::algo::kosaraju_scc(&graph);
        let mut order = Vec::with_capacity(self.subjects.len());
        for component in components {
            if component.len() > 1 {
                let path = super::graph::cycle(&graph, &component);
                let name = |at: &NodeIndex| self.subjects[at.index()].address.to_string();
                return Err(PlanError::Cycle(path.iter().map(name).collect()));
            }
            order.extend(component.iter().map(|node| node.index()));
        }
        order.retain(|at| self.subjects[*at].desired.is_some());
        Ok(order)
    }
}

fn subject<'a>(
    question: &'a Question<'a>,
    moves: &BTreeMap<&'a Address, &'a Address>,
    address: &'a Address,
) -> Subject<'a> {
    let asked = question.asked.get(address);
    let excluded = match &question.scope {
        Scope::Exactly(addresses) => {
            !addresses.contains(address)
                && asked.is_none()
                && !follows_a_move(question, moves, address)
        }
        Scope::All | Scope::Only(_) => false,
    };
    let forgotten = matches!(asked, Some(Asked::Forget));
    let desired = (!forgotten).then(|| question.desired.get(address)).flatten();
    let moved_to = moves.contains_key(address);
    let moved_from = match asked {
        Some(Asked::MovedFrom(from)) => Some(from),
        _ => None,
    };
    let held_as = moved_from.unwrap_or(address);
    let recorded = question.recorded.and_then(|it| it.resources.get(held_as));
    let recorded = (!moved_to).then_some(recorded).flatten();
    let sort = match (desired, recorded) {
        (Some(desired), _) => desired.sort(),
        (None, Some(recorded)) if !recorded.parts.is_empty() => Sort::Object,
        (None, _) => Sort::Notice,
    };
    Subject {
        address,
        desired,
        recorded,
        moved_from,
        moved_to,
        edges: desired.map(Desired::edges).unwrap_or_default(),
        verified_by: desired.map(Desired::verified_by).unwrap_or_default(),
        sort,
        asked,
        excluded,
    }
}

/// Whether it is recorded as a user of something that moves: its record must name the new address.
fn follows_a_move(
    question: &Question<'_>,
    moves: &BTreeMap<&Address, &Address>,
    address: &Address,
) -> bool {
    let recorded = question.recorded.and_then(|it| it.resources.get(address));
    recorded.is_some_and(|it| moves.keys().any(|from| it.edges.contains(*from)))
}

/// Addresses that were named and that nothing has.
fn unknown(question: &Question<'_>) -> Vec<PlanError> {
    let named = match &question.scope {
        Scope::All => None,
        Scope::Only(addresses) | Scope::Exactly(addresses) => Some(addresses),
    };
    let held =
        |address: &Address| question.recorded.is_some_and(|it| it.resources.contains_key(address));
    let mut unknown: BTreeSet<&Address> = BTreeSet::new();
    for address in named.into_iter().flatten().chain(question.asked.keys()) {
        if !question.desired.contains_key(address) && !held(address) {
            unknown.insert(address);
        }
    }
    for (address, asked) in &question.asked {
        let good = match asked {
            Asked::Forget => held(address),
            Asked::Adopt { .. } | Asked::MovedFrom(_) => question.desired.contains_key(address),
            Asked::Replace | Asked::Run | Asked::Do(_) | Asked::Record => true,
        };
        if !good {
            unknown.insert(address);
        }
    }
    unknown.into_iter().cloned().map(PlanError::Unknown).collect()
}

fn may_move(question: &Question<'_>, from: &Address, to: &Address) -> Result<(), String> {
    let recorded = question.recorded.map(|it| &it.resources);
    let held = |address: &Address| recorded.and_then(|it| it.get(address));
    let Some(before) = held(from) else {
        return Err(format!("`{from}` is not recorded"));
    };
    if from.kind() != to.kind() {
        return Err(format!("a {} is no {}", from.kind(), to.kind()));
    }
    if held(to).is_some() {
        return Err(format!("`{to}` is recorded already"));
    }
    if question.desired.contains_key(from) {
        return Err(format!("`{from}` is still declared"));
    }
    let Some(desired) = question.desired.get(to) else {
        return Err(format!("`{to}` is not declared"));
    };
    for (name, part) in &before.parts {
        match desired.parts.get(name) {
            Some(now) if now.place == part.place => {}
            _ => return Err(format!("`{to}` is held at another place")),
        }
    }
    Ok(())
}

/// A subject's recorded part.
pub(super) fn held<'a>(subject: &Subject<'a>, part: &str) -> Option<&'a Part> {
    subject.recorded?.parts.get(part)
}
