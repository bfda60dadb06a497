//! A stack in memory: a world, a store, a clock, and whoever asks hive to apply.

use super::slow::Slow;
use crate::apply::{
    ApplyError, Interrupt, Lent, Outside, Progress, Report, SecretReader, Settle, apply, recover,
};
use crate::plan::{self, Asked, Command, OnFailure, Plan, Question, Scope};
use crate::registry::Providers;
use hive_contract::fingerprint::hex;
use hive_contract::testing::{KillSwitch, Picture, Spot, World, WorldProvider};
use hive_contract::{
    Address, Ask, AskOne, Declared, Fields, Fingerprint, Observed, SecretRef, StackMark, Target,
    Task, Value,
};
use hive_state::memory::MemoryStore;
use hive_state::{Clock, LeaseTerms, Ledger, Patience, Record, Snapshot, Store};
use secrecy::{ExposeSecret, SecretString};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Tokio's paused clock.
pub(super) struct Paused {
    began: tokio::time::Instant,
}

impl Paused {
    /// How long the bed has been there, in milliseconds.
    pub(super) fn began_ms(&self) -> u64 {
        self.ticks_ms()
    }
}

impl Clock for Paused {
    fn wall_ms(&self) -> u64 {
        1_795_509_119_000 + self.ticks_ms()
    }

    fn ticks_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn sleep<'a>(&'a self, ms: u64) -> Task<'a, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(ms)))
    }
}

/// Secrets by reference, and a hash that is quick.
#[derive(Default)]
pub(super) struct Vault {
    values: Mutex<BTreeMap<String, String>>,
    /// How many hashes were made.
    pub(super) prints: AtomicU64,
}

impl Vault {
    pub(super) fn set(&self, name: &str, value: &str) {
        self.values.lock().unwrap().insert(format!("env:{name}"), value.to_owned());
    }

    pub(super) fn unset(&self, name: &str) {
        self.values.lock().unwrap().remove(&format!("env:{name}"));
    }

    fn print_now(&self, value: &str) -> String {
        hex(Fingerprint::of_bytes(format!("key{value}").as_bytes()).as_str().as_bytes())
    }

    fn now(&self, reference: &str) -> Option<String> {
        self.values.lock().unwrap().get(reference).cloned()
    }
}

impl SecretReader for Vault {
    fn read<'a>(&'a self, reference: &'a SecretRef) -> Task<'a, Result<SecretString, String>> {
        Box::pin(async move {
            let value = self.now(&reference.to_string());
            value.map(SecretString::from).ok_or_else(|| format!("{reference} is not set"))
        })
    }

    fn print<'a>(&'a self, value: &'a SecretString) -> Task<'a, Result<String, String>> {
        Box::pin(async move {
            self.prints.fetch_add(1, Ordering::SeqCst);
            Ok(self.print_now(value.expose_secret()))
        })
    }
}

/// Nothing outside moves, unless a test says so.
#[derive(Default)]
pub(super) struct Around {
    pub(super) moved: Mutex<Vec<String>>,
}

impl Outside for Around {
    fn moved<'a>(&'a self, _plan: &'a Plan) -> Task<'a, Result<Vec<String>, String>> {
        Box::pin(async move { Ok(self.moved.lock().unwrap().clone()) })
    }
}

/// Everything that a test of the executor needs.
pub(super) struct Bed {
    pub(super) world: World,
    pub(super) store: MemoryStore,
    pub(super) ledger: Ledger,
    pub(super) providers: Providers,
    pub(super) place: String,
    pub(super) vault: Vault,
    pub(super) around: Around,
    pub(super) clock: Paused,
    pub(super) interrupt: Interrupt,
    pub(super) said: Mutex<Vec<Progress>>,
    pub(super) parallel: u32,
    pub(super) on_failure: OnFailure,
    pub(super) freezes: bool,
    /// Whether writes of the store take their time, from the next [`Self::arm`] on.
    pub(super) slow: bool,
    pub(super) guards: Fields,
}

impl Bed {
    pub(super) fn new() -> Self {
        Self::of(World::new(), MemoryStore::new())
    }

    /// A bed in a world and a store that are there already.
    pub(super) fn of(world: World, store: MemoryStore) -> Self {
        world.lend_sleeper(Arc::new(|ms| Box::pin(tokio::time::sleep(Duration::from_millis(ms)))));
        let ledger = ledger(&store, &KillSwitch::never(), false);
        let owner = StackMark {
            store: String::new(),
            stack: "shop".to_owned(),
            environment: "dev".to_owned(),
        };
        let mut providers = Providers::new(owner);
        let settings = Fields::from([("ports".to_owned(), Value::from("20000-20009"))]);
        let provider = WorldProvider::new(world.clone(), "memory", settings);
        let place = providers.add(Arc::new(provider));
        for kind in ["thing", "gate"] {
            providers.serve(kind, "main", &place);
        }
        Self {
            world,
            store,
            ledger,
            providers,
            place,
            vault: Vault::default(),
            around: Around::default(),
            clock: Paused { began: tokio::time::Instant::now() },
            interrupt: Interrupt::default(),
            said: Mutex::default(),
            parallel: 10,
            on_failure: OnFailure::Rollback,
            freezes: false,
            slow: false,
            guards: Fields::new(),
        }
    }

    /// The same, without waiting for a lease that somebody else has.
    pub(super) fn impatient(mut self) -> Self {
        let terms = LeaseTerms { duration_ms: 30_000, patience: Patience::None };
        self.ledger = self.ledger.with_terms(terms);
        self
    }

    /// The same world and store as they are now, apart from these.
    pub(super) fn copy(&self) -> Self {
        let mut copy = Self::of(self.world.copy(), self.store.copy());
        copy.parallel = self.parallel;
        copy.on_failure = self.on_failure;
        copy.freezes = self.freezes;
        copy
    }

    /// Dies at a boundary from now on.
    pub(super) fn arm(&mut self, switch: &KillSwitch) {
        self.ledger = ledger(&self.store, switch, self.slow);
        self.world.arm(switch.clone());
    }

    pub(super) fn spot(&self, address: &str) -> Spot {
        (self.place.clone(), format!("dev/{address}"))
    }

    /// What a person would see of the world, whatever the store's id.
    pub(super) fn picture(&self) -> BTreeMap<Spot, Picture> {
        let mut picture = self.world.picture();
        for mark in picture.values_mut().filter_map(|it| it.mark.as_mut()) {
            mark.owner.store.clear();
        }
        picture
    }

    pub(super) async fn head(&self) -> Option<Snapshot> {
        self.ledger.head().await.expect("head").map(|(_, snapshot)| snapshot)
    }

    /// The plan of what is declared, against what is recorded and live.
    pub(super) async fn plan(&self, declared: &[Declared]) -> Plan {
        self.planned(declared, BTreeMap::new()).await
    }

    /// The same, where a person asked to take something into hive.
    pub(super) async fn adopting(&self, address: &str, declared: &[Declared]) -> Plan {
        let address = address.parse().expect("address");
        let asked = [(address, Asked::Adopt { take_over: false })];
        self.planned(declared, asked.into()).await
    }

    async fn planned(&self, declared: &[Declared], wishes: BTreeMap<Address, Asked>) -> Plan {
        let mut with_store = self.providers.owner().clone();
        with_store.store = self.ledger.store_id().await.expect("store").unwrap_or_default();
        let declared: BTreeMap<Address, Declared> =
            declared.iter().map(|it| (it.address.clone(), it.clone())).collect();
        let desired = plan::desire(&declared, &self.providers).expect("lowers");
        let head = self.head().await;
        let mut ask = Ask { facts: true, ..Ask::default() };
        let mut asked = BTreeSet::new();
        for (address, recorded) in head.iter().flat_map(|it| &it.resources) {
            for part in recorded.parts.values() {
                let target = Target::main(address.clone());
                asked.insert(address.clone());
                ask.parts.push(AskOne {
                    target,
                    identity: part.identity.clone(),
                    access: Fields::new(),
                });
            }
        }
        for (address, desired) in desired.iter().filter(|(it, _)| !asked.contains(*it)) {
            for part in desired.parts.values() {
                let target = Target::main(address.clone());
                ask.parts.push(AskOne {
                    target,
                    identity: part.lowered.identity.clone(),
                    access: Fields::new(),
                });
            }
        }
        let provider = self.providers.at(&self.place).expect("provider");
        let seen =
            provider.observe(&ask, &hive_contract::Secrets::default()).await.expect("observes");
        let observed: BTreeMap<(String, Target), Result<Observed, _>> =
            seen.found.into_iter().map(|(it, found)| ((self.place.clone(), it), found)).collect();
        let secrets = desired
            .values()
            .flat_map(|it| it.parts.values())
            .flat_map(|it| hive_contract::value::secrets_in(&it.lowered.fields));
        let secrets = secrets.map(|it| {
            let now = self.vault.now(&it.to_string());
            (it.to_string(), now.map(|value| self.vault.print_now(&value)))
        });
        let secrets = secrets.collect();
        let question = Question {
            command: Command::Apply,
            owner: with_store,
            desired,
            recorded: head.as_ref(),
            observed,
            beside: BTreeMap::new(),
            facts: [(self.place.clone(), seen.facts)].into(),
            places: self.providers.places(),
            verbs: &self.providers,
            secrets,
            guards: self.guards.clone(),
            variables: BTreeMap::new(),
            files: Vec::new(),
            foreign: Vec::new(),
            parallel: self.parallel,
            on_failure: self.on_failure,
            freezes: self.freezes,
            scope: Scope::All,
            rehearsals: BTreeMap::new(),
            asked: wishes,
        };
        plan::plan(&question).expect("there is a plan")
    }

    pub(super) fn lent<'a>(&'a self, says: &'a (dyn Fn(Progress) + Send + Sync)) -> Lent<'a> {
        Lent {
            ledger: &self.ledger,
            providers: &self.providers,
            secrets: &self.vault,
            clock: &self.clock,
            who: "ann@desk",
            says,
            interrupt: &self.interrupt,
            outside: &self.around,
        }
    }

    /// Runs a plan.
    pub(super) async fn run(&self, plan: &Plan) -> Result<Report, ApplyError> {
        static APPLIES: AtomicU64 = AtomicU64::new(1);
        let id = format!("{:016x}", APPLIES.fetch_add(1, Ordering::SeqCst));
        let says = |progress| self.said.lock().unwrap().push(progress);
        apply(self.lent(&says), plan, "apply", &id).await
    }

    /// Plans and runs what is declared.
    pub(super) async fn apply(&self, declared: &[Declared]) -> Result<Report, ApplyError> {
        let plan = self.plan(declared).await;
        self.run(&plan).await
    }

    pub(super) async fn recover(&self, settle: Settle) -> Result<Option<Report>, ApplyError> {
        let says = |progress| self.said.lock().unwrap().push(progress);
        recover(self.lent(&says), settle).await
    }

    /// The records of the newest journal, group by group.
    pub(super) async fn groups(&self) -> Vec<Vec<Record>> {
        let journals = self.ledger.journals().await.expect("journals");
        let apply = journals.last().expect("a journal");
        let mut groups = Vec::new();
        for key in self.store.keys() {
            if key.contains(&format!("journal/{apply}/")) {
                let bytes = self.store.peek(&key).expect("a group");
                let file: serde_json::Value = serde_json::from_slice(&bytes).expect("json");
                let entries = file["body"]["entries"].as_array().expect("entries").clone();
                let record = |it: serde_json::Value| {
                    serde_json::from_value(it["record"].clone()).expect("a record")
                };
                groups.push(entries.into_iter().map(record).collect());
            }
        }
        groups
    }

    /// The groups of the newest journal in words, without events.
    pub(super) async fn words(&self) -> Vec<String> {
        let groups = self.groups().await;
        let words = groups.iter().map(|group| {
            let records = group.iter().filter(|it| !matches!(it, Record::Event { .. }));
            let words = records.map(|it| match it.step() {
                Some(step) => format!("{} {step}", it.word()),
                None => it.word().to_owned(),
            });
            words.collect::<Vec<_>>().join(", ")
        });
        words.collect()
    }

    /// Judges the world by its own log, and the record by the world: nothing was done twice, and a
    /// plan of what is declared is empty.
    pub(super) async fn converged(&self, declared: &[Declared], why: &str) {
        assert_eq!(self.world.log_faults(), Vec::<String>::new(), "{why}");
        let plan = self.plan(declared).await;
        assert!(plan.steps.is_empty() && plan.changes.is_empty(), "{why}: {:#?}", plan.changes);
        assert!(self.ledger.open_journal().await.expect("reads").is_none(), "{why}");
        self.ledger.verify_all().await.expect("the store holds together");
    }
}

fn ledger(store: &MemoryStore, switch: &KillSwitch, slow: bool) -> Ledger {
    // A test's holder is never gone: it is this process. So it is watched.
    let terms = LeaseTerms { duration_ms: 30_000, patience: Patience::UpTo(60_000) };
    let mortal = store.with_switch(switch.clone());
    let store: Arc<dyn Store> = if slow { Arc::new(Slow(mortal)) } else { Arc::new(mortal) };
    Ledger::new(store, "shop", "dev").with_terms(terms)
}

/// One declared thing, with fields as JSON.
pub(super) fn declare(address: &str, fields: serde_json::Value, uses: &[&str]) -> Declared {
    Declared {
        address: address.parse().expect("address"),
        fields: serde_json::from_value(fields).expect("fields"),
        uses: uses.iter().map(|it| it.parse().expect("address")).collect(),
        protect: false,
        ignore: Vec::new(),
    }
}

/// Things that use each other in a row: `thing.a`, `thing.b`, …
pub(super) fn chain(names: &str, weight: i64) -> Vec<Declared> {
    let mut things = Vec::new();
    let mut before: Option<String> = None;
    for name in names.chars() {
        let uses: Vec<&str> = before.iter().map(String::as_str).collect();
        let address = format!("thing.{name}");
        things.push(declare(&address, serde_json::json!({ "weight": weight }), &uses));
        before = Some(address);
    }
    things
}
