//! The rules of squawk, for PostgreSQL.

use super::own::Read;
use super::{Found, Level, Sizes, weight};
use crate::dialect::Dialect;
use crate::locks;
use crate::stage::Stage;
use squawk_linter::{Linter, Rule};
use squawk_syntax::{Parse, SourceFile};

/// What hive itself sees to, or refuses before.
const OFF: [Rule; 11] = [
    Rule::RequireTimeoutSettings,
    Rule::RequireLockTimeout,
    Rule::RequireStatementTimeout,
    Rule::PreferRobustStmts,
    Rule::PreferRepack,
    Rule::BanDropDatabase,
    Rule::TransactionNesting,
    Rule::BanUncommittedTransaction,
    Rule::BanConcurrentIndexCreationInTransaction,
    Rule::UnusedIgnore,
    Rule::BanTruncateCascade,
];

/// The findings of squawk, weighed by the tables they are about.
pub(super) fn find(read: &Read<'_>, stage: Stage, sizes: &Sizes) -> Vec<Found> {
    let text = &read.script.text;
    let file = SourceFile::parse(text);
    let mut found = not_understood(read, &file);
    let mut linter = Linter::with_rules(&[], &OFF);
    linter.settings.assume_in_transaction = read.script.transactional;
    if let Some(version) = sizes.server.as_ref().and_then(|text| text.parse().ok()) {
        linter.settings.pg_version = version;
    }
    for violation in linter.lint(&file, text) {
        let rule = violation.code.to_string();
        let start = usize::from(violation.text_range.start());
        let at = statement_at(read, start);
        let level = level(read, &rule, at, stage, sizes);
        let mut one = Found::new(&rule, level, at, fragment(&violation.message)).starting(start);
        one.help = violation.help.map(|help| fragment(&help));
        found.push(one);
    }
    found
}

/// What its parser does not understand. PostgreSQL has the last word, so it refuses nothing.
pub(super) fn syntax(read: &Read<'_>) -> Vec<Found> {
    not_understood(read, &SourceFile::parse(&read.script.text))
}

fn not_understood(read: &Read<'_>, file: &Parse<SourceFile>) -> Vec<Found> {
    file.errors()
        .iter()
        .map(|error| {
            let start = usize::from(error.range().start());
            let message = format!("this may be no SQL: {}", fragment(error.message()));
            Found::new("syntax", Level::Warning, statement_at(read, start), message).starting(start)
        })
        .collect()
}

fn statement_at(read: &Read<'_>, start: usize) -> usize {
    let before = read.script.statements.iter().take_while(|one| one.start <= start).count();
    before.saturating_sub(1)
}

fn level(read: &Read<'_>, rule: &str, at: usize, stage: Stage, sizes: &Sizes) -> Level {
    let style = rule.starts_with("prefer-")
        || ["ban-char-field", "identifier-too-long", "require-enum-value-ordering"].contains(&rule);
    let narrows = rule.starts_with("ban-drop-")
        || rule.starts_with("renaming-")
        || ["changing-column-type", "ban-set-schema", "adding-not-nullable-field"].contains(&rule);
    // A contract is there for it, and waits for the services.
    if style || narrows && stage == Stage::Contract {
        return Level::Note;
    }
    if is_light(read, at, sizes) { Level::Note } else { Level::Warning }
}

/// Whether all tables that a statement locks are made in this file, or known to be small.
fn is_light(read: &Read<'_>, at: usize, sizes: &Sizes) -> bool {
    const SMALL: u64 = 10_000_000;
    let acts = read.acts.get(at).map(Vec::as_slice).unwrap_or_default();
    let mut tables = acts
        .iter()
        .flat_map(|act| locks::of_act(Dialect::Postgres, act))
        .map(|hold| hold.table)
        .peekable();
    tables.peek().is_some()
        && tables.all(|table| {
            read.own.contains(&table)
                || weight::size_of(sizes, Dialect::Postgres, &table)
                    .is_some_and(|size| size.bytes < SMALL)
        })
}

/// A sentence as a fragment.
fn fragment(sentence: &str) -> String {
    let sentence = sentence.trim().trim_end_matches('.');
    let mut letters = sentence.chars();
    let Some(first) = letters.next() else { return String::new() };
    // Names and keywords keep their form.
    let word: String = sentence.chars().take_while(|c| c.is_alphanumeric()).collect();
    let is_keyword = word.len() > 1 && word.chars().all(|c| !c.is_lowercase());
    if is_keyword {
        return sentence.to_owned();
    }
    first.to_lowercase().chain(letters).collect()
}
