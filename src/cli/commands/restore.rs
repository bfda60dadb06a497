//! `hive restore N`: what a snapshot holds, live again.

use crate::cli::args;
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::cli::running::{self, How};
use crate::flow::{Ask, Back, Rehearse, Want};

/// Plans what a snapshot holds, and applies that.
///
/// # Errors
/// There is no such snapshot, or see [`running::change`].
pub async fn run(desk: &Desk, args: args::Restore) -> Result<Exit, Ended> {
    let want = Want::Snapshot(args.number);
    back(desk, want, args.back, args.whole).await
}

/// Goes back to a snapshot, from the store alone.
pub(super) async fn back(
    desk: &Desk,
    want: Want,
    going: args::GoingBack,
    whole: args::Whole,
) -> Result<Exit, Ended> {
    let folder = desk.folder(whole.folder.as_deref())?;
    let session = desk.open_store(folder, whole.changing.parallel).await?;
    let back = match going {
        args::GoingBack { with_data: true, .. } => Back::Data,
        args::GoingBack { down: true, .. } => Back::Schema,
        args::GoingBack { services_only: true, .. } => Back::Services,
        _ => Back::Usual,
    };
    let ask = Ask { no_freeze: going.no_freeze, rehearse: Rehearse::Usual, back, ..Ask::all(want) };
    running::change(desk, &session, &ask, &How::of(&whole.changing)).await
}
