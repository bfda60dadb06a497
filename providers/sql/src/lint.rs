//! What a reviewer should know of a migration before it runs.

mod own;
mod squawk;
mod weight;

use crate::act::{self, Act};
use crate::dialect::Dialect;
use crate::lexeme;
use crate::migrations::Migration;
use crate::script::Script;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How heavy the database is at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// Its tables by name, such as `public.orders`.
    pub tables: BTreeMap<String, TableSize>,
    /// How long its longest transaction runs, in milliseconds.
    pub longest_tx_ms: u64,
    /// How many objects all transactions together can lock, `max_locks_per_transaction` times
    /// `max_connections`; nothing where there is no such limit.
    pub max_locks: Option<u64>,
    /// How fast a table is rewritten here, in bytes a second, where it was measured.
    pub rewrite_rate: Option<u64>,
    /// How fast a table is read here, in bytes a second, where it was measured.
    pub scan_rate: Option<u64>,
    /// The server's version, such as `15.8`, for rules that depend on it.
    pub server: Option<String>,
}

/// How heavy one table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSize {
    /// On disk, with its indexes.
    pub bytes: u64,
    /// How many rows, as the engine estimates.
    pub rows: u64,
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Good to know.
    Note,
    /// It may hurt.
    Warning,
    /// It will hurt.
    Danger,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which rule, such as `delete-without-where`.
    pub rule: String,
    /// Which file.
    pub file: String,
    /// Where in it, counted from 1.
    pub line: u32,
    /// Where in the line, in characters counted from 1.
    pub column: u32,
    /// What it is, a lower-case fragment.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// How much it matters.
    pub level: Level,
    /// The reason that a person gave for it in the file.
    pub accepted: Option<String>,
}

/// Looks at both files of a migration; findings are in the order of files and lines. Those that a
/// person accepted are there, with the reason.
pub fn lint(dialect: Dialect, migration: &Migration, sizes: &Sizes) -> Vec<Finding> {
    let up = read(dialect, &migration.up);
    let mut found = own::find(&up, sizes);
    found.extend(weight::find(&up, sizes));
    if dialect == Dialect::Postgres {
        found.extend(squawk::find(&up, migration.stage, sizes));
    }
    let mut all = finish(&migration.up, found);
    if let Some(script) = migration.down.script() {
        // What takes away is what a down file is for; what it does to the living is not.
        let down = read(dialect, script);
        let mut found = weight::find(&down, sizes);
        if dialect == Dialect::Postgres {
            found.extend(squawk::syntax(&down));
        }
        all.extend(finish(script, found));
    }
    all
}

fn read(dialect: Dialect, script: &Script) -> own::Read<'_> {
    let each = script.statements.iter();
    let acts: Vec<Vec<Act>> = each.map(|one| act::acts(dialect, &one.text)).collect();
    let own = acts
        .iter()
        .flatten()
        .filter_map(|act| match act {
            Act::CreateTable { table, .. } => Some(table.clone()),
            _ => None,
        })
        .collect();
    own::Read { dialect, script, acts, own }
}

/// What a rule found, before it has a place in the file.
struct Found {
    rule: String,
    level: Level,
    /// Which statement, counted from 0.
    statement: usize,
    /// Where in the text, where it is not the statement's begin.
    start: Option<usize>,
    message: String,
    help: Option<String>,
}

impl Found {
    fn new(rule: &str, level: Level, statement: usize, message: impl Into<String>) -> Self {
        let (rule, message) = (rule.to_owned(), message.into());
        Self { rule, level, statement, start: None, message, help: None }
    }

    fn help(mut self, help: &str) -> Self {
        self.help = Some(help.to_owned());
        self
    }

    fn starting(mut self, start: usize) -> Self {
        self.start = Some(start);
        self
    }
}

/// Gives findings their places and what was accepted; an acceptance of nothing is a finding.
fn finish(script: &Script, found: Vec<Found>) -> Vec<Finding> {
    let mut used = vec![false; script.accepts.len()];
    let mut all: Vec<Finding> = Vec::with_capacity(found.len());
    for one in found {
        let begin = script.statements.get(one.statement).map_or(0, |statement| statement.start);
        let (line, column) = lexeme::position(&script.text, one.start.unwrap_or(begin));
        let accepted = script
            .accepts
            .iter()
            .position(|accept| accept.rule == one.rule && accept.statement == one.statement);
        if let Some(at) = accepted {
            used[at] = true;
        }
        all.push(Finding {
            rule: one.rule,
            file: script.file.clone(),
            line,
            column,
            message: one.message,
            help: one.help,
            level: one.level,
            accepted: accepted.map(|at| script.accepts[at].reason.clone()),
        });
    }
    // Whether these find something depends on the database of the day.
    const WEIGHED: [&str; 4] =
        ["large-rewrite", "large-scan", "waits-for-transactions", "too-many-objects"];
    let unused = script
        .accepts
        .iter()
        .zip(&used)
        .filter(|(accept, used)| !**used && !WEIGHED.contains(&accept.rule.as_str()));
    all.extend(unused.map(|(accept, _)| Finding {
        rule: "needless-accept".to_owned(),
        file: script.file.clone(),
        line: accept.line,
        column: 1,
        message: format!("`{}` finds nothing in the statement below", accept.rule),
        help: Some("take the line away, or put it above the statement that it is about".to_owned()),
        level: Level::Note,
        accepted: None,
    }));
    all.sort_by(|a, b| (a.line, a.column, &a.rule).cmp(&(b.line, b.column, &b.rule)));
    all.dedup();
    all
}
