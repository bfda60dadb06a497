//! What the providers would do about one decision, as drafts of steps.

use super::decide::{Decision, Wanted};
use super::question::PlanError;
use super::survey::Survey;
use hive_contract::{
    Action, Address, Change, Expects, FieldPath, Fields, Fingerprint, Live, Lowered, Operation,
    Phase, ReplaceOrder, Sort, Target, WayBack,
};
use std::collections::BTreeMap;

/// One operation that has no number yet.
pub(super) struct Draft {
    pub(super) target: Target,
    pub(super) action: Action,
    pub(super) place: String,
    pub(super) identity: String,
    pub(super) access: Fields,
    pub(super) managed: Vec<FieldPath>,
    /// Whether it is a run of something live.
    pub(super) acts: bool,
    pub(super) operation: Operation,
    /// The fingerprint seen of what it acts on; none where nothing was there.
    pub(super) seen: Option<Fingerprint>,
    /// The draft before it that acts on the same live object.
    pub(super) follows: Option<usize>,
}

/// The drafts of one part.
#[derive(Default)]
pub(super) struct Lane {
    /// What makes nothing of it run, before something that it uses is changed.
    pub(super) halt: Vec<usize>,
    /// What makes it ready, in order.
    pub(super) ready: Vec<usize>,
    /// Whether the first of `halt`, else of `ready`, take away what was there before.
    pub(super) takes: bool,
    /// What takes away what nobody needs any more, in order.
    pub(super) late: Vec<usize>,
}

impl Lane {
    /// All drafts, in the order in which they act on the live object.
    pub(super) fn all(&self) -> impl Iterator<Item = usize> {
        self.halt.iter().chain(&self.ready).chain(&self.late).copied()
    }
}

/// What all pens write on.
#[derive(Default)]
pub(super) struct Sheet {
    /// The drafts.
    pub(super) drafts: Vec<Draft>,
    /// The changes that trying beforehand tells something of, with their places.
    pub(super) rehearsable: Vec<(String, Change)>,
    /// The ways back from each change that says some.
    pub(super) ways: BTreeMap<Target, Vec<WayBack>>,
    /// What the providers find wrong with a change.
    pub(super) wrong: Vec<PlanError>,
}

/// Writes the drafts of one decision.
pub(super) struct Pen<'p, 'a> {
    survey: &'p Survey<'a>,
    at: usize,
    decision: &'p Decision<'a>,
    managed: Vec<FieldPath>,
    sheet: &'p mut Sheet,
}

impl<'p, 'a> Pen<'p, 'a> {
    /// A pen for one decision about a subject, that writes behind the drafts of others.
    pub(super) fn new(
        survey: &'p Survey<'a>,
        at: usize,
        decision: &'p Decision<'a>,
        sheet: &'p mut Sheet,
    ) -> Self {
        let subject = &survey.subjects[at];
        let declared = subject.desired.map(|it| &it.declared);
        let ignore = declared.or(subject.recorded.map(|it| &it.declared));
        let managed = decision.managed(ignore.map_or(&[], |it| &it.ignore));
        Self { survey, at, decision, managed, sheet }
    }

    /// The drafts of the decision.
    pub(super) fn lane(mut self) -> Lane {
        let mut lane = match (&self.decision.halted, self.decision.action) {
            (None, _) => self.usual(),
            (Some(_), action) => self.halted(action),
        };
        if let (Some(run), true) = (&self.decision.run, self.decision.action != Action::Run) {
            let made = self.make(Action::Run, Some(run));
            let (ready, late) = self.by_phase(made);
            lane.ready.extend(ready);
            lane.late.extend(late);
        }
        self.link(&lane);
        lane
    }

    fn usual(&mut self) -> Lane {
        let mut lane = Lane::default();
        match self.decision.action {
            Action::Replace => return self.replaced(),
            Action::Delete | Action::Forget => lane.late = self.take_away(self.decision.action),
            action => {
                let run = self.decision.run.as_ref().filter(|_| action == Action::Run);
                let made = self.make(action, run);
                (lane.ready, lane.late) = self.by_phase(made);
            }
        }
        lane
    }

    fn replaced(&mut self) -> Lane {
        let mut lane = Lane::default();
        let taken = self.take_away(Action::Delete);
        let made = self.make(Action::Create, None);
        (lane.ready, lane.late) = self.by_phase(made);
        if self.decision.order == ReplaceOrder::CreateFirst && self.decision.apart() {
            lane.late.extend(taken);
        } else {
            lane.takes = !taken.is_empty();
            lane.ready.splice(0..0, taken);
        }
        lane
    }

    /// Stopped before what it uses is changed, and started behind that as it shall be.
    fn halted(&mut self, action: Action) -> Lane {
        let mut lane = Lane::default();
        match action {
            Action::Replace => {
                lane = self.replaced();
                let taken = |it: &usize| self.sheet.drafts[*it].action == Action::Delete;
                (lane.halt, lane.ready) = lane.ready.into_iter().partition(taken);
                if lane.halt.is_empty() {
                    lane.halt = self.stop();
                }
            }
            Action::Adopt => {
                lane.halt = self.stop();
                let made = self.make(action, None);
                (lane.ready, lane.late) = self.by_phase(made);
                lane.ready.extend(self.start());
            }
            Action::Forget => {
                lane.halt = self.stop();
                lane.ready = self.start();
                lane.late = self.take_away(action);
            }
            _ => {
                lane.halt = self.stop();
                lane.ready = self.start();
            }
        }
        lane
    }

    /// What makes it as it shall be; with `run`, what is asked of it beyond that.
    fn make(&mut self, action: Action, run: Option<&Fields>) -> Vec<usize> {
        let Some(wanted) = &self.decision.wanted else { return Vec::new() };
        let half = self.decision.action == Action::Replace;
        let anew = action == Action::Create;
        let recorded = self.decision.held.as_ref().filter(|_| !half);
        let live = self.decision.live.filter(|_| !anew);
        let identity = match (live, &self.decision.held) {
            _ if anew => &wanted.part.lowered.identity,
            (_, Some(held)) => &held.part.identity,
            (Some(live), None) => &live.identity,
            (None, None) => &wanted.part.lowered.identity,
        };
        let subject = &self.survey.subjects[self.at];
        let change = Change {
            recorded: recorded.map(|it| it.fields.clone().into_owned()),
            observed: live.cloned(),
            differences: if anew { Vec::new() } else { self.decision.differences.clone() },
            moved_from: subject.moved_from.cloned(),
            unverified: recorded.is_some_and(|it| !it.part.is_verified()),
            desired: Some(desired(wanted)),
            run: run.cloned(),
            before: self.before(&wanted.part.lowered, run.is_some()),
            related: self.related(&wanted.part.lowered),
            ..Change::new(self.decision.target.clone(), action, identity)
        };
        self.write(&wanted.part.place, &change)
    }

    /// What takes away, or lets go, what is there.
    fn take_away(&mut self, action: Action) -> Vec<usize> {
        let Some(held) = &self.decision.held else { return Vec::new() };
        self.write(&held.part.place, &self.about_held(action))
    }

    /// What makes nothing of it run.
    fn stop(&mut self) -> Vec<usize> {
        let Some(held) = &self.decision.held else { return Vec::new() };
        let change = self.about_held(Action::Stop);
        let operations = self.survey.question.verbs.stop(&held.part.place, &change);
        self.draft(&held.part.place, &change, operations)
    }

    /// What makes it run again as it shall be.
    fn start(&mut self) -> Vec<usize> {
        let Some(held) = &self.decision.held else { return Vec::new() };
        let mut change = self.about_held(Action::Start);
        change.desired = self.decision.wanted.as_ref().map(desired);
        change.differences = self.decision.differences.clone();
        let operations = self.survey.question.verbs.start(&held.part.place, &change);
        self.draft(&held.part.place, &change, operations)
    }

    fn about_held(&self, action: Action) -> Change {
        let held = self.decision.held.as_ref();
        let identity = held.map_or("", |it| it.part.identity.as_str());
        // How it is reached stands in no field.
        let reached = held.is_some_and(|it| !it.part.access.is_empty());
        Change {
            recorded: held.map(|it| it.fields.clone().into_owned()),
            observed: self.decision.live.cloned(),
            before: reached.then(|| self.recorded_today()).flatten(),
            ..Change::new(self.decision.target.clone(), action, identity)
        }
    }

    /// What is recorded, lowered today: for what is more than its fields, and for a run.
    fn before(&self, wanted: &Lowered, runs: bool) -> Option<Box<Lowered>> {
        if wanted.material.is_empty() && wanted.access.is_empty() && !runs {
            return None;
        }
        self.recorded_today()
    }

    fn recorded_today(&self) -> Option<Box<Lowered>> {
        let held = self.decision.held.as_ref()?;
        let recorded = self.survey.subjects[self.at].recorded?;
        let parts = self.survey.question.verbs.lower(&recorded.declared).ok()?;
        let same = |it: &super::verbs::LoweredPart| {
            it.part == self.decision.target.part && it.provider == held.part.provider
        };
        let part = parts.into_iter().find(same)?;
        let fields = held.fields.clone().into_owned();
        Some(Box::new(Lowered { fields, ..part.lowered }))
    }

    fn related(&self, wanted: &Lowered) -> BTreeMap<Address, Live> {
        let live = |it: &Address| Some((it.clone(), self.survey.any_live(it)?.clone()));
        wanted.looks_at.iter().filter_map(live).collect()
    }

    fn write(&mut self, place: &str, change: &Change) -> Vec<usize> {
        let question = self.survey.question;
        let address = &change.target.address;
        let objections = question.verbs.objections(place, change).into_iter();
        let wrong =
            objections.map(|invalid| PlanError::Invalid { address: address.clone(), invalid });
        self.sheet.wrong.extend(wrong);
        let tried = question.rehearsals.get(&change.target);
        let rehearsal = tried.and_then(|it| it.as_ref().ok());
        let mut operations = question.verbs.steps(place, change, rehearsal);
        if question.verbs.can_rehearse(place, change) {
            self.sheet.rehearsable.push((place.to_owned(), change.clone()));
            if matches!(tried, Some(Err(_))) {
                operations.iter_mut().for_each(not_rehearsed);
            }
        }
        if !operations.is_empty() {
            let ways = question.verbs.ways_back(place, change, rehearsal);
            if !ways.is_empty() {
                self.sheet.ways.entry(change.target.clone()).or_default().extend(ways);
            }
        }
        self.sheet.wrong.extend(takes_first(&change.target, &operations));
        self.draft(place, change, operations)
    }

    fn draft(&mut self, place: &str, change: &Change, operations: Vec<Operation>) -> Vec<usize> {
        let first = self.sheet.drafts.len();
        let fingerprint = |live: &Live| Fingerprint::of_managed(&live.fields, &self.managed);
        let seen = change.observed.as_ref().map(fingerprint);
        let held = self.decision.held.as_ref().map(|it| &it.part.access);
        let access = change.desired.as_ref().map(|it| &it.access).or(held);
        let access = access.cloned().unwrap_or_default();
        let acts = change.action == Action::Run && self.decision.sort == Sort::Object;
        self.sheet.drafts.extend(operations.into_iter().map(|operation| Draft {
            target: change.target.clone(),
            action: change.action,
            place: place.to_owned(),
            identity: change.identity.clone(),
            access: access.clone(),
            managed: self.managed.clone(),
            acts,
            operation,
            seen: seen.clone(),
            follows: None,
        }));
        (first..self.sheet.drafts.len()).collect()
    }

    fn by_phase(&self, drafts: Vec<usize>) -> (Vec<usize>, Vec<usize>) {
        drafts.into_iter().partition(|it| self.sheet.drafts[*it].operation.phase != Phase::Prune)
    }

    /// Says of each draft which one before it left the live object that it acts on.
    fn link(&mut self, lane: &Lane) {
        let mut last: BTreeMap<(String, String), usize> = BTreeMap::new();
        for at in lane.all() {
            let draft = &mut self.sheet.drafts[at];
            if draft.operation.expects == Expects::Anything {
                continue;
            }
            draft.follows = last.insert((draft.place.clone(), draft.identity.clone()), at);
        }
    }
}

fn desired(wanted: &Wanted<'_>) -> Lowered {
    Lowered { fields: wanted.fields.clone().into_owned(), ..wanted.part.lowered.clone() }
}

fn not_rehearsed(operation: &mut Operation) {
    let note = "not rehearsed".to_owned();
    if !operation.notes.contains(&note) {
        operation.notes.push(note);
    }
}

/// Users move over to what is made before what they used is taken away: the other way round there
/// is no moment at which both the old and the new of them run.
fn takes_first(target: &Target, operations: &[Operation]) -> Option<PlanError> {
    let takes = operations.iter().position(|it| it.phase == Phase::Prune)?;
    let makes = operations[takes..].iter().find(|it| it.phase != Phase::Prune)?;
    Some(PlanError::TakesFirst {
        target: target.clone(),
        takes: operations[takes].title.clone(),
        makes: makes.title.clone(),
    })
}
