//! `hive recover`: settles an interrupted apply.

use crate::apply::Settle;
use crate::cli::args::{self, Format};
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::cli::running;
use crate::render::plan_json;
use hive_state::{Ending, LeaseTerms, Patience};

/// Goes on with an interrupted apply, goes back, or closes it.
///
/// # Errors
/// It cannot be settled, or somebody else holds the lease.
pub async fn run(desk: &Desk, args: args::Recover) -> Result<Exit, Ended> {
    let folder = desk.folder(args.folder.as_deref())?;
    let mut session = desk.open_store(folder, None).await?;
    if args.wait {
        let terms = session.ledger.terms();
        let patience = Patience::UpTo(terms.duration_ms);
        session.ledger = session.ledger.with_terms(LeaseTerms { patience, ..terms });
    }
    let settle = match (args.back, args.close) {
        (true, _) => Settle::Back,
        (_, true) => Settle::Close,
        _ => Settle::On,
    };
    let json = args.format == Format::Json;
    let open = session.open_plan().await?;
    let Some(report) = running::settle(desk, &session, settle, json).await? else {
        match json {
            true => desk.screen.result(&plan_json::nothing("nothing is open")),
            false => desk.screen.result("nothing is open\n"),
        }
        return Ok(Exit::Done);
    };
    // What was asked for is no failure.
    Ok(match (settle, report.ending) {
        (Settle::Back, Ending::RolledBack) if report.unfinished.is_empty() => Exit::Done,
        (Settle::Close, Ending::ClosedByHand) => Exit::Done,
        _ => Exit::of_report(&report, open.as_ref()),
    })
}
