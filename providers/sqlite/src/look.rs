//! What is live: one look for `observe`, `perform` and `resolve`.

use crate::books;
use crate::held::Held;
use crate::open::{For, LOOK, open};
use crate::site::{Site, address_of};
use crate::trouble::trouble;
use crate::{Base, DATABASE, MIGRATIONS, migrations, vacant};
use hive_contract::lowered::RESTORES;
use hive_contract::{
    AskOne, Failure, FailureKind, FieldPath, Fields, Live, Observed, Perform, StackMark, Status,
    Value,
};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a step's identity is, in its transaction.
///
/// # Errors
/// It cannot be read.
pub(crate) fn one(held: &mut Held, site: &Site, request: &Perform) -> Result<Observed, Failure> {
    let (identity, baseline) = (&request.identity, request.operation.payload.get("baseline"));
    let unmanaged = |path: &FieldPath| {
        let first = path.keys().first().map(String::as_str);
        first == Some(hive_sql::list::HISTORY)
    };
    match kind(identity)? {
        // A step is not made to read what nobody compares.
        MIGRATIONS if request.managed.iter().any(unmanaged) => {
            migrations::look::look_well(held, site, identity, baseline)
        }
        _ => thing(held, site, identity, baseline),
    }
}

/// One of the two things of a database.
fn thing(
    held: &mut Held,
    site: &Site,
    identity: &str,
    baseline: Option<&Value>,
) -> Result<Observed, Failure> {
    match kind(identity)? {
        DATABASE => database(held, site, identity),
        _ => migrations::look(held, site, identity, baseline),
    }
}

fn kind(identity: &str) -> Result<&'static str, Failure> {
    match address_of(identity, DATABASE) {
        Ok(_) => Ok(DATABASE),
        Err(_) => address_of(identity, MIGRATIONS).map(|_| MIGRATIONS),
    }
}

/// The row of an identity, where hive keeps anything in this database.
///
/// # Errors
/// It cannot be read, or a newer hive wrote it.
pub(crate) fn marked(
    held: &Held,
    site: &Site,
    identity: &str,
) -> Result<Option<books::Marked>, Failure> {
    let bad = |error: rusqlite::Error| unreadable(site, &error);
    if !books::exist(&held.connection).map_err(bad)? {
        return Ok(None);
    }
    books::check_format(&held.connection, &site.shown)?;
    books::marked(&held.connection, identity).map_err(bad)
}

/// A look that does not get through because of a lock may work later.
pub(crate) fn unreadable(site: &Site, error: &rusqlite::Error) -> Failure {
    let failure = trouble(site, "read", error);
    match failure.kind {
        FailureKind::Taken => Failure { kind: FailureKind::Unavailable, ..failure },
        FailureKind::Invalid => Failure { kind: FailureKind::Malformed, ..failure },
        _ => failure,
    }
}

fn database(held: &Held, site: &Site, identity: &str) -> Result<Observed, Failure> {
    let Some(marked) = marked(held, site, identity)? else { return Ok(Observed::Absent) };
    let size = held
        .connection
        .query_row(
            "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
            [],
            |row| row.get::<_, i64>(0),
        )
        .map_err(|error| unreadable(site, &error))?;
    let size = hive_sql::words::size(size.unsigned_abs());
    Ok(Observed::Present(Live {
        identity: identity.to_owned(),
        fields: Fields::from([("engine".to_owned(), Value::text(crate::ENGINE))]),
        outputs: site.outputs(),
        mark: marked.mark,
        token: Some(marked.token),
        moved_by: BTreeMap::new(),
        ended: BTreeMap::new(),
        status: Status { ready: true, summary: format!("SQLite, {size}"), ..Status::default() },
    }))
}

/// Many looks, each file opened once.
pub(crate) struct Looks<'a> {
    base: &'a Base,
    open: BTreeMap<PathBuf, Result<Option<Held>, Failure>>,
}

impl<'a> Looks<'a> {
    /// None yet.
    pub(crate) fn new(base: &'a Base) -> Self {
        Self { base, open: BTreeMap::new() }
    }

    /// One part.
    ///
    /// # Errors
    /// It cannot be read. Also where there is no file and hive may not make one.
    pub(crate) fn look(&mut self, one: &AskOne) -> Result<Observed, Failure> {
        let site = Site::of_access(&self.base.folder, &one.access)?;
        let opened = self.open.entry(site.path.clone()).or_insert_with(|| {
            let opened = open(&site, For::Reading, LOOK).map_err(|failure| match failure.kind {
                FailureKind::Taken => Failure { kind: FailureKind::Unavailable, ..failure },
                _ => failure,
            });
            // One moment for all that is asked of it.
            let begun = opened.and_then(|it| match it {
                Some(connection) => match connection.execute_batch("BEGIN") {
                    Ok(()) => Ok(Some(connection)),
                    Err(error) => Err(unreadable(&site, &error)),
                },
                None => Ok(None),
            });
            begun.map(|it| it.map(Held::alone))
        });
        let is_database = kind(&one.identity)? == DATABASE;
        let restores = one.access.get(RESTORES).and_then(Value::as_bool) == Some(true);
        match opened {
            Err(failure) => Err(failure.clone()),
            Ok(None) if is_database && !site.create && !restores => Err(missing(&site)),
            Ok(None) => Ok(Observed::Absent),
            Ok(Some(held)) if is_database => {
                let seen = database(held, &site, &one.identity)?;
                if restores && seen == Observed::Absent {
                    vacant::check(&held.connection, &site)?;
                }
                Ok(seen)
            }
            Ok(Some(held)) => {
                let baseline = one.access.get("baseline");
                migrations::look::look_well(held, &site, &one.identity, baseline)
            }
        }
    }

    /// Everything of these databases that carries a stack's mark, whatever its store.
    ///
    /// # Errors
    /// One cannot be read.
    pub(crate) fn marked(
        &mut self,
        access: &Fields,
        mark: &StackMark,
    ) -> Result<Vec<Live>, Failure> {
        let site = Site::of_access(&self.base.folder, access)?;
        let Some(Ok(Some(held))) = self.open.get_mut(&site.path) else { return Ok(Vec::new()) };
        let bad = |error: rusqlite::Error| unreadable(&site, &error);
        if !books::exist(&held.connection).map_err(bad)? {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for marked in books::all_marked(&held.connection).map_err(bad)? {
            let ours = marked.mark.as_ref().is_some_and(|it| {
                it.owner.stack == mark.stack && it.owner.environment == mark.environment
            });
            if ours && let Observed::Present(live) = thing(held, &site, &marked.identity, None)? {
                found.push(live);
            }
        }
        Ok(found)
    }
}

fn missing(site: &Site) -> Failure {
    let what = format!("there is no database `{}`", site.shown);
    Failure::new(FailureKind::Unavailable, what).diagnosis(
        "put it there, or say `create = true` and hive makes it; where it is lost, `hive rebuild` \
             brings it back from its newest backup",
    )
}
