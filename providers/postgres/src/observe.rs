//! Many parts at once: one connection and one round trip a database.

use crate::book::{Book, Want};
use crate::desk::outside;
use crate::live::{self, Around};
use crate::lower::kind_of;
use crate::seen::sizes_value;
use crate::session::{ASKING, READER, Session};
use crate::trouble::{refused, state, taken};
use crate::url::Url;
use crate::{Base, DATABASE, MIGRATIONS, backup, foreign, names, quote, restore, vacant};
use hive_contract::lowered::RESTORES;
use hive_contract::{
    Ask, AskOne, Facts, Failure, FailureKind, Fields, Live, Observation, Observed, Secrets,
    StackMark, Target, Value,
};
use hive_sql::foreign::Row;
use std::collections::BTreeMap;
use tokio::task::JoinSet;

/// The parts that are reached the same way.
struct Group {
    url: Url,
    of: Fields,
    parts: Vec<AskOne>,
}

/// What one database answers.
type Answer = (Vec<(Target, Result<Observed, Failure>)>, Vec<Live>);

pub(crate) async fn observe(
    base: &Base,
    ask: &Ask,
    secrets: &Secrets,
) -> Result<Observation, Failure> {
    let mut found = BTreeMap::new();
    let mut marked = Vec::new();
    let (backups, databases): (Vec<&AskOne>, Vec<&AskOne>) =
        ask.parts.iter().partition(|it| backup::is_of(&it.identity));
    let mut groups: Vec<Group> = Vec::new();
    for one in databases {
        let of = of_access(&one.access);
        match Url::of(&base.folder, of, secrets) {
            Err(failure) => drop(found.insert(one.target.clone(), Err(failure))),
            Ok(url) => match groups.iter_mut().find(|it| it.url.same(&url)) {
                Some(group) => group.parts.push(one.clone()),
                None => groups.push(Group { url, of: of.clone(), parts: vec![one.clone()] }),
            },
        }
    }
    let mut answers = JoinSet::new();
    for group in groups {
        answers.spawn(look(group, ask.marked.clone()));
    }
    while let Some(answer) = answers.join_next().await {
        let lost =
            |error| Failure::new(FailureKind::Unavailable, format!("a look did not end: {error}"));
        let (parts, more) = answer.map_err(lost)?;
        found.extend(parts);
        marked.extend(more);
    }
    let (parts, more) = backup::observe(base, &backups, ask.marked.as_ref(), secrets).await;
    found.extend(parts);
    marked.extend(more);
    marked.sort_by(|a, b| a.identity.cmp(&b.identity));
    Ok(Observation { found, marked, facts: Facts::default() })
}

/// How a database is reached, in the access of whatever belongs to it.
pub(crate) fn of_access(access: &Fields) -> &Fields {
    access.get("of").and_then(Value::as_map).unwrap_or(access)
}

async fn look(group: Group, marked: Option<StackMark>) -> Answer {
    match read(&group).await {
        Ok(Some(found)) => answer(&group, found, marked.as_ref()),
        Ok(None) => {
            let absent = |one: &AskOne| (one.target.clone(), Ok(Observed::Absent));
            (group.parts.iter().map(absent).collect(), Vec::new())
        }
        Err(failure) => {
            let failed = |one: &AskOne| (one.target.clone(), Err(failure.clone()));
            (group.parts.iter().map(failed).collect(), Vec::new())
        }
    }
}

fn answer(group: &Group, found: Found, marked: Option<&StackMark>) -> Answer {
    let Found { book, sizes, in_the_way, beside, mut foreign } = found;
    let weighed = |kind: &str, mut live: Live| {
        if kind == MIGRATIONS {
            live.outputs.insert("sizes".to_owned(), sizes.clone());
        }
        live
    };
    let see = |kind: &str, identity: &str, of: &Fields| {
        let around = Around { spot: &group.url.spot, of };
        live::of(kind, identity, &book, around).map(|live| weighed(kind, live))
    };
    let parts = group.parts.iter().map(|one| {
        let kind = kind_of(&one.identity);
        let live = match foreign.remove(&one.target) {
            Some(found) => found.map(|it| it.map(|live| weighed(MIGRATIONS, live))),
            None => Ok(see(kind, &one.identity, of_access(&one.access))),
        };
        let seen = match (live, &in_the_way) {
            (Err(failure), _) => Err(failure),
            (Ok(None), Some(failure)) if kind == DATABASE => Err(failure.clone()),
            (Ok(None), _) => Ok(Observed::Absent),
            (Ok(Some(mut live)), _) => {
                if kind == DATABASE {
                    live.status.summary.push_str(&beside);
                }
                Ok(Observed::Present(live))
            }
        };
        (one.target.clone(), seen)
    });
    let parts = parts.collect();
    let ours = book.marks.iter().filter(|row| {
        let mark = row.mark();
        marked.zip(mark.as_ref()).is_some_and(|(asked, mark)| {
            (&asked.stack, &asked.environment) == (&mark.owner.stack, &mark.owner.environment)
        })
    });
    let ours = ours.filter_map(|row| see(&row.kind, &row.identity, &group.of));
    (parts, ours.collect())
}

/// What one database holds.
struct Found {
    book: Book,
    sizes: Value,
    /// What keeps a restore from its place, where one is asked for.
    in_the_way: Option<Failure>,
    /// What restores have kept beside it, in words.
    beside: String,
    /// By list that hive does not hold: what another tool's history makes of it.
    foreign: BTreeMap<Target, Result<Option<Live>, Failure>>,
}

/// What is in the database; none where there is no such database and hive may make it.
async fn read(group: &Group) -> Result<Option<Found>, Failure> {
    let session = match Session::try_open(&group.url, READER).await? {
        Ok(session) => session,
        Err(error) if state(&error) == "3D000" => return absent(group, &error).await,
        Err(error) => return Err(refused(&group.url.spot, "connect", &error)),
    };
    let of_kind = |kind: &str| group.parts.iter().find(|one| kind_of(&one.identity) == kind);
    let want = if of_kind(MIGRATIONS).is_some() { Want::Schema } else { Want::Marks };
    let (book, sizes) = Book::look(&session, want).await?;
    let database = of_kind(DATABASE);
    let unmarked = database.is_some_and(|it| book.mark(&it.identity).is_none());
    let in_the_way = match unmarked && restores(group) {
        true => vacant::check(&session).await.err(),
        false => None,
    };
    let beside = match database {
        Some(_) => kept_beside(&session, &group.url).await,
        None => String::new(),
    };
    let mut found = BTreeMap::new();
    for one in group.parts.iter().filter(|it| kind_of(&it.identity) == MIGRATIONS) {
        let of = of_access(&one.access);
        let held = book.mark(&one.identity).is_some() || foreign::is_left(of, &book);
        if let Some(tool) = foreign::tool(of).filter(|_| !held) {
            let rows = foreign::read(&session, tool).await;
            let live = |rows: Vec<Row>| live::foreign(&one.identity, tool, &rows);
            found.insert(one.target.clone(), rows.map(|it| it.map(live)));
        }
    }
    let sizes = sizes_value(&sizes);
    Ok(Some(Found { book, sizes, in_the_way, beside, foreign: found }))
}

/// Whether what is asked for brings its data back.
fn restores(group: &Group) -> bool {
    let lent = |one: &AskOne| one.access.get(RESTORES).and_then(Value::as_bool) == Some(true);
    group.parts.iter().any(lent)
}

/// What restores have kept beside a database, with its size; nothing where that cannot be read.
async fn kept_beside(session: &Session, url: &Url) -> String {
    let sql = format!(
        "SELECT d.datname, CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT') \
           THEN pg_catalog.pg_database_size(d.oid) END FROM pg_catalog.pg_database d \
         WHERE pg_catalog.starts_with(d.datname, {}) ORDER BY d.oid",
        quote::text(&names::old_prefix(&url.spot.database))
    );
    let rows = session.try_rows("look for what is kept beside it", &sql, ASKING).await;
    let Ok(Ok(rows)) = rows else { return String::new() };
    let one = |row: &crate::session::Row| {
        let size = row.int(1).ok().and_then(|it| u64::try_from(it).ok());
        let size = size.map_or(String::new(), |it| format!(" ({})", hive_sql::words::size(it)));
        format!("`{}`{size}", row.text(0).unwrap_or_default())
    };
    let kept: Vec<String> = rows.iter().map(one).collect();
    if kept.is_empty() { String::new() } else { format!("; kept beside: {}", kept.join(", ")) }
}

async fn absent(group: &Group, error: &tokio_postgres::Error) -> Result<Option<Found>, Failure> {
    closed_by_a_restore(&group.url).await?;
    if restores(group) || group.of.get("create").and_then(Value::as_bool) == Some(true) {
        return Ok(None);
    }
    let failure = refused(&group.url.spot, "connect", error);
    Err(failure.diagnosis(
        "make it, or say `create = true` in its declaration; where it is lost, `hive rebuild` brings \
         it back from its newest backup",
    ))
}

/// A database that a restore has put aside is not absent.
async fn closed_by_a_restore(url: &Url) -> Result<(), Failure> {
    let Ok(session) = outside(url, READER).await else { return Ok(()) };
    // One whose restore has ended says so; those of an earlier hive are told by the restored
    // database, which has the key in the note on it, also where that was put aside in its turn.
    let sql = format!(
        "SELECT d.datname FROM pg_catalog.pg_database d \
         WHERE pg_catalog.starts_with(d.datname, {prefix}) \
         AND NOT pg_catalog.starts_with(COALESCE( \
           pg_catalog.shobj_description(d.oid, 'pg_database'), ''), {replaced}) \
         AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_database later \
           WHERE pg_catalog.starts_with(later.datname, {prefix}) \
           AND pg_catalog.strpos(pg_catalog.shobj_description(later.oid, 'pg_database'), \
             {note} || pg_catalog.right(d.datname, 8)) > 0) ORDER BY d.oid DESC",
        prefix = quote::text(&names::old_prefix(&url.spot.database)),
        replaced = quote::text(restore::REPLACED),
        note = quote::text(&restore::note("")),
    );
    let rows = session.rows("look for the database", &sql, ASKING).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let what = format!(
        "{} is not there, and `{}` is: a restore has put it aside and did not end",
        url.spot,
        row.said(0)?
    );
    Err(taken(what).diagnosis(format!(
        "`hive recover` goes on with it, or `hive recover --back`; where that says that nothing is \
         open, an earlier hive has kept it: `ALTER DATABASE {} RENAME TO …`, and ask again",
        quote::name(row.said(0)?)
    )))
}
