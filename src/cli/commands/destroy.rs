//! `hive destroy`: nothing of what is recorded stays.

use crate::cli::args;
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::cli::running::{self, How};
use crate::flow::{Ask, Want};

/// Plans to take everything away, and applies that.
///
/// # Errors
/// See [`running::change`].
pub async fn run(desk: &Desk, args: args::Whole) -> Result<Exit, Ended> {
    let folder = desk.folder(args.folder.as_deref())?;
    let session = desk.open_store(folder, args.changing.parallel).await?;
    let how = How::of(&args.changing);
    running::change(desk, &session, &Ask::all(Want::Nothing), &how).await
}
