#![doc = include_str!("../README.md")]

mod command;
mod lower;
mod message;
mod send;
mod webhook;

pub use message::Message;
pub use send::send;

use hive_contract::outcome::{UpgradeError, Upgraded};
use hive_contract::{
    Ask, Change, Context, Declared, Failure, FailureKind, Fields, Invalid, LowerScope, Lowered,
    Observation, Observed, Operation, Outcome, Perform, Place, Provider, Rehearsal, Resolution,
    Secrets, Task, Value,
};
use std::path::{Path, PathBuf};

/// The name in places and records.
pub const NAME: &str = "notify";

/// The form in which fields are written today: as declared, with all of `on`.
pub const FORM: u32 = 1;

/// The only verb. No plan has it: hive sends when an apply has ended.
pub const SEND: &str = "send";

/// The field of [`SEND`]'s payload that holds the message as JSON.
pub const MESSAGE: &str = "message";

/// Not a machine: who hears of an apply does not depend on where it ran.
const SYSTEM: &str = "where hive runs";

/// Those who want to hear of applies.
pub struct Notify {
    settings: Fields,
    folder: PathBuf,
}

impl Notify {
    /// Notices whose commands run in `folder`. There are no settings.
    ///
    /// # Errors
    /// None today.
    pub fn connect(folder: &Path, settings: &Fields) -> Result<Self, Failure> {
        Ok(Self { settings: settings.clone(), folder: folder.to_owned() })
    }
}

impl Provider for Notify {
    fn name(&self) -> &'static str {
        NAME
    }

    fn place(&self) -> Place {
        Place {
            provider: NAME.to_owned(),
            settings: self.settings.clone(),
            system: SYSTEM.to_owned(),
        }
    }

    fn form(&self) -> u32 {
        FORM
    }

    fn upgrade(&self, form: u32, fields: Fields) -> Upgraded {
        if form > FORM {
            return Err(UpgradeError::Newer { form, known: FORM });
        }
        if fields.contains_key("on") {
            return Ok(fields);
        }
        Err(UpgradeError::Malformed { form, field: "on".to_owned() })
    }

    fn lower(&self, declared: &Declared, scope: &LowerScope) -> Result<Lowered, Vec<Invalid>> {
        lower::lower(declared, scope)
    }

    /// Nothing of a notice is live.
    fn observe<'a>(
        &'a self,
        ask: &'a Ask,
        _secrets: &'a Secrets,
    ) -> Task<'a, Result<Observation, Failure>> {
        let found =
            ask.parts.iter().map(|one| (one.target.clone(), Ok(Observed::Absent))).collect();
        Box::pin(async move { Ok(Observation { found, ..Observation::default() }) })
    }

    /// hive itself reads what is recorded of a notice, so nothing has to be done about one.
    fn steps(&self, _change: &Change, _rehearsal: Option<&Rehearsal>) -> Vec<Operation> {
        Vec::new()
    }

    fn perform<'a>(
        &'a self,
        request: &'a Perform,
        context: &'a Context<'a>,
    ) -> Task<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            let operation = &request.operation;
            if operation.verb != SEND {
                return Err(invalid(format!("a notice knows no `{}`", operation.verb)));
            }
            let text = operation.payload.get(MESSAGE).and_then(Value::as_text);
            let message = text.and_then(|text| serde_json::from_str(text).ok());
            let message = message.ok_or_else(|| invalid("the operation has no message"))?;
            context.guard.may_write()?;
            send(&self.folder, &operation.payload, &message, context.secrets).await?;
            Ok(Outcome::nothing())
        })
    }

    /// Whether a message arrived cannot be looked up; to send it twice does less harm than never.
    fn resolve<'a>(
        &'a self,
        _request: &'a Perform,
        _context: &'a Context<'a>,
    ) -> Task<'a, Result<Resolution, Failure>> {
        Box::pin(async { Ok(Resolution::NotStarted { sealed: false }) })
    }
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Invalid, message)
}

#[cfg(test)]
mod tests;
