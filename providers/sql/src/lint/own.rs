//! Rules that no linter of statements has.

use super::{Found, Level, Sizes};
use crate::act::Act;
use crate::dialect::Dialect;
use crate::locks::{self, Lock};
use crate::script::Script;
use std::collections::BTreeSet;

/// A script, with what each of its statements does.
pub(super) struct Read<'a> {
    pub(super) dialect: Dialect,
    pub(super) script: &'a Script,
    /// Statement by statement.
    pub(super) acts: Vec<Vec<Act>>,
    /// The tables that the script makes itself: nobody waits for them.
    pub(super) own: BTreeSet<String>,
}

/// All findings of all rules of ours.
pub(super) fn find(read: &Read<'_>, sizes: &Sizes) -> Vec<Found> {
    let mut found = Vec::new();
    for (at, acts) in read.acts.iter().enumerate() {
        for act in acts {
            found.extend(rows(read, act, at));
            found.extend(tables(act, at));
            found.extend(session(read.dialect, act, at));
        }
    }
    found.extend(backfill(read));
    found.extend(too_many(read, sizes));
    found.extend(needless(read));
    found
}

fn rows(read: &Read<'_>, act: &Act, at: usize) -> Option<Found> {
    let foreign = |table: &String| !read.own.contains(table);
    match act {
        Act::Delete { table, all: true } if foreign(table) => Some(
            Found::new("delete-without-where", Level::Warning, at, format!("it empties {table}"))
                .help("say which rows, or accept it"),
        ),
        Act::Update { table, all: true } if foreign(table) => Some(
            Found::new(
                "update-without-where",
                Level::Warning,
                at,
                format!("it writes every row of {table} anew, in one transaction"),
            )
            .help("fill rows in portions, in a file with `-- hive: no-transaction`"),
        ),
        Act::Truncate { tables } if tables.iter().any(foreign) => Some(
            Found::new("truncate", Level::Warning, at, format!("it empties {}", tables.join(", ")))
                .help("only a backup brings the rows back"),
        ),
        _ => None,
    }
}

fn tables(act: &Act, at: usize) -> Option<Found> {
    match act {
        Act::Lock { tables, mode } => Some(
            Found::new(
                "lock-table",
                Level::Warning,
                at,
                format!("it locks {} ({mode}) until the file ends", tables.join(", ")),
            )
            .help("statements take the locks that they need"),
        ),
        Act::Rewrite { table, what } => {
            let which = table.as_deref().unwrap_or("every table");
            let message = format!("{what} writes {which} anew and keeps out all who read or write");
            Some(
                Found::new("table-rewrite", Level::Warning, at, message)
                    .help("run it in a window, or let a tool copy the table beside"),
            )
        }
        Act::CreateIndex { columns, unique: false, .. } if columns.len() > 3 => Some(
            Found::new(
                "wide-index",
                Level::Note,
                at,
                format!("an index over {} columns", columns.len()),
            )
            .help("few queries use more than the first three"),
        ),
        _ => None,
    }
}

fn session(dialect: Dialect, act: &Act, at: usize) -> Option<Found> {
    match act {
        Act::Set { name, local: false } if dialect == Dialect::Postgres => Some(
            Found::new(
                "set-without-local",
                Level::Note,
                at,
                format!("{name} stays set for the files that follow"),
            )
            .help("write `SET LOCAL`"),
        ),
        Act::Dynamic => Some(
            Found::new("dynamic-sql", Level::Note, at, "hive cannot read what it will do")
                .help("declare `-- hive: contract` where the version before does not run on it"),
        ),
        _ => None,
    }
}

/// Rows that are changed while a table is locked for its new shape.
fn backfill(read: &Read<'_>) -> Option<Found> {
    if !read.script.transactional || read.dialect == Dialect::Sqlite {
        return None;
    }
    let foreign = |table: &str| !read.own.contains(table);
    let locked = read.acts.iter().flatten().find_map(|act| {
        locks::of_act(read.dialect, act)
            .into_iter()
            .find(|hold| hold.lock == Lock::AccessExclusive && foreign(&hold.table))
    })?;
    let (at, table) = read.acts.iter().enumerate().find_map(|(at, acts)| {
        acts.iter().find_map(|act| match act {
            Act::Update { table, .. }
            | Act::Delete { table, .. }
            | Act::Insert { table, from_query: true }
                if foreign(table) =>
            {
                Some((at, table.clone()))
            }
            _ => None,
        })
    })?;
    let message = format!(
        "rows of {table} are changed in the transaction that keeps {} from {}",
        locked.lock.keeps_out(),
        locked.table
    );
    Some(
        Found::new("backfill-with-schema", Level::Warning, at, message)
            .help("put the rows into a file of their own"),
    )
}

/// What one transaction locks at once, against what the server has room for.
fn too_many(read: &Read<'_>, sizes: &Sizes) -> Option<Found> {
    let max = sizes.max_locks.filter(|_| read.script.transactional)?;
    let locks: u64 = read
        .acts
        .iter()
        .flatten()
        .map(|act| match act {
            // The table, its outsized values, their index, its key.
            Act::CreateTable { .. } => 4,
            Act::CreateIndex { .. } | Act::Create { .. } => 1,
            Act::DropTable { .. } => 4,
            Act::Drop { .. } | Act::DropIndex { .. } => 1,
            other => u64::try_from(locks::of_act(read.dialect, other).len()).unwrap_or(0),
        })
        .sum();
    if locks.saturating_mul(2) < max {
        return None;
    }
    let level = if locks.saturating_mul(10) >= max.saturating_mul(9) {
        Level::Danger
    } else {
        Level::Warning
    };
    let message =
        format!("it locks about {locks} objects at once, and the server has room for {max}");
    Some(
        Found::new("too-many-objects", level, 0, message)
            .help("split the file, or raise `max_locks_per_transaction`"),
    )
}

/// A file without a transaction that could have one.
fn needless(read: &Read<'_>) -> Option<Found> {
    let schema_only = read.acts.iter().flatten().all(|act| {
        matches!(
            act,
            Act::CreateTable { .. }
                | Act::AddColumn(_)
                | Act::DropColumn { .. }
                | Act::RenameColumn { .. }
                | Act::RenameTable { .. }
                | Act::DropTable { .. }
                | Act::SetDefault { .. }
                | Act::AddRule(_)
                | Act::CreateIndex { concurrently: false, .. }
        )
    });
    let any = read.acts.iter().any(|acts| !acts.is_empty());
    (any && !read.script.transactional && schema_only).then(|| {
        Found::new(
            "needless-no-transaction",
            Level::Note,
            0,
            "every statement of it can run in a transaction",
        )
        .help("take `-- hive: no-transaction` away: a file that fails is then undone by itself")
    })
}
