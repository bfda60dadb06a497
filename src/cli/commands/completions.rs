//! `hive completions SHELL`.

use crate::cli::args::Arguments;
use crate::cli::desk::Desk;
use crate::cli::exit::Exit;
use clap::CommandFactory;
use clap_complete::Shell;

/// Prints completions for a shell.
pub fn run(desk: &Desk, shell: Shell) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "hive", &mut text);
    desk.screen.result_bytes(&text);
    Exit::Done
}
