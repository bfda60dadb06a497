//! Head, plan and journal → the snapshot after an apply, however it ended.
//!
//! From the plan come the addresses that it has records for, everything else comes from head, so
//! that two plans which do not touch each other both hold.

use super::model::{Plan, PlannedRecord, Step};
use super::outputs::Outputs;
use super::story::Story;
use hive_contract::{Action, Address, Fingerprint, OutputRef, Target, Undo};
use hive_state::{Broken, Ending, Part, Recorded, Replay, Restored, Snapshot, StepState};
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
/// had, one that failed what it left, `unverified`, and one whose end is open a part that is `unsure`. A gate
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
    let folding = Folding::new(head, plan, replay, ending, at_ms);
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
    at_ms: u64,
    outputs: Outputs<'f>,
    steps: BTreeMap<&'f Address, Vec<&'f Step>>,
    /// The addresses that something is moved from.
    moves: BTreeSet<&'f Address>,
    /// Whether any step that is no gate left something.
    left_something: bool,
}

impl<'f> Folding<'f> {
    fn new(
        head: Option<&'f Snapshot>,
        plan: &'f Plan,
        replay: &'f Replay,
        ending: Ending,
        at_ms: u64,
    ) -> Self {
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
        Self { head, plan, replay, ending, at_ms, outputs, steps, moves, left_something }
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
            let folded = self.happened(address, before, record, steps)?;
            // The rest was taken back, and this stays: it was neither done nor taken back as one,
            // unless it is as it was before, as what only kept a copy.
            let as_before = before.zip(folded.recorded.as_ref()).is_some_and(holds_the_same);
            return Ok(Folded { whole: as_before || self.ending != Ending::RolledBack, ..folded });
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
            restored: self.restored(before, record, steps),
        };
        Ok(Folded { recorded: Some(recorded), whole: true })
    }

    /// Which backup its data is of: that of this restore, else that of the one before, unless it
    /// was made anew. The clock of the apply counts and not that of the plan, which may have lain.
    fn restored(
        &self,
        before: Option<&Recorded>,
        record: &PlannedRecord,
        steps: &[&Step],
    ) -> Option<Restored> {
        if let Some(restored) = &record.restored {
            return Some(Restored { at_ms: self.at_ms, ..restored.clone() });
        }
        let anew = |it: &&Step| matches!(it.action, Action::Create | Action::Delete);
        before.filter(|_| !steps.iter().any(anew))?.restored.clone()
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
        for name in &names {
            let name = *name;
            let target = Target { address: address.clone(), part: name.clone() };
            let story = Story {
                replay: self.replay,
                outputs: &self.outputs,
                steps: steps.iter().copied().filter(|it| it.target == target).collect(),
                target,
                before: before.and_then(|it| it.parts.get(name)),
                planned: record.and_then(|it| it.parts.get(name)),
            };
            let (now, beside) = story.told()?;
            parts.extend(now.map(|part| (name.clone(), part)));
            // The object that was to be taken away after the new one was made is still there: it
            // stays recorded, as a part that nothing declares, so that the next plan deletes it.
            parts.extend(beside.map(|part| (free(&names, name), part)));
        }
        Ok(parts)
    }
}

/// A name for what was there before, which none of the parts has: one that an earlier replacement
/// left may be there still.
fn free(names: &BTreeSet<&String>, name: &str) -> String {
    let first = format!("{name}-before");
    let more = (2..).map(|number| format!("{name}-before-{number}"));
    std::iter::once(first.clone()).chain(more).find(|it| !names.contains(it)).unwrap_or(first)
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
    let restored = before.and_then(|it| it.restored.clone());
    Some(Recorded { declared: declared.clone(), parts, edges, restored })
}

/// Whether a resource is declared and is in both records the same, whatever it says of itself.
fn holds_the_same((before, now): (&Recorded, &Recorded)) -> bool {
    let fields = |it: &Recorded| -> Vec<(String, hive_contract::Fields)> {
        it.parts.iter().map(|(name, part)| (name.clone(), part.fields.clone())).collect()
    };
    before.declared == now.declared && fields(before) == fields(now)
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
pub(super) fn goes_along(replay: &Replay, its: &[&Step], step: &Step) -> bool {
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
