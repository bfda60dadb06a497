//! Time, lent by whoever runs hive, so that tests need none.

use hive_contract::Task;

/// Two clocks and a way to wait.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970 UTC. For people; nothing is decided by it.
    fn wall_ms(&self) -> u64;

    /// Milliseconds on a clock that goes on in suspend and is never set (CLOCK_BOOTTIME).
    fn ticks_ms(&self) -> u64;

    /// Waits.
    fn sleep<'a>(&'a self, ms: u64) -> Task<'a, ()>;
}
