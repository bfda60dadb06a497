//! `hive plan`: what would happen, and why.

use super::apply::choose;
use crate::cli::args::{self, PlanFormat};
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::cli::running;
use crate::flow::{Ask, Rehearse, Want};
use crate::plan::Plan;
use crate::render::{About, plan_html, plan_json, plan_markdown, plan_text};

/// Makes a plan, shows it, and keeps it where that is asked.
///
/// # Errors
/// There is no plan, or it cannot be written.
pub async fn run(desk: &Desk, args: args::Plan) -> Result<Exit, Ended> {
    let folder = desk.folder(args.folder.as_deref())?;
    let (session, ask) = match args.destroy {
        true => (desk.open_store(folder, args.parallel).await?, Ask::all(Want::Nothing)),
        false => (desk.open(folder, args.parallel).await?, Ask::all(Want::Declared)),
    };
    let ask = Ask { rehearse: rehearse(args.trying), ..choose(ask, &args.choosing) };
    let planned = running::plan(desk, &session, &ask, false).await?;
    let saved = match args.output.is_some() || args.save {
        true => {
            let output = args.output.as_deref();
            Some(running::keep(desk, &session, &planned.plan, output, args.save).await?)
        }
        false => None,
    };
    let about = running::about(desk, &session, &planned, saved).await?;
    show(desk, &planned.plan, &about, args.format);
    match args.exit_code && !planned.plan.is_empty() {
        true => Ok(Exit::Changes),
        false => Ok(Exit::Done),
    }
}

/// Whether changes are tried, as the arguments say.
pub fn rehearse(trying: args::Trying) -> Rehearse {
    match (trying.rehearse, trying.no_rehearse) {
        (true, _) => Rehearse::Always,
        (_, true) => Rehearse::Never,
        _ => Rehearse::Usual,
    }
}

/// Prints a plan.
pub fn show(desk: &Desk, plan: &Plan, about: &About, format: PlanFormat) {
    let text = match format {
        PlanFormat::Text => plan_text::text(plan, about, desk.screen.result_style()),
        PlanFormat::Markdown => plan_markdown::markdown(plan, about),
        PlanFormat::Json => plan_json::json(plan, about),
        PlanFormat::Html => plan_html::html(plan, about),
    };
    desk.screen.result(&text);
}
