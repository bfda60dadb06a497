//! What happened to one part, step by step: the inner half of the fold.

use super::fold::{FoldError, goes_along};
use super::model::{PlannedPart, Step};
use super::outputs::Outputs;
use hive_contract::outcome::Remains;
use hive_contract::{Action, Fields, Live, Outcome, Phase, Target, Token};
use hive_state::{Part, Replay, StepRecord, StepState};
use std::collections::{BTreeMap, BTreeSet};

/// What happened to one part, step by step.
pub(super) struct Story<'s, 'f> {
    /// What the journal says.
    pub(super) replay: &'f Replay,
    /// What outputs say.
    pub(super) outputs: &'s Outputs<'f>,
    /// Which part.
    pub(super) target: Target,
    /// As head has it.
    pub(super) before: Option<&'f Part>,
    /// As planned.
    pub(super) planned: Option<&'s PlannedPart>,
    /// Its steps.
    pub(super) steps: Vec<&'f Step>,
}

impl Story<'_, '_> {
    /// The part as it is now, and the one that was there before where both are there.
    pub(super) fn told(&self) -> Result<(Option<Part>, Option<Part>), FoldError> {
        if self.steps.is_empty() {
            return Ok((self.unmoved()?, None));
        }
        let mut now = self.before.cloned();
        let mut beside = None;
        for step in self.in_order_of_time() {
            let Some(record) = self.replay.steps.get(&step.number) else { continue };
            if goes_along(self.replay, &self.steps, step) {
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
                self.replay.state(step.number),
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
            part.unverified = !before.is_verified();
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
                        let left =
                            live.and_then(|live| self.as_live(step, there.or(now), live, undo));
                        left.map(|part| Part { unverified: true, ..part })
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
        let failed = record.failure.is_some();
        if failed || !self.is_made_by(step) {
            let left = match (step.action, live) {
                (Action::Forget, _) if !failed && self.is_last(step) => None,
                (_, Some(live)) => self.as_live(step, now, live, token),
                (_, None) => None,
            };
            return Ok(left.map(|part| Part { unverified: part.unverified || failed, ..part }));
        }
        let Some(planned) = self.planned else { return Ok(None) };
        let mut part = self.filled(planned)?;
        self.take_in(&mut part, live);
        part.outputs.extend(planned.outputs.clone());
        let named: BTreeSet<String> = hive_contract::value::secrets_in(&part.fields)
            .into_iter()
            .map(|it| it.to_string())
            .collect();
        // A mark says nothing of how the thing is.
        let marked = step.action == Action::Adopt;
        part.unverified = marked && now.as_ref().is_some_and(|it| !it.is_verified());
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
        token: Option<Token>,
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
            // Let go again: it is there as before, and nobody's.
            (None, Some(_)) if step.action == Action::Adopt => None,
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
        token: Option<Token>,
    ) -> Option<Part> {
        let mut part = now.or_else(|| Some(skeleton(self.planned?, step)))?;
        part.fields = hive_contract::path::restrict(&live.fields, &step.managed);
        self.take_in(&mut part, Some(live));
        part.token = token;
        part.unsure = false;
        Some(part)
    }

    /// The part with what is live of it unknown.
    fn unsure(&self, step: &Step, now: Option<Part>, token: Option<Token>) -> Option<Part> {
        let planned = || {
            let planned = self.planned?;
            let mut part = skeleton(planned, step);
            part.fields = self.outputs.fill(&planned.fields);
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
        let fields: Fields = self.outputs.fill(&planned.fields);
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
            access: planned.access.clone(),
            outputs: planned.outputs.clone(),
            secrets: BTreeMap::new(),
            token: None,
            unsure: false,
            unverified: false,
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
        access: planned.access.clone(),
        outputs: BTreeMap::new(),
        secrets: BTreeMap::new(),
        token: None,
        unsure: false,
        unverified: false,
    }
}
