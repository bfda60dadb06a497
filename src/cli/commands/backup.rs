//! `hive backup run|list|verify|restore`: copies of data, made, listed, proven and brought back.

use crate::cli::args::{self, Changing, Format};
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::cli::running::{self, Changed, How};
use crate::cli::target;
use crate::flow::{Ask, Backups, Session, Want};
use crate::render::{backups, rebuilt};
use hive_contract::Address;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Does what is asked of backups.
///
/// # Errors
/// There is no such backup, or see [`running::change`].
pub async fn run(desk: &Desk, args: args::Backup) -> Result<Exit, Ended> {
    match args {
        args::Backup::Run { words, due, no_verify, accept_smaller, changing } => {
            let (only, folder) = target::addresses(&desk.outside.folder, &words)?;
            let session = desk.open_store(folder, changing.parallel).await?;
            let want = session.backup_run(&only, due, !no_verify, accept_smaller).await?;
            running::change(desk, &session, &Ask::all(want), &How::of(&changing)).await
        }
        args::Backup::List { words, check, format } => list(desk, &words, check, format).await,
        args::Backup::Verify { words, changing } => verify(desk, &words, &changing).await,
        args::Backup::Restore { words, to, changing } => {
            restore(desk, &words, to.as_deref(), &changing).await
        }
    }
}

async fn list(desk: &Desk, words: &[String], check: bool, format: Format) -> Result<Exit, Ended> {
    let (only, folder) = target::addresses(&desk.outside.folder, words)?;
    let session = desk.open_store(folder, None).await?;
    let all = session.backups(&only).await?;
    let now_ms = desk.now_ms();
    let text = match format {
        Format::Text => backups::text(&all, now_ms, &desk.site(), desk.screen.result_style()),
        Format::Json => backups::json(&all, now_ms),
    };
    desk.screen.result(&text);
    match check && all.iter().any(|it| it.needs_attention(now_ms)) {
        true => Ok(Exit::Failed),
        false => Ok(Exit::Done),
    }
}

async fn verify(desk: &Desk, words: &[String], changing: &Changing) -> Result<Exit, Ended> {
    let Named { only, id, folder } = Named::of(&desk.outside.folder, words)?;
    let session = desk.open_store(folder, changing.parallel).await?;
    let want = session.backup_verify(&only, id.as_deref()).await?;
    let how = How::of(changing);
    let Changed { exit, planned, report } =
        running::changed(desk, &session, &Ask::all(want), &how).await?;
    let Some(report) = report.filter(|_| exit == Exit::Done && !how.json) else { return Ok(exit) };
    let proven = session.drilled(&report.apply, &planned.plan).await?;
    desk.screen.result(&rebuilt::items(&proven, desk.screen.result_style()));
    Ok(exit)
}

async fn restore(
    desk: &Desk,
    words: &[String],
    to: Option<&Path>,
    changing: &Changing,
) -> Result<Exit, Ended> {
    let Named { only, id, folder } = Named::of(&desk.outside.folder, words)?;
    let Some(address) = only.first() else {
        return Err(Ended::usage("name the backup, as in `hive backup restore backup.main`"));
    };
    let session = desk.open_store(folder, changing.parallel).await?;
    let all = session.backups(&only).await?;
    let Some(of) = all.first() else { return Ok(Exit::Done) };
    let want = wanted(desk, &session, address, of, id.as_deref(), to)?;
    running::change(desk, &session, &Ask::all(want), &How::of(changing)).await
}

/// A database goes into its place, files go into a folder.
fn wanted(
    desk: &Desk,
    session: &Session,
    address: &Address,
    of: &Backups,
    id: Option<&str>,
    to: Option<&Path>,
) -> Result<Want, Ended> {
    let kept = of.find(id)?;
    match (&of.database, to) {
        (Some(database), None) => Ok(Want::Data {
            database: database.clone(),
            backup: address.clone(),
            id: kept.id.clone(),
        }),
        (Some(database), Some(_)) => Err(Ended::usage(format!(
            "`{address}` is of `{database}`, which is restored in its place: leave `--to` out"
        ))),
        (None, Some(to)) => {
            let to = desk.outside.folder.join(to);
            Ok(session.backup_unpack(address, &kept.id, &to))
        }
        (None, None) => Err(Ended::usage(format!(
            "`{address}` is of files: name the folder that they are unpacked into with `--to`"
        ))),
    }
}

/// What a person named: backups, the id of one, a folder.
struct Named {
    only: BTreeSet<Address>,
    id: Option<String>,
    folder: PathBuf,
}

/// One word that is no folder.
enum Word {
    Address(Address),
    Id(String),
}

impl Named {
    fn of(here: &Path, words: &[String]) -> Result<Self, Ended> {
        let one = "an address, as in `backup.main`, nor an id";
        let read = |word: &str| match word.parse() {
            Ok(address) => Some(Word::Address(address)),
            Err(_) => is_id(word).then(|| Word::Id(word.to_owned())),
        };
        let (found, folder) = target::split(here, words, one, read)?;
        let (mut only, mut id) = (BTreeSet::new(), None);
        for word in found {
            match word {
                Word::Address(address) => drop(only.insert(address)),
                Word::Id(_) if id.is_some() => {
                    return Err(Ended::usage("name one id and not two"));
                }
                Word::Id(text) => id = Some(text),
            }
        }
        if id.is_some() && only.len() != 1 {
            return Err(Ended::usage(
                "an id is one of a backup: name that too, as in `backup.main`",
            ));
        }
        Ok(Self { only, id, folder })
    }
}

/// Whether a word may be the beginning of an id: a time, and what keeps it apart from others.
fn is_id(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_an_id_and_a_folder_are_told_apart() {
        let here = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(here.path().join("stack")).expect("makes it");
        let of = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|it| (*it).to_owned()).collect();
            Named::of(here.path(), &words)
        };
        let named = of(&["backup.main", "20261124T030000Z-ab12cd34", "stack"]).expect("all three");
        assert_eq!(named.id.as_deref(), Some("20261124T030000Z-ab12cd34"));
        assert_eq!(named.folder, here.path().join("stack"));
        assert!(of(&["20261124T"]).is_err(), "an id of nothing");
        assert!(of(&["backup.main", "20261124T", "20261125T"]).is_err());
        assert!(of(&["nothing"]).is_err());
    }
}
