//! One effect: prepared in a folder of its own, then a rename.

use crate::read::read_spot;
use crate::sidecar::Sidecar;
use crate::spot::Spot;
use crate::steps::{ADOPT, AT, MARK, RELEASE, REMOVE, WRITE};
use crate::{Base, blocking};
use hive_contract::{
    Context, Expects, Failure, FailureKind, Fields, Live, Mark, Observed, Outcome, Perform,
    Remains, Token, Value,
};
use hive_objects::{Claim, FolderSync, Renames, failure};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Name of the prepared content in a claim, and of what a removal moves there.
pub(crate) const CONTENT: &str = "content";
/// Name of the prepared sidecar in a claim.
pub(crate) const SIDECAR: &str = "mark";

/// What one step is asked to do.
pub(crate) struct Order {
    pub(crate) spot: Spot,
    pub(crate) work: Work,
}

/// The four verbs.
pub(crate) enum Work {
    Write { content: String, mode: u32 },
    Remove,
    Adopt { mark: Mark },
    Release,
}

pub(crate) async fn perform(
    base: &Arc<Base>,
    sync: &Arc<FolderSync>,
    request: &Perform,
    context: &Context<'_>,
) -> Result<Outcome, Failure> {
    context.guard.may_write()?;
    let tried = one_try(base, sync, request, context).await;
    let Err(failure) = tried else { return tried };
    // A holder of the same token that was thought dead may have ended the step beside us.
    let (base, request) = (Arc::clone(base), request.clone());
    let done = blocking(move || {
        let order = Order::read(&request)?;
        order.already(&base, &request, &read_spot(&base, &order.spot)?)
    });
    match done.await {
        Ok(Some(outcome)) => Ok(outcome),
        Ok(None) | Err(_) => Err(failure),
    }
}

async fn one_try(
    base: &Arc<Base>,
    sync: &Arc<FolderSync>,
    request: &Perform,
    context: &Context<'_>,
) -> Result<Outcome, Failure> {
    let ready = {
        let (base, request) = (Arc::clone(base), request.clone());
        blocking(move || prepare(&base, &request)).await?
    };
    let ready = match ready {
        Ready::Already(outcome) => return Ok(outcome),
        Ready::Prepared(ready) => ready,
    };
    // Preparing takes as long as the disk takes; the effect asks again.
    if let Err(expired) = context.guard.may_write() {
        ready.claim.end();
        return Err(expired);
    }
    let (base, sync) = (Arc::clone(base), Arc::clone(sync));
    blocking(move || ready.take_effect(&base, &sync)).await
}

enum Ready {
    Already(Outcome),
    Prepared(Prepared),
}

struct Prepared {
    order: Order,
    claim: Claim,
    creates: bool,
    /// An earlier try with this token was interrupted between its two renames.
    content_is_there: bool,
}

fn prepare(base: &Base, request: &Perform) -> Result<Ready, Failure> {
    let order = Order::read(request)?;
    let observed = read_spot(base, &order.spot)?;
    if let Some(outcome) = order.already(base, request, &observed)? {
        return Ok(Ready::Already(outcome));
    }
    let content_is_there = order.was_interrupted(base, request, observed.live());
    order.may_touch(request, observed.live())?;
    if !content_is_there {
        request.check_expected(observed.live().map(|live| &live.fields))?;
    }
    let claim = base.claim(&order.spot.environment, &request.token)?;
    let prepared = order.prepare(&claim, request, content_is_there);
    if let Err(error) = prepared {
        claim.end();
        return Err(failure("write", &order.spot.relative(base), &error));
    }
    let creates = request.operation.expects == Expects::Absent;
    Ok(Ready::Prepared(Prepared { order, claim, creates, content_is_there }))
}

impl Order {
    /// Reads the operation.
    ///
    /// # Errors
    /// It is not one that `steps` makes, or what was filled in is no content.
    pub(crate) fn read(request: &Perform) -> Result<Self, Failure> {
        let payload = &request.operation.payload;
        let spot = Spot::parse(text(payload, AT)?)?;
        let work = match request.operation.verb.as_str() {
            WRITE => {
                let content = text(payload, "content")?.to_owned();
                if content.len() as u64 > crate::read::LIMIT {
                    return Err(invalid("the content is longer than 1 MiB"));
                }
                let mode = u32::from_str_radix(text(payload, "mode")?, 8)
                    .map_err(|_| invalid("the mode is not octal"))?;
                Work::Write { content, mode }
            }
            REMOVE => Work::Remove,
            ADOPT => Work::Adopt { mark: other_mark(payload)?.unwrap_or(request.mark.clone()) },
            RELEASE => Work::Release,
            verb => return Err(invalid(&format!("a config knows no `{verb}`"))),
        };
        Ok(Self { spot, work })
    }

    /// A file that carries somebody else's mark is left alone until it is adopted.
    fn may_touch(&self, request: &Perform, live: Option<&Live>) -> Result<(), Failure> {
        let theirs = live.and_then(|live| live.mark.as_ref()).filter(|it| **it != request.mark);
        match (&self.work, theirs) {
            (Work::Write { .. } | Work::Remove, Some(theirs)) => Err(Failure::new(
                FailureKind::Taken,
                format!("`{}` belongs to somebody else: it is {theirs}", self.spot.identity()),
            )),
            _ => Ok(()),
        }
    }

    /// The outcome, where the live file is what this step makes.
    pub(crate) fn already(
        &self,
        base: &Base,
        request: &Perform,
        observed: &Observed,
    ) -> Result<Option<Outcome>, Failure> {
        let live = observed.live();
        let ours = live.is_some_and(|live| live.token.as_ref() == Some(&request.token));
        Ok(match &self.work {
            Work::Write { .. } => live.filter(|live| ours && self.is_written(live)),
            Work::Adopt { .. } => live.filter(|_| ours),
            Work::Release => live.filter(|live| live.mark.is_none()),
            Work::Remove => {
                let claims = base.claims(&self.spot.environment);
                let gone = live.is_none() && !claims.holds(&request.token, CONTENT);
                return Ok(gone.then(Outcome::nothing));
            }
        }
        .map(|live| Outcome::live(live.clone())))
    }

    /// Whether the live content and mode are the ones to write.
    pub(crate) fn is_written(&self, live: &Live) -> bool {
        let field = |key: &str| live.fields.get(key).and_then(Value::as_text);
        match &self.work {
            Work::Write { content, mode } => {
                field("content") == Some(content)
                    && field("mode") == Some(&crate::lower::written_mode(*mode))
            }
            _ => false,
        }
    }

    /// Whether an earlier try with this token has had the first of its two effects and not the
    /// second.
    pub(crate) fn was_interrupted(
        &self,
        base: &Base,
        request: &Perform,
        live: Option<&Live>,
    ) -> bool {
        let claims = base.claims(&self.spot.environment);
        let first_is_there = match &self.work {
            Work::Write { .. } => live.is_some_and(|live| self.is_written(live)),
            Work::Remove => live.is_none(),
            Work::Adopt { .. } | Work::Release => false,
        };
        first_is_there && self.renames().half_done(&|name| claims.holds(&request.token, name))
    }

    /// What it renames.
    pub(crate) fn renames(&self) -> Renames<'static> {
        match &self.work {
            Work::Write { .. } => Renames::Out(&[CONTENT, SIDECAR]),
            Work::Adopt { .. } => Renames::Out(&[SIDECAR]),
            Work::Remove => Renames::Into(CONTENT),
            Work::Release => Renames::Into(SIDECAR),
        }
    }

    fn prepare(&self, claim: &Claim, request: &Perform, content_is_there: bool) -> io::Result<()> {
        let mark = match &self.work {
            Work::Write { content, mode } => {
                if !content_is_there {
                    claim.prepare(CONTENT, content.as_bytes(), *mode, true)?;
                }
                &request.mark
            }
            Work::Adopt { mark } => mark,
            Work::Remove | Work::Release => return Ok(()),
        };
        let sidecar = Sidecar {
            identity: self.spot.identity(),
            mark: mark.clone(),
            token: request.token.clone(),
        };
        claim.prepare(SIDECAR, &sidecar.write(), 0o600, false)?;
        Ok(())
    }
}

impl Prepared {
    fn take_effect(self, base: &Base, sync: &FolderSync) -> Result<Outcome, Failure> {
        let shown = self.order.spot.relative(base);
        let file = self.order.spot.file(base)?;
        let sidecar = self.order.spot.sidecar(base);
        let refused = |error: io::Error| failure("write", &shown, &error);
        match &self.order.work {
            Work::Write { .. } => {
                if !self.content_is_there
                    && let Err(error) = self.install(&file)
                {
                    self.claim.end();
                    return Err(not_installed(&shown, &error));
                }
                let marked = self.claim.install(SIDECAR, &sidecar);
                marked.map_err(|error| left(base, &self.order.spot, refused(error)))?;
            }
            Work::Remove => {
                if !self.content_is_there {
                    self.claim.take(&file, CONTENT).map_err(refused)?;
                }
                // A sidecar without its file marks nothing, should this not work.
                let _ = fs::remove_file(&sidecar);
            }
            Work::Adopt { .. } => self.claim.install(SIDECAR, &sidecar).map_err(refused)?,
            Work::Release => match self.claim.take(&sidecar, SIDECAR) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => done.map_err(refused)?,
            },
        }
        self.claim.end();
        let folder = match &self.order.work {
            Work::Write { .. } | Work::Remove => file.parent(),
            Work::Adopt { .. } | Work::Release => sidecar.parent(),
        };
        if let Some(folder) = folder {
            let synced = sync.sync(folder);
            synced.map_err(|error| left(base, &self.order.spot, refused(error)))?;
        }
        read_back(base, &self.order)
    }

    /// Puts the prepared content in its place: for a create only where nothing is there.
    fn install(&self, file: &Path) -> io::Result<()> {
        match self.creates {
            true => self.claim.install_new(CONTENT, file),
            false => self.claim.install(CONTENT, file),
        }
    }
}

impl Base {
    fn claim(&self, environment: &str, token: &Token) -> Result<Claim, Failure> {
        let shown = format!("{}/{environment}/config", self.run);
        self.make_folders(environment).map_err(|error| failure("make", &shown, &error))?;
        self.claims(environment).make(token)
    }

    /// Makes the folders of an environment where they are missing.
    fn make_folders(&self, environment: &str) -> io::Result<()> {
        let marks = self.marks(environment);
        if marks.is_dir() {
            return Ok(());
        }
        hive_objects::make_unversioned(&self.folder.join(&self.run))?;
        fs::create_dir_all(marks)
    }
}

/// Success means that the file says so.
fn read_back(base: &Base, order: &Order) -> Result<Outcome, Failure> {
    let unsure = |failure: Failure| failure.remains(Remains::Unsure);
    let observed = read_spot(base, &order.spot).map_err(unsure)?;
    let holds = match (&order.work, &observed) {
        (Work::Write { .. }, Observed::Present(live)) => order.is_written(live),
        (Work::Remove, found) => found.live().is_none(),
        (Work::Write { .. }, Observed::Absent) => false,
        (Work::Adopt { .. } | Work::Release, _) => true,
    };
    let outcome = match observed {
        Observed::Present(live) => Outcome::live(live),
        Observed::Absent => Outcome::nothing(),
    };
    if holds {
        return Ok(outcome);
    }
    let what = format!("`{}` was written over by somebody else", order.spot.relative(base));
    Err(Failure::new(FailureKind::Moved, what).remains(Remains::Left(Box::new(outcome))))
}

/// A failure after the first of two effects.
fn left(base: &Base, spot: &Spot, failure: Failure) -> Failure {
    let remains = match read_spot(base, spot) {
        Ok(Observed::Present(live)) => Remains::Left(Box::new(Outcome::live(live))),
        Ok(Observed::Absent) => Remains::Left(Box::new(Outcome::nothing())),
        Err(_) => Remains::Unsure,
    };
    failure.remains(remains)
}

fn not_installed(shown: &str, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::new(
            FailureKind::Moved,
            format!("`{shown}` is there, and the plan expects nothing there"),
        ),
        _ => failure("write", shown, error),
    }
}

fn text<'a>(payload: &'a Fields, key: &str) -> Result<&'a str, Failure> {
    match payload.get(key) {
        Some(Value::Text(text)) => Ok(text),
        Some(_) => Err(invalid(&format!("`{key}` is not text"))),
        None => Err(invalid(&format!("the operation has no `{key}`"))),
    }
}

fn invalid(message: &str) -> Failure {
    Failure::new(FailureKind::Invalid, message)
}

/// The mark that an adoption's undo sets again.
fn other_mark(payload: &Fields) -> Result<Option<Mark>, Failure> {
    let Some(value) = payload.get(MARK) else { return Ok(None) };
    Mark::from_value(value).map(Some).ok_or_else(|| invalid("the mark makes no sense"))
}
