//! What a file costs whoever uses the tables that are there.

use crate::script::{commit_script, run_script};
use crate::session::{ASKING, Session};
use crate::trouble::{refused, state};
use hive_contract::Failure;
use hive_sql::Script;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// The tables that are there.
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
        Ok(Self { tables: tables(session, None).await? })
    }

    /// Runs a script and measures it.
    ///
    /// # Errors
    /// A statement is refused.
    pub(crate) async fn run(
        &self,
        session: &Session,
        script: &Script,
        limit: Duration,
    ) -> Result<Measured, Failure> {
        let begun = Instant::now();
        if !script.transactional {
            let written = run_script(session, script, limit).await?;
            return Ok(Measured { took_ms: since(begun), locked_ms: 0, written });
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
        let written = Some(commit_script(session, &doing, limit).await?);
        Ok(Measured { took_ms: since(begun), locked_ms: locked.map_or(0, since), written })
    }

    async fn holds(&self, session: &Session) -> Result<bool, Failure> {
        for row in session.rows("look at the locks", HELD, ASKING).await? {
            if self.tables.contains_key(&row.int(0)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Looks again at the tables that a script has written to, at all where they are not known.
    /// Gives those that were there before and whose rows were all written anew.
    ///
    /// # Errors
    /// The server is gone.
    pub(crate) async fn rewritten(
        &mut self,
        session: &Session,
        written: Option<&[i64]>,
    ) -> Result<Vec<String>, Failure> {
        let now = tables(session, written).await?;
        let before: BTreeMap<i64, (String, i64)> = match written {
            None => std::mem::take(&mut self.tables),
            Some(some) => some.iter().filter_map(|it| self.tables.remove_entry(it)).collect(),
        };
        let other = before
            .iter()
            .filter(|(number, (_, file))| now.get(*number).is_some_and(|(_, is)| is != file))
            .map(|(_, (name, _))| name.clone())
            .collect();
        self.tables.extend(now);
        Ok(other)
    }
}

/// What a script costs.
pub(crate) struct Measured {
    /// How long it took, in milliseconds.
    pub(crate) took_ms: u64,
    /// How long it kept writers away from a table that was there before.
    pub(crate) locked_ms: u64,
    /// The tables that it may have written to, by their numbers; none where that is not known.
    pub(crate) written: Option<Vec<i64>>,
}

async fn tables(
    session: &Session,
    some: Option<&[i64]>,
) -> Result<BTreeMap<i64, (String, i64)>, Failure> {
    let doing = "look at the tables";
    let only = some.map(|it| format!(" AND c.oid = ANY ({})", numbers(it))).unwrap_or_default();
    let rows = match session.try_rows(doing, &format!("{TABLES}{only}"), ASKING).await? {
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

/// Numbers of tables as an array.
pub(crate) fn numbers(all: &[i64]) -> String {
    let all: Vec<String> = all.iter().map(i64::to_string).collect();
    format!("'{{{}}}'::pg_catalog.oid[]", all.join(","))
}

fn since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}
