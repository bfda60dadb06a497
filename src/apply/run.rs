//! Runs steps by their graph, there or back: journal, provider, journal.
//!
//! Two rules hold whatever happens. No effect starts before its Begin is durable, and nothing that
//! needs a step begins before that step's Done is durable: so a Done and the Begins that it allows
//! go out in one write, and only then are the begun ones sent off.

use super::back::acted;
use super::graph::Graph;
use super::model::{ApplyError, Interrupt, Progress};
use super::one_step::{self, Attempt, Complete, Ended};
use super::under_way::UnderWay;
use super::work::Work;
use crate::plan::Expected;
use hive_contract::mark::Way;
use hive_contract::outcome::SecretPrints;
use hive_contract::{Failure, FailureKind, Fingerprint, Outcome, Remains, Token};
use hive_state::{Begun, Entry, Journal, LedgerError, Record, StepState};
use std::collections::{BTreeMap, BTreeSet};

/// What a run may do beyond settling what is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum May {
    /// Begin whatever is ready.
    Begin,
    /// Complete what was begun, and begin nothing.
    Complete,
    /// Only look up what was begun.
    Look,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// Every step holds.
    AllDone,
    /// A step failed, and everything that was under way has ended.
    Failed,
    /// A person asked, and everything that was under way has ended.
    Interrupted,
    /// It was not to begin what is left.
    Left,
}

/// Runs the steps of a graph until all hold or none may begin.
///
/// # Errors
/// The journal cannot be written, or something open cannot be settled. The journal stays open.
pub(super) async fn run(
    work: &Work<'_>,
    journal: &mut Journal,
    way: Way,
    steps: Steps,
    may: May,
) -> Result<Stopped, ApplyError> {
    let mut run = Run::new(work, journal, way, steps, may);
    loop {
        run.begin_ready();
        run.name_secrets().await;
        run.write().await?;
        run.send_off();
        if !run.wait().await? {
            return run.stopped();
        }
    }
}

/// What is to be run.
pub(super) struct Steps {
    /// The steps that do not hold yet.
    pub(super) graph: Graph,
    /// How many they are.
    pub(super) count: usize,
    /// Those whose Begin has no end in the journal.
    pub(super) open: Vec<Begun>,
    /// Those of the graph that are passed without doing anything.
    pub(super) passed: BTreeSet<u32>,
    /// Whether one has failed already.
    pub(super) failed: bool,
}

struct Run<'r, 'a> {
    work: &'r Work<'a>,
    journal: &'r mut Journal,
    way: Way,
    may: May,
    graph: Graph,
    left: usize,
    passed: BTreeSet<u32>,
    /// What waits for the next write: records, and what may be said and sent off after it.
    entries: Vec<Entry>,
    says: Vec<Progress>,
    begun: Vec<(Attempt, Task)>,
    /// Where in `entries` the Done of a step, or of its undo, stands that is not written yet.
    fresh: BTreeMap<u32, usize>,
    under_way: UnderWay<'r, Ended>,
    ended: Vec<(u32, Ended)>,
    /// What is under way, with when it began on the clock's ticks.
    attempts: BTreeMap<u32, (Attempt, u64)>,
    /// How often each was performed in this run.
    tries: BTreeMap<u32, u32>,
    /// Attempts made, where the journal does not say so yet.
    made: BTreeMap<u32, u32>,
    /// Pressed when gates under way must end.
    cut: Interrupt,
    failed: bool,
    interrupted: bool,
    unsettled: Option<ApplyError>,
}

/// What is sent off.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    Perform,
    Resolve(Complete),
}

impl<'r, 'a> Run<'r, 'a> {
    fn new(work: &'r Work<'a>, journal: &'r mut Journal, way: Way, steps: Steps, may: May) -> Self {
        let mut graph = steps.graph;
        let cut = Interrupt::default();
        let complete = if may == May::Look { Complete::No } else { Complete::Yes };
        let begun = steps.open.into_iter().map(|begun| {
            graph.remove(begun.step);
            (Attempt { way, begun, cut: cut.clone() }, Task::Resolve(complete))
        });
        let begun = begun.collect();
        let mut run = Self {
            work,
            journal,
            way,
            may,
            graph,
            left: steps.count,
            passed: steps.passed,
            entries: Vec::new(),
            says: Vec::new(),
            begun,
            fresh: BTreeMap::new(),
            under_way: UnderWay::new(),
            ended: Vec::new(),
            attempts: BTreeMap::new(),
            tries: BTreeMap::new(),
            made: BTreeMap::new(),
            cut: cut.clone(),
            failed: false,
            interrupted: false,
            unsettled: None,
        };
        if steps.failed {
            run.fail();
        }
        run
    }

    /// Journals a Begin for everything that is ready, as far as there is room.
    fn begin_ready(&mut self) {
        if self.work.lent.interrupt.times() > 0 {
            self.interrupted = true;
            self.cut.press();
        }
        let room = usize::try_from(self.work.plan.parallel.max(1)).unwrap_or(1);
        while self.may_begin() && self.under_way.len() + self.begun.len() < room {
            let Some(step) = self.graph.take() else { break };
            if self.passed.remove(&step) {
                self.holds(step);
            } else if let Err(failure) = self.begin(step) {
                self.says.push(Progress::Note { message: failure.message.clone() });
                self.unsettled = Some(self.unreadable(step, failure));
            }
        }
    }

    fn may_begin(&self) -> bool {
        self.may == May::Begin && !self.failed && !self.interrupted && self.unsettled.is_none()
    }

    fn begin(&mut self, step: u32) -> Result<(), Failure> {
        let made = self.made.remove(&step);
        let attempt = made.unwrap_or_else(|| self.attempts_made(step)) + 1;
        let token = Token::new(&self.work.digest, &self.work.apply, step, self.way, attempt);
        let expected = self.expected(step)?;
        let begun = Begun { step, attempt, token, expected, secrets: SecretPrints::new() };
        self.record(match self.way {
            Way::There => Record::Begin(begun.clone()),
            Way::Back => Record::UndoBegin(begun.clone()),
        });
        self.begun.push((Attempt { way: self.way, begun, cut: self.cut.clone() }, Task::Perform));
        Ok(())
    }

    fn attempts_made(&self, step: u32) -> u32 {
        match (self.way, self.journal.replay().state(step)) {
            (Way::There, StepState::Void(made))
            | (Way::Back, StepState::UndoVoid(made) | StepState::UndoFailed(made)) => made,
            _ => 0,
        }
    }

    /// The content that must be live before a step: what the plan saw, what the step before left,
    /// or on the way back, what the last that happened to it left.
    fn expected(&self, step: u32) -> Result<Option<Fingerprint>, Failure> {
        let planned = self.work.step(step)?;
        let left = |of: u32| self.left_by(of).and_then(|it| it.fingerprint(&planned.managed));
        Ok(match (self.way, &planned.expected) {
            (Way::Back, _) => {
                self.live_behind(step).and_then(|it| it.fingerprint(&planned.managed))
            }
            (Way::There, Expected::Anything) => None,
            (Way::There, Expected::Observed(seen)) => seen.clone(),
            (Way::There, Expected::After(before)) => left(*before),
        })
    }

    /// What is live of what a step acted on: what it left itself, unless steps behind it acted on
    /// the same. One that was taken back may have left it otherwise than it was: stopped again, and
    /// in its new form.
    fn live_behind(&self, step: u32) -> Option<&Outcome> {
        let Some(next) = self.work.followed_by(step) else { return self.left_by(step) };
        if let Some(outcome) = self.undone_by_now(next) {
            return Some(outcome);
        }
        match self.journal.replay().steps.get(&next) {
            Some(record) if acted(self.work, next, record) => self.live_behind(next),
            _ => self.left_by(step),
        }
    }

    fn undone_by_now(&self, step: u32) -> Option<&Outcome> {
        match self.fresh.get(&step).and_then(|at| self.entries.get(*at)) {
            Some(Entry { record: Record::UndoDone { outcome, .. }, .. }) => Some(outcome),
            _ => {
                let record = self.journal.replay().steps.get(&step)?;
                record.undone.as_ref().filter(|_| record.state == StepState::Undone)
            }
        }
    }

    fn left_by(&self, step: u32) -> Option<&Outcome> {
        match self.fresh.get(&step).and_then(|at| self.entries.get(*at)) {
            Some(Entry { record: Record::Done { outcome, .. }, .. }) => Some(outcome),
            _ => self.journal.replay().steps.get(&step)?.left.as_ref(),
        }
    }

    /// Says in each Begin that waits for its write which secrets the effect will be made of.
    async fn name_secrets(&mut self) {
        let work = self.work;
        let begun = self.begun.iter().filter(|(_, task)| *task == Task::Perform);
        let attempts: Vec<Attempt> = begun.map(|(attempt, _)| attempt.clone()).collect();
        let prints = async {
            let mut prints = BTreeMap::new();
            for attempt in &attempts {
                prints.insert(attempt.begun.step, one_step::prints(work, attempt).await);
            }
            prints
        };
        let prints = self.under_way.beside(prints, &mut self.ended).await;
        for entry in &mut self.entries {
            if let Record::Begin(begun) | Record::UndoBegin(begun) = &mut entry.record
                && let Some(secrets) = prints.get(&begun.step)
            {
                begun.secrets.clone_from(secrets);
            }
        }
    }

    /// Makes everything that was taken in durable, in one write, while what is under way goes on.
    async fn write(&mut self) -> Result<(), ApplyError> {
        if self.entries.is_empty() {
            self.say();
            return Ok(());
        }
        let mut entries = self.work.take_events();
        entries.append(&mut self.entries);
        let written = self.journal.append(&entries);
        let written = self.under_way.beside(written, &mut self.ended).await;
        self.fresh.clear();
        match written {
            Ok(()) => {
                self.say();
                Ok(())
            }
            Err(error) => Err(self.give_up(error).await),
        }
    }

    /// The journal cannot be written: nothing more begins. What is under way is waited for, unless
    /// somebody else has taken over and every write of it is refused anyway.
    async fn give_up(&mut self, error: LedgerError) -> ApplyError {
        if matches!(error, LedgerError::Store(_)) {
            self.cut.press();
            while self.under_way.next().await.is_some() {}
        }
        ApplyError::Ledger(error)
    }

    fn say(&mut self) {
        for progress in self.says.drain(..) {
            self.work.says(progress);
        }
    }

    /// Sends off everything whose Begin is durable.
    fn send_off(&mut self) {
        for (attempt, task) in std::mem::take(&mut self.begun) {
            let number = attempt.begun.step;
            if let (Ok(step), Ok(operation)) =
                (self.work.step(number), self.work.operation(number, self.way))
            {
                // A look is no try.
                *self.tries.entry(number).or_default() += u32::from(task == Task::Perform);
                self.work.says(Progress::Began {
                    step: number,
                    target: step.target.clone(),
                    title: operation.title.clone(),
                    attempt: attempt.begun.attempt,
                    back: self.way == Way::Back,
                });
            }
            let since = self.work.lent.clock.ticks_ms();
            self.attempts.insert(number, (attempt.clone(), since));
            let work = self.work;
            self.under_way.push(
                number,
                Box::pin(async move {
                    match task {
                        Task::Perform => one_step::perform(work, &attempt).await,
                        Task::Resolve(complete) => {
                            one_step::resolve(work, &attempt, complete).await
                        }
                    }
                }),
            );
        }
    }

    /// Waits until something ends or a person asks to stop, and takes in all that has ended. False
    /// where nothing is under way and nothing more may begin.
    async fn wait(&mut self) -> Result<bool, ApplyError> {
        if self.ended.is_empty() && self.under_way.is_empty() {
            return Ok(
                !self.entries.is_empty() || (self.may_begin() && !self.graph.nothing_ready())
            );
        }
        if self.ended.is_empty() {
            let interrupt = self.work.lent.interrupt;
            tokio::select! {
                biased;
                ended = self.under_way.next() => self.ended.extend(ended),
                () = interrupt.pressed(1), if !self.interrupted => {
                    self.interrupted = true;
                    self.cut.press();
                    self.work.note(
                        "asked to stop: nothing more begins, what runs is waited for; \
                         once more leaves at once",
                    );
                    return Ok(true);
                }
            }
            // Whatever else has ended by now goes into the same write.
            self.under_way.by_now(&mut self.ended).await;
        }
        for (step, ended) in std::mem::take(&mut self.ended) {
            self.take(step, ended)?;
        }
        Ok(true)
    }

    fn take(&mut self, step: u32, ended: Ended) -> Result<(), ApplyError> {
        let Some((attempt, since)) = self.attempts.remove(&step) else { return Ok(()) };
        match ended {
            Ended::Done(outcome, secrets) => self.done(step, *outcome, secrets, since)?,
            Ended::Failed(failure) => self.failed(attempt, failure)?,
            Ended::Rested(failure) => self.rested(attempt, failure),
            Ended::NotStarted { sealed } => {
                let why = "nothing of it had begun when hive was interrupted".to_owned();
                self.void(&attempt, why, sealed);
            }
            Ended::Unfinished(facts) => {
                self.unsure(step, format!("it was interrupted half-way: {facts}"));
            }
            Ended::Foreign(found) if self.may == May::Look => {
                self.unsure(
                    step,
                    format!("it was interrupted, and what is there is neither: {found}"),
                );
            }
            Ended::Unread(failure) if self.may == May::Look => {
                self.unsure(step, format!("it was interrupted and cannot be looked up: {failure}"));
            }
            Ended::Foreign(found) => {
                let target = self.work.step(step).map(|it| it.target.clone());
                self.unsettled = Some(match target {
                    Ok(target) => ApplyError::Unsettled { step, target, found },
                    Err(failure) => self.unreadable(step, failure),
                });
            }
            Ended::Unread(failure) => self.unsettled = Some(self.unreadable(step, failure)),
        }
        Ok(())
    }

    fn done(
        &mut self,
        step: u32,
        outcome: Outcome,
        secrets: SecretPrints,
        since: u64,
    ) -> Result<(), ApplyError> {
        let planned = self.work.step(step).map_err(|it| self.unreadable(step, it))?;
        self.work.learn(&planned.target.address, &outcome);
        self.fresh.insert(step, self.entries.len());
        self.says.push(Progress::Done {
            step,
            took_ms: self.work.lent.clock.ticks_ms().saturating_sub(since),
            back: self.way == Way::Back,
        });
        self.record(match self.way {
            Way::There => Record::Done { step, outcome, secrets },
            Way::Back => Record::UndoDone { step, outcome, secrets },
        });
        self.holds(step);
        Ok(())
    }

    /// A step holds: what waited for it alone is ready.
    fn holds(&mut self, step: u32) {
        self.left = self.left.saturating_sub(1);
        self.graph.done(step);
    }

    fn failed(&mut self, attempt: Attempt, failure: Failure) -> Result<(), ApplyError> {
        let step = attempt.begun.step;
        if failure.kind == FailureKind::Expired {
            return Err(ApplyError::Expired(failure.message));
        }
        let stopping = !self.may_begin();
        if stopping && failure.kind == FailureKind::Cancelled && failure.remains == Remains::Nothing
        {
            self.void(&attempt, failure.message, true);
            return Ok(());
        }
        if failure.retryable && !stopping && self.rest(&attempt, &failure) {
            return Ok(());
        }
        self.failed_for_good(step, failure);
        Ok(())
    }

    fn failed_for_good(&mut self, step: u32, failure: Failure) {
        if self.way == Way::Back && failure.kind == FailureKind::Unavailable {
            // The system is out of reach, which says nothing of the undo: the apply stays open, and
            // whoever recovers it goes on back.
            self.unsettled = Some(self.unreadable(step, failure));
            return self.fail();
        }
        self.says.push(Progress::Failed {
            step,
            failure: failure.clone(),
            back: self.way == Way::Back,
        });
        self.record(match self.way {
            Way::There => Record::Failed { step, failure },
            Way::Back => Record::UndoFailed { step, failure },
        });
        self.fail();
    }

    fn fail(&mut self) {
        self.failed = true;
        self.cut.press();
    }

    /// Waits before the next attempt, where the plan's schedule has one.
    fn rest(&mut self, attempt: &Attempt, failure: &Failure) -> bool {
        let step = attempt.begun.step;
        let tries = self.tries.get(&step).copied().unwrap_or_default().max(1);
        let schedule = self.work.operation(step, self.way).map(|it| it.retry);
        let Some(wait_ms) = schedule.ok().and_then(|it| it.wait_ms(tries + 1)) else {
            return false;
        };
        let since = self.work.lent.clock.ticks_ms();
        self.attempts.insert(step, (attempt.clone(), since));
        let (work, cut, failure) = (self.work, self.cut.clone(), failure.clone());
        self.under_way.push(
            step,
            Box::pin(async move {
                tokio::select! {
                    biased;
                    () = cut.pressed(1) => {}
                    () = work.lent.clock.sleep(wait_ms) => {}
                }
                Ended::Rested(failure)
            }),
        );
        true
    }

    /// The wait is over: the next attempt begins, with a new token where the last one left nothing,
    /// else with the same, which completes what it left.
    fn rested(&mut self, attempt: Attempt, failure: Failure) {
        let step = attempt.begun.step;
        let nothing = failure.remains == Remains::Nothing;
        match (self.may_begin(), nothing) {
            (_, true) => self.void(&attempt, failure.message, true),
            (true, false) => self.begun.push((attempt, Task::Perform)),
            (false, false) => self.failed_for_good(step, failure),
        }
    }

    /// An attempt had no effect: the step may begin once more.
    fn void(&mut self, attempt: &Attempt, why: String, sealed: bool) {
        let step = attempt.begun.step;
        self.made.insert(step, attempt.begun.attempt);
        self.record(match (sealed, self.way) {
            (false, _) => Record::Unsealed { step, why },
            (true, Way::There) => Record::Void { step, why },
            (true, Way::Back) => Record::UndoVoid { step, why },
        });
        self.graph.again(step);
    }

    /// What became of a step is not known, and that is written down.
    fn unsure(&mut self, step: u32, message: String) {
        let failure = Failure::new(FailureKind::Malformed, message).remains(Remains::Unsure);
        self.failed_for_good(step, failure);
    }

    fn record(&mut self, record: Record) {
        self.entries.push(self.work.entry(record));
    }

    fn unreadable(&self, step: u32, failure: Failure) -> ApplyError {
        match self.work.step(step) {
            Ok(planned) => {
                ApplyError::Unreadable { address: planned.target.address.clone(), failure }
            }
            Err(missing) => ApplyError::Untrusted(missing.message),
        }
    }

    fn stopped(&mut self) -> Result<Stopped, ApplyError> {
        if let Some(unsettled) = self.unsettled.take() {
            return Err(unsettled);
        }
        match () {
            () if self.left == 0 => Ok(Stopped::AllDone),
            () if self.interrupted => Ok(Stopped::Interrupted),
            () if self.failed => Ok(Stopped::Failed),
            () if self.may != May::Begin => Ok(Stopped::Left),
            () => {
                let message = "the plan's steps wait for each other: nothing can begin";
                Err(ApplyError::Untrusted(message.to_owned()))
            }
        }
    }
}
