//! What `observe` says of migrations, read again by the pure verbs.

use hive_contract::{Fields, Live, Value};
use hive_sql::history::Applied;
use hive_sql::lint::{Sizes, TableSize};
use hive_sql::list::{HALF, Material, drift_of, history_of};
use std::collections::BTreeMap;

/// The history as far as a live object tells it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Whole ones and the half one, by number.
    pub(crate) rows: Vec<Applied>,
    /// Object → what is other than the last migration left it.
    pub(crate) drift: BTreeMap<String, String>,
    pub(crate) sizes: Sizes,
}

/// The history as a live object's field: a line each.
pub(crate) fn history_value(rows: &[Applied]) -> Value {
    let whole = rows.iter().filter(|row| !row.is_half());
    Value::List(whole.map(|row| Value::text(format!("{} {}", row.name, row.checksum))).collect())
}

/// A file that did not end, as a live object's field.
pub(crate) fn half_value(rows: &[Applied]) -> Option<Value> {
    let row = rows.iter().find(|row| row.is_half())?;
    let statements = row.statements.iter().map(Value::text).collect();
    let mut half = Fields::from([
        ("name".to_owned(), Value::text(&row.name)),
        ("checksum".to_owned(), Value::text(&row.checksum)),
        ("applied".to_owned(), Value::Int(row.applied.into())),
        ("begun".to_owned(), Value::Int(row.begun.into())),
        ("total".to_owned(), Value::Int(row.total.into())),
        ("statements".to_owned(), Value::List(statements)),
    ]);
    if let Some(error) = &row.error {
        half.insert("error".to_owned(), Value::text(error));
    }
    Some(Value::Map(half))
}

/// How heavy the tables are, as a live object's output: no field, as it is never the same twice.
pub(crate) fn sizes_value(sizes: &Sizes) -> Value {
    let whole = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let tables = sizes
        .tables
        .iter()
        .map(|(name, size)| (name.clone(), Value::List(vec![whole(size.bytes), whole(size.rows)])));
    let mut fields = Fields::from([
        ("longest_ms".to_owned(), whole(sizes.longest_tx_ms)),
        ("tables".to_owned(), Value::Map(tables.collect())),
    ]);
    if let Some(locks) = sizes.max_locks {
        fields.insert("locks".to_owned(), whole(locks));
    }
    Value::Map(fields)
}

impl Seen {
    /// Reads a live object. `before` is the recorded list: where a row is of one of its files, its
    /// statements are known too.
    pub(crate) fn of(live: &Live, before: Option<&Material>) -> Self {
        let mut rows: Vec<Applied> =
            history_of(&live.fields).map(|(name, checksum)| row(name, checksum, before)).collect();
        rows.extend(live.fields.get(HALF).and_then(Value::as_map).map(half));
        rows.sort_by_key(Applied::number);
        let sizes = live.outputs.get("sizes").and_then(Value::as_map).map(sizes);
        Self { rows, drift: drift_of(&live.fields), sizes: sizes.unwrap_or_default() }
    }
}

fn row(name: &str, checksum: &str, before: Option<&Material>) -> Applied {
    let known = before.and_then(|it| it.migrations.find(name)).map(|(_, it)| it);
    let mut row = match known.filter(|it| it.up.checksum == checksum) {
        Some(migration) => Applied::of(migration),
        None => of_name(name, checksum),
    };
    row.finished_ms = Some(0);
    row
}

fn of_name(name: &str, checksum: &str) -> Applied {
    let version = name.split(|it: char| !it.is_ascii_digit()).next().unwrap_or_default();
    Applied {
        version: version.to_owned(),
        name: name.to_owned(),
        checksum: checksum.to_owned(),
        ..Applied::default()
    }
}

fn half(fields: &Fields) -> Applied {
    let text = |key: &str| fields.get(key).and_then(Value::as_text).unwrap_or_default();
    let number = |key: &str| {
        let said = fields.get(key).and_then(Value::as_int).unwrap_or_default();
        u32::try_from(said).unwrap_or_default()
    };
    let statements = fields.get("statements").and_then(Value::as_list).unwrap_or_default();
    Applied {
        statements: statements.iter().filter_map(Value::as_text).map(str::to_owned).collect(),
        applied: number("applied"),
        begun: number("begun"),
        total: number("total"),
        error: fields.get("error").and_then(Value::as_text).map(str::to_owned),
        ..of_name(text("name"), text("checksum"))
    }
}

fn sizes(fields: &Fields) -> Sizes {
    let whole = |value: Option<&Value>| {
        u64::try_from(value.and_then(Value::as_int).unwrap_or_default()).unwrap_or_default()
    };
    let tables = fields.get("tables").and_then(Value::as_map).into_iter().flatten();
    let tables = tables.map(|(name, size)| {
        let size = size.as_list().unwrap_or_default();
        (name.clone(), TableSize { bytes: whole(size.first()), rows: whole(size.get(1)) })
    });
    Sizes {
        tables: tables.collect(),
        longest_tx_ms: whole(fields.get("longest_ms")),
        max_locks: fields.get("locks").map(|it| whole(Some(it))),
        ..Sizes::default()
    }
}
