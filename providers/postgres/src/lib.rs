#![doc = include_str!("../README.md")]

mod applying;
mod backup;
mod book;
mod catalogue;
mod child;
mod delta;
mod desk;
mod dumping;
mod foreign;
mod index;
mod kept;
mod live;
mod lock;
mod locked;
mod lower;
mod marking;
mod measure;
mod migrating;
mod names;
mod observe;
mod perform;
mod piecewise;
mod quote;
mod rehearse;
mod resolve;
mod restore;
mod roles;
mod schema;
mod scratch;
mod script;
mod seen;
mod session;
mod stepped;
mod steps;
mod sums;
mod surroundings;
mod tls;
mod tools;
mod trouble;
mod url;
mod vacant;

use hive_contract::outcome::{UpgradeError, Upgraded};
use hive_contract::{
    Ask, Change, Context, Declared, Failure, Fields, Invalid, Live, LowerScope, Lowered,
    Observation, Operation, Outcome, Perform, Place, Provider, Rehearsal, Resolution, Secrets,
    Task, Value, WayBack,
};
use std::path::{Path, PathBuf};

/// The name in places and records.
pub const NAME: &str = "postgres";
/// The engine as stacks write it.
pub const ENGINE: &str = "postgres";
/// The form in which fields are written today.
pub const FORM: u32 = 1;

const DATABASE: &str = "database";
const MIGRATIONS: &str = "migrations";
const BACKUP: &str = "backup";

/// Databases of PostgreSQL, wherever their urls lead.
pub struct Postgres {
    settings: Fields,
    base: Base,
}

/// What all verbs share.
#[derive(Clone, Debug)]
struct Base {
    /// The stack's folder.
    folder: PathBuf,
    /// Where the stack says that `pg_dump` and `pg_restore` are.
    tools: Option<PathBuf>,
    /// What one step leaves open for the next.
    shelf: kept::Shelf,
}

impl Postgres {
    /// Databases of a stack in `folder`. `settings` may have `tools`, the folder of `pg_dump` and
    /// `pg_restore`. Nothing is connected yet.
    ///
    /// # Errors
    /// A setting makes no sense.
    pub fn connect(folder: &Path, settings: &Fields) -> Result<Self, Failure> {
        let tools = match settings.get("tools") {
            None => None,
            Some(Value::Text(tools)) => Some(folder.join(tools)),
            Some(_) => return Err(trouble::invalid("the setting `tools` is not text")),
        };
        let base = Base { folder: folder.to_owned(), tools, shelf: kept::Shelf::default() };
        Ok(Self { settings: settings.clone(), base })
    }
}

impl Provider for Postgres {
    fn name(&self) -> &'static str {
        NAME
    }

    fn place(&self) -> Place {
        Place {
            provider: NAME.to_owned(),
            settings: self.settings.clone(),
            // Each database has its own url, and so its own server.
            system: String::new(),
        }
    }

    fn form(&self) -> u32 {
        FORM
    }

    fn upgrade(&self, form: u32, fields: Fields) -> Upgraded {
        if form > FORM {
            return Err(UpgradeError::Newer { form, known: FORM });
        }
        Ok(fields)
    }

    fn lower(&self, declared: &Declared, scope: &LowerScope) -> Result<Lowered, Vec<Invalid>> {
        match declared.address.kind() {
            DATABASE => lower::database(declared, scope),
            MIGRATIONS => lower::migrations(declared, scope),
            BACKUP => backup::lower(declared, scope),
            other => {
                let what = format!("PostgreSQL has nothing of the kind `{other}`");
                Err(vec![Invalid::at("engine", what)])
            }
        }
    }

    fn observe<'a>(
        &'a self,
        ask: &'a Ask,
        secrets: &'a Secrets,
    ) -> Task<'a, Result<Observation, Failure>> {
        Box::pin(observe::observe(&self.base, ask, secrets))
    }

    fn can_rehearse(&self, change: &Change) -> bool {
        rehearse::can(change)
    }

    fn rehearse<'a>(
        &'a self,
        changes: &'a [Change],
        context: &'a Context<'a>,
    ) -> Task<'a, Vec<Result<Rehearsal, Failure>>> {
        Box::pin(rehearse::rehearse(&self.base, changes, context))
    }

    fn objections(&self, change: &Change) -> Vec<Invalid> {
        match lower::kind_of(&change.identity) {
            MIGRATIONS => migrating::objections(change),
            _ => restore::objections(change),
        }
    }

    fn ahead(&self, desired: &Lowered, recorded: Option<&Declared>, live: &Live) -> Option<Fields> {
        hive_sql::list::ahead(desired, recorded, live)
    }

    fn remarks(
        &self,
        desired: &Declared,
        recorded: Option<&Declared>,
        live: Option<&Live>,
    ) -> Vec<String> {
        match desired.address.kind() {
            MIGRATIONS => hive_sql::list::remarks(desired, recorded, live),
            _ => Vec::new(),
        }
    }

    fn ways_back(&self, change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<WayBack> {
        match lower::kind_of(&change.identity) {
            MIGRATIONS => migrating::ways_back(change, rehearsal),
            _ => Vec::new(),
        }
    }

    fn steps(&self, change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<Operation> {
        steps::steps(change, rehearsal)
    }

    fn perform<'a>(
        &'a self,
        request: &'a Perform,
        context: &'a Context<'a>,
    ) -> Task<'a, Result<Outcome, Failure>> {
        Box::pin(perform::perform(&self.base, request, context))
    }

    fn resolve<'a>(
        &'a self,
        request: &'a Perform,
        context: &'a Context<'a>,
    ) -> Task<'a, Result<Resolution, Failure>> {
        Box::pin(resolve::resolve(&self.base, request, context))
    }
}
