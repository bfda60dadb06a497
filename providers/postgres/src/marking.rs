//! Marks: set, taken off, and what comes with them.

use crate::DATABASE;
use crate::book::{self, Book};
use crate::delta::Delta;
use crate::desk::{Begun, Desk, Work, outside};
use crate::session::{ASKING, Session};
use crate::steps::{GONE, MARK};
use crate::trouble::{invalid, refused, state, taken};
use crate::{foreign, live, quote};
use hive_contract::{Failure, FailureKind, Mark, Outcome, Value};
use hive_sql::foreign::rows_value;
use hive_sql::history::Applied;
use hive_sql::list::{FOREIGN, rows_of};
use std::time::{SystemTime, UNIX_EPOCH};

/// Takes a database, and makes it first where it may.
pub(crate) async fn claim(desk: &Desk<'_>) -> Result<Outcome, Failure> {
    if desk.of.get("create").and_then(Value::as_bool) == Some(true) {
        make_database(desk).await?;
    }
    let work = match begin(desk).await? {
        Begun::Already(outcome) => return Ok(*outcome),
        Begun::Now(work) => work,
    };
    set_mark(desk, *work).await
}

/// Makes the database where it is not there. It is empty and not hive's until it is marked.
pub(crate) async fn make_database(desk: &Desk<'_>) -> Result<(), Failure> {
    match Session::try_open(desk.url, &desk.application()).await? {
        Ok(_) => return Ok(()),
        Err(error) if state(&error) == "3D000" => {}
        Err(error) => return Err(refused(&desk.url.spot, "connect", &error)),
    }
    let name = &desk.url.spot.database;
    let session = outside(desk.url, &desk.application()).await?;
    desk.context.guard.may_write()?;
    let sql = format!("CREATE DATABASE {}", quote::name(name));
    match session.try_rows("make the database", &sql, ASKING).await? {
        Ok(_) => Ok(()),
        // Somebody else was as quick.
        Err(error) if matches!(state(&error), "42P04" | "23505") => Ok(()),
        Err(error) => {
            let failure = refused(&desk.url.spot, "make the database", &error);
            let advice = "give the role `CREATEDB`, or make the database and say `create = false`";
            Err(match failure.kind {
                FailureKind::Forbidden => failure.diagnosis(advice),
                _ => failure,
            })
        }
    }
}

/// Sets the mark of this step, and takes over what another tool or a person has applied.
pub(crate) async fn baseline(desk: &Desk<'_>) -> Result<Outcome, Failure> {
    let mut work = match desk.begin().await? {
        Begun::Already(outcome) => return Ok(*outcome),
        Begun::Now(work) => work,
    };
    still_says(desk, &work).await?;
    let identity = &desk.request.identity;
    let kind = desk.kind();
    if let Some(other) =
        work.book.marks.iter().find(|it| it.kind == kind && it.identity != *identity)
    {
        let what = format!(
            "{} has a history already: that of `{}`, and a database has one",
            desk.url.spot, other.identity
        );
        return Err(taken(what));
    }
    if work.book.history.is_empty() {
        take_over(desk, &mut work).await?;
        // What is there now is the start; what changes from here on has a file, or is drift.
        keep_schema(&mut work).await?;
    }
    set_mark(desk, *work).await
}

/// Refuses what is not as the plan saw it: also the history that it was made from.
async fn still_says(desk: &Desk<'_>, work: &Work) -> Result<(), Failure> {
    let planned = desk.request.operation.payload.get(FOREIGN);
    let mut live = desk.live(&work.book);
    if let (Some(planned), None, Some(tool)) = (planned, &live, foreign::tool(desk.of)) {
        let rows = foreign::read(&work.session, tool).await?;
        if rows.as_ref().map(|it| rows_value(it)).as_ref() != Some(planned) {
            let what = format!(
                "the history of {tool} in {} is not what the plan saw: somebody has migrated since",
                desk.url.spot
            );
            return Err(Failure::new(FailureKind::Moved, what));
        }
        live = rows.map(|rows| live::foreign(&desk.request.identity, tool, &rows));
    }
    desk.may_touch(live.as_ref())
}

/// Writes history rows for what is applied already.
async fn take_over(desk: &Desk<'_>, work: &mut Work) -> Result<(), Failure> {
    let schema = work.book.schema.fingerprint().to_owned();
    let now = now_ms();
    for row in rows(desk)? {
        let row = Applied {
            finished_ms: Some(now),
            before: schema.clone(),
            after: schema.clone(),
            ..row.by(desk.request, now)
        };
        work.session.run("take over the history", &book::history_sql(&row)).await?;
        work.book.put_history(row);
    }
    Ok(())
}

/// A row of the history that this step is about to write.
pub(crate) fn new_row(desk: &Desk<'_>, migration: &hive_sql::Migration) -> Applied {
    Applied::of(migration).by(desk.request, now_ms())
}

/// Milliseconds since 1970, by this machine's clock: told to people, decided by nobody.
#[expect(clippy::disallowed_methods, reason = "the history says when, and no clock is lent here")]
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Sets the mark, this step's own or the one that an undo brings back.
pub(crate) async fn adopt(desk: &Desk<'_>) -> Result<Outcome, Failure> {
    let mut work = match desk.begin().await? {
        Begun::Already(outcome) => return Ok(*outcome),
        Begun::Now(work) => work,
    };
    let live = desk.live(&work.book);
    desk.request.check_expected(live.as_ref().map(|it| &it.fields))?;
    let mark = match desk.request.operation.payload.get(MARK) {
        None => desk.request.mark.clone(),
        Some(value) => Mark::from_value(value).ok_or_else(|| invalid("the mark makes no sense"))?,
    };
    write_mark(desk, &mut work, Some(&mark)).await?;
    let outcome = desk.outcome(&work.book);
    desk.commit(*work, outcome).await
}

/// Takes the mark off; with `gone`, its row too, so that nothing is seen any more.
pub(crate) async fn release(desk: &Desk<'_>) -> Result<Outcome, Failure> {
    let mut work = match desk.begin().await? {
        Begun::Already(outcome) => return Ok(*outcome),
        Begun::Now(work) => work,
    };
    desk.may_touch(desk.live(&work.book).as_ref())?;
    let gone = desk.request.operation.payload.get(GONE).and_then(Value::as_bool);
    if gone == Some(true) {
        let identity = &desk.request.identity;
        work.session.run("take the mark off", &book::unmark_sql(identity)).await?;
        work.book.marks.retain(|it| it.identity != *identity);
    } else {
        write_mark(desk, &mut work, None).await?;
    }
    let mut outcome = desk.outcome(&work.book);
    if gone == Some(true) && desk.kind() == DATABASE {
        let name = &desk.url.spot.database;
        outcome.kept = format!("`{name}` stays with what is in it, and is nobody's");
    }
    desk.commit(*work, outcome).await
}

/// Takes the schema as it is, and the files as they are now, for what the last migration left.
pub(crate) async fn accept(desk: &Desk<'_>) -> Result<Outcome, Failure> {
    let mut work = match begin(desk).await? {
        Begun::Already(outcome) => return Ok(*outcome),
        Begun::Now(work) => work,
    };
    keep_files(desk, &mut work).await?;
    keep_schema(&mut work).await?;
    set_mark(desk, *work).await
}

/// Keeps the checksums of applied files that only say the same in other words.
async fn keep_files(desk: &Desk<'_>, work: &mut Work) -> Result<(), Failure> {
    for file in rows(desk)? {
        let row = work.book.history.iter().find(|row| row.number() == file.number()).cloned();
        let row = row.filter(|row| row.statements == file.statements).ok_or_else(|| {
            let what = format!("`{}` is not applied, or says something else now", file.name);
            Failure::new(FailureKind::Moved, what)
        })?;
        let row = Applied { checksum: file.checksum, raw_checksum: file.raw_checksum, ..row };
        work.session.run("keep the checksum", &book::history_sql(&row)).await?;
        work.book.put_history(row);
    }
    Ok(())
}

/// The rows that the step is about.
fn rows(desk: &Desk<'_>) -> Result<Vec<Applied>, Failure> {
    let rows = rows_of(&desk.request.operation.payload);
    rows.ok_or_else(|| invalid("the operation's rows make no sense"))
}

/// Keeps the schema that is there as the one that was left.
async fn keep_schema(work: &mut Work) -> Result<(), Failure> {
    let delta = Delta::between(&work.book.objects, work.book.schema.facts());
    for sql in book::objects_sql(&delta) {
        work.session.run("keep the schema", &sql).await?;
    }
    work.book.change_objects(&delta);
    Ok(())
}

/// Begins, and refuses what is not as the plan saw it.
async fn begin(desk: &Desk<'_>) -> Result<Begun, Failure> {
    let begun = desk.begin().await?;
    if let Begun::Now(work) = &begun {
        desk.may_touch(desk.live(&work.book).as_ref())?;
    }
    Ok(begun)
}

/// Sets this step's mark and ends the step.
async fn set_mark(desk: &Desk<'_>, mut work: Work) -> Result<Outcome, Failure> {
    let mark = desk.request.mark.clone();
    write_mark(desk, &mut work, Some(&mark)).await?;
    let outcome = desk.outcome(&work.book);
    desk.commit(work, outcome).await
}

pub(crate) async fn write_mark(
    desk: &Desk<'_>,
    work: &mut Work,
    mark: Option<&Mark>,
) -> Result<(), Failure> {
    let identity = &desk.request.identity;
    let sql = book::mark_sql(identity, desk.kind(), mark, &desk.request.token);
    work.session.run("mark it", &sql).await?;
    let marks = Book::read(&work.session, book::Want::Marks).await?.marks;
    work.book.marks = marks;
    Ok(())
}
