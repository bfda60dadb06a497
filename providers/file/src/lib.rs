#![doc = include_str!("../README.md")]

mod lower;
mod observe;
mod perform;
mod read;
mod resolve;
mod sidecar;
mod spot;
mod steps;

use hive_contract::outcome::{UpgradeError, Upgraded};
use hive_contract::{
    Ask, Change, Context, Declared, Failure, FailureKind, Fields, Invalid, LowerScope, Lowered,
    Observation, Operation, Outcome, Perform, Place, Provider, Rehearsal, Resolution, Secrets,
    Task, Value,
};
use hive_objects::FolderSync;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name in places and records.
pub const NAME: &str = "file";

/// The form in which fields are written today: `content`, `mode`, and `path` where declared.
pub const FORM: u32 = 1;

/// Files below one stack's folder on this machine.
pub struct File {
    settings: Fields,
    system: String,
    base: Arc<Base>,
    sync: Arc<FolderSync>,
}

/// Where things lie, for all verbs.
struct Base {
    /// The stack's folder.
    folder: PathBuf,
    /// Where hive keeps what it runs, relative to it.
    run: String,
}

impl File {
    /// Files below `folder`. `settings` may have `directory`, the folder below it where hive keeps
    /// what it runs: `.hive-run` by default.
    ///
    /// # Errors
    /// A setting makes no sense.
    pub fn connect(folder: &Path, settings: &Fields) -> Result<Self, Failure> {
        let run = match settings.get("directory") {
            None => ".hive-run".to_owned(),
            Some(Value::Text(text)) => spot::clean(text).map_err(|why| {
                Failure::new(FailureKind::Invalid, format!("the setting `directory` {why}"))
            })?,
            Some(_) => {
                return Err(Failure::new(
                    FailureKind::Invalid,
                    "the setting `directory` is not text",
                ));
            }
        };
        Ok(Self {
            settings: settings.clone(),
            system: hive_objects::machine_id(),
            base: Arc::new(Base { folder: folder.to_owned(), run }),
            sync: Arc::default(),
        })
    }
}

impl Provider for File {
    fn name(&self) -> &'static str {
        NAME
    }

    fn place(&self) -> Place {
        Place {
            provider: NAME.to_owned(),
            settings: self.settings.clone(),
            system: self.system.clone(),
        }
    }

    fn form(&self) -> u32 {
        FORM
    }

    fn upgrade(&self, form: u32, fields: Fields) -> Upgraded {
        if form > FORM {
            return Err(UpgradeError::Newer { form, known: FORM });
        }
        for field in ["content", "mode"] {
            if !fields.contains_key(field) {
                return Err(UpgradeError::Malformed { form, field: field.to_owned() });
            }
        }
        Ok(fields)
    }

    fn lower(&self, declared: &Declared, scope: &LowerScope) -> Result<Lowered, Vec<Invalid>> {
        lower::lower(&self.base, declared, scope)
    }

    fn observe<'a>(
        &'a self,
        ask: &'a Ask,
        _secrets: &'a Secrets,
    ) -> Task<'a, Result<Observation, Failure>> {
        let (base, ask) = (Arc::clone(&self.base), ask.clone());
        Box::pin(blocking(move || observe::observe(&base, &ask)))
    }

    fn steps(&self, change: &Change, _rehearsal: Option<&Rehearsal>) -> Vec<Operation> {
        steps::steps(change)
    }

    fn perform<'a>(
        &'a self,
        request: &'a Perform,
        context: &'a Context<'a>,
    ) -> Task<'a, Result<Outcome, Failure>> {
        Box::pin(perform::perform(&self.base, &self.sync, request, context))
    }

    fn resolve<'a>(
        &'a self,
        request: &'a Perform,
        _context: &'a Context<'a>,
    ) -> Task<'a, Result<Resolution, Failure>> {
        let (base, request) = (Arc::clone(&self.base), request.clone());
        Box::pin(blocking(move || resolve::resolve(&base, &request)))
    }
}

/// Runs file calls where they hold up nobody: a sync takes as long as the disk takes.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(Failure::new(FailureKind::Unavailable, format!("the file work did not end: {error}")))
    })
}

#[cfg(test)]
mod conforms;
#[cfg(test)]
mod tests;
