//! `hive schema`: the JSON Schema of `stack.toml`.

use crate::cli::desk::Desk;
use crate::cli::exit::Exit;
use crate::render::plan_json;
use crate::stack;

/// Prints the schema.
pub fn run(desk: &Desk) -> Exit {
    desk.screen.result(&plan_json::document(&stack::schema()));
    Exit::Done
}
