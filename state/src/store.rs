//! What a store can do: few things, each atomic. Everything else is layout, the same in all.

use hive_contract::Task;

/// What a conditional write compares: opaque, another one after every write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub String);

/// One file as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What the next conditional write names.
    pub version: Version,
}

/// What came of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is durable now.
    Done(Version),
    /// Somebody else was first: it exists already, or is of another version. Nothing was written.
    Conflict,
}

/// Why a store cannot do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: cannot {act} `{key}`: {why}")]
pub struct StoreError {
    /// The store, as a person knows it: its folder.
    pub place: String,
    /// `read`, `write`, `list`, `remove`.
    pub act: &'static str,
    /// Which file.
    pub key: String,
    /// What the system said.
    pub why: String,
}

/// Where snapshots, journals, the lease and the head live.
///
/// Keys are relative paths of `[a-z0-9._+-]` parts joined by `/`. A write is durable when it
/// returns, and is all there or not at all. "Not there" is said only where the store is sure.
pub trait Store: Send + Sync {
    /// The store, as a person knows it.
    fn describe(&self) -> String;

    /// Reads one file; none where there is none.
    ///
    /// # Errors
    /// It is there or may be there, and cannot be read.
    fn read<'a>(&'a self, key: &'a str) -> Task<'a, Result<Option<Stored>, StoreError>>;

    /// Makes a file that must not be there yet.
    ///
    /// # Errors
    /// It cannot be written and is not there, or it cannot be made durable and may be there.
    fn create<'a>(&'a self, key: &'a str, bytes: &'a [u8]) -> Task<'a, Result<Put, StoreError>>;

    /// Replaces a file that must still be of this version.
    ///
    /// # Errors
    /// It cannot be written and what was there is there, or it cannot be made durable.
    fn replace<'a>(
        &'a self,
        key: &'a str,
        bytes: &'a [u8],
        version: &'a Version,
    ) -> Task<'a, Result<Put, StoreError>>;

    /// Removes a file that must still be of this version. One that is gone is a conflict.
    ///
    /// # Errors
    /// It cannot be removed.
    fn remove<'a>(
        &'a self,
        key: &'a str,
        version: &'a Version,
    ) -> Task<'a, Result<Put, StoreError>>;

    /// The keys of all files below a prefix (a folder, ends with `/`), sorted.
    ///
    /// # Errors
    /// It cannot be listed as a whole.
    fn list<'a>(&'a self, prefix: &'a str) -> Task<'a, Result<Vec<String>, StoreError>>;

    /// The names of the folders right below a prefix (a folder, ends with `/`), sorted.
    ///
    /// # Errors
    /// It cannot be listed as a whole.
    fn folders<'a>(&'a self, prefix: &'a str) -> Task<'a, Result<Vec<String>, StoreError>>;

    /// Removes everything below a prefix (a folder, ends with `/`) that nobody reads or writes any
    /// more. Where the store can, all of it goes at once.
    ///
    /// # Errors
    /// Something of it cannot be removed.
    fn remove_folder<'a>(&'a self, prefix: &'a str) -> Task<'a, Result<(), StoreError>>;

    /// Takes away what writers that died have left lying about. It was never part of the store.
    ///
    /// # Errors
    /// It cannot be removed.
    fn tidy(&self) -> Task<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }
}

/// Whether a text may be a key: parts of `[a-z0-9._+-]` joined by `/`, none of which begins with a
/// dot.
pub fn is_key(text: &str) -> bool {
    text.len() <= 512 && text.split('/').all(is_part)
}

/// Whether a text may be a part of a key.
pub fn is_part(text: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._+-".contains(c);
    !text.is_empty() && text.len() <= 200 && !text.starts_with('.') && text.chars().all(good)
}
