//! What is in the tables: counts and checksums that do not depend on the order of rows.

use crate::books;
use hive_sql::manifest::Table;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The content of one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// How many rows.
    pub(crate) rows: u64,
    /// The exclusive or over the rows' hashes.
    pub(crate) xor: u64,
    /// Their sum: pairs of equal rows cancel in the other.
    pub(crate) sum: u64,
    /// How large the values are together.
    pub(crate) bytes: u64,
}

/// Contents by table.
pub(crate) type Contents = BTreeMap<String, Content>;

/// Reads the content of every table but SQLite's and hive's own; those in `without` are left out.
///
/// # Errors
/// What SQLite says.
pub(crate) fn contents(
    connection: &Connection,
    without: &BTreeSet<String>,
) -> rusqlite::Result<Contents> {
    let mut contents = Contents::new();
    for table in tables(connection)? {
        if without.contains(&table.to_lowercase()) {
            continue;
        }
        let content = content(connection, &table)?;
        contents.insert(table, content);
    }
    Ok(contents)
}

/// The tables that hold rows. Those of a virtual table's module are the virtual table's.
fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM pragma_table_list \
               WHERE schema = 'main' AND type IN ('table', 'virtual') ORDER BY name";
    let mut statement = connection.prepare(sql)?;
    let names: Vec<String> =
        statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(names.into_iter().filter(|it| !it.starts_with("sqlite_") && !books::is_own(it)).collect())
}

fn content(connection: &Connection, table: &str) -> rusqlite::Result<Content> {
    let mut columns: Vec<String> = connection
        .prepare("SELECT name FROM pragma_table_xinfo(?1) WHERE hidden IN (0, 2, 3)")?
        .query_map([table], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    // The order of columns says nothing.
    columns.sort_by_key(|name| name.to_lowercase());
    let quoted: Vec<String> = columns.iter().map(|name| quote(name)).collect();
    let list = if quoted.is_empty() { "NULL".to_owned() } else { quoted.join(", ") };
    let mut statement = connection.prepare(&format!("SELECT {list} FROM {}", quote(table)))?;
    let mut rows = statement.query([])?;
    let mut content = Content::default();
    while let Some(row) = rows.next()? {
        let (hash, bytes) = hash(row, quoted.len().max(1))?;
        content.rows += 1;
        content.xor ^= hash;
        content.sum = content.sum.wrapping_add(hash);
        content.bytes += bytes;
    }
    Ok(content)
}

fn hash(row: &Row<'_>, columns: usize) -> rusqlite::Result<(u64, u64)> {
    let mut hash = Sha256::new();
    let mut bytes = 0;
    let mut add = |tag: u8, value: &[u8]| {
        hash.update([tag]);
        hash.update((value.len() as u64).to_be_bytes());
        hash.update(value);
        bytes += value.len() as u64;
    };
    for column in 0..columns {
        match row.get_ref(column)? {
            ValueRef::Null => add(0, &[]),
            ValueRef::Integer(number) => add(1, &number.to_be_bytes()),
            ValueRef::Real(number) => add(2, &number.to_bits().to_be_bytes()),
            ValueRef::Text(text) => add(3, text),
            ValueRef::Blob(blob) => add(4, blob),
        }
    }
    let digest = hash.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    Ok((u64::from_be_bytes(first), bytes))
}

/// A name in SQL.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Contents as a manifest holds them.
pub(crate) fn written(contents: &Contents) -> Vec<Table> {
    let table = |(name, content): (&String, &Content)| Table {
        name: name.clone(),
        rows: content.rows,
        xor: format!("{:016x}", content.xor),
        sum: format!("{:016x}", content.sum),
        bytes: content.bytes,
    };
    contents.iter().map(table).collect()
}

/// How two lists of tables differ, each a fragment: nothing where they are equal.
pub(crate) fn differences(expected: &[Table], found: &[Table]) -> Vec<String> {
    let by_name = |tables: &[Table]| -> BTreeMap<String, Table> {
        tables.iter().map(|it| (it.name.clone(), it.clone())).collect()
    };
    let (expected, found) = (by_name(expected), by_name(found));
    let all: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let differs = all.into_iter().filter_map(|name| match (expected.get(name), found.get(name)) {
        (Some(_), None) => Some(format!("table {name} is missing")),
        (None, Some(_)) => Some(format!("table {name} is one too many")),
        (Some(a), Some(b)) if a.rows != b.rows => {
            Some(format!("table {name} has {} rows, and should have {}", b.rows, a.rows))
        }
        (Some(a), Some(b)) if (&a.xor, &a.sum) != (&b.xor, &b.sum) => {
            Some(format!("table {name} has other rows than it should"))
        }
        _ => None,
    });
    differs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sql: &str) -> Contents {
        let connection = Connection::open_in_memory().expect("opens");
        connection.execute_batch(sql).expect("is SQL");
        contents(&connection, &BTreeSet::new()).expect("reads")
    }

    #[test]
    fn the_order_of_rows_and_columns_says_nothing() {
        let one = of("CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 'x'), (2, NULL), (2, NULL);");
        let other =
            of("CREATE TABLE t (b, a); INSERT INTO t VALUES (NULL, 2), (NULL, 2), ('x', 1);");
        assert_eq!(one, other);
        assert_eq!(one["t"].rows, 3);
    }

    #[test]
    fn every_other_value_is_seen() {
        let base = of("CREATE TABLE t (a); INSERT INTO t VALUES (1), (1);");
        for rows in [
            "(1), (2)",
            "(1), ('1')",
            "(1), (1.0)",
            "(1), (NULL)",
            "(1), (x'31')",
            "(2), (2)",
            "(1)",
        ] {
            let sql = format!("CREATE TABLE t (a); INSERT INTO t VALUES {rows};");
            assert_ne!(of(&sql), base, "{rows}");
        }
        let split = of("CREATE TABLE t (a, b); INSERT INTO t VALUES ('ab', 'c');");
        assert_ne!(split, of("CREATE TABLE t (a, b); INSERT INTO t VALUES ('a', 'bc');"));
    }

    #[test]
    fn differences_are_named() {
        let expected =
            written(&of("CREATE TABLE a (x); CREATE TABLE b (x); INSERT INTO b VALUES (1);"));
        let found =
            written(&of("CREATE TABLE b (x); INSERT INTO b VALUES (2); CREATE TABLE c (x);"));
        assert_eq!(
            differences(&expected, &found),
            [
                "table a is missing",
                "table b has other rows than it should",
                "table c is one too many"
            ]
        );
        assert!(differences(&expected, &expected).is_empty());
    }
}
