//! Whether a restore may take the place of a database that is nobody's.

use crate::book::{self, Book, Want};
use crate::session::{ASKING, Session};
use crate::trouble::taken;
use hive_contract::Failure;
use hive_sql::words::first_of;

/// What somebody has put into a database, but for what extensions brought and what is hive's.
const HELD: &str = "WITH ns AS (SELECT n.oid, n.nspname FROM pg_catalog.pg_namespace n \
      WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'hive')), \
    ext AS (SELECT d.classid, d.objid FROM pg_catalog.pg_depend d WHERE d.deptype = 'e') \
    SELECT CASE c.relkind WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view ' \
        WHEN 'S' THEN 'sequence ' ELSE 'table ' END \
        || pg_catalog.format('`%I.%I`', ns.nspname, c.relname) \
      FROM pg_catalog.pg_class c JOIN ns ON ns.oid = c.relnamespace \
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND NOT EXISTS (SELECT FROM ext \
        WHERE ext.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND ext.objid = c.oid) \
    UNION ALL SELECT 'function ' || pg_catalog.format('`%I.%I`', ns.nspname, p.proname) \
      FROM pg_catalog.pg_proc p JOIN ns ON ns.oid = p.pronamespace WHERE NOT EXISTS (SELECT FROM ext \
        WHERE ext.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND ext.objid = p.oid) \
    UNION ALL SELECT 'type ' || pg_catalog.format('`%I.%I`', ns.nspname, t.typname) \
      FROM pg_catalog.pg_type t JOIN ns ON ns.oid = t.typnamespace \
      WHERE t.typtype IN ('d', 'e') AND NOT EXISTS (SELECT FROM ext \
        WHERE ext.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND ext.objid = t.oid) \
    UNION ALL SELECT 'large object ' || l.oid::text FROM pg_catalog.pg_largeobject_metadata l \
    ORDER BY 1";

/// Refuses a database that is nobody's and holds something.
///
/// # Errors
/// It holds something, which is named, or cannot be read.
pub(crate) async fn check(session: &Session) -> Result<(), Failure> {
    let doing = "look what is in the database";
    let rows = session.rows(doing, HELD, ASKING).await?;
    let mut holds: Vec<String> =
        rows.iter().filter_map(|row| row.text(0)).map(str::to_owned).collect();
    if book::is_installed(session).await? {
        let marks = Book::read(session, Want::Marks).await?.marks;
        let marks = marks.iter().filter_map(book::MarkRow::mark);
        holds.extend(marks.map(|it| format!("the mark of {it}")));
    }
    if holds.is_empty() {
        return Ok(());
    }
    let spot = session.spot();
    let what = format!(
        "{spot} is there, is not known as the one that is to be restored, and holds {}",
        first_of(&holds, 5)
    );
    Err(taken(what).diagnosis(format!(
        "a restore takes the place of an empty database alone: `ALTER DATABASE {} RENAME TO …` and \
         ask again, or `hive apply --replace` the database and go on with what is in it",
        spot.database
    )))
}
