//! A bundle cloned again, and compared.

use crate::bundle::{Bundle, Head};
use crate::folder::{Cut, blocking};
use crate::git;
use crate::place::Of;
use crate::repository::tables;
use crate::scratch::Scratch;
use hive_backup::{Plain, Proof, Repository, failure_of, now_ms};
use hive_contract::Failure;
use hive_sql::manifest::{Manifest, differences};
use hive_sql::words;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// What of a repository is in no bundle, and is as it was when it is unpacked.
pub(crate) struct Form {
    /// Whether it has no files beside its objects.
    bare: bool,
    /// The ref that `HEAD` stands for; none where it stands on a commit.
    head: Option<String>,
}

impl Form {
    /// Of a repository on this machine.
    ///
    /// # Errors
    /// `git` refuses.
    pub(crate) async fn look(of: &Of) -> Result<Self, Failure> {
        let bare = git::ask(git::at(&of.path, &["rev-parse", "--is-bare-repository"])).await?;
        let head = git::run(git::at(&of.path, &["symbolic-ref", "--quiet", "HEAD"])).await?;
        let head = String::from_utf8_lossy(&head.out).trim().to_owned();
        Ok(Self { bare: bare.starts_with(b"true"), head: Some(head).filter(|it| !it.is_empty()) })
    }

    /// From a manifest.
    fn read(manifest: &Manifest) -> Self {
        let setting = |key: &str| manifest.source.settings.get(key);
        Self { bare: setting("bare").is_none_or(|it| it == "true"), head: setting("head").cloned() }
    }

    /// For a manifest.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        let mut settings = BTreeMap::from([("bare".to_owned(), self.bare.to_string())]);
        settings.extend(self.head.clone().map(|head| ("head".to_owned(), head)));
        settings
    }

    /// The folder with the objects of a repository.
    fn git_dir(&self, repository: &Path) -> PathBuf {
        if self.bare { repository.to_owned() } else { repository.join(".git") }
    }
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
    let version = git::ask(git::at(stack, &["version"])).await?;
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
    let call = ["-c", "protocol.file.allow=always", "clone", "--quiet", "--mirror", "--template="];
    let mut call = git::at(scratch, &call);
    call.arg("--").arg(&file).arg(clone);
    if let Some(why) = git::verdict(&git::run(call).await?)? {
        return Ok(Cloned::Refused(why));
    }
    wrong.extend(compared(clone, &bundle).await?);
    Ok(Cloned::Whole(wrong))
}

/// Makes a backup the repository that it was, in `into`: with its files, on its branch.
///
/// # Errors
/// As [`cloned`].
pub(crate) async fn restored(
    scratch: &Path,
    into: &Path,
    manifest: &Manifest,
    plain: Plain,
) -> Result<Cloned, Failure> {
    let form = Form::read(manifest);
    let git_dir = form.git_dir(into);
    let cloned = cloned(scratch, &git_dir, manifest, plain).await?;
    if matches!(&cloned, Cloned::Whole(wrong) if wrong.is_empty()) {
        settle(&form, &git_dir, into).await?;
    }
    Ok(cloned)
}

async fn settle(form: &Form, git_dir: &Path, into: &Path) -> Result<(), Failure> {
    let call = async |arguments: &[&str]| git::ask(git::of(git_dir, arguments)).await;
    // It came from a file that is gone in a moment.
    call(&["config", "--remove-section", "remote.origin"]).await?;
    call(&["config", "core.bare", if form.bare { "true" } else { "false" }]).await?;
    let on = git::run(git::of(git_dir, &["rev-parse", "--verify", "--quiet", "HEAD"])).await?;
    let on = String::from_utf8_lossy(&on.out).trim().to_owned();
    match &form.head {
        Some(head) => call(&["symbolic-ref", "HEAD", head]).await?,
        None if !on.is_empty() => call(&["update-ref", "--no-deref", "HEAD", &on]).await?,
        None => Vec::new(),
    };
    if !form.bare && !on.is_empty() {
        let mut reset = git::of(git_dir, &["reset", "--hard", "--quiet"]);
        reset.env("GIT_WORK_TREE", into);
        git::ask(reset).await?;
    }
    Ok(())
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
    let format = ["for-each-ref", "--format=%(objectname) %(refname)"];
    let listed = git::ask(git::of(clone, &format)).await?;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let mut has: BTreeSet<&str> = listed.lines().collect();
    let head = git::run(git::of(clone, &["rev-parse", "--verify", "--quiet", "HEAD"])).await?;
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
    let walk = ["fsck", "--connectivity-only", "--no-dangling", "--no-progress"];
    wrong.extend(git::verdict(&git::run(git::of(clone, &walk)).await?)?);
    Ok(wrong)
}

/// What a repository that was unpacked has other than the backup; nothing where they are equal.
///
/// # Errors
/// The backup cannot be read, or `git` refuses.
pub(crate) async fn differs(
    there: &Path,
    manifest: &Manifest,
    from: &Repository,
) -> Result<Option<String>, Failure> {
    let plain = from.open(manifest).await?;
    let head = blocking(move || pass(plain, io::sink())).await?;
    let bundle = match head.read() {
        Ok(bundle) => bundle,
        Err(why) => return Ok(Some(why)),
    };
    let form = Form::read(manifest);
    let git_dir = form.git_dir(there);
    if !git_dir.join("HEAD").is_file() {
        return Ok(Some("it is no such repository".to_owned()));
    }
    let mut wrong = differences(&manifest.tables, &tables(&bundle));
    wrong.extend(compared(&git_dir, &bundle).await?);
    if !form.bare {
        let mut status = git::of(&git_dir, &["status", "--porcelain", "--ignored"]);
        status.env("GIT_WORK_TREE", there).current_dir(there);
        let status = git::ask(status).await?;
        let changed = String::from_utf8_lossy(&status).lines().count();
        if changed > 0 {
            wrong.push(words::count(changed as u64, "file") + " differ from the last commit");
        }
    }
    Ok((!wrong.is_empty()).then(|| wrong.join("; ")))
}
