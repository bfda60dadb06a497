//! What bad input gets: exit code, message, and that nothing changed.

mod disk;
mod permission;
mod plan_file;
mod situation;
mod store;
mod toml;
