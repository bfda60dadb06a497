//! `hive show`: a plan that was saved.

use crate::cli::args;
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::cli::target::{self, Target};
use crate::flow;
use crate::render::About;

/// Shows a plan file, or a plan that was saved in the store.
///
/// # Errors
/// There is none, or it cannot be trusted.
pub async fn run(desk: &Desk, args: args::Show) -> Result<Exit, Ended> {
    let plan = match target::target(&desk.outside.folder, &args.plan)? {
        Target::File(file) => flow::read_plan(&file)?,
        Target::Digest(digest) => {
            let folder = desk.folder(args.folder.as_deref())?;
            desk.open_store(folder, None).await?.saved_plan(&digest).await?
        }
        Target::Folder(_) => {
            return Err(Ended::usage(format!("`{}` is a folder and not a plan", args.plan)));
        }
    };
    let about = About { now_ms: desk.now_ms(), site: desk.site(), ..About::default() };
    super::plan::show(desk, &plan, &about, args.format);
    Ok(Exit::Done)
}
