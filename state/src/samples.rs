//! What the tests of this room are made of.

use crate::lease::{Holder, LeaseTerms, Patience};
use crate::{Begun, Clock, Ending, Entry, Ledger, MemoryStore, Part, Record, Recorded, Snapshot};
use hive_contract::mark::Way;
use hive_contract::{Declared, Fields, Fingerprint, Live, Outcome, Place, Task, Token, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The clock of a paused tokio runtime: waiting takes no time.
pub(crate) struct Paused(tokio::time::Instant);

impl Paused {
    pub(crate) fn new() -> Self {
        Self(tokio::time::Instant::now())
    }
}

impl Clock for Paused {
    fn wall_ms(&self) -> u64 {
        1_700_000_000_000 + self.ticks_ms()
    }

    fn ticks_ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).expect("short")
    }

    fn sleep<'a>(&'a self, ms: u64) -> Task<'a, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(ms)))
    }
}

pub(crate) fn ledger(store: &MemoryStore) -> Ledger {
    Ledger::new(Arc::new(store.clone()), "shop", "dev")
}

pub(crate) fn patient(store: &MemoryStore, patience: Patience) -> Ledger {
    ledger(store).with_terms(LeaseTerms { duration_ms: 30_000, patience })
}

/// This process, which lives.
pub(crate) fn alive(who: &str) -> Holder {
    Holder::here(who)
}

/// A process with this one's number that started at another time, and so is gone.
pub(crate) fn gone(who: &str) -> Holder {
    let mut holder = Holder::here(who);
    holder.started += 1;
    holder
}

/// A process on a machine that nobody here can look into.
pub(crate) fn elsewhere(who: &str) -> Holder {
    let machine = "elsewhere".to_owned();
    Holder { host: machine.clone(), machine, ..Holder::here(who) }
}

pub(crate) fn plan() -> Fingerprint {
    Fingerprint::of_bytes(b"plan")
}

pub(crate) fn entry(record: Record) -> Entry {
    Entry { at_ms: 1_700_000_000_000, record }
}

pub(crate) fn opened(apply: &str) -> Entry {
    entry(Record::Opened {
        plan: plan(),
        apply: apply.to_owned(),
        command: "apply".to_owned(),
        who: "me@here".to_owned(),
        epoch: 1,
    })
}

pub(crate) fn begin(step: u32, attempt: u32) -> Entry {
    let token = Token::new(&plan(), "a", step, Way::There, attempt);
    entry(Record::Begin(Begun { step, attempt, token, expected: None, secrets: BTreeMap::new() }))
}

pub(crate) fn done(step: u32) -> Entry {
    let live = Live {
        identity: format!("dev/service.s{step}"),
        fields: Fields::from([("replicas".to_owned(), Value::from(2))]),
        outputs: BTreeMap::new(),
        mark: None,
        token: None,
        moved_by: BTreeMap::new(),
        ended: BTreeMap::new(),
        status: Default::default(),
    };
    entry(Record::Done { step, outcome: Outcome::live(live), secrets: BTreeMap::new() })
}

pub(crate) fn closed(snapshot: Option<&Snapshot>) -> Entry {
    let snapshot = snapshot.map(Snapshot::digest);
    entry(Record::Closed { ending: Ending::Applied, snapshot })
}

/// A snapshot with this many services that builds on another.
pub(crate) fn snapshot(before: Option<&Snapshot>, apply: &str, services: usize) -> Snapshot {
    let place = Place {
        provider: "process".to_owned(),
        settings: Fields::new(),
        system: "machine".to_owned(),
    };
    let resources = (0..services).map(|n| {
        let address: hive_contract::Address = format!("service.s{n}").parse().expect("address");
        let fields = Fields::from([
            ("replicas".to_owned(), Value::from(1)),
            ("command".to_owned(), Value::List(vec!["serve".into(), "--fast".into()])),
            (
                "environment".to_owned(),
                Value::Map(Fields::from([("LOG".to_owned(), Value::from("info"))])),
            ),
        ]);
        let part = Part {
            provider: "process".to_owned(),
            form: 1,
            place: place.id(),
            identity: format!("dev/{address}"),
            lowered_identity: format!("dev/{address}"),
            fields: fields.clone(),
            access: Fields::new(),
            outputs: BTreeMap::from([("url".to_owned(), Value::from("http://127.0.0.1:20000"))]),
            secrets: BTreeMap::new(),
            token: None,
            unsure: false,
            unverified: false,
        };
        let declared = Declared {
            address: address.clone(),
            fields,
            uses: BTreeSet::new(),
            protect: false,
            ignore: Vec::new(),
        };
        let parts = BTreeMap::from([("main".to_owned(), part)]);
        (address, Recorded { declared, parts, edges: BTreeSet::new(), restored: None })
    });
    Snapshot {
        number: before.map_or(1, |it| it.number + 1),
        parent: before.map(Snapshot::digest),
        stack: "shop".to_owned(),
        environment: "dev".to_owned(),
        whole: true,
        apply: apply.to_owned(),
        at_ms: 1_700_000_000_000,
        guards: Fields::new(),
        variables: BTreeMap::new(),
        resources: resources.collect(),
        places: BTreeMap::from([(place.id(), place)]),
    }
}
