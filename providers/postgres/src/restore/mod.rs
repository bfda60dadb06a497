//! A restore beside the live database, and the swap: whatever fails on the way, the database under
//! its name is the old one or the new one.

mod beside;
mod bring_up;
mod close;
mod given;
mod safety;
mod state;
mod steps;
mod swap;

pub(crate) use state::{REPLACED, note};
pub(crate) use steps::{objections, steps};

use crate::desk::outside;
use crate::desk::{Desk, text};
use crate::session::{READER, end_all};
use crate::trouble::invalid;
use hive_backup::{Repository, Settings};
use hive_contract::{Failure, Outcome, Remains, Resolution};
pub(crate) use hive_sql::restoring::{DISCARD, FILES, ID, KEY, PUT_BACK, RESTORE, SAFETY, SWAP};
use state::Beside;

/// Puts the live database aside, under another name, so that nobody can write to it.
pub(crate) const CLOSE: &str = "close";
/// Payload of [`PUT_BACK`]: nothing was closed, and an empty one may have had the name.
pub(crate) const ALONE: &str = "alone";
/// Puts it back under its own.
pub(crate) const REOPEN: &str = "reopen";

pub(crate) fn knows(verb: &str) -> bool {
    [CLOSE, REOPEN, SAFETY, RESTORE, DISCARD, SWAP, PUT_BACK].contains(&verb)
}

pub(crate) async fn perform(desk: &Desk<'_>) -> Result<Outcome, Failure> {
    match desk.request.operation.verb.as_str() {
        CLOSE => close::close(desk).await,
        REOPEN => close::reopen(desk).await,
        SAFETY => safety::make(desk).await,
        RESTORE => beside::restore(desk).await,
        DISCARD => beside::discard(desk).await,
        SWAP => swap::swap(desk).await,
        PUT_BACK => swap::put_back(desk).await,
        verb => Err(invalid(format!("a restore knows no `{verb}`"))),
    }
}

/// Behind the deadline nothing of the step goes on; its token and the names say what is there.
pub(crate) async fn late(desk: &Desk<'_>, failure: Failure) -> Failure {
    let ended = async {
        let asker = outside(desk.url, READER).await?;
        end_all(&asker, &desk.application()).await?;
        match desk.request.operation.verb == CLOSE {
            true => close::open_again(desk).await,
            false => Ok(()),
        }
    };
    match ended.await {
        Ok(()) => failure.remains(Remains::Unsure),
        Err(unknown) => failure.diagnosis(unknown.message).remains(Remains::Unsure),
    }
}

/// Every step of a restore can be seen in the names of the databases, and does nothing where it is
/// done.
pub(crate) async fn resolve(desk: &Desk<'_>) -> Result<Resolution, Failure> {
    let asker = outside(desk.url, READER).await?;
    end_all(&asker, &desk.application()).await?;
    let verb = desk.request.operation.verb.as_str();
    if verb == SAFETY {
        return safety::resolve(desk).await;
    }
    let beside = Beside::look(desk, asker).await?;
    let not_started = Ok(Resolution::NotStarted { sealed: false });
    let partly = |facts: &str| Ok(Resolution::Partly { facts: facts.to_owned() });
    let done = match verb {
        CLOSE if beside.is_put_aside() => true,
        CLOSE if beside.live.as_ref().is_some_and(|it| !it.open) => {
            return partly("the database takes no connections and still has its name");
        }
        CLOSE => {
            drop(beside);
            return crate::resolve::in_book(desk).await;
        }
        REOPEN => beside.old.is_none() && beside.live.as_ref().is_some_and(|it| it.open),
        RESTORE if beside.is_restored() => true,
        RESTORE if beside.new.is_some() => return partly("a part of the backup is restored"),
        DISCARD => beside.new.is_none(),
        SWAP => {
            beside.new.is_none()
                && beside.live.as_ref().is_some_and(|it| it.is_restored(&beside.key))
        }
        PUT_BACK => {
            beside.new.is_some()
                && !beside.live.as_ref().is_some_and(|it| it.is_restored(&beside.key))
        }
        _ => false,
    };
    if !done {
        return not_started;
    }
    let mut outcome = beside.outcome(desk).await?;
    if verb == RESTORE {
        let manifest = repository(desk).await?.manifest(id(desk)?).await?;
        outcome.kept = given::told(&beside, &manifest).await?;
    }
    Ok(Resolution::Done(outcome))
}

/// The place of the backups that is restored from.
pub(super) async fn repository(desk: &Desk<'_>) -> Result<Repository, Failure> {
    let settings = Settings::read(&desk.request.operation.payload)?;
    settings.connect(&desk.base.folder, desk.context.secrets).await
}

/// Which backup.
pub(super) fn id<'a>(desk: &Desk<'a>) -> Result<&'a str, Failure> {
    text(&desk.request.operation.payload, ID)
}
