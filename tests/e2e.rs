//! Everything that is tested from outside: one binary, a module a matter.

#[path = "e2e/house.rs"]
mod house;
