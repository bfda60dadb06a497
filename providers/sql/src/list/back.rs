//! Files back: by their down files, newest first.

use super::making::DOWN;
use super::{Making, TriedFile, down_of};
use crate::{Migration, Stage};
use hive_contract::{Operation, Phase, Undo};

impl Making<'_> {
    /// A file that ran without a transaction, did not end, and is not wanted any more. No version
    /// was ever started on it, so it goes back before anything else whatever it did, and stays back.
    pub(super) fn half_back(&self) -> Option<Operation> {
        if self.compared.pending.half.is_some() {
            return None;
        }
        let half = self.compared.unwanted(self.before)?;
        let row = self.compared.beyond().find(|row| row.is_half())?;
        let mut step = self.down(down_of(self.before, row)?);
        step.notes.insert(0, half.words());
        Some(step)
    }

    /// What is applied and not wanted any more, in two parts. What a contract took away comes back
    /// before the version that needs it starts, and so does whatever lies above it; what an expand
    /// added goes when nobody uses it any more.
    pub(super) fn downs(&self) -> (Vec<Operation>, Vec<Operation>) {
        if !self.material().down {
            return (Vec::new(), Vec::new());
        }
        let whole = self.compared.beyond().rev().filter(|row| !row.is_half());
        let files: Vec<&Migration> = whole.filter_map(|row| down_of(self.before, row)).collect();
        let last = files.iter().rposition(|it| it.stage == Stage::Contract);
        let (early, late) = files.split_at(last.map_or(0, |it| it + 1));
        let early = early.iter().map(|it| self.unwanted(it)).collect();
        let late = late.iter().map(|it| {
            let mut step = self.unwanted(it);
            step.phase = self.phase(Phase::Prune);
            step
        });
        (early, late.collect())
    }

    /// The down file of a migration as a step of its own. It is to the way back what the up file is
    /// to the way there: where that took away, this gives back, and the up file takes it back; where
    /// that added, this takes away, and what was written into it no up file brings back.
    fn unwanted(&self, migration: &Migration) -> Operation {
        let mut step = self.down(migration);
        match migration.stage {
            Stage::Contract => step.undone_by(self.apply(migration)),
            Stage::Expand => {
                let name = &migration.name;
                let why = format!("what was written into what `{name}` added goes with it");
                step.reversible = self.taken_away(&why);
                step.undo = Undo::None { why };
                step
            }
        }
    }

    /// The down file of a migration.
    pub(super) fn down(&self, migration: &Migration) -> Operation {
        let tried = self.tried.file(&migration.name);
        let proven = tried.filter(|it| TriedFile::is_proven(it));
        let schema = proven.and_then(|it| it.schema_before.as_ref());
        let title = format!("take back {}", migration.name);
        let mut step = self.of_file(DOWN, title, migration, schema);
        step.takes_ms = tried.and_then(|it| it.down_ms);
        step
    }
}
