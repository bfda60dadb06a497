//! For tests of other rooms: the kill switch, the in-memory world, and the conformance suite.
//!
//! Built only with the feature `testing`. Like the rest of the contract it does no I/O and knows
//! no runtime.

pub mod conformance;
mod data;
mod effect;
pub mod kill;
mod lower;
mod perform;
mod provider;
mod resolve;
mod script;
mod world;

pub use kill::KillSwitch;
pub use provider::{FORM, WorldProvider};
pub use script::Fault;
pub use world::{Calls, Effect, HEALTHY, Object, Picture, Sleeper, Spot, World};
