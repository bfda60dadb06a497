//! The same statement is nothing on a small table, and an outage on a large one.

use super::own::Read;
use super::{Found, Level, Sizes, TableSize};
use crate::dialect::Dialect;
use crate::locks::{self, Hold, Work};
use crate::words;

/// How fast a table is written anew where nobody measured it, in bytes a second.
const REWRITE_RATE: u64 = 40_000_000;
/// How fast a table is read where nobody measured it, in bytes a second.
const SCAN_RATE: u64 = 200_000_000;
/// From how long on somebody notices, in milliseconds.
const NOTICED_MS: u64 = 200;
/// From how long on it hurts.
const HURTS_MS: u64 = 1000;

/// What takes long under a lock, and what waits for the longest transaction.
pub(super) fn find(read: &Read<'_>, sizes: &Sizes) -> Vec<Found> {
    let mut found = Vec::new();
    for (at, acts) in read.acts.iter().enumerate() {
        for act in acts {
            for hold in locks::of_act(read.dialect, act) {
                if read.own.contains(&hold.table) || !hold.lock.stops_writers() {
                    continue;
                }
                found.extend(heavy(read, sizes, &hold, at));
                found.extend(waits(sizes, &hold, at));
            }
        }
    }
    found
}

/// The size of a table, found under its name as the file writes it.
pub(super) fn size_of(sizes: &Sizes, dialect: Dialect, table: &str) -> Option<TableSize> {
    let same = |name: &str| match dialect {
        Dialect::Sqlite => name.eq_ignore_ascii_case(table),
        Dialect::Postgres => name == table,
    };
    let exact = sizes.tables.iter().find(|(name, _)| same(name));
    if let Some((_, size)) = exact {
        return Some(*size);
    }
    if table.contains('.') {
        return None;
    }
    if let Some(size) = sizes.tables.get(&format!("public.{table}")) {
        return Some(*size);
    }
    let tail = format!(".{table}");
    sizes.tables.iter().find(|(name, _)| name.ends_with(&tail)).map(|(_, size)| *size)
}

fn heavy(read: &Read<'_>, sizes: &Sizes, hold: &Hold, at: usize) -> Option<Found> {
    let size = size_of(sizes, read.dialect, &hold.table)?;
    let (rule, verb, measured, usual) = match hold.work {
        Work::Rewrite => ("large-rewrite", "written anew", sizes.rewrite_rate, REWRITE_RATE),
        Work::Scan => ("large-scan", "read", sizes.scan_rate, SCAN_RATE),
        Work::Rows | Work::Instant => return None,
    };
    let rate = measured.filter(|rate| *rate > 0).unwrap_or(usual);
    let ms = u64::try_from(u128::from(size.bytes) * 1000 / u128::from(rate)).unwrap_or(u64::MAX);
    if ms < NOTICED_MS {
        return None;
    }
    let level = if ms >= HURTS_MS { Level::Danger } else { Level::Warning };
    let message = format!(
        "{}: {} has {} in about {}, and is {verb} while {} wait: about {} at {} a second ({})",
        hold.what,
        hold.table,
        words::size(size.bytes),
        words::count(size.rows, "row"),
        hold.lock.keeps_out(),
        words::span(ms),
        words::size(rate),
        if measured.is_some() { "measured" } else { "assumed" },
    );
    Some(Found::new(rule, level, at, message).help(advice(read.dialect, hold)))
}

fn advice(dialect: Dialect, hold: &Hold) -> &'static str {
    match (dialect, hold.work) {
        (Dialect::Sqlite, _) => "run it in a window, or with `during = \"stopped\"`",
        (_, Work::Rewrite) => {
            "add a new column, fill it in portions, and drop the old one in a later release"
        }
        (_, _) if hold.what.contains("index") => {
            "build it with `CONCURRENTLY` in a file with `-- hive: no-transaction`"
        }
        _ => "add it `NOT VALID`, and validate it in the next file",
    }
}

fn waits(sizes: &Sizes, hold: &Hold, at: usize) -> Option<Found> {
    if sizes.longest_tx_ms < HURTS_MS {
        return None;
    }
    let message = format!(
        "{} on {} waits for the longest transaction, which runs for {}, and {} wait behind it",
        hold.lock,
        hold.table,
        words::span(sizes.longest_tx_ms),
        hold.lock.keeps_out(),
    );
    Some(
        Found::new("waits-for-transactions", Level::Note, at, message)
            .help("`lock_timeout` ends the wait, and hive tries the file again"),
    )
}
