//! A backup laid out as a folder: beside, compared, and then in its place.

use crate::clone::{self, Cloned};
use crate::folder::{self, Cut, Laid, blocking};
use crate::place::{Of, Sort};
use crate::scratch::this_try;
use crate::steps::{ID, TO};
use crate::{Archive, lay};
use hive_backup::{Repository, Settings};
use hive_contract::{
    AskOne, Context, Event, Failure, FailureKind, Observed, Outcome, Perform, Resolution, Value,
};
use hive_sql::manifest::{Manifest, differences};
use rustix::fs::{CWD, RenameFlags};
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// One step with what it is about.
struct Unpack<'a> {
    request: &'a Perform,
    repository: Repository,
    manifest: Manifest,
    sort: Sort,
    /// Where it goes.
    to: PathBuf,
    /// As a person wrote it.
    shown: String,
    /// Where it is made: a folder beside, with a name for each try.
    beside: PathBuf,
    /// What the names of all tries begin with.
    prefix: OsString,
}

impl Archive {
    /// Unpacks. What is there already and is equal was unpacked by this step before.
    pub(crate) async fn unpack(
        &self,
        request: &Perform,
        context: &Context<'_>,
    ) -> Result<Outcome, Failure> {
        let unpack = self.unpack_of(request, context).await?;
        unpack.repository.check_owner(&request.mark).await?;
        if unpack.is_free()? {
            context.guard.may_write()?;
            let others = match unpack.make().await {
                Ok(others) => others,
                Err(failure) => {
                    // The failure says more than what may become of this.
                    let _ = unpack.sweep().await;
                    return Err(failure);
                }
            };
            context.guard.may_write()?;
            unpack.put()?;
            if others > 0 {
                context.event(Event::warning(yours(others)));
            }
        } else if let Some(why) = unpack.other_than_backup().await? {
            let message = format!("`{}` is there and is not empty", unpack.shown);
            return Err(Failure::new(FailureKind::Taken, message).diagnosis(why));
        } else {
            unpack.sweep().await?;
        }
        self.outcome(request, context).await
    }

    /// Takes away what was unpacked, where it is still the same.
    pub(crate) async fn discard(
        &self,
        request: &Perform,
        context: &Context<'_>,
    ) -> Result<Outcome, Failure> {
        let unpack = self.unpack_of(request, context).await?;
        if !unpack.is_free()? {
            if let Some(why) = unpack.other_than_backup().await? {
                let message = format!("`{}` is not as it was unpacked any more", unpack.shown);
                return Err(Failure::new(FailureKind::Moved, message).diagnosis(why));
            }
            context.guard.may_write()?;
            unpack.sweep().await?;
            // First out of the way, so that nobody finds half of it.
            move_new(&unpack.to, &unpack.beside)
                .map_err(|error| hive_objects::failure("move", &unpack.shown, &error))?;
        }
        unpack.sweep().await?;
        self.outcome(request, context).await
    }

    pub(crate) async fn resolve_unpack(
        &self,
        request: &Perform,
        context: &Context<'_>,
    ) -> Result<Resolution, Failure> {
        let unpack = self.unpack_of(request, context).await?;
        if unpack.is_free()? {
            if let Some(facts) = unpack.left()? {
                return Ok(Resolution::Partly { facts });
            }
            return Ok(Resolution::NotStarted { sealed: false });
        }
        match unpack.other_than_backup().await? {
            None => {
                unpack.sweep().await?;
                Ok(Resolution::Done(self.outcome(request, context).await?))
            }
            Some(why) => Ok(Resolution::Foreign { found: format!("`{}`: {why}", unpack.shown) }),
        }
    }

    pub(crate) async fn resolve_discard(
        &self,
        request: &Perform,
        context: &Context<'_>,
    ) -> Result<Resolution, Failure> {
        let unpack = self.unpack_of(request, context).await?;
        match (unpack.is_free()?, unpack.left()?) {
            (true, None) => Ok(Resolution::Done(self.outcome(request, context).await?)),
            (true, Some(facts)) => Ok(Resolution::Partly { facts }),
            (false, _) => Ok(Resolution::NotStarted { sealed: false }),
        }
    }

    async fn unpack_of<'a>(
        &self,
        request: &'a Perform,
        context: &Context<'_>,
    ) -> Result<Unpack<'a>, Failure> {
        let payload = &request.operation.payload;
        let text = |key: &str| {
            payload.get(key).and_then(Value::as_text).ok_or_else(|| {
                Failure::new(FailureKind::Malformed, format!("the operation has no `{key}`"))
            })
        };
        let (id, shown) = (text(ID)?, text(TO)?.to_owned());
        let of = payload.get("of").and_then(Value::as_map).cloned().unwrap_or_default();
        let of = Of::read(&self.stack, &of)?;
        let settings = Settings::read(payload)?;
        let repository = settings.connect(&self.stack, context.secrets).await?;
        let manifest = repository.manifest(id).await?;
        let to = self.stack.join(&shown);
        let name = to.file_name().ok_or_else(|| {
            Failure::new(FailureKind::Invalid, format!("`{shown}` is no name of a folder"))
        })?;
        let token = request.token.as_str();
        let mut prefix = OsString::from(".");
        prefix.push(name);
        prefix.push(format!(".hive-{}-", token.get(..8).unwrap_or(token)));
        let mut beside = prefix.clone();
        beside.push(this_try());
        let beside = to.with_file_name(beside);
        let sort = of.sort;
        Ok(Unpack { request, repository, manifest, sort, to, shown, beside, prefix })
    }

    /// The place of the backups as it is.
    async fn outcome(&self, request: &Perform, context: &Context<'_>) -> Result<Outcome, Failure> {
        let ask = AskOne {
            target: request.target.clone(),
            identity: request.identity.clone(),
            access: request.operation.payload.clone(),
        };
        let mut found = self.backups.observe(&[&ask], context.secrets).await;
        match found.remove(&request.target) {
            Some(Ok(Observed::Present(live))) => Ok(Outcome::live(live)),
            Some(Ok(Observed::Absent)) | None => Ok(Outcome::nothing()),
            Some(Err(failure)) => Err(failure),
        }
    }
}

impl Unpack<'_> {
    /// Whether nothing is there, or an empty folder.
    fn is_free(&self) -> Result<bool, Failure> {
        let free = match self.to.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
            Ok(meta) if meta.is_dir() => {
                fs::read_dir(&self.to).map(|mut entries| entries.next().is_none())
            }
            Ok(_) => Ok(false),
        };
        free.map_err(|error| hive_objects::failure("look at", &self.shown, &error))
    }

    /// Makes everything beside, and compares it.
    ///
    /// Says how many entries belonged to others and are ours now.
    async fn make(&self) -> Result<u64, Failure> {
        self.sweep().await?;
        let failed = |error| hive_objects::failure("make", &self.shown, &error);
        if let Some(parent) = self.to.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        DirBuilder::new().mode(0o700).create(&self.beside).map_err(failed)?;
        let plain = self.repository.open(&self.manifest).await?;
        let content = self.content();
        let mut yours = 0;
        let wrong = match self.sort {
            Sort::Folder => {
                let root = content.clone();
                let (mut plain, _waits) = Cut::new(plain);
                let laid = blocking(move || folder::laid(&root, &mut plain)).await?;
                match laid {
                    Laid::Refused(why) => Some(why),
                    Laid::Out { others } => {
                        yours = others;
                        self.differs(content.clone()).await?
                    }
                }
            }
            Sort::Repository => {
                let cloned = clone::restored(&self.beside, &content, &self.manifest, plain).await?;
                match cloned {
                    Cloned::Refused(why) => Some(why),
                    Cloned::Whole(wrong) if wrong.is_empty() => None,
                    Cloned::Whole(wrong) => Some(wrong.join("; ")),
                }
            }
        };
        let Some(why) = wrong else {
            sync(&content, &self.shown)?;
            return Ok(yours);
        };
        let message = format!("the backup {} is not good: {why}", self.manifest.id);
        Err(Failure::new(FailureKind::Malformed, message))
    }

    fn content(&self) -> PathBuf {
        self.beside.join("content")
    }

    /// Puts it in its place: over an empty folder, or where nothing is.
    fn put(&self) -> Result<(), Failure> {
        let content = self.content();
        let put = match fs::remove_dir(&self.to) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => move_new(&content, &self.to),
        };
        match put {
            Ok(()) => {
                // Empty but for the bundle that it came from.
                let _ = lay::clear(&self.beside);
                Ok(())
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty
                ) =>
            {
                let message = format!("`{}` is there and is not empty", self.shown);
                Err(Failure::new(FailureKind::Taken, message))
            }
            Err(error) => Err(hive_objects::failure("make", &self.shown, &error)),
        }
    }

    /// What is other in the folder than in the backup; nothing where they are equal.
    async fn other_than_backup(&self) -> Result<Option<String>, Failure> {
        match self.sort {
            Sort::Folder => self.differs(self.to.clone()).await,
            Sort::Repository => clone::differs(&self.to, &self.manifest, &self.repository).await,
        }
    }

    async fn differs(&self, root: PathBuf) -> Result<Option<String>, Failure> {
        let tables = self.manifest.tables.clone();
        let tally = blocking(move || folder::counted(&root)).await?;
        let wrong = differences(&tables, &tally.tables());
        Ok((!wrong.is_empty()).then(|| wrong.join("; ")))
    }

    /// What a try that died has left, in words.
    fn left(&self) -> Result<Option<String>, Failure> {
        let found = lay::all(self.folder(), &self.prefix)
            .map_err(|error| hive_objects::failure("look beside", &self.shown, &error))?;
        Ok(found.first().map(|path| format!("part of it is in `{}`", path.display())))
    }

    /// Takes that away.
    async fn sweep(&self) -> Result<(), Failure> {
        let (folder, prefix) = (self.folder().to_owned(), self.prefix.clone());
        let shown = format!("what is left beside `{}`", self.shown);
        let token = self.request.token.as_str().to_owned();
        blocking(move || {
            lay::clear_all(&folder, &prefix).map_err(|error| {
                hive_objects::failure("take away", &shown, &error)
                    .diagnosis(format!("left by the step {token}"))
            })
        })
        .await
    }

    /// The folder that it goes into.
    fn folder(&self) -> &Path {
        self.to.parent().unwrap_or(&self.to)
    }
}

fn yours(others: u64) -> String {
    match others {
        1 => "1 entry belonged to somebody else and is yours now".to_owned(),
        many => format!("{many} entries belonged to others and are yours now"),
    }
}

/// Renames to where nothing is.
fn move_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::io::Errno;
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system without that flag: a rename over a folder fails where it is not empty.
        Err(Errno::INVAL | Errno::NOSYS) => fs::rename(from, to),
        other => Ok(other?),
    }
}

/// What was written outlives a power cut before it gets its name.
fn sync(folder: &Path, shown: &str) -> Result<(), Failure> {
    let synced = fs::File::open(folder).and_then(|folder| Ok(rustix::fs::syncfs(&folder)?));
    synced.map_err(|error| hive_objects::failure("sync", shown, &error))
}
