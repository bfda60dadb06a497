//! Carries out: runs a plan, settles an interrupted apply, goes back.

pub mod model;

pub use model::*;
