//! One step's work on one database: alone, in one transaction, with its token in it.

use crate::book::{self, Book, Want};
use crate::kept::{self, Kept, Worker};
use crate::live::{self, Around};
use crate::lock::{Hold, Lock};
use crate::lower::kind_of;
use crate::session::{self, Session, called};
use crate::stepped::{self, Stepped};
use crate::trouble::{is_lost, malformed, refused, state, taken};
use crate::url::Url;
use crate::{Base, MIGRATIONS};
use hive_contract::{
    Context, Failure, FailureKind, Fields, Live, Outcome, Perform, Remains, Value,
};
use std::time::Duration;
use tokio::time::Instant;

/// How long a server that went away is waited for, where only it knows what became of a commit.
const RETURN: Duration = Duration::from_secs(30);

/// What every verb of a step needs.
#[derive(Clone, Copy)]
pub(crate) struct Desk<'a> {
    pub(crate) base: &'a Base,
    pub(crate) request: &'a Perform,
    pub(crate) context: &'a Context<'a>,
    pub(crate) url: &'a Url,
    /// How the database is reached: references.
    pub(crate) of: &'a Fields,
    /// When the step has failed for being too slow.
    pub(crate) until: Instant,
}

/// A step that is under way inside a transaction.
pub(crate) struct Work {
    pub(crate) lock: Lock,
    pub(crate) session: Session,
    pub(crate) book: Book,
}

/// Whether a step still has to be done.
pub(crate) enum Begun {
    Already(Box<Outcome>),
    Now(Box<Work>),
}

impl Desk<'_> {
    pub(crate) fn kind(&self) -> &'static str {
        kind_of(&self.request.identity)
    }

    pub(crate) fn want(&self) -> Want {
        match self.kind() {
            MIGRATIONS => Want::Schema,
            _ => Want::Marks,
        }
    }

    /// What this step's sessions are called.
    pub(crate) fn application(&self) -> String {
        called(&self.request.token)
    }

    pub(crate) fn around(&self) -> Around<'_> {
        Around { spot: &self.url.spot, of: self.of }
    }

    pub(crate) fn live(&self, book: &Book) -> Option<Live> {
        live::of(self.kind(), &self.request.identity, book, self.around())
    }

    pub(crate) fn outcome(&self, book: &Book) -> Outcome {
        live::outcome(self.kind(), &self.request.identity, book, self.around())
    }

    /// Takes the lock.
    ///
    /// # Errors
    /// As [`Lock::take`].
    pub(crate) async fn lock(&self, hold: Hold) -> Result<Lock, Failure> {
        let kept = self.kept(hold).await;
        Lock::take(self.url, &self.application(), hold, self.until, self.context, kept).await
    }

    /// What the step before has left, under this step's name; none where it does not answer.
    async fn kept(&self, hold: Hold) -> Option<Kept> {
        let kept = self.base.shelf.take(self.url).filter(|_| hold == Hold::Alone)?;
        let called = kept::called(&self.application());
        for session in [&kept.holder, &kept.worker.session] {
            session.run("go on", &called).await.ok()?;
        }
        Some(kept)
    }

    /// Holds the database alone, opens the transaction, and reads what is there in it.
    ///
    /// # Errors
    /// The token is sealed; the database is not to be had.
    pub(crate) async fn begin(&self) -> Result<Begun, Failure> {
        let lock = self.lock(Hold::Alone).await?;
        self.begin_with(lock).await
    }

    /// The same with a lock that is held already.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub(crate) async fn begin_with(&self, mut lock: Lock) -> Result<Begun, Failure> {
        let (session, known) = match lock.worker() {
            Some(Worker { session, book }) => (session, Some(book)),
            None => (Session::open(self.url, &self.application()).await?, None),
        };
        self.open_transaction(&session).await?;
        if let Some(outcome) = self.already(&session).await? {
            return Ok(Begun::Already(Box::new(outcome)));
        }
        let book = match known {
            Some(known) if self.want() == Want::Schema => known.again(&session).await?,
            _ => Book::read(&session, self.want()).await?,
        };
        Ok(Begun::Now(Box::new(Work { lock, session, book })))
    }

    pub(crate) async fn open_transaction(&self, session: &Session) -> Result<(), Failure> {
        let sql = "BEGIN; SET LOCAL lock_timeout = '10s'; \
            SET LOCAL idle_in_transaction_session_timeout = '10min'";
        session.run("begin", sql).await?;
        book::install(session).await
    }

    /// What this token's step has left, where it was here before.
    ///
    /// # Errors
    /// The token may have no effect any more.
    pub(crate) async fn already(&self, session: &Session) -> Result<Option<Outcome>, Failure> {
        match stepped::stepped(session, &self.request.token).await? {
            Stepped::Unknown | Stepped::Begun { .. } => Ok(None),
            Stepped::Done(outcome) => Ok(Some(*outcome)),
            Stepped::Void => Err(Failure::new(
                FailureKind::Moved,
                format!("this step of {} was given up", self.request.target),
            )),
        }
    }

    /// Refuses what is somebody else's, and what is not as the plan saw it.
    ///
    /// # Errors
    /// [`FailureKind::Taken`] or [`FailureKind::Moved`].
    pub(crate) fn may_touch(&self, live: Option<&Live>) -> Result<(), Failure> {
        let theirs = live.and_then(|it| it.mark.as_ref()).filter(|it| **it != self.request.mark);
        if let Some(theirs) = theirs {
            let what = format!("{} belongs to somebody else: it is {theirs}", self.request.target);
            return Err(taken(what));
        }
        self.request.check_expected(live.map(|it| &it.fields))
    }

    /// Ends a step: its effect and its token in one commit.
    ///
    /// # Errors
    /// Nothing is committed, or nobody knows and it cannot be found out.
    pub(crate) async fn commit(&self, work: Work, outcome: Outcome) -> Result<Outcome, Failure> {
        let Work { lock, session, book } = work;
        let verb = &self.request.operation.verb;
        let token = &self.request.token;
        session.run("record the step", &stepped::done_sql(token, verb, &outcome)).await?;
        self.context.guard.may_write()?;
        lock.holds().await?;
        match session.try_rows("commit", "COMMIT", self.left()).await {
            Ok(Ok(_)) => {
                kept::keep(self, lock, Worker { session, book }).await;
                Ok(outcome)
            }
            Ok(Err(error)) if is_lost(&error) => {
                let failure = refused(&self.url.spot, "commit", &error);
                drop((lock, session));
                self.after_loss(failure).await
            }
            Ok(Err(error)) => Err(refused(&self.url.spot, "commit", &error)),
            Err(failure) => {
                drop((lock, session));
                self.after_loss(failure).await
            }
        }
    }

    /// How long is left for the step.
    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now()).max(Duration::from_millis(100))
    }

    /// A commit whose answer was lost is looked up, never guessed.
    pub(crate) async fn after_loss(&self, failure: Failure) -> Result<Outcome, Failure> {
        let until = Instant::now() + RETURN;
        loop {
            match self.settled().await {
                Ok(Stepped::Done(outcome)) => return Ok(*outcome),
                Ok(Stepped::Begun { applied, .. }) => {
                    let fact = format!("{applied} statements of it are done");
                    return Err(failure.diagnosis(fact).remains(Remains::Unsure));
                }
                Ok(Stepped::Unknown | Stepped::Void) => return Err(failure),
                Err(again) if Instant::now() < until && again.retryable => {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
                Err(again) => {
                    let fact = format!("what became of it is not known: {again}");
                    return Err(failure.diagnosis(fact).remains(Remains::Unsure));
                }
            }
        }
    }

    /// Ends every session of this step, and then looks its token up.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub(crate) async fn settled(&self) -> Result<Stepped, Failure> {
        let asker = Session::open(self.url, session::READER).await?;
        session::end_all(&asker, &self.application()).await?;
        match book::is_installed(&asker).await? {
            true => stepped::stepped(&asker, &self.request.token).await,
            false => Ok(Stepped::Unknown),
        }
    }
}

/// The databases that every server has, for what is done to a database from outside of it.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];

/// A session on the server that is in no database of the stack's.
///
/// # Errors
/// The role may connect to none of them, or the server cannot be reached.
pub(crate) async fn outside(url: &Url, application: &str) -> Result<Session, Failure> {
    let mut last = None;
    for name in MAINTENANCE.into_iter().filter(|it| *it != url.spot.database) {
        match Session::try_open(&url.database(name), application).await? {
            Ok(session) => return Ok(session),
            Err(error) if matches!(state(&error), "3D000" | "42501" | "28000") => {
                last = Some(refused(&url.database(name).spot, "connect", &error));
            }
            Err(error) => return Err(refused(&url.spot, "connect", &error)),
        }
    }
    Err(last.unwrap_or_else(|| malformed("there is no other database to connect to")))
}

/// A text of a payload.
///
/// # Errors
/// It is not there.
pub(crate) fn text<'a>(payload: &'a Fields, key: &str) -> Result<&'a str, Failure> {
    payload.get(key).and_then(Value::as_text).ok_or_else(|| {
        Failure::new(FailureKind::Invalid, format!("the operation has no text `{key}`"))
    })
}
