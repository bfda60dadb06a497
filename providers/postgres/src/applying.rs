//! One file, up or down, in one transaction with its history, its facts and its token.

use crate::book::{self, Book};
use crate::delta::Delta;
use crate::desk::{Begun, Desk, Work};
use crate::lock::{Hold, Lock};
use crate::marking::{new_row, now_ms, write_mark};
use crate::piecewise;
use crate::script::line_of;
use crate::trouble::{invalid, refused, state};
use hive_contract::{Event, Failure, FailureKind, Outcome, Value};
use hive_sql::facts::changes;
use hive_sql::history::Applied;
use hive_sql::list::{BACKUP, DOWN, FILES, RAW, SCHEMA, migration_of};
use hive_sql::{Dialect, Migration, Script, Statement};
use std::time::Duration;
use tokio::time::Instant;
use tokio_postgres::Error;

/// One file and what is asked of it.
pub(crate) struct File {
    pub(crate) migration: Migration,
    pub(crate) down: bool,
    /// How long a statement may wait for a lock, in milliseconds.
    pub(crate) lock_timeout: i64,
    /// How often the whole is tried again.
    pub(crate) retries: u32,
}

impl File {
    fn read(desk: &Desk<'_>) -> Result<Self, Failure> {
        let payload = &desk.request.operation.payload;
        let number = |key: &str, usual| payload.get(key).and_then(Value::as_int).unwrap_or(usual);
        let migration = migration_of(Dialect::Postgres, payload.get(FILES))?;
        let down = desk.request.operation.verb == DOWN;
        if down && migration.down.script().is_none() {
            return Err(invalid(format!("`{}` has no down file", migration.name)));
        }
        Ok(Self {
            migration,
            down,
            lock_timeout: number("lock_timeout", 3_000).max(1),
            retries: u32::try_from(number("retries", 5)).unwrap_or_default(),
        })
    }

    pub(crate) fn script(&self) -> &Script {
        match (self.down, self.migration.down.script()) {
            (true, Some(down)) => down,
            _ => &self.migration.up,
        }
    }
}

pub(crate) async fn apply(desk: &Desk<'_>) -> Result<Outcome, Failure> {
    let file = File::read(desk)?;
    match file.script().transactional {
        true => whole(desk, &file).await,
        false => piecewise::apply(desk, &file).await,
    }
}

/// In one transaction, tried again as a whole where a lock was not given.
async fn whole(desk: &Desk<'_>, file: &File) -> Result<Outcome, Failure> {
    let mut lock = desk.lock(Hold::Alone).await?;
    let mut attempt = 0;
    loop {
        attempt += 1;
        let work = match desk.begin_with(lock).await? {
            Begun::Already(outcome) => return Ok(*outcome),
            Begun::Now(work) => *work,
        };
        match once(desk, file, work).await? {
            Tried::Done(outcome) => return Ok(*outcome),
            Tried::Locked(failure, again) => {
                wait(desk, file, attempt, *failure).await?;
                lock = *again;
            }
        }
    }
}

enum Tried {
    Done(Box<Outcome>),
    /// Rolled back: another session had a lock.
    Locked(Box<Failure>, Box<Lock>),
}

async fn once(desk: &Desk<'_>, file: &File, mut work: Work) -> Result<Tried, Failure> {
    desk.may_touch(desk.live(&work.book).as_ref())?;
    if is_there(desk, file, &work.book.history)? {
        let outcome = desk.outcome(&work.book);
        return Ok(Tried::Done(Box::new(desk.commit(work, outcome).await?)));
    }
    let limits =
        format!("SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = 0", file.lock_timeout);
    work.session.run("set the limits", &limits).await?;
    let started_ms = now_ms();
    let last = "SET CONSTRAINTS ALL IMMEDIATE";
    for (at, statement) in file.script().statements.iter().enumerate() {
        match work.session.try_rows("apply it", &statement.text, desk.left()).await? {
            Ok(_) => {}
            Err(error) if waits(&error) => {
                let failure = said(desk, file, at, statement, &error);
                return rolled_back(work, failure).await;
            }
            Err(error) => return Err(said(desk, file, at, statement, &error)),
        }
    }
    if let Err(error) = work.session.try_rows("check it", last, desk.left()).await? {
        let failure = refused(&desk.url.spot, "apply it", &error);
        if waits(&error) {
            return rolled_back(work, failure).await;
        }
        return Err(failure);
    }
    work.session.run("be oneself again", "RESET ROLE").await?;
    let mut row = new_row(desk, &file.migration);
    row.started_ms = started_ms;
    row.before = work.book.schema.fingerprint().to_owned();
    let delta = work.book.schema_again(&work.session).await?;
    check_rehearsed(desk, file, &work.book, &delta)?;
    finish(desk, file, &mut work, row, &delta).await?;
    let outcome = desk.outcome(&work.book);
    Ok(Tried::Done(Box::new(desk.commit(work, outcome).await?)))
}

async fn rolled_back(work: Work, failure: Failure) -> Result<Tried, Failure> {
    work.session.run("roll back", "ROLLBACK").await?;
    Ok(Tried::Locked(Box::new(failure), Box::new(work.lock)))
}

/// Whether the history has what the step would leave.
///
/// # Errors
/// It has something else.
pub(crate) fn is_there(desk: &Desk<'_>, file: &File, history: &[Applied]) -> Result<bool, Failure> {
    let name = &file.migration.name;
    let moved = |what: String| Failure::new(FailureKind::Moved, what);
    let spot = &desk.url.spot;
    match history.iter().find(|row| row.number() == file.migration.number) {
        None if file.down => Err(moved(format!("`{name}` is not applied in {spot}"))),
        None => Ok(false),
        Some(row) if row.name != *name => {
            Err(moved(format!("`{}` is applied in {spot} in place of `{name}`", row.name)))
        }
        Some(row) if row.is_half() => Ok(false),
        Some(_) if file.down => Ok(false),
        Some(row) if row.checksum == file.migration.up.checksum => Ok(true),
        Some(_) => Err(moved(format!("`{name}` is applied in {spot} with another content"))),
    }
}

/// The schema that a rehearsal found must be the one that is left here.
pub(crate) fn check_rehearsed(
    desk: &Desk<'_>,
    file: &File,
    book: &Book,
    delta: &Delta<String, String>,
) -> Result<(), Failure> {
    let expected = desk.request.operation.payload.get(SCHEMA).and_then(Value::as_text);
    let Some(expected) = expected.filter(|_| !file.down) else { return Ok(()) };
    let found = book.schema.fingerprint();
    if found == expected {
        return Ok(());
    }
    let what = format!(
        "`{}` leaves another schema here than in its rehearsal: expected {}, found {}",
        file.migration.name,
        &expected[..expected.len().min(8)],
        &found[..8]
    );
    let mut failure = Failure::new(FailureKind::Moved, what);
    for (object, is) in changes(&delta.before(), &delta.after()).into_iter().take(20) {
        failure = failure.diagnosis(format!("here it changes {object}: {is}"));
    }
    Err(failure.diagnosis("the file is not the same each time, or the live schema was another"))
}

/// Writes history, facts and mark in the transaction that is open. Of the facts only what the file
/// has changed is recorded: what somebody had changed by hand before stays visible.
pub(crate) async fn finish(
    desk: &Desk<'_>,
    file: &File,
    work: &mut Work,
    mut row: Applied,
    delta: &Delta<String, String>,
) -> Result<(), Failure> {
    let doing = "keep the history";
    let number = file.migration.number;
    if file.down {
        work.session.run(doing, &book::unhistory_sql(number)).await?;
        work.book.drop_history(number);
    } else {
        let payload = &desk.request.operation.payload;
        let word = |key: &str| payload.get(key).and_then(Value::as_text).map(str::to_owned);
        row.raw_checksum = word(RAW).unwrap_or(row.raw_checksum);
        row.backup = word(BACKUP);
        (row.applied, row.begun) = (row.total, row.total);
        row.finished_ms = Some(now_ms());
        row.error = None;
        row.error_statement = None;
        work.book.schema.fingerprint().clone_into(&mut row.after);
        work.session.run(doing, &book::history_sql(&row)).await?;
        work.book.put_history(row);
    }
    for sql in book::objects_sql(delta) {
        work.session.run("keep the schema", &sql).await?;
    }
    work.book.change_objects(delta);
    let mark = desk.request.mark.clone();
    write_mark(desk, work, Some(&mark)).await
}

/// Whether another session was in the way, so that the same again may work.
pub(crate) fn waits(error: &Error) -> bool {
    matches!(state(error), "55P03" | "40P01" | "40001")
}

/// A statement that was refused, with its place in the file.
pub(crate) fn said(
    desk: &Desk<'_>,
    file: &File,
    at: usize,
    statement: &Statement,
    error: &Error,
) -> Failure {
    let script = file.script();
    let line = line_of(statement, error);
    let mut failure = refused(&desk.url.spot, &format!("run {}:{line}", script.file), error);
    let first = statement.text.lines().next().unwrap_or_default();
    let shown: String = first.chars().take(160).collect();
    failure
        .diagnosis
        .insert(0, format!("statement {} of {}: {shown}", at + 1, script.statements.len()));
    failure
}

/// Waits before the whole is tried again: each time twice as long, and never two of us alike.
pub(crate) async fn wait(
    desk: &Desk<'_>,
    file: &File,
    attempt: u32,
    failure: Failure,
) -> Result<(), Failure> {
    if attempt > file.retries {
        let tries = format!("tried {attempt} times");
        return Err(failure.diagnosis(tries));
    }
    if desk.context.cancelled() {
        return Err(Failure { kind: FailureKind::Cancelled, retryable: false, ..failure });
    }
    let base = 500_u64.saturating_mul(1 << attempt.min(7)).min(60_000);
    let spread = now_ms().unsigned_abs() * 7_919 % base;
    let pause = Duration::from_millis(base / 2 + spread / 2);
    if Instant::now() + pause > desk.until {
        return Err(failure);
    }
    desk.context.event(Event::warning(format!(
        "{}; tried again in {}",
        failure.message,
        hive_sql::words::span(u64::try_from(pause.as_millis()).unwrap_or_default())
    )));
    tokio::time::sleep(pause).await;
    desk.context.guard.may_write()
}
