//! What a reviewer should know of a migration before it runs.

use crate::dialect::Dialect;
use crate::migrations::Migration;
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

/// Looks at both files of a migration.
pub fn lint(_dialect: Dialect, _migration: &Migration, _sizes: &Sizes) -> Vec<Finding> {
    Vec::new()
}
