//! Nobody writes any more: the database is closed, everybody is sent away, its name is taken.

use super::state::Beside;
use super::{given, id, repository};
use crate::book;
use crate::desk::{Desk, outside};
use crate::dumping::check_version;
use crate::names::{self, drop_database};
use crate::quote;
use crate::session::{ASKING, Session};
use crate::tools;
use crate::trouble::{refused, state, taken};
use hive_contract::{Event, Failure, FailureKind, Outcome, Remains};
use std::time::Duration;
use tokio::time::Instant;

/// How long sessions may take to go.
const GOING: Duration = Duration::from_secs(60);

/// Closes the database and puts it aside.
pub(super) async fn close(desk: &Desk<'_>) -> Result<Outcome, Failure> {
    let beside = Beside::look(desk, outside(desk.url, &desk.application()).await?).await?;
    if beside.is_put_aside() {
        return beside.outcome(desk).await;
    }
    let Some(live) = beside.live.clone() else {
        let what = format!("{} is not there", desk.url.spot);
        return Err(Failure::new(FailureKind::Moved, what));
    };
    if let Some(old) = &beside.old {
        return Err(taken(format!("`{}` is there already, beside the live one", old.name)));
    }
    if live.open {
        look_before(desk, &beside).await?;
    }
    desk.context.guard.may_write()?;
    let name = quote::name(&live.name);
    let shut = format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false");
    beside.outside.run("close the database", &shut).await?;
    if let Err(failure) = put_aside(desk, &beside, &live.name).await {
        let open = format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true");
        return Err(match beside.outside.run("open it again", &open).await {
            Ok(()) => failure,
            Err(shut) => failure.diagnosis(shut.message).remains(Remains::Unsure),
        });
    }
    let beside = Beside::look(desk, beside.outside).await?;
    beside.outcome(desk).await
}

/// Whatever would stop the restore later is found before anything is closed.
async fn look_before(desk: &Desk<'_>, beside: &Beside) -> Result<(), Failure> {
    let inside = Session::open(desk.url, &desk.application()).await?;
    if book::is_installed(&inside).await? {
        desk.already(&inside).await?;
    }
    drop(inside);
    beside.check(desk).await?;
    may_rename(desk, &beside.outside).await?;
    let version = tools::server(&beside.outside).await?;
    tools::find(desk.base.tools.as_deref(), &version).await?;
    let manifest = repository(desk).await?.manifest(id(desk)?).await?;
    check_version(&version, &manifest)?;
    // Whose the database is, the live one says.
    given::may_have_roles(desk, &beside.outside, &manifest, false).await
}

/// Only an owner with `CREATEDB` gives a database another name.
pub(super) async fn may_rename(desk: &Desk<'_>, outside: &Session) -> Result<(), Failure> {
    let database = &desk.url.spot.database;
    let sql = format!(
        "SELECT r.rolsuper, r.rolcreatedb, pg_catalog.pg_has_role(d.datdba, 'USAGE'), \
           pg_catalog.pg_get_userbyid(d.datdba) \
         FROM pg_catalog.pg_roles r, pg_catalog.pg_database d \
         WHERE r.rolname = current_user AND d.datname = {}",
        quote::text(database)
    );
    let row = outside.row("ask what the role may", &sql).await?;
    let (superuser, makes, owns) = (row.truth(0)?, row.truth(1)?, row.truth(2)?);
    if superuser || (makes && owns) {
        return Ok(());
    }
    let user = &desk.url.spot.user;
    let why = match owns {
        false => format!("`{user}` does not own `{database}`: `{}` does", row.said(3)?),
        true => format!("`{user}` may not make databases"),
    };
    let what = format!("{} cannot be restored by this role: {why}", desk.url.spot);
    Err(Failure::new(FailureKind::Forbidden, what).diagnosis(
        "a restore makes a database beside the live one and swaps their names: the role owns the \
         database and has `CREATEDB`, and nothing was closed",
    ))
}

/// Sends everybody away until the name can be taken. One commit takes the name and lets hive alone
/// in, by a name that nobody else knows.
async fn put_aside(desk: &Desk<'_>, beside: &Beside, name: &str) -> Result<(), Failure> {
    let old = quote::name(&names::old(name, &beside.key));
    let rename = format!(
        "BEGIN; ALTER DATABASE {} RENAME TO {old}; \
         ALTER DATABASE {old} WITH ALLOW_CONNECTIONS true; COMMIT",
        quote::name(name)
    );
    // What is left of the step's time is for opening it again.
    let until = Instant::now() + GOING.min(desk.left() / 2);
    let mut told = false;
    loop {
        let left = send_away(&beside.outside, name).await?;
        if !left.is_empty() && !told {
            told = true;
            let words = format!("disconnects {}", left.join(", "));
            desk.context.event(Event::info(words));
        }
        match beside.outside.try_rows("take its name", &rename, ASKING).await? {
            Ok(_) => return Ok(()),
            Err(error) if state(&error) == "55006" && Instant::now() < until => {
                beside.outside.run("take its name", "ROLLBACK").await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => {
                let mut failure = refused(&desk.url.spot, "take its name", &error);
                beside.outside.run("take its name", "ROLLBACK").await?;
                for who in connected(&beside.outside, name).await? {
                    failure = failure.diagnosis(format!("still connected: {who}"));
                }
                return Err(failure);
            }
        }
    }
}

/// Ends every session of a database that the role may end; says which there were.
pub(super) async fn send_away(outside: &Session, name: &str) -> Result<Vec<String>, Failure> {
    let there = connected(outside, name).await?;
    if there.is_empty() {
        return Ok(there);
    }
    // One by one: a session that the role may not end does not keep the others.
    let sql = format!(
        "SELECT pid FROM pg_catalog.pg_stat_activity WHERE datname = {} \
         AND pid <> pg_catalog.pg_backend_pid()",
        quote::text(name)
    );
    for row in outside.rows("see who is connected", &sql, ASKING).await? {
        let end = format!("SELECT pg_catalog.pg_terminate_backend({})", row.int(0)?);
        let _ = outside.try_rows("disconnect", &end, ASKING).await?;
    }
    Ok(there)
}

/// Opens a database again that a step was closing when its time was over.
///
/// # Errors
/// The server cannot be asked.
pub(super) async fn open_again(desk: &Desk<'_>) -> Result<(), Failure> {
    let beside = Beside::look(desk, outside(desk.url, &desk.application()).await?).await?;
    match beside.live {
        Some(live) if !live.open => {
            let name = quote::name(&live.name);
            let open = format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true");
            beside.outside.run("open it again", &open).await
        }
        _ => Ok(()),
    }
}

async fn connected(outside: &Session, name: &str) -> Result<Vec<String>, Failure> {
    let sql = format!(
        "SELECT COALESCE(usename::text, backend_type), application_name, pid \
         FROM pg_catalog.pg_stat_activity WHERE datname = {} \
         AND pid <> pg_catalog.pg_backend_pid() ORDER BY pid",
        quote::text(name)
    );
    let rows = outside.rows("see who is connected", &sql, ASKING).await?;
    let words = rows.iter().map(|row| {
        let part = |column| row.text(column).unwrap_or_default();
        format!("`{}` of {} (pid {})", part(1), part(0), part(2))
    });
    Ok(words.collect())
}

/// Puts it back under its own name, open to all, and takes away what lies half restored beside it.
pub(super) async fn reopen(desk: &Desk<'_>) -> Result<Outcome, Failure> {
    let beside = Beside::look(desk, outside(desk.url, &desk.application()).await?).await?;
    let live = &desk.url.spot.database;
    match (&beside.old, &beside.live) {
        (Some(old), None) => {
            beside.check(desk).await?;
            desk.context.guard.may_write()?;
            send_away(&beside.outside, &old.name).await?;
            let rename = format!(
                "ALTER DATABASE {} RENAME TO {}",
                quote::name(&old.name),
                quote::name(live)
            );
            again_while_used(desk, &beside.outside, &[&old.name], &rename).await?;
        }
        (None, Some(found)) if !found.open => {
            desk.context.guard.may_write()?;
            let open = format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true", quote::name(live));
            beside.outside.run("open it again", &open).await?;
        }
        (None, Some(_)) => {}
        (Some(old), Some(_)) => {
            let what = format!(
                "`{live}` is there, and so is `{}`: somebody else has made a database of that name",
                old.name
            );
            return Err(taken(what).remains(Remains::Unsure));
        }
        (None, None) => {
            let what = format!("neither `{live}` nor what was put aside is there");
            return Err(Failure::new(FailureKind::Moved, what));
        }
    }
    let beside = Beside::look(desk, beside.outside).await?;
    // A restore that failed because the server was gone could not take away what it had begun.
    if let Some(half) = beside.new.as_ref().filter(|it| !it.is_restored(&beside.key)) {
        desk.context.guard.may_write()?;
        drop_database(&beside.outside, &half.name).await?;
    }
    beside.outcome(desk).await
}

/// Renames, sending away whoever is there until it can be done.
pub(super) async fn again_while_used(
    desk: &Desk<'_>,
    outside: &Session,
    used: &[&str],
    rename: &str,
) -> Result<(), Failure> {
    let until = Instant::now() + GOING.min(desk.left());
    loop {
        match outside.try_rows("give it its name", rename, ASKING).await? {
            Ok(_) => return Ok(()),
            Err(error) if state(&error) == "55006" && Instant::now() < until => {
                let _ = outside.try_rows("give it its name", "ROLLBACK", ASKING).await?;
                for name in used {
                    send_away(outside, name).await?;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => {
                let failure = refused(&desk.url.spot, "give it its name", &error);
                let _ = outside.try_rows("give it its name", "ROLLBACK", ASKING).await?;
                return Err(failure);
            }
        }
    }
}
