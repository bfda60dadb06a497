//! `hive explain ADDRESS`: why a resource is touched or not, and what it waits for.

use crate::cli::args::{self, Format};
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::flow::{Ask, Want};
use crate::plan::Untouched;
use crate::render::explain;

/// Plans, and says of one resource why.
///
/// # Errors
/// There is no such resource, or no plan.
pub async fn run(desk: &Desk, args: args::Explain) -> Result<Exit, Ended> {
    let folder = desk.folder(args.folder.as_deref())?;
    let session = desk.open(folder, None).await?;
    let ask = Ask { explain: Some(args.address.clone()), ..Ask::all(Want::Declared) };
    let planned = session.plan(&ask).await?;
    let Some(explanation) = &planned.explanation else {
        return Err(Ended::usage(format!("there is nothing to say of `{}`", args.address)));
    };
    let text = match args.format {
        Format::Text => explain::text(explanation, &planned.plan, desk.screen.result_style()),
        Format::Json => explain::json(explanation),
    };
    desk.screen.result(&text);
    match explanation.untouched {
        Some(Untouched::Unknown) => Ok(Exit::Failed),
        _ => Ok(Exit::Done),
    }
}
