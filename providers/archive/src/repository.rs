//! Git repositories: bundled with all refs, cloned again, compared.

use crate::bundle::{Bundle, Head};
use crate::folder::{Cut, blocking};
use crate::git;
use crate::place::Of;
use crate::scratch::Scratch;
use hive_backup::{Contents, Plain, Proof, Repository, Sink, failure_of, now_ms};
use hive_contract::{Failure, FailureKind};
use hive_sql::manifest::{Manifest, Source, Table, differences};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use tokio::io::AsyncReadExt;

/// Writes all refs, and all that they lead to, into the sink.
///
/// # Errors
/// It is no repository, has no commit, or does not hold all of its history.
pub(crate) async fn dump(of: &Of, mut sink: Sink) -> Result<Contents, Failure> {
    check_whole(of).await?;
    let snapshot_ms = now_ms();
    let version = git::ask(&of.path, &arguments(&["version"])).await?;
    let bundle = arguments(&["bundle", "create", "--quiet", "-", "--all"]);
    let mut child = git::start(git::command(&of.path, &bundle))?;
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
    let shallow = git::ask(&of.path, &arguments(&["rev-parse", "--is-shallow-repository"])).await?;
    if shallow.starts_with(b"true") {
        return invalid(format!("`{}` is a shallow clone: its history is elsewhere", of.shown));
    }
    let refs = arguments(&["for-each-ref", "--count=1", "--format=%(refname)"]);
    if git::ask(&of.path, &refs).await?.is_empty() {
        return invalid(format!("`{}` has no commit yet", of.shown));
    }
    Ok(())
}

fn tables(bundle: &Bundle) -> Vec<Table> {
    let objects = Table { name: "objects".to_owned(), rows: bundle.objects, ..Table::default() };
    let mut tables = bundle.tally().tables();
    tables.insert(0, objects);
    tables
}

/// Clones a backup into a scratch folder and compares its refs and objects.
///
/// # Errors
/// The scratch folder cannot be used, the backup cannot be read, or there is no `git`.
pub(crate) async fn prove(
    stack: &Path,
    token: &str,
    manifest: &Manifest,
    plain: Plain,
) -> Result<Proof, Failure> {
    let scratch = Scratch::new(stack, token)?;
    let begun = now_ms();
    let clone = scratch.path().join("clone.git");
    let wrong = match cloned(scratch.path(), &clone, manifest, plain).await? {
        Cloned::Refused(why) => vec![why],
        Cloned::Whole(wrong) => wrong,
    };
    let restore_ms = u64::try_from(now_ms() - begun).unwrap_or_default();
    let version = git::ask(stack, &arguments(&["version"])).await?;
    Ok(Proof { restore_ms, wrong, version: String::from_utf8_lossy(&version).trim().to_owned() })
}

/// What came of cloning a backup.
pub(crate) enum Cloned {
    /// What is other than the manifest says; nothing where it is equal.
    Whole(Vec<String>),
    /// `git` does not take it, though it is byte for byte what was stored.
    Refused(String),
}

/// Clones a backup into `clone`, by way of a file in `scratch`.
///
/// # Errors
/// The backup cannot be read, or a folder cannot be written.
pub(crate) async fn cloned(
    scratch: &Path,
    clone: &Path,
    manifest: &Manifest,
    plain: Plain,
) -> Result<Cloned, Failure> {
    let file = scratch.join("bundle");
    let into = file.clone();
    let (plain, _waits) = Cut::new(plain);
    let head = blocking(move || save(plain, &into)).await?;
    let bundle = match head.read() {
        Ok(bundle) => bundle,
        Err(why) => return Ok(Cloned::Refused(why)),
    };
    let mut wrong = differences(&manifest.tables, &tables(&bundle));
    let call: [&OsStr; 9] = [
        "-c".as_ref(),
        "protocol.file.allow=always".as_ref(),
        "clone".as_ref(),
        "--quiet".as_ref(),
        "--mirror".as_ref(),
        "--template=".as_ref(),
        "--".as_ref(),
        file.as_os_str(),
        clone.as_os_str(),
    ];
    let answer = git::run(scratch, &call).await?;
    if !answer.status.success() {
        return Ok(Cloned::Refused(git::refused(&answer.said).message));
    }
    wrong.extend(compared(clone, &bundle).await?);
    Ok(Cloned::Whole(wrong))
}

fn save(plain: impl Read, into: &Path) -> Result<Head, Failure> {
    let file = File::create_new(into)
        .map_err(|error| hive_objects::failure("write", "the bundle", &error))?;
    pass(plain, file)
}

/// Reads a backup to its end and writes it on; its head is what it says of itself.
fn pass(mut plain: impl Read, mut into: impl Write) -> Result<Head, Failure> {
    let failed = |error: io::Error| match failure_of(&error) {
        Some(failure) => failure.clone(),
        None => hive_objects::failure("write", "the bundle", &error),
    };
    let mut head = Head::default();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = plain.read(&mut buffer).map_err(failed)?;
        if count == 0 {
            return Ok(head);
        }
        head.take(&buffer[..count]);
        into.write_all(&buffer[..count]).map_err(failed)?;
    }
}

/// What a clone has, against what the bundle says that it holds.
async fn compared(clone: &Path, bundle: &Bundle) -> Result<Vec<String>, Failure> {
    let format = arguments(&["for-each-ref", "--format=%(objectname) %(refname)"]);
    let listed = git::ask(clone, &format).await?;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let mut has: BTreeSet<&str> = listed.lines().collect();
    let head = git::run(clone, &arguments(&["rev-parse", "--verify", "--quiet", "HEAD"])).await?;
    let head = format!("{} HEAD", String::from_utf8_lossy(&head.out).trim());
    let should: BTreeSet<&str> = bundle.refs.iter().map(String::as_str).collect();
    if should.contains(head.as_str()) {
        has.insert(&head);
    }
    let name = |one: &str| one.split_once(' ').map_or(one, |(_, name)| name).to_owned();
    let mut wrong: Vec<String> =
        should.difference(&has).map(|one| format!("the clone has not {}", name(one))).collect();
    wrong.extend(has.difference(&should).map(|one| format!("the clone has also {}", name(one))));
    // Everything that a ref leads to is there.
    let walk = arguments(&["fsck", "--connectivity-only", "--no-dangling", "--no-progress"]);
    let walked = git::run(clone, &walk).await?;
    if !walked.status.success() {
        wrong.push(git::refused(&walked.said).message);
    }
    Ok(wrong)
}

/// What a repository that was unpacked has other than the backup; nothing where they are equal.
///
/// # Errors
/// The backup cannot be read, or `git` refuses.
pub(crate) async fn differs(
    clone: &Path,
    manifest: &Manifest,
    from: &Repository,
) -> Result<Option<String>, Failure> {
    let plain = from.open(manifest).await?;
    let head = blocking(move || pass(plain, io::sink())).await?;
    let bundle = match head.read() {
        Ok(bundle) => bundle,
        Err(why) => return Ok(Some(why)),
    };
    let bare = git::run(clone, &arguments(&["rev-parse", "--is-bare-repository"])).await?;
    if !bare.status.success() || !bare.out.starts_with(b"true") {
        return Ok(Some("it is no bare repository".to_owned()));
    }
    let mut wrong = differences(&manifest.tables, &tables(&bundle));
    wrong.extend(compared(clone, &bundle).await?);
    Ok((!wrong.is_empty()).then(|| wrong.join("; ")))
}

/// Takes away what the clone remembers of the file that it came from.
///
/// # Errors
/// `git` refuses.
pub(crate) async fn forget_origin(clone: &Path) -> Result<(), Failure> {
    let answer =
        git::run(clone, &arguments(&["config", "--remove-section", "remote.origin"])).await?;
    // Without that section there is nothing to forget.
    if answer.status.success() || answer.status.code() == Some(128) {
        return Ok(());
    }
    Err(git::refused(&answer.said))
}

fn arguments<'a>(words: &[&'a str]) -> Vec<&'a OsStr> {
    words.iter().map(|word| OsStr::new(*word)).collect()
}
