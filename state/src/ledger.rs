//! The one layout that every store has: head, snapshots, journals, plans, blobs, freeze, lease.

use crate::store::StoreError;

/// Everything hive keeps of one stack in one environment.
pub struct Ledger {}

/// Why the store cannot give or take something.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}
