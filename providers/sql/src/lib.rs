//! What the database engines share, and nothing that touches a database.

mod act;
mod dialect;
mod directive;
pub mod facts;
mod fault;
pub mod file;
pub mod foreign;
mod half;
pub mod history;
pub mod lexeme;
pub mod lint;
pub mod list;
pub mod locks;
pub mod manifest;
pub mod migrations;
mod name;
pub mod objectives;
mod phrase;
mod refusal;
pub mod restoring;
pub mod retention;
pub mod script;
pub mod split;
mod stage;
pub mod surroundings;
#[cfg(test)]
mod tests;
pub mod words;

pub use dialect::Dialect;
pub use directive::Accept;
pub use fault::Fault;
pub use file::FileText;
pub use half::{GoesOn, Half, applied_so_far};
pub use migrations::{Down, Migration, Migrations};
pub use script::{Script, Statement};
pub use stage::{Stage, stage};
