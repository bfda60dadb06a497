//! Blocking work that may ask what only its caller knows: the lease's guard, and whether to stop.

use hive_contract::{Context, Event, Failure, FailureKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What work is lent by the step that it is done for. Once that is given up, the guard says no: an
/// open transaction is rolled back.
pub(crate) struct Lent {
    questions: UnboundedSender<Question>,
    stop: Arc<AtomicBool>,
    deadline: Instant,
}

enum Question {
    MayWrite(SyncSender<Result<(), Failure>>),
    Say(Event),
}

impl Lent {
    /// Asks the guard, right before a write.
    ///
    /// # Errors
    /// It says no, or nobody waits for this work any more.
    pub(crate) fn may_write(&self) -> Result<(), Failure> {
        let gone = || Failure::new(FailureKind::Cancelled, "the step was given up");
        let (answer, answered) = sync_channel(1);
        self.questions.send(Question::MayWrite(answer)).map_err(|_| gone())?;
        answered.recv().unwrap_or_else(|_| Err(gone()))
    }

    /// Says that something happened.
    pub(crate) fn say(&self, event: Event) {
        // Nobody listens to a step that was given up.
        let _ = self.questions.send(Question::Say(event));
    }

    /// How long it may still take.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Why to stop here; none to go on.
    pub(crate) fn stopped(&self) -> Option<Failure> {
        if self.stop.load(Ordering::Relaxed) {
            return Some(Failure::new(FailureKind::Cancelled, "hive was asked to stop"));
        }
        self.left().is_zero().then(|| Failure::new(FailureKind::TimedOut, "the deadline passed"))
    }

    /// [`Self::stopped`] for whoever cannot borrow.
    pub(crate) fn watch(&self) -> impl FnMut() -> bool + Send + 'static {
        let (stop, deadline) = (Arc::clone(&self.stop), self.deadline);
        move || stop.load(Ordering::Relaxed) || Instant::now() >= deadline
    }
}

/// Sets the flag when it is dropped: whoever waited is gone.
struct StopAtEnd(Arc<AtomicBool>);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs work where it holds up nobody, and answers what it asks.
///
/// # Errors
/// What the work says, or that it did not end.
pub(crate) async fn lend<T: Send + 'static>(
    context: &Context<'_>,
    deadline_ms: u64,
    work: impl FnOnce(&Lent) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (questions, mut asked) = unbounded_channel();
    let stop = Arc::new(AtomicBool::new(context.cancelled()));
    let deadline = Instant::now() + Duration::from_millis(deadline_ms);
    let lent = Lent { questions, stop: Arc::clone(&stop), deadline };
    let stop = StopAtEnd(stop);
    let mut task = tokio::task::spawn_blocking(move || work(&lent));
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    loop {
        tokio::select! {
            biased;
            Some(question) = asked.recv() => answer(context, question),
            done = &mut task => {
                rest(context, &mut asked);
                return done.unwrap_or_else(|error| Err(unended(&error)));
            }
            _ = tick.tick() => stop.0.store(context.cancelled(), Ordering::Relaxed),
        }
    }
}

fn rest(context: &Context<'_>, asked: &mut UnboundedReceiver<Question>) {
    while let Ok(question) = asked.try_recv() {
        answer(context, question);
    }
}

fn answer(context: &Context<'_>, question: Question) {
    match question {
        Question::MayWrite(answer) => {
            let _ = answer.send(context.guard.may_write());
        }
        Question::Say(event) => context.event(event),
    }
}

/// Runs a look where it holds up nobody.
///
/// # Errors
/// What it says, or that it did not end.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(unended(&error)))
}

fn unended(error: &tokio::task::JoinError) -> Failure {
    Failure::new(FailureKind::Unavailable, format!("the work did not end: {error}"))
}

/// Now, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    now.tv_sec.saturating_mul(1_000).saturating_add(now.tv_nsec / 1_000_000)
}
