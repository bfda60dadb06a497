//! Carries out: runs a plan, settles an interrupted apply, goes back.

mod back;
mod begin;
mod course;
mod finish;
mod folded;
mod graph;
mod guard;
mod lease_keeper;
mod look;
pub mod model;
mod one_step;
mod preflight;
mod recover;
mod redact;
mod report;
mod run;
mod settle;
#[cfg(test)]
mod tests;
mod there;
mod under_way;
mod work;

pub use begin::apply;
pub use folded::{Folded, folded, open_plan};
pub use look::look;
pub use model::*;
pub use recover::recover;
