//! What became of a step whose end nobody saw.

use crate::book;
use crate::desk::Desk;
use crate::session::{READER, Session, called, end_all};
use crate::stepped::{self, Stepped};
use crate::trouble::{refused, state};
use crate::url::Url;
use crate::{Base, backup, perform, restore};
use hive_contract::{Context, Failure, Perform, Resolution};
use std::time::Duration;
use tokio::time::Instant;

pub(crate) async fn resolve(
    base: &Base,
    request: &Perform,
    context: &Context<'_>,
) -> Result<Resolution, Failure> {
    if backup::is_of(&request.identity) {
        return backup::resolve(base, request, context).await;
    }
    let of = perform::reached(request)?;
    let url = Url::of(&base.folder, of, context.secrets)?;
    let until = Instant::now() + Duration::from_millis(request.operation.deadline_ms);
    let desk = Desk { base, request, context, url: &url, of, until };
    if restore::knows(&request.operation.verb) {
        return restore::resolve(&desk).await;
    }
    in_book(&desk).await
}

/// Ends what is left of it at the server, looks its token up, and seals it where it is not known.
pub(crate) async fn in_book(desk: &Desk<'_>) -> Result<Resolution, Failure> {
    let request = desk.request;
    let asker = match Session::try_open(desk.url, READER).await? {
        Ok(session) => session,
        // Nothing is there in which it could have had an effect, or be sealed.
        Err(error) if state(&error) == "3D000" => {
            return Ok(Resolution::NotStarted { sealed: false });
        }
        Err(error) => return Err(refused(&desk.url.spot, "connect", &error)),
    };
    end_all(&asker, &called(&request.token)).await?;
    let known = match book::is_installed(&asker).await? {
        true => stepped::stepped(&asker, &request.token).await?,
        false => Stepped::Unknown,
    };
    if let Some(resolution) = told(desk, known) {
        return Ok(resolution);
    }
    stepped::void(&asker, &request.token, &request.operation.verb).await?;
    // Somebody may have been as quick: what counts is what stands there now.
    let known = stepped::stepped(&asker, &request.token).await?;
    Ok(told(desk, known).unwrap_or(Resolution::NotStarted { sealed: false }))
}

fn told(desk: &Desk<'_>, known: Stepped) -> Option<Resolution> {
    match known {
        Stepped::Unknown => None,
        Stepped::Done(outcome) => Some(Resolution::Done(*outcome)),
        Stepped::Void => Some(Resolution::NotStarted { sealed: true }),
        Stepped::Begun { applied, begun } => {
            let mut facts =
                format!("{}: {applied} statements are done", desk.request.operation.title);
            if begun > applied {
                facts.push_str(&format!(", the end of statement {begun} was not seen"));
            }
            Some(Resolution::Partly { facts })
        }
    }
}
