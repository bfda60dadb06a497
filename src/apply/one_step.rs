//! One attempt at one step, there or back: everything between its Begin and its end.

use super::model::Interrupt;
use super::redact::Redact;
use super::work::Work;
use crate::plan::{Expected, Step};
use hive_contract::mark::Way;
use hive_contract::outcome::SecretPrints;
use hive_contract::value::{outputs_in, secrets_in};
use hive_contract::{
    Action, Ask, AskOne, Context, Event, Failure, FailureKind, Fingerprint, Mark, Observed,
    Outcome, Perform, Provider, Remains, Resolution, SecretRef, Secrets, Task,
};
use hive_state::Begun;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How long after its deadline a step may still end by itself: the provider ends it at the
/// deadline and knows what it left, so it is given the time to say so.
const LATE_MS: u64 = 10_000;
/// How long a step that was asked to end may take to do so.
const PATIENCE_MS: u64 = 20_000;

/// One attempt, journalled as begun.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// There or back.
    pub(super) way: Way,
    /// As the journal has it.
    pub(super) begun: Begun,
    /// Pressed when a gate must end.
    pub(super) cut: Interrupt,
}

/// What came of an attempt.
#[derive(Debug)]
pub(super) enum Ended {
    /// The thing itself says that it is done.
    Done(Box<Outcome>, SecretPrints),
    /// It failed.
    Failed(Failure),
    /// It had no effect. Sealed: and never will.
    NotStarted {
        /// Whether that lasts.
        sealed: bool,
    },
    /// It had some effect or is under way, and nobody wants it to be completed.
    Unfinished(String),
    /// What is live is neither the old nor the new.
    Foreign(String),
    /// What became of it cannot be read now.
    Unread(Failure),
    /// The wait before the next attempt is over; this is why there is one.
    Rested(Failure),
}

/// Whether a step that was interrupted half-way is completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Complete {
    /// With the same token.
    Yes,
    /// It stays as it is.
    No,
}

/// What is recorded of a secret where nobody knows which value an effect was made of: no keyed
/// hash, so that the next plan uses today's value.
const NOT_KNOWN: &str = "unknown";

/// The keyed hashes of the secrets that an attempt will be made of, as far as they have a value.
pub(super) async fn prints(work: &Work<'_>, attempt: &Attempt) -> SecretPrints {
    let operation = work.operation(attempt.begun.step, attempt.way);
    let payload = operation.and_then(|it| work.fill(&it.payload, attempt.way));
    let mut prints = SecretPrints::new();
    for reference in payload.iter().flat_map(secrets_in) {
        if let Ok(value) = work.lent.secrets.read(&reference).await
            && let Ok(print) = work.print(&reference, &value).await
        {
            prints.insert(reference.to_string(), print);
        }
    }
    prints
}

/// Performs an attempt.
pub(super) async fn perform(work: &Work<'_>, attempt: &Attempt) -> Ended {
    match ready(work, attempt).await {
        Ok(step) => match &step.unset {
            Some(failure) => Ended::Failed(failure.clone()),
            None => step.perform().await,
        },
        Err(failure) => Ended::Failed(failure),
    }
}

/// Looks up what became of an attempt whose end nobody saw, and completes it where that is wanted.
/// Only to complete it takes its secrets.
pub(super) async fn resolve(work: &Work<'_>, attempt: &Attempt, complete: Complete) -> Ended {
    let step = match ready(work, attempt).await {
        Ok(step) => step,
        Err(failure) => return Ended::Unread(failure),
    };
    match step.resolve().await {
        Err(failure) => Ended::Unread(failure),
        Ok(Resolution::NotStarted { sealed }) => Ended::NotStarted { sealed },
        Ok(Resolution::Done(outcome)) => step.found_done(outcome),
        Ok(Resolution::Failed(failure)) => Ended::Failed(step.redact.failure(failure)),
        Ok(Resolution::Foreign { found }) => Ended::Foreign(step.redact.said(found)),
        Ok(Resolution::Partly { .. } | Resolution::Running { .. }) if complete == Complete::Yes => {
            match &step.unset {
                Some(failure) => Ended::Unread(failure.clone()),
                None => step.perform().await,
            }
        }
        Ok(Resolution::Partly { facts }) => Ended::Unfinished(step.redact.said(facts)),
        Ok(Resolution::Running { .. }) => Ended::Unfinished("it is still under way".to_owned()),
    }
}

/// Looks up an attempt and does nothing about it.
pub(super) async fn look(work: &Work<'_>, attempt: &Attempt) -> Result<Resolution, Failure> {
    let step = ready(work, attempt).await?;
    Ok(match step.resolve().await? {
        Resolution::Done(outcome) => Resolution::Done(step.redact.outcome(outcome)),
        Resolution::Failed(failure) => Resolution::Failed(step.redact.failure(failure)),
        Resolution::Foreign { found } => Resolution::Foreign { found: step.redact.said(found) },
        other => other,
    })
}

/// A step with everything that its provider is given.
struct Ready<'w, 'a> {
    work: &'w Work<'a>,
    attempt: &'w Attempt,
    provider: Arc<dyn Provider>,
    request: Perform,
    secrets: Secrets,
    prints: SecretPrints,
    redact: Redact,
    /// The first of its secrets that has no value here.
    unset: Option<Failure>,
}

/// Fills placeholders and reads secrets, right before they are used.
async fn ready<'w, 'a>(work: &'w Work<'a>, attempt: &'w Attempt) -> Result<Ready<'w, 'a>, Failure> {
    let Begun { step: number, token, expected, .. } = &attempt.begun;
    let step = work.step(*number)?;
    let provider = work.lent.providers.at(&step.place).cloned().ok_or_else(|| {
        Failure::new(FailureKind::Unavailable, format!("the place `{}` is not here", step.place))
    })?;
    let mut operation = work.operation(*number, attempt.way)?.clone();
    operation.payload = work.fill(&operation.payload, attempt.way)?;
    let request = Perform {
        target: step.target.clone(),
        identity: step.identity.clone(),
        mark: Mark { owner: work.owner.clone(), address: step.target.address.clone() },
        operation,
        expected: expected.clone(),
        managed: step.managed.clone(),
        token: token.clone(),
        facts: work.facts.clone(),
    };
    let mut ready = Ready {
        work,
        attempt,
        provider,
        request,
        secrets: Secrets::default(),
        prints: SecretPrints::new(),
        redact: Redact::default(),
        unset: None,
    };
    ready.read_secrets().await;
    Ok(ready)
}

impl Ready<'_, '_> {
    async fn read_secrets(&mut self) {
        for reference in secrets_in(&self.request.operation.payload) {
            if let Err(why) = self.read_secret(&reference).await {
                let message = format!("the secret {reference} cannot be used: {why}");
                self.unset.get_or_insert(Failure::new(FailureKind::Forbidden, message));
            }
        }
    }

    async fn read_secret(&mut self, reference: &SecretRef) -> Result<(), String> {
        let value = self.work.lent.secrets.read(reference).await?;
        let print = self.work.print(reference, &value).await?;
        self.prints.insert(reference.to_string(), print);
        self.redact.add(reference, &value);
        self.secrets.insert(reference.clone(), value);
        Ok(())
    }

    async fn perform(&self) -> Ended {
        if let Some(outcome) = self.live_already().await {
            return self.done(outcome);
        }
        let cancel = AtomicBool::new(false);
        let say = |event: Event| self.work.said(self.attempt.begun.step, self.redact.event(event));
        let context = Context {
            secrets: &self.secrets,
            guard: self.work.guard,
            events: &say,
            cancel: &cancel,
        };
        let effect = self.provider.perform(&self.request, &context);
        match self.in_time(effect, &cancel).await {
            Ok(outcome) => self.done(outcome),
            Err(failure) => Ended::Failed(self.redact.failure(failure)),
        }
    }

    async fn resolve(&self) -> Result<Resolution, Failure> {
        let cancel = AtomicBool::new(false);
        let say = |event: Event| self.work.said(self.attempt.begun.step, self.redact.event(event));
        let context = Context {
            secrets: &self.secrets,
            guard: self.work.guard,
            events: &say,
            cancel: &cancel,
        };
        let found = self.provider.resolve(&self.request, &context).await;
        found.map_err(|failure| self.redact.failure(failure))
    }

    fn done(&self, outcome: Outcome) -> Ended {
        Ended::Done(Box::new(self.redact.outcome(outcome)), self.prints.clone())
    }

    /// Done by whoever began it, with the values of then.
    fn found_done(&self, outcome: Outcome) -> Ended {
        let then = &self.attempt.begun.secrets;
        let named = secrets_in(&self.request.operation.payload).into_iter();
        let prints = named.map(|reference| {
            let reference = reference.to_string();
            let print = then.get(&reference).cloned();
            (reference, print.unwrap_or_else(|| NOT_KNOWN.to_owned()))
        });
        Ended::Done(Box::new(self.redact.outcome(outcome)), prints.collect())
    }

    /// What is there, where the step would change nothing: its fields, now that they are filled,
    /// are what the plan saw live, and a look says that they still are. Asked only where that is
    /// certain: one update by itself, of something that the preflight has looked at, without a
    /// secret in it.
    async fn live_already(&self) -> Option<Outcome> {
        let step = self.work.step(self.attempt.begun.step).ok()?;
        let expected = self.request.expected.as_ref()?;
        let certain = self.attempt.way == Way::There
            && step.action == Action::Update
            && matches!(step.expected, Expected::Observed(_))
            && !outputs_in(&step.operation.payload).is_empty()
            && secrets_in(&self.request.operation.payload).is_empty()
            && self.work.alone(&step.target);
        if !certain {
            return None;
        }
        let planned = self.work.plan.records.get(&step.target.address)?.as_ref()?;
        let fields = &planned.parts.get(&step.target.part)?.fields;
        let fields = self.work.fill(fields, Way::There).ok()?;
        if Fingerprint::of_managed(&fields, &step.managed) != *expected {
            return None;
        }
        let one = AskOne {
            target: step.target.clone(),
            identity: step.identity.clone(),
            access: step.access.clone(),
        };
        let ask = Ask { parts: vec![one], ..Ask::default() };
        let mut seen =
            super::look::look(&*self.provider, self.work.lent.secrets, &ask).await.ok()?;
        // Anything else is the provider's to see and to say.
        let Ok(Observed::Present(live)) = seen.found.remove(&step.target)? else { return None };
        let same = Fingerprint::of_managed(&live.fields, &step.managed) == *expected;
        let ours = live.mark.as_ref() == Some(&self.request.mark);
        (same && ours && live.status.ready).then(|| Outcome::live(live))
    }

    /// Waits for an effect: to its deadline and a little longer, and where it is a gate, until it
    /// is cut. One that does not end even then is left alone, and what it left is not known.
    async fn in_time(
        &self,
        effect: Task<'_, Result<Outcome, Failure>>,
        cancel: &AtomicBool,
    ) -> Result<Outcome, Failure> {
        let clock = self.work.lent.clock;
        let gate = self.work.step(self.attempt.begun.step).is_ok_and(Step::only_looks);
        let deadline_ms = self.request.operation.deadline_ms;
        let mut effect = pin!(effect);
        let cut = async {
            if !gate {
                std::future::pending::<()>().await;
            }
            self.attempt.cut.pressed(1).await;
        };
        let kind = tokio::select! {
            biased;
            ended = &mut effect => return ended,
            () = cut => FailureKind::Cancelled,
            () = clock.sleep(deadline_ms.saturating_add(LATE_MS)) => FailureKind::TimedOut,
        };
        cancel.store(true, Ordering::Relaxed);
        tokio::select! {
            biased;
            ended = &mut effect => return ended,
            () = clock.sleep(PATIENCE_MS) => {}
        }
        let message = match kind {
            FailureKind::Cancelled => "it was asked to end and did not".to_owned(),
            _ => format!("it did not end within {} s", deadline_ms.div_ceil(1000)),
        };
        let remains = if gate { Remains::Nothing } else { Remains::Unsure };
        Err(Failure::new(kind, message).remains(remains))
    }
}
