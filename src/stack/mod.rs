//! TOML to declared resources.

pub mod model;

pub use model::*;
