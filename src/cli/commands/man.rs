//! `hive man`: the manual page, of hive and of each of its commands.

use crate::cli::args::Arguments;
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use clap::CommandFactory;

/// Prints the manual page.
///
/// # Errors
/// The page cannot be made.
pub fn run(desk: &Desk) -> Result<Exit, Ended> {
    let mut command = Arguments::command();
    command.build();
    let mut page = Vec::new();
    let made = clap_mangen::Man::new(command).render(&mut page);
    made.map_err(|error| Ended::usage(format!("the manual page cannot be made: {error}")))?;
    desk.screen.result_bytes(&page);
    Ok(Exit::Done)
}
