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
    compared(recorded, live, ["added by hand", "removed by hand"])
}

/// What is other than before where nobody's hand is to blame: after a file, a restore.
pub fn changes(before: &Facts, after: &Facts) -> BTreeMap<String, String> {
    compared(before, after, ["added", "gone"])
}

fn compared(before: &Facts, after: &Facts, [more, less]: [&str; 2]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (object, definition) in after {
        match before.get(object) {
            None => found.insert(object.clone(), format!("{more}: {definition}")),
            Some(was) if was != definition => {
                found.insert(object.clone(), format!("was {was}, is {definition}"))
            }
            Some(_) => None,
        };
    }
    for (object, was) in before {
        if !after.contains_key(object) {
            found.insert(object.clone(), format!("{less}: {was}"));
        }
    }
    found
}
