//! `hive man`: the manual page, of hive and of each of its commands.

use crate::cli::args::Arguments;
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use clap::CommandFactory;

/// Prints the manual page of hive, or of one command.
///
/// # Errors
/// There is no such command, or the page cannot be made.
pub fn run(desk: &Desk, command: &[String]) -> Result<Exit, Ended> {
    let mut root = Arguments::command();
    root.build();
    let mut found = &root;
    for name in command {
        let inner = found.find_subcommand(name);
        found = inner.ok_or_else(|| Ended::usage(format!("there is no command `{name}`")))?;
    }
    let name = std::iter::once("hive").chain(command.iter().map(String::as_str));
    let name = name.collect::<Vec<_>>().join("-");
    let mut page = Vec::new();
    let made = clap_mangen::Man::new(found.clone()).title(name).render(&mut page);
    made.map_err(|error| Ended::usage(format!("the manual page cannot be made: {error}")))?;
    desk.screen.result_bytes(&page);
    Ok(Exit::Done)
}
