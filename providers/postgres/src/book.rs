//! What hive keeps inside the database, in the schema `hive`: marks, history, the facts that the
//! last migration left, and the steps that had an effect.

use crate::delta::Delta;
use crate::locked;
use crate::quote;
use crate::schema::{self, Schema};
use crate::session::{Row, Session};
use crate::trouble::{malformed, refused, state};
use hive_contract::{Failure, Mark, StackMark, Token};
use hive_sql::facts::{Facts, drift};
use hive_sql::history::Applied;
use hive_sql::lint::{Sizes, TableSize};
use hive_sql::migrations::chain;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;
use tokio_postgres::Error;

/// The tables.
const TABLES: &str = include_str!("book.sql");
/// How heavy the tables are that have some weight, and what else a lint wants to know.
const SIZES: &str = "(SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), \
      pg_catalog.pg_total_relation_size(c.oid)::text, \
      GREATEST(c.reltuples, 0)::pg_catalog.int8::text \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'm') AND c.relpages > 64 AND n.nspname !~ '^pg_' \
      AND n.nspname NOT IN ('information_schema', 'hive') ORDER BY c.relpages DESC LIMIT 500) \
    UNION ALL SELECT ' longest', COALESCE((SELECT pg_catalog.max(EXTRACT(epoch FROM \
        pg_catalog.clock_timestamp() - a.xact_start) * 1000)::pg_catalog.int8 \
      FROM pg_catalog.pg_stat_activity a WHERE a.datname = pg_catalog.current_database() \
      AND a.pid <> pg_catalog.pg_backend_pid() AND a.backend_type = 'client backend'), 0)::text, '' \
    UNION ALL SELECT ' locks', (pg_catalog.current_setting('max_locks_per_transaction')::pg_catalog.int8 \
      * pg_catalog.current_setting('max_connections')::pg_catalog.int8)::text, ''";
/// How long whoever only looks waits for a lock.
const GIVEN: Duration = Duration::from_secs(3);
/// How long one statement of a look may take.
const LOOKING: Duration = Duration::from_secs(120);
/// How long reading a schema may take.
pub(crate) const READING: Duration = Duration::from_secs(300);

/// Everything that hive keeps, and the schema as it is, in one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    pub(crate) marks: Vec<MarkRow>,
    /// By number.
    pub(crate) history: Vec<Applied>,
    /// As the last migration left them.
    pub(crate) objects: Facts,
    /// As they are; empty where they were not asked for.
    pub(crate) schema: Schema,
    /// What follows from these.
    told: OnceLock<Told>,
}

/// What takes a walk over everything.
#[derive(Clone, Debug)]
struct Told {
    drift: BTreeMap<String, String>,
    chain: String,
}

/// One mark.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct MarkRow {
    pub(crate) identity: String,
    pub(crate) kind: String,
    store: Option<String>,
    stack: Option<String>,
    environment: Option<String>,
    address: Option<String>,
    token: String,
}

impl MarkRow {
    /// Whose it is; nobody's where it was forgotten.
    pub(crate) fn mark(&self) -> Option<Mark> {
        let owner = StackMark {
            store: self.store.clone()?,
            stack: self.stack.clone()?,
            environment: self.environment.clone()?,
        };
        Some(Mark { owner, address: self.address.as_ref()?.parse().ok()? })
    }

    /// The step that last changed what it marks.
    pub(crate) fn token(&self) -> Token {
        Token::from_text(&self.token)
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Want {
    /// Marks alone.
    Marks,
    /// History and schema too.
    Schema,
}

/// Marks as JSON, each with an `m` before it.
const MARKS: &str = "SELECT 'm', pg_catalog.row_to_json(m)::text FROM hive.marks m";
/// History and recorded facts too.
const ALL: &str = "SELECT 'm', pg_catalog.row_to_json(m)::text FROM hive.marks m \
    UNION ALL (SELECT 'h', pg_catalog.row_to_json(h)::text FROM hive.migrations h ORDER BY h.number) \
    UNION ALL SELECT o.object, o.definition FROM hive.objects o";

impl Book {
    /// Reads everything in one round trip, as it was in one moment. A database without hive's
    /// schema has an empty book.
    ///
    /// # Errors
    /// The server refuses, or is gone.
    pub(crate) async fn look(session: &Session, want: Want) -> Result<(Self, Sizes), Failure> {
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = '{}ms'; \
             SET LOCAL statement_timeout = '{}ms'; {}; {}",
            GIVEN.as_millis(),
            LOOKING.as_millis(),
            schema::PINNED,
            if want == Want::Schema { schema::FACTS } else { "" }
        );
        let doing = "read the schema and hive's own tables";
        // Sizes stand first: where hive's own tables are not there, the transaction is over.
        let first = format!("{begin}; {SIZES}");
        let first = if want == Want::Schema { &first } else { &begin };
        let [facts, rows, _] = session.three(doing, [first, sql(want), "COMMIT"], READING).await?;
        let locked = [facts.as_ref().err(), rows.as_ref().err()];
        if locked.into_iter().flatten().any(|error| state(error) == "55P03") {
            return Err(locked::failure(session, GIVEN).await);
        }
        let mut facts = facts.map_err(|error| refused(session.spot(), doing, &error))?;
        let mut book = Self::of_rows(session, rows)?;
        // A fact has four columns.
        let sizes = facts.iter().position(|row| row.text(3).is_none()).unwrap_or(facts.len());
        let sizes = as_sizes(&facts.split_off(sizes))?;
        book.schema = Schema::of_rows(&facts)?;
        Ok((book, sizes))
    }

    /// That of a database in which hive never was.
    pub(crate) fn without(schema: Schema) -> Self {
        Self { schema, ..Self::default() }
    }

    /// Reads inside the transaction that is open. hive's tables must be there.
    ///
    /// # Errors
    /// The server refuses, or is gone.
    pub(crate) async fn read(session: &Session, want: Want) -> Result<Self, Failure> {
        let doing = "read hive's own tables";
        let rows = session.rows(doing, sql(want), READING).await?;
        let mut book = Self::of_rows(session, Ok(rows))?;
        if want == Want::Schema {
            book.schema = Schema::read(session).await?;
        }
        Ok(book)
    }

    /// The same as [`Self::read`] of everything, of a book that this session has read or left
    /// before: only what was written since then is read.
    ///
    /// # Errors
    /// The server refuses, or is gone.
    pub(crate) async fn again(mut self, session: &Session) -> Result<Self, Failure> {
        let Some(since) = self.schema.horizon() else {
            return Self::read(session, Want::Schema).await;
        };
        if self.schema.is_quiet(session).await? {
            return Ok(self);
        }
        self.told = OnceLock::new();
        // First the catalogue: what it looks at next time begins here, for these tables too.
        self.schema.again(session).await?;
        let doing = "read what is new in hive's own tables";
        let rows = session.rows(doing, &since_sql(since), READING).await?;
        let (counts, rows): (Vec<Row>, Vec<Row>) =
            rows.into_iter().partition(|row| row.text(0) == Some("c"));
        let new = Self::of_rows(session, Ok(rows))?;
        self.marks = new.marks;
        for row in new.history {
            self.put_history(row);
        }
        self.objects.extend(new.objects);
        let count = |at: usize| counts.get(at).map_or(Ok(-1), |row| row.int(1));
        let same = |is: i64, known: usize| usize::try_from(is) == Ok(known);
        if !same(count(0)?, self.history.len()) || !same(count(1)?, self.objects.len()) {
            let rows = session.rows(doing, ALL, READING).await?;
            return Ok(Self { schema: self.schema, ..Self::of_rows(session, Ok(rows))? });
        }
        Ok(self)
    }

    /// Puts a row in its place, over the one of the same number.
    pub(crate) fn put_history(&mut self, row: Applied) {
        self.told = OnceLock::new();
        let number = row.number();
        match self.history.binary_search_by_key(&number, Applied::number) {
            Ok(at) => self.history[at] = row,
            Err(at) => self.history.insert(at, row),
        }
    }

    /// Takes a row away.
    pub(crate) fn drop_history(&mut self, number: u64) {
        self.told = OnceLock::new();
        self.history.retain(|it| it.number() != number);
    }

    /// Takes over what is other in what the last migration left.
    pub(crate) fn change_objects(&mut self, delta: &Delta<String, String>) {
        self.told = OnceLock::new();
        delta.change(&mut self.objects);
    }

    /// Reads what is new in the schema, and says what is other.
    ///
    /// # Errors
    /// The server refuses, or is gone.
    pub(crate) async fn schema_again(
        &mut self,
        session: &Session,
    ) -> Result<Delta<String, String>, Failure> {
        self.told = OnceLock::new();
        self.schema.again(session).await
    }

    fn told(&self) -> &Told {
        self.told.get_or_init(|| {
            let whole = self.history.iter().filter(|row| !row.is_half());
            Told {
                drift: drift(&self.objects, self.schema.facts()),
                chain: chain(whole.map(|row| (row.name.as_str(), row.checksum.as_str()))),
            }
        })
    }

    /// What is not as the last migration left it.
    pub(crate) fn drift(&self) -> &BTreeMap<String, String> {
        &self.told().drift
    }

    /// The running hash over what is applied as a whole.
    pub(crate) fn chain(&self) -> &str {
        &self.told().chain
    }

    fn of_rows(session: &Session, rows: Result<Vec<Row>, Error>) -> Result<Self, Failure> {
        let rows = match rows {
            Ok(rows) => rows,
            // No such schema or table: hive was never here.
            Err(error) if matches!(state(&error), "42P01" | "3F000") => return Ok(Self::default()),
            Err(error) => {
                return Err(refused(session.spot(), "read hive's own tables", &error));
            }
        };
        let wrong = |error: serde_json::Error| {
            malformed(format!("a row of hive's own tables makes no sense: {error}"))
        };
        let mut book = Self::default();
        for row in &rows {
            let text = row.said(1)?;
            match row.said(0)? {
                "m" => book.marks.push(serde_json::from_str(text).map_err(wrong)?),
                "h" => book.history.push(serde_json::from_str(text).map_err(wrong)?),
                object => drop(book.objects.insert(object.to_owned(), text.to_owned())),
            }
        }
        Ok(book)
    }

    /// The mark of one resource.
    pub(crate) fn mark(&self, identity: &str) -> Option<&MarkRow> {
        self.marks.iter().find(|it| it.identity == identity)
    }
}

fn sql(want: Want) -> &'static str {
    match want {
        Want::Marks => MARKS,
        Want::Schema => ALL,
    }
}

/// Marks, and what was written since a transaction, and how many rows there are.
fn since_sql(since: u32) -> String {
    let new = format!("pg_catalog.age('{since}'::pg_catalog.xid)");
    format!(
        "{MARKS} UNION ALL (SELECT 'h', pg_catalog.row_to_json(h)::text FROM hive.migrations h \
           WHERE pg_catalog.age(h.xmin) <= {new}) \
         UNION ALL SELECT o.object, o.definition FROM hive.objects o \
           WHERE pg_catalog.age(o.xmin) <= {new} \
         UNION ALL SELECT 'c', pg_catalog.count(*)::text FROM hive.migrations \
         UNION ALL SELECT 'c', pg_catalog.count(*)::text FROM hive.objects"
    )
}

fn as_sizes(rows: &[Row]) -> Result<Sizes, Failure> {
    let whole = |text: &str| text.parse::<i64>().ok().and_then(|it| u64::try_from(it).ok());
    let mut sizes = Sizes::default();
    for row in rows {
        let first = whole(row.said(1)?).unwrap_or_default();
        match row.said(0)? {
            " longest" => sizes.longest_tx_ms = first,
            " locks" => sizes.max_locks = Some(first),
            table => {
                let rows = whole(row.said(2)?).unwrap_or_default();
                sizes.tables.insert(table.to_owned(), TableSize { bytes: first, rows });
            }
        }
    }
    Ok(sizes)
}

/// Makes hive's tables where they are not there, in the transaction that is open.
///
/// # Errors
/// The role may not, or the server is gone.
pub(crate) async fn install(session: &Session) -> Result<(), Failure> {
    if is_installed(session).await? {
        return Ok(());
    }
    session.run("make hive's own tables", TABLES).await
}

/// Whether hive's tables are there.
///
/// # Errors
/// The server is gone.
pub(crate) async fn is_installed(session: &Session) -> Result<bool, Failure> {
    let sql = "SELECT pg_catalog.to_regclass('hive.steps') IS NOT NULL";
    session.row("look for hive's own tables", sql).await?.truth(0)
}

/// Sets a mark; `None` keeps the row as nobody's.
pub(crate) fn mark_sql(identity: &str, kind: &str, mark: Option<&Mark>, token: &Token) -> String {
    let part = |value: Option<&str>| quote::maybe(value);
    let address = mark.map(|it| it.address.to_string());
    format!(
        "INSERT INTO hive.marks (identity, kind, store, stack, environment, address, token) \
         VALUES ({}, {}, {}, {}, {}, {}, {}) ON CONFLICT (identity) DO UPDATE SET \
         store = EXCLUDED.store, stack = EXCLUDED.stack, environment = EXCLUDED.environment, \
         address = EXCLUDED.address, token = EXCLUDED.token, at = pg_catalog.now()",
        quote::text(identity),
        quote::text(kind),
        part(mark.map(|it| it.owner.store.as_str())),
        part(mark.map(|it| it.owner.stack.as_str())),
        part(mark.map(|it| it.owner.environment.as_str())),
        part(address.as_deref()),
        quote::text(token.as_str()),
    )
}

/// Takes a mark away.
pub(crate) fn unmark_sql(identity: &str) -> String {
    format!("DELETE FROM hive.marks WHERE identity = {}", quote::text(identity))
}

/// Writes the facts that a step leaves over those that were there.
pub(crate) fn objects_sql(delta: &Delta<String, String>) -> Vec<String> {
    let (gone, other) = (delta.gone(), delta.after());
    let other: Vec<(&String, &String)> = other.iter().collect();
    let mut sql = Vec::new();
    if !gone.is_empty() {
        sql.push(format!(
            "DELETE FROM hive.objects WHERE object = ANY ({})",
            quote::list(gone.iter().map(String::as_str))
        ));
    }
    for some in other.chunks(2_000) {
        sql.push(format!(
            "INSERT INTO hive.objects (object, definition) \
             SELECT * FROM ROWS FROM (pg_catalog.unnest({}), pg_catalog.unnest({})) \
             ON CONFLICT (object) DO UPDATE SET definition = EXCLUDED.definition",
            quote::list(some.iter().map(|it| it.0.as_str())),
            quote::list(some.iter().map(|it| it.1.as_str())),
        ));
    }
    sql
}

/// Writes one row of the history.
pub(crate) fn history_sql(row: &Applied) -> String {
    let number = |value: Option<i64>| value.map_or("NULL".to_owned(), |it| it.to_string());
    format!(
        "INSERT INTO hive.migrations VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, \
         {}, {}, {}, {}, {}, {}, {}) ON CONFLICT (number) DO UPDATE SET applied = EXCLUDED.applied, \
         begun = EXCLUDED.begun, total = EXCLUDED.total, checksum = EXCLUDED.checksum, \
         raw_checksum = EXCLUDED.raw_checksum, statements = EXCLUDED.statements, \
         finished_ms = EXCLUDED.finished_ms, error = EXCLUDED.error, \
         error_statement = EXCLUDED.error_statement, apply = EXCLUDED.apply, \
         token = EXCLUDED.token, after = EXCLUDED.after",
        row.number(),
        quote::text(&row.version),
        quote::text(&row.name),
        quote::text(&row.checksum),
        quote::text(&row.raw_checksum),
        quote::list(row.statements.iter().map(String::as_str)),
        row.applied,
        row.begun,
        row.total,
        row.started_ms,
        number(row.finished_ms),
        quote::maybe(row.error.as_deref()),
        number(row.error_statement.map(i64::from)),
        row.baseline,
        quote::text(&row.hive),
        quote::text(&row.apply),
        quote::text(&row.token),
        quote::text(&row.before),
        quote::text(&row.after),
        quote::maybe(row.backup.as_deref()),
    )
}

/// Takes one row of the history away.
pub(crate) fn unhistory_sql(number: u64) -> String {
    format!("DELETE FROM hive.migrations WHERE number = {number}")
}
