//! What is in a database's book, as live objects.

use crate::book::{Book, MarkRow};
use crate::url::Spot;
use crate::{ENGINE, MIGRATIONS, foreign, seen};
use hive_contract::{Fields, Live, Outcome, Status, Value};
use hive_sql::facts;
use hive_sql::foreign::{Row, Tool, chain_of, rows_value};
use hive_sql::history::Applied;
use hive_sql::list::FOREIGN;
use std::collections::BTreeMap;

/// What a live object is made of beside the book.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) spot: &'a Spot,
    /// How the database is reached: references.
    pub(crate) of: &'a Fields,
}

/// One marked resource; none where it is not marked, and nothing of it was left.
pub(crate) fn of(kind: &str, identity: &str, book: &Book, around: Around<'_>) -> Option<Live> {
    let history = Some(seen::history_value(&book.history)).filter(|_| kind == MIGRATIONS);
    brief(kind, identity, book, around).map(|mut live| {
        live.fields.extend(history.map(|it| ("history".to_owned(), it)));
        live
    })
}

/// The same without the history, which is as long as it is.
fn brief(kind: &str, identity: &str, book: &Book, around: Around<'_>) -> Option<Live> {
    let row = book.mark(identity);
    let left = kind == MIGRATIONS && foreign::is_left(around.of, book);
    if row.is_none() && !left {
        return None;
    }
    let mut live = match kind {
        MIGRATIONS => migrations(identity, book),
        _ => database(identity, around),
    };
    live.mark = row.and_then(MarkRow::mark);
    live.token = row.map(MarkRow::token);
    Some(live)
}

/// A list that hive does not hold and whose history another tool has: nobody's.
pub(crate) fn foreign(identity: &str, tool: Tool, rows: &[Row]) -> Live {
    let text = |key: &str, text: String| (key.to_owned(), Value::Text(text));
    let fields = Fields::from([
        text("head", String::new()),
        ("count".to_owned(), Value::Int(0)),
        // So whatever expects what the plan saw expects this history.
        text("chain", chain_of(tool, rows)),
        ("drift".to_owned(), Value::Map(Fields::new())),
        text("objects", facts::drift_text([])),
        (FOREIGN.to_owned(), rows_value(rows)),
    ]);
    let count = hive_sql::words::count(rows.len() as u64, "row");
    live(identity, fields, BTreeMap::new(), format!("the history of {tool}, {count}"))
}

/// As a step's outcome: constant in size, however long the history is.
pub(crate) fn outcome(kind: &str, identity: &str, book: &Book, around: Around<'_>) -> Outcome {
    let marked = book.mark(identity).and_then(|_| brief(kind, identity, book, around));
    let Some(mut live) = marked else { return Outcome::nothing() };
    live.fields.remove("half");
    Outcome::live(live)
}

fn database(identity: &str, around: Around<'_>) -> Live {
    let mut outputs = BTreeMap::from([("name".to_owned(), Value::text(&around.spot.database))]);
    outputs.extend(around.of.get("url").map(|url| ("url".to_owned(), url.clone())));
    let fields = Fields::from([("engine".to_owned(), Value::text(ENGINE))]);
    live(identity, fields, outputs, format!("`{}` answers", around.spot.database))
}

fn migrations(identity: &str, book: &Book) -> Live {
    let whole: Vec<&Applied> = book.history.iter().filter(|row| !row.is_half()).collect();
    let head = whole.last().map_or("", |row| &row.name);
    let count = i64::try_from(whole.len()).unwrap_or(i64::MAX);
    let half = seen::half_value(&book.history);
    // What half a file has changed is its own, and nobody's by hand.
    let drift = match half.is_some() {
        true => BTreeMap::new(),
        false => book.drift().clone(),
    };
    let mut status = match whole.last() {
        Some(row) => format!("{} applied, the newest {}", whole.len(), row.name),
        None => "nothing applied".to_owned(),
    };
    if !drift.is_empty() {
        status.push_str(&format!(
            ", {} changed by hand",
            hive_sql::words::count(drift.len() as u64, "object")
        ));
    }
    let objects = facts::drift_text(drift.iter().map(|(object, is)| (&**object, &**is)));
    let mut fields = Fields::from([
        ("head".to_owned(), Value::text(head)),
        ("count".to_owned(), Value::Int(count)),
        ("chain".to_owned(), Value::text(book.chain())),
        (
            "drift".to_owned(),
            Value::Map(drift.into_iter().map(|(key, is)| (key, Value::Text(is))).collect()),
        ),
        ("objects".to_owned(), Value::Text(objects)),
    ]);
    let outputs = BTreeMap::from([
        ("version".to_owned(), Value::text(head)),
        ("schema".to_owned(), Value::text(book.schema.fingerprint())),
    ]);
    let ready = half.is_none();
    fields.extend(half.map(|half| ("half".to_owned(), half)));
    let mut live = live(identity, fields, outputs, status);
    live.status.ready = ready;
    live
}

fn live(identity: &str, fields: Fields, outputs: BTreeMap<String, Value>, summary: String) -> Live {
    Live {
        identity: identity.to_owned(),
        fields,
        outputs,
        mark: None,
        token: None,
        moved_by: BTreeMap::new(),
        ended: BTreeMap::new(),
        status: Status { ready: true, summary, ..Status::default() },
    }
}
