//! One effect in one transaction, with its token in it.

use crate::books::{self, Ended};
use crate::held::{Held, Kept};
use crate::look;
use crate::open::absent;
use crate::site::Site;
use crate::trouble::trouble;
use crate::work::Lent;
use hive_contract::{Failure, FailureKind, Live, Observed, Outcome, Perform, Remains, Resolution};
use rusqlite::Connection;
use std::time::Duration;

/// One step on one database.
pub(crate) struct Step<'a> {
    pub(crate) kept: &'a Kept,
    pub(crate) site: &'a Site,
    pub(crate) request: &'a Perform,
    pub(crate) lent: &'a Lent,
    /// How long it waits for a lock.
    pub(crate) wait: Duration,
}

/// How long a step waits for a lock unless the stack says otherwise.
pub(crate) const WAIT_MS: u64 = 3_000;

impl Step<'_> {
    /// Runs `effect` and its token in one transaction, once: the second time it does nothing. What
    /// is live is compared with what is expected in that same transaction.
    ///
    /// # Errors
    /// As the effect says, or it cannot begin or end. Nothing was changed then.
    pub(crate) fn transact(
        &self,
        effect: impl FnOnce(&mut Held, Option<&Live>) -> Result<(), Failure>,
    ) -> Result<Outcome, Failure> {
        self.lent.may_write()?;
        let wait = self.wait.min(self.lent.left());
        let mut held = self.kept.take(self.site, wait)?.ok_or_else(|| absent(self.site))?;
        held.connection.progress_handler(2_000, Some(self.lent.watch()));
        self.sql(&held.connection, "begin a change of", "BEGIN IMMEDIATE")?;
        // Where anything fails the connection is dropped, and the transaction with it.
        if self.is_done(&held.connection)? {
            self.sql(&held.connection, "read", "ROLLBACK")?;
            return self.end(held);
        }
        books::prepare(&held.connection).map_err(|error| self.trouble("write", &error))?;
        books::check_format(&held.connection, &self.site.shown)?;
        let live = look::one(&mut held, self.site, self.request)?.live().cloned();
        self.request.check_expected(live.as_ref().map(|live| &live.fields))?;
        effect(&mut held, live.as_ref())?;
        self.record(&held.connection, Ended::Done)?;
        self.lent.may_write()?;
        if let Some(stopped) = self.lent.stopped() {
            return Err(stopped);
        }
        self.sql(&held.connection, "write", "COMMIT")?;
        self.end(held)
    }

    /// Whether this step has had its effect.
    fn is_done(&self, connection: &Connection) -> Result<bool, Failure> {
        if !books::exist(connection).map_err(|error| self.trouble("read", &error))? {
            return Ok(false);
        }
        match books::ended(connection, &self.request.token) {
            Ok(Some(Ended::Done)) => Ok(true),
            Ok(Some(Ended::Void)) => Err(given_up()),
            Ok(None) => Ok(false),
            Err(error) => Err(self.trouble("read", &error)),
        }
    }

    /// What is live now, from the thing itself.
    fn end(&self, mut held: Held) -> Result<Outcome, Failure> {
        held.connection.progress_handler(0, None::<fn() -> bool>);
        let unsure = |failure: Failure| failure.remains(Remains::Unsure);
        let observed = look::one(&mut held, self.site, self.request).map_err(unsure)?;
        self.kept.keep(self.site, held);
        Ok(outcome(observed))
    }

    /// Writes down how the step ended.
    pub(crate) fn record(&self, connection: &Connection, ended: Ended) -> Result<(), Failure> {
        let Perform { token, identity, operation, .. } = self.request;
        books::end(connection, token, identity, &operation.verb, ended)
            .map_err(|error| self.trouble("write", &error))
    }

    /// Runs one statement of hive's own.
    pub(crate) fn sql(
        &self,
        connection: &Connection,
        verb: &str,
        sql: &str,
    ) -> Result<(), Failure> {
        connection.execute_batch(sql).map_err(|error| self.trouble(verb, &error))
    }

    /// A failure of this step.
    pub(crate) fn trouble(&self, verb: &str, error: &rusqlite::Error) -> Failure {
        let failure = trouble(self.site, verb, error);
        match (self.lent.stopped(), failure.kind) {
            (Some(stopped), FailureKind::TimedOut) => stopped,
            (Some(stopped), FailureKind::Taken) => {
                Failure { message: format!("{}; {}", failure.message, stopped.message), ..stopped }
            }
            _ => failure,
        }
    }
}

/// The step was given up by a recovery.
pub(crate) fn given_up() -> Failure {
    Failure::new(
        FailureKind::Expired,
        "this step was given up by a recovery: its token may have no effect any more",
    )
}

/// What somebody else holds is left alone.
///
/// # Errors
/// It carries another mark than the step's.
pub(crate) fn only_ours(request: &Perform, live: Option<&Live>) -> Result<(), Failure> {
    match live.and_then(|live| live.mark.as_ref()) {
        Some(theirs) if *theirs != request.mark => Err(Failure::new(
            FailureKind::Taken,
            format!("`{}` belongs to somebody else: it is {theirs}", request.identity),
        )),
        _ => Ok(()),
    }
}

/// What came of a step, by what is live.
pub(crate) fn outcome(observed: Observed) -> Outcome {
    match observed {
        Observed::Present(live) => Outcome::live(live),
        Observed::Absent => Outcome::nothing(),
    }
}

/// What became of a step whose whole effect is one transaction; where it had none, it may have none
/// any more.
///
/// # Errors
/// The database cannot be read or written now.
pub(crate) fn resolve(step: &Step<'_>) -> Result<Option<Resolution>, Failure> {
    let Some(mut held) = step.kept.take(step.site, step.wait)? else { return Ok(None) };
    step.sql(&held.connection, "recover", "BEGIN IMMEDIATE")?;
    let bad = |error: rusqlite::Error| trouble(step.site, "recover", &error);
    books::prepare(&held.connection).map_err(bad)?;
    books::check_format(&held.connection, &step.site.shown)?;
    let ended = books::ended(&held.connection, &step.request.token).map_err(bad)?;
    let observed = look::one(&mut held, step.site, step.request)?;
    let fields = observed.live().map(|live| &live.fields);
    let resolution = match ended {
        Some(Ended::Done) => Resolution::Done(outcome(observed)),
        Some(Ended::Void) => Resolution::NotStarted { sealed: true },
        None if step.request.check_expected(fields).is_ok() => {
            step.record(&held.connection, Ended::Void)?;
            Resolution::NotStarted { sealed: true }
        }
        None => Resolution::Foreign { found: found(step, observed.live()) },
    };
    step.sql(&held.connection, "recover", "COMMIT")?;
    Ok(Some(resolution))
}

fn found(step: &Step<'_>, live: Option<&Live>) -> String {
    let identity = &step.request.identity;
    match live {
        None => format!("`{identity}` is not there"),
        Some(live) => {
            let whose = live.mark.as_ref().map_or("nobody's".to_owned(), ToString::to_string);
            let summary = &live.status.summary;
            format!("`{identity}` ({summary}) is neither the old nor the new one: it is {whose}")
        }
    }
}
