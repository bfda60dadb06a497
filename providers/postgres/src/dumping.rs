//! What PostgreSQL adds to a backup: one snapshot for the dump and for its proof, and a restore
//! into a scratch database that proves it.

use crate::book::{self, Book, Want};
use crate::child::{self, Extent, Owners};
use crate::lock::{Hold, Lock};
use crate::roles::Roles;
use crate::scratch::{Scratch, fill};
use crate::session::{ASKING, READER, Session, called};
use crate::tools::{self, Version};
use crate::trouble::{is_lost, refused};
use crate::url::Url;
use crate::{Base, ENGINE, desk, names, schema, sums, surroundings};
use hive_backup::{Contents, Engine, Job, Plain, Proof, Sink, now_ms};
use hive_contract::{Event, Failure, FailureKind, Task};
use hive_sql::facts::{changes, fingerprint};
use hive_sql::history::Applied;
use hive_sql::manifest::{Head, Manifest, Schema, Source, Table, differences};
use hive_sql::migrations::chain;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;
use tokio::time::Instant;

/// The engine of PostgreSQL's backups.
pub(crate) struct Dumps {
    base: Base,
    /// The name of the database, where it is not the one of its url: a restore has put it aside.
    pub(crate) database: Option<String>,
    /// What else goes into the manifest.
    pub(crate) notes: BTreeMap<String, String>,
}

impl Dumps {
    pub(crate) fn new(base: &Base) -> Self {
        Self { base: base.clone(), database: None, notes: BTreeMap::new() }
    }

    fn url(&self, job: &Job<'_>) -> Result<Url, Failure> {
        let url = Url::of(&self.base.folder, job.of, job.context.secrets)?;
        Ok(match &self.database {
            Some(name) => url.database(name),
            None => url,
        })
    }
}

impl Engine for Dumps {
    fn dump<'a>(&'a self, job: Job<'a>, sink: Sink) -> Task<'a, Result<Contents, Failure>> {
        Box::pin(dump(self, job, sink))
    }

    fn prove<'a>(
        &'a self,
        job: Job<'a>,
        manifest: &'a Manifest,
        plain: Plain,
    ) -> Task<'a, Result<Proof, Failure>> {
        Box::pin(prove(self, job, manifest, plain))
    }
}

async fn dump(dumps: &Dumps, job: Job<'_>, mut sink: Sink) -> Result<Contents, Failure> {
    let url = dumps.url(&job)?;
    let application = called(&job.request.token);
    let until = Instant::now() + Duration::from_millis(job.request.operation.deadline_ms);
    // A dump holds a lock on every table: a migration beside it would wait for its end, and every
    // reader would wait behind the migration.
    let lock = Lock::take(&url, &application, Hold::Shared, until, job.context, None).await?;
    let holder = Session::open(&url, &application).await?;
    let version = tools::server(&holder).await?;
    let tools = tools::find(dumps.base.tools.as_deref(), &version).await?;
    let system = system(&holder).await?;
    let snapshot = Snapshot::export(&holder).await?;
    let (child, output) =
        child::dump(&tools, &url, &application, Some(&snapshot.id), Extent::Whole)?;
    let (tables, ()) = tokio::try_join!(
        beside(&url, &application, &snapshot.id),
        read_out(child, output, &mut sink, &job),
    )?;
    let book = book_of(&holder).await?;
    let settings = settings(&holder).await?;
    let surroundings = surroundings::read(&holder).await?;
    lock.holds().await?;
    holder.run("end the snapshot", "COMMIT").await?;
    // Whoever reads it says better than we why it does not.
    let unread = |error| {
        Failure::new(FailureKind::Unavailable, format!("the dump cannot be stored: {error}"))
    };
    sink.end().await.map_err(unread)?;
    let mut notes = dumps.notes.clone();
    notes.insert("wal position".to_owned(), snapshot.wal);
    Ok(Contents {
        source: Source {
            engine: ENGINE.to_owned(),
            name: url.spot.database.clone(),
            system,
            version: version.full,
            settings,
        },
        snapshot_ms: snapshot.at_ms,
        schema: Some(Schema {
            fingerprint: book.schema.fingerprint().to_owned(),
            facts: book.schema.into_facts(),
        }),
        migrations: Some(head(book.history)),
        tables,
        surroundings: Some(surroundings),
        tools: BTreeMap::from([("pg_dump".to_owned(), tools.version)]),
        notes,
    })
}

/// A moment of the database that other sessions can look at.
struct Snapshot {
    id: String,
    wal: String,
    at_ms: i64,
}

impl Snapshot {
    async fn export(holder: &Session) -> Result<Self, Failure> {
        let sql = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
            SET LOCAL idle_in_transaction_session_timeout = 0; \
            SELECT pg_catalog.pg_export_snapshot(), CASE WHEN pg_catalog.pg_is_in_recovery() \
              THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END::text";
        let row = holder.row("fix a moment", sql).await?;
        Ok(Self {
            id: row.said(0)?.to_owned(),
            wal: row.text(1).unwrap_or_default().to_owned(),
            at_ms: now_ms(),
        })
    }
}

/// Counts the rows that the dump has, beside it.
async fn beside(url: &Url, application: &str, snapshot: &str) -> Result<Vec<Table>, Failure> {
    let session = Session::open(url, application).await?;
    let begin = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '{snapshot}'; \
         SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
    );
    session.run("look at a fixed moment", &begin).await?;
    sums::all(&session).await
}

/// Passes the archive on. Only an end that the child itself calls good is one.
async fn read_out(
    child: child::Running,
    mut output: ChildStdout,
    sink: &mut Sink,
    job: &Job<'_>,
) -> Result<(), Failure> {
    let mut buffer = vec![0; 256 << 10];
    let mut size: u64 = 0;
    let mut told = Instant::now();
    loop {
        let count = output.read(&mut buffer).await.map_err(|error| {
            let what = format!("`pg_dump` cannot be read: {error}");
            Failure::new(FailureKind::Unavailable, what).retryable()
        })?;
        if count == 0 {
            break;
        }
        if job.context.cancelled() {
            let what = "asked to stop in the middle of a dump";
            return Err(Failure::new(FailureKind::Cancelled, what));
        }
        sink.send(&buffer[..count]).await.map_err(|error| {
            Failure::new(FailureKind::Unavailable, format!("the dump cannot be stored: {error}"))
        })?;
        size += count as u64;
        if told.elapsed() > Duration::from_secs(5) {
            told = Instant::now();
            let words = format!("dumped {}", hive_sql::words::size(size));
            job.context.event(Event::info(words));
        }
    }
    child.end().await
}

/// The history, where there is one, and the schema, inside the snapshot.
async fn book_of(holder: &Session) -> Result<Book, Failure> {
    match book::is_installed(holder).await? {
        true => Book::read(holder, Want::Schema).await,
        false => Ok(Book::without(schema::Schema::read(holder).await?)),
    }
}

fn head(history: Vec<Applied>) -> Head {
    let whole: Vec<&Applied> = history.iter().filter(|row| !row.is_half()).collect();
    Head {
        head: whole.last().map_or(String::new(), |row| row.name.clone()),
        count: whole.len() as u64,
        chain: chain(whole.iter().map(|row| (row.name.as_str(), row.checksum.as_str()))),
        history,
    }
}

/// The identity of the server, where the role may ask.
async fn system(session: &Session) -> Result<String, Failure> {
    let sql = "SELECT system_identifier FROM pg_catalog.pg_control_system()";
    match session.try_rows("ask who the server is", sql, ASKING).await? {
        Ok(rows) => Ok(rows.first().and_then(|row| row.text(0)).unwrap_or_default().to_owned()),
        Err(error) if is_lost(&error) => {
            Err(refused(session.spot(), "ask who the server is", &error))
        }
        Err(_) => Ok(String::new()),
    }
}

/// What a database for this content must be made with.
async fn settings(session: &Session) -> Result<BTreeMap<String, String>, Failure> {
    let sql = "SELECT pg_catalog.pg_encoding_to_char(encoding), datcollate, datctype, \
          COALESCE(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c'), \
          COALESCE(pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale') \
        FROM pg_catalog.pg_database d WHERE datname = pg_catalog.current_database()";
    let row = session.row("ask how the database was made", sql).await?;
    let names = ["encoding", "collate", "ctype", "provider", "locale"];
    let said = names
        .iter()
        .enumerate()
        .filter_map(|(at, name)| Some(((*name).to_owned(), row.text(at)?.to_owned())));
    Ok(said.collect())
}

async fn prove(
    dumps: &Dumps,
    job: Job<'_>,
    manifest: &Manifest,
    plain: Plain,
) -> Result<Proof, Failure> {
    let url = dumps.url(&job)?;
    let application = called(&job.request.token);
    job.context.guard.may_write()?;
    names::sweep(&url, &names::try_prefix(&url.spot.database)).await?;
    roles_there(&url, &job, manifest).await?;
    let name = names::scratch(&url.spot.database, job.request.token.as_str());
    let begun = Instant::now();
    let scratch = Scratch::make(&url, &name, &application, &manifest.source.settings).await?;
    let tried = try_it(dumps, &job, &scratch, manifest, plain, begun).await;
    // Also where it failed: what is left is swept by whoever comes next.
    let dropped = scratch.drop_it().await;
    let proof = tried?;
    dropped?;
    Ok(proof)
}

/// What an exercise does not make: the roles of the backup. Without those that policies name it
/// cannot be tried here, which says nothing against it.
async fn roles_there(url: &Url, job: &Job<'_>, manifest: &Manifest) -> Result<(), Failure> {
    let Some(wanted) = &manifest.surroundings else { return Ok(()) };
    let outside = desk::outside(url, READER).await?;
    let roles = Roles::look(&outside, wanted).await?;
    let missing = roles.missing();
    for role in &missing {
        let words = format!("role `{}` is not on this server: a rebuild makes it", role.name);
        job.context.event(Event::warning(words));
    }
    if let Some(refusal) = roles.refusal(&url.spot.to_string(), true) {
        let words = format!("a rebuild here would be refused: {}", refusal.message);
        job.context.event(Event::warning(words));
    }
    let Some(named) = missing.iter().find(|it| it.policies) else { return Ok(()) };
    let what = format!(
        "{} cannot be tried on this server: a policy in it names the role `{}`, which is not there",
        manifest.id, named.name
    );
    Err(Failure::new(FailureKind::Unavailable, what)
        .diagnosis("an exercise makes no roles; `hive rebuild` does"))
}

async fn try_it(
    dumps: &Dumps,
    job: &Job<'_>,
    scratch: &Scratch,
    manifest: &Manifest,
    plain: Plain,
    begun: Instant,
) -> Result<Proof, Failure> {
    let version = tools::server(&scratch.outside).await?;
    check_version(&version, manifest)?;
    let tools = tools::find(dumps.base.tools.as_deref(), &version).await?;
    let application = called(&job.request.token);
    let (child, input) = child::restore(&tools, &scratch.url, &application, Owners::Ours)?;
    let filled = fill(child, input, plain, job.context).await;
    let mut proof = Proof { version: version.full, ..Proof::default() };
    match filled {
        Ok(()) => proof.wrong = compare(&scratch.url, &application, manifest).await?,
        // What `pg_restore` cannot make anything of is the backup's fault.
        Err(failure) if failure.kind == FailureKind::Invalid => proof.wrong.push(failure.message),
        Err(failure) => return Err(failure),
    }
    proof.restore_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(proof)
}

/// An archive of a newer server may hold what this one does not know.
pub(crate) fn check_version(server: &Version, manifest: &Manifest) -> Result<(), Failure> {
    let made = manifest.source.version.split('.').next().and_then(|it| it.parse::<u32>().ok());
    if manifest.source.engine == ENGINE && made.is_none_or(|it| it <= server.major) {
        return Ok(());
    }
    let source = &manifest.source;
    let what = format!(
        "the backup {} is of {} {}, and this server is PostgreSQL {}",
        manifest.id, source.engine, source.version, server.full
    );
    Err(Failure::new(FailureKind::Invalid, what))
}

/// How a restored database differs from its manifest, each a fragment; nothing where it is equal.
///
/// # Errors
/// It cannot be read.
pub(crate) async fn compare(
    url: &Url,
    application: &str,
    manifest: &Manifest,
) -> Result<Vec<String>, Failure> {
    let session = Session::open(url, application).await?;
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0";
    session.run("look at what was restored", begin).await?;
    let mut wrong = differences(&manifest.tables, &sums::all(&session).await?);
    let facts = schema::Schema::read(&session).await?.into_facts();
    if let Some(schema) = &manifest.schema
        && schema.fingerprint != fingerprint(&facts)
    {
        let other = changes(&schema.facts, &facts);
        wrong.extend(other.iter().map(|(object, is)| format!("{object} is another: {is}")));
    }
    Ok(wrong)
}
