//! Engine time for a step: a given plan, an in-memory world whose effects cost nothing, and the
//! journal in memory or in a folder with every group synced. Prints one JSON line a size.

#![allow(clippy::print_stdout, reason = "the numbers are the result")]

use hive::apply::{self, Interrupt, Lent, Outside, Progress, SecretReader};
use hive::flow::SystemClock;
use hive::flow::observe::{Seen, observe};
use hive::plan::{self, Command, OnFailure, Plan, Question, Scope};
use hive::registry::Providers;
use hive_contract::testing::{World, WorldProvider};
use hive_contract::{Address, Declared, Fields, SecretRef, StackMark, Task, Value};
use hive_state::{Ending, FolderStore, Ledger, MemoryStore, Store};
use secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

const SIZES: [u32; 4] = [100, 1_000, 10_000, 100_000];

struct Nothing;

impl SecretReader for Nothing {
    fn read<'a>(&'a self, reference: &'a SecretRef) -> Task<'a, Result<SecretString, String>> {
        Box::pin(async move { Err(format!("{reference} is not set")) })
    }
    fn print<'a>(&'a self, _: &'a SecretString) -> Task<'a, Result<String, String>> {
        Box::pin(async { Err("no secrets here".to_owned()) })
    }
}

impl Outside for Nothing {
    fn moved<'a>(&'a self, _: &'a Plan) -> Task<'a, Result<Vec<String>, String>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

fn declared(size: u32) -> BTreeMap<Address, Declared> {
    (0..size)
        .map(|number| {
            let address: Address = format!("thing.n{number}").parse().expect("an address");
            let fields = Fields::from([("content".to_owned(), Value::text(format!("{number}")))]);
            let (uses, ignore) = (BTreeSet::new(), Vec::new());
            (address.clone(), Declared { address, fields, uses, protect: false, ignore })
        })
        .collect()
}

fn providers(world: &World) -> Providers {
    let owner = StackMark {
        store: String::new(),
        stack: "bench".to_owned(),
        environment: "dev".to_owned(),
    };
    let mut providers = Providers::new(owner);
    let place = providers.add(Arc::new(WorldProvider::new(world.clone(), "world", Fields::new())));
    providers.serve("thing", "main", &place);
    providers
}

async fn planned(size: u32, providers: &Providers) -> Plan {
    let desired = plan::desire(&declared(size), providers).expect("a right stack");
    let Seen { observed, beside, facts } = observe(providers, &Nothing, &desired, None).await;
    let question = Question {
        command: Command::Apply,
        owner: providers.owner().clone(),
        desired,
        recorded: None,
        observed,
        beside,
        facts,
        places: providers.places(),
        verbs: providers,
        secrets: BTreeMap::new(),
        guards: Fields::new(),
        variables: BTreeMap::new(),
        files: Vec::new(),
        foreign: Vec::new(),
        parallel: 10,
        on_failure: OnFailure::Rollback,
        freezes: false,
        scope: Scope::All,
        rehearsals: BTreeMap::new(),
        asked: BTreeMap::new(),
    };
    plan::plan(&question).expect("a plan")
}

async fn applied(plan: &Plan, providers: &Providers, store: Arc<dyn Store>) -> f64 {
    let ledger = Ledger::new(store, "bench", "dev");
    let says = |_: Progress| {};
    let lent = Lent {
        ledger: &ledger,
        providers,
        secrets: &Nothing,
        clock: &SystemClock,
        who: "bench",
        says: &says,
        interrupt: &Interrupt::default(),
        outside: &Nothing,
    };
    let began = Instant::now();
    let report = apply::apply(lent, plan, "apply", "bench").await.expect("it runs");
    assert_eq!(report.ending, Ending::Applied);
    began.elapsed().as_secs_f64()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runs");
    for size in SIZES {
        for journal in ["memory", "folder, synced"] {
            let world = World::new();
            let providers = providers(&world);
            let folder = tempfile::tempdir().expect("a folder");
            let memory = MemoryStore::new();
            let store: Arc<dyn Store> = match journal {
                "memory" => Arc::new(memory),
                _ => Arc::new(FolderStore::open(folder.path())),
            };
            let seconds = runtime.block_on(async {
                let plan = planned(size, &providers).await;
                applied(&plan, &providers, store).await
            });
            let groups = std::fs::read_dir(folder.path().join("dev/journal/bench"))
                .map(Iterator::count)
                .unwrap_or_default();
            println!(
                "{{\"steps\":{size},\"journal\":\"{journal}\",\"micros_per_step\":{:.1},\"syncs\":{groups}}}",
                seconds * 1e6 / f64::from(size),
            );
        }
    }
}
