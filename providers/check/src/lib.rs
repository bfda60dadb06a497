#![doc = include_str!("../README.md")]

mod command;
mod gate;
mod hide;
mod leftover;
mod lower;
mod poll;

use hive_contract::outcome::{UpgradeError, Upgraded};
use hive_contract::{
    Action, Ask, Change, Context, Declared, Expects, Failure, FailureKind, Fields, Invalid,
    LowerScope, Lowered, Observation, Observed, Operation, Outcome, Perform, Place, Provider,
    Rehearsal, Resolution, Secrets, Task, Value,
};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The name in places and records.
pub const NAME: &str = "check";

/// The form in which fields are written today: as declared, with `timeout`, and with `every` where
/// it looks more than once.
pub const FORM: u32 = 1;

/// Not a machine: a check that held does not have to hold again because a colleague applies next.
const SYSTEM: &str = "where hive runs";

/// The only verb.
const CHECK: &str = "check";

/// What a command gets of hive's own environment. Everything else must be declared, so that a check
/// does not depend on who runs it, and finds no secret that it was not given.
const PASSED_ON: [&str; 10] =
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "LANG", "LC_ALL", "TZ", "TERM"];

/// Conditions looked at from this machine.
pub struct Check {
    settings: Fields,
    base: Base,
}

/// What commands run in.
struct Base {
    /// The stack's folder.
    folder: PathBuf,
    /// Of [`PASSED_ON`], what there is.
    environment: BTreeMap<OsString, OsString>,
}

impl Check {
    /// Checks whose commands run below `folder`. There are no settings.
    ///
    /// # Errors
    /// None today.
    pub fn connect(folder: &Path, settings: &Fields) -> Result<Self, Failure> {
        Ok(Self {
            settings: settings.clone(),
            base: Base { folder: folder.to_owned(), environment: passed_on() },
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "connect: what a command needs to find its tools")]
fn passed_on() -> BTreeMap<OsString, OsString> {
    let found = PASSED_ON.iter().map(|name| (name, std::env::var_os(name)));
    found.filter_map(|(name, value)| Some((OsString::from(name), value?))).collect()
}

impl Provider for Check {
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
        if fields.contains_key("timeout") {
            return Ok(fields);
        }
        Err(UpgradeError::Malformed { form, field: "timeout".to_owned() })
    }

    fn lower(&self, declared: &Declared, scope: &LowerScope) -> Result<Lowered, Vec<Invalid>> {
        lower::lower(declared, scope)
    }

    /// A gate leaves nothing that could be seen.
    fn observe<'a>(
        &'a self,
        ask: &'a Ask,
        _secrets: &'a Secrets,
    ) -> Task<'a, Result<Observation, Failure>> {
        let found =
            ask.parts.iter().map(|one| (one.target.clone(), Ok(Observed::Absent))).collect();
        Box::pin(async move { Ok(Observation { found, ..Observation::default() }) })
    }

    fn steps(&self, change: &Change, _rehearsal: Option<&Rehearsal>) -> Vec<Operation> {
        match change.action {
            Action::Create | Action::Update | Action::Run => {
                operation(change).into_iter().collect()
            }
            Action::Keep
            | Action::Replace
            | Action::Delete
            | Action::Adopt
            | Action::Forget
            | Action::Stop
            | Action::Start => Vec::new(),
        }
    }

    fn perform<'a>(
        &'a self,
        request: &'a Perform,
        context: &'a Context<'a>,
    ) -> Task<'a, Result<Outcome, Failure>> {
        Box::pin(gate::look(&self.base, request, context))
    }

    /// Looking has no effect, so a look that was cut short is as good as none, once nothing of it
    /// runs any more.
    fn resolve<'a>(
        &'a self,
        request: &'a Perform,
        _context: &'a Context<'a>,
    ) -> Task<'a, Result<Resolution, Failure>> {
        Box::pin(async move {
            leftover::end(&request.token).await?;
            Ok(Resolution::NotStarted { sealed: true })
        })
    }
}

/// How much longer than its own timeout a check may take before the step has failed for it: it
/// says better than the executor why it ended.
const SLACK_MS: u64 = 10_000;

fn operation(change: &Change) -> Option<Operation> {
    let payload = change.desired.as_ref()?.fields.clone();
    let timeout = payload.get("timeout").and_then(Value::as_int).unwrap_or_default();
    let mut step = Operation::new(CHECK, title(&payload), Expects::Anything, payload);
    step.deadline_ms = timeout.unsigned_abs() + SLACK_MS;
    step.retry = hive_contract::Retry::NEVER;
    Some(step)
}

/// What a reviewer reads. Only a value without secrets and placeholders is shown.
fn title(payload: &Fields) -> String {
    let shown = |key: &str| payload.get(key).and_then(Value::as_text).map(str::to_owned);
    if payload.contains_key("http") {
        return shown("http").map_or("ask by http".to_owned(), |url| format!("ask {url}"));
    }
    if payload.contains_key("tcp") {
        return shown("tcp").map_or("connect".to_owned(), |to| format!("connect to {to}"));
    }
    let words = payload.get("command").and_then(Value::as_list).unwrap_or_default();
    let words: Vec<String> =
        words.iter().map(|word| word.scalar().unwrap_or_else(|| "…".to_owned())).collect();
    format!("run {}", words.join(" "))
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Invalid, message)
}

#[cfg(test)]
mod conforms;
#[cfg(test)]
mod tests;
