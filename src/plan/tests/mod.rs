//! Tests of the whole planner over a tiny pure world.

mod properties;
mod scenarios;
mod world;
