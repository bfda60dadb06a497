//! The files of a list against what is applied.

use super::Material;
use crate::history::{Applied, Mismatch, Pending, compare};
use crate::{Half, Migration, Migrations};

/// What a change of a list is about.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The declared list.
    pub material: Material,
    /// What is applied.
    pub rows: Vec<Applied>,
    /// What is left to do.
    pub pending: Pending,
    /// Applied files that say the same in other words, as indexes into the list: they are accepted
    /// as they are.
    pub reworded: Vec<usize>,
}

impl Compared {
    /// Compares.
    ///
    /// # Errors
    /// Everything that does not go together.
    pub fn new(material: Material, rows: Vec<Applied>) -> Result<Self, Vec<Mismatch>> {
        let first = compare(&material.migrations, &rows, material.order);
        let reworded = match &first {
            Ok(_) => Vec::new(),
            Err(wrong) => wrong.iter().filter_map(|it| same(it, &material.migrations)).collect(),
        };
        if reworded.is_empty() {
            return Ok(Self { pending: first?, material, rows, reworded });
        }
        let mut accepted = rows.clone();
        for at in &reworded {
            let migration = &material.migrations.list()[*at];
            let row = accepted.iter_mut().find(|row| row.number() == migration.number);
            if let Some(row) = row {
                row.checksum.clone_from(&migration.up.checksum);
            }
        }
        let pending = compare(&material.migrations, &accepted, material.order)?;
        Ok(Self { material, rows, pending, reworded })
    }

    /// Whether nothing is applied, by hive or by what came before it, so that nobody runs on any of
    /// it yet: then there is nothing that a contract could take away from somebody.
    pub fn is_fresh(&self) -> bool {
        self.rows.is_empty() && self.material.baseline.is_none()
    }

    /// The files to apply, in order.
    pub fn pending(&self) -> impl Iterator<Item = &Migration> {
        self.pending.files.iter().filter_map(|at| self.material.migrations.list().get(*at))
    }

    /// The rows whose files are not in the list any more, oldest first.
    pub fn beyond(&self) -> impl DoubleEndedIterator<Item = &Applied> {
        self.pending.beyond.iter().filter_map(|at| self.rows.get(*at))
    }

    /// A half applied file that the list does not hold any more. `before` is the recorded list.
    pub fn unwanted(&self, before: Option<&Material>) -> Option<Half> {
        let row = self.beyond().find(|it| it.is_half())?;
        Some(Half::unwanted(row, down_of(before, row).is_some()))
    }
}

/// The recorded migration of a row that has a down file.
pub fn down_of<'a>(before: Option<&'a Material>, row: &Applied) -> Option<&'a Migration> {
    let (_, migration) = before?.migrations.find(&row.name)?;
    let same = migration.up.checksum == row.checksum || row.is_half();
    (same && migration.down.script().is_some()).then_some(migration)
}

fn same(mismatch: &Mismatch, migrations: &Migrations) -> Option<usize> {
    match mismatch {
        Mismatch::Edited { name, same: true, .. } => migrations.find(name).map(|(at, _)| at),
        _ => None,
    }
}
