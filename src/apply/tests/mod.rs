//! The executor on the in-memory world, on a paused clock.

mod bed;
mod endings;
mod interrupts;
mod kills;
mod left_open;
mod recovery;
mod refusals;
mod slow;
mod speed;
