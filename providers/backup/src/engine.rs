//! What an engine adds to a backup: how its data is read, and how it is proven.

use crate::plain::Plain;
use crate::sink::Sink;
use hive_contract::{Context, Failure, Fields, Perform, Task};
use hive_sql::manifest::{Head, Kind, Manifest, Schema, Source, Table};
use hive_sql::surroundings::Surroundings;
use std::collections::BTreeMap;

/// One engine, such as `sqlite`.
pub trait Engine: Send + Sync {
    /// Writes everything as it is at one moment into the sink, says [`Sink::end`], and says what it
    /// was. Cut off, it leaves nothing behind that a later call does not take away.
    ///
    /// # Errors
    /// It cannot be read. Nothing is published then.
    fn dump<'a>(&'a self, job: Job<'a>, sink: Sink) -> Task<'a, Result<Contents, Failure>>;

    /// Restores a backup into a scratch place, compares it with its manifest, and takes the scratch
    /// place away. [`Plain`] is read to its end, and its failure is the answer where it has one.
    ///
    /// # Errors
    /// It could not be tried. What was tried and found wrong is no error but [`Proof::wrong`].
    fn prove<'a>(
        &'a self,
        job: Job<'a>,
        manifest: &'a Manifest,
        plain: Plain,
    ) -> Task<'a, Result<Proof, Failure>>;
}

/// What a dump or a proof is about.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// What is backed up, as declared: `engine`, and how it is reached. Secrets are references.
    pub of: &'a Fields,
    /// Why.
    pub kind: Kind,
    /// The step that asks for it: its token names scratch places.
    pub request: &'a Perform,
    /// Secrets, guard, events.
    pub context: &'a Context<'a>,
}

/// What an engine says of a dump, for the manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// What it is of.
    pub source: Source,
    /// When its content was fixed, in milliseconds since 1970.
    pub snapshot_ms: i64,
    /// The schema that it holds, for databases.
    pub schema: Option<Schema>,
    /// The migrations that it holds, for databases.
    pub migrations: Option<Head>,
    /// What is in it, by name.
    pub tables: Vec<Table>,
    /// What it refers to outside of itself.
    pub surroundings: Option<Surroundings>,
    /// What made it beside hive, with its version.
    pub tools: BTreeMap<String, String>,
    /// What else is known of it.
    pub notes: BTreeMap<String, String>,
}

/// What came of a proof.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// How long the restore took, in milliseconds, with the download in it.
    pub restore_ms: u64,
    /// What was not as the manifest says, each a lower-case fragment; nothing where it is equal.
    pub wrong: Vec<String>,
    /// The version of the server or library that it was restored into.
    pub version: String,
}
