//! Changes tried where they cannot hurt, each once: what is learnt goes into the plan.

use super::error::FlowError;
use super::session::Session;
use crate::apply::SecretReader;
use crate::plan::{self, Question};
use crate::registry::Providers;
use hive_contract::provider::Unguarded;
use hive_contract::value::secrets_in;
use hive_contract::{
    Change, Context, Event, Failure, FailureKind, Fields, Fingerprint, Rehearsal, Secrets, Target,
};
use hive_state::{Clock, Rehearsed};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

/// Whether changes are tried while a plan is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rehearse {
    /// What is known from before is used, and nothing is tried.
    #[default]
    Known,
    /// Tried, where the environment is not protected: a rehearsal needs rights to write.
    Usual,
    /// Tried.
    Always,
    /// Tried, also where it was tried before.
    Anew,
    /// Neither tried nor looked up.
    Never,
}

/// What is said while changes are tried.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Trying {
    /// It begins.
    Tries {
        /// Whose change.
        target: Target,
    },
    /// The provider says something.
    TrySaid {
        /// Whose change.
        target: Target,
        /// What.
        event: Event,
    },
    /// It has ended.
    Tried {
        /// Whose change.
        target: Target,
        /// How long it took.
        took_ms: u64,
        /// Why it could not be tried; none where it could.
        failed: Option<String>,
    },
}

/// What hears of it.
pub type Hears<'a> = &'a (dyn Fn(Trying) + Send + Sync);

/// What came of the rehearsals of a question, by part.
pub type Learnt = BTreeMap<Target, Result<Rehearsal, String>>;

impl Session {
    /// Tries what a question would change, or takes what was learnt of it before.
    ///
    /// # Errors
    /// There is no plan for the question, or the store cannot be read or written.
    pub(super) async fn learn(
        &self,
        question: &Question<'_>,
        providers: &Providers,
        how: Rehearse,
        hears: Hears<'_>,
    ) -> Result<Learnt, FlowError> {
        let mut learnt = Learnt::new();
        // Nothing else says that it can be tried, and deciding twice has its price.
        if !question.desired.keys().any(|it| it.kind() == "migrations") {
            return Ok(learnt);
        }
        let protected = plan::guards::protected(&question.guards)
            || question.recorded.is_some_and(|it| plan::guards::protected(&it.guards));
        let tries = match how {
            Rehearse::Never => return Ok(learnt),
            Rehearse::Known => false,
            Rehearse::Usual => !protected,
            Rehearse::Always | Rehearse::Anew => true,
        };
        for (place, change) in plan::to_rehearse(question).map_err(FlowError::Plan)? {
            let key = key(&place, &change);
            let known = match how {
                Rehearse::Anew => None,
                _ => self.known(&key).await?,
            };
            if let Some(known) = known {
                learnt.insert(change.target.clone(), Ok(known));
            } else if tries {
                let came = self.try_one(providers, &place, &change, hears).await?;
                if let Ok(rehearsal) = &came {
                    self.remember(key, rehearsal).await?;
                }
                learnt.insert(change.target.clone(), came);
            }
        }
        Ok(learnt)
    }

    async fn known(&self, key: &Fingerprint) -> Result<Option<Rehearsal>, FlowError> {
        if let Some(known) = self.learnt.lock().await.get(key) {
            return Ok(Some(known.clone()));
        }
        Ok(self.ledger.rehearsal(key).await?.map(|it| it.rehearsal))
    }

    /// Keeps what was learnt: in the store where there is one, else for this command alone, because
    /// a plan makes no store.
    async fn remember(&self, key: Fingerprint, rehearsal: &Rehearsal) -> Result<(), FlowError> {
        if self.ledger.store_id().await?.is_some() {
            let rehearsed = Rehearsed { rehearsal: rehearsal.clone(), at_ms: self.clock.wall_ms() };
            self.ledger.put_rehearsal(&key, &rehearsed).await?;
        }
        self.learnt.lock().await.insert(key, rehearsal.clone());
        Ok(())
    }

    /// What came of trying one change, or why it could not be tried. A change that was tried and
    /// does not work is never planned.
    async fn try_one(
        &self,
        providers: &Providers,
        place: &str,
        change: &Change,
        hears: Hears<'_>,
    ) -> Result<Result<Rehearsal, String>, FlowError> {
        let Some(provider) = providers.at(place) else {
            return Ok(Err(format!("the place `{place}` cannot be reached from here")));
        };
        let target = &change.target;
        hears(Trying::Tries { target: target.clone() });
        let began = self.clock.ticks_ms();
        let secrets = self.values(change).await;
        let events = |event| hears(Trying::TrySaid { target: target.clone(), event });
        let cancel = AtomicBool::new(false);
        let context =
            Context { secrets: &secrets, guard: &Unguarded, events: &events, cancel: &cancel };
        let mut came = provider.rehearse(std::slice::from_ref(change), &context).await;
        let none = || Failure::new(FailureKind::Malformed, "the provider gave no answer for it");
        let came = came.pop().unwrap_or_else(|| Err(none()));
        let took_ms = self.clock.ticks_ms().saturating_sub(began);
        let failed = came.as_ref().err().map(ToString::to_string);
        hears(Trying::Tried { target: target.clone(), took_ms, failed });
        match came {
            Err(failure)
                if matches!(failure.kind, FailureKind::Invalid | FailureKind::Unhealthy) =>
            {
                Err(FlowError::Tried { target: target.clone(), failure })
            }
            came => Ok(came.map_err(|failure| failure.to_string())),
        }
    }

    /// The values of the secrets of a change; one that has no value here is left out, and whoever
    /// needs it says so.
    async fn values(&self, change: &Change) -> Secrets {
        let mut tables: Vec<&Fields> = change.run.iter().collect();
        let lowered = change.desired.iter().chain(change.before.as_deref());
        tables.extend(lowered.flat_map(|it| [&it.access, &it.material, &it.fields]));
        let mut secrets = Secrets::default();
        for reference in tables.into_iter().flat_map(secrets_in) {
            if let Ok(value) = self.secrets.read(&reference).await {
                secrets.insert(reference, value);
            }
        }
        secrets
    }
}

/// What a change is, whenever it is asked for: without what moves by itself.
fn key(place: &str, change: &Change) -> Fingerprint {
    let observed = change.observed.as_ref().map(|it| &it.fields);
    let Change { target, action, identity, desired, recorded, before, .. } = change;
    Fingerprint::of(&(place, target, action, identity, desired, recorded, before, observed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_contract::{Action, Live, Status, Value};

    #[test]
    fn a_change_is_known_again_by_what_it_is_and_not_by_when() {
        let live = |summary: &str, head: &str| Live {
            identity: "dev/migrations.main".to_owned(),
            fields: Fields::from([("head".to_owned(), Value::text(head))]),
            outputs: Fields::new(),
            mark: None,
            token: None,
            moved_by: BTreeMap::new(),
            ended: BTreeMap::new(),
            status: Status { ready: true, summary: summary.to_owned(), ..Status::default() },
        };
        let of = |live: Live| {
            let target = "migrations.main".parse().expect("a target");
            let mut change = Change::new(target, Action::Update, "dev/migrations.main");
            change.observed = Some(live);
            change
        };
        let first = key("p", &of(live("applied today", "0001")));
        assert_eq!(first, key("p", &of(live("applied yesterday", "0001"))));
        assert_ne!(first, key("p", &of(live("applied today", "0002"))));
        assert_ne!(first, key("q", &of(live("applied today", "0001"))));
    }
}
