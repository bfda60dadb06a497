//! A schema as facts about its objects, so that a difference has a name.

use hive_contract::Fingerprint;
use std::collections::BTreeMap;

/// Each object of a schema, such as `column public.orders.note`, with its definition in the
/// engine's own canonical words.
pub type Facts = BTreeMap<String, String>;

/// SHA-256 over all facts in order, in hex digits: the same whatever order the objects were made in.
pub fn fingerprint(facts: &Facts) -> String {
    Fingerprint::of(facts).as_str().to_owned()
}

/// The same in one text, for comparing: [`AS_MIGRATED`], or a line for each object that is not.
pub fn drift_text<'a>(drift: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let lines: Vec<String> =
        drift.into_iter().map(|(object, words)| format!("{object}: {words}")).collect();
    if lines.is_empty() { AS_MIGRATED.to_owned() } else { lines.join("\n") }
}

/// What [`drift_text`] says where nothing was changed by hand.
pub const AS_MIGRATED: &str = "as migrated";

/// What is not as the last migration left it: object → in words what is other.
pub fn drift(recorded: &Facts, live: &Facts) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (object, definition) in live {
        match recorded.get(object) {
            None => found.insert(object.clone(), format!("added by hand: {definition}")),
            Some(before) if before != definition => {
                found.insert(object.clone(), format!("was {before}, is {definition}"))
            }
            Some(_) => None,
        };
    }
    for (object, before) in recorded {
        if !live.contains_key(object) {
            found.insert(object.clone(), format!("removed by hand: {before}"));
        }
    }
    found
}
