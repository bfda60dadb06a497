//! From decisions to drafts of steps: what the providers would do, and what comes before what.

use super::decide::{Decision, Verdict};
use super::graph::{Graph, Order, Rank};
use super::model::{Expected, Step};
use super::pen::{Draft, Lane, Pen};
use super::question::{Asked, PlanError};
use super::scope::Selection;
use super::survey::Survey;
use hive_contract::{Change, Expects, Reversible};
use petgraph::graph::NodeIndex;
use std::collections::BTreeMap;

/// The drafts of all resources.
#[derive(Default)]
pub(super) struct Drafts {
    all: Vec<Draft>,
    /// By subject.
    lanes: BTreeMap<usize, Vec<Lane>>,
    /// The changes that trying beforehand tells something of, with their places.
    pub(super) rehearsable: Vec<(String, Change)>,
}

impl Drafts {
    /// Asks the providers what each decision takes.
    pub(super) fn new(
        survey: &Survey<'_>,
        verdicts: &[Verdict<'_>],
        selection: &Selection,
    ) -> Self {
        let mut drafts = Self::default();
        for (at, verdict) in verdicts.iter().enumerate() {
            let Verdict::Touch(decisions) = verdict else { continue };
            if !selection.chosen[at] {
                continue;
            }
            for decision in decisions.iter().filter(|it| it.effect) {
                let lane = drafts.lane(survey, at, decision);
                drafts.lanes.entry(at).or_default().push(lane);
            }
        }
        drafts
    }

    fn lane(&mut self, survey: &Survey<'_>, at: usize, decision: &Decision<'_>) -> Lane {
        let (drafts, rehearsable) = (&mut self.all, &mut self.rehearsable);
        Pen::new(survey, at, decision, drafts, rehearsable).lane()
    }

    /// What was asked to run and its provider has no operation for.
    pub(super) fn cannot_run(&self, survey: &Survey<'_>, selection: &Selection) -> Vec<PlanError> {
        let steps = |at: &usize| {
            let lanes = self.lanes.get(at).into_iter().flatten();
            lanes.map(|it| it.ready.len() + it.late.len()).sum::<usize>()
        };
        let subjects = survey.subjects.iter().enumerate();
        let asked = subjects.filter(|(at, subject)| {
            matches!(subject.asked, Some(Asked::Run | Asked::Do(_))) && selection.chosen[*at]
        });
        let idle = asked.filter(|(at, _)| steps(at) == 0);
        idle.map(|(_, subject)| PlanError::NothingToRun(subject.address.clone())).collect()
    }

    /// Whether any resource has a step.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Puts the drafts in order.
    ///
    /// # Errors
    /// They wait for each other.
    pub(super) fn order(&self, survey: &Survey<'_>) -> Result<Order, PlanError> {
        let mut plot = Plot::new(self, survey);
        plot.makes();
        plot.takes_away();
        plot.graph.order().map_err(|cycle| {
            let name = |at: usize| survey.subjects[at].address.to_string();
            let mut path: Vec<String> = cycle.into_iter().map(name).collect();
            path.dedup();
            PlanError::Cycle(path)
        })
    }

    /// The steps, numbered.
    pub(super) fn into_steps(self, order: &Order) -> Vec<Step> {
        let mut number = vec![0; self.all.len()];
        for (at, draft) in order.drafts.iter().enumerate() {
            number[*draft] = at as u32 + 1;
        }
        let mut drafts: Vec<Option<Draft>> = self.all.into_iter().map(Some).collect();
        let mut steps = Vec::with_capacity(drafts.len());
        for (draft, needs) in order.drafts.iter().zip(&order.needs) {
            let Some(draft_of) = drafts[*draft].take() else { continue };
            let expected = match (draft_of.operation.expects, draft_of.follows) {
                (Expects::Anything, _) => Expected::Anything,
                (_, Some(before)) => Expected::After(number[before]),
                _ => Expected::Observed(draft_of.seen),
            };
            steps.push(Step {
                number: number[*draft],
                target: draft_of.target,
                action: draft_of.action,
                place: draft_of.place,
                identity: draft_of.identity,
                access: draft_of.access,
                needs: needs.iter().map(|it| *it as u32 + 1).collect(),
                expected,
                managed: draft_of.managed,
                operation: draft_of.operation,
            });
        }
        steps
    }
}

/// The moments of one resource.
#[derive(Clone, Copy)]
struct Moments {
    /// Everything that it depends on is there.
    start: NodeIndex,
    /// It is made and works.
    ready: NodeIndex,
    /// Its checks say so too.
    verified: NodeIndex,
}

/// Draws the graph of all drafts.
struct Plot<'p, 'a> {
    drafts: &'p Drafts,
    survey: &'p Survey<'a>,
    graph: Graph,
    moments: Vec<Option<Moments>>,
    /// Where everything late of a resource begins and ends.
    late: BTreeMap<usize, (NodeIndex, NodeIndex)>,
}

impl<'p, 'a> Plot<'p, 'a> {
    fn new(drafts: &'p Drafts, survey: &'p Survey<'a>) -> Self {
        let moments = vec![None; survey.subjects.len()];
        Self { drafts, survey, graph: Graph::default(), moments, late: BTreeMap::new() }
    }

    /// What makes: dependencies before users, checks between a service and its users.
    fn makes(&mut self) {
        for (at, subject) in self.survey.subjects.iter().enumerate() {
            if subject.desired.is_some() {
                self.moments[at] = Some(self.lanes_of(at));
            }
        }
        for (at, subject) in self.survey.subjects.iter().enumerate() {
            let Some(mine) = self.moments[at] else { continue };
            for on in subject.edges.iter().filter_map(|on| self.survey.at(on)) {
                let Some(its) = self.moments[on] else { continue };
                let verifies = self.survey.subjects[on].verified_by.contains(subject.address);
                self.graph.before(if verifies { its.ready } else { its.verified }, mine.start);
            }
            for check in subject.verified_by.iter().filter_map(|it| self.survey.at(it)) {
                let Some(its) = self.moments[check] else { continue };
                self.graph.before(mine.ready, its.start);
                self.graph.before(its.verified, mine.verified);
            }
        }
    }

    fn lanes_of(&mut self, at: usize) -> Moments {
        let Some(lanes) = self.drafts.lanes.get(&at) else {
            // Nothing happens to it: one moment, so that what waits for it waits for what it
            // depends on.
            let only = self.graph.moment(at);
            let verified = match self.survey.subjects[at].verified_by.is_empty() {
                true => only,
                false => self.graph.moment(at),
            };
            self.graph.before(only, verified);
            return Moments { start: only, ready: only, verified };
        };
        let (start, ready) = (self.graph.moment(at), self.graph.moment(at));
        let verified = self.graph.moment(at);
        self.graph.before(ready, verified);
        for lane in lanes {
            self.chain(at, &lane.ready, 0, start, ready);
        }
        Moments { start, ready, verified }
    }

    /// Steps one after the other, between two moments.
    fn chain(&mut self, at: usize, drafts: &[usize], stage: u8, start: NodeIndex, end: NodeIndex) {
        let mut last = start;
        for draft in drafts {
            let lasts = self.drafts.all[*draft].operation.reversible != Reversible::Reversible;
            let stage = if lasts { 2 } else { stage };
            let node = self.graph.step(Rank { stage, subject: at, draft: *draft });
            self.graph.before(last, node);
            last = node;
        }
        self.graph.before(last, end);
    }

    /// What takes away: after everything that moved off, users before what they used.
    fn takes_away(&mut self) {
        let drafts = self.drafts;
        for (at, lanes) in &drafts.lanes {
            if lanes.iter().all(|lane| lane.late.is_empty()) {
                continue;
            }
            let (start, end) = (self.graph.moment(*at), self.graph.moment(*at));
            self.late.insert(*at, (start, end));
            for lane in lanes.iter().filter(|lane| !lane.late.is_empty()) {
                self.chain(*at, &lane.late, 1, start, end);
            }
        }
        let declared_users = self.survey.declared_users();
        for (at, (start, _)) in self.late.clone() {
            let subject = &self.survey.subjects[at];
            if let Some(mine) = self.moments[at] {
                self.graph.before(mine.verified, start);
            }
            for user in &declared_users[at] {
                self.moves_off(*user, start);
            }
            for user in self.survey.users(subject.address) {
                let Some(user) = self.survey.at(user) else { continue };
                self.moves_off(user, start);
            }
        }
        self.taken_first();
    }

    /// A user is made anew, or is gone, before what it used is taken away.
    fn moves_off(&mut self, user: usize, start: NodeIndex) {
        if !self.drafts.lanes.contains_key(&user) {
            return;
        }
        match (self.moments[user], self.late.get(&user)) {
            (Some(its), _) => self.graph.before(its.verified, start),
            (None, Some((_, end))) => self.graph.before(*end, start),
            (None, None) => {}
        }
    }

    /// What is replaced by taking it away first goes after those of its users that go for good.
    fn taken_first(&mut self) {
        let drafts = self.drafts;
        for (at, lanes) in &drafts.lanes {
            let (Some(mine), true) = (self.moments[*at], lanes.iter().any(|it| it.taking > 0))
            else {
                continue;
            };
            for user in self.survey.users(self.survey.subjects[*at].address) {
                let Some(user) = self.survey.at(user) else { continue };
                if let (None, Some((_, end))) = (self.moments[user], self.late.get(&user)) {
                    self.graph.rather_before(*end, mine.start);
                }
            }
        }
    }
}
