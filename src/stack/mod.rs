//! TOML to declared resources.

mod access;
mod bound;
mod check;
mod cycle;
mod data;
mod duration;
mod init;
mod inject;
mod kinds;
mod language;
mod lowered;
pub mod model;
mod outline;
mod overlay;
mod parse;
mod problem;
mod read;
mod reference;
mod resource;
mod schema;
mod sections;
mod shape;
mod suggest;
mod tree;
mod variables;

pub use init::init;
pub use model::*;
pub use outline::{Outline, STORE, migration_folders, outline, written_in};
pub use parse::{Parsed, parse};
pub use read::environments;
pub use schema::schema;
pub use suggest::nearest;

#[cfg(test)]
mod tests;
