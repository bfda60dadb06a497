//! What is: each recorded resource beside what is live.

use super::backups::Backups;
use super::era::KEPT_ERAS;
use super::error::FlowError;
use super::observe::{marked, observe};
use super::session::Session;
use crate::apply::{self, Folded};
use crate::plan::compare::{heeded, managed, with_ignored};
use hive_contract::{Address, Live, Observed, Target, Value, path};
use hive_state::{Clock, Freeze, LeaseBody, Snapshot};
use std::collections::BTreeMap;

/// Everything `hive status` says.
pub struct Status {
    /// The newest snapshot, an open journal folded in.
    pub recorded: Option<Snapshot>,
    /// The apply that is open.
    pub open: Option<Folded>,
    /// The hold on the environment.
    pub frozen: Option<Freeze>,
    /// Who may write now.
    pub lease: Option<LeaseBody>,
    /// What is live and carries this stack's mark where nothing is recorded, as after a lost store.
    pub strays: Vec<Target>,
    /// Each part that something live belongs to.
    pub parts: BTreeMap<Target, PartStatus>,
}

impl Status {
    /// The newest snapshot as it is in the store: without what an open apply did.
    pub fn newest(&self) -> Option<&Snapshot> {
        match &self.open {
            Some(folded) => folded.head.as_ref(),
            None => self.recorded.as_ref(),
        }
    }
}

/// One recorded part beside the live one.
pub struct PartStatus {
    /// How it is, in a few words; why not, where it could not be read.
    pub summary: String,
    /// Whether it does what it is for.
    pub ready: bool,
    /// The fields that are not as recorded: recorded, live, and who moved it where that is known.
    pub drift: Vec<Drifted>,
    /// What the live object says of itself, else what was recorded.
    pub outputs: BTreeMap<String, Value>,
    /// Whether it could not be read.
    pub unreadable: bool,
    /// What its destination holds, where it is a backup.
    pub backups: Option<Backups>,
    /// The newest migration that is applied, and how many are, where it is a list of them.
    pub schema: Option<(String, usize)>,
}

/// One field that moved.
pub struct Drifted {
    /// Which field; the empty one for the object as a whole.
    pub field: hive_contract::FieldPath,
    /// As recorded.
    pub recorded: Option<Value>,
    /// As it is.
    pub observed: Option<Value>,
    /// Who moved it, where the system tells.
    pub moved_by: Option<String>,
}

impl Session {
    /// Looks at everything that is recorded.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn status(&self) -> Result<Status, FlowError> {
        let open = apply::folded(&self.ledger).await?;
        let recorded = match &open {
            Some(folded) => Some(folded.snapshot.clone()),
            None => self.ledger.head().await?.map(|(_, snapshot)| snapshot),
        };
        let frozen = self.ledger.freeze().await?;
        let lease = self.ledger.lease_now().await?;
        let parts = match &recorded {
            Some(recorded) => self.parts(recorded).await?,
            None => BTreeMap::new(),
        };
        let strays = match &recorded {
            Some(_) => Vec::new(),
            None => {
                let found = marked(&self.providers(None).await?).await.into_keys();
                found.map(|(address, _)| Target::main(address)).collect()
            }
        };
        Ok(Status { recorded, open, frozen, lease, strays, parts })
    }

    async fn parts(&self, recorded: &Snapshot) -> Result<BTreeMap<Target, PartStatus>, FlowError> {
        let providers = self.providers(Some(recorded)).await?;
        let seen = observe(&providers, &self.secrets, &BTreeMap::new(), Some(recorded)).await;
        let backed_up = recorded.resources.keys().any(|it| it.kind() == "backup");
        let eras = if backed_up { self.eras(KEPT_ERAS).await? } else { Vec::new() };
        let now_ms = self.clock.wall_ms();
        let mut parts = BTreeMap::new();
        for ((_, target), found) in seen.observed {
            let Some(held) = recorded.resources.get(&target.address) else { continue };
            let Some(part) = held.parts.get(&target.part) else { continue };
            let backups = (target.address.kind() == "backup").then(|| {
                let fields = &held.declared.fields;
                Backups::of(&target.address, fields, Some(&found), &eras, now_ms)
                    .beside(Some(recorded), &eras)
            });
            let status = match found {
                Err(failure) => PartStatus {
                    summary: failure.to_string(),
                    ready: false,
                    drift: Vec::new(),
                    outputs: part.outputs.clone(),
                    unreadable: true,
                    backups: None,
                    schema: None,
                },
                Ok(Observed::Absent) => gone(part),
                Ok(Observed::Present(live)) => present(part, &held.declared.ignore, live),
            };
            parts.insert(target, PartStatus { backups, ..status });
        }
        Ok(parts)
    }

    /// The outputs of every recorded resource, as recorded.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn outputs(&self) -> Result<BTreeMap<(Address, String), Value>, FlowError> {
        let Some((_, head)) = self.ledger.head().await? else { return Ok(BTreeMap::new()) };
        let mut outputs = BTreeMap::new();
        for (address, recorded) in head.resources {
            for (name, value) in recorded.parts.into_values().flat_map(|it| it.outputs) {
                outputs.insert((address.clone(), name), value);
            }
        }
        Ok(outputs)
    }
}

fn gone(part: &hive_state::Part) -> PartStatus {
    PartStatus {
        summary: "gone".to_owned(),
        ready: false,
        drift: vec![Drifted {
            field: hive_contract::FieldPath::default(),
            recorded: Some(Value::text(&part.identity)),
            observed: None,
            moved_by: None,
        }],
        outputs: part.outputs.clone(),
        unreadable: false,
        backups: None,
        schema: None,
    }
}

fn present(part: &hive_state::Part, ignore: &[hive_contract::Ignore], live: Live) -> PartStatus {
    let fields = with_ignored(&part.fields, Some(&live), ignore);
    let drift = managed(Some(&fields), None, &heeded(ignore, &live))
        .into_iter()
        .filter_map(|field| {
            let recorded = path::get(&fields, &field).cloned();
            let observed = path::get(&live.fields, &field).cloned();
            let moved_by = live.moved_by.get(&field).cloned();
            (recorded != observed).then_some(Drifted { field, recorded, observed, moved_by })
        })
        .collect();
    let schema = schema(&live);
    let summary = match part.is_verified() {
        true => live.status.summary,
        false => {
            format!("not verified: the last step was not seen to succeed; {}", live.status.summary)
        }
    };
    PartStatus {
        summary,
        ready: live.status.ready && part.is_verified(),
        drift,
        schema,
        outputs: live.outputs,
        unreadable: false,
        backups: None,
    }
}

/// The newest migration and how many are applied, where it is a list of them.
fn schema(live: &Live) -> Option<(String, usize)> {
    live.fields.contains_key("chain").then_some(())?;
    let head = live.fields.get("head")?.as_text()?;
    Some((head.to_owned(), usize::try_from(live.fields.get("count")?.as_int()?).ok()?))
}

impl Status {
    /// Whether a recovery objective is missed, a backup is damaged, or something cannot be read.
    pub fn fails(&self, now_ms: u64) -> bool {
        let fails = |it: &PartStatus| {
            it.unreadable || it.backups.as_ref().is_some_and(|it| it.fails(now_ms))
        };
        self.parts.values().any(fails)
    }
}
