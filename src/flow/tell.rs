//! Tells whoever wants to hear how an apply ended.

use super::applying::Says;
use super::error::FlowError;
use super::session::Session;
use crate::apply::{Progress, Report, SecretReader};
use hive_contract::value::{fill_fields, outputs_in, secrets_in};
use hive_contract::{Address, Fields, Secrets, Value};
use hive_notify::Message;
use hive_state::{Ending, Snapshot};

impl Session {
    /// Sends the notices of the newest snapshot that want to hear of this ending. A notice that
    /// cannot be sent is said and changes nothing: the apply is over.
    pub(super) async fn tell(&self, report: &Report, says: Says<'_>) {
        let message = message(self, report);
        let head = match self.ledger.head().await {
            Ok(Some((_, head))) => head,
            Ok(None) => return,
            Err(error) => {
                return says(Progress::Note { message: format!("no notice was sent: {error}") });
            }
        };
        for (address, fields) in notices(&head) {
            if !hears(fields, &message.event) {
                continue;
            }
            if let Err(error) = self.send(fields, Some(&head), &message).await {
                let message = format!("the notice `{address}` was not sent: {error}");
                says(Progress::Note { message });
            }
        }
    }

    /// Sends a test message to every declared notice, or to one.
    ///
    /// # Errors
    /// There is no such notice. What each one came to is in the result.
    pub async fn tell_test(
        &self,
        only: Option<&Address>,
    ) -> Result<Vec<(Address, Result<(), String>)>, FlowError> {
        let stack = self.toml()?;
        let head = self.ledger.head().await?.map(|(_, head)| head);
        let mut sent = Vec::new();
        for (address, declared) in &stack.declared {
            if address.kind() != "notify" || only.is_some_and(|it| it != address) {
                continue;
            }
            let message = Message {
                event: "test".to_owned(),
                stack: self.stack.clone(),
                environment: self.at.full_environment(),
                apply: String::new(),
                summary: "a test: hive can reach you".to_owned(),
                lines: Vec::new(),
                url: None,
            };
            sent.push((
                address.clone(),
                self.send(&declared.fields, head.as_ref(), &message).await,
            ));
        }
        match only.filter(|_| sent.is_empty()) {
            Some(address) => Err(FlowError::Usage(match address.kind() {
                "notify" => format!("the stack declares no `{address}`"),
                _ => format!("`{address}` is no `notify`, so it cannot be sent anything"),
            })),
            None => Ok(sent),
        }
    }

    async fn send(
        &self,
        fields: &Fields,
        head: Option<&Snapshot>,
        message: &Message,
    ) -> Result<(), String> {
        let fields = filled(fields, head)?;
        let mut secrets = Secrets::default();
        for reference in secrets_in(&fields) {
            let value = self.secrets.read(&reference).await?;
            secrets.insert(reference, value);
        }
        let sent = hive_notify::send(&self.at.folder, &fields, message, &secrets).await;
        sent.map_err(|failure| failure.to_string())
    }
}

fn notices(head: &Snapshot) -> impl Iterator<Item = (&Address, &Fields)> {
    let notices = head.resources.iter().filter(|(address, _)| address.kind() == "notify");
    notices.map(|(address, recorded)| {
        let lowered = recorded.parts.values().next().map(|part| &part.fields);
        (address, lowered.unwrap_or(&recorded.declared.fields))
    })
}

/// The fields with the outputs that they refer to, as they are recorded.
fn filled(fields: &Fields, head: Option<&Snapshot>) -> Result<Fields, String> {
    let filled = fill_fields(fields, &|value| match value {
        Value::Output(reference) => {
            let recorded = head?.resources.get(&reference.address)?;
            let mut parts = recorded.parts.values();
            parts.find_map(|part| part.outputs.get(&reference.output)).cloned()
        }
        _ => None,
    });
    match outputs_in(&filled).into_iter().next() {
        Some(open) => Err(format!("`{}.{}` is not recorded", open.address, open.output)),
        None => Ok(filled),
    }
}

/// Whether a notice wants to hear of this. `failed` is every ending but `applied`.
fn hears(fields: &Fields, event: &str) -> bool {
    let on = fields.get("on").and_then(Value::as_list).unwrap_or_default();
    let wanted = |it: &str| it == event || (it == "failed" && event != "applied");
    on.is_empty() || on.iter().filter_map(Value::as_text).any(wanted)
}

/// The word that a notice hears an ending by.
fn event(ending: Ending) -> &'static str {
    match ending {
        Ending::Applied => "applied",
        Ending::RolledBack => "rolled-back",
        Ending::Halted | Ending::ClosedByHand => "halted",
        Ending::Interrupted => "interrupted",
    }
}

fn message(session: &Session, report: &Report) -> Message {
    let event = event(report.ending);
    let failures = report.failures.iter();
    let lines = failures.map(|(step, target, it)| format!("step {step}, {target}: {it}")).collect();
    let environment = session.at.full_environment();
    Message {
        event: event.to_owned(),
        summary: format!("{} in {environment}: {event}", session.stack),
        stack: session.stack.clone(),
        environment,
        apply: report.apply.clone(),
        lines,
        url: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(words: &[&str]) -> Fields {
        let list = words.iter().map(|it| Value::text(*it)).collect();
        Fields::from([("on".to_owned(), Value::List(list))])
    }

    #[test]
    fn failed_is_every_ending_but_applied_and_a_halt_is_halted() {
        assert!(hears(&on(&["halted"]), event(Ending::Halted)));
        assert!(!hears(&on(&["rolled-back"]), event(Ending::Halted)));
        for ending in
            [Ending::RolledBack, Ending::Halted, Ending::Interrupted, Ending::ClosedByHand]
        {
            assert!(hears(&on(&["failed"]), event(ending)), "{ending:?}");
        }
        assert!(!hears(&on(&["failed"]), event(Ending::Applied)));
        assert!(hears(&Fields::new(), event(Ending::Applied)));
    }

    #[test]
    fn a_webhook_that_is_an_output_is_filled_with_what_is_recorded() {
        let text = r#"{"webhook":{"$output":{"address":"service.api","output":"url"}}}"#;
        let fields: Fields = serde_json::from_str(text).expect("fields");
        let error = filled(&fields, None).expect_err("nothing is recorded");
        assert!(error.contains("service.api.url"), "{error}");
        let head: Snapshot = serde_json::from_str(HEAD).expect("a snapshot");
        let filled = filled(&fields, Some(&head)).expect("it is recorded");
        assert_eq!(filled["webhook"], Value::text("http://127.0.0.1:1"));
    }

    const HEAD: &str = r#"{"number":1,"parent":null,"stack":"s","environment":"dev","whole":true,
        "apply":"a","at_ms":0,"guards":{},"variables":{},"places":{},"resources":{"service.api":{
        "declared":{"address":"service.api","fields":{}},"edges":[],"parts":{"main":{
        "provider":"process","form":1,"place":"p","identity":"i","lowered_identity":"i",
        "fields":{},"outputs":{"url":"http://127.0.0.1:1"},"secrets":{},"token":null,
        "unsure":false}}}}}"#;
}
