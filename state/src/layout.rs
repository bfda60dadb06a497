//! Where each file is: keys, kinds and formats, the same in every store.

use hive_contract::Fingerprint;

/// The store's own id, one for all environments.
pub(crate) const STORE: &str = "store.json";
/// The key of keyed hashes of secrets, one for all environments.
pub(crate) const SECRET_KEY: &str = "secret-key.json";
/// The newest format of every kind of file in the store. Each kind counts by itself from here on.
pub(crate) const FORMAT: u32 = 1;

/// The keys of one environment.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    environment: String,
}

impl Layout {
    pub(crate) fn new(environment: &str) -> Self {
        Self { environment: environment.to_owned() }
    }

    /// The folder of everything that the environment has.
    pub(crate) fn all(&self) -> String {
        format!("{}/", self.environment)
    }

    pub(crate) fn head(&self) -> String {
        format!("{}/head.json", self.environment)
    }

    pub(crate) fn lease(&self) -> String {
        format!("{}/lease.json", self.environment)
    }

    pub(crate) fn freeze(&self) -> String {
        format!("{}/freeze.json", self.environment)
    }

    pub(crate) fn snapshots(&self) -> String {
        format!("{}/snapshots/", self.environment)
    }

    pub(crate) fn snapshot(&self, number: u64, digest: &Fingerprint) -> String {
        format!("{}/snapshots/{number}-{digest}.json", self.environment)
    }

    pub(crate) fn journals(&self) -> String {
        format!("{}/journal/", self.environment)
    }

    pub(crate) fn journal(&self, apply: &str) -> String {
        format!("{}/journal/{apply}/", self.environment)
    }

    pub(crate) fn group(&self, apply: &str, sequence: u64) -> String {
        format!("{}/journal/{apply}/{sequence:08}.json", self.environment)
    }

    pub(crate) fn plans(&self) -> String {
        format!("{}/plans/", self.environment)
    }

    pub(crate) fn plan(&self, digest: &Fingerprint) -> String {
        format!("{}/plans/{digest}.json", self.environment)
    }

    pub(crate) fn blobs(&self) -> String {
        format!("{}/blobs/", self.environment)
    }

    pub(crate) fn blob(&self, digest: &Fingerprint) -> String {
        format!("{}/blobs/{digest}", self.environment)
    }

    pub(crate) fn notes(&self) -> String {
        format!("{}/notes/", self.environment)
    }

    pub(crate) fn note(&self, number: u64) -> String {
        format!("{}/notes/{number:08}.json", self.environment)
    }

    pub(crate) fn rehearsals(&self) -> String {
        format!("{}/rehearsals/", self.environment)
    }

    pub(crate) fn rehearsal(&self, change: &Fingerprint) -> String {
        format!("{}/rehearsals/{change}.json", self.environment)
    }
}

/// The last part of a key.
pub(crate) fn name(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

/// The number that a key's last part is, as in `00000012.json`.
pub(crate) fn number(key: &str) -> Option<u64> {
    name(key).strip_suffix(".json")?.parse().ok()
}

/// The number and digest of a snapshot's key.
pub(crate) fn snapshot_name(key: &str) -> Option<(u64, Fingerprint)> {
    let (number, digest) = name(key).strip_suffix(".json")?.split_once('-')?;
    Some((number.parse().ok()?, Fingerprint::parse(digest)?))
}

/// The digest that a key's last part is, with or without `.json`.
pub(crate) fn digest(key: &str) -> Option<Fingerprint> {
    let name = name(key);
    Fingerprint::parse(name.strip_suffix(".json").unwrap_or(name))
}
