//! The verbs, handed on by kind.

use crate::database::{self, CLAIM, OF, RELEASE};
use crate::look::Looks;
use crate::session::{Step, WAIT_MS};
use crate::site::Site;
use crate::work::{Lent, blocking, lend};
use crate::{Base, DATABASE, FORM, MIGRATIONS, NAME, Sqlite, migrations};
use hive_contract::outcome::{UpgradeError, Upgraded};
use hive_contract::{
    Ask, Change, Context, Declared, Failure, FailureKind, Fields, Invalid, LowerScope, Lowered,
    Observation, Operation, Outcome, Perform, Place, Provider, Rehearsal, Resolution, Secrets,
    Task, Value, WayBack,
};
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
            kind => Err(vec![Invalid::at("", format!("SQLite has no {kind}"))]),
        }
    }

    fn observe<'a>(
        &'a self,
        ask: &'a Ask,
        _secrets: &'a Secrets,
    ) -> Task<'a, Result<Observation, Failure>> {
        let (base, ask) = (Arc::clone(&self.base), ask.clone());
        Box::pin(blocking(move || Ok(observe(&base, &ask))))
    }

    fn objections(&self, change: &Change) -> Vec<Invalid> {
        match change.target.address.kind() {
            MIGRATIONS => migrations::objections(change),
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

    fn ways_back(&self, change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<WayBack> {
        match change.target.address.kind() {
            MIGRATIONS => migrations::ways_back(change, rehearsal),
            _ => Vec::new(),
        }
    }

    fn steps(&self, change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<Operation> {
        match change.target.address.kind() {
            DATABASE => database::steps::steps(change),
            MIGRATIONS => migrations::steps::steps(change, rehearsal),
            _ => Vec::new(),
        }
    }

    fn perform<'a>(
        &'a self,
        request: &'a Perform,
        context: &'a Context<'a>,
    ) -> Task<'a, Result<Outcome, Failure>> {
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
