//! The operations of one change of a list, in the order in which they run.

use super::{Compared, Material, Tried};
use crate::lint::Sizes;
use crate::{Migration, Stage};
use hive_contract::{Expects, Fields, Operation, Phase, Retry, Reversible, Value};
use std::collections::BTreeMap;

/// Runs one file.
pub const MIGRATE: &str = "migrate";
/// Goes on with a file that ran without a transaction and did not end.
pub const RESUME: &str = "resume";
/// Runs one down file.
pub const DOWN: &str = "down";
/// Takes what is live, and the files as they are now, as what the last migration left.
pub const ACCEPT: &str = "accept";

/// Payload: the files of one migration, each with `name` and `text`.
pub const FILES: &str = "files";
/// Payload: SHA-256 of the up file's bytes as they lay in the folder.
pub const RAW: &str = "raw";
/// Payload: the schema's fingerprint that the rehearsal left.
pub const SCHEMA: &str = "schema_after";
/// Payload: the id of the backup that was taken before.
pub const BACKUP: &str = "backup";
/// Payload of [`ACCEPT`]: rows of the history, see [`super::row_value`].
pub const ROWS: &str = "rows";

/// A migration may take as long as its data needs.
const DEADLINE_MS: u64 = 6 * 3_600_000;

/// What the operations of a list are made of.
#[derive(Clone, Debug)]
pub struct Making<'a> {
    /// The files against the history.
    pub compared: &'a Compared,
    /// The recorded list, whose down files take back what is not wanted any more.
    pub before: Option<&'a Material>,
    /// What a rehearsal found.
    pub tried: &'a Tried,
    /// Object → what is other than the last migration left it, in words.
    pub drift: &'a BTreeMap<String, String>,
    /// How heavy the tables are.
    pub sizes: &'a Sizes,
    /// Whether nobody runs on any of it yet.
    pub fresh: bool,
    /// What the engine adds to each payload: how its database is reached, and how it waits.
    pub payload: Fields,
    /// How hive itself tries again.
    pub retry: Retry,
}

impl Making<'_> {
    /// First what is taken as it is and what is half, then what comes back because somebody needs
    /// it again, then what is new, and last what nobody uses any more: so nothing is made behind
    /// what takes away.
    pub fn operations(&self) -> Vec<Operation> {
        let mut steps: Vec<Operation> = self.accept().into_iter().collect();
        steps.extend(self.resume());
        steps.extend(self.half_back());
        let (early, late) = self.downs();
        steps.extend(early);
        steps.extend(self.compared.pending().map(|it| self.apply(it)));
        steps.extend(late);
        steps
    }

    pub(super) fn material(&self) -> &Material {
        &self.compared.material
    }

    /// Whether nothing is there that a file could take from anybody.
    pub(super) fn on_nothing(&self) -> bool {
        self.compared.rows.is_empty() && self.tried.empty
    }

    /// An operation on the whole list.
    pub(super) fn operation(&self, verb: &str, title: String, more: Fields) -> Operation {
        let mut payload = self.payload.clone();
        payload.extend(more);
        let mut step = Operation::new(verb, title, Expects::Content, payload);
        step.deadline_ms = DEADLINE_MS;
        step.retry = self.retry;
        step
    }

    /// An operation on one file, behind which the schema is known where it was rehearsed.
    pub(super) fn of_file(
        &self,
        verb: &str,
        title: String,
        migration: &Migration,
        schema: Option<&String>,
    ) -> Operation {
        let mut payload = Fields::from([
            (FILES.to_owned(), migration.files_value()),
            (RAW.to_owned(), Value::text(&migration.up.raw_checksum)),
        ]);
        payload.extend(schema.map(|it| (SCHEMA.to_owned(), Value::text(it))));
        let mut step = self.operation(verb, title, payload);
        step.phase = self.phase(Phase::Ready);
        step
    }

    /// The phase, unless users are stopped around the list.
    pub(super) fn phase(&self, phase: Phase) -> Phase {
        if self.material().stopped { Phase::Stopped } else { phase }
    }

    /// How far something comes back that takes away.
    pub(super) fn taken_away(&self, why: &str) -> Reversible {
        match &self.material().backup {
            Some(backup) => Reversible::Restorable {
                from: format!("the backup of {backup} before it"),
                loses: "what was written since".to_owned(),
            },
            None => Reversible::Irreversible { why: why.to_owned() },
        }
    }

    /// The stage, where nothing is there an expand: it takes nothing from anybody.
    pub(super) fn stage(&self, migration: &Migration) -> Stage {
        if self.on_nothing() { Stage::Expand } else { migration.stage }
    }
}
