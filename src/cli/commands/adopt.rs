//! `hive adopt [ADDRESS…]`: takes into hive what is live already.

use crate::cli::args;
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::cli::running::{self, How};
use crate::cli::target;
use crate::flow::{Ask, Want};

/// Plans to take over what is live, and applies that.
///
/// # Errors
/// See [`running::change`].
pub async fn run(desk: &Desk, args: args::Adopt) -> Result<Exit, Ended> {
    let (addresses, folder) = target::addresses(&desk.outside.folder, &args.words)?;
    let session = desk.open(folder, args.changing.parallel).await?;
    let ask = Ask { take_over: args.take_over, ..Ask::all(Want::Adopt(addresses)) };
    running::change(desk, &session, &ask, &How::of(&args.changing)).await
}
