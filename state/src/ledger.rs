//! The one layout that every store has: head, snapshots, journals, plans, blobs, freeze, lease.

use crate::journal::OpenJournal;
use crate::layout::{self, FORMAT, Layout};
use crate::lease::{Holder, LeaseTerms};
use crate::sealed::{self, Check, Damage, Opened};
use crate::store::{Put, Store, StoreError, Version};
use crate::{Broken, Illegal};
use hive_contract::Fingerprint;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Everything hive keeps of one stack in one environment.
#[derive(Clone)]
pub struct Ledger {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) layout: Layout,
    pub(crate) stack: String,
    pub(crate) environment: String,
    pub(crate) terms: LeaseTerms,
}

/// Why the store cannot give or take something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be trusted, or one that must be there is not.
    #[error("{}", damaged_words(.0))]
    Damaged(#[from] Damage),
    /// Somebody else may write.
    #[error("{}", held_words(holder, apply, *since_ms))]
    Held {
        /// Who.
        holder: Box<Holder>,
        /// What for.
        apply: String,
        /// Since when, in milliseconds since 1970 UTC.
        since_ms: u64,
    },
    /// Somebody else has taken over; this process may write no more.
    #[error("somebody else has taken over the apply {apply}: its record {sequence} is not ours")]
    Fenced {
        /// Whose journal.
        apply: String,
        /// The number that somebody else wrote.
        sequence: u64,
    },
    /// What was to be replaced is no longer what it was.
    #[error("{0}")]
    Lost(String),
    /// A record that the law of the journal forbids. A mistake in hive, nothing was written.
    #[error("the journal's law forbids it: {0}")]
    Illegal(#[from] Illegal),
    /// A snapshot that breaks a rule. A mistake in hive, nothing was written.
    #[error("the snapshot breaks a rule: {0}")]
    Broken(#[from] Broken),
    /// The store is another stack's.
    #[error(
        "the store in {place} holds the stack `{found}`, not `{wanted}`: give each stack a store \
         of its own"
    )]
    OtherStack {
        /// Where it is.
        place: String,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        wanted: String,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
}

fn damaged_words(damage: &Damage) -> String {
    match damage.check {
        // Nothing is wrong with it but that this hive is too old.
        Check::Newer { .. } => damage.to_string(),
        _ => format!("the store is damaged: {damage}"),
    }
}

fn held_words(holder: &Holder, apply: &str, since_ms: u64) -> String {
    let since =
        i64::try_from(since_ms).ok().and_then(|it| jiff::Timestamp::from_millisecond(it).ok());
    let since = since.map_or_else(|| "an unknown time".to_owned(), |it| format!("{it:.0}"));
    format!(
        "{} on {} holds the lease since {since} (pid {}, apply {apply})",
        holder.who, holder.host, holder.pid
    )
}

/// The content of `store.json`.
#[derive(Serialize, Deserialize)]
struct StoreBody {
    id: String,
    stack: String,
}

/// The content of `secret-key.json`.
#[derive(Serialize, Deserialize)]
struct SecretKeyBody {
    key: String,
}

impl Ledger {
    /// The part of a store that belongs to one stack in one environment. Nothing is read or made.
    pub fn new(store: Arc<dyn Store>, stack: &str, environment: &str) -> Self {
        Self {
            store,
            layout: Layout::new(environment),
            stack: stack.to_owned(),
            environment: environment.to_owned(),
            terms: LeaseTerms::default(),
        }
    }

    /// A ledger for reading what some other stack recorded, whatever its name.
    pub fn of_any_stack(store: Arc<dyn Store>, environment: &str) -> Self {
        Self::new(store, "", environment)
    }

    /// The same with other terms for the leases it gives.
    #[must_use]
    pub fn with_terms(mut self, terms: LeaseTerms) -> Self {
        self.terms = terms;
        self
    }

    /// On what terms it gives leases.
    pub fn terms(&self) -> LeaseTerms {
        self.terms
    }

    /// The store's place, as a person knows it.
    pub fn describe(&self) -> String {
        self.store.describe()
    }

    /// The stack's name.
    pub fn stack(&self) -> &str {
        &self.stack
    }

    /// The environment, with its instance.
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// The store's id; none where there is no store yet.
    ///
    /// # Errors
    /// It cannot be read, or is another stack's.
    pub async fn store_id(&self) -> Result<Option<String>, LedgerError> {
        let Some((body, _)) = self.get::<StoreBody>(layout::STORE, "store").await? else {
            let head = self.layout.head();
            return match self.store.read(&head).await? {
                Some(_) => Err(self.damaged(layout::STORE, Check::Missing { by: head })),
                None => Ok(None),
            };
        };
        self.check_stack(&body.stack)?;
        Ok(Some(body.id))
    }

    /// The store's id, after making the store where there is none yet.
    ///
    /// # Errors
    /// It cannot be read or made, or is another stack's.
    pub async fn init(&self) -> Result<String, LedgerError> {
        if let Some(id) = self.store_id().await? {
            return Ok(id);
        }
        let body = StoreBody { id: random_id()?, stack: self.stack.clone() };
        let bytes = sealed::seal("store", FORMAT, None, &body, false);
        match self.store.create(layout::STORE, &bytes).await? {
            Put::Done(_) => Ok(body.id),
            Put::Conflict => match self.store_id().await? {
                Some(id) => Ok(id),
                None => Err(LedgerError::Lost("store.json was removed".to_owned())),
            },
        }
    }

    /// The key of keyed hashes of secrets; none where no apply has needed one yet.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn secret_key(&self) -> Result<Option<[u8; 32]>, LedgerError> {
        let kind = "secret-key";
        let Some((body, _)) = self.get::<SecretKeyBody>(layout::SECRET_KEY, kind).await? else {
            return Ok(None);
        };
        let shape = || Check::Shape("the key is not 64 hex digits".to_owned());
        let key = unhex(&body.key).ok_or_else(|| self.damaged(layout::SECRET_KEY, shape()))?;
        Ok(Some(key))
    }

    /// The key of keyed hashes of secrets, after making one where there is none yet.
    ///
    /// # Errors
    /// It cannot be read or made.
    pub async fn make_secret_key(&self) -> Result<[u8; 32], LedgerError> {
        if let Some(key) = self.secret_key().await? {
            return Ok(key);
        }
        let key = random::<32>()?;
        let bytes =
            sealed::seal("secret-key", FORMAT, None, &SecretKeyBody { key: hex(&key) }, false);
        match self.store.create(layout::SECRET_KEY, &bytes).await? {
            Put::Done(_) => Ok(key),
            Put::Conflict => match self.secret_key().await? {
                Some(key) => Ok(key),
                None => Err(LedgerError::Lost("secret-key.json was removed".to_owned())),
            },
        }
    }

    /// The apply that was begun and not brought to its end, where there is one: its journal has no
    /// last record, or the snapshot that its last record names is not head yet.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub async fn open_journal(&self) -> Result<Option<OpenJournal>, LedgerError> {
        crate::journal::open(self).await
    }

    /// Reads and checks one file; none where there is none.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        key: &str,
        kind: &str,
    ) -> Result<Option<(T, Version)>, LedgerError> {
        Ok(self.get_opened(key, kind).await?.map(|(opened, version)| (opened.body, version)))
    }

    /// As [`Self::get`], with the file's parent and digest.
    pub(crate) async fn get_opened<T: DeserializeOwned>(
        &self,
        key: &str,
        kind: &str,
    ) -> Result<Option<(Opened<T>, Version)>, LedgerError> {
        let Some(stored) = self.store.read(key).await? else { return Ok(None) };
        let opened = sealed::open(&self.what(key), kind, FORMAT, &stored.bytes)?;
        Ok(Some((opened, stored.version)))
    }

    /// Names a file in messages.
    pub(crate) fn what(&self, key: &str) -> String {
        format!("{}/{key}", self.store.describe())
    }

    pub(crate) fn damaged(&self, key: &str, check: Check) -> LedgerError {
        LedgerError::Damaged(Damage { what: self.what(key), check })
    }

    pub(crate) fn check_stack(&self, found: &str) -> Result<(), LedgerError> {
        if self.stack.is_empty() || found == self.stack {
            return Ok(());
        }
        Err(LedgerError::OtherStack {
            place: self.store.describe(),
            found: found.to_owned(),
            wanted: self.stack.clone(),
        })
    }
}

/// A new id for an apply or a store: 16 hex digits that nobody else has.
///
/// # Errors
/// The system gives no random numbers.
pub fn random_id() -> Result<String, LedgerError> {
    Ok(hex(&random::<8>()?))
}

fn random<const N: usize>() -> Result<[u8; N], LedgerError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| LedgerError::Random(error.to_string()))?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let text = Fingerprint::parse(text)?;
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.as_str().get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
