//! Who may write to a database's schema and bookkeeping: one hive at a time, and nobody during a
//! dump.

use crate::kept::{Kept, Worker};
use crate::session::{ASKING, Session};
use crate::trouble::taken;
use crate::url::Url;
use hive_contract::{Context, Event, Failure, FailureKind};
use std::time::Duration;
use tokio::time::Instant;

/// `hive` as a number: the first half of the key. Advisory locks are per database.
const CLASS: i64 = 0x6869_7665;
/// The second half.
const OBJECT: i64 = 1;

/// How a database is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Alone: whoever changes it.
    Alone,
    /// Beside others that only read: whoever dumps it.
    Shared,
}

/// A database that is held, on a session of its own that does nothing else: a statement of ours
/// never waits for a lock of ours.
pub(crate) struct Lock {
    session: Session,
    hold: Hold,
    /// The session that the step before has left.
    worker: Option<Worker>,
}

impl Lock {
    /// Takes the lock by asking again and again, never by waiting inside the server: a session that
    /// waits there holds a snapshot, which `CREATE INDEX CONCURRENTLY` in turn waits for. The
    /// sessions of the step before are used again where it left some.
    ///
    /// # Errors
    /// Somebody holds it until the deadline: who is said. Or a pooler is in between.
    pub(crate) async fn take(
        url: &Url,
        application: &str,
        hold: Hold,
        until: Instant,
        context: &Context<'_>,
        kept: Option<Kept>,
    ) -> Result<Self, Failure> {
        let (session, worker) = match kept {
            Some(Kept { holder, worker, .. }) => (holder, Some(worker)),
            None => {
                let session = Session::open(url, application).await?;
                refuse_pooler(url, &session, application).await?;
                (session, None)
            }
        };
        let sql = match hold {
            Hold::Alone => format!("SELECT pg_catalog.pg_try_advisory_lock({CLASS}, {OBJECT})"),
            Hold::Shared => {
                format!("SELECT pg_catalog.pg_try_advisory_lock_shared({CLASS}, {OBJECT})")
            }
        };
        let mut wait = Duration::from_millis(25);
        let mut told = false;
        loop {
            if session.row("take hive's lock", &sql).await?.truth(0)? {
                return Ok(Self { session, hold, worker });
            }
            if !told {
                told = true;
                let holder = holder(&session).await?;
                context.event(Event::warning(format!("{} is locked by {holder}", url.spot)));
            }
            if context.cancelled() {
                let what = format!("asked to stop while {} was locked", url.spot);
                return Err(Failure::new(FailureKind::Cancelled, what));
            }
            if Instant::now() + wait > until {
                let holder = holder(&session).await?;
                return Err(taken(format!("{} is locked by {holder}", url.spot)).retryable());
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(1));
        }
    }

    /// The session that the step before has left, with what it knows.
    pub(crate) fn worker(&mut self) -> Option<Worker> {
        self.worker.take()
    }

    /// Lets it go, and gives its session back.
    ///
    /// # Errors
    /// The server is gone.
    pub(crate) async fn let_go(self) -> Result<Session, Failure> {
        self.session
            .run("let hive's lock go", "SELECT pg_catalog.pg_advisory_unlock_all()")
            .await?;
        Ok(self.session)
    }

    /// Whether it is still held: asked right before what it protects is committed.
    ///
    /// # Errors
    /// It is not, or nobody knows.
    pub(crate) async fn holds(&self) -> Result<(), Failure> {
        let mode = match self.hold {
            Hold::Alone => "ExclusiveLock",
            Hold::Shared => "ShareLock",
        };
        let sql = format!(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks WHERE {} AND granted \
             AND pid = pg_catalog.pg_backend_pid() AND mode = '{mode}')",
            this_lock()
        );
        if self.session.row("look at hive's lock", &sql).await?.truth(0)? {
            return Ok(());
        }
        let what = format!("{} is no longer locked by this step", self.session.spot());
        Err(Failure::new(FailureKind::Unavailable, what).retryable())
    }
}

fn this_lock() -> String {
    format!(
        "locktype = 'advisory' AND classid = {CLASS} AND objid = {OBJECT} AND objsubid = 2 AND \
         database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"
    )
}

/// Who holds it, in words.
async fn holder(session: &Session) -> Result<String, Failure> {
    let sql = format!(
        "SELECT a.pid, a.application_name, a.usename, \
           pg_catalog.to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') \
         FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid) \
         WHERE l.granted AND {} ORDER BY a.backend_start",
        this_lock().replace("database =", "l.database =")
    );
    let rows = session.rows("ask who holds hive's lock", &sql, ASKING).await?;
    let words: Vec<String> = rows
        .iter()
        .map(|row| {
            let part = |column| row.text(column).unwrap_or_default();
            let (pid, application, user, since) = (part(0), part(1), part(2), part(3));
            format!("`{application}` of {user} (pid {pid}, connected since {since} UTC)")
        })
        .collect();
    Ok(match words.is_empty() {
        true => "a session that has just ended".to_owned(),
        false => words.join(", "),
    })
}

/// A pooler that gives a session's statements to whichever connection is free breaks a session's
/// lock: it would be left behind on a connection of the pool. Two sessions that are open side by
/// side are then one at the server, or one session is now this and now that.
async fn refuse_pooler(url: &Url, session: &Session, application: &str) -> Result<(), Failure> {
    let beside = Session::open(url, application).await?;
    let pids = [session.pid().await?, beside.pid().await?, session.pid().await?];
    if pids[0] == pids[2] && pids[0] != pids[1] {
        return Ok(());
    }
    let what = format!(
        "{} is behind a pooler that gives each transaction another connection: hive's lock would \
         be lost there",
        url.spot
    );
    Err(Failure::new(FailureKind::Invalid, what)
        .diagnosis("give the database a `direct_url` past the pooler"))
}
