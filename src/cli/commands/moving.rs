//! `hive move FROM TO`: another address for the same thing.

use crate::cli::args;
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::cli::running::{self, How};
use crate::flow::{Ask, Want};

/// Plans to give a recorded resource the address that it is declared under now, and applies that.
///
/// # Errors
/// See [`running::change`].
pub async fn run(desk: &Desk, args: args::Move) -> Result<Exit, Ended> {
    let folder = desk.folder(args.whole.folder.as_deref())?;
    let session = desk.open(folder, args.whole.changing.parallel).await?;
    let ask = Ask::all(Want::Move(args.from, args.to));
    running::change(desk, &session, &ask, &How::of(&args.whole.changing)).await
}
