//! From a request to a plan: desired, recorded and observed brought together.

use super::ask::{Ask, Want};
use super::error::FlowError;
use super::observe::{Seen, marked, observe};
use super::session::Session;
use crate::apply::{self, Folded};
use crate::plan::{self, Asked, Command, Desired, Plan, Question, Scope};
use crate::registry::Providers;
use crate::stack::Stack;
use hive_contract::value::secrets_in;
use hive_contract::{
    Address, Declared, Failure, Fields, Fingerprint, Observed, SecretRef, Sort, Target, Value,
};
use hive_state::{Freeze, Snapshot};
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
    /// The providers that it was made with.
    pub providers: Providers,
}

/// What is declared, wherever it comes from.
struct Source {
    command: Command,
    declared: BTreeMap<Address, Declared>,
    guards: Fields,
    variables: BTreeMap<String, Value>,
    files: Vec<plan::BoundFile>,
}

impl Session {
    /// Makes a plan. Writes nothing, takes no lease.
    ///
    /// # Errors
    /// The TOML is wrong for a provider, something cannot be read, or there is no plan.
    pub async fn plan(&self, ask: &Ask) -> Result<Planned, FlowError> {
        let open = apply::folded(&self.ledger).await?;
        let recorded = match &open {
            Some(folded) => Some(folded.snapshot.clone()),
            None => self.ledger.head().await?.map(|(_, snapshot)| snapshot),
        };
        let (source, providers) = self.source(ask, recorded.as_ref()).await?;
        let desired =
            plan::desire(&source.declared, &providers).map_err(|wrong| self.wrong(wrong))?;
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
        let question = Question {
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
            asked: asked(ask, &desired, adoptable.as_ref()),
            desired,
        };
        let mut plan = plan::plan(&question).map_err(FlowError::Plan)?;
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
        Ok(Planned { plan, open, frozen, base_at_ms, explanation, providers })
    }

    async fn source(
        &self,
        ask: &Ask,
        recorded: Option<&Snapshot>,
    ) -> Result<(Source, Providers), FlowError> {
        match &ask.want {
            Want::Snapshot(number) => {
                let snapshot = self.snapshot(*number).await?;
                if !snapshot.whole {
                    return Err(self.partial(*number).await?);
                }
                self.of_snapshot(
                    Command::Restore { snapshot: *number, with_data: false },
                    snapshot,
                    recorded,
                )
                .await
            }
            Want::Before => {
                let snapshot = self.before().await?;
                let command = Command::Rollback { snapshot: snapshot.number, with_data: false };
                self.of_snapshot(command, snapshot, recorded).await
            }
            Want::Nothing => {
                let providers = self.providers(recorded).await?;
                let nothing = Source {
                    command: Command::Destroy,
                    declared: BTreeMap::new(),
                    // Nothing is left that they could guard; those recorded still guard this plan.
                    guards: Fields::new(),
                    variables: recorded.map(|it| it.variables.clone()).unwrap_or_default(),
                    files: Vec::new(),
                };
                Ok((nothing, providers))
            }
            Want::Declared => self.of_stack(Command::Apply, recorded).await,
            Want::Adopt(_) => self.of_stack(Command::Adopt, recorded).await,
            Want::Move(..) => self.of_stack(Command::Move, recorded).await,
            Want::Forget(_) => self.of_record(Command::Forget, recorded).await,
            Want::Restart(_) => self.of_record(Command::Restart, recorded).await,
        }
    }

    async fn of_stack(
        &self,
        command: Command,
        recorded: Option<&Snapshot>,
    ) -> Result<(Source, Providers), FlowError> {
        let stack = self.toml()?;
        let source = Source {
            command,
            declared: stack.declared.clone(),
            guards: stack.guards.clone(),
            variables: stack.variables.clone(),
            files: stack.files.clone(),
        };
        Ok((source, self.providers(recorded).await?))
    }

    /// What is recorded, asked to stay as it is: for commands about single resources.
    async fn of_record(
        &self,
        command: Command,
        recorded: Option<&Snapshot>,
    ) -> Result<(Source, Providers), FlowError> {
        let recorded = recorded.ok_or_else(|| {
            FlowError::Usage(format!("there is nothing to {command}: nothing was ever applied"))
        })?;
        self.of_snapshot(command, recorded.clone(), Some(recorded)).await
    }

    async fn of_snapshot(
        &self,
        command: Command,
        snapshot: Snapshot,
        recorded: Option<&Snapshot>,
    ) -> Result<(Source, Providers), FlowError> {
        let settings = Providers::settings_of(&snapshot.places);
        let mut places = recorded.map(|it| it.places.clone()).unwrap_or_default();
        places.extend(snapshot.places.clone());
        let providers = self.connect(&settings, &places).await?;
        let declared =
            snapshot.resources.into_iter().map(|(address, it)| (address, it.declared)).collect();
        let source = Source {
            command,
            declared,
            guards: snapshot.guards,
            variables: snapshot.variables,
            files: Vec::new(),
        };
        Ok((source, providers))
    }

    /// What the TOML says.
    ///
    /// # Errors
    /// The session was opened for the store alone.
    pub fn toml(&self) -> Result<&Stack, FlowError> {
        self.declared.as_ref().ok_or_else(|| FlowError::NoStack(self.at.folder.clone()))
    }

    /// The snapshot of a number.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub async fn snapshot(&self, number: u64) -> Result<Snapshot, FlowError> {
        match self.ledger.snapshot(number).await? {
            Some(snapshot) => Ok(snapshot),
            None => {
                let there = self.ledger.snapshots().await?;
                let hint = match (there.first(), there.last()) {
                    (Some(first), Some(last)) => Some(format!("there are {first} to {last}")),
                    _ => Some("nothing was ever applied here".to_owned()),
                };
                Err(FlowError::NoSnapshot { number, hint })
            }
        }
    }

    /// Why a partial snapshot is not restored: it is what a failure left, and nobody wanted it.
    async fn partial(&self, number: u64) -> Result<FlowError, FlowError> {
        let numbers = self.ledger.snapshots().await?;
        let mut near = Vec::new();
        let (before, after): (Vec<u64>, Vec<u64>) = numbers.iter().partition(|it| **it < number);
        let sides: [Vec<u64>; 2] = [before.into_iter().rev().collect(), after];
        for side in sides {
            for candidate in side {
                if self.snapshot(candidate).await?.whole {
                    near.push(candidate.to_string());
                    break;
                }
            }
        }
        let near = match near.is_empty() {
            true => "there is no whole one".to_owned(),
            false => format!("the nearest whole ones: {}", near.join(", ")),
        };
        Ok(FlowError::Usage(format!(
            "snapshot {number} is partial: it is what an apply left that did not come to its end; \
             {near}"
        )))
    }

    /// The whole snapshot that `rollback` means: the newest one where head is partial, else the
    /// newest that declares something else than head. An apply that was rolled back and a restart
    /// leave a snapshot of their own that declares the same: going back to that goes nowhere.
    async fn before(&self) -> Result<Snapshot, FlowError> {
        let none = |why: &str| FlowError::Usage(format!("there is nothing to roll back to: {why}"));
        let Some((head, newest)) = self.ledger.head().await? else {
            return Err(none("nothing was ever applied here"));
        };
        let mut skipped = false;
        for number in self.ledger.snapshots().await?.into_iter().rev() {
            if number >= head.number {
                continue;
            }
            let snapshot = self.snapshot(number).await?;
            if snapshot.whole && (!newest.whole || !declare_the_same(&snapshot, &newest)) {
                return Ok(snapshot);
            }
            skipped |= snapshot.whole;
        }
        Err(none(&match skipped {
            true => format!("every whole snapshot before {} declares the same", head.number),
            false => format!("there is no whole snapshot before {}", head.number),
        }))
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

/// Whether two snapshots hold the same resources, declared in the same way.
fn declare_the_same(one: &Snapshot, other: &Snapshot) -> bool {
    let declared = |it: &Snapshot| -> BTreeMap<Address, Declared> {
        let each = it.resources.iter();
        each.map(|(address, held)| (address.clone(), held.declared.clone())).collect()
    };
    declared(one) == declared(other)
}

fn scope(ask: &Ask) -> Scope {
    match &ask.want {
        Want::Adopt(these) | Want::Forget(these) | Want::Restart(these) => {
            Scope::Exactly(these.clone())
        }
        Want::Move(from, to) => Scope::Exactly([from.clone(), to.clone()].into()),
        _ => ask.scope.clone(),
    }
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
