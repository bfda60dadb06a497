//! Tells whoever wants to hear how an apply ended.

use super::applying::Says;
use super::error::FlowError;
use super::session::Session;
use crate::apply::{Progress, Report, SecretReader};
use hive_contract::value::secrets_in;
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
            if !hears(&fields, &message.event) {
                continue;
            }
            if let Err(error) = self.send(&fields, &message).await {
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
            sent.push((address.clone(), self.send(&declared.fields, &message).await));
        }
        match only.filter(|_| sent.is_empty()) {
            Some(address) => Err(FlowError::Usage(match address.kind() {
                "notify" => format!("the stack declares no `{address}`"),
                _ => format!("`{address}` is no `notify`, so it cannot be sent anything"),
            })),
            None => Ok(sent),
        }
    }

    async fn send(&self, fields: &Fields, message: &Message) -> Result<(), String> {
        let mut secrets = Secrets::default();
        for reference in secrets_in(fields) {
            let value = self.secrets.read(&reference).await?;
            secrets.insert(reference, value);
        }
        let sent = hive_notify::send(&self.at.folder, fields, message, &secrets).await;
        sent.map_err(|failure| failure.to_string())
    }
}

fn notices(head: &Snapshot) -> impl Iterator<Item = (&Address, Fields)> {
    let notices = head.resources.iter().filter(|(address, _)| address.kind() == "notify");
    notices.map(|(address, recorded)| {
        let filled = recorded.parts.values().next().map(|part| part.fields.clone());
        (address, filled.unwrap_or_else(|| recorded.declared.fields.clone()))
    })
}

fn hears(fields: &Fields, event: &str) -> bool {
    let on = fields.get("on").and_then(Value::as_list).unwrap_or_default();
    on.is_empty() || on.iter().any(|it| it.as_text() == Some(event))
}

fn message(session: &Session, report: &Report) -> Message {
    let event = match report.ending {
        Ending::Applied => "applied",
        Ending::RolledBack => "rolled-back",
        Ending::Halted => "failed",
        Ending::Interrupted => "interrupted",
        Ending::ClosedByHand => "halted",
    };
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
