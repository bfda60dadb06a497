//! Notes: what a person wrote beside an apply or a snapshot.

use crate::layout::{self, FORMAT};
use crate::ledger::{Ledger, LedgerError};
use crate::sealed;
use crate::store::Put;
use serde::{Deserialize, Serialize};

/// One note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// About what: a snapshot's number, or an apply's id.
    pub about: String,
    /// Who wrote it.
    pub who: String,
    /// What.
    pub text: String,
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: u64,
}

impl Ledger {
    /// Adds a note. No lease is needed.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn note(&self, note: &Note) -> Result<(), LedgerError> {
        self.init().await?;
        let bytes = sealed::seal("note", FORMAT, None, note, false);
        loop {
            let taken = self.store.list(&self.layout.notes()).await?;
            let next = taken.iter().filter_map(|key| layout::number(key)).max().unwrap_or(0) + 1;
            // A conflict is somebody else's note: the next number, then.
            if let Put::Done(_) = self.store.create(&self.layout.note(next), &bytes).await? {
                return Ok(());
            }
        }
    }

    /// All notes, oldest first.
    ///
    /// # Errors
    /// One cannot be read, or is damaged.
    pub async fn notes(&self) -> Result<Vec<Note>, LedgerError> {
        let mut notes = Vec::new();
        for key in self.store.list(&self.layout.notes()).await? {
            notes.extend(self.get::<Note>(&key, "note").await?.map(|(note, _)| note));
        }
        Ok(notes)
    }
}
