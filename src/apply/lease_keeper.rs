//! Keeps the lease while an apply runs.

use super::model::ApplyError;
use hive_contract::Guard;
use hive_state::{Clock, Lease, LedgerError};

/// How many renewals a lease's duration has room for: two may fail before it runs out.
const RENEWALS: u64 = 3;
/// How many times as often a renewal is tried that the store did not take.
const HASTE: u64 = 8;

/// Does something and renews the lease meanwhile. When the lease is lost, what was being done is
/// dropped, as a death would: nothing of it may write any more, and whoever has the lease now
/// looks up what it left.
///
/// # Errors
/// [`ApplyError::Expired`] where the lease was lost; else what the work itself says.
pub(super) async fn keep<T>(
    lease: &Lease,
    clock: &dyn Clock,
    work: impl Future<Output = Result<T, ApplyError>>,
) -> Result<T, ApplyError> {
    tokio::select! {
        biased;
        done = work => done,
        lost = renew(lease, clock) => Err(lost),
    }
}

/// Renews until that fails for good.
async fn renew(lease: &Lease, clock: &dyn Clock) -> ApplyError {
    let every = (lease.duration_ms() / RENEWALS).max(1);
    let mut wait = every;
    loop {
        clock.sleep(wait).await;
        wait = match lease.renew(clock).await {
            Ok(()) => every,
            Err(error @ LedgerError::Store(_)) => match lease.guard(clock).may_write() {
                Ok(()) => (every / HASTE).max(1),
                Err(_) => return ApplyError::Expired(error.to_string()),
            },
            Err(error) => return ApplyError::Expired(error.to_string()),
        };
    }
}
