//! `hive status`: each recorded resource beside what is live.

use crate::cli::args::{Format, Reading};
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::render::status;
use hive_state::Hold;

/// Shows what is.
///
/// # Errors
/// The store cannot be read.
pub async fn run(desk: &Desk, args: Reading) -> Result<Exit, Ended> {
    let folder = desk.folder(args.folder.as_deref())?;
    let session = desk.open_store(folder, None).await?;
    let found = session.status().await?;
    let here = status::Here {
        stack: &session.stack,
        environment: &session.at.full_environment(),
        now_ms: desk.now_ms(),
        hold: found.lease.as_ref().map_or(Hold::Free, |it| it.hold(desk.now_ms())),
        site: desk.site(),
    };
    let text = match args.format {
        Format::Text => status::text(&found, &here, desk.screen.result_style()),
        Format::Json => status::json(&found, &here),
    };
    desk.screen.result(&text);
    match found.fails(here.now_ms) {
        true => Ok(Exit::Failed),
        false => Ok(Exit::Done),
    }
}
