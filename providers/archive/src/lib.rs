#![doc = include_str!("../README.md")]

mod bundle;
mod clone;
mod engine;
mod folder;
mod git;
mod lay;
mod lower;
mod pack;
mod place;
mod repository;
mod scratch;
mod steps;
mod tally;
mod unpack;
mod walk;

use engine::Archives;
use hive_backup::Backups;
use hive_contract::outcome::{UpgradeError, Upgraded};
use hive_contract::{
    Ask, AskOne, Change, Context, Declared, Failure, Fields, Invalid, LowerScope, Lowered,
    Observation, Operation, Outcome, Perform, Place, Provider, Rehearsal, Resolution, Secrets,
    Task,
};
use std::path::{Path, PathBuf};

/// The name in places and records.
pub const NAME: &str = "archive";

/// The form in which fields are written today: `of`, `destination`, `encrypted`.
pub const FORM: u32 = 1;

/// Backups of the folders and repositories of one stack, on this machine.
pub struct Archive {
    settings: Fields,
    system: String,
    stack: PathBuf,
    backups: Backups,
}

impl Archive {
    /// Backups of what lies in or beside `folder`, the stack's own. It has no settings.
    ///
    /// # Errors
    /// None today.
    pub fn connect(folder: &Path, settings: &Fields) -> Result<Self, Failure> {
        Ok(Self {
            settings: settings.clone(),
            system: hive_objects::machine_id(),
            stack: folder.to_owned(),
            backups: Backups::new(folder),
        })
    }
}

impl Provider for Archive {
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
        for field in ["of", "destination", "encrypted"] {
            if !fields.contains_key(field) {
                return Err(UpgradeError::Malformed { form, field: field.to_owned() });
            }
        }
        Ok(fields)
    }

    fn lower(&self, declared: &Declared, scope: &LowerScope) -> Result<Lowered, Vec<Invalid>> {
        lower::lower(declared, scope)
    }

    fn observe<'a>(
        &'a self,
        ask: &'a Ask,
        secrets: &'a Secrets,
    ) -> Task<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let parts: Vec<&AskOne> = ask.parts.iter().collect();
            let found = self.backups.observe(&parts, secrets).await;
            let marked = hive_backup::marked(&found, ask.marked.as_ref());
            Ok(Observation { found, marked, ..Observation::default() })
        })
    }

    fn steps(&self, change: &Change, _rehearsal: Option<&Rehearsal>) -> Vec<Operation> {
        steps::steps(change)
    }

    fn perform<'a>(
        &'a self,
        request: &'a Perform,
        context: &'a Context<'a>,
    ) -> Task<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match request.operation.verb.as_str() {
                steps::UNPACK => self.unpack(request, context).await,
                steps::DISCARD => self.discard(request, context).await,
                _ => {
                    let archives = Archives { stack: &self.stack };
                    self.backups.perform(&archives, request, context).await
                }
            }
        })
    }

    fn resolve<'a>(
        &'a self,
        request: &'a Perform,
        context: &'a Context<'a>,
    ) -> Task<'a, Result<Resolution, Failure>> {
        Box::pin(async move {
            match request.operation.verb.as_str() {
                steps::UNPACK => self.resolve_unpack(request, context).await,
                steps::DISCARD => self.resolve_discard(request, context).await,
                _ => self.backups.resolve(request, context).await,
            }
        })
    }
}

#[cfg(test)]
mod tests;
