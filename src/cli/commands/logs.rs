//! `hive logs [-f] [ADDRESS…]`: what services print.

use crate::cli::args;
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::cli::following::Following;
use crate::cli::target;
use std::time::Duration;

/// How often logs are looked at.
const LOOK: Duration = Duration::from_millis(200);
/// After how many looks new replicas are looked for.
const LOOKS: u32 = 5;

/// Prints the last lines of each log, and goes on where that is asked.
///
/// # Errors
/// There is no such service, or a log cannot be read.
pub async fn run(desk: &Desk, args: args::Logs) -> Result<Exit, Ended> {
    let (addresses, folder) = target::addresses(&desk.outside.folder, &args.words)?;
    let session = desk.open_store(folder, None).await?;
    let mut following = Following::default();
    let files = session.logs(&addresses).await?;
    if files.is_empty() && !args.follow {
        desk.note("no service has printed anything");
    }
    following.add(&files, args.lines).map_err(unreadable)?;
    following.print(desk, !args.follow).map_err(unreadable)?;
    while args.follow && desk.screen.is_read() {
        for _ in 0..LOOKS {
            tokio::time::sleep(LOOK).await;
            following.print(desk, false).map_err(unreadable)?;
        }
        // A new replica's log is all of it new.
        following.add(&session.logs(&addresses).await?, usize::MAX).map_err(unreadable)?;
    }
    Ok(Exit::Done)
}

/// A log that cannot be read.
pub(super) fn unreadable(error: std::io::Error) -> Ended {
    Ended::usage(format!("a log cannot be read: {error}"))
}
