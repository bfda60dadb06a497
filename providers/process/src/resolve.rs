//! What became of a step whose end nobody saw.

use crate::Process;
use crate::claims::Claim;
use crate::perform::ground;
use crate::scan::Scan;
use crate::steps::verb;
use crate::view::View;
use hive_contract::{Context, Failure, Outcome, Perform, Resolution};

/// Looks a begun step up. Before it says that nothing was started, it makes the token void.
///
/// # Errors
/// The service or the claims cannot be read or written now.
pub(crate) fn resolve(
    process: &Process,
    request: &Perform,
    context: &Context<'_>,
) -> Result<Resolution, Failure> {
    let scan = Scan::read()?;
    let view = View::load(&process.layout, &request.identity, &scan)?;
    let partly = |facts: String| Ok(Resolution::Partly { facts });
    let recorded = view.record.as_ref().is_some_and(|it| it.token == request.token);
    if process.claims().held(&request.token)?.is_none() && !recorded {
        // Also where the claims are lost: processes carry their token themselves.
        if scan.carries(&request.token) {
            return partly("processes of this step run, its claim is lost".to_owned());
        }
        ground(process, context)?;
        if process.claims().void(&request.token)? == Claim::Void {
            return Ok(Resolution::NotStarted { sealed: true });
        }
    }
    if process.claims().held(&request.token)? == Some(Claim::Void) {
        return Ok(Resolution::NotStarted { sealed: true });
    }
    let Some(live) = view.live() else {
        return match request.operation.verb.as_str() {
            verb::STOP if !view.folder.exists() => Ok(Resolution::Done(Outcome::nothing())),
            _ => partly("its token is claimed, and nothing of it is there".to_owned()),
        };
    };
    let record = view.record.as_ref();
    match record.filter(|record| record.token == request.token) {
        Some(record) if record.settled => Ok(Resolution::Done(Outcome::live(live))),
        Some(_) => partly(live.status.summary),
        // Claimed, and died before the first effect; or another step came after it.
        None if request.check_expected(Some(&live.fields)).is_ok() => {
            partly("its token is claimed, and the service is as before".to_owned())
        }
        None => Ok(Resolution::Foreign { found: live.status.summary }),
    }
}
