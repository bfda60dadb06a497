//! `hive freeze` and `hive unfreeze`: a hold on an environment.

use crate::cli::args;
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::render::clean::clean;
use hive_state::Freeze;

/// Holds an environment.
///
/// # Errors
/// The store cannot be written.
pub async fn freeze(desk: &Desk, args: args::Freeze) -> Result<Exit, Ended> {
    let folder = desk.folder(args.folder.as_deref())?;
    let session = desk.open_store(folder, None).await?;
    let who = desk.outside.who.clone();
    let freeze = Freeze { who, why: args.why, at_ms: desk.now_ms() };
    let before = session.ledger.set_freeze(Some(&freeze)).await?;
    let environment = session.at.full_environment();
    desk.screen.result(&format!("{} in {environment} is frozen\n", clean(&session.stack)));
    if let Some(before) = before {
        desk.note(&format!("before, {} had frozen it: {}", before.who, before.why));
    }
    Ok(Exit::Done)
}

/// Lets an environment go again.
///
/// # Errors
/// The store cannot be written.
pub async fn unfreeze(desk: &Desk, args: args::OfFolder) -> Result<Exit, Ended> {
    let folder = desk.folder(args.folder.as_deref())?;
    let session = desk.open_store(folder, None).await?;
    let before = session.ledger.set_freeze(None).await?;
    let place = format!("{} in {}", clean(&session.stack), session.at.full_environment());
    match before {
        Some(before) => {
            desk.screen.result(&format!("{place} is no longer frozen\n"));
            desk.note(&format!("{} had frozen it: {}", before.who, before.why));
        }
        None => desk.screen.result(&format!("{place} was not frozen\n")),
    }
    Ok(Exit::Done)
}
