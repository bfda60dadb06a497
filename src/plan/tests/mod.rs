//! Tests of the whole planner over a tiny pure world.

mod data;
mod decisions;
mod orders;
mod properties;
mod world;
