//! What one apply carries along on its way: the plan, what became known, what was said.

use super::model::{Lent, Progress};
use crate::plan::{Expected, OnFailure, Plan, Step, UndoStep, guards};
use hive_contract::mark::Way;
use hive_contract::provider::Guard;
use hive_contract::value::fill_fields;
use hive_contract::{
    Address, Event, Failure, FailureKind, Fields, Fingerprint, Operation, Outcome, OutputRef,
    SecretRef, StackMark, Target, Value,
};
use hive_state::{Entry, Record, Snapshot};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One apply, from its first record to its last.
pub(super) struct Work<'a> {
    /// What it was lent.
    pub(super) lent: Lent<'a>,
    /// The plan.
    pub(super) plan: &'a Plan,
    /// The plan's digest.
    pub(super) digest: Fingerprint,
    /// The apply's id.
    pub(super) apply: String,
    /// Whose mark everything carries; the store's id is the real one.
    pub(super) owner: StackMark,
    /// Asked before every write of a provider.
    pub(super) guard: &'a dyn Guard,
    /// The newest snapshot.
    pub(super) head: Option<Snapshot>,
    /// What a check's command may know of the apply.
    pub(super) facts: BTreeMap<String, String>,
    undo: BTreeMap<u32, usize>,
    steps_of: BTreeMap<Target, u32>,
    followed_by: BTreeMap<u32, u32>,
    known: Mutex<BTreeMap<OutputRef, Value>>,
    events: Mutex<Vec<Entry>>,
    prints: Mutex<BTreeMap<SecretRef, (SecretString, String)>>,
}

impl<'a> Work<'a> {
    /// The work of one apply.
    pub(super) fn new(
        lent: Lent<'a>,
        plan: &'a Plan,
        apply: &str,
        owner: StackMark,
        guard: &'a dyn Guard,
        head: Option<Snapshot>,
    ) -> Self {
        let mut steps_of = BTreeMap::new();
        for step in &plan.steps {
            *steps_of.entry(step.target.clone()).or_default() += 1;
        }
        let facts = [
            ("stack", plan.stack.as_str()),
            ("environment", plan.environment.as_str()),
            ("apply", apply),
        ];
        Self {
            lent,
            plan,
            digest: plan.digest(),
            apply: apply.to_owned(),
            owner,
            guard,
            head,
            facts: facts.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            undo: plan.rollback.iter().enumerate().map(|(at, undo)| (undo.of, at)).collect(),
            steps_of,
            followed_by: plan.steps.iter().filter_map(follows).collect(),
            known: Mutex::default(),
            events: Mutex::default(),
            prints: Mutex::default(),
        }
    }

    /// The step of a number that the plan or the journal named.
    pub(super) fn step(&self, number: u32) -> Result<&'a Step, Failure> {
        self.plan.step(number).ok_or_else(|| no_step(number))
    }

    /// What takes a step back, where the plan says.
    pub(super) fn undo(&self, of: u32) -> Option<&'a UndoStep> {
        self.undo.get(&of).and_then(|at| self.plan.rollback.get(*at))
    }

    /// What is done at a step, there or back.
    pub(super) fn operation(&self, number: u32, way: Way) -> Result<&'a Operation, Failure> {
        match way {
            Way::There => Ok(&self.step(number)?.operation),
            Way::Back => Ok(&self.undo(number).ok_or_else(|| no_step(number))?.operation),
        }
    }

    /// What a failure leads to: what the stricter of the recorded guards and the plan's says.
    pub(super) fn on_failure(&self) -> OnFailure {
        let Some(head) = &self.head else { return self.plan.on_failure };
        let stricter = guards::stricter(&head.guards, &self.plan.guarded_by);
        guards::on_failure(&stricter).unwrap_or(self.plan.on_failure)
    }

    /// Whether a step is the only one about its part.
    pub(super) fn alone(&self, target: &Target) -> bool {
        self.steps_of.get(target) == Some(&1)
    }

    /// The step that acts next on what a step left.
    pub(super) fn followed_by(&self, step: u32) -> Option<u32> {
        self.followed_by.get(&step).copied()
    }

    /// A step left this: what it says of itself is known from now on.
    pub(super) fn learn(&self, address: &Address, outcome: &Outcome) {
        let Some(live) = &outcome.live else { return };
        let mut known = lock(&self.known);
        for (output, value) in &live.outputs {
            let reference = OutputRef { address: address.clone(), output: output.clone() };
            known.insert(reference, value.clone());
        }
    }

    /// Fields with every output in its place.
    ///
    /// # Errors
    /// One is not known, which a plan that holds together never leads to.
    pub(super) fn fill(&self, fields: &Fields, way: Way) -> Result<Fields, Failure> {
        let known = lock(&self.known);
        let filled = fill_fields(fields, &|value| match value {
            Value::Output(reference) => {
                known.get(reference).or_else(|| self.without_a_step(reference, way)).cloned()
            }
            _ => None,
        });
        match filled.values().find_map(unfilled) {
            None => Ok(filled),
            Some(what) => Err(Failure::new(
                FailureKind::Malformed,
                format!("the plan leaves {what} open, and no step before this one said it"),
            )),
        }
    }

    /// An output that no step of this apply has said so far. On the way back, what hive recorded is
    /// nearer to what is live than what the plan would have made.
    fn without_a_step(&self, reference: &OutputRef, way: Way) -> Option<&Value> {
        let planned = self.plan.records.get(&reference.address).and_then(Option::as_ref);
        let planned = planned.map(|it| &it.parts).into_iter().flatten();
        let planned = planned.filter_map(|(_, part)| part.outputs.get(&reference.output)).next();
        if way == Way::There {
            return planned;
        }
        let recorded = self.head.as_ref().and_then(|it| it.resources.get(&reference.address));
        let recorded = recorded.map(|it| &it.parts).into_iter().flatten();
        let recorded = recorded.filter_map(|(_, part)| part.outputs.get(&reference.output)).next();
        recorded.or(planned)
    }

    /// The keyed hash of a secret's value, made once for each value: it is slow by intent.
    pub(super) async fn print(
        &self,
        reference: &SecretRef,
        value: &SecretString,
    ) -> Result<String, String> {
        if let Some((last, print)) = lock(&self.prints).get(reference)
            && last.expose_secret() == value.expose_secret()
        {
            return Ok(print.clone());
        }
        let print = self.lent.secrets.print(value).await?;
        lock(&self.prints).insert(reference.clone(), (value.clone(), print.clone()));
        Ok(print)
    }

    /// A provider said something: it is shown now, and written with the next durable record.
    pub(super) fn said(&self, step: u32, event: Event) {
        let record = Record::Event { step: Some(step), event: event.clone() };
        lock(&self.events).push(self.entry(record));
        self.says(Progress::Said { step, event });
    }

    /// What was said since the last durable record.
    pub(super) fn take_events(&self) -> Vec<Entry> {
        std::mem::take(&mut lock(&self.events))
    }

    /// A record of now.
    pub(super) fn entry(&self, record: Record) -> Entry {
        Entry { at_ms: self.lent.clock.wall_ms(), record }
    }

    /// Says something to whoever looks on. Never called with a lock held.
    pub(super) fn says(&self, progress: Progress) {
        (self.lent.says)(progress);
    }

    /// Says something about the apply as a whole.
    pub(super) fn note(&self, message: impl Into<String>) {
        self.says(Progress::Note { message: message.into() });
    }
}

/// A step with the one that left what it acts on, that one first.
fn follows(step: &Step) -> Option<(u32, u32)> {
    match step.expected {
        Expected::After(before) => Some((before, step.number)),
        Expected::Anything | Expected::Observed(_) => None,
    }
}

fn no_step(number: u32) -> Failure {
    Failure::new(FailureKind::Malformed, format!("the plan has no step {number}"))
}

/// The first thing in a value that was never filled in, in words.
fn unfilled(value: &Value) -> Option<String> {
    let mut found = None;
    value.visit(&mut |inner| match inner {
        Value::Output(reference) => {
            found = Some(format!("`{}.{}`", reference.address, reference.output));
        }
        Value::Pick(_) => found = Some("a choice".to_owned()),
        _ => {}
    });
    found
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
