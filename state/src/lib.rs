//! The store: what hive knows, and who may write it.

pub mod clock;
pub mod law;
pub mod ledger;
pub mod record;
pub mod snapshot;
pub mod store;

pub use clock::Clock;
pub use law::{Illegal, Opened, Replay, StepRecord, StepState};
pub use ledger::{Ledger, LedgerError};
pub use record::{Begun, Ending, Entry, Record};
pub use snapshot::{Broken, Part, Recorded, Snapshot};
pub use store::{Put, Store, StoreError, Stored, Version};
