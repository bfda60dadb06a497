//! The law of the journal: which record may follow which, in one `match`.
//!
//! Recording and replay both go through [`Replay::record`], so a journal that was written can be
//! read, and one that breaks the law is damage.

use crate::record::{Begun, Ending, Record};
use hive_contract::mark::Way;
use hive_contract::outcome::SecretPrints;
use hive_contract::{Action, Failure, FieldPath, Fingerprint, Outcome, Remains};
use std::collections::BTreeMap;

/// Where one step is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepState {
    /// Nothing was begun.
    Waiting,
    /// Its effect may have started.
    Begun(Begun),
    /// The attempt before had no effect; this many attempts were made.
    Void(u32),
    /// It is done.
    Done,
    /// It failed and left what [`StepRecord::left`] says, or is unsure.
    Failed,
    /// Its undo may have started.
    UndoBegun(Begun),
    /// The undo attempt before had no effect; this many were made.
    UndoVoid(u32),
    /// It is taken back.
    Undone,
    /// It could not be taken back; this many attempts were made.
    UndoFailed(u32),
}

/// Everything the journal says of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRecord {
    /// Where it is.
    pub state: StepState,
    /// What the step left: from `Done`, `Settled`, or a failure's remains.
    pub left: Option<Outcome>,
    /// Whether a failure left something that nobody has looked at.
    pub unsure: bool,
    /// The failure there, where it failed.
    pub failure: Option<Failure>,
    /// What the undo left.
    pub undone: Option<Outcome>,
    /// The failure of the undo.
    pub undo_failure: Option<Failure>,
    /// Keyed hashes of the secrets that what is there now was made with.
    pub secrets: SecretPrints,
    /// The attempt whose effect is there now.
    pub begun: Option<Begun>,
    /// The undo attempt whose effect is there now.
    pub undo_begun: Option<Begun>,
    /// Attempts that had no effect so far and may still have one.
    pub unsealed: Vec<(Way, Begun)>,
    /// When the first attempt began and the last word was said, in milliseconds since 1970.
    pub times: (u64, u64),
}

/// What a journal says, folded record by record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// The plan, the apply id, the command and who; from the first record.
    pub opened: Option<Opened>,
    /// The steps with a record.
    pub steps: BTreeMap<u32, StepRecord>,
    /// Why it goes back, once it does.
    pub back: Option<String>,
    /// How it ended, and the snapshot's digest, once it has.
    pub closed: Option<(Ending, Option<Fingerprint>)>,
    /// The newest epoch.
    pub epoch: u64,
}

/// The first record's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The digest of the plan.
    pub plan: Fingerprint,
    /// The apply's id.
    pub apply: String,
    /// The command.
    pub command: String,
    /// Who.
    pub who: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

/// A record that may not stand where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} may not follow {after}")]
pub struct Illegal {
    /// The record.
    pub what: String,
    /// What was before it.
    pub after: String,
}

impl Replay {
    /// Takes one record in.
    ///
    /// # Errors
    /// The law forbids it here; nothing was taken in.
    pub fn record(&mut self, record: &Record, at_ms: u64) -> Result<(), Illegal> {
        if self.closed.is_some() && !matches!(record, Record::Sealed { .. } | Record::Event { .. })
        {
            return Err(illegal(record, "the last record"));
        }
        if self.opened.is_none() && !matches!(record, Record::Opened { .. } | Record::Sealed { .. })
        {
            return Err(illegal(record, "nothing: the journal is not opened"));
        }
        match record {
            Record::Opened { plan, apply, command, who, epoch } => {
                if self.opened.is_some() {
                    return Err(illegal(record, "the first record"));
                }
                self.epoch = *epoch;
                self.opened = Some(Opened {
                    plan: plan.clone(),
                    apply: apply.clone(),
                    command: command.clone(),
                    who: who.clone(),
                    at_ms,
                });
            }
            Record::Back { why } => self.back = Some(why.clone()),
            Record::Sealed { epoch, .. } => self.epoch = *epoch,
            Record::Closed { ending, snapshot } => {
                self.closed = Some((*ending, snapshot.clone()));
            }
            Record::Event { .. } => {}
            of_step => self.step(of_step, at_ms)?,
        }
        Ok(())
    }

    fn step(&mut self, record: &Record, at_ms: u64) -> Result<(), Illegal> {
        let Some(number) = record.step() else { return Ok(()) };
        let before = self.steps.get(&number).map_or(StepState::Waiting, |it| it.state.clone());
        let unsure = self.steps.get(&number).is_some_and(|it| it.unsure);
        let next = next(&before, record, self.back.is_some(), unsure)?;
        let step = self.steps.entry(number).or_insert_with(|| StepRecord::new(at_ms));
        step.leave(record);
        step.state = next;
        step.times.1 = at_ms;
        step.keep(record);
        Ok(())
    }

    /// Where a step is.
    pub fn state(&self, step: u32) -> StepState {
        self.steps.get(&step).map_or(StepState::Waiting, |it| it.state.clone())
    }
}

/// The law.
fn next(
    before: &StepState,
    record: &Record,
    back: bool,
    unsure: bool,
) -> Result<StepState, Illegal> {
    use StepState as S;
    Ok(match (before, record) {
        (S::Waiting, Record::Begin(begun)) if begun.attempt == 1 && !back => {
            S::Begun(begun.clone())
        }
        (S::Void(made), Record::Begin(begun)) if begun.attempt == made + 1 && !back => {
            S::Begun(begun.clone())
        }
        (S::Begun(_), Record::Done { .. }) => S::Done,
        (S::Begun(_), Record::Failed { .. }) => S::Failed,
        (S::Begun(begun), Record::Void { .. } | Record::Unsealed { .. }) => S::Void(begun.attempt),
        (S::Failed, Record::Settled { .. }) if unsure => S::Failed,
        (S::Done | S::Failed, Record::UndoBegin(begun))
            if begun.attempt == 1 && back && !unsure =>
        {
            S::UndoBegun(begun.clone())
        }
        // A check of the way back needs no way there.
        (S::Waiting | S::Void(_), Record::UndoBegin(begun)) if begun.attempt == 1 && back => {
            S::UndoBegun(begun.clone())
        }
        (S::UndoVoid(made) | S::UndoFailed(made), Record::UndoBegin(begun))
            if begun.attempt == made + 1 && back =>
        {
            S::UndoBegun(begun.clone())
        }
        (S::UndoBegun(_), Record::UndoDone { .. }) => S::Undone,
        (S::UndoBegun(begun), Record::UndoFailed { .. }) => S::UndoFailed(begun.attempt),
        (S::UndoBegun(begun), Record::UndoVoid { .. } | Record::Unsealed { .. }) => {
            S::UndoVoid(begun.attempt)
        }
        (before, record) => return Err(illegal(record, before.word())),
    })
}

fn illegal(record: &Record, after: &str) -> Illegal {
    let what = match record.step() {
        Some(step) => format!("{} of step {step}", record.word()),
        None => record.word().to_owned(),
    };
    Illegal { what, after: after.to_owned() }
}

impl StepRecord {
    /// Whether the step failed and is known to have left the world as it was before it: it said so,
    /// or what is there was looked at and is what it expected.
    ///
    /// `managed` are the fields that fingerprints of its part are over.
    pub fn untouched(&self, action: Action, managed: &[FieldPath]) -> bool {
        if self.state != StepState::Failed || self.unsure {
            return false;
        }
        let Some(left) = &self.left else { return true };
        let expected = self.begun.as_ref().and_then(|it| it.expected.clone());
        let looked_at = self.failure.as_ref().is_some_and(|it| it.remains == Remains::Unsure);
        let token = self.begun.as_ref().map(|it| &it.token);
        let carries = left.live.as_ref().is_some_and(|it| it.token.as_ref() == token);
        // A failed update may have moved what no fingerprint is over. What was not made, or is
        // still there, has nothing that could be taken back.
        let nothing_to_do = expected.is_none() || action == Action::Delete;
        left.fingerprint(managed) == expected && ((looked_at && !carries) || nothing_to_do)
    }

    fn new(at_ms: u64) -> Self {
        Self {
            state: StepState::Waiting,
            left: None,
            unsure: false,
            failure: None,
            undone: None,
            undo_failure: None,
            secrets: SecretPrints::new(),
            begun: None,
            undo_begun: None,
            unsealed: Vec::new(),
            times: (at_ms, at_ms),
        }
    }

    /// Keeps the attempt that an unsealed end leaves behind, while the state still names it.
    fn leave(&mut self, record: &Record) {
        if !matches!(record, Record::Unsealed { .. }) {
            return;
        }
        match &self.state {
            StepState::Begun(begun) => self.unsealed.push((Way::There, begun.clone())),
            StepState::UndoBegun(begun) => self.unsealed.push((Way::Back, begun.clone())),
            _ => {}
        }
    }

    fn keep(&mut self, record: &Record) {
        match record {
            Record::Begin(begun) => self.begun = Some(begun.clone()),
            Record::Done { outcome, secrets, .. } => {
                self.left = Some(outcome.clone());
                self.secrets = secrets.clone();
            }
            Record::Failed { failure, .. } => {
                self.failure = Some(failure.clone());
                match &failure.remains {
                    Remains::Nothing => self.left = None,
                    Remains::Left(outcome) => self.left = Some((**outcome).clone()),
                    Remains::Unsure => self.unsure = true,
                }
            }
            Record::Settled { outcome, .. } => {
                self.unsure = false;
                self.left = Some(outcome.clone());
            }
            Record::UndoBegin(begun) => self.undo_begun = Some(begun.clone()),
            Record::UndoDone { outcome, secrets, .. } => {
                self.undone = Some(outcome.clone());
                self.secrets = secrets.clone();
                self.undo_failure = None;
            }
            Record::UndoFailed { failure, .. } => self.undo_failure = Some(failure.clone()),
            _ => {}
        }
    }
}

impl Record {
    /// The step it is about.
    pub fn step(&self) -> Option<u32> {
        match self {
            Self::Begin(begun) | Self::UndoBegin(begun) => Some(begun.step),
            Self::Done { step, .. }
            | Self::Failed { step, .. }
            | Self::Void { step, .. }
            | Self::Unsealed { step, .. }
            | Self::Settled { step, .. }
            | Self::UndoDone { step, .. }
            | Self::UndoFailed { step, .. }
            | Self::UndoVoid { step, .. } => Some(*step),
            Self::Event { step, .. } => *step,
            Self::Opened { .. } | Self::Back { .. } | Self::Sealed { .. } | Self::Closed { .. } => {
                None
            }
        }
    }

    /// Its name in messages and files.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::Begin(_) => "begin",
            Self::Done { .. } => "done",
            Self::Failed { .. } => "failed",
            Self::Void { .. } => "void",
            Self::Unsealed { .. } => "unsealed",
            Self::Settled { .. } => "settled",
            Self::Back { .. } => "back",
            Self::UndoBegin(_) => "undo-begin",
            Self::UndoDone { .. } => "undo-done",
            Self::UndoFailed { .. } => "undo-failed",
            Self::UndoVoid { .. } => "undo-void",
            Self::Event { .. } => "event",
            Self::Sealed { .. } => "sealed",
            Self::Closed { .. } => "closed",
        }
    }
}

impl StepState {
    /// Its name in messages.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Begun(_) => "begin",
            Self::Void(_) => "void",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::UndoBegun(_) => "undo-begin",
            Self::UndoVoid(_) => "undo-void",
            Self::Undone => "undo-done",
            Self::UndoFailed(_) => "undo-failed",
        }
    }
}

#[cfg(test)]
mod tests;
