//! `hive output [NAME]`: what resources say of themselves.

use crate::cli::args::{self, Format};
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::cli::target;
use crate::render::error::Trouble;
use crate::render::output;
use hive_contract::Address;

const ONE: &str = "an output, as in `service.api.url`,";

/// Prints all outputs, or the value of one.
///
/// # Errors
/// There is no such output, or the store cannot be read.
pub async fn run(desk: &Desk, args: args::Output) -> Result<Exit, Ended> {
    let (names, folder) = target::split(&desk.outside.folder, &args.words, ONE, name)?;
    let session = desk.open_store(folder, None).await?;
    let outputs = session.outputs().await?;
    let text = match (names.as_slice(), args.format) {
        ([], Format::Text) => output::text(&outputs, desk.screen.result_style()),
        ([], Format::Json) => output::json(&outputs),
        ([one], format) => {
            let value = outputs.get(one).ok_or_else(|| unknown(one))?;
            match format {
                Format::Text => output::value(value),
                Format::Json => output::value_json(value),
            }
        }
        _ => return Err(Ended::usage("name one output and not two")),
    };
    desk.screen.result(&text);
    Ok(Exit::Done)
}

fn unknown((address, output): &(Address, String)) -> Ended {
    Ended::Said {
        exit: Exit::Failed,
        trouble: Trouble::new(format!("there is no output `{address}.{output}`"))
            .hint("`hive output` lists those that there are"),
    }
}

/// `service.api.url`.
fn name(word: &str) -> Option<(Address, String)> {
    let (address, output) = word.rsplit_once('.')?;
    Some((address.parse().ok()?, output.to_owned()))
}
