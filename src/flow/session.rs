//! One command's hold on a stack: its TOML, its store, its connected providers.

use super::clock::SystemClock;
use super::error::FlowError;
use super::foreign::{self, Foreign};
use super::place::Where;
use super::secret::Reader;
use crate::apply::{Interrupt, Lent, Progress};
use crate::plan::Plan;
use crate::registry::Providers;
use crate::stack::{self, Parsed, Stack};
use hive_contract::{Fingerprint, Place, Rehearsal, StackMark};
use hive_state::{FolderStore, LeaseTerms, Ledger, Snapshot, Store};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Mutex;

/// A stack in one environment, opened.
pub struct Session {
    /// Where it was opened.
    pub at: Where,
    /// The stack's name.
    pub stack: String,
    /// What the TOML says; none where the command needs only the store.
    pub declared: Option<Stack>,
    /// Everything hive keeps of it.
    pub ledger: Ledger,
    /// Reads secrets.
    pub secrets: Reader,
    /// The time.
    pub clock: SystemClock,
    /// What rehearsals of this command taught, by change.
    pub(super) learnt: Mutex<BTreeMap<Fingerprint, Rehearsal>>,
}

impl Session {
    /// Opens the stack and its store. Writes nothing.
    ///
    /// # Errors
    /// Everything that is wrong with the TOML, or the store cannot be opened.
    pub async fn open(at: Where) -> Result<Self, FlowError> {
        let parsed = parse(&at)?;
        let Foreign { values, unread } = foreign::read(&at.folder, parsed.foreign()).await;
        let declared = parsed.finish_or(&values, &unread).map_err(FlowError::Stack)?;
        Ok(Self::of(at, declared))
    }

    /// Opens the stack without what it takes from other stacks: to check it, and no more.
    ///
    /// # Errors
    /// Everything that is wrong with the TOML.
    pub fn open_alone(at: Where) -> Result<Self, FlowError> {
        let declared = parse(&at)?.alone();
        Ok(Self::of(at, declared))
    }

    fn of(at: Where, declared: Stack) -> Self {
        let ledger = ledger(&at, &declared.store, &declared.name);
        let ledger = on_terms(ledger, declared.lease_ms);
        let secrets = Reader::new(at.folder.clone(), at.variable.clone(), ledger.clone());
        let stack = declared.name.clone();
        let at = Where { parallel: at.parallel.or(declared.parallel), ..at };
        Self {
            at,
            stack,
            declared: Some(declared),
            ledger,
            secrets,
            clock: SystemClock,
            learnt: Mutex::default(),
        }
    }

    /// Opens the store alone, so that the ways back need no TOML that is right, or none at all.
    ///
    /// # Errors
    /// There is neither a stack nor a store in this folder.
    pub async fn open_store(at: Where) -> Result<Self, FlowError> {
        let outline = stack::outline(&at.folder, &at.environment);
        let folder = outline.store.unwrap_or_else(|| stack::STORE.to_owned());
        let recorded = recorded_name(&at, &folder).await?;
        // Where a file cannot be read, the store is a guess, and good only if it is the right one.
        if let Some(broken) = outline.broken.filter(|_| recorded.is_none()) {
            return Err(FlowError::Usage(format!(
                "`{broken}` cannot be read, so where the store of {} is is not known: mend that \
                 file first (`hive validate` shows where)",
                at.full_environment()
            )));
        }
        let stack = match (outline.name, recorded) {
            (Some(name), _) | (None, Some(name)) => name,
            (None, None) => return Err(FlowError::NoStack(at.folder.clone())),
        };
        let ledger = on_terms(ledger(&at, &folder, &stack), outline.lease_ms);
        let at = Where { parallel: at.parallel.or(outline.parallel), ..at };
        let secrets = Reader::new(at.folder.clone(), at.variable.clone(), ledger.clone());
        Ok(Self {
            at,
            stack,
            declared: None,
            ledger,
            secrets,
            clock: SystemClock,
            learnt: Mutex::default(),
        })
    }

    /// The mark that is on everything of this stack; its store is empty where there is none yet.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn owner(&self) -> Result<StackMark, FlowError> {
        let store = self.ledger.store_id().await?.unwrap_or_default();
        Ok(StackMark { store, stack: self.stack.clone(), environment: self.at.full_environment() })
    }

    /// The providers of the TOML, and those of every place that the snapshot holds something at.
    ///
    /// # Errors
    /// A provider cannot be connected.
    pub async fn providers(&self, recorded: Option<&Snapshot>) -> Result<Providers, FlowError> {
        let places = recorded.map(|it| it.places.clone()).unwrap_or_default();
        match &self.declared {
            Some(stack) => self.connect(&stack.platforms, &places).await,
            None => self.connect(&Providers::settings_of(&places), &places).await,
        }
    }

    /// The providers that a plan names.
    ///
    /// # Errors
    /// A provider cannot be connected.
    pub async fn providers_of(
        &self,
        plan: &Plan,
        recorded: Option<&Snapshot>,
    ) -> Result<Providers, FlowError> {
        let mut places = recorded.map(|it| it.places.clone()).unwrap_or_default();
        places.extend(plan.places.clone());
        self.connect(&Providers::settings_of(&plan.places), &places).await
    }

    /// Providers with these settings, and the places beside them.
    pub(super) async fn connect(
        &self,
        settings: &BTreeMap<String, hive_contract::Fields>,
        places: &BTreeMap<String, Place>,
    ) -> Result<Providers, FlowError> {
        let owner = self.owner().await?;
        let mut providers = Providers::of_stack(owner, &self.at.folder, settings)
            .map_err(|(provider, failure)| FlowError::Connect { provider, failure })?;
        providers.reach(&self.at.folder, places);
        Ok(providers)
    }

    /// What an apply is lent.
    pub(super) fn lend<'a>(
        &'a self,
        providers: &'a Providers,
        says: &'a (dyn Fn(Progress) + Send + Sync),
        interrupt: &'a Interrupt,
    ) -> Lent<'a> {
        Lent {
            ledger: &self.ledger,
            providers,
            secrets: &self.secrets,
            clock: &self.clock,
            who: &self.at.who,
            says,
            interrupt,
            outside: self,
        }
    }
}

fn parse(at: &Where) -> Result<Parsed, FlowError> {
    let Where { folder, environment, instance, vars, env_vars, path, .. } = at;
    stack::parse(folder, environment, instance.as_deref(), vars, env_vars, path.as_deref())
        .map_err(FlowError::Stack)
}

/// The same with the lease's duration, where the stack says one.
fn on_terms(ledger: Ledger, lease_ms: Option<u64>) -> Ledger {
    match lease_ms {
        Some(duration_ms) => ledger.with_terms(LeaseTerms { duration_ms, ..LeaseTerms::default() }),
        None => ledger,
    }
}

fn ledger(at: &Where, folder: &str, stack: &str) -> Ledger {
    Ledger::new(store(&at.folder, folder), stack, &at.full_environment())
}

/// The store in a folder, named relative to the stack's.
pub(super) fn store(stack: &Path, folder: &str) -> Arc<dyn Store> {
    Arc::new(FolderStore::open(stack.join(folder)))
}

/// The stack's name as the newest snapshot has it.
async fn recorded_name(at: &Where, folder: &str) -> Result<Option<String>, FlowError> {
    let anybody = Ledger::of_any_stack(store(&at.folder, folder), &at.full_environment());
    let head = anybody.head().await?;
    Ok(head.map(|(_, snapshot)| snapshot.stack))
}
