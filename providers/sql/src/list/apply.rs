//! One file forward: from its begin, or from where it stopped.

use super::Making;
use super::making::{BACKUP, MIGRATE, RESUME};
use crate::{GoesOn, Migration, Stage};
use hive_contract::{Operation, OutputRef, Phase, Undo, Value};

impl Making<'_> {
    /// One file.
    pub(super) fn apply(&self, migration: &Migration) -> Operation {
        self.forward(MIGRATE, format!("apply {}", migration.name), migration)
    }

    /// A file that ran without a transaction, did not end, and is wanted still.
    pub(super) fn resume(&self) -> Option<Operation> {
        let half = self.compared.pending.half.as_ref()?;
        let GoesOn::Resume(at) = half.goes_on else { return None };
        let (_, migration) = self.material().migrations.find(&half.name)?;
        let title = format!("go on with {} behind statement {at}", half.name);
        let mut step = self.forward(RESUME, title, migration);
        step.notes.insert(0, half.words());
        Some(step)
    }

    fn forward(&self, verb: &str, title: String, migration: &Migration) -> Operation {
        let tried = self.tried.file(&migration.name);
        let schema = tried.and_then(|it| it.schema_after.as_ref());
        let mut step = self.of_file(verb, title, migration, schema);
        if let Some(backup) = &self.material().backup {
            let id = OutputRef { address: backup.clone(), output: "id".to_owned() };
            step.payload.insert(BACKUP.to_owned(), Value::Output(id));
        }
        step.notes = self.notes(migration);
        step.takes_ms = tried.map(|it| it.took_ms);
        if migration.stage == Stage::Contract && !self.fresh {
            // Those that need what it takes away are updated first.
            step.phase = self.phase(Phase::Prune);
        }
        self.way_back(step, migration)
    }

    fn way_back(&self, mut step: Operation, migration: &Migration) -> Operation {
        match self.stage(migration) {
            Stage::Expand if self.material().down && migration.down.script().is_some() => {
                step.undone_by(self.down(migration))
            }
            // The version before runs on what an expand leaves: it stays.
            Stage::Expand => step,
            Stage::Contract => {
                let why = format!("`{}` takes away what the version before uses", migration.name);
                step.reversible = self.taken_away(&why);
                step.undo = Undo::None { why };
                step
            }
        }
    }
}
