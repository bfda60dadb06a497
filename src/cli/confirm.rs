//! The question before a change: asked on a terminal, and nowhere else.

use super::desk::Desk;
use super::ended::Ended;
use crate::render::error::Trouble;
use std::io::{BufRead, IsTerminal};

/// Asks whether to go on. Nothing has been changed yet.
///
/// # Errors
/// Refused: the answer was no, there was none, or nobody is there to be asked.
pub fn confirm(desk: &Desk, question: &str, yes: bool, json: bool) -> Result<(), Ended> {
    if yes {
        return Ok(());
    }
    let stdin = std::io::stdin();
    if json || !stdin.is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Ended::refused(
            Trouble::new("nobody is there to be asked, so nothing was changed")
                .hint("add `-y`, or save a plan with `hive plan -o FILE` and apply that with `-y`"),
        ));
    }
    desk.screen.message(&format!("\n{question} `yes` or `y` goes on, all else ends it here: "));
    let mut answer = String::new();
    // An input that cannot be read is no answer.
    let read = stdin.lock().read_line(&mut answer).unwrap_or(0);
    if read == 0 {
        desk.screen.message("\n");
    }
    match answer.trim().to_lowercase().as_str() {
        "yes" | "y" => Ok(()),
        _ => Err(Ended::refused(Trouble::new("not confirmed, so nothing was changed"))),
    }
}
