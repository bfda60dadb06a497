//! The store: what hive knows, and who may write it.

pub mod clock;
pub mod folder;
pub mod freeze;
pub mod head;
mod holder;
pub mod journal;
mod keep;
pub mod law;
mod layout;
pub mod lease;
pub mod ledger;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
pub mod note;
pub mod record;
pub mod rehearsal;
pub mod retain;
#[cfg(test)]
mod samples;
pub mod sealed;
pub mod snapshot;
pub mod store;
mod verify;

pub use clock::Clock;
pub use folder::FolderStore;
pub use freeze::Freeze;
pub use head::Head;
pub use journal::{Journal, JournalRead, OpenJournal};
pub use law::{Illegal, Opened, Replay, StepRecord, StepState};
pub use lease::{Hold, Holder, Lease, LeaseBody, LeaseGuard, LeaseTerms, Patience};
pub use ledger::{Ledger, LedgerError, random_id};
#[cfg(any(test, feature = "testing"))]
pub use memory::{Counts, Fault, MemoryStore};
pub use note::Note;
pub use record::{Begun, Ending, Entry, Record};
pub use rehearsal::Rehearsed;
pub use sealed::{Check, Damage};
pub use snapshot::{Broken, Part, Recorded, Restored, Snapshot};
pub use store::{Put, Store, StoreError, Stored, Version};
