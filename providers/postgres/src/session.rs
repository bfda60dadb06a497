//! One session: statements with limits, and an end that is certain.

use crate::tls;
use crate::trouble::{malformed, refused};
use crate::url::{Spot, Tls, Url};
use hive_contract::{Failure, FailureKind, Token};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_postgres::{CancelToken, Client, Error, NoTls, SimpleQueryMessage, SimpleQueryRow};

/// How long a question about the catalogue or the bookkeeping may take.
pub(crate) const ASKING: Duration = Duration::from_secs(60);
/// How long a connection with its login may take.
const LOGIN: Duration = Duration::from_secs(20);
/// How long a session that was ended may go on being seen.
const ENDING: Duration = Duration::from_secs(20);

/// What hive's sessions are called where no step has begun.
pub(crate) const READER: &str = "hive";

/// What the sessions of a step are called, so that whoever resolves it finds them.
pub(crate) fn called(token: &Token) -> String {
    format!("hive {token}")
}

/// A connection of our own. Dropped, it is closed; what it had sent may still be running.
pub(crate) struct Session {
    client: Client,
    spot: Spot,
    tls: Tls,
    task: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Session {
    /// Connects. `application` is what the server's lists of sessions show.
    ///
    /// # Errors
    /// Whatever keeps us out, told apart.
    pub(crate) async fn open(url: &Url, application: &str) -> Result<Self, Failure> {
        match Self::try_open(url, application).await? {
            Ok(session) => Ok(session),
            Err(error) => Err(refused(&url.spot, "connect", &error)),
        }
    }

    /// The same; what the server itself says is given back as it is.
    ///
    /// # Errors
    /// Nothing was heard in time, or TLS cannot be set up.
    pub(crate) async fn try_open(
        url: &Url,
        application: &str,
    ) -> Result<Result<Self, Error>, Failure> {
        let config = url.config(application);
        let made = match &url.tls {
            Tls::Off => {
                timeout(LOGIN, async {
                    let (client, connection) = config.connect(NoTls).await?;
                    Ok((client, tokio::spawn(async move { drop(connection.await) })))
                })
                .await
            }
            Tls::Verified { roots } => {
                let tls = tls::verified(roots.as_deref())?;
                timeout(LOGIN, async {
                    let (client, connection) = config.connect(tls).await?;
                    Ok((client, tokio::spawn(async move { drop(connection.await) })))
                })
                .await
            }
        };
        let made = made.map_err(|_| {
            let what = format!("cannot connect: {}: no answer in {} s", url.spot, LOGIN.as_secs());
            Failure::new(FailureKind::Unavailable, what).retryable()
        })?;
        Ok(made.map(|(client, task)| {
            let (spot, tls) = (url.spot.clone(), url.tls.clone());
            Self { client, spot, tls, task }
        }))
    }

    pub(crate) fn spot(&self) -> &Spot {
        &self.spot
    }

    /// Sends text that may hold several statements. What `doing` says stands in a failure:
    /// `read the schema`.
    ///
    /// # Errors
    /// The server refuses, or is gone, or the limit has passed.
    pub(crate) async fn rows(
        &self,
        doing: &str,
        sql: &str,
        limit: Duration,
    ) -> Result<Vec<Row>, Failure> {
        match self.try_rows(doing, sql, limit).await? {
            Ok(rows) => Ok(rows),
            Err(error) => Err(refused(&self.spot, doing, &error)),
        }
    }

    /// The same; what the server itself says is given back as it is.
    ///
    /// # Errors
    /// The limit has passed: the statement was cancelled.
    pub(crate) async fn try_rows(
        &self,
        doing: &str,
        sql: &str,
        limit: Duration,
    ) -> Result<Result<Vec<Row>, Error>, Failure> {
        match timeout(limit, self.client.simple_query(sql)).await {
            Ok(answer) => Ok(answer.map(only_rows)),
            Err(_) => {
                self.cancel().await;
                Err(too_slow(&self.spot, doing, limit))
            }
        }
    }

    /// Several texts, sent at once, so that all of them take one round trip.
    ///
    /// # Errors
    /// The limit has passed.
    pub(crate) async fn three(
        &self,
        doing: &str,
        sql: [&str; 3],
        limit: Duration,
    ) -> Result<[Result<Vec<Row>, Error>; 3], Failure> {
        let [first, second, third] = sql;
        let asked = async {
            tokio::join!(
                biased;
                self.client.simple_query(first),
                self.client.simple_query(second),
                self.client.simple_query(third),
            )
        };
        match timeout(limit, asked).await {
            Ok((first, second, third)) => {
                Ok([first.map(only_rows), second.map(only_rows), third.map(only_rows)])
            }
            Err(_) => {
                self.cancel().await;
                Err(too_slow(&self.spot, doing, limit))
            }
        }
    }

    /// Runs what gives nothing back.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub(crate) async fn run(&self, doing: &str, sql: &str) -> Result<(), Failure> {
        self.rows(doing, sql, ASKING).await.map(|_| ())
    }

    /// The one row of a question.
    ///
    /// # Errors
    /// As [`Self::rows`], and where there is none.
    pub(crate) async fn row(&self, doing: &str, sql: &str) -> Result<Row, Failure> {
        let rows = self.rows(doing, sql, ASKING).await?;
        let none = || malformed(format!("cannot {doing}: {}: no answer", self.spot));
        rows.into_iter().next().ok_or_else(none)
    }

    /// The number of this session at the server.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub(crate) async fn pid(&self) -> Result<i64, Failure> {
        self.row("ask for the session's number", "SELECT pg_catalog.pg_backend_pid()").await?.int(0)
    }

    /// Asks the server to stop what this session does. Best effort: whoever needs to be sure looks
    /// at the session's end.
    pub(crate) async fn cancel(&self) {
        let token: CancelToken = self.client.cancel_token();
        let asked = async {
            match &self.tls {
                Tls::Off => drop(token.cancel_query(NoTls).await),
                Tls::Verified { roots } => {
                    if let Ok(tls) = tls::verified(roots.as_deref()) {
                        drop(token.cancel_query(tls).await);
                    }
                }
            }
        };
        let _ = timeout(Duration::from_secs(5), asked).await;
    }
}

/// Ends every session that is called so, in every database of the server, and waits until none is
/// seen: what they had not committed can never be any more.
///
/// # Errors
/// One of them goes on, or the server cannot be asked.
pub(crate) async fn end_all(asker: &Session, application: &str) -> Result<(), Failure> {
    let sql = format!(
        "SELECT pid, pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
         WHERE application_name = {} AND pid <> pg_catalog.pg_backend_pid()",
        crate::quote::text(application)
    );
    let until = Instant::now() + ENDING;
    loop {
        let rows = asker.rows("end an earlier session of this step", &sql, ASKING).await?;
        if rows.is_empty() {
            return Ok(());
        }
        if Instant::now() > until {
            let what = format!(
                "{}: a session of an earlier try goes on (pid {})",
                asker.spot(),
                rows[0].text(0).unwrap_or_default()
            );
            return Err(Failure::new(FailureKind::Unavailable, what).retryable());
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

fn only_rows(messages: Vec<SimpleQueryMessage>) -> Vec<Row> {
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => Some(Row(row)),
        _ => None,
    };
    messages.into_iter().filter_map(row).collect()
}

fn too_slow(spot: &Spot, doing: &str, limit: Duration) -> Failure {
    let what = format!("cannot {doing}: {spot}: no answer in {} s", limit.as_secs());
    Failure::new(FailureKind::TimedOut, what)
}

/// One row, its columns as text.
#[derive(Debug)]
pub(crate) struct Row(SimpleQueryRow);

impl Row {
    /// A column; none where it is null or not there.
    pub(crate) fn text(&self, column: usize) -> Option<&str> {
        self.0.try_get(column).ok().flatten()
    }

    /// A column that is never null.
    ///
    /// # Errors
    /// It is.
    pub(crate) fn said(&self, column: usize) -> Result<&str, Failure> {
        self.text(column).ok_or_else(|| malformed(format!("column {column} of an answer is null")))
    }

    /// A whole number.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn int(&self, column: usize) -> Result<i64, Failure> {
        let text = self.said(column)?;
        text.parse().map_err(|_| malformed(format!("`{text}` is not a whole number")))
    }

    /// A truth value.
    ///
    /// # Errors
    /// It is null.
    pub(crate) fn truth(&self, column: usize) -> Result<bool, Failure> {
        Ok(self.said(column)? == "t")
    }
}
