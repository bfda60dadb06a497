//! For tests of other rooms: the kill switch, the in-memory world, and the conformance suite.
//!
//! Built only with the feature `testing`. Like the rest of the contract it does no I/O and knows
//! no runtime.

pub mod kill;

pub use kill::KillSwitch;
