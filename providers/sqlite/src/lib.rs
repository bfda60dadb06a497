#![doc = include_str!("../README.md")]

mod backup;
mod books;
mod copy;
mod database;
mod held;
mod look;
mod migrations;
mod open;
mod provider;
mod restore;
mod rows;
mod schema;
mod session;
mod site;
mod trouble;
mod vacant;
mod work;

use held::Kept;
use hive_backup::Backups;
use hive_contract::{Failure, FailureKind, Fields};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name in places and records.
pub const NAME: &str = "sqlite";

/// The form in which fields are written today, for each of the three kinds.
pub const FORM: u32 = 1;

/// The engine that a database says it is of.
pub(crate) const ENGINE: &str = "sqlite";
pub(crate) const DATABASE: &str = "database";
pub(crate) const MIGRATIONS: &str = "migrations";
pub(crate) const BACKUP: &str = "backup";

/// SQLite databases on this machine, their migrations and their backups.
pub struct Sqlite {
    settings: Fields,
    system: String,
    base: Arc<Base>,
    backups: Backups,
}

/// What all verbs share.
pub(crate) struct Base {
    /// The stack's folder, absolute.
    pub(crate) folder: PathBuf,
    pub(crate) kept: Kept,
}

impl Sqlite {
    /// Databases whose paths are relative to `folder`. There are no settings.
    ///
    /// # Errors
    /// The folder has no absolute path, or a setting is given.
    pub fn connect(folder: &Path, settings: &Fields) -> Result<Self, Failure> {
        if let Some(key) = settings.keys().next() {
            let what = format!("SQLite has no setting `{key}`");
            return Err(Failure::new(FailureKind::Invalid, what));
        }
        let folder = std::path::absolute(folder).map_err(|error| {
            hive_objects::failure("find", &folder.display().to_string(), &error)
        })?;
        let backups = Backups::new(&folder);
        let base = Arc::new(Base { folder, kept: Kept::default() });
        Ok(Self { settings: settings.clone(), system: hive_objects::machine_id(), base, backups })
    }
}

#[cfg(test)]
mod conforms;
#[cfg(test)]
mod tests;
