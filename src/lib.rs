//! hive: one ordered, reviewable plan for services, migrations, backups and alerts, applied so
//! that every point at which it can stop leaves the system known, recoverable and, where asked,
//! rolled back.

pub mod apply;
pub mod cli;
pub mod flow;
pub mod plan;
pub mod registry;
pub mod render;
pub mod stack;
