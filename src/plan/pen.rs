//! What the providers would do about one decision, as drafts of steps.

use super::decide::Decision;
use super::survey::Survey;
use hive_contract::{
    Action, Change, Expects, FieldPath, Fields, Fingerprint, Live, Lowered, Operation, Phase,
    ReplaceOrder, Target,
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
    pub(super) operation: Operation,
    /// The fingerprint seen of what it acts on; none where nothing was there.
    pub(super) seen: Option<Fingerprint>,
    /// The draft before it that acts on the same live object.
    pub(super) follows: Option<usize>,
}

/// The drafts of one part.
#[derive(Default)]
pub(super) struct Lane {
    /// What makes it ready, in order.
    pub(super) ready: Vec<usize>,
    /// How many of `ready` take away what was there before.
    pub(super) taking: usize,
    /// What takes away what nobody needs any more, in order.
    pub(super) late: Vec<usize>,
}

/// Writes the drafts of one decision.
pub(super) struct Pen<'p, 'a> {
    survey: &'p Survey<'a>,
    at: usize,
    decision: &'p Decision<'a>,
    managed: Vec<FieldPath>,
    drafts: &'p mut Vec<Draft>,
    rehearsable: &'p mut Vec<(String, Change)>,
}

impl<'p, 'a> Pen<'p, 'a> {
    /// A pen for one decision about a subject, that writes behind the drafts of others.
    pub(super) fn new(
        survey: &'p Survey<'a>,
        at: usize,
        decision: &'p Decision<'a>,
        drafts: &'p mut Vec<Draft>,
        rehearsable: &'p mut Vec<(String, Change)>,
    ) -> Self {
        let subject = &survey.subjects[at];
        let declared = subject.desired.map(|it| &it.declared);
        let ignore = declared.or(subject.recorded.map(|it| &it.declared));
        let managed = decision.managed(ignore.map_or(&[], |it| &it.ignore));
        Self { survey, at, decision, managed, drafts, rehearsable }
    }

    /// The drafts of the decision, in order.
    pub(super) fn lane(mut self) -> Lane {
        let mut lane = Lane::default();
        match self.decision.action {
            Action::Replace => {
                let taken = self.take_away(Action::Delete);
                let made = self.make(Action::Create, None);
                let (ready, prune) = self.by_phase(made);
                lane.late = prune;
                if self.decision.order == ReplaceOrder::CreateFirst && self.decision.apart() {
                    lane.ready = ready;
                    lane.late.extend(taken);
                } else {
                    lane.taking = taken.len();
                    lane.ready = taken.into_iter().chain(ready).collect();
                }
            }
            Action::Delete | Action::Forget => lane.late = self.take_away(self.decision.action),
            Action::Run => {
                let made = self.make(Action::Run, self.decision.run.as_ref());
                (lane.ready, lane.late) = self.by_phase(made);
            }
            action => {
                let made = self.make(action, None);
                (lane.ready, lane.late) = self.by_phase(made);
            }
        }
        if let (Some(run), true) = (&self.decision.run, self.decision.action != Action::Run) {
            let made = self.make(Action::Run, Some(run));
            let (ready, late) = self.by_phase(made);
            lane.ready.extend(ready);
            lane.late.extend(late);
        }
        self.link(lane.ready.iter().chain(&lane.late));
        lane
    }

    /// What makes it as it shall be.
    fn make(&mut self, action: Action, run: Option<&Fields>) -> Vec<usize> {
        let Some(wanted) = &self.decision.wanted else { return Vec::new() };
        let desired =
            Lowered { fields: wanted.fields.clone().into_owned(), ..wanted.part.lowered.clone() };
        let half = self.decision.action == Action::Replace;
        let anew = action == Action::Create;
        let recorded = self.decision.held.as_ref().filter(|_| !half);
        let live = self.decision.live.filter(|_| !anew);
        let identity = match (live, &self.decision.held) {
            _ if anew => &desired.identity,
            (_, Some(held)) => &held.part.identity,
            (Some(live), None) => &live.identity,
            (None, None) => &desired.identity,
        };
        let subject = &self.survey.subjects[self.at];
        let change = Change {
            target: self.decision.target.clone(),
            action,
            identity: identity.clone(),
            recorded: recorded.map(|it| it.fields.clone().into_owned()),
            observed: live.cloned(),
            differences: if anew { Vec::new() } else { self.decision.differences.clone() },
            moved_from: subject.moved_from.cloned(),
            unverified: recorded.is_some_and(|it| !it.part.is_verified()),
            desired: Some(desired),
            run: run.cloned(),
            before: None,
            related: Default::default(),
        };
        self.write(&wanted.part.place, &change)
    }

    /// What takes away, or lets go, what is there.
    fn take_away(&mut self, action: Action) -> Vec<usize> {
        let Some(held) = &self.decision.held else { return Vec::new() };
        let change = Change {
            target: self.decision.target.clone(),
            action,
            identity: held.part.identity.clone(),
            desired: None,
            recorded: Some(held.fields.clone().into_owned()),
            observed: self.decision.live.cloned(),
            differences: Vec::new(),
            moved_from: None,
            unverified: false,
            run: None,
            before: None,
            related: Default::default(),
        };
        self.write(&held.part.place, &change)
    }

    fn write(&mut self, place: &str, change: &Change) -> Vec<usize> {
        let question = self.survey.question;
        let rehearsal = question.rehearsals.get(&change.target);
        let rehearsal = rehearsal.and_then(|it| it.as_ref().ok());
        let operations = question.verbs.steps(place, change, rehearsal);
        if question.verbs.can_rehearse(place, change) {
            self.rehearsable.push((place.to_owned(), change.clone()));
        }
        let first = self.drafts.len();
        let fingerprint = |live: &Live| Fingerprint::of_managed(&live.fields, &self.managed);
        let seen = change.observed.as_ref().map(fingerprint);
        let held = self.decision.held.as_ref().map(|it| &it.part.access);
        let access = change.desired.as_ref().map(|it| &it.access).or(held);
        let access = access.cloned().unwrap_or_default();
        self.drafts.extend(operations.into_iter().map(|operation| Draft {
            target: change.target.clone(),
            action: change.action,
            place: place.to_owned(),
            identity: change.identity.clone(),
            access: access.clone(),
            managed: self.managed.clone(),
            operation,
            seen: seen.clone(),
            follows: None,
        }));
        (first..self.drafts.len()).collect()
    }

    fn by_phase(&self, drafts: Vec<usize>) -> (Vec<usize>, Vec<usize>) {
        drafts.into_iter().partition(|it| self.drafts[*it].operation.phase != Phase::Prune)
    }

    /// Says of each draft which one before it left the live object that it acts on.
    fn link<'l>(&mut self, order: impl Iterator<Item = &'l usize>) {
        let mut last: BTreeMap<(String, String), usize> = BTreeMap::new();
        for at in order {
            let draft = &mut self.drafts[*at];
            if draft.operation.expects == Expects::Anything {
                continue;
            }
            draft.follows = last.insert((draft.place.clone(), draft.identity.clone()), *at);
        }
    }
}
