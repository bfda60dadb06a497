//! The tokens of steps inside the database: which had an effect, and which may never have one.

use crate::book;
use crate::quote;
use crate::session::{ASKING, Session};
use crate::trouble::malformed;
use hive_contract::{Failure, Outcome, Token};

/// What is known of a step's token.
#[derive(Clone, Debug)]
pub(crate) enum Stepped {
    /// Nothing.
    Unknown,
    /// It is under way: so many statements are done, and so many were sent.
    Begun {
        /// Known to be done.
        applied: u32,
        /// Sent.
        begun: u32,
    },
    /// It is done, and left this.
    Done(Box<Outcome>),
    /// It may never have an effect.
    Void,
}

/// Looks a token up. hive's tables must be there.
///
/// # Errors
/// The server is gone, or the row makes no sense.
pub(crate) async fn stepped(session: &Session, token: &Token) -> Result<Stepped, Failure> {
    let sql = format!(
        "SELECT state, applied, begun, outcome FROM hive.steps WHERE token = {}",
        quote::text(token.as_str())
    );
    let rows = session.rows("look a step up", &sql, ASKING).await?;
    let Some(row) = rows.first() else { return Ok(Stepped::Unknown) };
    let number = |column| row.int(column).map(|it| u32::try_from(it).unwrap_or_default());
    Ok(match row.said(0)? {
        "begun" => Stepped::Begun { applied: number(1)?, begun: number(2)? },
        "done" => {
            let outcome = serde_json::from_str(row.said(3)?);
            let wrong = |error| malformed(format!("a step's outcome makes no sense: {error}"));
            Stepped::Done(Box::new(outcome.map_err(wrong)?))
        }
        _ => Stepped::Void,
    })
}

/// Says in the transaction that is open that a step has its effect with it.
pub(crate) fn done_sql(token: &Token, verb: &str, outcome: &Outcome) -> String {
    let outcome = serde_json::to_string(outcome).unwrap_or_default();
    format!(
        "INSERT INTO hive.steps (token, verb, state, outcome) VALUES ({}, {}, 'done', {outcome}) \
         ON CONFLICT (token) DO UPDATE SET state = 'done', outcome = EXCLUDED.outcome \
         WHERE hive.steps.state = 'begun'",
        quote::text(token.as_str()),
        quote::text(verb),
        outcome = quote::text(&outcome),
    )
}

/// Says that a step has begun and goes on over several transactions.
pub(crate) fn begun_sql(token: &Token, verb: &str) -> String {
    format!(
        "INSERT INTO hive.steps (token, verb, state) VALUES ({}, {}, 'begun')",
        quote::text(token.as_str()),
        quote::text(verb)
    )
}

/// Says how far such a step is.
pub(crate) fn progress_sql(token: &Token, applied: u32, begun: u32) -> String {
    format!(
        "UPDATE hive.steps SET applied = {applied}, begun = {begun} WHERE token = {}",
        quote::text(token.as_str())
    )
}

/// Makes a token unusable, and says whether it was still unknown.
///
/// # Errors
/// The role may not, or the server is gone.
pub(crate) async fn void(session: &Session, token: &Token, verb: &str) -> Result<bool, Failure> {
    let doing = "seal a step that had no effect";
    session.run(doing, "BEGIN").await?;
    book::install(session).await?;
    let sql = format!(
        "INSERT INTO hive.steps (token, verb, state) VALUES ({}, {}, 'void') \
         ON CONFLICT (token) DO NOTHING RETURNING token",
        quote::text(token.as_str()),
        quote::text(verb)
    );
    let rows = session.rows(doing, &sql, ASKING).await?;
    session.run(doing, "COMMIT").await?;
    Ok(!rows.is_empty())
}
