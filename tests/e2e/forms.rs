//! What every released form wrote is read, and upgrading alone plans nothing.

use hive::apply::folded;
use hive::plan::{self, Command, Desired, LoweredPart, OnFailure, Question, Scope, Verbs};
use hive::registry::Providers;
use hive_contract::outcome::Upgraded;
use hive_contract::{
    Change, Declared, Fields, Invalid, Live, Lowered, Mark, Observed, Operation, Rehearsal,
    StackMark, Target, WayBack,
};
use hive_state::{Ledger, MemoryStore, Snapshot};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn released() -> Vec<PathBuf> {
    let forms = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forms");
    let entries = fs::read_dir(forms).expect("tests/forms").flatten().map(|it| it.path());
    let mut released: Vec<PathBuf> = entries.filter(|it| it.is_dir()).collect();
    released.sort();
    assert!(!released.is_empty());
    released
}

/// A recorded store, in memory: what reads it cannot change it.
fn ledger(store: &Path) -> Ledger {
    let memory = MemoryStore::new();
    let mut open = vec![store.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).expect("lists").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else {
                let key = path.strip_prefix(store).expect("below").display().to_string();
                memory.poke(&key, &fs::read(&path).expect("reads"));
            }
        }
    }
    Ledger::new(Arc::new(memory), "forms", "dev")
}

/// Today's providers, at the recorded places: the files were recorded on another machine.
struct There {
    providers: Providers,
    places: BTreeMap<String, String>,
}

impl There {
    fn of(snapshot: &Snapshot, store: &str) -> Self {
        let owner = StackMark {
            store: store.to_owned(),
            stack: snapshot.stack.clone(),
            environment: snapshot.environment.clone(),
        };
        let settings = Providers::settings_of(&snapshot.places);
        let nowhere = std::env::temp_dir();
        let providers = Providers::of_stack(owner, &nowhere, &settings).expect("connects");
        let recorded = |provider: &str| {
            let place = snapshot.places.iter().find(|(_, it)| it.provider == provider);
            place.map(|(id, _)| id.clone())
        };
        let places = providers
            .places()
            .into_iter()
            .filter_map(|(here, it)| Some((here, recorded(&it.provider)?)))
            .collect();
        Self { providers, places }
    }

    fn here<'a>(&'a self, there: &'a str) -> &'a str {
        self.places.iter().find(|(_, it)| *it == there).map_or(there, |(here, _)| here)
    }
}

impl Verbs for There {
    fn lower(&self, declared: &Declared) -> Result<Vec<LoweredPart>, Vec<Invalid>> {
        let mut parts = self.providers.lower(declared)?;
        for part in &mut parts {
            if let Some(there) = self.places.get(&part.place) {
                part.place.clone_from(there);
            }
        }
        Ok(parts)
    }

    fn objections(&self, place: &str, change: &Change) -> Vec<Invalid> {
        self.providers.objections(self.here(place), change)
    }

    fn ahead(
        &self,
        place: &str,
        desired: &Lowered,
        recorded: Option<&Declared>,
        live: &Live,
    ) -> Option<Fields> {
        self.providers.ahead(self.here(place), desired, recorded, live)
    }

    fn remarks(
        &self,
        place: &str,
        desired: &Declared,
        recorded: Option<&Declared>,
        live: Option<&Live>,
    ) -> Vec<String> {
        self.providers.remarks(self.here(place), desired, recorded, live)
    }

    fn can_rehearse(&self, place: &str, change: &Change) -> bool {
        self.providers.can_rehearse(self.here(place), change)
    }

    fn steps(&self, place: &str, change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<Operation> {
        self.providers.steps(self.here(place), change, rehearsal)
    }

    fn ways_back(
        &self,
        place: &str,
        change: &Change,
        rehearsal: Option<&Rehearsal>,
    ) -> Vec<WayBack> {
        self.providers.ways_back(self.here(place), change, rehearsal)
    }

    fn stop(&self, place: &str, change: &Change) -> Vec<Operation> {
        self.providers.stop(self.here(place), change)
    }

    fn start(&self, place: &str, change: &Change) -> Vec<Operation> {
        self.providers.start(self.here(place), change)
    }

    fn upgrade(&self, provider: &str, form: u32, fields: Fields) -> Upgraded {
        self.providers.upgrade(provider, form, fields)
    }
}

/// What is live when everything is as recorded.
fn as_recorded(
    snapshot: &Snapshot,
    owner: &StackMark,
) -> BTreeMap<(String, Target), Result<Observed, hive_contract::Failure>> {
    let mut observed = BTreeMap::new();
    for (address, recorded) in &snapshot.resources {
        for (part, held) in &recorded.parts {
            let target = Target { address: address.clone(), part: part.clone() };
            let live = Live {
                identity: held.identity.clone(),
                fields: held.fields.clone(),
                outputs: held.outputs.clone(),
                mark: Some(Mark { owner: owner.clone(), address: address.clone() }),
                token: held.token.clone(),
                moved_by: BTreeMap::new(),
                ended: BTreeMap::new(),
                status: hive_contract::Status::default(),
            };
            observed.insert((held.place.clone(), target), Ok(Observed::Present(live)));
        }
    }
    observed
}

async fn plans_nothing(snapshot: &Snapshot, store: &str) {
    let there = There::of(snapshot, store);
    let owner = there.providers.owner().clone();
    let declared: BTreeMap<_, _> =
        snapshot.resources.iter().map(|(at, it)| (at.clone(), it.declared.clone())).collect();
    let desired: BTreeMap<_, Desired> = plan::desire(&declared, &there).expect("still right");
    let secrets = snapshot.resources.values().flat_map(|it| it.parts.values());
    let secrets = secrets.flat_map(|it| it.secrets.clone()).map(|(at, it)| (at, Some(it)));
    let question = Question {
        command: Command::Apply,
        observed: as_recorded(snapshot, &owner),
        owner,
        secrets: secrets.collect(),
        desired,
        recorded: Some(snapshot),
        beside: BTreeMap::new(),
        facts: BTreeMap::new(),
        places: snapshot.places.clone(),
        verbs: &there,
        guards: snapshot.guards.clone(),
        variables: snapshot.variables.clone(),
        files: Vec::new(),
        foreign: Vec::new(),
        parallel: 10,
        on_failure: OnFailure::Rollback,
        freezes: false,
        scope: Scope::All,
        rehearsals: BTreeMap::new(),
        asked: BTreeMap::new(),
    };
    let plan = plan::plan(&question).expect("a plan");
    assert!(plan.is_empty(), "snapshot {}: {:?}", snapshot.number, plan.changes);
    assert!(plan.kept > 0);
}

#[tokio::test]
async fn p8_a_newer_hive_takes_over_and_plans_nothing() {
    for form in released() {
        let ledger = ledger(&form.join("store"));
        let checked = ledger.verify_all().await.expect("every file reads");
        assert!(checked > 20, "only {checked} files in {}", form.display());
        let store = ledger.store_id().await.expect("reads").expect("a store");
        assert!(ledger.open_journal().await.expect("reads").is_none());
        let (_, head) = ledger.head().await.expect("reads").expect("a head");
        plans_nothing(&head, &store).await;
        assert!(!ledger.notes().await.expect("reads").is_empty());
    }
}

#[tokio::test]
async fn an_open_journal_of_every_released_form_is_folded() {
    for form in released() {
        let ledger = ledger(&form.join("open"));
        let folded = folded(&ledger).await.expect("reads").expect("an open journal");
        let (_, head) = ledger.head().await.expect("reads").expect("a head");
        // A check that has not run since is dropped, so that it runs with the next plan.
        let objects = |of: &Snapshot| {
            let all = of.resources.keys().filter(|it| it.kind() != "check");
            all.cloned().collect::<Vec<_>>()
        };
        assert_eq!(objects(&folded.snapshot), objects(&head));
    }
}

#[test]
fn a_plan_of_every_released_form_is_read() {
    for form in released() {
        let bytes = fs::read(form.join("plan.json")).expect("reads");
        let plan = plan::file::read(&bytes).expect("a plan that can be trusted");
        assert_eq!(plan.stack, "forms");
        assert_eq!(plan::file::write(&plan).len(), bytes.len(), "it would be written the same");
    }
}
