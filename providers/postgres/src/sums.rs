//! Rows and checksums of every table, whatever the order of rows and columns.

use crate::delta::Delta;
use crate::measure::numbers;
use crate::session::{Row, Session};
use crate::trouble::{refused, state};
use hive_contract::Failure;
use hive_sql::manifest::Table as Sum;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long one question about rows may take.
const COUNTING: Duration = Duration::from_secs(6 * 3600);
/// How many tables are asked about at once.
const AT_ONCE: usize = 40;

/// What makes a value's text the same everywhere, for the rest of the transaction.
pub(crate) const PINNED: &str = "SET LOCAL search_path = ''; SET LOCAL DateStyle = 'ISO, YMD'; \
    SET LOCAL TimeZone = 'UTC'; SET LOCAL IntervalStyle = 'postgres'; \
    SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'";

/// Every table that holds rows of its own, hive's and those of extensions aside. Columns are taken
/// in the order of their names: one that was dropped and made again stands at the end.
fn tables_sql(some: Option<&[i64]>) -> String {
    let only = some.map(|it| format!("AND c.oid = ANY ({})", numbers(it))).unwrap_or_default();
    format!(
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), \
          pg_catalog.string_agg(pg_catalog.format('t.%I', a.attname), ', ' ORDER BY a.attname COLLATE \"C\"), \
          pg_catalog.pg_total_relation_size(c.oid), c.oid \
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
        WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'hive') \
          {only} AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.deptype = 'e' \
            AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid) \
        GROUP BY c.oid, n.nspname, c.relname ORDER BY 1"
    )
}

struct Table {
    number: i64,
    name: String,
    columns: String,
    bytes: u64,
}

/// Reads all rows inside the transaction that is open on this session.
///
/// # Errors
/// The server refuses, or is gone.
pub(crate) async fn all(session: &Session) -> Result<Vec<Sum>, Failure> {
    Ok(of(session, None).await?.into_iter().map(|(_, sum)| sum).collect())
}

/// The rows of each table by its number, as they were at the last look.
#[derive(Default)]
pub(crate) struct Rows(BTreeMap<i64, Sum>);

impl Rows {
    /// Looks again at the tables that may have been written to, at all where they are not known;
    /// inside the transaction that is open. Says what is other.
    ///
    /// # Errors
    /// The server refuses, or is gone.
    pub(crate) async fn again(
        &mut self,
        session: &Session,
        written: Option<&[i64]>,
    ) -> Result<Delta<i64, Sum>, Failure> {
        if written.is_some_and(<[i64]>::is_empty) {
            return Ok(Delta::default());
        }
        let now: BTreeMap<i64, Sum> = of(session, written).await?.into_iter().collect();
        let before = match written {
            None => std::mem::take(&mut self.0),
            Some(some) => some.iter().filter_map(|it| self.0.remove_entry(it)).collect(),
        };
        let delta = Delta::between(&before, &now);
        self.0.extend(now);
        Ok(delta)
    }
}

async fn of(session: &Session, some: Option<&[i64]>) -> Result<Vec<(i64, Sum)>, Failure> {
    let doing = "count rows";
    session.run(doing, PINNED).await?;
    let mut tables = Vec::new();
    for row in session.rows(doing, &tables_sql(some), COUNTING).await? {
        tables.push(Table {
            name: row.said(0)?.to_owned(),
            columns: row.text(1).unwrap_or_default().to_owned(),
            bytes: u64::try_from(row.int(2)?).unwrap_or_default(),
            number: row.int(3)?,
        });
    }
    let mut sums = Vec::with_capacity(tables.len());
    for some in tables.chunks(AT_ONCE) {
        if let Some(rows) = try_hash(session, some, hashed).await? {
            take(&mut sums, some, &rows)?;
            continue;
        }
        for one in some.chunks(1) {
            let rows = match try_hash(session, one, hashed).await? {
                Some(rows) => rows,
                None => session.rows(doing, &sql(one, as_text), COUNTING).await?,
            };
            take(&mut sums, one, &rows)?;
        }
    }
    Ok(sums)
}

/// None where a column has a type without a hash of its own, as `json` has.
async fn try_hash(
    session: &Session,
    tables: &[Table],
    hash: fn(&Table) -> String,
) -> Result<Option<Vec<Row>>, Failure> {
    let doing = "count rows";
    session.run(doing, "SAVEPOINT hive_sums").await?;
    match session.try_rows(doing, &sql(tables, hash), COUNTING).await? {
        Ok(rows) => {
            session.run(doing, "RELEASE SAVEPOINT hive_sums").await?;
            Ok(Some(rows))
        }
        Err(error) if state(&error) == "42883" => {
            session.run(doing, "ROLLBACK TO SAVEPOINT hive_sums").await?;
            Ok(None)
        }
        Err(error) => Err(refused(session.spot(), doing, &error)),
    }
}

fn sql(tables: &[Table], hash: fn(&Table) -> String) -> String {
    let one = |(at, table): (usize, &Table)| {
        format!(
            "SELECT {at}, pg_catalog.count(*), COALESCE(pg_catalog.bit_xor(h), 0), \
             COALESCE(pg_catalog.sum(h::pg_catalog.numeric), 0) \
             FROM (SELECT {} AS h FROM ONLY {} t) hashes",
            hash(table),
            table.name
        )
    };
    tables.iter().enumerate().map(one).collect::<Vec<_>>().join(" UNION ALL ")
}

fn hashed(table: &Table) -> String {
    format!("pg_catalog.hash_record_extended(ROW({}), 0)", table.columns)
}

fn as_text(table: &Table) -> String {
    format!("pg_catalog.hashtextextended(ROW({})::text, 0)", table.columns)
}

fn take(sums: &mut Vec<(i64, Sum)>, tables: &[Table], rows: &[Row]) -> Result<(), Failure> {
    for row in rows {
        let at = usize::try_from(row.int(0)?).unwrap_or(usize::MAX);
        let Some(table) = tables.get(at) else { continue };
        let sum = Sum {
            name: table.name.clone(),
            rows: u64::try_from(row.int(1)?).unwrap_or_default(),
            xor: row.said(2)?.to_owned(),
            sum: row.said(3)?.to_owned(),
            bytes: table.bytes,
        };
        sums.push((table.number, sum));
    }
    Ok(())
}
