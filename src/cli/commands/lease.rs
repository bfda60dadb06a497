//! `hive lease show` and `hive lease break`: who may write.

use crate::cli::args::{self, Format, Reading};
use crate::cli::confirm::confirm;
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::render::lease;
use std::path::PathBuf;

/// Shows who may write, or takes it from them.
///
/// # Errors
/// The store cannot be read or written.
pub async fn run(desk: &Desk, args: args::Lease) -> Result<Exit, Ended> {
    match args {
        args::Lease::Show(reading) => show(desk, reading).await,
        args::Lease::Break { folder, yes } => take(desk, folder, yes).await,
    }
}

async fn show(desk: &Desk, args: Reading) -> Result<Exit, Ended> {
    let folder = desk.folder(args.folder.as_deref())?;
    let session = desk.open_store(folder, None).await?;
    let now = session.ledger.lease_now().await?;
    let text = match args.format {
        Format::Text => lease::text(now.as_ref(), desk.now_ms(), desk.screen.result_style()),
        Format::Json => lease::json(now.as_ref()),
    };
    desk.screen.result(&text);
    Ok(Exit::Done)
}

async fn take(desk: &Desk, folder: Option<PathBuf>, yes: bool) -> Result<Exit, Ended> {
    let folder = desk.folder(folder.as_deref())?;
    let session = desk.open_store(folder, None).await?;
    let now = session.ledger.lease_now().await?;
    let Some(holder) = now.and_then(|it| it.holder) else {
        desk.screen.result("nobody holds the lease\n");
        return Ok(Exit::Done);
    };
    let question = format!(
        "{} (pid {} on {}) holds the lease and will fail at its next write. Take it?",
        holder.who, holder.pid, holder.host
    );
    confirm(desk, &question, yes, false)?;
    let broken = session.ledger.break_lease(&session.clock, &session.at.who).await?;
    match broken {
        Some(_) => desk.screen.result("the lease is free; `hive recover` settles what was begun\n"),
        None => desk.screen.result("nobody holds the lease any more\n"),
    }
    Ok(Exit::Done)
}
