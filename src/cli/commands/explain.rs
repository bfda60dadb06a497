//! `hive explain ADDRESS`: why a resource is touched or not, and what it waits for.

use crate::cli::args::{self, Format};
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::flow::{Ask, Session, Want};
use crate::plan::Untouched;
use crate::render::error::Trouble;
use crate::render::explain;
use crate::stack::nearest;
use hive_contract::Address;

/// Plans, and says of one resource why.
///
/// # Errors
/// There is no such resource, or no plan.
pub async fn run(desk: &Desk, args: args::Explain) -> Result<Exit, Ended> {
    let folder = desk.folder(args.folder.as_deref())?;
    let session = desk.open(folder, None).await?;
    let ask = Ask { explain: Some(args.address.clone()), ..Ask::all(Want::Declared) };
    let planned = session.plan(&ask, &|_| {}).await?;
    let Some(explanation) = &planned.explanation else {
        return Err(Ended::usage(format!("there is nothing to say of `{}`", args.address)));
    };
    if explanation.untouched == Some(Untouched::Unknown) {
        return Err(Ended::Said { exit: Exit::Failed, trouble: unknown(&args.address, &session) });
    }
    let text = match args.format {
        Format::Text => explain::text(explanation, &planned.plan, desk.screen.result_style()),
        Format::Json => explain::json(explanation),
    };
    desk.screen.result(&text);
    Ok(Exit::Done)
}

/// An address that nothing has, and the one that may be meant.
fn unknown(address: &Address, session: &Session) -> Trouble {
    let message = format!("there is no `{address}`: it is neither declared nor recorded");
    let declared = session.declared.iter().flat_map(|it| it.declared.keys());
    let near = nearest(&address.to_string(), declared.map(ToString::to_string));
    let near = near.or_else(|| {
        // Another kind of the same name.
        let mut all = session.declared.iter().flat_map(|it| it.declared.keys());
        all.find(|it| it.name() == address.name()).map(ToString::to_string)
    });
    Trouble::new(message).hint(match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`hive plan` and `hive status` list what there is".to_owned(),
    })
}
