//! `hive forget ADDRESS…`: hive lets go, and leaves them as they are.

use crate::cli::args;
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::cli::running::{self, How};
use crate::cli::target;
use crate::flow::{Ask, Want};

/// Plans to let go of resources, and applies that.
///
/// # Errors
/// See [`running::change`].
pub async fn run(desk: &Desk, args: args::OfAddresses) -> Result<Exit, Ended> {
    let (addresses, folder) = target::addresses(&desk.outside.folder, &args.words)?;
    if addresses.is_empty() {
        return Err(Ended::usage("name what to forget, as in `hive forget service.api`"));
    }
    let session = desk.open_store(folder, args.changing.parallel).await?;
    let ask = Ask::all(Want::Forget(addresses));
    running::change(desk, &session, &ask, &How::of(&args.changing)).await
}
