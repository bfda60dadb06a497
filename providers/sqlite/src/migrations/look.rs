//! What is applied of a list, as the database itself says.

use super::list_of;
use super::lower::fields;
use crate::held::Held;
use crate::look::{marked, unreadable};
use crate::site::Site;
use hive_contract::{Failure, Fields, Live, Observed, Status, Value};
use hive_sql::foreign::{Row, Tool, rows_value};
use hive_sql::history::Applied;
use hive_sql::list::{FOREIGN, HALF, HISTORY, NONE};
use hive_sql::migrations::chain;
use hive_sql::{Dialect, words};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// How many digits of each statement's hash stand behind name and checksum in [`HISTORY`].
pub(crate) const DIGITS: usize = 8;

/// One list, lean: for a step.
///
/// # Errors
/// It cannot be read.
pub(crate) fn look(
    held: &mut Held,
    site: &Site,
    identity: &str,
    baseline: Option<&Value>,
) -> Result<Observed, Failure> {
    let Some(marked) = marked(held, site, identity)? else {
        return unmarked(held, site, identity, baseline);
    };
    let bad = |error: rusqlite::Error| unreadable(site, &error);
    let rows = held.history(list_of(identity)).map_err(bad)?;
    let whole: Vec<&Applied> = rows.iter().filter(|row| !row.is_half()).collect();
    let head = whole.last().map_or(String::new(), |row| row.name.clone());
    let chain = chain(whole.iter().map(|row| (row.name.as_str(), row.checksum.as_str())));
    let count = whole.len();
    let half = rows.iter().find(|row| row.is_half()).cloned();
    let words = |(object, words): (&String, &String)| (object.clone(), Value::text(words));
    let drift: Fields = held.drift().map_err(bad)?.iter().map(words).collect();
    let schema = held.schema().map_err(bad)?.fingerprint();
    let status = status(count, &head, half.as_ref(), &drift);
    let mut fields = fields(&head, count, chain, drift);
    fields.extend(half.map(|row| (HALF.to_owned(), half_value(&row))));
    Ok(Observed::Present(Live {
        identity: identity.to_owned(),
        fields,
        outputs: BTreeMap::from([
            ("version".to_owned(), Value::Text(head)),
            ("schema".to_owned(), Value::Text(schema)),
        ]),
        mark: marked.mark,
        token: Some(marked.token),
        moved_by: BTreeMap::new(),
        ended: BTreeMap::new(),
        status,
    }))
}

/// The same with everything that a plan is made of.
///
/// # Errors
/// It cannot be read.
pub(crate) fn look_well(
    held: &mut Held,
    site: &Site,
    identity: &str,
    baseline: Option<&Value>,
) -> Result<Observed, Failure> {
    let observed = look(held, site, identity, baseline)?;
    let Observed::Present(mut live) = observed else { return Ok(observed) };
    let rows = held.history(list_of(identity)).map_err(|error| unreadable(site, &error))?;
    let rows = rows.iter().filter(|row| !row.is_half()).map(line);
    live.fields.insert(HISTORY.to_owned(), Value::List(rows.collect()));
    Ok(Observed::Present(live))
}

fn line(row: &Applied) -> Value {
    let hashes: Vec<&str> =
        row.statements.iter().map(|hash| hash.get(..DIGITS).unwrap_or(hash)).collect();
    Value::Text(format!("{} {} {}", row.name, row.checksum, hashes.join(",")))
}

fn half_value(row: &Applied) -> Value {
    let number = |number: u32| Value::Int(i64::from(number));
    let hashes = row.statements.iter().map(Value::text);
    let mut half = Fields::from([
        ("name".to_owned(), Value::text(&row.name)),
        ("version".to_owned(), Value::text(&row.version)),
        ("checksum".to_owned(), Value::text(&row.checksum)),
        ("applied".to_owned(), number(row.applied)),
        ("begun".to_owned(), number(row.begun)),
        ("total".to_owned(), number(row.total)),
        ("statements".to_owned(), Value::List(hashes.collect())),
    ]);
    half.extend(row.error.as_ref().map(|error| ("error".to_owned(), Value::text(error))));
    Value::Map(half)
}

fn status(count: usize, head: &str, half: Option<&Applied>, drift: &Fields) -> Status {
    let mut summary = match count {
        0 => "nothing applied".to_owned(),
        _ => format!("{} applied, newest {head}", words::count(count as u64, "migration")),
    };
    let mut details = drift
        .iter()
        .map(|(object, words)| format!("{object}: {}", words.as_text().unwrap_or_default()));
    let details = details.by_ref().collect();
    if let Some(half) = half {
        let (done, total) = (half.applied, half.total);
        summary.push_str(&format!(", {} half applied ({done} of {total})", half.name));
    }
    if !drift.is_empty() {
        let objects = words::count(drift.len() as u64, "object");
        summary.push_str(&format!(", {objects} changed by hand"));
    }
    Status { ready: half.is_none() && drift.is_empty(), summary, details }
}

/// A list that hive does not hold is absent, unless the stack says that something else has applied
/// it, and it has: then it is there and nobody's, for an adopt.
fn unmarked(
    held: &mut Held,
    site: &Site,
    identity: &str,
    baseline: Option<&Value>,
) -> Result<Observed, Failure> {
    let Some(declared) = baseline.and_then(Value::as_map) else { return Ok(Observed::Absent) };
    let bad = |error: rusqlite::Error| unreadable(site, &error);
    let tool = declared.get("tool").and_then(Value::as_text).unwrap_or_default();
    let rows = match Tool::parse(tool) {
        Some(tool) => foreign(&held.connection, tool).map_err(bad)?,
        None if tool == NONE && !held.schema().map_err(bad)?.is_empty() => Some(Vec::new()),
        None => None,
    };
    let Some(rows) = rows else { return Ok(Observed::Absent) };
    let mut fields = fields("", 0, String::new(), Fields::new());
    fields.insert(FOREIGN.to_owned(), rows_value(&rows));
    Ok(Observed::Present(Live {
        identity: identity.to_owned(),
        fields,
        outputs: BTreeMap::new(),
        mark: None,
        token: None,
        moved_by: BTreeMap::new(),
        ended: BTreeMap::new(),
        status: Status {
            ready: true,
            summary: format!("the history of {tool}, {}", words::count(rows.len() as u64, "row")),
            ..Status::default()
        },
    }))
}

/// The rows of another tool's history; none where it has none here.
///
/// # Errors
/// What SQLite says.
pub(crate) fn foreign(connection: &Connection, tool: Tool) -> rusqlite::Result<Option<Vec<Row>>> {
    let there = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    if !connection.prepare(there)?.exists([tool.table()])? {
        return Ok(None);
    }
    let mut statement = connection.prepare(tool.query(Dialect::Sqlite))?;
    let rows = statement.query_map([], |row| {
        let (version, dirty): (String, String) = (row.get(0)?, row.get(1)?);
        Ok(Row::of_texts(&version, &dirty))
    })?;
    rows.collect::<rusqlite::Result<_>>().map(Some)
}
