//! `hive dev`: applies, and applies again whenever a file changes, with the logs in one terminal.

use super::apply::settle_first;
use super::logs::unreadable;
use crate::cli::args;
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::cli::following::Following;
use crate::cli::running::{self, How};
use crate::cli::watch::Watch;
use crate::flow::{Ask, Rehearse, Session, Want};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// How often files and logs are looked at.
const LOOK: Duration = Duration::from_millis(300);
/// After how many looks it is planned again without a changed file: something may have crashed.
const PLAN_AFTER: u32 = 15;

/// Goes on until Ctrl-C.
///
/// # Errors
/// The folder is not there.
pub async fn run(desk: &Desk, args: args::Dev) -> Result<Exit, Ended> {
    let folder = desk.folder(args.folder.as_deref())?;
    let mut following = Following::default();
    loop {
        // Taken before anything is read, so that no change in between is missed.
        let watch = Watch::of(&folder, crate::stack::written_in(&folder));
        let mended = round(desk, &folder, args.parallel).await;
        let again = match mended {
            Ok(Exit::Interrupted) => return Ok(Exit::Interrupted),
            Ok(exit) => exit == Exit::Done,
            Err(ended) => {
                crate::cli::say(desk, &ended, false);
                false
            }
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {
                desk.note("what runs goes on; `hive destroy` takes it away");
                return Ok(Exit::Done);
            }
            waited = wait(desk, &folder, &mut following, &watch, again) => waited?,
        }
    }
}

/// One apply, where there is something to apply.
async fn round(desk: &Desk, folder: &Path, parallel: Option<u32>) -> Result<Exit, Ended> {
    let session = desk.open(folder.to_owned(), parallel).await?;
    let how = How { yes: true, json: false, output: None, save: false };
    if let Some(exit) = settle_first(desk, &session, &how).await? {
        return Ok(exit);
    }
    let ask = Ask { rehearse: Rehearse::Usual, ..Ask::all(Want::Declared) };
    running::change(desk, &session, &ask, &how).await
}

/// Prints logs until a file changes or, where all was well, something has moved.
async fn wait(
    desk: &Desk,
    folder: &Path,
    following: &mut Following,
    watch: &Watch,
    again: bool,
) -> Result<(), Ended> {
    desk.note("watching; Ctrl-C ends this and leaves what runs");
    let store = desk.open_store(folder.to_owned(), None).await.ok();
    let mut looks = 0;
    loop {
        if let Some(store) = &store {
            let files = store.logs(&BTreeSet::new()).await.unwrap_or_default();
            following.add(&files, 0).map_err(unreadable)?;
            following.print(desk, false).map_err(unreadable)?;
        }
        if watch.changed(folder) {
            desk.note("a file changed");
            return Ok(());
        }
        looks += 1;
        if again && looks % PLAN_AFTER == 0 && moved(desk, folder).await {
            desk.note("something moved");
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether a plan would do something now. A plan that cannot be made says so when it is asked for.
async fn moved(desk: &Desk, folder: &Path) -> bool {
    let Ok(session) = desk.open(folder.to_owned(), None).await else { return true };
    planned(&session).await
}

async fn planned(session: &Session) -> bool {
    match session.plan(&Ask::all(Want::Declared), &|_| {}).await {
        Ok(planned) => !planned.plan.is_empty(),
        Err(_) => true,
    }
}
