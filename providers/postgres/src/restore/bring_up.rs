//! An older backup at the schema that is wanted, and whose everything in it is.

use super::FILES;
use crate::book::{self, Book, Want};
use crate::delta::Delta;
use crate::desk::Desk;
use crate::marking::{new_row, now_ms};
use crate::schema::Schema;
use crate::script::run_script;
use crate::session::Session;
use crate::url::Url;
use crate::{DATABASE, MIGRATIONS};
use hive_contract::{Event, Failure, FailureKind, Mark};
use hive_sql::history::{Applied, Order, compare};
use hive_sql::manifest::Manifest;
use hive_sql::{Dialect, FileText, Migrations};

/// Runs what is wanted and not in the backup, and marks everything of the backup's owner as the
/// step's.
///
/// # Errors
/// The files do not go with what is applied in the backup, or one fails.
pub(super) async fn bring_up(
    desk: &Desk<'_>,
    url: &Url,
    manifest: &Manifest,
) -> Result<(), Failure> {
    let session = Session::open(url, &desk.application()).await?;
    session.run("bring it up", "BEGIN").await?;
    book::install(&session).await?;
    session.run("bring it up", "COMMIT").await?;
    session.run("bring it up", "BEGIN").await?;
    let before = Book::read(&session, Want::Schema).await?;
    session.run("bring it up", "COMMIT").await?;
    let ran = run(desk, &session, manifest, &before).await?;
    let doing = "mark what was restored";
    session.run(doing, "BEGIN").await?;
    if ran {
        let after = Schema::read(&session).await?;
        for sql in book::objects_sql(&Delta::between(&before.objects, after.facts())) {
            session.run(doing, &sql).await?;
        }
    }
    marks(desk, &session, manifest, &before).await?;
    session.run(doing, "COMMIT").await
}

async fn run(
    desk: &Desk<'_>,
    session: &Session,
    manifest: &Manifest,
    before: &Book,
) -> Result<bool, Failure> {
    let files = FileText::list(desk.request.operation.payload.get(FILES));
    if files.is_empty() {
        return Ok(false);
    }
    let invalid = |what: String| Failure::new(FailureKind::Invalid, what);
    let migrations = Migrations::read(Dialect::Postgres, &files).map_err(|faults| {
        let named = faults.first().map(ToString::to_string).unwrap_or_default();
        invalid(format!("the files of the list make no sense: {named}"))
    })?;
    let rows = &before.history;
    let pending = compare(&migrations, rows, Order::Any).map_err(|wrong| {
        let named: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        let id = &manifest.id;
        invalid(format!("the backup {id} does not go with the files: {}", named.join("; ")))
    })?;
    if let Some(row) = pending.beyond.first().and_then(|at| rows.get(*at)) {
        return Err(invalid(format!(
            "the backup {} is newer than the schema that is wanted: it holds `{}`",
            manifest.id, row.name
        )));
    }
    if let Some(half) = &pending.half {
        return Err(invalid(format!("in the backup {} {}", manifest.id, half.words())));
    }
    let list = migrations.list();
    let mut schema = before.schema.clone();
    for migration in pending.files.iter().filter_map(|at| list.get(*at)) {
        desk.context.event(Event::info(format!("brings it up to {}", migration.name)));
        desk.context.guard.may_write()?;
        let mut row = new_row(desk, migration);
        row.before = here(session, &mut schema).await?;
        run_script(session, &migration.up, desk.left()).await?;
        finish(&mut row, here(session, &mut schema).await?);
        session.run("keep the history", &book::history_sql(&row)).await?;
    }
    Ok(!pending.files.is_empty())
}

/// The schema's fingerprint; `known` is the schema as it was before.
async fn here(session: &Session, known: &mut Schema) -> Result<String, Failure> {
    session.run("read the schema", "BEGIN").await?;
    known.again(session).await?;
    session.run("read the schema", "COMMIT").await?;
    Ok(known.fingerprint().to_owned())
}

fn finish(row: &mut Applied, after: String) {
    (row.applied, row.begun) = (row.total, row.total);
    row.finished_ms = Some(now_ms());
    row.after = after;
}

/// What the backup's owner held is the step's owner's: another environment may have made it.
async fn marks(
    desk: &Desk<'_>,
    session: &Session,
    manifest: &Manifest,
    before: &Book,
) -> Result<(), Failure> {
    let doing = "mark what was restored";
    let (owner, token) = (&desk.request.mark.owner, &desk.request.token);
    for row in &before.marks {
        let Some(mark) = row.mark().filter(|it| it.owner == manifest.mark.owner) else { continue };
        session.run(doing, &book::unmark_sql(&row.identity)).await?;
        // The database's own comes below, whatever it was called where it was backed up.
        if row.kind != MIGRATIONS {
            continue;
        }
        let identity = format!("{}/{}", owner.environment, mark.address);
        let mark = Mark { owner: owner.clone(), address: mark.address };
        let sql = book::mark_sql(&identity, MIGRATIONS, Some(&mark), token);
        session.run(doing, &sql).await?;
    }
    let own = book::mark_sql(&desk.request.identity, DATABASE, Some(&desk.request.mark), token);
    session.run(doing, &own).await
}
