//! What a statement holds while it runs, and how long the work under it is.

use crate::act::{self, Act};
use crate::dialect::Dialect;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How others are kept out, weakest first. SQLite has one lock for all writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lock {
    /// Writers of rows.
    RowExclusive,
    /// Keeps out other changes of the schema.
    ShareUpdateExclusive,
    /// Keeps out writers.
    Share,
    /// Keeps out writers and other changes.
    ShareRowExclusive,
    /// Keeps out writers; readers go on.
    Exclusive,
    /// SQLite: keeps out all writers of the database.
    Writer,
    /// Keeps out everybody.
    AccessExclusive,
}

impl Lock {
    /// Who waits.
    pub fn keeps_out(self) -> &'static str {
        match self {
            Self::RowExclusive => "nobody",
            Self::ShareUpdateExclusive => "other changes of the schema",
            Self::Share | Self::ShareRowExclusive | Self::Exclusive => "all who write",
            Self::Writer => "all who write to the database",
            Self::AccessExclusive => "all who read or write",
        }
    }

    /// Whether anybody who only writes rows waits.
    pub fn stops_writers(self) -> bool {
        self >= Self::Share
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RowExclusive => "ROW EXCLUSIVE",
            Self::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Self::Share => "SHARE",
            Self::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Self::Exclusive => "EXCLUSIVE",
            Self::Writer => "the writer's lock",
            Self::AccessExclusive => "ACCESS EXCLUSIVE",
        })
    }
}

/// How long the work under a lock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// The same for a large table as for a small one.
    Instant,
    /// As many rows as it finds.
    Rows,
    /// Every row is read.
    Scan,
    /// Every row is written anew, with its indexes.
    Rewrite,
}

/// One lock that a statement takes on one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Which table.
    pub table: String,
    /// How it is locked.
    pub lock: Lock,
    /// For how much work.
    pub work: Work,
    /// What for, a lower-case fragment.
    pub what: String,
}

/// What a statement holds. Objects that it makes itself are nobody's yet and are left out.
pub fn holds(dialect: Dialect, statement: &str) -> Vec<Hold> {
    let acts = act::acts(dialect, statement);
    acts.iter().flat_map(|act| of_act(dialect, act)).collect()
}

pub(crate) fn of_act(dialect: Dialect, act: &Act) -> Vec<Hold> {
    match dialect {
        Dialect::Postgres => postgres(act),
        Dialect::Sqlite => sqlite(act),
    }
}

fn hold(table: &str, lock: Lock, work: Work, what: impl Into<String>) -> Hold {
    Hold { table: table.to_owned(), lock, work, what: what.into() }
}

fn postgres(act: &Act) -> Vec<Hold> {
    use Lock::{
        AccessExclusive, Exclusive, RowExclusive, Share, ShareRowExclusive, ShareUpdateExclusive,
    };
    use Work::{Instant, Rewrite, Rows, Scan};
    let one = |table: &str, lock, work, what: &str| vec![hold(table, lock, work, what)];
    match act {
        Act::CreateTable { references, .. } => references
            .iter()
            .map(|table| hold(table, ShareRowExclusive, Instant, "a table that refers to it"))
            .collect(),
        Act::DropTable { table } => one(table, AccessExclusive, Instant, "dropping it"),
        Act::RenameTable { table, .. } => one(table, AccessExclusive, Instant, "renaming it"),
        Act::AddColumn(new) => {
            let work = if new.rewrites.is_some() {
                Rewrite
            } else if new.unique || new.check && new.filled {
                Scan
            } else {
                Instant
            };
            let what = match new.rewrites {
                Some(why) => format!("adding column {}, which has {why}", new.column),
                None => format!("adding column {}", new.column),
            };
            let mut all = vec![hold(&new.table, AccessExclusive, work, what)];
            all.extend(new.references.as_ref().map(|table| {
                hold(table, ShareRowExclusive, Instant, "a column that refers to it")
            }));
            all
        }
        Act::DropColumn { table, column } => {
            one(table, AccessExclusive, Instant, &format!("dropping column {column}"))
        }
        Act::RenameColumn { table, column } => {
            one(table, AccessExclusive, Instant, &format!("renaming column {column}"))
        }
        Act::ColumnType { table, column, to, using } => {
            let work = if !using && is_free(to) { Instant } else { Rewrite };
            one(table, AccessExclusive, work, &format!("making column {column} {to}"))
        }
        Act::SetNotNull { table, column } => {
            one(table, AccessExclusive, Scan, &format!("forbidding nulls in column {column}"))
        }
        Act::SetDefault { table } | Act::DropDefault { table, .. } => {
            one(table, AccessExclusive, Instant, "changing a default")
        }
        Act::DropNotNull { table } => one(table, AccessExclusive, Instant, "allowing nulls"),
        Act::Regenerate { table, column, .. } => {
            one(table, AccessExclusive, Instant, &format!("changing column {column}"))
        }
        Act::AddRule(new) => rule(new),
        Act::ValidateRule { table } => {
            one(table, ShareUpdateExclusive, Scan, "validating a constraint")
        }
        Act::DropRule { table } => one(table, AccessExclusive, Instant, "dropping a constraint"),
        Act::CreateIndex { table, concurrently, .. } => {
            let lock = if *concurrently { ShareUpdateExclusive } else { Share };
            one(table, lock, Scan, "building an index")
        }
        Act::Reindex { table: Some(table), concurrently } => {
            let lock = if *concurrently { ShareUpdateExclusive } else { Share };
            one(table, lock, Scan, "building its indexes anew")
        }
        Act::CreateTrigger { table } => one(table, ShareRowExclusive, Instant, "adding a trigger"),
        Act::SwitchTrigger { table, .. } => {
            one(table, ShareRowExclusive, Instant, "switching triggers")
        }
        Act::RowSecurity { table, .. } => {
            one(table, AccessExclusive, Instant, "changing row security")
        }
        Act::Rewrite { table: Some(table), what } => one(table, AccessExclusive, Rewrite, what),
        Act::AttachPartition { table, part } => vec![
            hold(table, ShareUpdateExclusive, Instant, "attaching a partition"),
            hold(part, AccessExclusive, Scan, "becoming a partition"),
        ],
        Act::DetachPartition { table, part, concurrently } => {
            let lock = if *concurrently { ShareUpdateExclusive } else { AccessExclusive };
            vec![
                hold(table, lock, Instant, "detaching a partition"),
                hold(part, AccessExclusive, Instant, "leaving its table"),
            ]
        }
        Act::TableSetting { table, .. } if !table.is_empty() => {
            one(table, AccessExclusive, Instant, "changing a setting")
        }
        Act::Truncate { tables } => {
            let each = tables.iter();
            each.map(|table| hold(table, AccessExclusive, Instant, "emptying it")).collect()
        }
        Act::Delete { table, all } => {
            one(table, RowExclusive, if *all { Scan } else { Rows }, "deleting rows")
        }
        Act::Update { table, all } => {
            one(table, RowExclusive, if *all { Rewrite } else { Rows }, "updating rows")
        }
        Act::Insert { table, .. } => one(table, RowExclusive, Rows, "inserting rows"),
        Act::Lock { tables, mode } => {
            let lock = if mode.contains("access exclusive") {
                AccessExclusive
            } else if mode.contains("share row exclusive") {
                ShareRowExclusive
            } else if mode.contains("share update exclusive") {
                ShareUpdateExclusive
            } else if mode.contains("row exclusive") || mode.contains("row share") {
                RowExclusive
            } else if mode.contains("exclusive") {
                Exclusive
            } else {
                Share
            };
            tables.iter().map(|table| hold(table, lock, Instant, "`LOCK TABLE`")).collect()
        }
        Act::Refresh { view, concurrently } => {
            let lock = if *concurrently { Exclusive } else { AccessExclusive };
            one(view, lock, Rewrite, "refreshing it")
        }
        Act::DropIndex { .. }
        | Act::Reindex { table: None, .. }
        | Act::Rewrite { table: None, .. }
        | Act::TableSetting { .. }
        | Act::Vacuum
        | Act::Move { .. }
        | Act::Create { .. }
        | Act::Drop { .. }
        | Act::Rename { .. }
        | Act::Alter { .. }
        | Act::Grant
        | Act::Revoke
        | Act::Set { .. }
        | Act::Dynamic
        | Act::Nothing => Vec::new(),
    }
}

fn rule(new: &act::NewRule) -> Vec<Hold> {
    use act::Rule;
    let work = if new.not_valid || new.using_index { Work::Instant } else { Work::Scan };
    let lock = match new.rule {
        Rule::ForeignKey => Lock::ShareRowExclusive,
        Rule::Check | Rule::Unique | Rule::PrimaryKey | Rule::Exclude | Rule::NotNull => {
            Lock::AccessExclusive
        }
    };
    let mut all = vec![hold(&new.table, lock, work, format!("asking {}", new.rule.words()))];
    all.extend(new.references.as_ref().map(|table| {
        hold(table, Lock::ShareRowExclusive, Work::Instant, "a foreign key that refers to it")
    }));
    all
}

/// Whether PostgreSQL takes rows of a narrower type as they are. It depends on the type before,
/// which the words do not say; these are free from all that people widen from.
fn is_free(to: &str) -> bool {
    to == "text" || to == "varchar" || to == "character varying"
}

fn sqlite(act: &Act) -> Vec<Hold> {
    let (table, work, what) = match act {
        Act::DropTable { table } => (table, Work::Scan, "dropping it"),
        Act::RenameTable { table, .. } => (table, Work::Instant, "renaming it"),
        Act::AddColumn(new) if new.check || new.not_null => {
            (&new.table, Work::Scan, "adding a column")
        }
        Act::AddColumn(new) => (&new.table, Work::Instant, "adding a column"),
        Act::DropColumn { table, .. } => (table, Work::Rewrite, "dropping a column"),
        Act::RenameColumn { table, .. } => (table, Work::Instant, "renaming a column"),
        Act::CreateIndex { table, .. } => (table, Work::Scan, "building an index"),
        Act::CreateTrigger { table } => (table, Work::Instant, "adding a trigger"),
        Act::Delete { table, all } => {
            (table, if *all { Work::Scan } else { Work::Rows }, "deleting rows")
        }
        Act::Update { table, all } => {
            (table, if *all { Work::Rewrite } else { Work::Rows }, "updating rows")
        }
        Act::Insert { table, .. } => (table, Work::Rows, "inserting rows"),
        _ => return Vec::new(),
    };
    vec![hold(table, Lock::Writer, work, what)]
}
