//! From a request to a plan: desired, recorded and observed brought together.

use super::ask::{Ask, Back, Want};
use super::error::FlowError;
use super::observe::{Seen, marked, observe};
use super::rehearse::{Hears, Learnt};
use super::session::Session;
use super::way_back::{ComesBack, Shelf, Through};
use crate::apply::{self, Folded};
use crate::plan::{self, Asked, Command, Desired, Plan, Question, Scope};
use crate::registry::Providers;
use hive_contract::lowered::RESTORES;
use hive_contract::value::secrets_in;
use hive_contract::{Address, Failure, Fingerprint, Observed, SecretRef, Sort, Target, Value};
use hive_state::{Clock, Freeze, Part, Snapshot};
use std::collections::{BTreeMap, BTreeSet};

/// How many steps run at once where nobody says.
const PARALLEL: u32 = 10;

/// A plan, and what a person should know beside it.
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The interrupted apply that was folded in, where one is open.
    pub open: Option<Folded>,
    /// The hold on the environment, where there is one.
    pub frozen: Option<Freeze>,
    /// When the snapshot that it was compared with was made, in milliseconds since 1970.
    pub base_at_ms: Option<u64>,
    /// Why one resource is or is not touched, where that was asked.
    pub explanation: Option<plan::Explanation>,
    /// Whether it has nothing to do over a partial snapshot: applied, it makes a whole one.
    pub completes: bool,
    /// What it brings back from backups.
    pub comes_back: Vec<ComesBack>,
    /// What came of trying it on a copy, by part.
    pub rehearsed: Learnt,
    /// The providers that it was made with.
    pub providers: Providers,
}

impl Session {
    /// Makes a plan. Takes no lease, and writes nothing but what a rehearsal taught, into a store
    /// that is there. `hears` is told of what is tried.
    ///
    /// # Errors
    /// The TOML is wrong for a provider, something cannot be read, or there is no plan.
    pub async fn plan(&self, ask: &Ask, hears: Hears<'_>) -> Result<Planned, FlowError> {
        let open = apply::folded(&self.ledger).await?;
        let recorded = match &open {
            Some(folded) => Some(folded.snapshot.clone()),
            None => self.ledger.head().await?.map(|(_, snapshot)| snapshot),
        };
        let (source, providers) = self.source(ask, recorded.as_ref()).await?;
        let mut desired =
            plan::desire(&source.declared, &providers).map_err(|wrong| self.wrong(wrong))?;
        if brings_data_back(ask, &source.command) {
            lend_restores(&mut desired);
        }
        if let Some(stack) = &self.declared {
            let problems = stack.check_lowered(&desired);
            if !problems.is_empty() && matches!(source.command, Command::Apply) {
                return Err(FlowError::Stack(problems));
            }
        }
        let Seen { observed, beside, facts } =
            observe(&providers, &self.secrets, &desired, recorded.as_ref()).await;
        let adoptable = match &ask.want {
            Want::Adopt(named) if named.is_empty() => {
                Some(adoptable(&desired, &observed, recorded.as_ref()))
            }
            _ => None,
        };
        let shelf = Shelf {
            declared: &source.declared,
            desired: &desired,
            recorded: recorded.as_ref(),
            observed: &observed,
            now_ms: self.clock.wall_ms(),
        };
        let through = self.by_data(ask, &source.command, &shelf).await?;
        let backed_up = shelf.newest_of_lost();
        let mut asked = asked(ask, &desired, adoptable.as_ref());
        asked.extend(through.asked);
        let mut question = Question {
            owner: providers.owner().clone(),
            recorded: recorded.as_ref(),
            observed,
            beside,
            facts,
            places: providers.places(),
            verbs: &providers,
            secrets: self.prints(&desired).await?,
            on_failure: plan::guards::on_failure(&source.guards).unwrap_or_default(),
            guards: source.guards,
            variables: source.variables,
            files: source.files,
            foreign: self.foreign_reads(&source.command),
            command: source.command,
            parallel: self.parallel(),
            freezes: matches!(ask.want, Want::Snapshot(_) | Want::Before) && !ask.no_freeze,
            scope: match &adoptable {
                Some(these) => Scope::Exactly(these.clone()),
                None => scope(ask),
            },
            rehearsals: BTreeMap::new(),
            asked,
            desired,
        };
        let learnt = self.learn(&question, &providers, ask.rehearse, hears).await;
        question.rehearsals = learnt.map_err(|error| match error {
            FlowError::Plan(errors) => told(errors, &backed_up),
            other => other,
        })?;
        let mut plan = plan::plan(&question).map_err(|errors| told(errors, &backed_up))?;
        plan.lints.extend(through.lints);
        plan.lints.extend(not_tried(&question.rehearsals));
        plan.lints.sort();
        if recorded.is_none() {
            plan.lints.extend(strays(&question.desired, &providers).await);
            plan.lints.sort();
        }
        let explanation = ask.explain.as_ref().map(|it| plan::explain(&question, &plan, it));
        // What an open apply is folded into has no number yet: people know the one before it.
        let base = match &open {
            Some(folded) => folded.head.as_ref(),
            None => recorded.as_ref(),
        };
        plan.base = base.map(|it| it.number);
        let base_at_ms = base.map(|it| it.at_ms);
        let frozen = self.ledger.freeze().await?;
        let completes = frozen.is_none()
            && open.is_none()
            && recorded.as_ref().is_some_and(|it| completes(&plan, it));
        let comes_back = through.comes_back;
        let rehearsed = std::mem::take(&mut question.rehearsals);
        Ok(Planned {
            plan,
            open,
            frozen,
            base_at_ms,
            explanation,
            completes,
            comes_back,
            rehearsed,
            providers,
        })
    }

    /// What comes back from backups, as it is asked for.
    async fn by_data(
        &self,
        ask: &Ask,
        command: &Command,
        shelf: &Shelf<'_>,
    ) -> Result<Through, FlowError> {
        match (&ask.want, command) {
            (_, Command::Restore { snapshot, .. } | Command::Rollback { snapshot, .. }) => {
                self.through(*snapshot, ask.back, shelf).await
            }
            (_, Command::Rebuild { .. }) => self.absent(shelf),
            (Want::Data { database, backup, id }, _) => {
                self.one_database(database, backup, id, shelf)
            }
            _ => Ok(Through::default()),
        }
    }

    /// A provider's words about the declared resources, with their place in the TOML.
    pub(super) fn wrong(&self, wrong: Vec<(Address, hive_contract::Invalid)>) -> FlowError {
        match &self.declared {
            Some(stack) => FlowError::Stack(
                wrong.iter().map(|(address, it)| stack.problem_at(address, it)).collect(),
            ),
            None => FlowError::Plan(
                wrong
                    .into_iter()
                    .map(|(address, invalid)| plan::PlanError::Invalid { address, invalid })
                    .collect(),
            ),
        }
    }

    async fn prints(
        &self,
        desired: &BTreeMap<Address, Desired>,
    ) -> Result<BTreeMap<String, Option<String>>, FlowError> {
        let parts = desired.values().flat_map(|it| it.parts.values());
        let fields = parts.flat_map(|it| [&it.lowered.fields, &it.lowered.access]);
        let named: BTreeSet<SecretRef> = fields.flat_map(secrets_in).collect();
        self.secrets.prints(named).await.map_err(FlowError::Secret)
    }

    fn parallel(&self) -> u32 {
        self.at.parallel.unwrap_or(PARALLEL)
    }

    /// What the TOML reads of other stacks, where the plan is made of it.
    fn foreign_reads(&self, command: &Command) -> Vec<(String, String, String, Fingerprint)> {
        let of_toml = matches!(command, Command::Apply | Command::Adopt | Command::Move);
        let Some(stack) = self.declared.as_ref().filter(|_| of_toml) else {
            return Vec::new();
        };
        let read = |it: &crate::stack::ForeignValue| {
            let reference = &it.reference;
            let output = format!("{}.{}", reference.address, reference.output);
            let value = Fingerprint::of(&it.value);
            (reference.stack.clone(), reference.environment.clone(), output, value)
        };
        stack.foreign.iter().map(read).collect()
    }
}

/// Whether a plan of all that is declared finds nothing to do over a partial snapshot of which
/// nothing is unsettled: then what is there is what is wanted, whatever an apply before left.
fn completes(plan: &Plan, recorded: &Snapshot) -> bool {
    let mut parts = recorded.resources.values().flat_map(|it| it.parts.values());
    matches!(plan.command, Command::Apply)
        && plan.covers_all
        && plan.left_out.is_empty()
        && plan.is_empty()
        && !recorded.whole
        && parts.all(Part::is_verified)
}

fn scope(ask: &Ask) -> Scope {
    match &ask.want {
        Want::Adopt(these) | Want::Forget(these) | Want::Restart(these) => {
            Scope::Exactly(these.clone())
        }
        Want::Move(from, to) => Scope::Exactly([from.clone(), to.clone()].into()),
        Want::Do(_, these) => Scope::Exactly(these.keys().cloned().collect()),
        Want::Data { database, .. } => Scope::Exactly([database.clone()].into()),
        _ => ask.scope.clone(),
    }
}

/// Whether a plan brings data back from backups.
fn brings_data_back(ask: &Ask, command: &Command) -> bool {
    let back = matches!(command, Command::Restore { .. } | Command::Rollback { .. });
    matches!(ask.want, Want::Data { .. } | Want::Rebuild) || (back && ask.back == Back::Data)
}

/// A restore that is asked for may make what it restores, and takes the place of what is empty.
fn lend_restores(desired: &mut BTreeMap<Address, Desired>) {
    for part in desired.values_mut().flat_map(|it| it.parts.values_mut()) {
        if part.lowered.holds_data {
            part.lowered.access.insert(RESTORES.to_owned(), Value::Bool(true));
        }
    }
}

/// What speaks against a plan, with the backup that would bring back what is lost.
fn told(errors: Vec<plan::PlanError>, backed_up: &BTreeMap<Address, String>) -> FlowError {
    let told = |error| match error {
        plan::PlanError::Lost { target, .. } => {
            let backup = backed_up.get(&target.address).cloned();
            plan::PlanError::Lost { target, backup }
        }
        other => other,
    };
    FlowError::Plan(errors.into_iter().map(told).collect())
}

/// What could not be tried on a copy, and why.
fn not_tried(rehearsals: &Learnt) -> Vec<plan::Lint> {
    let failed = rehearsals.iter().filter_map(|(target, it)| Some((target, it.as_ref().err()?)));
    let lint = |(target, why): (&Target, &String)| plan::Lint {
        address: Some(target.address.clone()),
        message: format!("it could not be tried on a copy: {why}"),
    };
    failed.map(lint).collect()
}

/// What a lost store left behind and nobody declares: no command would ever touch it.
async fn strays(desired: &BTreeMap<Address, Desired>, providers: &Providers) -> Vec<plan::Lint> {
    let found = marked(providers).await.into_keys();
    let undeclared = found.filter(|(address, _)| !desired.contains_key(address));
    let lint = |(address, identity): (Address, String)| plan::Lint {
        address: Some(address),
        message: format!("it carries this stack's mark and is not declared: `{identity}`"),
    };
    undeclared.map(lint).collect()
}

/// What `adopt` takes where nothing is named: what is live, or cannot be read, and not recorded,
/// with the checks and the notices of it. What depends on something that is neither recorded nor
/// taken is left to the next apply.
fn adoptable(
    desired: &BTreeMap<Address, Desired>,
    observed: &BTreeMap<(String, Target), Result<Observed, Failure>>,
    recorded: Option<&Snapshot>,
) -> BTreeSet<Address> {
    let held = |it: &Address| recorded.is_some_and(|head| head.resources.contains_key(it));
    let absent = |address: &Address, part: &plan::LoweredPart| {
        let target = Target { address: address.clone(), part: part.part.clone() };
        matches!(observed.get(&(part.place.clone(), target)), Some(Ok(Observed::Absent)))
    };
    let there = |(address, it): &(&Address, &Desired)| {
        let lives = || !it.parts.values().any(|part| absent(address, part));
        !held(address) && (it.sort() != Sort::Object || lives())
    };
    let mut taken: BTreeSet<Address> =
        desired.iter().filter(there).map(|(address, _)| address.clone()).collect();
    loop {
        let needs = |it: &Address| desired[it].edges().into_iter().chain(desired[it].verified_by());
        let lacks = |it: &&Address| needs(it).any(|on| !held(&on) && !taken.contains(&on));
        let Some(without) = taken.iter().find(lacks).cloned() else { return taken };
        taken.remove(&without);
    }
}

fn asked(
    ask: &Ask,
    desired: &BTreeMap<Address, Desired>,
    adoptable: Option<&BTreeSet<Address>>,
) -> BTreeMap<Address, Asked> {
    let each = |these: &BTreeSet<Address>, what: &Asked| -> Vec<(Address, Asked)> {
        these.iter().map(|it| (it.clone(), what.clone())).collect()
    };
    let mut asked: BTreeMap<Address, Asked> = match &ask.want {
        Want::Adopt(these) => {
            // A check or a notice has nothing live: it comes along and is not asked for.
            let object = |it: &&Address| desired[*it].sort() == Sort::Object;
            let these = match adoptable {
                Some(found) => found.iter().filter(object).cloned().collect(),
                None => these.clone(),
            };
            each(&these, &Asked::Adopt { take_over: ask.take_over })
        }
        Want::Forget(these) => each(these, &Asked::Forget),
        Want::Restart(these) => each(these, &Asked::Run),
        Want::Do(_, these) => {
            these.iter().map(|(it, run)| (it.clone(), Asked::Do(run.clone()))).collect()
        }
        Want::Move(from, to) => vec![(to.clone(), Asked::MovedFrom(from.clone()))],
        Want::Declared if ask.take_over => {
            let all = desired.keys().map(|it| (it.clone(), Asked::Adopt { take_over: true }));
            all.collect()
        }
        _ => Vec::new(),
    }
    .into_iter()
    .collect();
    asked.extend(each(&ask.replace, &Asked::Replace));
    asked
}
