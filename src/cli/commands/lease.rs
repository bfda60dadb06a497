//! `hive lease show` and `hive lease break`: who may write.

use crate::cli::args::{self, Format, Reading};
use crate::cli::confirm::confirm;
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::render::clean::clean;
use crate::render::lease;
use hive_state::{Hold, Holder, LedgerError};
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
        Format::Text => {
            let style = desk.screen.result_style();
            lease::text(now.as_ref(), desk.now_ms(), &desk.site(), style)
        }
        Format::Json => lease::json(now.as_ref(), desk.now_ms()),
    };
    desk.screen.result(&text);
    Ok(Exit::Done)
}

async fn take(desk: &Desk, folder: Option<PathBuf>, yes: bool) -> Result<Exit, Ended> {
    let folder = desk.folder(folder.as_deref())?;
    let session = desk.open_store(folder, None).await?;
    let question = match session.ledger.lease_now().await {
        Ok(now) => {
            let hold = now.as_ref().map_or(Hold::Free, |it| it.hold(desk.now_ms()));
            let Some(holder) = now.and_then(|it| it.holder) else {
                desk.screen.result("nobody holds the lease\n");
                return Ok(Exit::Done);
            };
            let held = match hold {
                Hold::Gone => "held the lease and is gone",
                _ => "holds the lease and will fail at its next write",
            };
            let Holder { who, pid, host, .. } = &holder;
            clean(&format!("{who} (pid {pid} on {host}) {held}. Take it?"))
        }
        // Whoever holds it cannot renew it any more.
        Err(LedgerError::Damaged(damage)) => clean(&format!(
            "{damage}. Who holds the lease cannot be read; whoever does fails at its next write. \
             Take it?"
        )),
        Err(error) => return Err(error.into()),
    };
    confirm(desk, &question, yes, false)?;
    let broken = session.ledger.break_lease(&session.clock, &session.at.who).await?;
    match broken {
        Some(_) => {
            let free = "the lease is free; `hive recover` settles what was begun\n";
            desk.screen.result(&desk.site().complete(free));
        }
        None => desk.screen.result("nobody holds the lease any more\n"),
    }
    Ok(Exit::Done)
}
