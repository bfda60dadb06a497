//! A script on a scratch database, and where in its file one is refused.

use crate::session::Session;
use crate::trouble::{position, refused};
use hive_contract::Failure;
use hive_sql::{Script, Statement};
use std::time::Duration;
use tokio_postgres::Error;

/// Runs a script on a scratch database, statement by statement, each alone where the file says so.
/// Gives the tables that it may have written to, by their numbers; none where that is not known.
///
/// # Errors
/// The server refuses one.
pub(crate) async fn run_script(
    session: &Session,
    script: &Script,
    limit: Duration,
) -> Result<Option<Vec<i64>>, Failure> {
    let doing = format!("try `{}`", script.file);
    if script.transactional {
        session.run(&doing, "BEGIN").await?;
    }
    for statement in &script.statements {
        let failed = match session.try_rows(&doing, &statement.text, limit).await? {
            Ok(_) => continue,
            Err(error) => error,
        };
        let doing = format!("try {}:{}", script.file, line_of(statement, &failed));
        return Err(refused(session.spot(), &doing, &failed));
    }
    match script.transactional {
        true => commit_script(session, &doing, limit).await.map(Some),
        false => Ok(None),
    }
}

/// The line of the file that a refusal is about.
pub(crate) fn line_of(statement: &Statement, error: &Error) -> u32 {
    let before = position(error).map_or(0, |it| usize::try_from(it).unwrap_or(0).saturating_sub(1));
    let lines = statement.text.chars().take(before).filter(|it| *it == '\n').count();
    statement.line + u32::try_from(lines).unwrap_or_default()
}

/// Ends a script's transaction. Whoever writes to a table holds a lock on it until then.
///
/// # Errors
/// The server refuses it.
pub(crate) async fn commit_script(
    session: &Session,
    doing: &str,
    limit: Duration,
) -> Result<Vec<i64>, Failure> {
    session.rows(doing, "RESET ROLE; SET CONSTRAINTS ALL IMMEDIATE", limit).await?;
    let rows = session.rows(doing, WRITTEN, limit).await?;
    session.rows(doing, "COMMIT", limit).await?;
    rows.iter().map(|row| row.int(0)).collect()
}

/// The tables that this transaction may have written to.
const WRITTEN: &str = "SELECT DISTINCT relation::pg_catalog.int8 FROM pg_catalog.pg_locks \
    WHERE locktype = 'relation' AND granted AND pid = pg_catalog.pg_backend_pid() \
      AND mode NOT IN ('AccessShareLock', 'RowShareLock')";
