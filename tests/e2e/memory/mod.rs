//! The laws on the in-memory world: planner, executor and store together, in milliseconds, judged by
//! the world's own log of effects.

mod data;
mod kills;
mod lab;
mod promises;
mod properties;
mod scenario;
mod store;
mod thing;
