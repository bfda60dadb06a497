//! Tests of the whole planner over a tiny pure world.

mod decisions;
mod orders;
mod properties;
mod world;
