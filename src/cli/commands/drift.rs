//! `hive drift`: what moved since the newest snapshot.

use crate::cli::args::{self, Format};
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::render::status;

/// Shows what is not as recorded.
///
/// # Errors
/// The store cannot be read.
pub async fn run(desk: &Desk, args: args::Drift) -> Result<Exit, Ended> {
    let folder = desk.folder(args.reading.folder.as_deref())?;
    let session = desk.open_store(folder, None).await?;
    let found = session.status().await?;
    let text = match args.reading.format {
        Format::Text => status::drift(&found, &desk.site(), desk.screen.result_style()),
        Format::Json => status::drift_json(&found, desk.now_ms()),
    };
    desk.screen.result(&text);
    let unreadable = found.parts.values().any(|part| part.unreadable);
    let drifted = found.parts.values().any(|part| !part.drift.is_empty());
    Ok(match (unreadable, drifted && args.exit_code) {
        (true, _) => Exit::Failed,
        (_, true) => Exit::Changes,
        _ => Exit::Done,
    })
}
