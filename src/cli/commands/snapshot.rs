//! `hive snapshot list|show|diff`: what was.

use crate::cli::args::{self, Format, Reading};
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::flow::Session;
use crate::render::snapshot;

/// Lists, shows or compares snapshots.
///
/// # Errors
/// There is no such snapshot, or the store cannot be read.
pub async fn run(desk: &Desk, args: args::Snapshot) -> Result<Exit, Ended> {
    let style = desk.screen.result_style();
    let text = match args {
        args::Snapshot::List(reading) => {
            let session = open(desk, &reading).await?;
            let mut all = Vec::new();
            for number in session.ledger.snapshots().await? {
                all.push(session.snapshot(number).await?);
            }
            match reading.format {
                Format::Text => snapshot::list(&all, desk.now_ms(), style),
                Format::Json => snapshot::list_json(&all),
            }
        }
        args::Snapshot::Show { number, reading } => {
            let one = open(desk, &reading).await?.snapshot(number).await?;
            match reading.format {
                Format::Text => snapshot::text(&one, desk.now_ms(), style),
                Format::Json => snapshot::json(&one),
            }
        }
        args::Snapshot::Diff { from, to, reading } => {
            let session = open(desk, &reading).await?;
            let (from, to) = (session.snapshot(from).await?, session.snapshot(to).await?);
            match reading.format {
                Format::Text => snapshot::diff(&from, &to, style),
                Format::Json => snapshot::diff_json(&from, &to),
            }
        }
    };
    desk.screen.result(&text);
    Ok(Exit::Done)
}

async fn open(desk: &Desk, reading: &Reading) -> Result<Session, Ended> {
    let folder = desk.folder(reading.folder.as_deref())?;
    desk.open_store(folder, None).await
}
