//! `hive note N TEXT`: a remark kept with an apply.

use crate::cli::args;
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::render::clean::clean;

/// Keeps a remark.
///
/// # Errors
/// There is no such apply, or the store cannot be written.
pub async fn run(desk: &Desk, args: args::Note) -> Result<Exit, Ended> {
    let folder = desk.folder(args.folder.as_deref())?;
    let session = desk.open_store(folder, None).await?;
    let apply = session.note(&args.apply, &args.text).await?;
    desk.screen.result(&format!("kept with the apply {}\n", clean(&apply)));
    Ok(Exit::Done)
}
