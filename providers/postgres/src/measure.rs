//! What a file costs whoever uses the tables that are there.

use crate::applying::run_script;
use crate::session::{ASKING, Session};
use crate::trouble::{refused, state};
use hive_contract::Failure;
use hive_sql::Script;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// The tables that were there before.
pub(crate) struct Watch {
    /// By their numbers: the name, and the file that holds the rows.
    tables: BTreeMap<i64, (String, i64)>,
}

const TABLES: &str = "SELECT c.oid::pg_catalog.int8, pg_catalog.format('%I.%I', n.nspname, c.relname), \
      pg_catalog.pg_relation_filenode(c.oid)::pg_catalog.int8 \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' \
      AND n.nspname NOT IN ('information_schema', 'hive')";

/// The locks of this session that keep writers, or everybody, away.
const HELD: &str = "SELECT DISTINCT relation::pg_catalog.int8 FROM pg_catalog.pg_locks \
    WHERE locktype = 'relation' AND granted AND pid = pg_catalog.pg_backend_pid() \
      AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')";

impl Watch {
    /// Looks at what is there.
    ///
    /// # Errors
    /// The server is gone.
    pub(crate) async fn begin(session: &Session) -> Result<Self, Failure> {
        Ok(Self { tables: tables(session).await? })
    }

    /// Runs a script; says how long it took, and how long it kept writers away from a table that
    /// was there before, both in milliseconds.
    ///
    /// # Errors
    /// A statement is refused.
    pub(crate) async fn run(
        &self,
        session: &Session,
        script: &Script,
        limit: Duration,
    ) -> Result<(u64, u64), Failure> {
        let begun = Instant::now();
        if !script.transactional {
            run_script(session, script, limit).await?;
            return Ok((since(begun), 0));
        }
        let doing = format!("try `{}`", script.file);
        session.run(&doing, "BEGIN").await?;
        let mut locked: Option<Instant> = None;
        for statement in &script.statements {
            let sent = Instant::now();
            if let Err(error) = session.try_rows(&doing, &statement.text, limit).await? {
                let at = format!("try {}:{}", script.file, statement.line);
                return Err(refused(session.spot(), &at, &error));
            }
            if locked.is_none() && self.holds(session).await? {
                locked = Some(sent);
            }
        }
        let end = "RESET ROLE; SET CONSTRAINTS ALL IMMEDIATE; COMMIT";
        session.rows(&doing, end, limit).await?;
        Ok((since(begun), locked.map_or(0, since)))
    }

    async fn holds(&self, session: &Session) -> Result<bool, Failure> {
        for row in session.rows("look at the locks", HELD, ASKING).await? {
            if self.tables.contains_key(&row.int(0)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The tables whose rows were all written anew.
    ///
    /// # Errors
    /// The server is gone.
    pub(crate) async fn rewritten(&self, session: &Session) -> Result<Vec<String>, Failure> {
        let now = tables(session).await?;
        let other = self
            .tables
            .iter()
            .filter(|(number, (_, file))| now.get(*number).is_some_and(|(_, is)| is != file));
        Ok(other.map(|(_, (name, _))| name.clone()).collect())
    }
}

async fn tables(session: &Session) -> Result<BTreeMap<i64, (String, i64)>, Failure> {
    let doing = "look at the tables";
    let rows = match session.try_rows(doing, TABLES, ASKING).await? {
        Ok(rows) => rows,
        // A table that went away while it was looked at.
        Err(error) if state(&error) == "42P01" => Vec::new(),
        Err(error) => return Err(refused(session.spot(), doing, &error)),
    };
    let mut tables = BTreeMap::new();
    for row in &rows {
        tables.insert(row.int(0)?, (row.said(1)?.to_owned(), row.int(2)?));
    }
    Ok(tables)
}

fn since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}
