//! What was: the applies that have a journal, each with its steps, failures and notes.

use super::error::FlowError;
use super::session::Session;
use crate::plan::{self, Plan};
use hive_contract::{Action, Event, Failure, Target, Value};
use hive_state::{Ending, JournalRead, Note, Record, StepRecord, StepState};
use std::collections::BTreeMap;

/// One apply, as its journal tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its id.
    pub apply: String,
    /// The command as a person typed it: `apply`, `restore 3`.
    pub command: String,
    /// User and host.
    pub who: String,
    /// The digest of its plan, 64 digits.
    pub plan: String,
    /// When it began, in milliseconds since 1970 UTC.
    pub began_ms: u64,
    /// When its last record was made.
    pub ended_ms: u64,
    /// How it ended; none while it runs or where it was interrupted by a crash.
    pub ending: Option<Ending>,
    /// The snapshot that it left.
    pub snapshot: Option<u64>,
    /// Why it went back, where it did.
    pub back: Option<String>,
    /// How many steps its plan has; none where that is not known, or where all were done.
    pub planned: Option<usize>,
    /// Its steps with a record, in order.
    pub steps: Vec<AppliedStep>,
    /// What was said of no single step.
    pub events: Vec<Event>,
    /// What people wrote beside it, oldest first.
    pub notes: Vec<Note>,
}

/// One step of an apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedStep {
    /// Its number; steps of the way back alone come behind the plan's.
    pub number: u32,
    /// Whose; none where the plan cannot be read any more.
    pub target: Option<Target>,
    /// What.
    pub action: Option<Action>,
    /// In the plan's words.
    pub title: String,
    /// Where it is: `done`, `failed`, `undo-done`, ….
    pub state: &'static str,
    /// When its first attempt began and the last word was said.
    pub times: (u64, u64),
    /// Its failure.
    pub failure: Option<Failure>,
    /// The failure of its undo.
    pub undo_failure: Option<Failure>,
    /// What a check's command printed.
    pub kept: String,
    /// What a reviewer should know of it, as the plan says: `expand`, `rehearsed in 1.2 s`.
    pub notes: Vec<String>,
    /// What the thing said of itself when it was done: the id of a backup, the version of a schema.
    /// Only what is known without a secret.
    pub outputs: BTreeMap<String, Value>,
    /// What was said on the way.
    pub events: Vec<Event>,
}

impl Session {
    /// All applies that have a journal, newest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn history(&self) -> Result<Vec<Applied>, FlowError> {
        let mut journals = Vec::new();
        for apply in self.ledger.journals().await? {
            journals.push(self.ledger.journal(&apply).await?);
        }
        let snapshots = self.snapshots_of(&journals).await?;
        let notes = self.ledger.notes().await?;
        let mut history = Vec::new();
        for journal in journals.iter().rev() {
            let snapshot = snapshots.get(&journal.apply).copied();
            let done = matches!(journal.replay.closed, Some((Ending::Applied, _)));
            // What was done to its end has a record of each step, so its plan says nothing more.
            let plan = if done { None } else { self.plan_of(journal).await? };
            history.push(applied(journal, plan.as_ref(), snapshot, &notes));
        }
        Ok(history)
    }

    /// One apply by the number of the snapshot that it left, or by the first digits of its id.
    ///
    /// # Errors
    /// There is none, or more than one, or the store cannot be read.
    pub async fn applied(&self, which: &str) -> Result<Applied, FlowError> {
        let apply = self.find_apply(which).await?;
        let journal = self.ledger.journal(&apply).await?;
        let snapshot = self.snapshots_of(std::slice::from_ref(&journal)).await?.remove(&apply);
        let plan = self.plan_of(&journal).await?;
        let notes = self.ledger.notes().await?;
        Ok(applied(&journal, plan.as_ref(), snapshot, &notes))
    }

    /// Keeps a remark with an apply and gives the apply's id.
    ///
    /// # Errors
    /// There is no such apply, or the store cannot be written.
    pub async fn note(&self, which: &str, text: &str) -> Result<String, FlowError> {
        use hive_state::Clock;
        let about = self.find_apply(which).await?;
        let who = self.at.who.clone();
        let at_ms = self.clock.wall_ms();
        let note = Note { about: about.clone(), who, text: text.to_owned(), at_ms };
        self.ledger.note(&note).await?;
        Ok(about)
    }

    async fn find_apply(&self, which: &str) -> Result<String, FlowError> {
        let applies = self.ledger.journals().await?;
        if let Ok(number) = which.parse::<u64>()
            && let Some(snapshot) = self.ledger.snapshot(number).await?
        {
            return match applies.contains(&snapshot.apply) {
                true => Ok(snapshot.apply),
                false => Err(FlowError::Usage(format!(
                    "the journal of the apply that made snapshot {number} is no longer kept"
                ))),
            };
        }
        // A short number means a snapshot, also where there is none: an id may begin with any digit.
        let short = which.len() < 4 && which.parse::<u64>().is_ok();
        let begins = |it: &&String| !short && it.starts_with(which);
        let found: Vec<&String> = applies.iter().filter(begins).collect();
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(FlowError::Usage(format!(
                "there is no apply `{which}`: give a snapshot's number or the first digits of an \
                 apply's id, as `hive history` lists them"
            ))),
            more => Err(FlowError::Usage(format!(
                "{} applies begin with `{which}`: give more digits",
                more.len()
            ))),
        }
    }

    /// The number of the snapshot that each of these left. Only snapshots that are young enough to
    /// be of one of them are read.
    async fn snapshots_of(
        &self,
        journals: &[JournalRead],
    ) -> Result<BTreeMap<String, u64>, FlowError> {
        let closed = |it: &&JournalRead| {
            it.replay.closed.as_ref().is_some_and(|(_, snapshot)| snapshot.is_some())
        };
        let mut missing: Vec<&str> =
            journals.iter().filter(closed).map(|it| it.apply.as_str()).collect();
        let mut numbers = BTreeMap::new();
        for number in self.ledger.snapshots().await?.into_iter().rev() {
            if missing.is_empty() {
                break;
            }
            let Some(snapshot) = self.ledger.snapshot(number).await? else { continue };
            missing.retain(|it| *it != snapshot.apply);
            numbers.insert(snapshot.apply, number);
        }
        Ok(numbers)
    }

    /// The plan of an apply; none where it is no longer kept. One that cannot be trusted is damage
    /// that `apply` names; for a report its words are only missing.
    async fn plan_of(&self, journal: &JournalRead) -> Result<Option<Plan>, FlowError> {
        let Some(opened) = &journal.replay.opened else { return Ok(None) };
        let bytes = self.ledger.plan(&opened.plan).await?;
        Ok(bytes.and_then(|bytes| plan::file::read(&bytes).ok()))
    }
}

fn applied(
    journal: &JournalRead,
    plan: Option<&Plan>,
    snapshot: Option<u64>,
    notes: &[Note],
) -> Applied {
    let replay = &journal.replay;
    let opened = replay.opened.as_ref();
    let said: Vec<(Option<u32>, &Event)> = journal
        .entries
        .iter()
        .filter_map(|entry| match &entry.record {
            Record::Event { step, event } => Some((*step, event)),
            _ => None,
        })
        .collect();
    let events = |of: Option<u32>| -> Vec<Event> {
        said.iter().filter(|(step, _)| *step == of).map(|(_, event)| (*event).clone()).collect()
    };
    let steps = replay
        .steps
        .iter()
        .map(|(number, record)| step(*number, record, plan, events(Some(*number))))
        .collect();
    let about = |note: &&Note| {
        note.about == journal.apply || snapshot.is_some_and(|it| note.about == it.to_string())
    };
    Applied {
        apply: journal.apply.clone(),
        command: opened.map(|it| it.command.clone()).unwrap_or_default(),
        who: opened.map(|it| it.who.clone()).unwrap_or_default(),
        plan: opened.map(|it| it.plan.to_string()).unwrap_or_default(),
        began_ms: opened.map_or(0, |it| it.at_ms),
        ended_ms: journal.entries.last().map_or(0, |it| it.at_ms),
        ending: replay.closed.as_ref().map(|(ending, _)| *ending),
        snapshot,
        back: replay.back.clone(),
        planned: plan.map(|plan| plan.steps.len()),
        steps,
        events: events(None),
        notes: notes.iter().filter(about).cloned().collect(),
    }
}

fn step(number: u32, record: &StepRecord, plan: Option<&Plan>, events: Vec<Event>) -> AppliedStep {
    let planned = plan.and_then(|plan| plan.step(number));
    let undo = plan.and_then(|plan| plan.undo(number));
    let kept = match record.state {
        StepState::Undone => &record.undone,
        _ => &record.left,
    };
    AppliedStep {
        number,
        target: planned.map(|it| it.target.clone()),
        action: planned.map(|it| it.action),
        title: planned
            .map(|it| &it.operation)
            .or(undo.map(|it| &it.operation))
            .map(|it| it.title.clone())
            .unwrap_or_default(),
        state: record.state.word(),
        times: record.times,
        failure: record.failure.clone(),
        undo_failure: record.undo_failure.clone(),
        kept: kept.as_ref().map(|it| it.kept.clone()).unwrap_or_default(),
        notes: planned.map(|it| it.operation.notes.clone()).unwrap_or_default(),
        outputs: kept
            .as_ref()
            .and_then(|it| it.live.as_ref())
            .map(|it| it.outputs.clone())
            .unwrap_or_default(),
        events,
    }
}
