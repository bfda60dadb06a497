//! A file that cannot run in one transaction: statement by statement, each with its progress, so
//! that it goes on where it was cut off.

use crate::applying::{File, check_rehearsed, finish, is_there, said, wait, waits};
use crate::book;
use crate::delta::Delta;
use crate::desk::{Begun, Desk, Work};
use crate::index::{self, Concurrent};
use crate::lock::{Hold, Lock};
use crate::marking::new_row;
use crate::perform::remains;
use crate::quote;
use crate::session::{Session, called, end_all};
use crate::stepped::{self, Stepped};
use crate::trouble::{is_lost, state};
use hive_contract::{Failure, FailureKind, Outcome, Remains, Token};
use hive_sql::history::Applied;
use hive_sql::{Statement, applied_so_far};

/// How far the file is.
struct Progress {
    /// Statements that are known to be done.
    applied: u32,
    /// Statements that were sent.
    begun: u32,
}

pub(crate) async fn apply(desk: &Desk<'_>, file: &File) -> Result<Outcome, Failure> {
    let lock = desk.lock(Hold::Alone).await?;
    let (progress, row, lock) = match begin(desk, file, lock).await? {
        Start::Already(outcome) => return Ok(*outcome),
        Start::From(progress, row, lock) => (progress, row, lock),
    };
    let session = Session::open(desk.url, &desk.application()).await?;
    if let Err(failure) = statements(desk, file, &session, progress).await {
        drop((session, lock));
        let left = remains(desk).await;
        return Err(failure.remains(left));
    }
    drop(session);
    end(desk, file, *row, *lock).await
}

enum Start {
    Already(Box<Outcome>),
    From(Progress, Box<Applied>, Box<Lock>),
}

/// Writes down that the file is about to run, in a transaction of its own.
async fn begin(desk: &Desk<'_>, file: &File, lock: Lock) -> Result<Start, Failure> {
    let work = match desk.begin_with(lock).await? {
        Begun::Already(outcome) => return Ok(Start::Already(outcome)),
        Begun::Now(work) => *work,
    };
    let known = stepped::stepped(&work.session, &desk.request.token).await?;
    let number = file.migration.number;
    let there = work.book.history.iter().find(|row| row.number() == number).cloned();
    if let Stepped::Begun { applied, begun } = known {
        work.session.run("go on", "COMMIT").await?;
        let row = there.unwrap_or_else(|| new_row(desk, &file.migration));
        return Ok(Start::From(Progress { applied, begun }, Box::new(row), Box::new(work.lock)));
    }
    desk.may_touch(desk.live(&work.book).as_ref())?;
    if is_there(desk, file, &work.book.history)? {
        let outcome = desk.outcome(&work.book);
        return Ok(Start::Already(Box::new(desk.commit(work, outcome).await?)));
    }
    let mut row = new_row(desk, &file.migration);
    work.book.schema.fingerprint().clone_into(&mut row.before);
    let mut progress = Progress { applied: 0, begun: 0 };
    if let Some(half) = there.filter(|it| it.is_half()) {
        // Whatever an earlier step had sent ends before anything of it is looked at.
        end_all(&work.session, &called(&Token::from_text(&half.token))).await?;
        if !file.down {
            let sent = if half.error.is_some() { half.applied } else { half.begun };
            progress = Progress { applied: half.applied, begun: sent };
        }
        row.started_ms = half.started_ms;
        row.before = half.before;
    }
    (row.applied, row.begun) = (progress.applied, progress.begun);
    let doing = "write down that the file begins";
    if !file.down {
        work.session.run(doing, &book::history_sql(&row)).await?;
    }
    let verb = &desk.request.operation.verb;
    work.session.run(doing, &stepped::begun_sql(&desk.request.token, verb)).await?;
    let at = stepped::progress_sql(&desk.request.token, progress.applied, progress.begun);
    work.session.run(doing, &at).await?;
    let mark = book::mark_sql(
        &desk.request.identity,
        desk.kind(),
        Some(&desk.request.mark),
        &desk.request.token,
    );
    work.session.run(doing, &mark).await?;
    desk.context.guard.may_write()?;
    work.session.run(doing, "COMMIT").await?;
    Ok(Start::From(progress, Box::new(row), Box::new(work.lock)))
}

/// Runs what is left of the file.
async fn statements(
    desk: &Desk<'_>,
    file: &File,
    session: &Session,
    mut progress: Progress,
) -> Result<(), Failure> {
    let all = &file.script().statements;
    if progress.begun > progress.applied {
        let at = usize::try_from(progress.applied).unwrap_or(usize::MAX);
        if let Some(statement) = all.get(at)
            && is_done(desk, file, session, at, statement).await?
        {
            progress.applied += 1;
            write_progress(desk, file, session, &progress).await?;
        }
    }
    let from = usize::try_from(progress.applied).unwrap_or(usize::MAX);
    for (at, statement) in all.iter().enumerate().skip(from) {
        if desk.context.cancelled() {
            let what = format!("asked to stop in front of statement {} of {}", at + 1, all.len());
            return Err(Failure::new(FailureKind::Cancelled, what));
        }
        one(desk, file, session, at, statement).await?;
    }
    Ok(())
}

/// One statement: in a transaction with its progress where it can run in one, else alone.
async fn one(
    desk: &Desk<'_>,
    file: &File,
    session: &Session,
    at: usize,
    statement: &Statement,
) -> Result<(), Failure> {
    let number = u32::try_from(at).unwrap_or(u32::MAX);
    let mut attempt = 0;
    loop {
        attempt += 1;
        desk.context.guard.may_write()?;
        let error = match inside(desk, file, session, statement, number).await? {
            Inside::Done => return Ok(()),
            Inside::Alone => match alone(desk, file, session, statement, number).await? {
                Ok(()) => return Ok(()),
                Err(error) => error,
            },
            Inside::Refused(error) => error,
        };
        let failure = said(desk, file, at, statement, &error);
        if waits(&error) {
            let waited = wait(desk, file, attempt, failure).await;
            if let Err(failure) = waited {
                return Err(failed(desk, file, session, number, failure).await);
            }
            continue;
        }
        if is_lost(&error) {
            return Err(failure);
        }
        return Err(failed(desk, file, session, number, failure).await);
    }
}

enum Inside {
    Done,
    /// It cannot run in a transaction.
    Alone,
    Refused(tokio_postgres::Error),
}

async fn inside(
    desk: &Desk<'_>,
    file: &File,
    session: &Session,
    statement: &Statement,
    number: u32,
) -> Result<Inside, Failure> {
    let doing = "apply a statement";
    let begin = format!("BEGIN; SET LOCAL lock_timeout = {}", file.lock_timeout);
    session.run(doing, &begin).await?;
    match session.try_rows(doing, &statement.text, desk.left()).await? {
        Ok(_) => {
            let progress = Progress { applied: number + 1, begun: number + 1 };
            session.run(doing, "RESET ROLE").await?;
            session.run(doing, &progress_sql(desk, file, &progress)).await?;
            match session.try_rows(doing, "COMMIT", desk.left()).await? {
                Ok(_) => Ok(Inside::Done),
                Err(error) => Ok(Inside::Refused(error)),
            }
        }
        Err(error) => {
            let cannot = matches!(state(&error), "25001" | "2D000");
            if !is_lost(&error) {
                session.run(doing, "ROLLBACK").await?;
            }
            Ok(if cannot { Inside::Alone } else { Inside::Refused(error) })
        }
    }
}

/// Outside of a transaction: what was sent is written down before, and that it is done behind it.
async fn alone(
    desk: &Desk<'_>,
    file: &File,
    session: &Session,
    statement: &Statement,
    number: u32,
) -> Result<Result<(), tokio_postgres::Error>, Failure> {
    let doing = "apply a statement";
    let concurrent = index::of(&statement.text);
    if let Some(made) = &concurrent {
        index::drop_carcass(session, made, desk.left()).await?;
    }
    write_progress(desk, file, session, &Progress { applied: number, begun: number + 1 }).await?;
    // What builds beside others waits for old snapshots under the same limit: give it more.
    let patience = match concurrent {
        Some(_) => file.lock_timeout.saturating_mul(20),
        None => file.lock_timeout,
    };
    session.run(doing, &format!("SET lock_timeout = {patience}")).await?;
    let ended = session.try_rows(doing, &statement.text, desk.left()).await?;
    if ended.as_ref().is_err_and(is_lost) {
        return Ok(ended.map(|_| ()));
    }
    session.run(doing, "RESET lock_timeout").await?;
    if let Some(made) = &concurrent {
        if let Err(error) = ended {
            index::drop_carcass(session, made, desk.left()).await?;
            return Ok(Err(error));
        }
        if !index::is_valid(session, made).await? {
            index::drop_carcass(session, made, desk.left()).await?;
            let what = format!("{} was made and is not valid", made.shown());
            return Err(Failure::new(FailureKind::Unhealthy, what));
        }
    }
    if ended.is_ok() {
        let done = Progress { applied: number + 1, begun: number + 1 };
        write_progress(desk, file, session, &done).await?;
    }
    Ok(ended.map(|_| ()))
}

/// Whether a statement whose end nobody saw is done. What ran in a transaction has its progress in
/// it, so this is about the few that cannot.
async fn is_done(
    desk: &Desk<'_>,
    file: &File,
    session: &Session,
    at: usize,
    statement: &Statement,
) -> Result<bool, Failure> {
    if let Some(made) = index::of(&statement.text) {
        return match made {
            Concurrent::Create { .. } => {
                Ok(index::is_there(session, &made).await?
                    && index::is_valid(session, &made).await?)
            }
            Concurrent::Drop { .. } => Ok(!index::is_there(session, &made).await?),
        };
    }
    if index::is_harmless_again(&statement.text) {
        return Ok(false);
    }
    let what = format!(
        "whether statement {} of {} (line {}) is done is not known: the connection was lost in it",
        at + 1,
        file.script().statements.len(),
        statement.line
    );
    let advice = format!(
        "look into {} and, where it is done, set `applied` of `{}` in hive.migrations to {}",
        desk.url.spot,
        file.migration.name,
        at + 1
    );
    Err(Failure::new(FailureKind::Malformed, what).diagnosis(advice))
}

async fn write_progress(
    desk: &Desk<'_>,
    file: &File,
    session: &Session,
    progress: &Progress,
) -> Result<(), Failure> {
    session.run("write down the progress", &progress_sql(desk, file, progress)).await
}

fn progress_sql(desk: &Desk<'_>, file: &File, progress: &Progress) -> String {
    let Progress { applied, begun } = progress;
    let steps = stepped::progress_sql(&desk.request.token, *applied, *begun);
    if file.down {
        return steps;
    }
    format!(
        "{steps}; UPDATE hive.migrations SET applied = {applied}, begun = {begun} \
         WHERE number = {}",
        file.migration.number
    )
}

/// Writes down that a statement was refused, and so had no effect.
async fn failed(
    desk: &Desk<'_>,
    file: &File,
    session: &Session,
    number: u32,
    failure: Failure,
) -> Failure {
    let progress = progress_sql(desk, file, &Progress { applied: number, begun: number });
    let error = format!(
        "UPDATE hive.migrations SET error = {}, error_statement = {number} WHERE number = {}",
        quote::text(&failure.message),
        file.migration.number
    );
    let sql = if file.down { progress } else { format!("{progress}; {error}") };
    let total = u32::try_from(file.script().statements.len()).unwrap_or(u32::MAX);
    let failure = match file.down {
        true => failure,
        false => failure.diagnosis(applied_so_far(&file.migration.name, number, total)),
    };
    match session.run("write down the failure", &sql).await {
        Ok(()) => failure,
        Err(unknown) => failure.diagnosis(unknown.message).remains(Remains::Unsure),
    }
}

/// Ends the file in a transaction with its facts and its token.
async fn end(
    desk: &Desk<'_>,
    file: &File,
    mut row: Applied,
    lock: Lock,
) -> Result<Outcome, Failure> {
    let mut work: Work = match desk.begin_with(lock).await? {
        Begun::Already(outcome) => return Ok(*outcome),
        Begun::Now(work) => *work,
    };
    // The schema before it is gone: what it was made of is what was recorded.
    let delta = Delta::between(&work.book.objects, work.book.schema.facts());
    check_rehearsed(desk, file, &work.book, &delta)
        .map_err(|failure| failure.remains(Remains::Unsure))?;
    if row.before.is_empty() {
        row.before = hive_sql::facts::fingerprint(&work.book.objects);
    }
    finish(desk, file, &mut work, row, &delta).await?;
    let outcome = desk.outcome(&work.book);
    desk.commit(work, outcome).await
}
