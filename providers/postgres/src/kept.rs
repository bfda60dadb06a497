//! What one file leaves open for the next: two sessions, and what they know.
//!
//! What is known holds as long as the session does: a server that was started anew, or another one
//! in its place, has ended it.

use crate::MIGRATIONS;
use crate::book::Book;
use crate::desk::Desk;
use crate::lock::Lock;
use crate::session::{READER, Session};
use crate::steps::BASELINE;
use crate::url::Url;
use hive_contract::Failure;
use hive_sql::list::{DOWN, MIGRATE, RESUME};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long it stays open where nothing follows: an open session keeps a database from being
/// dropped or copied.
const IDLE: Duration = Duration::from_millis(300);

/// The sessions of a step that is over. Nothing of it is held: no lock, and no transaction.
pub(crate) struct Kept {
    url: Url,
    /// The session that had the lock.
    pub(crate) holder: Session,
    pub(crate) worker: Worker,
}

/// A session that has read a database, and what it knows of it.
pub(crate) struct Worker {
    pub(crate) session: Session,
    pub(crate) book: Book,
}

/// Where it waits for the next step.
#[derive(Clone, Default)]
pub(crate) struct Shelf(Arc<Mutex<Place>>);

#[derive(Default)]
struct Place {
    kept: Option<Kept>,
    /// How often something was put here.
    count: u64,
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shelf")
    }
}

impl Shelf {
    /// Takes what is there away; what is of another database is closed.
    pub(crate) fn take(&self, url: &Url) -> Option<Kept> {
        self.clear().filter(|it| it.url.same(url))
    }

    /// Closes what is there.
    pub(crate) fn clear(&self) -> Option<Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).kept.take()
    }

    fn put(&self, kept: Kept) {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        place.kept = Some(kept);
        place.count += 1;
        let count = place.count;
        drop(place);
        let shelf = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(IDLE).await;
            let mut place = shelf.0.lock().unwrap_or_else(PoisonError::into_inner);
            if place.count == count {
                place.kept = None;
            }
        });
    }
}

/// Whether another file may follow a step.
pub(crate) fn may_follow(verb: &str) -> bool {
    matches!(verb, MIGRATE | RESUME | DOWN | BASELINE)
}

/// Keeps the sessions of a step that is committed. A session that is not as a new one would be is
/// closed.
pub(crate) async fn keep(desk: &Desk<'_>, lock: Lock, worker: Worker) {
    let follows = desk.kind() == MIGRATIONS && may_follow(&desk.request.operation.verb);
    if !follows || worker.book.schema.other_settings() {
        return;
    }
    let emptied = async {
        let holder = lock.let_go().await?;
        let session = &worker.session;
        session.run("empty the session", "DISCARD ALL").await?;
        session.run("rest", &called(READER)).await?;
        holder.run("rest", &called(READER)).await?;
        Ok::<_, Failure>(holder)
    };
    // The step is done either way.
    if let Ok(holder) = emptied.await {
        desk.base.shelf.put(Kept { url: desk.url.clone(), holder, worker });
    }
}

/// What calls a session by another name.
pub(crate) fn called(application: &str) -> String {
    format!("SET application_name = {}", crate::quote::text(application))
}
