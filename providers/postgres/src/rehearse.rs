//! A list tried on a copy: up, down and up again, each file in turn.

use crate::book::{Book, Want};
use crate::child::{self, Extent, Owners};
use crate::delta::Delta;
use crate::desk::outside;
use crate::dumping::check_version;
use crate::lower::kind_of;
use crate::marking::now_ms;
use crate::measure::Watch;
use crate::migrating::{before_of, compared, seen};
use crate::names;
use crate::schema::Schema;
use crate::scratch::{Scratch, fill};
use crate::script::run_script;
use crate::session::Session;
use crate::sums::Rows;
use crate::trouble::{invalid, refused, state};
use crate::url::Url;
use crate::{Base, MIGRATIONS, tools};
use hive_backup::Settings;
use hive_contract::{Action, Change, Context, Event, Failure, FailureKind, Live, Rehearsal, Value};
use hive_sql::facts::{Facts, changes, fingerprint};
use hive_sql::history::Applied;
use hive_sql::list::{Tried, TriedFile};
use hive_sql::manifest::{Table, differences};
use hive_sql::{Migration, Stage, words};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

/// What sessions of a rehearsal are called.
const TRYING: &str = "hive rehearsal";
/// Material: how the place of the list's backup is reached.
const PLACE: &str = "place";
/// How long one statement may take on a copy.
const LIMIT: Duration = Duration::from_secs(6 * 3_600);

/// Whether there is something to be tried.
pub(crate) fn can(change: &Change) -> bool {
    let does = matches!(change.action, Action::Create | Action::Update | Action::Adopt);
    does && kind_of(&change.identity) == MIGRATIONS && !pending(change).is_empty()
}

/// The files that a change will apply, in order.
fn pending(change: &Change) -> Vec<Migration> {
    let seen = seen(change, before_of(change).as_ref());
    let Some(Ok(compared)) = compared(change, &seen) else { return Vec::new() };
    match compared.pending.half {
        Some(_) => Vec::new(),
        None => compared.pending().cloned().collect(),
    }
}

pub(crate) async fn rehearse(
    base: &Base,
    changes: &[Change],
    context: &Context<'_>,
) -> Vec<Result<Rehearsal, Failure>> {
    // Who is connected to a database keeps it from being copied.
    drop(base.shelf.clear());
    let mut all = Vec::new();
    for change in changes {
        all.push(match can(change) {
            true => one(base, change, context).await,
            false => Ok(Rehearsal::default()),
        });
    }
    all
}

async fn one(base: &Base, change: &Change, context: &Context<'_>) -> Result<Rehearsal, Failure> {
    let desired = change.desired.as_ref().ok_or_else(|| invalid("nothing is declared"))?;
    let url = Url::of(&base.folder, &desired.access, context.secrets)?;
    context.guard.may_write()?;
    names::sweep(&url, &names::try_prefix(&url.spot.database)).await?;
    let copy = Copy::make(base, &url, change, context).await?;
    // A list that hive let go of, or whose first apply was taken back, has left its history, and is
    // taken up where it was.
    let mut files = pending(change);
    files.retain(|file| !copy.applied.iter().any(|row| row.is_of(file)));
    let tried = try_all(&copy, files, context).await;
    let kind = copy.kind.clone();
    let empty = copy.live.as_ref().is_none_or(|it| it.is_empty());
    let dropped = copy.scratch.drop_it().await;
    let files = tried?;
    dropped?;
    Ok(told(files, kind, empty))
}

fn told(files: BTreeMap<String, TriedFile>, kind: String, empty: bool) -> Rehearsal {
    let span = |ms: u64| words::span(ms);
    let mut facts = BTreeMap::from([("tried on".to_owned(), kind)]);
    facts.insert("took".to_owned(), span(files.values().map(|it| it.took_ms).sum()));
    let longest = files.values().filter_map(|it| it.locked_ms).max().unwrap_or_default();
    facts.insert("longest lock".to_owned(), span(longest));
    let rewritten: Vec<&str> =
        files.values().flat_map(|it| it.rewritten.iter().map(String::as_str)).collect();
    if !rewritten.is_empty() {
        facts.insert("writes anew".to_owned(), rewritten.join(", "));
    }
    Rehearsal { facts, fields: Tried { files, empty }.fields() }
}

/// A copy of the live database.
struct Copy {
    scratch: Scratch,
    /// What sort of copy, in words.
    kind: String,
    /// Whether it has the rows.
    rows: bool,
    /// The schema of what is live; none where the copy's own is as good.
    live: Option<Facts>,
    /// What is applied of it.
    applied: Vec<Applied>,
}

impl Copy {
    async fn make(
        base: &Base,
        url: &Url,
        change: &Change,
        context: &Context<'_>,
    ) -> Result<Self, Failure> {
        let name = names::scratch(&url.spot.database, &format!("{} {}", change.identity, now_ms()));
        let book = match Session::try_open(url, TRYING).await? {
            Ok(session) => Book::look(&session, Want::Schema).await?.0,
            Err(error) if state(&error) == "3D000" => {
                let scratch = Scratch::make(url, &name, TRYING, &BTreeMap::new()).await?;
                let kind = "an empty database".to_owned();
                return Ok(Self { scratch, kind, rows: true, live: None, applied: Vec::new() });
            }
            Err(error) => return Err(refused(&url.spot, "connect", &error)),
        };
        let (live, applied) = (book.schema.into_facts(), book.history);
        for backup in change.related.values() {
            match of_backup(base, url, &name, (change, backup), &live, context).await {
                Ok(Some((scratch, id))) => {
                    let kind = format!("the backup {id}, restored");
                    return Ok(Self { scratch, kind, rows: true, live: Some(live), applied });
                }
                Ok(None) => {}
                Err(failure) => {
                    let words = format!("not tried on the newest backup: {}", failure.message);
                    context.event(Event::warning(words));
                }
            }
        }
        match Scratch::copy(url, &name, TRYING).await {
            Ok(scratch) => {
                let kind = "a copy of the live database".to_owned();
                Ok(Self { scratch, kind, rows: true, live: Some(live), applied })
            }
            Err(failure) if failure.kind == FailureKind::Taken => {
                let scratch = of_schema(base, url, &name).await?;
                let kind = "the schema alone, as the database is in use: without rows".to_owned();
                Ok(Self { scratch, kind, rows: false, live: Some(live), applied })
            }
            Err(failure) => Err(failure),
        }
    }
}

/// The newest backup that was proven, where it has the schema of what is live and can be read with
/// what is known here.
async fn of_backup(
    base: &Base,
    url: &Url,
    name: &str,
    (change, backup): (&Change, &Live),
    live: &Facts,
    context: &Context<'_>,
) -> Result<Option<(Scratch, String)>, Failure> {
    let material = change.desired.as_ref().map(|it| &it.material);
    let place = material.and_then(|it| it.get(PLACE)).and_then(Value::as_map);
    let Some(place) = place else { return Ok(None) };
    let proven = backup.fields.get("backups").and_then(Value::as_list).and_then(|all| {
        let proven = all.iter().rev().filter_map(Value::as_map).find(|it| {
            it.contains_key("verified_ms") && it.get("ok").and_then(Value::as_bool) == Some(true)
        });
        Some(proven?.get("id")?.as_text()?.to_owned())
    });
    let Some(id) = proven else { return Ok(None) };
    let repository = Settings::read(place)?.connect(&base.folder, context.secrets).await?;
    let manifest = repository.manifest(&id).await?;
    let schema = manifest.schema.as_ref().map(|it| it.fingerprint.as_str());
    if schema != Some(fingerprint(live).as_str()) {
        return Ok(None);
    }
    let plain = repository.open(&manifest).await?;
    let scratch = Scratch::make(url, name, TRYING, &manifest.source.settings).await?;
    let filled = async {
        let version = tools::server(&scratch.outside).await?;
        check_version(&version, &manifest)?;
        let tools = tools::find(base.tools.as_deref(), &version).await?;
        let (child, input) = child::restore(&tools, &scratch.url, TRYING, Owners::Ours)?;
        fill(child, input, plain, context).await
    };
    match filled.await {
        Ok(()) => Ok(Some((scratch, id))),
        Err(failure) => {
            scratch.drop_it().await?;
            Err(failure)
        }
    }
}

/// The schema of a database that is in use.
async fn of_schema(base: &Base, url: &Url, name: &str) -> Result<Scratch, Failure> {
    let asker = outside(url, TRYING).await?;
    let version = tools::server(&asker).await?;
    let tools = tools::find(base.tools.as_deref(), &version).await?;
    let scratch = Scratch::make(url, name, TRYING, &BTreeMap::new()).await?;
    let copied = async {
        let (dump, mut output) = child::dump(&tools, url, TRYING, None, Extent::Schema)?;
        let (restore, mut input) = child::restore(&tools, &scratch.url, TRYING, Owners::Ours)?;
        let copied = tokio::io::copy(&mut output, &mut input).await;
        dump.end().await?;
        let flushed = input.shutdown().await;
        drop(input);
        restore.end().await?;
        let broken = |error| {
            let what = format!("the schema cannot be copied: {error}");
            Failure::new(FailureKind::Unavailable, what)
        };
        copied.map_err(broken)?;
        flushed.map_err(broken)
    };
    match copied.await {
        Ok(()) => Ok(scratch),
        Err(failure) => {
            scratch.drop_it().await?;
            Err(failure)
        }
    }
}

async fn try_all(
    copy: &Copy,
    files: Vec<Migration>,
    context: &Context<'_>,
) -> Result<BTreeMap<String, TriedFile>, Failure> {
    let session = Session::open(&copy.scratch.url, TRYING).await?;
    let mut watch = Watch::begin(&session).await?;
    let mut moment = Moment::first(&session, copy.rows).await?;
    // What a copy without the live schema would leave says nothing of what is left there.
    let alike = copy.live.as_ref().is_none_or(|live| live == moment.schema.facts());
    let mut found = BTreeMap::new();
    for migration in &files {
        if context.cancelled() {
            let what = format!("asked to stop in front of `{}`", migration.name);
            return Err(Failure::new(FailureKind::Cancelled, what));
        }
        context.event(Event::info(format!("tries {}", migration.name)));
        let mut file = up_down_up(&session, migration, &mut watch, &mut moment).await?;
        file.schema_after = alike.then(|| moment.schema.fingerprint().to_owned());
        found.insert(migration.name.clone(), file);
    }
    Ok(found)
}

/// A moment of the copy.
struct Moment {
    schema: Schema,
    /// None where the copy has no rows.
    rows: Option<Rows>,
}

/// What is other than a moment before.
struct Between {
    facts: Delta<String, String>,
    rows: Delta<i64, Table>,
}

impl Between {
    fn then(&self, next: &Self) -> Self {
        Self { facts: self.facts.then(&next.facts), rows: self.rows.then(&next.rows) }
    }
}

const LOOK: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

impl Moment {
    async fn first(session: &Session, rows: bool) -> Result<Self, Failure> {
        session.run("look at the copy", LOOK).await?;
        let schema = Schema::read(session).await?;
        let mut rows = rows.then(Rows::default);
        if let Some(rows) = &mut rows {
            rows.again(session, None).await?;
        }
        session.run("look at the copy", "COMMIT").await?;
        Ok(Self { schema, rows })
    }

    /// Goes on to what is there now, by the tables that may have been written to.
    async fn again(
        &mut self,
        session: &Session,
        written: Option<&[i64]>,
    ) -> Result<Between, Failure> {
        session.run("look at the copy", LOOK).await?;
        let facts = self.schema.again(session).await?;
        // A schema that has another name gives it to its tables.
        let written = written.filter(|_| !facts.keys().any(|it| it.starts_with("schema ")));
        let rows = match &mut self.rows {
            Some(rows) => rows.again(session, written).await?,
            None => Delta::default(),
        };
        session.run("look at the copy", "COMMIT").await?;
        Ok(Between { facts, rows })
    }
}

async fn up_down_up(
    session: &Session,
    migration: &Migration,
    watch: &mut Watch,
    moment: &mut Moment,
) -> Result<TriedFile, Failure> {
    let run = watch.run(session, &migration.up, LIMIT).await?;
    let written = run.written.as_deref();
    let rewritten = watch.rewritten(session, written).await?;
    let mut file = TriedFile {
        took_ms: run.took_ms,
        locked_ms: Some(run.locked_ms),
        rewritten,
        ..TriedFile::default()
    };
    let up = moment.again(session, written).await?;
    let Some(down) = migration.down.script() else { return Ok(file) };
    let begun = Instant::now();
    let down_written = run_script(session, down, LIMIT).await?;
    file.down_ms = u64::try_from(begun.elapsed().as_millis()).ok();
    let back = moment.again(session, down_written.as_deref()).await?;
    same(migration, &down.file, &up.then(&back), "does not take it back")?;
    let up_written = run_script(session, &migration.up, LIMIT).await?;
    let again = moment.again(session, up_written.as_deref()).await?;
    same(migration, &migration.up.file, &back.then(&again), "is not the same a second time")?;
    for written in [&down_written, &up_written] {
        watch.rewritten(session, written.as_deref()).await?;
    }
    Ok(file)
}

/// The same schema, and the same rows: but for what a contract takes away, which nothing brings
/// back.
fn same(migration: &Migration, file: &str, both: &Between, what: &str) -> Result<(), Failure> {
    let mut wrong: Vec<String> = changes(&both.facts.before(), &both.facts.after())
        .into_iter()
        .map(|(object, is)| format!("{object}: {is}"))
        .collect();
    if migration.stage == Stage::Expand {
        let tables = |rows: BTreeMap<i64, Table>| rows.into_values().collect::<Vec<_>>();
        wrong.extend(differences(&tables(both.rows.before()), &tables(both.rows.after())));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let mut failure = invalid(format!("`{file}` {what}: {}", wrong[0]));
    failure.diagnosis = wrong;
    Err(failure)
}
