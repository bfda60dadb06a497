//! Decides: desired, recorded and observed in, a plan out. No I/O, no clock, no environment.

pub mod compare;
pub mod desire;
pub mod fill;
pub mod model;
pub mod question;
pub mod verbs;

pub use model::*;
pub use question::{Asked, PlanError, Question, Scope};
pub use verbs::{Desired, LoweredPart, Verbs};
