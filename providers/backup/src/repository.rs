//! A place of backups: whose it is, and what is in it.

use crate::id::now_ms;
use hive_contract::{Failure, FailureKind, Mark, Token};
use hive_objects::{Content, Objects, Put};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// The key of the marker.
pub const MARKER: &str = "hive.json";
/// No marker is longer.
const LIMIT: u64 = 64 << 10;
/// The marker's format.
const FORMAT: u32 = 1;

/// A place of backups, connected.
pub struct Repository {
    pub(crate) objects: Objects,
    pub(crate) recipients: Vec<String>,
    pub(crate) identity: Option<SecretString>,
    /// How many bytes have been dumped or read back so far.
    pub(crate) moved: Arc<AtomicU64>,
}

/// What the marker says: nobody else's backups come here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The format's number.
    pub format: u32,
    /// Whose place it is; nobody's after a forget.
    #[serde(default)]
    pub mark: Option<Mark>,
    /// The step that wrote it last.
    pub token: Token,
    /// When it was first written, in milliseconds since 1970.
    pub created_ms: i64,
    /// What is backed up, such as `database.main`.
    pub of: String,
    /// Whether backups are encrypted.
    pub encrypted: bool,
}

impl Marker {
    /// What is written today.
    pub fn new(mark: Option<Mark>, token: Token, of: String, encrypted: bool) -> Self {
        Self { format: FORMAT, mark, token, created_ms: now_ms(), of, encrypted }
    }
}

impl Repository {
    pub(crate) fn new(
        objects: Objects,
        recipients: Vec<String>,
        identity: Option<SecretString>,
    ) -> Self {
        Self { objects, recipients, identity, moved: Arc::default() }
    }

    /// Where it is, as a person writes it.
    pub fn shown(&self) -> &str {
        self.objects.shown()
    }

    /// The marker; none where there is none.
    ///
    /// # Errors
    /// The place cannot be read, or the marker makes no sense.
    pub async fn marker(&self) -> Result<Option<Marker>, Failure> {
        Ok(self.seen().await?.map(|(marker, _)| marker))
    }

    /// The marker with what a write over it is conditioned on.
    pub(crate) async fn seen(&self) -> Result<Option<(Marker, Content)>, Failure> {
        let Some(content) = self.objects.get(MARKER, LIMIT).await? else { return Ok(None) };
        Ok(Some((self.parse(&content.bytes)?, content)))
    }

    fn parse(&self, bytes: &[u8]) -> Result<Marker, Failure> {
        let marker: Marker = serde_json::from_slice(bytes).map_err(|error| {
            Failure::new(
                FailureKind::Malformed,
                format!("`{MARKER}` at {} is damaged: {error}", self.shown()),
            )
        })?;
        if marker.format > FORMAT {
            return Err(Failure::new(
                FailureKind::Malformed,
                format!(
                    "`{MARKER}` at {} has format {}, of a newer hive",
                    self.shown(),
                    marker.format
                ),
            ));
        }
        Ok(marker)
    }

    /// Writes the marker: where none is, or over the version that was read. The first of two that
    /// try it wins. The same marker twice is one effect.
    ///
    /// # Errors
    /// Somebody else's is there, who is named; or the place ignores conditional writes.
    pub async fn write_marker(&self, marker: &Marker, over: Option<&str>) -> Result<(), Failure> {
        let bytes = serde_json::to_vec_pretty(marker).map_err(|error| {
            Failure::new(FailureKind::Malformed, format!("`{MARKER}` cannot be written: {error}"))
        })?;
        let put = match over {
            Some(version) => self.objects.put_over(MARKER, &bytes, version).await?,
            None => {
                self.objects.probe().await?;
                self.objects.put_new(MARKER, &bytes).await?
            }
        };
        match put {
            Put::Made => Ok(()),
            Put::Taken(there) if there.is_empty() => Err(Failure::new(
                FailureKind::Moved,
                format!("`{MARKER}` at {} went away just now", self.shown()),
            )),
            Put::Taken(there) => Err(self.taken(&self.parse(&there)?)),
        }
    }

    /// Takes the marker away; the backups stay. One that is not there is gone already.
    ///
    /// # Errors
    /// It is somebody else's, or cannot be taken away.
    pub async fn release(&self, mark: &Mark) -> Result<(), Failure> {
        match self.marker().await? {
            None => Ok(()),
            Some(there) if there.mark.as_ref() == Some(mark) => self.objects.delete(MARKER).await,
            Some(there) => Err(self.taken(&there)),
        }
    }

    /// Whether the place is ours.
    ///
    /// # Errors
    /// It is nobody's, or somebody else's, who is named.
    pub async fn check_owner(&self, mark: &Mark) -> Result<Marker, Failure> {
        match self.marker().await? {
            Some(there) if there.mark.as_ref() == Some(mark) => Ok(there),
            Some(there) => Err(self.taken(&there)),
            None => Err(Failure::new(
                FailureKind::Moved,
                format!("{} is nobody's any more: its `{MARKER}` is gone", self.shown()),
            )),
        }
    }

    pub(crate) fn taken(&self, there: &Marker) -> Failure {
        let whose = there.mark.as_ref().map_or_else(
            || "nobody's, until they are adopted".to_owned(),
            |mark| format!("somebody else's: {mark}"),
        );
        let message = format!("the backups at {} are {whose}", self.shown());
        Failure::new(FailureKind::Taken, message)
    }
}
