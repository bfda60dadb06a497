//! P1 to P8 on the process platform, with the built binary and real processes.

mod kills;
mod promises;
mod races;
mod scenario;

pub use scenario::shop;
