//! What only the text of a `CREATE TABLE` says: checks, collations, generated columns and the like.

use super::words::{Word, joined, words};
use std::collections::{BTreeMap, BTreeSet};

/// What stands in a table's statement and in no pragma.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// By column, in lower case.
    pub(super) columns: BTreeMap<String, Vec<String>>,
    /// Of the table as a whole.
    pub(super) table: BTreeSet<String>,
}

/// Reads a `CREATE TABLE`.
pub(super) fn written(sql: &str) -> Written {
    let words = words(sql);
    let mut written = Written::default();
    for item in items(&words) {
        let first = &item[0];
        let constraint = ["constraint", "primary", "unique", "check", "foreign"];
        if first.plain && constraint.contains(&first.text.as_str()) {
            written.table.extend(clauses(item));
        } else {
            written.columns.insert(first.text.trim_matches('"').to_owned(), clauses(&item[1..]));
        }
    }
    written
}

/// What stands between the commas of the outermost parentheses.
fn items(words: &[Word]) -> Vec<&[Word]> {
    let Some(open) = words.iter().position(|it| it.is("(")) else { return Vec::new() };
    let mut items = Vec::new();
    let (mut depth, mut begin) = (1_usize, open + 1);
    for (at, word) in words.iter().enumerate().skip(open + 1) {
        if word.is("(") {
            depth += 1;
        } else if word.is(")") {
            depth -= 1;
        }
        if depth == 0 || (depth == 1 && word.is(",")) {
            if begin < at {
                items.push(&words[begin..at]);
            }
            begin = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    items
}

/// The clauses of a column or of a table's constraint that no pragma shows.
fn clauses(item: &[Word]) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < item.len() {
        let word = &item[at];
        let group = || at + 1 + length_of_group(&item[at + 1..]);
        let end = if word.is("(") {
            // A type's length, a default, a list of columns: the pragmas show them.
            at + length_of_group(&item[at..])
        } else if word.is("check") || word.is("as") {
            let end = group();
            found.push(joined(&item[at..end]));
            end
        } else if word.is("collate") {
            found.push(joined(&item[at..item.len().min(at + 2)]));
            at + 2
        } else if word.is("autoincrement") {
            found.push(word.text.clone());
            at + 1
        } else if word.is("conflict") || word.is("initially") {
            // `not null on conflict ignore`, `deferrable initially deferred`.
            let begin = at.saturating_sub(3);
            found.push(joined(&item[begin..item.len().min(at + 2)]));
            at + 2
        } else if word.is("deferrable") && !item.get(at + 1).is_some_and(|it| it.is("initially")) {
            found.push(joined(&item[at.saturating_sub(1)..at + 1]));
            at + 1
        } else {
            at + 1
        };
        at = end;
    }
    found
}

/// How many pieces a parenthesised group has; none where there is no group.
fn length_of_group(words: &[Word]) -> usize {
    let mut depth = 0_usize;
    for (at, word) in words.iter().enumerate() {
        if word.is("(") {
            depth += 1;
        } else if word.is(")") {
            depth -= 1;
        }
        if depth == 0 {
            return if at == 0 { 0 } else { at + 1 };
        }
    }
    words.len()
}
