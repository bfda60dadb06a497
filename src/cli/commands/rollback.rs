//! `hive rollback`: what the last whole snapshot holds that differs from the newest, live again.

use crate::cli::args;
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::flow::Want;

/// Plans what was before, and applies that.
///
/// # Errors
/// There is no such snapshot, or see [`crate::cli::running::change`].
pub async fn run(desk: &Desk, args: args::Rollback) -> Result<Exit, Ended> {
    super::restore::back(desk, Want::Before, args.back, args.whole).await
}
