//! TOML to declared resources.

mod bound;
mod check;
mod cycle;
mod duration;
mod kinds;
mod language;
pub mod model;
mod outline;
mod overlay;
mod parse;
mod problem;
mod read;
mod reference;
mod resource;
mod sections;
mod shape;
mod suggest;
mod tree;
mod unknown;
mod variables;

pub use model::*;
pub use outline::{Outline, STORE, outline};
pub use parse::{Parsed, parse};
pub use read::environments;
pub use unknown::unknown_outputs;

#[cfg(test)]
mod tests;
