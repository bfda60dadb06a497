//! Which databases of one restore there are: their names are its journal at the server.

use super::KEY;
use crate::book::{Book, Want};
use crate::desk::{Desk, text};
use crate::live::{self, Around};
use crate::names;
use crate::quote;
use crate::session::{ASKING, Session};
use crate::url::Url;
use hive_contract::{Failure, Fields, Outcome};

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
}

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
        self.old.is_none() && self.live.as_ref().is_none_or(|it| it.is_restored(&self.key))
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
