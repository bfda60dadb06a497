//! Head, plan and journal → the snapshot after an apply, however it ended.
//!
//! From the plan come the addresses that it has records for, everything else comes from head, so
//! that two plans which do not touch each other both hold.

use super::model::{Plan, PlannedPart, PlannedRecord, Step};
use super::outputs::Outputs;
use hive_contract::outcome::Remains;
use hive_contract::{
    Action, Address, Fields, Fingerprint, Live, Outcome, OutputRef, Phase, Target, Undo,
};
use hive_state::{Broken, Ending, Part, Recorded, Replay, Snapshot, StepRecord, StepState};
use std::collections::{BTreeMap, BTreeSet};

/// Why there is no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// The journal says nothing.
    #[error("the journal is not opened")]
    NotOpened,
    /// Head is another stack's or environment's.
    #[error("the plan is for {plan}, and the newest snapshot is of {head}")]
    Another {
        /// The plan's stack and environment.
        plan: String,
        /// Head's.
        head: String,
    },
    /// The journal has a step that the plan does not have.
    #[error("the journal has a step {0}, which the plan does not have")]
    NoStep(u32),
    /// A done step was made of an output that nobody said.
    #[error("`{target}` is done, and was made of `{}.{}`, which nobody said", output.address, output.output)]
    Unfilled {
        /// Which part.
        target: Target,
        /// Which output.
        output: OutputRef,
    },
    /// The snapshot would break a rule.
    #[error("the snapshot would not hold: {0}")]
    Broken(#[from] Broken),
}

/// Folds what a journal says into head.
///
/// A step that is done leaves what the plan recorded for it, one that was taken back what head
/// had, one that failed what it left, and one whose end is open a part that is `unsure`. A gate
/// that did not hold before something else went on is forgotten, so that the next plan runs it.
///
/// # Errors
/// The three do not belong together, or the result would break a rule of snapshots.
pub fn fold(
    head: Option<&Snapshot>,
    plan: &Plan,
    replay: &Replay,
    ending: Ending,
    at_ms: u64,
) -> Result<Snapshot, FoldError> {
    let opened = replay.opened.as_ref().ok_or(FoldError::NotOpened)?;
    belong_together(head, plan, replay)?;
    let folding = Folding::new(head, plan, replay, ending);
    let mut resources = head.map(|it| it.resources.clone()).unwrap_or_default();
    let mut whole = folding.whole();
    for (address, record) in &plan.records {
        if folding.moves.contains(address) {
            continue;
        }
        let folded = folding.resource(address, record.as_ref())?;
        whole &= folded.whole;
        if let Some(from) = record.as_ref().and_then(|it| it.moved_from.as_ref())
            && folded.recorded.is_some()
        {
            resources.remove(from);
        }
        match folded.recorded {
            Some(recorded) => drop(resources.insert(address.clone(), recorded)),
            None => drop(resources.remove(address)),
        }
    }
    let applied = ending == Ending::Applied;
    let mut variables = head.map(|it| it.variables.clone()).unwrap_or_default();
    if applied {
        variables.extend(plan.variables.clone());
    }
    let head_guards = head.map(|it| it.guards.clone());
    let snapshot = Snapshot {
        number: head.map_or(1, |it| it.number + 1),
        parent: head.map(Fingerprint::of),
        stack: plan.stack.clone(),
        environment: plan.environment.clone(),
        whole,
        apply: opened.apply.clone(),
        at_ms,
        guards: plan.guards.clone().filter(|_| applied).or(head_guards).unwrap_or_default(),
        variables,
        places: places(head, plan, &resources),
        resources,
    };
    snapshot.verify()?;
    Ok(snapshot)
}

fn belong_together(head: Option<&Snapshot>, plan: &Plan, replay: &Replay) -> Result<(), FoldError> {
    if let Some(head) = head
        && (head.stack != plan.stack || head.environment != plan.environment)
    {
        return Err(FoldError::Another {
            plan: format!("{}, {}", plan.stack, plan.environment),
            head: format!("{}, {}", head.stack, head.environment),
        });
    }
    match replay.steps.keys().find(|number| plan.step(**number).is_none()) {
        Some(number) => Err(FoldError::NoStep(*number)),
        None => Ok(()),
    }
}

/// The places of all parts, and no others.
fn places(
    head: Option<&Snapshot>,
    plan: &Plan,
    resources: &BTreeMap<Address, Recorded>,
) -> BTreeMap<String, hive_contract::Place> {
    let ids: BTreeSet<&String> =
        resources.values().flat_map(|it| it.parts.values()).map(|it| &it.place).collect();
    let place = |id: &&String| {
        plan.places.get(*id).or_else(|| head?.places.get(*id)).map(|it| ((*id).clone(), it.clone()))
    };
    ids.iter().filter_map(place).collect()
}

/// What one resource is after the apply.
struct Folded {
    recorded: Option<Recorded>,
    /// Whether all of it happened or none of it.
    whole: bool,
}

struct Folding<'f> {
    head: Option<&'f Snapshot>,
    plan: &'f Plan,
    replay: &'f Replay,
    ending: Ending,
    outputs: Outputs<'f>,
    steps: BTreeMap<&'f Address, Vec<&'f Step>>,
    /// The addresses that something is moved from.
    moves: BTreeSet<&'f Address>,
    /// Whether any step that is no gate left something.
    left_something: bool,
}

impl<'f> Folding<'f> {
    fn new(head: Option<&'f Snapshot>, plan: &'f Plan, replay: &'f Replay, ending: Ending) -> Self {
        let mut steps: BTreeMap<&Address, Vec<&Step>> = BTreeMap::new();
        for step in &plan.steps {
            steps.entry(&step.target.address).or_default().push(step);
        }
        let records = plan.records.values().flatten();
        let moves = records.filter_map(|it| it.moved_from.as_ref()).collect();
        let outputs = Outputs::new(head, plan, replay);
        let left = |its: &Vec<&Step>, step: &Step| {
            !is_gate(plan, step) && fate(replay, its, step) == Fate::Left
        };
        let left_something = steps.values().any(|its| its.iter().any(|step| left(its, step)));
        Self { head, plan, replay, ending, outputs, steps, moves, left_something }
    }

    /// Whether the snapshot is whole, as far as the resources say nothing else.
    fn whole(&self) -> bool {
        let head = self.head.is_none_or(|it| it.whole);
        match self.ending {
            Ending::Applied => head || self.plan.covers_all,
            Ending::RolledBack => head,
            Ending::Halted | Ending::Interrupted | Ending::ClosedByHand => {
                head && !self.left_something
            }
        }
    }

    fn resource(
        &self,
        address: &Address,
        record: Option<&PlannedRecord>,
    ) -> Result<Folded, FoldError> {
        let held_as = record.and_then(|it| it.moved_from.as_ref()).unwrap_or(address);
        let before = self.head.and_then(|it| it.resources.get(held_as));
        let steps = self.steps.get(address).map_or(&[][..], Vec::as_slice);
        let fates: BTreeSet<Fate> = steps.iter().map(|it| fate(self.replay, steps, it)).collect();
        let as_before = || {
            let moves = record.is_some_and(|it| it.moved_from.is_some());
            if moves { None } else { before.cloned() }
        };
        if steps.is_empty() {
            return Ok(match self.ending {
                Ending::Applied => self.happened(address, before, record, steps)?,
                _ => Folded { recorded: as_before(), whole: true },
            });
        }
        if steps.iter().all(|it| is_gate(self.plan, it)) {
            let held = steps.iter().all(|it| done(self.replay, it));
            // What it held for is taken back, or never was: it is what it was before.
            let stays = self.ending != Ending::Applied
                && (self.ending == Ending::RolledBack || !self.left_something);
            return match held {
                _ if stays => Ok(Folded { recorded: as_before(), whole: true }),
                true => self.happened(address, before, record, steps),
                false => Ok(Folded { recorded: None, whole: true }),
            };
        }
        if fates.iter().all(|it| *it == Fate::Nothing) {
            return Ok(Folded { recorded: as_before(), whole: true });
        }
        if steps.iter().all(|it| done(self.replay, it)) {
            return self.happened(address, before, record, steps);
        }
        let parts = self.parts(address, before, record, steps)?;
        let unsure = parts.values().any(|it| it.unsure);
        if fates.iter().all(|it| matches!(it, Fate::Nothing | Fate::TakenBack)) {
            let moved_on = record.is_some_and(|it| it.moved_from.is_some());
            let recorded = before
                .filter(|_| !moved_on)
                .map(|it| Recorded { parts: parts.clone(), ..it.clone() });
            // A create that was taken back and left something is not forgotten.
            let recorded = match (recorded, record) {
                (None, Some(record)) if !parts.is_empty() && !moved_on => {
                    partly(None, Some(record), parts)
                }
                (recorded, _) => recorded,
            };
            return Ok(Folded { recorded, whole: !unsure });
        }
        let nothing = before.is_none() && parts.is_empty();
        let recorded = if nothing { None } else { partly(before, record, parts) };
        Ok(Folded { recorded, whole: false })
    }

    /// Everything that was planned for it happened.
    fn happened(
        &self,
        address: &Address,
        before: Option<&Recorded>,
        record: Option<&PlannedRecord>,
        steps: &[&Step],
    ) -> Result<Folded, FoldError> {
        let Some(record) = record else { return Ok(Folded { recorded: None, whole: true }) };
        let recorded = Recorded {
            declared: record.declared.clone(),
            parts: self.parts(address, before, Some(record), steps)?,
            edges: record.edges.clone(),
        };
        Ok(Folded { recorded: Some(recorded), whole: true })
    }

    fn parts(
        &self,
        address: &Address,
        before: Option<&Recorded>,
        record: Option<&PlannedRecord>,
        steps: &[&Step],
    ) -> Result<BTreeMap<String, Part>, FoldError> {
        let names: BTreeSet<&String> = before
            .into_iter()
            .flat_map(|it| it.parts.keys())
            .chain(record.into_iter().flat_map(|it| it.parts.keys()))
            .collect();
        let mut parts = BTreeMap::new();
        for name in names {
            let target = Target { address: address.clone(), part: name.clone() };
            let story = Story {
                folding: self,
                steps: steps.iter().copied().filter(|it| it.target == target).collect(),
                target,
                before: before.and_then(|it| it.parts.get(name)),
                planned: record.and_then(|it| it.parts.get(name)),
            };
            let (now, beside) = story.told()?;
            parts.extend(now.map(|part| (name.clone(), part)));
            // The object that was to be taken away after the new one was made is still there: it
            // stays recorded, as a part that nothing declares, so that the next plan deletes it.
            parts.extend(beside.map(|part| (format!("{name}-before"), part)));
        }
        Ok(parts)
    }
}

/// A resource that is neither as it was nor as planned; none where it was neither.
fn partly(
    before: Option<&Recorded>,
    record: Option<&PlannedRecord>,
    parts: BTreeMap<String, Part>,
) -> Option<Recorded> {
    let edges = before.into_iter().flat_map(|it| &it.edges);
    let edges = edges.chain(record.into_iter().flat_map(|it| &it.edges)).cloned().collect();
    let declared = record.map(|it| &it.declared).or(before.map(|it| &it.declared))?;
    Some(Recorded { declared: declared.clone(), parts, edges })
}

/// What became of one step.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Fate {
    /// Nothing was begun, or what was begun left nothing.
    Nothing,
    /// It is taken back.
    TakenBack,
    /// It left something, or may have.
    Left,
}

/// `its` are the steps of the same resource.
fn fate(replay: &Replay, its: &[&Step], step: &Step) -> Fate {
    let Some(record) = replay.steps.get(&step.number) else { return Fate::Nothing };
    if goes_along(replay, its, step) {
        return Fate::TakenBack;
    }
    match &record.state {
        StepState::Waiting | StepState::Void(_) => Fate::Nothing,
        StepState::Failed if record.untouched(step.action, &step.managed) => Fate::Nothing,
        StepState::Undone => Fate::TakenBack,
        _ => Fate::Left,
    }
}

/// Whether a step that has nothing to take back goes back with one before it on the same part.
fn goes_along(replay: &Replay, its: &[&Step], step: &Step) -> bool {
    let before = |it: &&&Step| it.target == step.target && it.number < step.number;
    step.operation.undo == Undo::Nothing
        && its.iter().filter(before).any(|it| replay.state(it.number) == StepState::Undone)
}

fn done(replay: &Replay, step: &Step) -> bool {
    replay.state(step.number) == StepState::Done
}

/// A step of a resource that has nothing live.
fn is_gate(plan: &Plan, step: &Step) -> bool {
    let record = plan.records.get(&step.target.address).and_then(Option::as_ref);
    step.action == Action::Run && record.is_some_and(|it| !it.parts.contains_key(&step.target.part))
}

/// What happened to one part, step by step.
struct Story<'s, 'f> {
    folding: &'s Folding<'f>,
    target: Target,
    before: Option<&'f Part>,
    planned: Option<&'s PlannedPart>,
    steps: Vec<&'f Step>,
}

impl Story<'_, '_> {
    /// The part as it is now, and the one that was there before where both are there.
    fn told(&self) -> Result<(Option<Part>, Option<Part>), FoldError> {
        if self.steps.is_empty() {
            return Ok((self.unmoved()?, None));
        }
        let mut now = self.before.cloned();
        let mut beside = None;
        for step in self.in_order_of_time() {
            let Some(record) = self.folding.replay.steps.get(&step.number) else { continue };
            if goes_along(self.folding.replay, &self.steps, step) {
                continue;
            }
            let other = |part: &Part| part.place != step.place || part.identity != step.identity;
            match step.action {
                // The new one is there already; this step is about the other one.
                Action::Delete if beside.is_some() => {
                    beside = self.after(step, record, beside)?;
                }
                Action::Create if now.as_ref().is_some_and(other) && self.made_first(step) => {
                    let made = self.after(step, record, None)?;
                    if made.is_some() {
                        beside = std::mem::replace(&mut now, made);
                    }
                }
                _ => now = self.after(step, record, now)?,
            }
        }
        Ok((now, beside))
    }

    /// The steps in the order in which what is there now came about. Those that were taken back, or
    /// whose undo may have had an effect, come last: of each object the first of them alone,
    /// because its undo came after those of the steps behind it.
    fn in_order_of_time(&self) -> Vec<&Step> {
        let went_back = |step: &Step| {
            matches!(
                self.folding.replay.state(step.number),
                StepState::Undone | StepState::UndoBegun(_) | StepState::UndoFailed(_)
            )
        };
        let mut objects = BTreeSet::new();
        let (back, mut steps): (Vec<&Step>, Vec<&Step>) =
            self.steps.iter().copied().partition(|step| went_back(step));
        let first = |step: &&Step| objects.insert((step.place.clone(), step.identity.clone()));
        let mut back: Vec<&Step> = back.into_iter().filter(first).collect();
        back.reverse();
        steps.append(&mut back);
        steps
    }

    /// Whether what this step makes is made before the other one is taken away.
    fn made_first(&self, step: &Step) -> bool {
        let taken = self.steps.iter().find(|it| it.action == Action::Delete);
        taken.is_some_and(|it| it.number > step.number)
    }

    /// A part without steps: as planned, and what only a step can know as it was.
    fn unmoved(&self) -> Result<Option<Part>, FoldError> {
        let Some(planned) = self.planned else {
            // Declared no more, and gone already.
            return Ok(None);
        };
        let mut part = self.filled(planned)?;
        if let Some(before) = self.before {
            part.identity.clone_from(&before.identity);
            part.outputs = before.outputs.clone();
            part.outputs.extend(planned.outputs.clone());
            part.secrets = before.secrets.clone();
            part.token = before.token.clone();
        }
        Ok(Some(part))
    }

    /// The part after one step, from the part before it.
    fn after(
        &self,
        step: &Step,
        record: &StepRecord,
        now: Option<Part>,
    ) -> Result<Option<Part>, FoldError> {
        let begun = record.begun.as_ref().map(|it| it.token.clone());
        let undo = record.undo_begun.as_ref().map(|it| it.token.clone());
        Ok(match &record.state {
            StepState::Waiting | StepState::Void(_) => now,
            StepState::Begun(begun) => self.unsure(step, now, Some(begun.token.clone())),
            StepState::Done | StepState::Failed | StepState::UndoVoid(_) => {
                self.there(step, record, now)?
            }
            StepState::UndoBegun(undo) => {
                let there = self.there(step, record, now.clone())?;
                self.unsure(step, there.or(now), Some(undo.token.clone()))
            }
            StepState::Undone => self.back(step, record, now, undo),
            StepState::UndoFailed(_) => {
                let there = self.there(step, record, now.clone())?;
                match record.undo_failure.as_ref().map(|it| &it.remains) {
                    None | Some(Remains::Nothing) => there,
                    Some(Remains::Unsure) => self.unsure(step, there.or(now), begun),
                    Some(Remains::Left(outcome)) => {
                        let live = outcome.live.as_ref();
                        live.and_then(|live| self.as_live(step, there.or(now), live, undo))
                    }
                }
            }
        })
    }

    /// What the way there left.
    fn there(
        &self,
        step: &Step,
        record: &StepRecord,
        now: Option<Part>,
    ) -> Result<Option<Part>, FoldError> {
        let token = record.begun.as_ref().map(|it| it.token.clone());
        if record.unsure {
            return Ok(self.unsure(step, now, token));
        }
        let Some(left) = &record.left else { return Ok(now) };
        let live = left.live.as_ref();
        if record.failure.is_some() || !self.is_made_by(step) {
            return Ok(match (step.action, live) {
                (Action::Forget, _) if record.failure.is_none() && self.is_last(step) => None,
                (_, Some(live)) => self.as_live(step, now, live, token),
                (_, None) => None,
            });
        }
        let Some(planned) = self.planned else { return Ok(None) };
        let mut part = self.filled(planned)?;
        self.take_in(&mut part, live);
        part.outputs.extend(planned.outputs.clone());
        let named: BTreeSet<String> = hive_contract::value::secrets_in(&part.fields)
            .into_iter()
            .map(|it| it.to_string())
            .collect();
        let before = now.map(|it| it.secrets).unwrap_or_default();
        part.secrets = before.into_iter().filter(|(key, _)| named.contains(key)).collect();
        part.secrets.extend(record.secrets.clone());
        part.token = token;
        Ok(Some(part))
    }

    /// Whether a done step leaves the part as planned: the last of those that make it ready, and
    /// whatever of it comes later.
    fn is_made_by(&self, step: &Step) -> bool {
        let makes = |it: &Step| !matches!(it.action, Action::Delete | Action::Forget);
        let ready = |it: &Step| makes(it) && it.operation.phase == Phase::Ready;
        let last = self.steps.iter().rfind(|it| ready(it)).map_or(0, |it| it.number);
        makes(step) && step.number >= last
    }

    fn is_last(&self, step: &Step) -> bool {
        self.steps.last().is_some_and(|it| it.number == step.number)
    }

    /// The part as head had it, with what the undo left.
    fn back(
        &self,
        step: &Step,
        record: &StepRecord,
        now: Option<Part>,
        token: Option<hive_contract::Token>,
    ) -> Option<Part> {
        let live = record.undone.as_ref().and_then(|it: &Outcome| it.live.as_ref());
        match (now, live) {
            (Some(mut part), Some(live)) => {
                part.identity.clone_from(&live.identity);
                // Where the undo brought drift back, the outputs are those of the drift.
                let managed =
                    |fields: &Fields| hive_contract::path::restrict(fields, &step.managed);
                if managed(&part.fields) == managed(&live.fields) {
                    self.take_in(&mut part, Some(live));
                }
                part.token = token;
                if !record.secrets.is_empty() {
                    part.secrets.clone_from(&record.secrets);
                }
                Some(part)
            }
            // Recorded and not there, as before.
            (now, None) => now,
            (None, Some(live)) => self.as_live(step, None, live, token),
        }
    }

    fn take_in(&self, part: &mut Part, live: Option<&Live>) {
        let Some(live) = live else { return };
        part.identity.clone_from(&live.identity);
        if !live.outputs.is_empty() {
            part.outputs = live.outputs.clone();
        }
    }

    /// The part as the live object says it is.
    fn as_live(
        &self,
        step: &Step,
        now: Option<Part>,
        live: &Live,
        token: Option<hive_contract::Token>,
    ) -> Option<Part> {
        let mut part = now.or_else(|| Some(skeleton(self.planned?, step)))?;
        part.fields = hive_contract::path::restrict(&live.fields, &step.managed);
        self.take_in(&mut part, Some(live));
        part.token = token;
        part.unsure = false;
        Some(part)
    }

    /// The part with what is live of it unknown.
    fn unsure(
        &self,
        step: &Step,
        now: Option<Part>,
        token: Option<hive_contract::Token>,
    ) -> Option<Part> {
        let planned = || {
            let planned = self.planned?;
            let mut part = skeleton(planned, step);
            part.fields = self.folding.outputs.fill(&planned.fields);
            part.fields.retain(|_, value| value.is_known());
            Some(part)
        };
        let mut part = now.or_else(planned)?;
        part.unsure = true;
        part.token = token;
        Some(part)
    }

    /// The planned part with every placeholder filled.
    fn filled(&self, planned: &PlannedPart) -> Result<Part, FoldError> {
        let fields: Fields = self.folding.outputs.fill(&planned.fields);
        if let Some(output) = hive_contract::value::outputs_in(&fields).into_iter().next() {
            return Err(FoldError::Unfilled { target: self.target.clone(), output });
        }
        Ok(Part {
            provider: planned.provider.clone(),
            form: planned.form,
            place: planned.place.clone(),
            identity: planned.identity.clone(),
            lowered_identity: planned.lowered_identity.clone(),
            fields,
            outputs: planned.outputs.clone(),
            secrets: BTreeMap::new(),
            token: None,
            unsure: false,
        })
    }
}

fn skeleton(planned: &PlannedPart, step: &Step) -> Part {
    Part {
        provider: planned.provider.clone(),
        form: planned.form,
        place: step.place.clone(),
        identity: step.identity.clone(),
        lowered_identity: planned.lowered_identity.clone(),
        fields: Fields::new(),
        outputs: BTreeMap::new(),
        secrets: BTreeMap::new(),
        token: None,
        unsure: false,
    }
}
