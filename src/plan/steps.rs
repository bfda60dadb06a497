//! From decisions to drafts of steps: what the providers would do, and what comes before what.

use super::decide::{Decision, Verdict};
use super::graph::{Graph, Order, Rank};
use super::model::{Expected, Step};
use super::pen::{Draft, Lane, Pen, Sheet};
use super::question::{Asked, PlanError};
use super::scope::Selection;
use super::survey::Survey;
use hive_contract::{Address, Change, Expects, OutputRef, Phase, Reversible, Target, WayBack};
use petgraph::graph::NodeIndex;
use std::collections::{BTreeMap, BTreeSet};

/// By subject with an operation during which nobody may use it: the subjects that do and run.
pub(super) type Around = BTreeMap<usize, BTreeSet<usize>>;

/// The drafts of all resources.
#[derive(Default)]
pub(super) struct Drafts {
    sheet: Sheet,
    /// By subject.
    lanes: BTreeMap<usize, Vec<Lane>>,
    around: Around,
}

impl Drafts {
    /// Asks the providers what each decision takes.
    pub(super) fn new(
        survey: &Survey<'_>,
        verdicts: &[Verdict<'_>],
        selection: &Selection,
        around: Around,
    ) -> Self {
        let mut drafts = Self { around, ..Self::default() };
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
        Pen::new(survey, at, decision, &mut self.sheet).lane()
    }

    /// Whether a subject has any.
    pub(super) fn have(&self, at: usize) -> bool {
        self.lanes.get(&at).into_iter().flatten().any(|lane| lane.all().next().is_some())
    }

    /// The subjects with an operation during which nobody may use them.
    pub(super) fn needing_quiet(&self) -> Vec<usize> {
        let stopped = |it: &usize| self.sheet.drafts[*it].operation.phase == Phase::Stopped;
        let needs = |lanes: &Vec<Lane>| lanes.iter().any(|it| it.ready.iter().any(stopped));
        self.lanes.iter().filter(|(_, lanes)| needs(lanes)).map(|(at, _)| *at).collect()
    }

    /// What the providers find wrong.
    pub(super) fn wrong(&self) -> &[PlanError] {
        &self.sheet.wrong
    }

    /// The changes that trying beforehand tells something of, with their places.
    pub(super) fn rehearsable(self) -> Vec<(String, Change)> {
        self.sheet.rehearsable
    }

    /// The ways back from each change that says some.
    pub(super) fn ways(&self) -> BTreeMap<Target, Vec<WayBack>> {
        self.sheet.ways.clone()
    }

    /// Outputs that operations are made of, with who is.
    pub(super) fn outputs(&self) -> BTreeSet<(&Address, OutputRef)> {
        let named = |draft: &Draft| hive_contract::value::outputs_in(&draft.operation.payload);
        let drafts = self.sheet.drafts.iter();
        drafts.flat_map(|it| named(it).into_iter().map(|on| (&it.target.address, on))).collect()
    }

    /// What was asked to run and its provider has no operation for.
    pub(super) fn cannot_run(&self, survey: &Survey<'_>, selection: &Selection) -> Vec<PlanError> {
        let subjects = survey.subjects.iter().enumerate();
        let asked = subjects.filter(|(at, subject)| {
            matches!(subject.asked, Some(Asked::Run)) && selection.chosen[*at]
        });
        let idle = asked.filter(|(at, _)| !self.have(*at));
        idle.map(|(_, subject)| PlanError::NothingToRun(subject.address.clone())).collect()
    }

    /// Whether something is lost on the way back over a draft.
    fn lasts(&self, draft: usize) -> bool {
        self.sheet.drafts[draft].operation.reversible != Reversible::Reversible
    }

    /// Whether any resource has a step.
    pub(super) fn is_empty(&self) -> bool {
        self.sheet.drafts.is_empty()
    }

    /// Puts the drafts in order.
    ///
    /// # Errors
    /// They wait for each other.
    pub(super) fn order(&self, survey: &Survey<'_>) -> Result<Order, PlanError> {
        let mut plot = Plot::new(self, survey);
        plot.makes();
        plot.halts();
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
        let mut number = vec![0; self.sheet.drafts.len()];
        for (at, draft) in order.drafts.iter().enumerate() {
            number[*draft] = at as u32 + 1;
        }
        let mut drafts: Vec<Option<Draft>> = self.sheet.drafts.into_iter().map(Some).collect();
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
                acts: draft_of.acts,
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
    /// Where a resource begins to be stopped, and nothing of it runs any more.
    halt: BTreeMap<usize, (NodeIndex, NodeIndex)>,
    /// Nobody uses it any more.
    quiet: BTreeMap<usize, NodeIndex>,
}

impl<'p, 'a> Plot<'p, 'a> {
    fn new(drafts: &'p Drafts, survey: &'p Survey<'a>) -> Self {
        let mut graph = Graph::default();
        let quiet = drafts.around.keys().map(|at| (*at, graph.moment(*at))).collect();
        let moments = vec![None; survey.subjects.len()];
        let (late, halt) = (BTreeMap::new(), BTreeMap::new());
        Self { drafts, survey, graph, moments, late, halt, quiet }
    }

    /// What makes: dependencies before users, checks between a service and its users.
    fn makes(&mut self) {
        for (at, subject) in self.survey.subjects.iter().enumerate() {
            if subject.desired.is_some() || self.is_halted(at) {
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
            let stage = if self.drafts.lasts(*draft) { 2 } else { stage };
            let node = self.graph.step(Rank { stage, subject: at, draft: *draft });
            self.graph.before(last, node);
            let phase = self.drafts.sheet.drafts[*draft].operation.phase;
            if let (Phase::Stopped, Some(quiet)) = (phase, self.quiet.get(&at)) {
                self.graph.before(*quiet, node);
            }
            last = node;
        }
        self.graph.before(last, end);
    }

    fn is_halted(&self, at: usize) -> bool {
        self.drafts.lanes.get(&at).into_iter().flatten().any(|it| !it.halt.is_empty())
    }

    /// What uses something is stopped before nobody may use it, as late as can be, and started
    /// behind it.
    fn halts(&mut self) {
        let drafts = self.drafts;
        for (at, lanes) in &drafts.lanes {
            let (Some(mine), true) = (self.moments[*at], self.is_halted(*at)) else { continue };
            let (start, end) = (self.graph.moment(*at), self.graph.moment(*at));
            self.halt.insert(*at, (start, end));
            for lane in lanes {
                self.chain(*at, &lane.halt, 0, start, end);
            }
            self.graph.before(end, mine.start);
        }
        for (at, (_, end)) in &self.halt {
            let edges = self.survey.subjects[*at].edges.iter();
            for on in edges.filter_map(|on| self.survey.at(on)) {
                // Nobody is left without what it uses before it is stopped itself.
                if let Some((start, _)) = self.halt.get(&on) {
                    self.graph.rather_before(*end, *start);
                }
            }
        }
        for (on, users) in &drafts.around {
            let Some(its) = self.moments[*on] else { continue };
            for user in users {
                let Some((start, end)) = self.halt.get(user).copied() else { continue };
                self.graph.before(end, self.quiet[on]);
                self.graph.rather_before(its.start, start);
                if let Some(mine) = self.moments[*user] {
                    self.graph.rather_before(its.ready, mine.start);
                }
            }
        }
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
            // What goes before nobody may use something does not wait for users that are stopped
            // by then, and start only behind it.
            let early = drafts.around.values().any(|it| it.contains(&at));
            for user in &declared_users[at] {
                self.moves_off(*user, start, early);
            }
            for user in self.survey.users(subject.address) {
                let Some(user) = self.survey.at(user) else { continue };
                self.moves_off(user, start, early);
            }
        }
        self.taken_first();
        self.gone_before_quiet();
        self.last_of_all();
    }

    /// A user is made anew, or is gone, before what it used is taken away.
    fn moves_off(&mut self, user: usize, start: NodeIndex, early: bool) {
        if !self.drafts.lanes.contains_key(&user) {
            return;
        }
        if let (Some((_, stopped)), true) = (self.halt.get(&user), early) {
            self.graph.before(*stopped, start);
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
            let (Some(mine), true) = (self.moments[*at], lanes.iter().any(|it| it.takes)) else {
                continue;
            };
            let first = self.halt.get(at).map_or(mine.start, |(start, _)| *start);
            for user in self.survey.users(self.survey.subjects[*at].address) {
                let Some(user) = self.survey.at(user) else { continue };
                if let (None, Some((_, end))) = (self.moments[user], self.late.get(&user)) {
                    self.graph.rather_before(*end, first);
                }
            }
        }
    }

    /// A user that goes for good is gone before nobody may use what it uses.
    fn gone_before_quiet(&mut self) {
        for (on, users) in &self.drafts.around {
            for user in users.iter().filter(|it| self.moments[**it].is_none()) {
                if let Some((_, end)) = self.late.get(user) {
                    self.graph.before(*end, self.quiet[on]);
                }
            }
        }
    }

    /// What of a resource that stays takes away without a way back comes after everything else,
    /// whoever uses it: whatever fails before is taken back as a whole.
    fn last_of_all(&mut self) {
        let drafts = self.drafts;
        let lasts = |at: &usize| {
            let lanes = drafts.lanes.get(at).into_iter().flatten();
            let late = lanes.flat_map(|it| &it.late).any(|it| drafts.lasts(*it));
            late && self.survey.subjects[*at].desired.is_some()
        };
        let last: Vec<usize> = self.late.keys().copied().filter(lasts).collect();
        let Some(first) = last.first() else { return };
        let all = self.graph.moment(*first);
        for its in self.moments.iter().flatten() {
            self.graph.before(its.verified, all);
        }
        for (at, (start, end)) in &self.late {
            match last.contains(at) {
                true => self.graph.before(all, *start),
                false => self.graph.before(*end, all),
            }
        }
    }
}
