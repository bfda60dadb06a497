//! `hive history [N]`: the applies, or the report of one.

use crate::cli::args::{self, Format};
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::cli::target;
use crate::render::history;

const ONE: &str = "a snapshot's number or the digits of an apply's id";

/// Lists applies, or reports one.
///
/// # Errors
/// There is no such apply, or the store cannot be read.
pub async fn run(desk: &Desk, args: args::History) -> Result<Exit, Ended> {
    let (which, folder) = target::split(&desk.outside.folder, &args.words, ONE, apply)?;
    let session = desk.open_store(folder, None).await?;
    let style = desk.screen.result_style();
    let text = match which.as_slice() {
        [] => {
            let all = session.history().await?;
            match args.format {
                Format::Text => history::list(&all, desk.now_ms(), style),
                Format::Json => history::list_json(&all),
            }
        }
        [one] => {
            let one = session.applied(one).await?;
            match args.format {
                Format::Text => history::report(&one, style),
                Format::Json => history::report_json(&one),
            }
        }
        _ => return Err(Ended::usage("name one apply and not two")),
    };
    desk.screen.result(&text);
    Ok(Exit::Done)
}

/// A snapshot's number, or the digits of an apply's id.
fn apply(word: &str) -> Option<String> {
    word.chars().all(|c| c.is_ascii_hexdigit()).then(|| word.to_owned())
}
