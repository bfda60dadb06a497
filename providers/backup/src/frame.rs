//! The verbs of the kind `backup` that touch the world, the same for every engine.

use crate::engine::{Engine, Job};
use crate::id::BackupId;
use crate::id::now_ms;
use crate::live;
use crate::publish::{ALARM, CLOCK, Order, SMALLER};
use crate::repository::{Marker, Repository};
use crate::runs::{HELD, HOW_ON, ID, IDS, KIND};
use crate::settings::Settings;
use crate::steps::{
    ADOPT, BACKUP, ENCRYPTED, MARK, NAME, PRUNE, REGISTER, RELEASE, UNMARK, VERIFY,
};
use hive_contract::{
    AskOne, Context, Event, Expects, Failure, FailureKind, FieldPath, Fields, Mark, Observed,
    Outcome, Perform, Remains, Resolution, Secrets, Target, Value,
};
use hive_sql::manifest::{Depth, Kind, LOOKED, Manifest, Verified};
use hive_sql::words;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often long work is asked whether it shall go on.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often it says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// The backups of one stack: an engine's provider gives it what is of the kind `backup`.
#[derive(Clone, Debug)]
pub struct Backups {
    root: PathBuf,
}

/// One step with its place connected.
struct Step<'a> {
    request: &'a Perform,
    context: &'a Context<'a>,
    settings: Settings,
    repository: Repository,
}

impl Backups {
    /// Backups of the stack in this folder, which destinations are relative to.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Whether an operation's verb is one that [`Self::perform`] knows.
    pub fn knows(verb: &str) -> bool {
        [REGISTER, ADOPT, RELEASE, UNMARK, BACKUP, VERIFY, PRUNE].contains(&verb)
    }

    /// Looks at places of backups, each by its access.
    pub async fn observe(
        &self,
        parts: &[&AskOne],
        secrets: &Secrets,
    ) -> BTreeMap<Target, Result<Observed, Failure>> {
        live::observe(&self.root, parts, secrets).await
    }

    /// One effect. The engine is asked for `backup` and `verify` alone.
    ///
    /// # Errors
    /// As the contract says. A backup that is far smaller than those before it is published and
    /// fails the step all the same.
    pub async fn perform(
        &self,
        engine: &dyn Engine,
        request: &Perform,
        context: &Context<'_>,
    ) -> Result<Outcome, Failure> {
        let step = self.step(request, context).await?;
        match request.operation.verb.as_str() {
            REGISTER | ADOPT => step.mark().await,
            RELEASE => step.release().await,
            UNMARK => step.unmark().await,
            BACKUP => step.back_up(engine).await,
            VERIFY => step.verify(engine).await,
            PRUNE => step.prune().await,
            verb => Err(invalid(format!("a backup knows no `{verb}`"))),
        }
    }

    /// What became of a step whose end nobody saw.
    ///
    /// # Errors
    /// The place cannot be read now.
    pub async fn resolve(
        &self,
        request: &Perform,
        context: &Context<'_>,
    ) -> Result<Resolution, Failure> {
        let step = self.step(request, context).await?;
        match request.operation.verb.as_str() {
            REGISTER | ADOPT | UNMARK => step.resolve_mark().await,
            RELEASE => step.resolve_release().await,
            BACKUP => step.resolve_backup().await,
            VERIFY => step.resolve_verify().await,
            PRUNE => step.resolve_prune().await,
            verb => Err(invalid(format!("a backup knows no `{verb}`"))),
        }
    }

    async fn step<'a>(
        &self,
        request: &'a Perform,
        context: &'a Context<'a>,
    ) -> Result<Step<'a>, Failure> {
        let settings = Settings::read(&request.operation.payload)?;
        let repository = settings.connect(&self.root, context.secrets).await?;
        Ok(Step { request, context, settings, repository })
    }
}

impl Step<'_> {
    fn payload(&self) -> &Fields {
        &self.request.operation.payload
    }

    /// The marker that the step writes.
    fn marker(&self) -> Result<Marker, Failure> {
        let mark = match self.payload().get(MARK) {
            None => self.request.mark.clone(),
            Some(value) => Mark::from_value(value)
                .ok_or_else(|| invalid("the operation's mark is none".to_owned()))?,
        };
        let of = self.payload().get(NAME).and_then(Value::as_text).unwrap_or_default().to_owned();
        let encrypted = self.payload().get(ENCRYPTED).and_then(Value::as_bool).unwrap_or_default();
        Ok(Marker::new(Some(mark), self.request.token.clone(), of, encrypted))
    }

    async fn mark(&self) -> Result<Outcome, Failure> {
        let mut marker = self.marker()?;
        let seen = self.repository.seen().await?;
        if let Some((there, _)) = &seen {
            if there.token == marker.token {
                return self.outcome(there.clone()).await;
            }
            if self.request.operation.verb == REGISTER && there.mark != marker.mark {
                return Err(self.repository.taken(there));
            }
            marker.created_ms = there.created_ms;
        }
        self.check_expected(seen.as_ref().map(|(there, _)| there)).await?;
        self.context.guard.may_write()?;
        let over = seen.as_ref().map(|(_, content)| content.version.as_str());
        self.repository.write_marker(&marker, over).await?;
        self.outcome(marker).await
    }

    async fn unmark(&self) -> Result<Outcome, Failure> {
        let seen = self.repository.seen().await?;
        let Some((there, content)) = seen else {
            self.check_expected(None).await?;
            return Ok(Outcome::nothing());
        };
        if there.token == self.request.token {
            return self.outcome(there).await;
        }
        self.check_ours(&there)?;
        self.check_expected(Some(&there)).await?;
        let nobodys = Marker { mark: None, token: self.request.token.clone(), ..there };
        self.context.guard.may_write()?;
        self.repository.write_marker(&nobodys, Some(&content.version)).await?;
        self.outcome(nobodys).await
    }

    async fn release(&self) -> Result<Outcome, Failure> {
        let Some(there) = self.repository.marker().await? else { return Ok(Outcome::nothing()) };
        self.check_ours(&there)?;
        self.check_expected(Some(&there)).await?;
        self.context.guard.may_write()?;
        self.repository.release(&self.request.mark).await?;
        Ok(Outcome::nothing())
    }

    async fn back_up(&self, engine: &dyn Engine) -> Result<Outcome, Failure> {
        if let Some(manifest) = self.repository.find_by_token(&self.request.token).await? {
            return self.published(&manifest).await;
        }
        self.check_owner().await?;
        let listing = self.repository.list(Some(&self.request.mark)).await?;
        let previous = listing.manifests();
        let kind = self.kind();
        let order = Order {
            previous: &previous,
            smaller: self.payload().get(SMALLER).and_then(Value::as_bool).unwrap_or_default(),
            ..Order::new(&self.request.mark, &self.request.token, kind, self.context.guard)
        };
        let job = self.job(kind)?;
        let publishing = self.repository.publish(&order, |sink| engine.dump(job, sink));
        let manifest = self.in_time("dumped", publishing).await?;
        if let Some(clock) = manifest.notes.get(CLOCK) {
            self.context.event(Event::warning(clock));
        }
        // What died half way is taken away when nothing else is at stake.
        match self.repository.collect(self.context.guard).await {
            Ok(0) => {}
            Ok(count) => {
                let message = format!("took away {count} half-written objects older than a day");
                self.context.event(Event::info(message));
            }
            Err(failure) => {
                let message = format!("half-written objects could not be taken away: {failure}");
                self.context.event(Event::warning(message));
            }
        }
        self.published(&manifest).await
    }

    /// A backup that is there; whether it counts is another question.
    async fn published(&self, manifest: &Manifest) -> Result<Outcome, Failure> {
        let marker = self.check_owner().await?;
        let mut outcome = self.outcome(marker).await?;
        let Some(alarm) = manifest.notes.get(ALARM) else {
            if let Some(live) = &mut outcome.live {
                live.outputs.insert("id".to_owned(), Value::text(&manifest.id));
                live.outputs.insert("at_ms".to_owned(), Value::Int(manifest.snapshot_ms));
            }
            return Ok(outcome);
        };
        let message = format!("the backup {} is not counted as good: {alarm}", manifest.id);
        let right = format!(
            "if that is right, `hive backup run {} --accept-smaller` makes one that counts",
            self.request.mark.address
        );
        let failure = Failure::new(FailureKind::Unhealthy, message).diagnosis(right);
        Err(failure.remains(Remains::Left(Box::new(outcome))))
    }

    async fn verify(&self, engine: &dyn Engine) -> Result<Outcome, Failure> {
        if let Some(result) = self.repository.find_verified(&self.request.token).await? {
            return self.verified(&result).await;
        }
        self.check_owner().await?;
        let manifest = match self.payload().get(ID).and_then(Value::as_text) {
            Some(id) => self.repository.manifest(id).await?,
            None => {
                let listing = self.repository.list(Some(&self.request.mark)).await?;
                let newest = listing.newest_good().map(|it| it.manifest.clone());
                newest.ok_or_else(|| {
                    let message = format!("there is no backup at {}", self.repository.shown());
                    Failure::new(FailureKind::Invalid, message)
                })?
            }
        };
        let result = self.look(engine, &manifest).await?;
        self.context.guard.may_write()?;
        self.repository.record_verified(&result).await?;
        self.verified(&result).await
    }

    /// Restores and compares. What is wrong with the backup itself is a result, whatever the engine
    /// makes of it; that it could not be tried is none.
    async fn look(&self, engine: &dyn Engine, manifest: &Manifest) -> Result<Verified, Failure> {
        let mut result = Verified {
            format: LOOKED,
            id: manifest.id.clone(),
            token: self.request.token.as_str().to_owned(),
            depth: Depth::Restored,
            at_ms: now_ms(),
            took_ms: 0,
            restore_ms: None,
            ok: false,
            wrong: Vec::new(),
            version: String::new(),
        };
        let took = |begun: i64| u64::try_from(now_ms() - begun).unwrap_or_default();
        let plain = match self.repository.open(manifest).await {
            Ok(plain) => plain,
            Err(failure) if failure.kind == FailureKind::Malformed => {
                result.depth = Depth::Listed;
                result.wrong.push(failure.message);
                result.took_ms = took(result.at_ms);
                return Ok(result);
            }
            Err(failure) => return Err(failure),
        };
        let found = plain.found();
        let proving = engine.prove(self.job(manifest.kind)?, manifest, plain);
        let proof = self.in_time("restored", proving).await;
        result.took_ms = took(result.at_ms);
        let found = found.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (found, proof) {
            (Some(damage), _) if damage.kind == FailureKind::Malformed => {
                result.depth = Depth::Read;
                result.wrong.push(damage.message);
            }
            (Some(failure), _) | (None, Err(failure)) => return Err(failure),
            (None, Ok(proof)) => {
                result.restore_ms = Some(proof.restore_ms);
                result.ok = proof.wrong.is_empty();
                result.wrong = proof.wrong;
                result.version = proof.version;
            }
        }
        Ok(result)
    }

    async fn verified(&self, result: &Verified) -> Result<Outcome, Failure> {
        let marker = self.check_owner().await?;
        let outcome = self.outcome(marker).await?;
        if result.ok {
            return Ok(outcome);
        }
        let message = format!("the backup {} is not good: {}", result.id, result.wrong.join("; "));
        Err(Failure::new(FailureKind::Unhealthy, message).remains(Remains::Left(Box::new(outcome))))
    }

    async fn prune(&self) -> Result<Outcome, Failure> {
        let marker = self.check_owner().await?;
        if let Some(why) = self.payload().get(HELD).and_then(Value::as_text) {
            let message = format!("{why}: nothing was removed");
            return Err(Failure::new(FailureKind::Invalid, message).diagnosis(HOW_ON));
        }
        let ids = self.ids()?;
        let left = self.repository.still_there(&ids).await?;
        self.repository.prune(&left, self.context.guard).await?;
        self.repository.collect(self.context.guard).await?;
        self.outcome(marker).await
    }

    async fn resolve_mark(&self) -> Result<Resolution, Failure> {
        let there = self.repository.marker().await?;
        if let Some(there) = there.as_ref().filter(|it| it.token == self.request.token) {
            return Ok(Resolution::Done(self.outcome(there.clone()).await?));
        }
        self.before_or_foreign(there.as_ref()).await
    }

    async fn resolve_release(&self) -> Result<Resolution, Failure> {
        match self.repository.marker().await? {
            None => Ok(Resolution::Done(Outcome::nothing())),
            there => self.before_or_foreign(there.as_ref()).await,
        }
    }

    async fn resolve_backup(&self) -> Result<Resolution, Failure> {
        match self.repository.find_by_token(&self.request.token).await? {
            None => Ok(Resolution::NotStarted { sealed: false }),
            Some(manifest) => ended(self.published(&manifest).await),
        }
    }

    async fn resolve_verify(&self) -> Result<Resolution, Failure> {
        match self.repository.find_verified(&self.request.token).await? {
            None => Ok(Resolution::NotStarted { sealed: false }),
            Some(result) => ended(self.verified(&result).await),
        }
    }

    async fn resolve_prune(&self) -> Result<Resolution, Failure> {
        let marker = self.check_owner().await?;
        let ids = self.ids()?;
        let left = self.repository.still_there(&ids).await?;
        if left.is_empty() {
            return Ok(Resolution::Done(self.outcome(marker).await?));
        }
        let listing = self.repository.list(None).await?;
        let whole = ids
            .iter()
            .all(|id| listing.get(id.as_str()).is_some() || listing.damaged.contains_key(id));
        if whole {
            return Ok(Resolution::NotStarted { sealed: false });
        }
        Ok(Resolution::Partly { facts: format!("{} of {} are still there", left.len(), ids.len()) })
    }

    async fn before_or_foreign(&self, there: Option<&Marker>) -> Result<Resolution, Failure> {
        if self.check_expected(there).await.is_ok() {
            return Ok(Resolution::NotStarted { sealed: false });
        }
        let place = self.repository.shown();
        let found = match there {
            None => format!("{place} has no marker"),
            Some(Marker { mark: Some(mark), of, .. }) => format!("{place} is {mark}, of {of}"),
            Some(there) => format!("{place} is nobody's, of {}", there.of),
        };
        Ok(Resolution::Foreign { found })
    }

    /// Lets long work go on until its deadline, or until hive is asked to stop: what is dropped has
    /// published nothing, but its last request may be under way. Says how far it is.
    async fn in_time<T>(
        &self,
        verb: &str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut work = std::pin::pin!(work);
        let begun = Instant::now();
        let deadline = Duration::from_millis(self.request.operation.deadline_ms);
        let mut said = begun;
        loop {
            if let Ok(done) = tokio::time::timeout(LOOK_EVERY, work.as_mut()).await {
                return done;
            }
            let title = &self.request.operation.title;
            if self.context.cancelled() {
                let failure =
                    Failure::new(FailureKind::Cancelled, format!("asked to stop: {title}"));
                return Err(failure.remains(Remains::Unsure));
            }
            if begun.elapsed() >= deadline {
                let span = words::span(self.request.operation.deadline_ms);
                let message = format!("it took longer than {span}: {title}");
                let failure = Failure::new(FailureKind::TimedOut, message);
                return Err(failure.remains(Remains::Unsure));
            }
            if said.elapsed() >= SAY_EVERY {
                said = Instant::now();
                let moved = self.repository.moved.load(Ordering::Relaxed);
                self.context.event(Event::info(format!("{} {verb}", words::size(moved))));
            }
        }
    }

    /// The place is still ours and as the plan saw it.
    async fn check_owner(&self) -> Result<Marker, Failure> {
        self.repository.check_owner(&self.request.mark).await
    }

    fn check_ours(&self, there: &Marker) -> Result<(), Failure> {
        if there.mark.as_ref() == Some(&self.request.mark) {
            return Ok(());
        }
        Err(self.repository.taken(there))
    }

    async fn check_expected(&self, there: Option<&Marker>) -> Result<(), Failure> {
        if self.request.operation.expects == Expects::Absent
            && let Some(there) = there
        {
            return Err(self.repository.taken(there));
        }
        let Some(marker) = there.cloned() else { return self.request.check_expected(None) };
        let marked = ["of", "destination", "encrypted"].map(FieldPath::parse);
        let live = if self.request.managed.iter().all(|field| marked.contains(field)) {
            live::bare(&self.settings, &self.request.identity, marker)
        } else {
            live::full(&self.repository, &self.settings, &self.request.identity, marker).await?
        };
        self.request.check_expected(Some(&live.fields))
    }

    async fn outcome(&self, marker: Marker) -> Result<Outcome, Failure> {
        let identity = &self.request.identity;
        live::full(&self.repository, &self.settings, identity, marker).await.map(Outcome::live)
    }

    fn kind(&self) -> Kind {
        match self.payload().get(KIND).and_then(Value::as_text) {
            Some("safety") => Kind::Safety,
            _ => Kind::Run,
        }
    }

    fn job(&self, kind: Kind) -> Result<Job<'_>, Failure> {
        let of = self.payload().get("of").and_then(Value::as_map);
        let of = of.ok_or_else(|| invalid("it is not said what is backed up".to_owned()))?;
        Ok(Job { of, kind, request: self.request, context: self.context })
    }

    fn ids(&self) -> Result<Vec<BackupId>, Failure> {
        let list = self.payload().get(IDS).and_then(Value::as_list).unwrap_or_default();
        let id = |value: &Value| value.as_text().and_then(BackupId::parse);
        let ids: Option<Vec<BackupId>> = list.iter().map(id).collect();
        ids.ok_or_else(|| invalid("one of the ids is no backup's id".to_owned()))
    }
}

/// A step that has ended, well or not; that the place cannot be read now says nothing of it.
fn ended(outcome: Result<Outcome, Failure>) -> Result<Resolution, Failure> {
    match outcome {
        Ok(outcome) => Ok(Resolution::Done(outcome)),
        Err(failure) if failure.kind == FailureKind::Unhealthy => Ok(Resolution::Failed(failure)),
        Err(failure) => Err(failure),
    }
}

fn invalid(message: String) -> Failure {
    Failure::new(FailureKind::Invalid, message)
}
