//! Decides: desired, recorded and observed in, a plan out. No I/O, no clock, no environment.

mod around;
pub mod check;
pub mod compare;
mod decide;
pub mod desire;
pub mod explain;
pub mod file;
pub mod fill;
pub mod fold;
mod graph;
pub mod guards;
mod judge;
mod learn;
mod lints;
mod marks;
pub mod model;
pub mod outputs;
mod pen;
mod planner;
pub mod question;
pub mod reads;
mod records;
mod rollback;
mod scope;
mod steps;
mod story;
mod survey;
pub mod verbs;

pub use desire::desire;
pub use explain::{Explanation, StepName, Untouched, Waiting, explain};
pub use file::PlanFileError;
pub use fold::{FoldError, fold};
pub use model::*;
pub use outputs::Outputs;
pub use planner::{plan, to_rehearse};
pub use question::{Asked, PlanError, Question, Scope};
pub use verbs::{Desired, LoweredPart, Verbs};

#[cfg(test)]
mod tests;
