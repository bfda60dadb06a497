//! `hive migrate new|lint|rehearse|status`: migrations written, checked and tried.

use crate::cli::args::{self, Format, OfMigrations};
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::cli::target;
use crate::flow::{Session, Trying};
use crate::render::site::shell;
use crate::render::{migrations, trying, words};
use hive_contract::Address;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Does what is asked of migrations.
///
/// # Errors
/// There is no such list, or its files or its database cannot be read.
pub async fn run(desk: &Desk, args: args::Migrate) -> Result<Exit, Ended> {
    match args {
        args::Migrate::New { name, words } => new(desk, &name, &words).await,
        args::Migrate::Lint(of) => lint(desk, &of).await,
        args::Migrate::Rehearse(of) => rehearse(desk, &of).await,
        args::Migrate::Status(of) => status(desk, &of).await,
    }
}

async fn new(desk: &Desk, name: &str, named: &[String]) -> Result<Exit, Ended> {
    let (only, folder) = target::addresses(&desk.outside.folder, named)?;
    if only.len() > 1 {
        return Err(Ended::usage("name one list of migrations and not two"));
    }
    // The files of today need not be right for one more.
    let session = desk.open_store(folder, None).await?;
    let written = session.migration_new(name, only.first())?;
    let here = &desk.outside.folder;
    let shown = |path: &PathBuf| {
        shell(&path.strip_prefix(here).unwrap_or(path).display().to_string()).to_string()
    };
    let paths: Vec<String> = written.iter().map(shown).collect();
    desk.screen.result(&format!("wrote {}\n", words::list(&paths)));
    Ok(Exit::Done)
}

async fn lint(desk: &Desk, of: &OfMigrations) -> Result<Exit, Ended> {
    let (only, session) = open(desk, of).await?;
    let linted = session.lint(&only).await?;
    let text = match of.format {
        Format::Text => migrations::lint(&linted, desk.screen.result_style()),
        Format::Json => migrations::lint_json(&linted),
    };
    desk.screen.result(&text);
    match linted.iter().any(|it| it.is_dangerous()) {
        true => Ok(Exit::Failed),
        false => Ok(Exit::Done),
    }
}

async fn rehearse(desk: &Desk, of: &OfMigrations) -> Result<Exit, Ended> {
    let (only, session) = open(desk, of).await?;
    let hears = |it: Trying| {
        if !desk.everywhere.quiet {
            desk.screen.message(&trying::text(&it, desk.screen.message_style()));
        }
    };
    let learnt = session.try_now(&only, &hears).await?;
    let text = match of.format {
        Format::Text => {
            let lists = session.migrations(&only).await?;
            migrations::learnt(&learnt, &lists, desk.screen.result_style())
        }
        Format::Json => migrations::learnt_json(&learnt),
    };
    desk.screen.result(&text);
    match learnt.values().any(Result::is_err) {
        true => Ok(Exit::Failed),
        false => Ok(Exit::Done),
    }
}

async fn status(desk: &Desk, of: &OfMigrations) -> Result<Exit, Ended> {
    let (only, session) = open(desk, of).await?;
    let lists = session.migrations(&only).await?;
    let text = match of.format {
        Format::Text => migrations::status(&lists, desk.screen.result_style()),
        Format::Json => migrations::status_json(&lists),
    };
    desk.screen.result(&text);
    match lists.iter().any(|it| it.unreadable.is_some()) {
        true => Ok(Exit::Failed),
        false => Ok(Exit::Done),
    }
}

async fn open(desk: &Desk, of: &OfMigrations) -> Result<(BTreeSet<Address>, Session), Ended> {
    let (only, folder) = target::addresses(&desk.outside.folder, &of.words)?;
    Ok((only, desk.open(folder, None).await?))
}
