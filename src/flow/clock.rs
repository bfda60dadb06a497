//! The clocks of this machine.

use hive_contract::Task;
use hive_state::Clock;
use std::time::Duration;

/// The system's own time.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall_ms(&self) -> u64 {
        let now = jiff::Timestamp::now().as_millisecond();
        u64::try_from(now).unwrap_or_default()
    }

    fn ticks_ms(&self) -> u64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        seconds * 1000 + u64::try_from(now.tv_nsec).unwrap_or_default() / 1_000_000
    }

    fn sleep<'a>(&'a self, ms: u64) -> Task<'a, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(ms)))
    }
}
