//! Eras: runs of snapshots that declare the same over the same data. A backup or a restart makes a
//! snapshot of its own and no era: what is wanted stays as it was. A restore begins one.

use super::error::FlowError;
use super::session::Session;
use super::source::declare_the_same;
use hive_contract::Address;
use hive_state::{Restored, Snapshot};
use std::collections::BTreeMap;

/// How many eras back a way with data is kept open: their backups are not pruned.
pub const KEPT_ERAS: usize = 10;
/// More snapshots than these are not read for it.
const READ: usize = 2_000;

/// Snapshots one after another that declare the same over the same data.
#[derive(Clone, Debug)]
pub struct Era {
    /// The newest of them.
    pub snapshot: Snapshot,
    /// The number of the first.
    pub first: u64,
    /// When the first was made, in milliseconds since 1970 UTC.
    pub from_ms: u64,
    /// When the first of the next era was made; none for the newest era.
    pub until_ms: Option<u64>,
}

impl Era {
    /// Which backup the data of a database in it came from, where that was restored.
    pub fn restored(&self, database: Option<&Address>) -> Option<&Restored> {
        restored(&self.snapshot, database)
    }

    /// Whether a snapshot is of it.
    pub fn holds(&self, number: u64) -> bool {
        (self.first..=self.snapshot.number).contains(&number)
    }
}

/// Which backup the data of a database came from last, as a snapshot says.
pub(super) fn restored<'s>(of: &'s Snapshot, database: Option<&Address>) -> Option<&'s Restored> {
    of.resources.get(database?)?.restored.as_ref()
}

/// Whether two snapshots declare the same over data that was restored from the same.
fn is_of_one(one: &Snapshot, other: &Snapshot) -> bool {
    let restored = |it: &Snapshot| -> BTreeMap<Address, Restored> {
        let each = it.resources.iter();
        each.filter_map(|(address, held)| Some((address.clone(), held.restored.clone()?))).collect()
    };
    declare_the_same(one, other) && restored(one) == restored(other)
}

impl Session {
    /// The newest eras, newest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn eras(&self, most: usize) -> Result<Vec<Era>, FlowError> {
        self.eras_until(|eras| eras.len() > most, most).await
    }

    /// The era of one snapshot.
    ///
    /// # Errors
    /// There is no such snapshot, or the store cannot be read.
    pub async fn era(&self, number: u64) -> Result<Era, FlowError> {
        let wanted = self.snapshot(number).await?;
        let eras = self.eras_until(
            |eras| {
                let held = eras.iter().position(|it: &Era| it.holds(number));
                held.is_some_and(|at| at + 1 < eras.len())
            },
            usize::MAX,
        );
        let found = eras.await?.into_iter().find(|it| it.holds(number));
        // A snapshot that is there and beyond what is read stands for itself.
        Ok(found.unwrap_or(Era {
            first: number,
            from_ms: wanted.at_ms,
            until_ms: Some(wanted.at_ms),
            snapshot: wanted,
        }))
    }

    /// Reads snapshots from the newest on until `enough` says so; an era is whole once the next
    /// older one has begun.
    async fn eras_until(
        &self,
        enough: impl Fn(&[Era]) -> bool,
        most: usize,
    ) -> Result<Vec<Era>, FlowError> {
        let mut eras: Vec<Era> = Vec::new();
        for number in self.ledger.snapshots().await?.into_iter().rev().take(READ) {
            if enough(&eras) {
                break;
            }
            let snapshot = self.snapshot(number).await?;
            match eras.last_mut() {
                Some(last) if is_of_one(&last.snapshot, &snapshot) => {
                    last.first = number;
                    last.from_ms = snapshot.at_ms;
                }
                last => {
                    let until_ms = last.map(|it| it.from_ms);
                    let from_ms = snapshot.at_ms;
                    eras.push(Era { first: number, from_ms, until_ms, snapshot });
                }
            }
        }
        eras.truncate(most);
        Ok(eras)
    }
}
