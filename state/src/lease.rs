//! The lease: who may write, for what, since when.
//!
//! Neither clocks nor dead processes are trusted. A lease is taken over at once only from a holder
//! that is provably gone; else only after it was watched, unchanged, for its whole duration on the
//! watcher's own clock. Whoever takes it over seals the journals of the one before, and that, not
//! the lease, is what keeps a late holder from writing.

use crate::clock::Clock;
use crate::journal;
use crate::layout::FORMAT;
use crate::ledger::{Ledger, LedgerError};
use crate::sealed;
use crate::store::{Put, Version};
use hive_contract::{Failure, FailureKind, Guard};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use crate::holder::Holder;

/// On what terms leases are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTerms {
    /// How long one holds without being renewed, in milliseconds.
    pub duration_ms: u64,
    /// Whether to wait for one that somebody else has.
    pub patience: Patience,
}

/// Whether to wait for a lease that somebody else has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Not at all.
    None,
    /// Only where it looks as if its holder is gone, for as long as it takes to be sure: its
    /// duration.
    IfStale,
    /// Until it is free, at most this many milliseconds, and as long as it takes to be sure that a
    /// holder is gone.
    UpTo(u64),
}

impl Default for LeaseTerms {
    fn default() -> Self {
        Self { duration_ms: 30_000, patience: Patience::IfStale }
    }
}

/// The content of `lease.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseBody {
    /// Who holds it; nobody where it was released.
    pub holder: Option<Holder>,
    /// One more with every holder.
    pub epoch: u64,
    /// The apply it was taken for. Named here before its journal exists.
    pub apply: String,
    /// The newest apply before it whose journal was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// Applies of a holder that was taken over, whose journals are not sealed yet.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unsealed: BTreeSet<String>,
    /// How long it holds without being renewed, in milliseconds.
    pub duration_ms: u64,
    /// Since when it is held, in milliseconds since 1970 UTC. For people.
    pub since_ms: u64,
    /// When it was last renewed, in milliseconds since 1970 UTC. For people.
    pub renewed_ms: u64,
    /// How often it was renewed. A watcher sees by it that the holder lives.
    pub renewals: u64,
}

/// What is known of whoever holds a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
    /// Nobody holds it.
    Free,
    /// It was renewed lately, and nothing says that its holder is gone.
    Live,
    /// It was not renewed for longer than it holds. Its holder may be gone, or very late.
    Silent,
    /// Its holder is gone for certain.
    Gone,
}

impl LeaseBody {
    /// What is known of its holder, for people: nothing is decided by it.
    pub fn hold(&self, now_ms: u64) -> Hold {
        match &self.holder {
            None => Hold::Free,
            Some(holder) if holder.is_gone(&Holder::here("")) => Hold::Gone,
            Some(_) if now_ms.saturating_sub(self.renewed_ms) > self.duration_ms => Hold::Silent,
            Some(_) => Hold::Live,
        }
    }
}

/// A lease that this process holds. Drop is not release: what is dropped is taken over.
pub struct Lease {
    ledger: Ledger,
    epoch: u64,
    since_ms: u64,
    holder: Holder,
    state: Mutex<State>,
}

struct State {
    body: LeaseBody,
    version: Version,
    /// When the last renewal that succeeded was asked for, by [`Clock::ticks_ms`].
    renewed_ticks: u64,
    /// Why it is no longer held.
    over: Option<&'static str>,
}

/// Says whether the lease was renewed lately enough to write. See [`Lease::guard`].
pub struct LeaseGuard<'a> {
    lease: &'a Lease,
    clock: &'a dyn Clock,
}

impl Ledger {
    /// Takes the lease for an apply, on the ledger's terms.
    ///
    /// # Errors
    /// [`LedgerError::Held`] where somebody else has it; or the store says no.
    pub async fn acquire(
        &self,
        clock: &dyn Clock,
        holder: Holder,
        apply: &str,
    ) -> Result<Lease, LedgerError> {
        self.init().await?;
        self.make_head().await?;
        let mut watch: Option<Watch> = None;
        let began = clock.ticks_ms();
        loop {
            let asked = clock.ticks_ms();
            let found = self.lease_file().await?;
            if let Some((body, _)) = &found
                && let Some(other) = &body.holder
                && !other.is_gone(&holder)
            {
                let watching = Watch::go_on(watch.take(), body, clock.ticks_ms());
                // From after the first look until before this one.
                let unchanged = asked.saturating_sub(watching.since);
                if unchanged < body.duration_ms {
                    let waited = clock.ticks_ms().saturating_sub(began);
                    self.may_wait(body, other, watching.changed, waited, clock.wall_ms())?;
                    let left = body.duration_ms - unchanged;
                    watch = Some(watching);
                    clock.sleep(left.min((body.duration_ms / 20).max(1))).await;
                    continue;
                }
            }
            if let Some(lease) = self.take(clock, asked, &holder, apply, found).await? {
                return Ok(lease);
            }
        }
    }

    /// The lease as it stands; none where there never was one.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub async fn lease_now(&self) -> Result<Option<LeaseBody>, LedgerError> {
        Ok(self.lease_file().await?.map(|(body, _)| body))
    }

    /// Takes the lease away from its holder, after sealing its journals, and gives what it was;
    /// none where nobody held it. The holder fails at its next record.
    ///
    /// # Errors
    /// The store says no.
    pub async fn break_lease(
        &self,
        clock: &dyn Clock,
        by: &str,
    ) -> Result<Option<LeaseBody>, LedgerError> {
        loop {
            let (was, version, damaged) = match self.lease_file().await {
                Ok(Some((was, version))) => (was, version, false),
                Ok(None) => return Ok(None),
                // What nobody can read, nobody can be held by: the journals say what to seal.
                Err(LedgerError::Damaged(_)) => {
                    match self.store.read(&self.layout.lease()).await? {
                        Some(found) => (self.without_lease().await?, found.version, true),
                        None => return Ok(None),
                    }
                }
                Err(error) => return Err(error),
            };
            if was.holder.is_none() && was.unsealed.is_empty() && !damaged {
                return Ok(None);
            }
            let epoch = was.epoch + 1;
            for apply in was.to_seal() {
                journal::seal(self, &apply, epoch, by, clock.wall_ms()).await?;
            }
            let unsealed = BTreeSet::new();
            let body = LeaseBody { holder: None, epoch, unsealed, ..was.clone() };
            // A conflict is a holder that renews: once more.
            if let Put::Done(_) = self.put_lease(&body, Some(&version)).await? {
                return Ok(Some(was));
            }
        }
    }

    /// Whether it is worth while to watch a lease that somebody holds.
    fn may_wait(
        &self,
        body: &LeaseBody,
        other: &Holder,
        changed: bool,
        waited: u64,
        wall_ms: u64,
    ) -> Result<(), LedgerError> {
        let wait = match self.terms.patience {
            Patience::None => false,
            // The wall clock decides only whether to look on.
            Patience::IfStale => !changed && wall_ms.abs_diff(body.renewed_ms) > body.duration_ms,
            Patience::UpTo(most) => waited < most || !changed && waited < body.duration_ms,
        };
        match wait {
            true => Ok(()),
            false => Err(LedgerError::Held {
                holder: Box::new(other.clone()),
                apply: body.apply.clone(),
                since_ms: body.since_ms,
            }),
        }
    }

    /// Takes a lease that is free or may be taken over; none where somebody else was first.
    async fn take(
        &self,
        clock: &dyn Clock,
        asked: u64,
        holder: &Holder,
        apply: &str,
        found: Option<(LeaseBody, Version)>,
    ) -> Result<Option<Lease>, LedgerError> {
        let before = match &found {
            Some((body, _)) => body.clone(),
            None => self.without_lease().await?,
        };
        let now = clock.wall_ms();
        let mut body = LeaseBody {
            holder: Some(holder.clone()),
            epoch: before.epoch + 1,
            apply: apply.to_owned(),
            last: self.last_begun(&before, apply).await?,
            unsealed: if before.holder.is_some() { before.to_seal() } else { before.unsealed },
            duration_ms: self.terms.duration_ms,
            since_ms: now,
            renewed_ms: now,
            renewals: 0,
        };
        let version = found.as_ref().map(|(_, version)| version);
        let Put::Done(mut version) = self.put_lease(&body, version).await? else {
            return Ok(None);
        };
        if !body.unsealed.is_empty() {
            for sealed in &body.unsealed {
                journal::seal(self, sealed, body.epoch, &holder.who, now).await?;
            }
            body.unsealed.clear();
            body.renewals += 1;
            match self.put_lease(&body, Some(&version)).await? {
                Put::Done(next) => version = next,
                Put::Conflict => return Ok(None),
            }
        }
        Ok(Some(Lease {
            ledger: self.clone(),
            epoch: body.epoch,
            since_ms: body.since_ms,
            holder: holder.clone(),
            state: Mutex::new(State { body, version, renewed_ticks: asked, over: None }),
        }))
    }

    /// What a lease says that somebody removed: the journals are the fence, so all that may still
    /// be written to are sealed.
    async fn without_lease(&self) -> Result<LeaseBody, LedgerError> {
        let head = self.head_only().await?.map_or(0, |head| head.epoch);
        let journals = self.journals_by_age().await?;
        let mut epoch = head;
        for journal in &journals {
            epoch = epoch.max(journal::tail(self, &journal.apply).await?.epoch);
        }
        let newest: Vec<String> =
            journals.into_iter().rev().filter(|it| it.begun).map(|it| it.apply).take(2).collect();
        Ok(LeaseBody {
            holder: None,
            epoch,
            apply: newest.first().cloned().unwrap_or_default(),
            last: newest.get(1).cloned(),
            unsealed: newest.into_iter().collect(),
            duration_ms: 0,
            since_ms: 0,
            renewed_ms: 0,
            renewals: 0,
        })
    }

    async fn last_begun(
        &self,
        before: &LeaseBody,
        apply: &str,
    ) -> Result<Option<String>, LedgerError> {
        let newer = !before.apply.is_empty() && journal::begun(self, &before.apply).await?;
        let last = if newer { Some(&before.apply) } else { before.last.as_ref() };
        Ok(last.filter(|it| *it != apply).cloned())
    }

    async fn lease_file(&self) -> Result<Option<(LeaseBody, Version)>, LedgerError> {
        self.get(&self.layout.lease(), "lease").await
    }

    async fn put_lease(
        &self,
        body: &LeaseBody,
        version: Option<&Version>,
    ) -> Result<Put, LedgerError> {
        let key = self.layout.lease();
        let bytes = sealed::seal("lease", FORMAT, None, body, false);
        Ok(match version {
            Some(version) => self.store.replace(&key, &bytes, version).await?,
            None => self.store.create(&key, &bytes).await?,
        })
    }
}

impl LeaseBody {
    /// The applies that its holder may be writing to.
    fn to_seal(&self) -> BTreeSet<String> {
        let mut applies = self.unsealed.clone();
        applies.insert(self.apply.clone());
        applies.extend(self.last.clone());
        applies
    }

    fn is_of(&self, epoch: u64, holder: &Holder) -> bool {
        self.epoch == epoch && self.holder.as_ref() == Some(holder)
    }
}

/// A lease that is watched.
struct Watch {
    body: LeaseBody,
    since: u64,
    changed: bool,
}

impl Watch {
    fn go_on(before: Option<Self>, body: &LeaseBody, now: u64) -> Self {
        match before {
            Some(before) if &before.body == body => before,
            before => Self { body: body.clone(), since: now, changed: before.is_some() },
        }
    }
}

impl Lease {
    /// Its epoch: one more than that of the holder before.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The apply it was taken for.
    pub fn apply(&self) -> String {
        self.state().body.apply.clone()
    }

    /// Who holds it.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// How long it holds without being renewed, in milliseconds. Renew it three times as often.
    pub fn duration_ms(&self) -> u64 {
        self.state().body.duration_ms
    }

    pub(crate) fn since_ms(&self) -> u64 {
        self.since_ms
    }

    /// Renews it.
    ///
    /// # Errors
    /// [`LedgerError::Lost`] where somebody else has it; or the store says no, and then it may be
    /// tried again.
    pub async fn renew(&self, clock: &dyn Clock) -> Result<(), LedgerError> {
        loop {
            let asked = clock.ticks_ms();
            let (mut body, version) = self.held()?;
            body.renewals += 1;
            body.renewed_ms = clock.wall_ms();
            match self.ledger.put_lease(&body, Some(&version)).await? {
                Put::Done(version) => {
                    let mut state = self.state();
                    state.body = body;
                    state.version = version;
                    state.renewed_ticks = state.renewed_ticks.max(asked);
                    return Ok(());
                }
                Put::Conflict => self.look_again().await?,
            }
        }
    }

    /// Gives it back, so that the next one need not wait. The guard says no from here on.
    ///
    /// # Errors
    /// [`LedgerError::Lost`] where somebody else has it; or the store says no.
    pub async fn release(&self) -> Result<(), LedgerError> {
        loop {
            let (mut body, version) = self.held()?;
            body.holder = None;
            match self.ledger.put_lease(&body, Some(&version)).await? {
                Put::Done(_) => {
                    self.state().over = Some("it was released");
                    return Ok(());
                }
                Put::Conflict => self.look_again().await?,
            }
        }
    }

    /// Says whether hive may still write: no, when the last renewal is older than half of the
    /// lease, or when it was released or lost.
    pub fn guard<'a>(&'a self, clock: &'a dyn Clock) -> LeaseGuard<'a> {
        LeaseGuard { lease: self, clock }
    }

    fn held(&self) -> Result<(LeaseBody, Version), LedgerError> {
        let state = self.state();
        match state.over {
            None => Ok((state.body.clone(), state.version.clone())),
            Some(why) => Err(LedgerError::Lost(format!("the lease is no longer held: {why}"))),
        }
    }

    /// After a conflict: either this process renewed it at the same time, or it is lost.
    async fn look_again(&self) -> Result<(), LedgerError> {
        let found = self.ledger.lease_file().await?;
        let mut state = self.state();
        match found {
            Some((body, version)) if body.is_of(self.epoch, &self.holder) => {
                state.body = body;
                state.version = version;
                Ok(())
            }
            _ => {
                state.over = Some("somebody else has taken it over");
                Err(LedgerError::Lost("somebody else has taken the lease over".to_owned()))
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guard for LeaseGuard<'_> {
    fn may_write(&self) -> Result<(), Failure> {
        let state = self.lease.state();
        let age = self.clock.ticks_ms().saturating_sub(state.renewed_ticks);
        let why = match state.over {
            Some(why) => why.to_owned(),
            None if age <= state.body.duration_ms / 2 => return Ok(()),
            None => format!("it was last renewed {age} ms ago"),
        };
        let message = format!("this apply may no longer hold the lease: {why}");
        Err(Failure::new(FailureKind::Expired, message))
    }
}

#[cfg(test)]
mod tests;
