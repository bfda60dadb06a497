//! The verbs, handed on by kind.

use crate::backup::Copies;
use crate::database::{self, CLAIM, OF, RELEASE};
use crate::look::Looks;
use crate::session::{Step, WAIT_MS};
use crate::site::Site;
use crate::work::{Lent, blocking, lend};
use crate::{BACKUP, Base, DATABASE, FORM, MIGRATIONS, NAME, Sqlite, migrations, restore};
use hive_backup::{lower_backup, marked, steps_backup};
use hive_contract::outcome::{UpgradeError, Upgraded};
use hive_contract::{
    Action, Ask, AskOne, Change, Context, Declared, Failure, FailureKind, Fields, Invalid, Live,
    LowerScope, Lowered, Observation, Operation, Outcome, Perform, Place, Provider, Rehearsal,
    Resolution, Secrets, Task, Value, WayBack,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

impl Provider for Sqlite {
    fn name(&self) -> &'static str {
        NAME
    }

    fn place(&self) -> Place {
        Place {
            provider: NAME.to_owned(),
            settings: self.settings.clone(),
            system: self.system.clone(),
        }
    }

    fn form(&self) -> u32 {
        FORM
    }

    fn upgrade(&self, form: u32, fields: Fields) -> Upgraded {
        if form > FORM {
            return Err(UpgradeError::Newer { form, known: FORM });
        }
        Ok(fields)
    }

    fn lower(&self, declared: &Declared, scope: &LowerScope) -> Result<Lowered, Vec<Invalid>> {
        match declared.address.kind() {
            DATABASE => database::lower::lower(&self.base.folder, declared, scope),
            MIGRATIONS => migrations::lower::lower(&self.base.folder, declared, scope),
            BACKUP => lower_backup_of_sqlite(&self.base, declared, scope),
            kind => Err(vec![Invalid::at("", format!("SQLite has no {kind}"))]),
        }
    }

    fn observe<'a>(
        &'a self,
        ask: &'a Ask,
        secrets: &'a Secrets,
    ) -> Task<'a, Result<Observation, Failure>> {
        let is_backup = |one: &&AskOne| one.target.address.kind() == BACKUP;
        let base = Arc::clone(&self.base);
        Box::pin(async move {
            let backups: Vec<&AskOne> = ask.parts.iter().filter(is_backup).collect();
            let rest = ask.parts.iter().filter(|one| !is_backup(one)).cloned().collect();
            let rest = Ask { parts: rest, ..ask.clone() };
            let mut observation = blocking(move || Ok(observe(&base, &rest))).await?;
            if !backups.is_empty() {
                let found = self.backups.observe(&backups, secrets).await;
                observation.marked.extend(marked(&found, ask.marked.as_ref()));
                observation.marked.sort_by(|a, b| a.identity.cmp(&b.identity));
                observation.found.extend(found);
            }
            Ok(observation)
        })
    }

    fn objections(&self, change: &Change) -> Vec<Invalid> {
        match change.target.address.kind() {
            MIGRATIONS => migrations::objections(change),
            DATABASE => restore::steps::objections(change),
            _ => Vec::new(),
        }
    }

    fn can_rehearse(&self, change: &Change) -> bool {
        change.target.address.kind() == MIGRATIONS && migrations::can_rehearse(change)
    }

    fn rehearse<'a>(
        &'a self,
        changes: &'a [Change],
        context: &'a Context<'a>,
    ) -> Task<'a, Vec<Result<Rehearsal, Failure>>> {
        Box::pin(async move {
            let mut rehearsed = Vec::with_capacity(changes.len());
            for change in changes {
                let (base, owned) = (Arc::clone(&self.base), change.clone());
                let work = move |lent: &Lent| migrations::rehearse(&base.folder, &owned, lent);
                rehearsed.push(match self.can_rehearse(change) {
                    true => lend(context, REHEARSE_MS, work).await,
                    false => Ok(Rehearsal::default()),
                });
            }
            rehearsed
        })
    }

    fn ahead(&self, desired: &Lowered, recorded: Option<&Declared>, live: &Live) -> Option<Fields> {
        hive_sql::list::ahead(desired, recorded, live)
    }

    fn remarks(
        &self,
        desired: &Declared,
        recorded: Option<&Declared>,
        live: Option<&Live>,
    ) -> Vec<String> {
        match desired.address.kind() {
            MIGRATIONS => hive_sql::list::remarks(desired, recorded, live),
            _ => Vec::new(),
        }
    }

    fn ways_back(&self, change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<WayBack> {
        match change.target.address.kind() {
            MIGRATIONS => migrations::ways_back(change, rehearsal),
            _ => Vec::new(),
        }
    }

    fn steps(&self, change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<Operation> {
        match change.target.address.kind() {
            DATABASE if change.action == Action::Run => restore::steps::steps(change),
            DATABASE => database::steps::steps(change),
            MIGRATIONS => migrations::steps::steps(change, rehearsal),
            _ => steps_backup(change),
        }
    }

    fn perform<'a>(
        &'a self,
        request: &'a Perform,
        context: &'a Context<'a>,
    ) -> Task<'a, Result<Outcome, Failure>> {
        if request.target.address.kind() == BACKUP {
            let base = Arc::clone(&self.base);
            return Box::pin(async move {
                let engine = Copies { base, notes: BTreeMap::new() };
                self.backups.perform(&engine, request, context).await
            });
        }
        if restore::knows(&request.operation.verb) {
            return Box::pin(restore::perform(self, request, context));
        }
        let (base, owned) = (Arc::clone(&self.base), request.clone());
        Box::pin(lend(context, request.operation.deadline_ms, move |lent| {
            let site = site(&base, &owned)?;
            let wait = wait(&owned);
            let step = Step { kept: &base.kept, site: &site, request: &owned, lent, wait };
            match (owned.target.address.kind(), owned.operation.verb.as_str()) {
                (DATABASE, CLAIM) => database::claim::claim(&step),
                (DATABASE, RELEASE) => database::claim::release(&step),
                (MIGRATIONS, _) => migrations::perform(&step),
                (kind, verb) => Err(unknown(kind, verb)),
            }
        }))
    }

    fn resolve<'a>(
        &'a self,
        request: &'a Perform,
        context: &'a Context<'a>,
    ) -> Task<'a, Result<Resolution, Failure>> {
        if request.target.address.kind() == BACKUP {
            return Box::pin(self.backups.resolve(request, context));
        }
        if restore::knows(&request.operation.verb) {
            return Box::pin(restore::resolve(self, request, context));
        }
        let (base, owned) = (Arc::clone(&self.base), request.clone());
        Box::pin(lend(context, RESOLVE_MS, move |lent| {
            let site = site(&base, &owned)?;
            let wait = Duration::from_secs(30);
            let step = Step { kept: &base.kept, site: &site, request: &owned, lent, wait };
            match owned.target.address.kind() {
                MIGRATIONS => migrations::resolve(&step),
                _ => database::claim::resolve(&step),
            }
        }))
    }
}

/// How long a rehearsal may take: it runs on a copy and holds up nobody.
const REHEARSE_MS: u64 = 3_600_000;
/// How long a recovery may take: it waits for whoever still writes.
const RESOLVE_MS: u64 = 60_000;

fn observe(base: &Base, ask: &Ask) -> Observation {
    let mut observation = Observation::default();
    let mut looks = Looks::new(base);
    for one in &ask.parts {
        observation.found.insert(one.target.clone(), looks.look(one));
    }
    if let Some(mark) = &ask.marked {
        for one in &ask.parts {
            // What cannot be read has said so above.
            for live in looks.marked(&one.access, mark).unwrap_or_default() {
                if observation.marked.iter().all(|it| it.identity != live.identity) {
                    observation.marked.push(live);
                }
            }
        }
        observation.marked.sort_by(|a, b| a.identity.cmp(&b.identity));
    }
    observation
}

/// A backup of a database that is one of SQLite's.
fn lower_backup_of_sqlite(
    base: &Base,
    declared: &Declared,
    scope: &LowerScope,
) -> Result<Lowered, Vec<Invalid>> {
    let mut wrong = Vec::new();
    if let Some(of) = declared.fields.get(OF).and_then(Value::as_map) {
        database::lower::access(&base.folder, of, "of.", &mut wrong);
    }
    match lower_backup(declared, scope) {
        Ok(lowered) if wrong.is_empty() => Ok(lowered),
        Ok(_) => Err(wrong),
        Err(more) => Err(wrong.into_iter().chain(more).collect()),
    }
}

fn site(base: &Base, request: &Perform) -> Result<Site, Failure> {
    let of = request.operation.payload.get(OF).and_then(Value::as_map);
    let of = of.ok_or_else(|| {
        Failure::new(FailureKind::Invalid, "the operation does not say of which database it is")
    })?;
    Site::of_access(&base.folder, of)
}

fn wait(request: &Perform) -> Duration {
    let said = request.operation.payload.get("lock_timeout").and_then(Value::as_int);
    Duration::from_millis(said.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(WAIT_MS))
}

fn unknown(kind: &str, verb: &str) -> Failure {
    Failure::new(FailureKind::Invalid, format!("a {kind} of SQLite knows no `{verb}`"))
}
