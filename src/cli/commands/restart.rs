//! `hive restart ADDRESS…`: a rollout without a change.

use crate::cli::args;
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::cli::running::{self, How};
use crate::cli::target;
use crate::flow::{Ask, Want};

/// Plans a rollout of services as they are recorded, and applies that.
///
/// # Errors
/// See [`running::change`].
pub async fn run(desk: &Desk, args: args::OfAddresses) -> Result<Exit, Ended> {
    let (addresses, folder) = target::addresses(&desk.outside.folder, &args.words)?;
    if addresses.is_empty() {
        return Err(Ended::usage("name what to restart, as in `hive restart service.api`"));
    }
    let session = desk.open_store(folder, args.changing.parallel).await?;
    let ask = Ask::all(Want::Restart(addresses));
    running::change(desk, &session, &ask, &How::of(&args.changing)).await
}
