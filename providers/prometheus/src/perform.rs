//! One effect: a file prepared in a folder of its own, then a rename.

use crate::header::Header;
use crate::read::{TEXT, live, read_spot};
use crate::rule::Rule;
use crate::spot::Spot;
use crate::steps::{ADOPT, AT, MARK, RELEASE, REMOVE, WRITE};
use crate::{Base, blocking};
use hive_contract::{
    Context, Expects, Failure, FailureKind, Fields, Live, Mark, Observed, Outcome, Perform,
    Remains, Value,
};
use hive_objects::{Claim, FolderSync, Renames, failure};
use std::fs;
use std::io;
use std::sync::Arc;

/// Name of the prepared file in a claim, and of what a removal moves there.
const FILE: &str = "rule";

/// What one step is asked to do.
pub(crate) struct Order {
    pub(crate) spot: Spot,
    pub(crate) work: Work,
}

/// The four verbs.
pub(crate) enum Work {
    /// The file, less its header.
    Write(String),
    Remove,
    Adopt(Mark),
    Release,
}

pub(crate) async fn perform(
    base: &Arc<Base>,
    sync: &Arc<FolderSync>,
    request: &Perform,
    context: &Context<'_>,
) -> Result<Outcome, Failure> {
    context.guard.may_write()?;
    let ready = {
        let (base, request) = (Arc::clone(base), request.clone());
        blocking(move || prepare(&base, &request)).await?
    };
    let prepared = match ready {
        Ready::Already(outcome) => return Ok(outcome),
        Ready::Prepared(prepared) => prepared,
    };
    // Preparing takes as long as the disk takes; the effect asks again.
    if let Err(expired) = context.guard.may_write() {
        prepared.claim.end();
        return Err(expired);
    }
    let (base, sync) = (Arc::clone(base), Arc::clone(sync));
    blocking(move || prepared.take_effect(&base, &sync)).await
}

enum Ready {
    Already(Outcome),
    Prepared(Prepared),
}

struct Prepared {
    order: Order,
    claim: Claim,
    creates: bool,
}

fn prepare(base: &Base, request: &Perform) -> Result<Ready, Failure> {
    let order = Order::read(request)?;
    let observed = read_spot(base, &order.spot)?;
    if let Some(outcome) = order.already(base, request, &observed) {
        return Ok(Ready::Already(outcome));
    }
    let before = observed.live();
    order.may_touch(request, before)?;
    let resumes = matches!(order.work, Work::Remove) && before.is_none();
    if !resumes {
        request.check_expected(before.map(|live| &live.fields))?;
    }
    make_folder(base)?;
    let claim = base.claims().make(&request.token)?;
    if let Some(file) = order.file(base, request)?
        && let Err(error) = claim.prepare(FILE, file.as_bytes(), 0o644, true)
    {
        claim.end();
        return Err(failure("write", &order.spot.shown(base), &error));
    }
    let creates = request.operation.expects == Expects::Absent;
    Ok(Ready::Prepared(Prepared { order, claim, creates }))
}

/// The default folder is below what git leaves alone; another one is the user's own.
fn make_folder(base: &Base) -> Result<(), Failure> {
    if base.rules.is_dir() {
        return Ok(());
    }
    let made = match (base.named.as_str(), base.rules.parent()) {
        (crate::RULES, Some(run)) => hive_objects::make_unversioned(run),
        _ => Ok(()),
    };
    made.and_then(|()| fs::create_dir_all(&base.rules))
        .map_err(|error| failure("make", &base.named, &error))
}

impl Order {
    /// Reads the operation.
    ///
    /// # Errors
    /// It is not one that `steps` makes, or what was filled in is no text.
    pub(crate) fn read(request: &Perform) -> Result<Self, Failure> {
        let payload = &request.operation.payload;
        let identity = payload.get(AT).and_then(Value::as_text).unwrap_or_default();
        let spot = Spot::parse(identity)?;
        let work = match request.operation.verb.as_str() {
            WRITE => Work::Write(body(&spot, payload)?),
            REMOVE => Work::Remove,
            ADOPT => match payload.get(MARK) {
                None => Work::Adopt(request.mark.clone()),
                Some(value) => {
                    let mark = Mark::from_value(value);
                    Work::Adopt(mark.ok_or_else(|| invalid("the mark makes no sense"))?)
                }
            },
            RELEASE => Work::Release,
            verb => return Err(invalid(&format!("an alert knows no `{verb}`"))),
        };
        Ok(Self { spot, work })
    }

    /// A rule that carries somebody else's mark is left alone until it is adopted.
    fn may_touch(&self, request: &Perform, live: Option<&Live>) -> Result<(), Failure> {
        let theirs = live.and_then(|live| live.mark.as_ref()).filter(|it| **it != request.mark);
        match (&self.work, theirs) {
            (Work::Write(_) | Work::Remove, Some(theirs)) => Err(Failure::new(
                FailureKind::Taken,
                format!("`{}` belongs to somebody else: it is {theirs}", self.spot.identity()),
            )),
            _ => Ok(()),
        }
    }

    /// The outcome, where the live rule is what this step makes.
    pub(crate) fn already(
        &self,
        base: &Base,
        request: &Perform,
        observed: &Observed,
    ) -> Option<Outcome> {
        let live = observed.live();
        let ours = live.is_some_and(|live| live.token.as_ref() == Some(&request.token));
        let done = match &self.work {
            Work::Write(_) => live.filter(|live| ours && self.is_written(live)),
            Work::Adopt(_) => live.filter(|_| ours),
            Work::Release => live.filter(|live| live.mark.is_none()),
            Work::Remove => {
                let gone = live.is_none() && !base.claims().holds(&request.token, FILE);
                return gone.then(Outcome::nothing);
            }
        };
        done.map(|live| Outcome::live(live.clone()))
    }

    /// Whether the live rule is the one to write.
    pub(crate) fn is_written(&self, found: &Live) -> bool {
        match &self.work {
            Work::Write(body) => found.fields == live(&self.spot, None, body).fields,
            _ => false,
        }
    }

    /// What it renames.
    pub(crate) fn renames(&self) -> Renames<'static> {
        match &self.work {
            Work::Remove => Renames::Into(FILE),
            Work::Write(_) | Work::Adopt(_) | Work::Release => Renames::Out(&[FILE]),
        }
    }

    /// The whole file that the step puts in its place.
    fn file(&self, base: &Base, request: &Perform) -> Result<Option<String>, Failure> {
        let header = |mark: &Mark| Header {
            identity: self.spot.identity(),
            mark: mark.clone(),
            token: request.token.clone(),
        };
        let as_it_is = || {
            let shown = self.spot.shown(base);
            let text = crate::read::read_file(&self.spot.file(base), &shown)?.unwrap_or_default();
            Ok::<_, Failure>(Header::split(&text, &shown)?.1.to_owned())
        };
        Ok(match &self.work {
            Work::Write(body) => Some(header(&request.mark).join(body)),
            Work::Adopt(mark) => Some(header(mark).join(&as_it_is()?)),
            Work::Release => Some(as_it_is()?),
            Work::Remove => None,
        })
    }
}

impl Prepared {
    fn take_effect(self, base: &Base, sync: &FolderSync) -> Result<Outcome, Failure> {
        let spot = &self.order.spot;
        let (file, shown) = (spot.file(base), spot.shown(base));
        let done = match (&self.order.work, self.creates) {
            (Work::Remove, _) => self.claim.take(&file, FILE).or_else(taken_before),
            (_, true) => self.claim.install_new(FILE, &file),
            (_, false) => self.claim.install(FILE, &file),
        };
        self.claim.end();
        done.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Failure::new(
                FailureKind::Moved,
                format!("`{shown}` is there, and the plan expects nothing there"),
            ),
            _ => failure("write", &shown, &error),
        })?;
        let synced = sync.sync(&base.rules).map_err(|error| failure("sync", &shown, &error));
        let outcome = self.order.read_back(base)?;
        synced.map_err(|failure| failure.remains(Remains::Left(Box::new(outcome.clone()))))?;
        Ok(outcome)
    }
}

/// A removal that goes on finds the file in its claim already.
fn taken_before(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

impl Order {
    /// Success means that the file says so.
    fn read_back(&self, base: &Base) -> Result<Outcome, Failure> {
        let unsure = |failure: Failure| failure.remains(Remains::Unsure);
        let observed = read_spot(base, &self.spot).map_err(unsure)?;
        let holds = match (&self.work, observed.live()) {
            (Work::Write(_), found) => found.is_some_and(|live| self.is_written(live)),
            (Work::Remove, found) => found.is_none(),
            (Work::Adopt(_) | Work::Release, found) => found.is_some(),
        };
        let outcome = match observed {
            Observed::Present(live) => Outcome::live(live),
            Observed::Absent => Outcome::nothing(),
        };
        if holds {
            return Ok(outcome);
        }
        let what = format!("`{}` was written over by somebody else", self.spot.shown(base));
        Err(Failure::new(FailureKind::Moved, what).remains(Remains::Left(Box::new(outcome))))
    }
}

/// The file to write, less its header.
fn body(spot: &Spot, payload: &Fields) -> Result<String, Failure> {
    if let Some(text) = payload.get(TEXT) {
        return text.as_text().map(str::to_owned).ok_or_else(|| invalid("`text` is not text"));
    }
    let rule = Rule::of(&spot.group(), &spot.name, payload);
    let rule = rule.ok_or_else(|| invalid("a label or an annotation was not filled in as text"))?;
    let body = rule.yaml();
    // What cannot be read back would be drift at once.
    match Rule::read(&body) {
        Some(again) if again == rule => Ok(body),
        _ => Err(invalid("the rule cannot be written so that it reads back the same")),
    }
}

fn invalid(message: &str) -> Failure {
    Failure::new(FailureKind::Invalid, message)
}
