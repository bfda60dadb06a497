//! Rows of the history in a payload, of files that are not run.

use super::making::ROWS;
use crate::Migration;
use crate::history::Applied;
use hive_contract::{Fields, Value};

/// What a history keeps of a file.
pub fn row_value(migration: &Migration) -> Value {
    let row = Applied::of(migration);
    let hashes = row.statements.iter().map(Value::text);
    Value::Map(Fields::from([
        ("version".to_owned(), Value::text(&row.version)),
        ("name".to_owned(), Value::text(&row.name)),
        ("checksum".to_owned(), Value::text(&row.checksum)),
        ("raw_checksum".to_owned(), Value::text(&row.raw_checksum)),
        ("statements".to_owned(), Value::List(hashes.collect())),
    ]))
}

/// The rows of a payload, each as one that was taken over; none where one makes no sense.
pub fn rows_of(payload: &Fields) -> Option<Vec<Applied>> {
    let rows = payload.get(ROWS).and_then(Value::as_list).unwrap_or_default();
    rows.iter().map(row_of).collect()
}

/// [`row_value`] read again.
fn row_of(value: &Value) -> Option<Applied> {
    let fields = value.as_map()?;
    let text = |key: &str| fields.get(key).and_then(Value::as_text).map(str::to_owned);
    let statements = fields.get("statements")?.as_list()?.iter();
    let statements: Vec<String> =
        statements.filter_map(Value::as_text).map(str::to_owned).collect();
    let total = u32::try_from(statements.len()).unwrap_or(u32::MAX);
    Some(Applied {
        version: text("version")?,
        name: text("name")?,
        checksum: text("checksum")?,
        raw_checksum: text("raw_checksum")?,
        statements,
        applied: total,
        begun: total,
        total,
        baseline: true,
        ..Applied::default()
    })
}
