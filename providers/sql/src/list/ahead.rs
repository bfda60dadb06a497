//! A list whose database is ahead of it: newer files are applied than it holds, and they stay.

use super::history_of;
use crate::migrations::chain_behind;
use crate::{FileText, Migrations, name};
use hive_contract::{Declared, Fields, Live, Lowered, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What the fields of a list come to where its newer files stay applied, as an older version of it
/// that comes back without its data leaves them. Nothing where they are to be taken back, and where
/// `recorded` holds one of them: then somebody took out an applied file. `live` tells the history.
pub fn ahead(desired: &Lowered, recorded: Option<&Declared>, live: &Live) -> Option<Fields> {
    if goes_down(&desired.material) {
        return None;
    }
    let newest = desired.fields.get("head").and_then(Value::as_text)?;
    let newer = newer(live, number(newest));
    let known = recorded.map(|it| stems(&it.fields)).unwrap_or_default();
    let last = newer.last()?;
    if newer.iter().any(|(name, _)| known.contains(*name)) {
        return None;
    }
    let count = desired.fields.get("count").and_then(Value::as_int)?;
    let chain = desired.fields.get("chain").and_then(Value::as_text)?;
    let mut fields = desired.fields.clone();
    fields.insert("head".to_owned(), Value::text(last.0));
    let more = i64::try_from(newer.len()).unwrap_or(i64::MAX);
    fields.insert("count".to_owned(), Value::Int(count.saturating_add(more)));
    fields.insert("chain".to_owned(), Value::Text(chain_behind(chain, newer)));
    Some(fields)
}

/// Whether the fields of a list hold more than its files: see [`ahead`].
pub fn is_ahead(desired: &Lowered, migrations: &Migrations) -> bool {
    desired.fields.get("head").and_then(Value::as_text) != Some(migrations.head())
}

/// What a reviewer should know of a changed list that no step tells: newer files that stay applied,
/// and down files that are other than when their up file was applied.
pub fn remarks(
    desired: &Declared,
    recorded: Option<&Declared>,
    live: Option<&Live>,
) -> Vec<String> {
    let Some(live) = live else { return Vec::new() };
    let mut remarks = Vec::new();
    let newest = stems(&desired.fields).iter().filter_map(|it| number(it)).max();
    let stays: Vec<String> =
        newer(live, newest).iter().map(|(name, _)| format!("`{name}`")).collect();
    if !stays.is_empty() && !goes_down(&desired.fields) {
        let are = if stays.len() == 1 {
            "is newer than its files, and stays"
        } else {
            "are newer than its files, and stay"
        };
        remarks.push(format!("{} {are} applied", named(&stays)));
    }
    let before = recorded.map(|it| texts(&it.fields)).unwrap_or_default();
    for file in FileText::list(desired.fields.get("files")) {
        let Some(stem) = file.name.strip_suffix(".down.sql") else { continue };
        let other = before.get(&file.name).is_some_and(|it| *it != file.text);
        if other && history_of(&live.fields).any(|(name, _)| name == stem) {
            remarks.push(format!(
                "`{}` is another than when `{stem}` was applied, and is not tried",
                file.name
            ));
        }
    }
    remarks
}

/// All of a few names; of many the first and the last.
fn named(names: &[String]) -> String {
    match names {
        [first, .., last] if names.len() > 3 => {
            format!("{} files from {first} to {last}", names.len())
        }
        _ => names.join(", "),
    }
}

fn goes_down(fields: &Fields) -> bool {
    fields.get("undo").and_then(Value::as_text) == Some("down")
}

/// Name and checksum of what is whole and newer than a number, in order.
fn newer(live: &Live, newest: Option<u64>) -> Vec<(&str, &str)> {
    let mut newer: Vec<(&str, &str)> =
        history_of(&live.fields).filter(|(name, _)| number(name) > newest).collect();
    newer.sort_by_key(|(name, _)| number(name));
    newer
}

fn number(stem: &str) -> Option<u64> {
    stem.split('_').next()?.parse().ok()
}

/// The names of a list's files without their endings.
fn stems(fields: &Fields) -> BTreeSet<String> {
    let files = FileText::list(fields.get("files")).into_iter();
    files.filter_map(|it| Some(name::parse(&it.name).ok()?.stem.to_owned())).collect()
}

fn texts(fields: &Fields) -> BTreeMap<String, String> {
    FileText::list(fields.get("files")).into_iter().map(|it| (it.name, it.text)).collect()
}
