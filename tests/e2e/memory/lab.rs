//! One environment on the in-memory world: declared → desired → observed → plan → apply.

use super::store::Mortal;
use super::thing::Stack;
use hive::apply::{
    self, ApplyError, Interrupt, Lent, Outside, Progress, Report, SecretReader, Settle,
};
use hive::flow::observe::{Seen, observe};
use hive::plan::{self, Asked, Command, OnFailure, Plan, PlanError, Question, Scope};
use hive::registry::Providers;
use hive_contract::secret::SecretPlace;
use hive_contract::testing::{KillSwitch, Picture, Spot, World, WorldProvider};
use hive_contract::value::secrets_in;
use hive_contract::{Address, Fields, Fingerprint, SecretRef, StackMark, Task, Value};
use hive_state::{Clock, LeaseTerms, Ledger, MemoryStore, Patience, Snapshot};
use secrecy::{ExposeSecret, SecretString};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// The value of every secret here. It may stand nowhere that hive writes or says.
pub const CANARY: &str = "hive-canary-6b1f9d20";

/// A world, a store, and how hive is asked to act on them. Clones share both.
#[derive(Clone)]
pub struct Lab {
    pub world: World,
    pub store: MemoryStore,
    /// Everything that was said.
    pub said: Arc<Mutex<Vec<Progress>>>,
    /// The values behind secret references, beyond [`CANARY`].
    pub secrets: BTreeMap<String, String>,
    pub interrupt: Interrupt,
    pub parallel: u32,
    applies: Arc<Mutex<u32>>,
    switch: KillSwitch,
}

/// What a person wants of one plan.
#[derive(Clone, Debug)]
pub struct Wish {
    pub command: Command,
    pub stack: Stack,
    pub scope: Scope,
    pub asked: BTreeMap<Address, Asked>,
    pub on_failure: OnFailure,
    pub freezes: bool,
}

impl Wish {
    /// Make live what is declared.
    pub fn apply(stack: Stack) -> Self {
        Self {
            command: Command::Apply,
            stack,
            scope: Scope::All,
            asked: BTreeMap::new(),
            on_failure: OnFailure::Rollback,
            freezes: false,
        }
    }

    pub fn destroy() -> Self {
        Self { command: Command::Destroy, ..Self::apply(Stack::new()) }
    }

    /// The same, leaving a failure as it is.
    pub fn halting(self) -> Self {
        Self { on_failure: OnFailure::Halt, ..self }
    }

    /// A command about single resources of a stack.
    pub fn about(command: Command, stack: Stack, asked: &[(&str, Asked)]) -> Self {
        let asked: BTreeMap<_, _> = asked
            .iter()
            .map(|(address, it)| (super::thing::address(address), it.clone()))
            .collect();
        let mut addresses: BTreeSet<Address> = asked.keys().cloned().collect();
        addresses.extend(asked.values().filter_map(|it| match it {
            Asked::MovedFrom(from) => Some(from.clone()),
            _ => None,
        }));
        Self { command, asked, scope: Scope::Exactly(addresses), ..Self::apply(stack) }
    }
}

impl Lab {
    pub fn new() -> Self {
        Self::on(World::new())
    }

    pub fn on(world: World) -> Self {
        world.lend_sleeper(Arc::new(|ms| {
            Box::pin(tokio::time::sleep(std::time::Duration::from_millis(ms)))
        }));
        Self {
            world,
            store: MemoryStore::new(),
            said: Arc::default(),
            secrets: BTreeMap::new(),
            interrupt: Interrupt::default(),
            parallel: 4,
            applies: Arc::default(),
            switch: KillSwitch::never(),
        }
    }

    /// A lab of its own in which everything is as here.
    pub fn copy(&self) -> Self {
        Self {
            world: self.world.copy(),
            store: self.store.copy(),
            said: Arc::default(),
            applies: Arc::new(Mutex::new(*self.applies.lock().expect("no panic"))),
            interrupt: Interrupt::default(),
            switch: KillSwitch::never(),
            ..self.clone()
        }
    }

    /// The same lab, with a hive that dies at this switch.
    pub fn under(&self, switch: &KillSwitch) -> Self {
        self.world.arm(switch.clone());
        Self { switch: switch.clone(), ..self.clone() }
    }

    pub fn ledger(&self) -> Ledger {
        let store = Mortal { store: self.store.clone(), switch: self.switch.clone() };
        // A dead hive's lease is waited for, in paused time.
        let terms = LeaseTerms { duration_ms: 30_000, patience: Patience::UpTo(120_000) };
        Ledger::new(Arc::new(store), "demo", "dev").with_terms(terms)
    }

    pub async fn providers(&self) -> Providers {
        let store = self.ledger().store_id().await.expect("a readable store");
        let owner = StackMark {
            store: store.unwrap_or_default(),
            stack: "demo".to_owned(),
            environment: "dev".to_owned(),
        };
        let mut providers = Providers::new(owner);
        let place = providers.add(Arc::new(self.provider()));
        for kind in ["thing", "gate", "notice"] {
            providers.serve(kind, "main", &place);
        }
        providers
    }

    pub fn provider(&self) -> WorldProvider {
        WorldProvider::new(self.world.clone(), "world", Fields::new())
    }

    /// Where a thing of this name is in the world.
    pub fn spot(&self, address: &str) -> Spot {
        let place = hive_contract::Provider::place(&self.provider()).id();
        (place, format!("dev/{address}"))
    }

    /// What a person would see of the world; this store's id, which is random, is `ours`.
    pub fn picture(&self) -> BTreeMap<Spot, Picture> {
        let ours = self.store_id();
        let mut pictures = self.world.picture();
        for mark in pictures.values_mut().filter_map(|it| it.mark.as_mut()) {
            if Some(&mark.owner.store) == ours.as_ref() {
                mark.owner.store = "ours".to_owned();
            }
        }
        pictures
    }

    fn store_id(&self) -> Option<String> {
        let file: serde_json::Value =
            serde_json::from_slice(&self.store.peek("store.json")?).expect("JSON");
        file["body"]["id"].as_str().map(str::to_owned)
    }

    pub async fn head(&self) -> Option<Snapshot> {
        self.ledger().head().await.expect("a readable head").map(|(_, snapshot)| snapshot)
    }

    pub async fn plan(&self, wish: &Wish) -> Result<Plan, Vec<PlanError>> {
        let folded = apply::folded(&self.ledger()).await.expect("a readable store");
        let recorded = match folded {
            Some(folded) => Some(folded.snapshot),
            None => self.head().await,
        };
        let providers = self.providers().await;
        let desired = plan::desire(&wish.stack, &providers).expect("a stack that is right");
        let Seen { observed, beside, facts } =
            observe(&providers, self, &desired, recorded.as_ref()).await;
        let fields = desired.values().flat_map(|it| it.parts.values()).map(|it| &it.lowered.fields);
        let named: BTreeSet<SecretRef> = fields.flat_map(secrets_in).collect();
        let prints = named.iter().map(|it| (it.to_string(), Some(print_of(&self.value(it)))));
        let question = Question {
            command: wish.command.clone(),
            owner: providers.owner().clone(),
            secrets: prints.collect(),
            desired,
            recorded: recorded.as_ref(),
            observed,
            beside,
            facts,
            places: providers.places(),
            verbs: &providers,
            guards: Fields::new(),
            variables: BTreeMap::new(),
            files: Vec::new(),
            foreign: Vec::new(),
            parallel: self.parallel,
            on_failure: wish.on_failure,
            freezes: wish.freezes,
            scope: wish.scope.clone(),
            rehearsals: BTreeMap::new(),
            asked: wish.asked.clone(),
        };
        plan::plan(&question)
    }

    /// A plan that there must be.
    pub async fn planned(&self, wish: &Wish) -> Plan {
        self.plan(wish).await.unwrap_or_else(|errors| panic!("no plan: {errors:?}"))
    }

    /// The wish that a restore of a snapshot is.
    pub async fn restore(&self, number: u64) -> Wish {
        let snapshot = self.ledger().snapshot(number).await.expect("readable").expect("there");
        let declared = snapshot.resources.into_iter().map(|(at, it)| (at, it.declared)).collect();
        Wish {
            command: Command::Restore { snapshot: number, with_data: false },
            freezes: true,
            ..Wish::apply(declared)
        }
    }

    pub async fn apply(&self, plan: &Plan) -> Result<Report, ApplyError> {
        let id = {
            let mut applies = self.applies.lock().expect("no panic");
            *applies += 1;
            format!("apply-{applies}")
        };
        let (ledger, providers) = (self.ledger(), self.providers().await);
        let says = |progress: Progress| self.said.lock().expect("no panic").push(progress);
        apply::apply(self.lend(&ledger, &providers, &says), plan, "apply", &id).await
    }

    pub async fn recover(&self, settle: Settle) -> Result<Option<Report>, ApplyError> {
        let (ledger, providers) = (self.ledger(), self.providers().await);
        let says = |progress: Progress| self.said.lock().expect("no panic").push(progress);
        apply::recover(self.lend(&ledger, &providers, &says), settle).await
    }

    /// Plans and applies, where the plan is not empty.
    pub async fn run(&self, wish: &Wish) -> Option<Report> {
        let plan = self.planned(wish).await;
        if plan.is_empty() {
            return None;
        }
        Some(self.apply(&plan).await.unwrap_or_else(|error| panic!("it did not end: {error}")))
    }

    /// Everything that hive wrote.
    pub fn written(&self) -> Vec<(String, Vec<u8>)> {
        let keys = self.store.keys();
        keys.into_iter().filter_map(|key| Some((key.clone(), self.store.peek(&key)?))).collect()
    }

    fn lend<'a>(
        &'a self,
        ledger: &'a Ledger,
        providers: &'a Providers,
        says: &'a (dyn Fn(Progress) + Send + Sync),
    ) -> Lent<'a> {
        Lent {
            ledger,
            providers,
            secrets: self,
            clock: &PausedClock,
            who: "tester@lab",
            says,
            interrupt: &self.interrupt,
            outside: self,
        }
    }

    fn value(&self, reference: &SecretRef) -> String {
        let SecretPlace::Env(name) = &reference.source else { return CANARY.to_owned() };
        self.secrets.get(name).cloned().unwrap_or_else(|| CANARY.to_owned())
    }
}

impl SecretReader for Lab {
    fn read<'a>(&'a self, reference: &'a SecretRef) -> Task<'a, Result<SecretString, String>> {
        let value = self.value(reference);
        Box::pin(async move { Ok(SecretString::from(value)) })
    }

    fn print<'a>(&'a self, value: &'a SecretString) -> Task<'a, Result<String, String>> {
        Box::pin(async move { Ok(print_of(value.expose_secret())) })
    }
}

fn print_of(value: &str) -> String {
    Fingerprint::of(&("the lab's key", value)).to_string()
}

impl Outside for Lab {
    fn moved<'a>(&'a self, _plan: &'a Plan) -> Task<'a, Result<Vec<String>, String>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// The clock of a runtime whose time is paused.
pub struct PausedClock;

thread_local! {
    static BEGAN: std::cell::OnceCell<tokio::time::Instant> = const { std::cell::OnceCell::new() };
}

impl Clock for PausedClock {
    fn wall_ms(&self) -> u64 {
        1_700_000_000_000 + self.ticks_ms()
    }

    fn ticks_ms(&self) -> u64 {
        let now = tokio::time::Instant::now();
        let began = BEGAN.with(|it| *it.get_or_init(|| now));
        now.saturating_duration_since(began).as_millis() as u64
    }

    fn sleep<'a>(&'a self, ms: u64) -> Task<'a, ()> {
        Box::pin(tokio::time::sleep(std::time::Duration::from_millis(ms)))
    }
}

/// Runs a test's future with paused time.
pub fn paused<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(future)
}

/// Runs hive until it ends or dies.
pub async fn until_death<T>(switch: &KillSwitch, hive: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = switch.dead() => None,
        ended = hive => Some(ended),
    }
}

/// What a snapshot says, without what differs between two applies that end alike.
pub fn said_by(snapshot: Option<&Snapshot>) -> String {
    // No snapshot and one that holds nothing say the same.
    let mut resources = snapshot.map(|it| it.resources.clone()).unwrap_or_default();
    for part in resources.values_mut().flat_map(|it| it.parts.values_mut()) {
        part.token = None;
    }
    let whole = snapshot.is_none_or(|it| it.whole);
    let guards = snapshot.map(|it| it.guards.clone()).unwrap_or_default();
    serde_json::to_string_pretty(&(whole, resources, guards)).expect("writes")
}

/// A value of a field, for assertions.
pub fn field<'a>(picture: &'a Picture, key: &str) -> Option<&'a Value> {
    picture.fields.get(key)
}
