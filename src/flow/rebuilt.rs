//! What a rebuild brought back, or a drill proved: the report of a recovery.

use super::backups::{Backups, Kept};
use super::error::FlowError;
use super::history::{Applied, AppliedStep};
use super::session::Session;
use super::way_back::{ComesBack, described};
use crate::plan::Plan;
use hive_contract::event::Level;
use hive_contract::{Address, Failure, FailureKind, Target, Value};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The report of a rebuild or a drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// Whether it was an exercise beside what runs.
    pub drill: bool,
    /// The snapshot that was brought back; none for a drill.
    pub snapshot: Option<u64>,
    /// The apply that did it.
    pub apply: String,
    /// Whether all of it is there and proven.
    pub whole: bool,
    /// How long all of it took: the recovery time, measured.
    pub took_ms: u64,
    /// One thing each, data first.
    pub items: Vec<Item>,
}

/// One thing that came back, or was proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// What.
    pub address: Address,
    /// From which backup, where it came from one.
    pub backup: Option<Address>,
    /// Which.
    pub id: Option<String>,
    /// The moment whose data it has, in milliseconds since 1970 UTC.
    pub at_ms: Option<u64>,
    /// How many rows, where it has rows.
    pub rows: Option<u64>,
    /// Whether it is there and proven.
    pub ok: bool,
    /// How it was proven, or what went wrong.
    pub proof: String,
    /// Which backup is good besides, and how to take it, where this one is not.
    pub advice: Option<String>,
    /// What a person should know or do besides, such as a role that was made without a password.
    pub notes: Vec<String>,
    /// Newer backups that nobody can take, because they are damaged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
    /// How long it took.
    pub took_ms: u64,
    /// How long the restore alone took, where that was measured.
    pub restore_ms: Option<u64>,
    /// How long it may take, where that is promised.
    pub rto_ms: Option<u64>,
}

impl Item {
    /// Whether it took longer than it may.
    pub fn is_late(&self) -> bool {
        self.rto_ms.is_some_and(|most| self.restore_ms.unwrap_or(self.took_ms) > most)
    }
}

impl Rebuilt {
    /// Whether a backup is there that is newer than what was tried, and damaged.
    pub fn has_damage(&self) -> bool {
        self.items.iter().any(|it| !it.damaged.is_empty())
    }

    /// Whether all came back, and in time.
    pub fn is_good(&self) -> bool {
        self.whole && !self.items.iter().any(Item::is_late)
    }
}

impl Session {
    /// The report of a rebuild that was applied.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn rebuilt(
        &self,
        apply: &str,
        plan: &Plan,
        comes_back: &[ComesBack],
    ) -> Result<Rebuilt, FlowError> {
        let applied = self.applied(apply).await?;
        let status = self.status().await?;
        let mut items = Vec::new();
        for (address, steps) in by_address(&applied) {
            let data = comes_back.iter().find(|it| it.address == address);
            let ok = steps.iter().all(|it| it.state == "done");
            let damaged = speaks_against_it(&steps);
            let advice = match data.filter(|_| damaged) {
                Some(data) => Some(self.besides(data).await?),
                None => None,
            };
            let live = status.parts.get(&Target::main(address.clone()));
            let proof = match (failure(&steps), data, live) {
                (Some(failure), _, _) => failure,
                (None, Some(_), _) if ok => "equal to the manifest of its backup".to_owned(),
                (None, _, Some(live)) => live.summary.clone(),
                (None, _, None) => steps.last().map(|it| it.title.clone()).unwrap_or_default(),
            };
            let took_ms = took(&steps);
            items.push(Item {
                address,
                backup: data.map(|it| it.backup.clone()),
                id: data.map(|it| it.kept.id.clone()),
                at_ms: data.map(|it| it.kept.at_ms),
                rows: data.and_then(|it| it.kept.rows),
                ok,
                proof,
                advice,
                notes: data.map(|_| notes(&steps)).unwrap_or_default(),
                damaged: Vec::new(),
                took_ms,
                restore_ms: data.filter(|_| ok).map(|_| took_ms),
                rto_ms: data.and_then(|it| it.rto_ms),
            });
        }
        items.sort_by_key(|it| it.backup.is_none());
        let done: BTreeSet<&Address> = items.iter().map(|it| &it.address).collect();
        let missed = plan.steps.iter().any(|it| !done.contains(&it.target.address));
        Ok(Rebuilt {
            drill: false,
            snapshot: applied.snapshot,
            apply: apply.to_owned(),
            whole: !missed && items.iter().all(|it| it.ok),
            took_ms: applied.ended_ms.saturating_sub(applied.began_ms),
            items,
        })
    }

    /// Which backup there is besides one that did not come back.
    async fn besides(&self, data: &ComesBack) -> Result<String, FlowError> {
        let of = self.backups(&BTreeSet::from([data.backup.clone()])).await?;
        let other = of.first().and_then(|it| it.newest_but(&data.kept.id));
        let Some(other) = other else {
            return Ok(format!("`{}` holds no other that is good", data.backup));
        };
        let take = match data.address == data.backup {
            true => format!("`hive backup restore {} {} --to FOLDER`", data.backup, other.id),
            false => format!("`hive backup restore {} {}`", data.backup, other.id),
        };
        Ok(format!(
            "the newest good one besides is {}: {take} brings it back, and `hive rebuild` the rest",
            described(other)
        ))
    }

    /// The report of a drill that was applied: what the destinations say now of what was asked.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn drilled(&self, apply: &str, plan: &Plan) -> Result<Rebuilt, FlowError> {
        let applied = self.applied(apply).await?;
        let asked: BTreeSet<Address> =
            plan.changes.iter().map(|it| it.target.address.clone()).collect();
        let steps = by_address(&applied);
        let mut items = Vec::new();
        for of in self.backups(&asked).await? {
            let steps = steps.get(&of.address).cloned().unwrap_or_default();
            let done = !steps.is_empty() && steps.iter().all(|it| it.state == "done");
            let tried = tried(plan, &of.address);
            let tried = tried.and_then(|id| of.list.iter().find(|it| it.id == id));
            let ok = done && tried.is_some_and(|it| it.ok && it.verified_ms.is_some());
            let proof = match failure(&steps) {
                Some(failure) => failure,
                None if ok => "restored into a scratch place, and equal".to_owned(),
                None => "not proven".to_owned(),
            };
            items.push(Item {
                address: of.database.clone().unwrap_or_else(|| of.address.clone()),
                backup: Some(of.address.clone()),
                id: tried.map(|it| it.id.clone()),
                at_ms: tried.map(|it| it.at_ms),
                rows: tried.and_then(|it| it.rows),
                ok,
                proof,
                advice: tried.filter(|_| speaks_against_it(&steps)).map(|it| of.besides(it)),
                notes: notes(&steps),
                damaged: tried.map(|it| of.damaged_since(it)).unwrap_or_default(),
                took_ms: took(&steps),
                restore_ms: tried.filter(|_| ok).and_then(|it| it.restore_ms),
                rto_ms: of.rto_ms,
            });
        }
        Ok(Rebuilt {
            drill: true,
            snapshot: None,
            apply: apply.to_owned(),
            whole: !items.is_empty() && items.iter().all(|it| it.ok),
            took_ms: applied.ended_ms.saturating_sub(applied.began_ms),
            items,
        })
    }
}

impl Backups {
    /// The newest good one besides: no safety copy, which has what somebody did not want any more.
    fn newest_but(&self, id: &str) -> Option<&Kept> {
        self.list.iter().rev().find(|it| it.ok && !it.is_safety() && it.id != id)
    }

    /// What a drill says of the backups beside the one that it found wrong.
    fn besides(&self, tried: &Kept) -> String {
        match self.newest_but(&tried.id) {
            Some(other) => format!(
                "the newest good one besides is {}: the next `hive rebuild` would take it",
                described(other)
            ),
            None => format!("`{}` holds no other that is good", self.address),
        }
    }

    /// The damaged ones that are newer than the one that was tried.
    fn damaged_since(&self, tried: &Kept) -> Vec<String> {
        let newer = self.list.iter().filter(|it| !it.ok && it.at_ms > tried.at_ms);
        newer.map(|it| it.id.clone()).collect()
    }
}

/// Which backup of an address a plan looks at.
fn tried<'p>(plan: &'p Plan, address: &Address) -> Option<&'p str> {
    let steps = plan.steps.iter().filter(|it| it.target.address == *address);
    steps.into_iter().find_map(|it| it.operation.payload.get("id").and_then(Value::as_text))
}

/// Whether a failure says that the backup itself is wrong, and not the place that it was to come
/// back to, or the way there: then another one may do better.
fn speaks_against_it(steps: &[&AppliedStep]) -> bool {
    let wrong = |it: &Failure| matches!(it.kind, FailureKind::Malformed | FailureKind::Unhealthy);
    steps.iter().filter_map(|it| it.failure.as_ref()).any(wrong)
}

fn by_address(applied: &Applied) -> BTreeMap<Address, Vec<&AppliedStep>> {
    let mut all: BTreeMap<Address, Vec<&AppliedStep>> = BTreeMap::new();
    for step in &applied.steps {
        if let Some(target) = &step.target {
            all.entry(target.address.clone()).or_default().push(step);
        }
    }
    all
}

/// From the first begin to the last word.
fn took(steps: &[&AppliedStep]) -> u64 {
    let began = steps.iter().map(|it| it.times.0).min().unwrap_or_default();
    steps.iter().map(|it| it.times.1).max().unwrap_or_default().saturating_sub(began)
}

/// What the steps have left to be known, and what they warned of.
fn notes(steps: &[&AppliedStep]) -> Vec<String> {
    let kept = steps.iter().flat_map(|it| it.kept.lines()).map(str::to_owned);
    let events = steps.iter().flat_map(|it| &it.events);
    let warned = events.filter(|it| it.level == Level::Warning).map(|it| it.message.clone());
    kept.chain(warned).collect()
}

fn failure(steps: &[&AppliedStep]) -> Option<String> {
    steps.iter().find_map(|it| it.failure.as_ref()).map(ToString::to_string)
}
