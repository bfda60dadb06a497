//! Which databases of one restore there are: their names are its journal at the server.

use super::KEY;
use super::close::may_rename;
use crate::book::{Book, Want};
use crate::desk::{Desk, text};
use crate::live::{self, Around};
use crate::names;
use crate::quote;
use crate::session::{ASKING, Session};
use crate::url::Url;
use crate::vacant;
use hive_contract::{Expects, Failure, FailureKind, Fields, Outcome};

/// The databases of one restore.
pub(super) struct Beside {
    pub(super) key: String,
    /// Under the name that everybody knows.
    pub(super) live: Option<Found>,
    /// Put aside.
    pub(super) old: Option<Found>,
    /// Restored, or about to be.
    pub(super) new: Option<Found>,
    /// A session outside of them all.
    pub(super) outside: Session,
}

/// One database.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) name: String,
    /// Whether it takes connections.
    pub(super) open: bool,
    /// The note on it.
    note: String,
}

impl Found {
    /// Whether it is whole: the restore of this key has put its note on it.
    pub(super) fn is_restored(&self, key: &str) -> bool {
        self.note == note(key)
    }

    /// What says on it that the restore of this key has ended, and what was said before.
    pub(super) fn replaced_sql(&self, name: &str, key: &str) -> String {
        let before = if self.note.is_empty() { "" } else { "\n" };
        let note = format!("{REPLACED}{key}{before}{}", self.note);
        format!("COMMENT ON DATABASE {} IS {};", quote::name(name), quote::text(&note))
    }

    /// What takes that off it again.
    pub(super) fn unreplaced_sql(&self, name: &str) -> String {
        let Some(note) = self.note.strip_prefix(REPLACED) else { return String::new() };
        let before = note.split_once('\n').map_or("NULL".to_owned(), |(_, it)| quote::text(it));
        format!("COMMENT ON DATABASE {} IS {before};", quote::name(name))
    }
}

/// How the note begins on what was put aside by a restore that has ended; its key stands behind it.
pub(crate) const REPLACED: &str = "hive: replaced ";

/// What a restored database is known by once everything in it is proven.
pub(crate) fn note(key: &str) -> String {
    format!("hive: restored {key}")
}

impl Beside {
    /// Looks, from outside.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub(super) async fn look(desk: &Desk<'_>, outside: Session) -> Result<Self, Failure> {
        let key = text(&desk.request.operation.payload, KEY)?.to_owned();
        let database = &desk.url.spot.database;
        let (old, new) = (names::old(database, &key), names::new(database, &key));
        let sql = format!(
            "SELECT d.datname, d.datallowconn, \
             COALESCE(pg_catalog.shobj_description(d.oid, 'pg_database'), '') \
             FROM pg_catalog.pg_database d WHERE d.datname IN ({}, {}, {})",
            quote::text(database),
            quote::text(&old),
            quote::text(&new),
        );
        let mut found = Vec::new();
        for row in outside.rows("look for the databases of a restore", &sql, ASKING).await? {
            let name = row.said(0)?.to_owned();
            found.push(Found { name, open: row.truth(1)?, note: row.said(2)?.to_owned() });
        }
        let one = |name: &str| found.iter().find(|it| it.name == name).cloned();
        Ok(Self { live: one(database), old: one(&old), new: one(&new), key, outside })
    }

    /// Whether the live one is put aside, and nobody has its name.
    pub(super) fn is_put_aside(&self) -> bool {
        self.live.is_none() && self.old.is_some()
    }

    /// Whether nothing was there that a restore would replace.
    pub(super) fn is_alone(&self) -> bool {
        self.before().is_none()
    }

    /// What a restore replaces: what it has put aside, else the empty one that has the name.
    pub(super) fn before(&self) -> Option<&Found> {
        let live = self.live.as_ref().filter(|it| !it.is_restored(&self.key));
        self.old.as_ref().or(live)
    }

    /// Refuses where the name is taken, but by a database that is nobody's and empty, in whose place
    /// a restore may come that expects none.
    ///
    /// # Errors
    /// It is taken, or the role may not give it away.
    pub(super) async fn is_free(&self, desk: &Desk<'_>) -> Result<(), Failure> {
        let Some(live) = &self.live else { return Ok(()) };
        let spot = &desk.url.spot;
        if desk.request.operation.expects != Expects::Absent || live.is_restored(&self.key) {
            let what = format!("{spot} is there: it was not closed");
            return Err(Failure::new(FailureKind::Moved, what));
        }
        vacant::check(&Session::open(desk.url, &desk.application()).await?).await?;
        may_rename(desk, &self.outside).await
    }

    /// Whether what was restored is whole.
    pub(super) fn is_restored(&self) -> bool {
        self.new.as_ref().is_some_and(|it| it.is_restored(&self.key))
    }

    /// The name of what counts as the database now: the live one, else what is put aside.
    fn counts(&self) -> Option<&Found> {
        self.live.as_ref().or(self.old.as_ref())
    }

    /// What counts as the database now, as an outcome.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) async fn outcome(&self, desk: &Desk<'_>) -> Result<Outcome, Failure> {
        match self.counts() {
            Some(found) => outcome(desk, &desk.url.database(&found.name), desk.of).await,
            None => Ok(Outcome::nothing()),
        }
    }

    /// Refuses where what counts is not as the plan saw it, or somebody else's.
    ///
    /// # Errors
    /// It is not, or cannot be read.
    pub(super) async fn check(&self, desk: &Desk<'_>) -> Result<(), Failure> {
        let outcome = self.outcome(desk).await?;
        desk.may_touch(outcome.live.as_ref())
    }
}

async fn outcome(desk: &Desk<'_>, url: &Url, of: &Fields) -> Result<Outcome, Failure> {
    let session = Session::open(url, &desk.application()).await?;
    let (book, _) = Book::look(&session, Want::Marks).await?;
    let around = Around { spot: &desk.url.spot, of };
    Ok(live::outcome(desk.kind(), &desk.request.identity, &book, around))
}
