//! Another tool's history, which a declared baseline takes over: read for a plan, and read again by
//! the step.

use crate::MIGRATIONS;
use crate::book::Book;
use crate::session::{ASKING, Session};
use crate::trouble::{refused, state};
use hive_contract::{Failure, Fields, Value};
use hive_sql::Dialect;
use hive_sql::foreign::{Row, Tool};

/// The key of a list's access that says what was applied before hive came.
pub(crate) const BASELINE: &str = "baseline";

/// The tool that a list's access names.
pub(crate) fn tool(of: &Fields) -> Option<Tool> {
    let tool = of.get(BASELINE)?.as_map()?.get("tool").and_then(Value::as_text);
    tool.and_then(Tool::parse)
}

/// Whether hive has taken that history over already: the list that it was for has let go of it, and
/// hive's own stayed.
pub(crate) fn is_left(of: &Fields, book: &Book) -> bool {
    let marked = book.marks.iter().any(|it| it.kind == MIGRATIONS);
    tool(of).is_some() && !marked && !book.history.is_empty()
}

/// The rows that a tool has written, found on the search path of the role; none where its table is
/// not there.
///
/// # Errors
/// The role may not read it, or it is no table of that tool.
pub(crate) async fn read(session: &Session, tool: Tool) -> Result<Option<Vec<Row>>, Failure> {
    let doing = format!("read the history of {tool} in `{}`", tool.table());
    let rows = match session.try_rows(&doing, tool.query(Dialect::Postgres), ASKING).await? {
        Ok(rows) => rows,
        Err(error) if state(&error) == "42P01" => return Ok(None),
        Err(error) => return Err(refused(session.spot(), &doing, &error)),
    };
    let row = |row: &crate::session::Row| Ok(Row::of_texts(row.said(0)?, row.said(1)?));
    rows.iter().map(row).collect::<Result<_, Failure>>().map(Some)
}
