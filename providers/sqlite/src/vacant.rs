//! Whether a restore may take the place of a file that is nobody's.

use crate::books;
use crate::look::unreadable;
use crate::site::Site;
use hive_contract::{Failure, FailureKind};
use hive_sql::words::first_of;
use rusqlite::Connection;

/// Refuses a file that is nobody's and holds something.
///
/// # Errors
/// It holds something, which is named, or cannot be read.
pub(crate) fn check(connection: &Connection, site: &Site) -> Result<(), Failure> {
    let bad = |error: rusqlite::Error| unreadable(site, &error);
    let mut holds = tables(connection).map_err(bad)?;
    if books::exist(connection).map_err(bad)? {
        books::check_format(connection, &site.shown)?;
        let marks = books::all_marked(connection).map_err(bad)?;
        let marks = marks.into_iter().filter_map(|it| it.mark);
        holds.extend(marks.map(|it| format!("the mark of {it}")));
    }
    if holds.is_empty() {
        return Ok(());
    }
    let what = format!(
        "`{}` is there, is not known as the one that is to be restored, and holds {}",
        site.shown,
        first_of(&holds, 5)
    );
    Err(Failure::new(FailureKind::Taken, what).diagnosis(
        "a restore takes the place of an empty file alone: move this one away and ask again, or \
         `hive apply --replace` the database and go on with what is in it",
    ))
}

/// What is not hive's own.
fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'view') \
               AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
    let mut found = Vec::new();
    for row in rows {
        let (sort, name): (String, String) = row?;
        if !books::is_own(&name) {
            found.push(format!("{sort} `{name}`"));
        }
    }
    Ok(found)
}
