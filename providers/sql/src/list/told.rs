//! What the fields of a live list tell, the same on every engine.

use hive_contract::{Fields, Value};
use std::collections::BTreeMap;

/// The unmanaged field of the history: a line for each file that is whole, which begins with its name
/// and its checksum.
pub const HISTORY: &str = "history";
/// The unmanaged field of a file that ran without a transaction and did not end.
pub const HALF: &str = "half";
/// The field of what is other than the last migration left it: object → words.
pub const DRIFT: &str = "drift";

/// The lines of the history.
pub fn history_lines(live: &Fields) -> impl Iterator<Item = &str> {
    let lines = live.get(HISTORY).and_then(Value::as_list).unwrap_or_default();
    lines.iter().filter_map(Value::as_text)
}

/// Name and checksum of each whole file that is applied.
pub fn history_of(live: &Fields) -> impl Iterator<Item = (&str, &str)> {
    history_lines(live).filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?, words.next()?))
    })
}

/// What somebody changed by hand: object → words.
pub fn drift_of(live: &Fields) -> BTreeMap<String, String> {
    let drift = live.get(DRIFT).and_then(Value::as_map).into_iter().flatten();
    let words =
        |(object, words): (&String, &Value)| Some((object.clone(), words.as_text()?.to_owned()));
    drift.filter_map(words).collect()
}
