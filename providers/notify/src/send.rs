//! Sending one message.

use crate::message::Message;
use crate::{command, invalid, webhook};
use hive_contract::value::secrets_in;
use hive_contract::{Failure, Fields, Secrets, Value};
use std::path::Path;

/// Tells one notice, by its fields with outputs filled in. Commands run in `folder`.
///
/// # Errors
/// It was not told. No message holds a secret or more of a url than its host.
pub async fn send(
    folder: &Path,
    fields: &Fields,
    message: &Message,
    secrets: &Secrets,
) -> Result<(), Failure> {
    if let Some(url) = fields.get("webhook") {
        let text = secrets.text(url).map_err(|error| invalid(error.to_string()))?;
        return webhook::post(text, named(url), message).await;
    }
    let words = fields.get("command").and_then(Value::as_list).unwrap_or_default();
    let words = words.iter().map(Value::scalar).collect::<Option<Vec<_>>>();
    match words.filter(|words| !words.is_empty()) {
        Some(words) => command::run(folder, &words, message).await,
        None => Err(invalid("the notice names nobody to tell")),
    }
}

/// How a webhook is called in messages: by its host, or by its reference where the url is one.
fn named(url: &Value) -> String {
    let references = secrets_in(&Fields::from([(String::new(), url.clone())]));
    if !references.is_empty() {
        let references: Vec<String> = references.iter().map(ToString::to_string).collect();
        return format!("the webhook ({})", references.join(", "));
    }
    let rest = url.as_text().and_then(|url| url.split_once("://")).map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // A name and a password may stand before the host.
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("the webhook at `{host}`")
}
