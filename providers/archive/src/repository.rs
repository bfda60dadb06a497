//! Git repositories: bundled with all refs.

use crate::bundle::{Bundle, Head};
use crate::clone::Form;
use crate::git;
use crate::place::Of;
use hive_backup::{Contents, Sink, now_ms};
use hive_contract::{Failure, FailureKind};
use hive_sql::manifest::{Source, Table};
use std::io;
use tokio::io::AsyncReadExt;

/// Writes all refs, and all that they lead to, into the sink.
///
/// # Errors
/// It is no repository, has no commit, or does not hold all of its history.
pub(crate) async fn dump(of: &Of, mut sink: Sink) -> Result<Contents, Failure> {
    check_whole(of).await?;
    let snapshot_ms = now_ms();
    let form = Form::look(of).await?;
    let version = git::ask(git::at(&of.path, &["version"])).await?;
    let bundle = ["bundle", "create", "--quiet", "-", "--all"];
    let mut child = git::start(git::at(&of.path, &bundle))?;
    let (out, said) = (child.stdout.take(), child.stderr.take());
    let pass = async {
        let mut head = Head::default();
        if let Some(mut out) = out {
            let mut buffer = vec![0; 64 << 10];
            loop {
                let count = out.read(&mut buffer).await?;
                if count == 0 {
                    break;
                }
                head.take(&buffer[..count]);
                sink.send(&buffer[..count]).await?;
            }
        }
        Ok::<_, io::Error>((head, sink))
    };
    let (passed, said) = tokio::join!(pass, git::said_of(said));
    let broken = |error: io::Error| {
        let message = format!("bundling `{}` ended: {error}", of.shown);
        Failure::new(FailureKind::Unavailable, message).retryable()
    };
    let (head, sink) = passed.map_err(broken)?;
    if !child.wait().await.map_err(broken)?.success() {
        return Err(git::refused(&said));
    }
    let bundle = head.read().map_err(|why| {
        Failure::new(FailureKind::Malformed, format!("the bundle of `{}`: {why}", of.shown))
    })?;
    sink.end().await.map_err(broken)?;
    let mut contents = Contents {
        source: Source {
            engine: "repository".to_owned(),
            name: of.shown.clone(),
            system: hive_objects::machine_id(),
            settings: form.settings(),
            ..Source::default()
        },
        snapshot_ms,
        tables: tables(&bundle),
        ..Contents::default()
    };
    let version = String::from_utf8_lossy(&version).trim().replace("git version ", "");
    contents.tools.insert("git".to_owned(), version);
    Ok(contents)
}

/// A repository that misses history cannot be cloned from what it holds.
async fn check_whole(of: &Of) -> Result<(), Failure> {
    let invalid = |message: String| Err(Failure::new(FailureKind::Invalid, message));
    let shallow = git::at(&of.path, &["rev-parse", "--is-shallow-repository"]);
    let shallow = git::ask(shallow).await?;
    if shallow.starts_with(b"true") {
        return invalid(format!("`{}` is a shallow clone: its history is elsewhere", of.shown));
    }
    let refs = git::at(&of.path, &["for-each-ref", "--count=1", "--format=%(refname)"]);
    if git::ask(refs).await?.is_empty() {
        return invalid(format!("`{}` has no commit yet", of.shown));
    }
    Ok(())
}

/// What a bundle holds, for the manifest.
pub(crate) fn tables(bundle: &Bundle) -> Vec<Table> {
    let objects = Table { name: "objects".to_owned(), rows: bundle.objects, ..Table::default() };
    let mut tables = bundle.tally().tables();
    tables.insert(0, objects);
    tables
}
