//! The names of databases that hive makes beside one of the stack's.

use crate::session::{ASKING, Session};
use crate::url::Url;
use crate::{desk, quote, session};
use hive_contract::{Failure, Fingerprint};

/// No name of PostgreSQL is longer, in bytes.
const LONGEST: usize = 63;

/// What names of databases that a restore has put aside begin with.
pub(crate) fn old_prefix(database: &str) -> String {
    prefixed(database, "_hive_old_")
}

/// The live one, put aside.
pub(crate) fn old(database: &str, key: &str) -> String {
    format!("{}{key}", old_prefix(database))
}

/// What names of databases that a restore makes beside begin with.
pub(crate) fn new_prefix(database: &str) -> String {
    prefixed(database, "_hive_new_")
}

/// The restored one, beside.
pub(crate) fn new(database: &str, key: &str) -> String {
    format!("{}{key}", new_prefix(database))
}

/// What names of copies begin with.
pub(crate) fn try_prefix(database: &str) -> String {
    prefixed(database, "_hive_try_")
}

/// A copy on which something is tried.
pub(crate) fn scratch(database: &str, key: &str) -> String {
    format!("{}{}", try_prefix(database), short(key))
}

/// Eight hex digits of anything.
pub(crate) fn short(text: &str) -> String {
    Fingerprint::of(text).as_str()[..8].to_owned()
}

/// A name that has room for eight more bytes. A long one keeps its beginning and eight digits of
/// its hash, so that two long ones stay two.
fn prefixed(database: &str, word: &str) -> String {
    let room = LONGEST - word.len() - 8;
    if database.len() <= room {
        return format!("{database}{word}");
    }
    let mut end = room - 9;
    while !database.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}~{}{word}", &database[..end], short(database))
}

/// Drops what whoever died has left beside a database under names that begin so, except what is in
/// use, and what has a note: a restore has called that whole.
///
/// # Errors
/// The server cannot be asked.
pub(crate) async fn sweep(url: &Url, prefix: &str) -> Result<(), Failure> {
    let outside = desk::outside(url, session::READER).await?;
    let sql = format!(
        "SELECT datname FROM pg_catalog.pg_database d WHERE pg_catalog.starts_with(datname, {}) \
         AND pg_catalog.shobj_description(d.oid, 'pg_database') IS NULL \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid)",
        quote::text(prefix)
    );
    for row in outside.rows("look for copies that were left", &sql, ASKING).await? {
        let name = row.said(0)?;
        let drop = format!("DROP DATABASE IF EXISTS {}", quote::name(name));
        // One that somebody has just begun to use stays: it is his to drop.
        let _ = outside.try_rows("drop a copy that was left", &drop, ASKING).await?;
    }
    Ok(())
}

/// Drops a database whoever is in it.
///
/// # Errors
/// The role may not, or the server is gone.
pub(crate) async fn drop_database(outside: &Session, name: &str) -> Result<(), Failure> {
    let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote::name(name));
    outside.run(&format!("drop `{name}`"), &sql).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_fits_and_two_stay_two() {
        let long = "x".repeat(62);
        let other = format!("{}y", "x".repeat(61));
        for name in ["shop", &long, &other, &"ü".repeat(31)] {
            for made in [old(name, "12345678"), new(name, "12345678"), scratch(name, "any")] {
                assert!(made.len() <= LONGEST, "{made}");
            }
        }
        assert_eq!(old("shop", "12345678"), "shop_hive_old_12345678");
        assert_ne!(new(&long, "12345678"), new(&other, "12345678"));
    }
}
