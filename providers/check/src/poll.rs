//! Looking again and again until something holds.

use crate::gate::{cancelled, words};
use crate::hide::Hidden;
use hive_contract::{Context, Event, Failure, FailureKind, Outcome};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};

/// The longest that one look may take.
const ONE_LOOK: Duration = Duration::from_secs(10);

/// A condition, and how long it may take to hold.
pub(crate) struct Poll {
    pub(crate) probe: Probe,
    /// How the place is called in messages.
    pub(crate) named: String,
    /// From the end of one look to the begin of the next.
    pub(crate) every: Duration,
    pub(crate) timeout: Duration,
    pub(crate) hidden: Hidden,
}

/// A way of looking. The place may hold a secret.
pub(crate) enum Probe {
    Http { url: SecretString, status: Option<u16> },
    Tcp { address: SecretString },
}

/// Looks at once, then after every pause. What is seen is told each time it is something else.
pub(crate) async fn until_it_holds(poll: &Poll, context: &Context<'_>) -> Result<Outcome, Failure> {
    let cut =
        || Failure::new(FailureKind::Cancelled, format!("waiting for {} was cut", poll.named));
    let deadline = Instant::now() + poll.timeout;
    let mut seen = String::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let look = timeout_at(deadline, poll.probe.look(left.min(ONE_LOOK)));
        let looked = tokio::select! {
            looked = look => looked,
            () = cancelled(context) => return Err(cut()),
        };
        // A look that the deadline cut: what was seen before says more.
        let whole = Instant::now() < deadline;
        match looked {
            Ok(Ok(())) => return Ok(Outcome::nothing()),
            Ok(Err(why)) if why != seen && (whole || seen.is_empty()) => {
                seen = why;
                let message = format!("{}: {}", poll.named, poll.hidden.hide(&seen));
                context.event(Event::info(message));
            }
            Ok(Err(_)) => {}
            Err(_) if seen.is_empty() => seen = "no answer".to_owned(),
            Err(_) => {}
        }
        let next = Instant::now() + poll.every;
        if next >= deadline {
            return Err(Failure::new(
                FailureKind::Unhealthy,
                format!(
                    "{} does not answer as it should within {}: {}",
                    poll.named,
                    words(poll.timeout),
                    poll.hidden.hide(&seen)
                ),
            ));
        }
        tokio::select! {
            () = sleep_until(next) => {}
            () = cancelled(context) => return Err(cut()),
        }
    }
}

impl Probe {
    async fn look(&self, timeout: Duration) -> Result<(), String> {
        match self {
            Self::Http { url, status } => {
                hive_probe::http(url.expose_secret(), timeout, *status).await
            }
            Self::Tcp { address } => hive_probe::tcp(address.expose_secret(), timeout).await,
        }
    }
}
