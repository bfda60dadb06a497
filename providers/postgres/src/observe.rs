//! Many parts at once: one connection and one round trip a database.

use crate::book::{Book, Want};
use crate::desk::outside;
use crate::live::{self, Around};
use crate::lower::kind_of;
use crate::seen::sizes_value;
use crate::session::{ASKING, READER, Session};
use crate::trouble::{refused, state, taken};
use crate::url::Url;
use crate::{Base, MIGRATIONS, backup, names, quote, restore};
use hive_contract::{
    Ask, AskOne, Facts, Failure, FailureKind, Fields, Live, Observation, Observed, Secrets,
    StackMark, Target, Value,
};
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
        Ok(Some((book, sizes))) => answer(&group, &book, &sizes, marked.as_ref()),
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

fn answer(group: &Group, book: &Book, sizes: &Value, marked: Option<&StackMark>) -> Answer {
    let around = Around { spot: &group.url.spot, of: &group.of };
    let see = |kind: &str, identity: &str| {
        let mut live = live::of(kind, identity, book, around)?;
        if kind == MIGRATIONS {
            live.outputs.insert("sizes".to_owned(), sizes.clone());
        }
        Some(live)
    };
    let parts = group.parts.iter().map(|one| {
        let live = see(kind_of(&one.identity), &one.identity);
        (one.target.clone(), Ok(live.map_or(Observed::Absent, Observed::Present)))
    });
    let ours = book.marks.iter().filter(|row| {
        let mark = row.mark();
        marked.zip(mark.as_ref()).is_some_and(|(asked, mark)| {
            (&asked.stack, &asked.environment) == (&mark.owner.stack, &mark.owner.environment)
        })
    });
    let ours = ours.filter_map(|row| see(&row.kind, &row.identity));
    (parts.collect(), ours.collect())
}

/// What is in the database; none where there is no such database and hive may make it.
async fn read(group: &Group) -> Result<Option<(Book, Value)>, Failure> {
    let session = match Session::try_open(&group.url, READER).await? {
        Ok(session) => session,
        Err(error) if state(&error) == "3D000" => return absent(group, &error).await,
        Err(error) => return Err(refused(&group.url.spot, "connect", &error)),
    };
    let schema = group.parts.iter().any(|one| kind_of(&one.identity) == MIGRATIONS);
    let want = if schema { Want::Schema } else { Want::Marks };
    let (book, sizes) = Book::look(&session, want).await?;
    Ok(Some((book, sizes_value(&sizes))))
}

async fn absent(
    group: &Group,
    error: &tokio_postgres::Error,
) -> Result<Option<(Book, Value)>, Failure> {
    closed_by_a_restore(&group.url).await?;
    if group.of.get("create").and_then(Value::as_bool) == Some(true) {
        return Ok(None);
    }
    let failure = refused(&group.url.spot, "connect", error);
    Err(failure.diagnosis("make it, or say `create = true` in its declaration"))
}

/// A database that a restore has put aside is not absent.
async fn closed_by_a_restore(url: &Url) -> Result<(), Failure> {
    let Ok(session) = outside(url, READER).await else { return Ok(()) };
    // Of those that ended each one's restored database has its key in the note on it, also where that
    // was put aside in its turn. Of what is left the newest was put aside last.
    let sql = format!(
        "SELECT d.datname FROM pg_catalog.pg_database d \
         WHERE pg_catalog.starts_with(d.datname, {prefix}) \
         ORDER BY EXISTS (SELECT 1 FROM pg_catalog.pg_database later \
           WHERE pg_catalog.starts_with(later.datname, {prefix}) \
           AND pg_catalog.shobj_description(later.oid, 'pg_database') \
             = {note} || pg_catalog.right(d.datname, 8)), d.oid DESC",
        prefix = quote::text(&names::old_prefix(&url.spot.database)),
        note = quote::text(&restore::note("")),
    );
    let rows = session.rows("look for the database", &sql, ASKING).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let what = format!(
        "{} is not there, and `{}` is: a restore has put it aside and did not end",
        url.spot,
        row.said(0)?
    );
    Err(taken(what).diagnosis("`hive recover` goes on with it, or `hive recover --back`"))
}
