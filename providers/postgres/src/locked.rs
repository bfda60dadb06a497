//! Who holds what a look waits for.

use crate::session::{ASKING, Session};
use hive_contract::{Failure, FailureKind};
use std::time::Duration;

/// Locks on whole relations that let nobody look: held, or waited for in front of everybody else.
const LOCKS: &str = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), l.pid, \
      COALESCE(a.usename::text, a.backend_type), a.application_name, \
      pg_catalog.to_char(COALESCE(a.xact_start, a.backend_start) AT TIME ZONE 'UTC', \
        'YYYY-MM-DD HH24:MI:SS'), l.granted \
    FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation \
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
      LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
    WHERE l.mode = 'AccessExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid() \
      AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_toast' \
      AND l.database = (SELECT oid FROM pg_catalog.pg_database \
        WHERE datname = pg_catalog.current_database()) \
    ORDER BY l.granted DESC, a.xact_start, 1 LIMIT 5";

/// A look that was not given a lock within `given`: which table, who holds it, since when.
pub(crate) async fn failure(session: &Session, given: Duration) -> Failure {
    let spot = session.spot();
    let seconds = given.as_secs();
    let rows = session.rows("ask who holds the lock", LOCKS, ASKING).await.unwrap_or_default();
    let words: Vec<String> = rows
        .iter()
        .map(|row| {
            let part = |column| row.text(column).unwrap_or_default();
            let how = if part(5) == "t" { "is locked by" } else { "is waited for by" };
            format!(
                "table `{}` {how} pid {} (`{}` of {}, since {} UTC)",
                part(0),
                part(1),
                part(3),
                part(2),
                part(4)
            )
        })
        .collect();
    let who = match words.is_empty() {
        true => "whoever held it has just let it go".to_owned(),
        false => words.join(", "),
    };
    let what = format!("cannot read {spot}: a lock was not given in {seconds} s: {who}");
    Failure::new(FailureKind::Unavailable, what).retryable().diagnosis("try again once it is gone")
}
