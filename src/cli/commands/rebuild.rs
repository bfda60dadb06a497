//! `hive rebuild [--drill]`: recovery from store and backups, or an exercise of it.

use crate::cli::args;
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::cli::running::{self, Changed, How};
use crate::flow::{Ask, Rebuilt, Session, Want};
use crate::render::rebuilt;
use std::collections::BTreeSet;

/// Brings everything back, or proves that it could be.
///
/// # Errors
/// There is no store or no backup, or see [`running::change`].
pub async fn run(desk: &Desk, args: args::Rebuild) -> Result<Exit, Ended> {
    let folder = desk.folder(args.whole.folder.as_deref())?;
    let session = desk.open_store(folder, args.whole.changing.parallel).await?;
    let how = How::of(&args.whole.changing);
    match args.drill {
        true => drill(desk, &session, &how).await,
        false => rebuild(desk, &session, &how).await,
    }
}

async fn rebuild(desk: &Desk, session: &Session, how: &How) -> Result<Exit, Ended> {
    let ask = Ask::all(Want::Rebuild);
    let Changed { exit, planned, report } = running::changed(desk, session, &ask, how).await?;
    let Some(report) = report else {
        if exit == Exit::Done && how.output.is_none() && !how.save {
            desk.note("nothing is gone: all is as recorded");
        }
        return Ok(exit);
    };
    let came = session.rebuilt(&report.apply, &planned.plan, &planned.comes_back).await?;
    tell(desk, &came, how.json);
    Ok(of(exit, &came))
}

async fn drill(desk: &Desk, session: &Session, how: &How) -> Result<Exit, Ended> {
    let ask = Ask::all(session.backup_verify(&BTreeSet::new(), None).await?);
    let Changed { exit, planned, report } = running::changed(desk, session, &ask, how).await?;
    let Some(report) = report else { return Ok(exit) };
    let came = session.drilled(&report.apply, &planned.plan).await?;
    tell(desk, &came, how.json);
    Ok(of(exit, &came))
}

fn tell(desk: &Desk, came: &Rebuilt, json: bool) {
    let text = match json {
        true => rebuilt::json(came),
        false => rebuilt::text(came, desk.screen.result_style()),
    };
    desk.screen.result(&text);
}

/// A recovery that is not whole or took too long has failed, whatever its apply says. A newer backup
/// that is damaged is one that is not what it should be, also where an older one is proven.
fn of(exit: Exit, came: &Rebuilt) -> Exit {
    match exit {
        Exit::Done if !came.is_good() => Exit::Failed,
        Exit::Done if came.has_damage() => Exit::Changes,
        other => other,
    }
}
