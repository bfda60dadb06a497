//! One look of a gate.

use crate::hide::Hidden;
use crate::poll::{Poll, Probe};
use crate::{Base, CHECK, command, invalid, poll};
use hive_contract::{Context, Failure, Fields, Outcome, Perform, Value};
use secrecy::SecretString;
use std::time::Duration;

/// Waits until the condition holds, or says why it does not.
pub(crate) async fn look(
    base: &Base,
    request: &Perform,
    context: &Context<'_>,
) -> Result<Outcome, Failure> {
    let operation = &request.operation;
    if operation.verb != CHECK {
        return Err(invalid(format!("a check knows no `{}`", operation.verb)));
    }
    let payload = &operation.payload;
    let hidden = Hidden::new(context.secrets);
    let timeout = milliseconds(payload, "timeout")?;
    let (named, probe) = if let Some(url) = payload.get("http") {
        let status = payload.get("status").and_then(Value::as_int);
        let status = status.and_then(|it| u16::try_from(it).ok());
        (named(url, "the url"), Probe::Http { url: text(url, context)?, status })
    } else if let Some(address) = payload.get("tcp") {
        (named(address, "the address"), Probe::Tcp { address: text(address, context)? })
    } else {
        return command::run(base, request, context, timeout, &hidden).await;
    };
    let every = milliseconds(payload, "every")?;
    poll::until_it_holds(&Poll { probe, named, every, timeout, hidden }, context).await
}

/// How a place is called in messages: by its text, or without it where that holds a secret.
fn named(value: &Value, otherwise: &str) -> String {
    value.as_text().map_or_else(|| otherwise.to_owned(), |text| format!("`{text}`"))
}

/// A text that may hold secrets.
pub(crate) fn text(value: &Value, context: &Context<'_>) -> Result<SecretString, Failure> {
    context.secrets.text(value).map_err(|error| invalid(error.to_string()))
}

fn milliseconds(payload: &Fields, key: &str) -> Result<Duration, Failure> {
    let number = payload.get(key).and_then(Value::as_int).and_then(|it| u64::try_from(it).ok());
    let number = number.ok_or_else(|| invalid(format!("the operation has no `{key}`")))?;
    Ok(Duration::from_millis(number))
}

/// A duration in the words of the stack language.
pub(crate) fn words(duration: Duration) -> String {
    match duration.as_millis() {
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

/// Returns when hive is asked to stop waiting.
pub(crate) async fn cancelled(context: &Context<'_>) {
    while !context.cancelled() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_the_words_of_the_language() {
        assert_eq!(words(Duration::from_millis(250)), "250ms");
        assert_eq!(words(Duration::from_secs(90)), "90s");
        assert_eq!(words(Duration::from_secs(120)), "2m");
    }
}
