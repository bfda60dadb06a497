#![doc = include_str!("../README.md")]

mod expr;
mod header;
mod lower;
mod observe;
mod perform;
mod read;
mod resolve;
mod rule;
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
pub const NAME: &str = "prometheus";

/// The form in which fields are written today: `expr` in canonical PromQL, `for` in milliseconds,
/// `labels` and `annotations` as they stand in the rule.
pub const FORM: u32 = 1;

/// Where rule files go, where nothing is said: relative to the stack's folder.
const RULES: &str = ".hive-run/rules";

/// Rule files in one folder on this machine.
pub struct Prometheus {
    settings: Fields,
    system: String,
    base: Arc<Base>,
    sync: Arc<FolderSync>,
}

/// Where rule files lie, for all verbs.
struct Base {
    /// The folder of rule files.
    rules: PathBuf,
    /// The same as the settings name it.
    named: String,
}

impl Prometheus {
    /// Rule files of the stack in `folder`. `settings` may have `rules`, the folder that Prometheus
    /// loads `*.yml` from: `.hive-run/rules` by default.
    ///
    /// # Errors
    /// A setting makes no sense, or is not known in this version.
    pub fn connect(folder: &Path, settings: &Fields) -> Result<Self, Failure> {
        let wrong = |why: String| Err(Failure::new(FailureKind::Invalid, why));
        if let Some(other) = settings.keys().find(|key| *key != "rules") {
            return wrong(format!("the setting `{other}` is not in this version"));
        }
        let named = match settings.get("rules") {
            None => RULES,
            Some(Value::Text(text)) if !text.is_empty() => text,
            Some(_) => return wrong("the setting `rules` is not the path of a folder".to_owned()),
        };
        Ok(Self {
            settings: settings.clone(),
            system: hive_objects::machine_id(),
            base: Arc::new(Base { rules: folder.join(named), named: named.to_owned() }),
            sync: Arc::default(),
        })
    }
}

impl Provider for Prometheus {
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
        for field in ["expr", "for"] {
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

/// Runs file calls where they hold up nobody.
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
