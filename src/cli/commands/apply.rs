//! `hive apply`: runs a saved plan, or plans and runs.

use super::plan::rehearse;
use crate::apply::Settle;
use crate::cli::args::{self, Choosing, Format};
use crate::cli::confirm::confirm;
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::cli::running::{self, How};
use crate::cli::target::{self, Target};
use crate::flow::{self, Ask, FlowError, Session, Want};
use crate::plan::{Plan, Scope};
use crate::render::error::Trouble;
use crate::render::site::shell;
use crate::render::{About, plan_json, plan_text};
use hive_contract::Value;
use hive_state::Ending;
use std::path::PathBuf;

/// Applies a plan, or what is declared.
///
/// # Errors
/// It was refused, or could not be followed to its end.
pub async fn run(desk: &Desk, args: args::Apply) -> Result<Exit, Ended> {
    let here = &desk.outside.folder;
    let target = match &args.target {
        None => Target::Folder(here.clone()),
        Some(text) => target::target(here, text)?,
    };
    if let Target::Folder(folder) = target {
        return declared(desk, folder, &args).await;
    }
    if args.choosing.is_any() || args.trying.rehearse || args.trying.no_rehearse {
        return Err(Ended::usage(
            "`--only`, `--replace`, `--take-over` and `--rehearse` are for planning: a plan holds \
             its choice",
        ));
    }
    let folder = desk.folder(args.stack.as_deref())?;
    // Also a plan that cannot be read has hints that name the folder.
    desk.stands(&desk.at(folder.clone(), args.parallel));
    let (session, plan) = match target {
        Target::File(file) => {
            let plan = flow::read_plan(&file)?;
            (saved_session(desk, folder, &plan, &args).await?, plan)
        }
        Target::Digest(digest) => {
            let session = desk.open_store(folder, args.parallel).await?;
            let plan = session.saved_plan(&digest).await?;
            (session, plan)
        }
        Target::Folder(_) => return Err(Ended::usage("a folder is not a plan")),
    };
    saved(desk, &session, &plan, &args).await
}

/// The store that a plan is for: in its own environment, unless another one is named.
async fn saved_session(
    desk: &Desk,
    folder: PathBuf,
    plan: &Plan,
    args: &args::Apply,
) -> Result<Session, Ended> {
    let mut at = desk.at(folder, args.parallel);
    if desk.everywhere.environment.is_none() && desk.everywhere.instance.is_none() {
        let (environment, instance) = match plan.environment.split_once('+') {
            Some((environment, instance)) => (environment, Some(instance.to_owned())),
            None => (plan.environment.as_str(), None),
        };
        at.environment = environment.to_owned();
        at.instance = instance;
    }
    desk.stands(&at);
    Session::open_store(at).await.map_err(|error| match error {
        FlowError::NoStack(folder) if args.stack.is_none() => {
            let shown = args.target.as_deref().unwrap_or_default();
            let (stack, folder) = (&plan.stack, folder.display());
            let said = format!("the plan is of the stack `{stack}`, and `{folder}` has no stack");
            let command = format!("hive apply {} --stack FOLDER", shell(shown));
            let hint = format!("name the folder of `{stack}`: `{command}`");
            Ended::Said { exit: Exit::Failed, trouble: Trouble::new(said).hint(hint) }
        }
        other => other.into(),
    })
}

async fn saved(
    desk: &Desk,
    session: &Session,
    plan: &Plan,
    args: &args::Apply,
) -> Result<Exit, Ended> {
    let json = args.format == Format::Json;
    let about = About { now_ms: desk.now_ms(), site: desk.site(), ..About::default() };
    if json {
        desk.screen.result(&plan_json::summary(plan, &about));
    } else if !desk.everywhere.quiet {
        desk.screen.result(&plan_text::text(plan, &about, desk.screen.result_style()));
    }
    if plan.is_empty() && !plan.freezes {
        session.check_own(plan).await?;
        return Ok(Exit::Done);
    }
    confirm(desk, &running::question(plan), args.yes, json)?;
    let report = running::perform(desk, session, plan, None, json).await?;
    Ok(Exit::of_report(&report, Some(plan)))
}

/// Plans what is declared and runs that; an apply that was interrupted is settled first.
async fn declared(desk: &Desk, folder: PathBuf, args: &args::Apply) -> Result<Exit, Ended> {
    if args.stack.is_some() {
        return Err(Ended::usage("`--stack` goes with a plan: here the folder itself is named"));
    }
    let session = desk.open(folder, args.parallel).await?;
    let json = args.format == Format::Json;
    let how = How { yes: args.yes, json, output: None, save: false };
    let ask = choose(Ask::all(Want::Declared), &args.choosing);
    let ask = Ask { rehearse: rehearse(args.trying), ..ask };
    if let Some(exit) = settle_first(desk, &session, &how).await? {
        return Ok(exit);
    }
    match running::change(desk, &session, &ask, &how).await {
        // Somebody began an apply just now; what it has half done could not be planned over.
        Err(Ended::Flow(error)) if cannot_plan(&error) && session.open_plan().await?.is_some() => {
            match settle_first(desk, &session, &how).await? {
                Some(exit) => Ok(exit),
                None => running::change(desk, &session, &ask, &how).await,
            }
        }
        other => other,
    }
}

fn cannot_plan(error: &flow::FlowError) -> bool {
    matches!(error, flow::FlowError::Plan(_))
}

/// Settles an apply that was interrupted, where one is open and the environment is not protected.
/// Gives the exit code where that is the end of it.
pub async fn settle_first(
    desk: &Desk,
    session: &Session,
    how: &How,
) -> Result<Option<Exit>, Ended> {
    let Some(open) = session.open_plan().await? else { return Ok(None) };
    // What guards the apply says the rest: it is refused, because another one is open.
    if protected(session, &open) {
        return Ok(None);
    }
    // One that is under way is nobody's to settle: the lease says who holds it.
    if running::under_way(desk, session).await?.is_none() {
        confirm(desk, "An apply was interrupted. Go on with it first?", how.yes, how.json)?;
        desk.note("an apply was interrupted and is settled first");
    }
    let settled = running::settle(desk, session, Settle::On, how.json).await?;
    Ok(settled
        .filter(|it| !matches!(it.ending, Ending::Applied | Ending::RolledBack))
        .map(|it| Exit::of_report(&it, Some(&open))))
}

fn protected(session: &Session, open: &Plan) -> bool {
    let declared = session.declared.iter().map(|it| &it.guards);
    declared
        .chain([&open.guarded_by])
        .any(|guards| guards.get("protected").and_then(Value::as_bool) == Some(true))
}

/// A request with what was chosen.
pub fn choose(ask: Ask, choosing: &Choosing) -> Ask {
    let scope = match choosing.only.is_empty() {
        true => Scope::All,
        false => Scope::Only(choosing.only.iter().cloned().collect()),
    };
    Ask {
        scope,
        replace: choosing.replace.iter().cloned().collect(),
        take_over: choosing.take_over,
        ..ask
    }
}
