//! Everything that is tested from outside: one binary, a module a matter.

#![allow(unreachable_pub, reason = "a test binary has no outside")]
#![allow(clippy::print_stdout, reason = "tests print their seeds and counts")]

mod bad_data;
mod bad_input;
mod daily;
mod data;
mod exit_codes;
mod forms;
mod hiver;
mod house;
mod lab;
mod memory;
mod process;
mod quickstart;
#[cfg(feature = "real-parts")]
mod real;
mod seed;
mod shop;
mod sqlite;
mod tour;
