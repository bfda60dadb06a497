//! A place of backups: whose it is, and what is in it.

use crate::id::now_ms;
use hive_contract::{Failure, FailureKind, Mark, Token};
use hive_objects::{Content, Objects, Put};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

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
}

/// What the marker says: nobody else's backups come here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The format's number.
    pub format: u32,
    /// Whose place it is.
    pub mark: Mark,
    /// The step that wrote it last.
    pub token: Token,
    /// When it was first written, in milliseconds since 1970.
    pub created_ms: i64,
    /// What is backed up, such as `database.main`.
    pub of: String,
    /// Whether backups are encrypted.
    pub encrypted: bool,
}

impl Repository {
    pub(crate) fn new(
        objects: Objects,
        recipients: Vec<String>,
        identity: Option<SecretString>,
    ) -> Self {
        Self { objects, recipients, identity }
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

    async fn seen(&self) -> Result<Option<(Marker, Content)>, Failure> {
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

    /// Makes the place ours: the first of two that try it wins. Checks that the place keeps what
    /// only one may write.
    ///
    /// # Errors
    /// It is somebody else's, who is named; or the place ignores conditional writes.
    pub async fn register(&self, mark: &Mark, token: &Token, of: &str) -> Result<Marker, Failure> {
        if let Some(there) = self.marker().await? {
            return self.only_ours(there, mark, of);
        }
        self.objects.probe().await?;
        let marker = self.new_marker(mark, token, of);
        match self.objects.put_new(MARKER, &self.json(&marker)?).await? {
            Put::Made => Ok(marker),
            Put::Taken(there) => self.only_ours(self.parse(&there)?, mark, of),
        }
    }

    /// The marker with this mark, token and content, over whoever's was there.
    ///
    /// # Errors
    /// There is none, or somebody else is writing it.
    pub async fn take_over(&self, mark: &Mark, token: &Token, of: &str) -> Result<Marker, Failure> {
        let Some((there, content)) = self.seen().await? else {
            return Err(Failure::new(
                FailureKind::Moved,
                format!("{} has no `{MARKER}` that could be taken over", self.shown()),
            ));
        };
        if there.token == *token {
            return Ok(there);
        }
        let marker = Marker { created_ms: there.created_ms, ..self.new_marker(mark, token, of) };
        let bytes = self.json(&marker)?;
        match self.objects.put_over(MARKER, &bytes, &content.version).await? {
            Put::Made => Ok(marker),
            Put::Taken(_) => Err(Failure::new(
                FailureKind::Moved,
                format!("`{MARKER}` at {} was written by somebody else just now", self.shown()),
            )),
        }
    }

    /// Takes the marker away; the backups stay. One that is not there is gone already.
    ///
    /// # Errors
    /// It is somebody else's, or cannot be taken away.
    pub async fn release(&self, mark: &Mark) -> Result<(), Failure> {
        match self.marker().await? {
            None => Ok(()),
            Some(there) if there.mark == *mark => self.objects.delete(MARKER).await,
            Some(there) => Err(self.taken(&there)),
        }
    }

    /// Whether the place is ours.
    ///
    /// # Errors
    /// It is nobody's, or somebody else's, who is named.
    pub async fn check_owner(&self, mark: &Mark) -> Result<Marker, Failure> {
        match self.marker().await? {
            Some(there) if there.mark == *mark => Ok(there),
            Some(there) => Err(self.taken(&there)),
            None => Err(Failure::new(
                FailureKind::Moved,
                format!("{} is nobody's any more: its `{MARKER}` is gone", self.shown()),
            )),
        }
    }

    fn only_ours(&self, there: Marker, mark: &Mark, of: &str) -> Result<Marker, Failure> {
        let same = there.of == of && there.encrypted == self.encrypts();
        if there.mark == *mark && same { Ok(there) } else { Err(self.taken(&there)) }
    }

    fn taken(&self, there: &Marker) -> Failure {
        Failure::new(
            FailureKind::Taken,
            format!("{} holds the backups of somebody else: {}", self.shown(), there.mark),
        )
    }

    fn new_marker(&self, mark: &Mark, token: &Token, of: &str) -> Marker {
        Marker {
            format: FORMAT,
            mark: mark.clone(),
            token: token.clone(),
            created_ms: now_ms(),
            of: of.to_owned(),
            encrypted: self.encrypts(),
        }
    }

    fn encrypts(&self) -> bool {
        !self.recipients.is_empty()
    }

    fn json(&self, marker: &Marker) -> Result<Vec<u8>, Failure> {
        serde_json::to_vec_pretty(marker).map_err(|error| {
            Failure::new(FailureKind::Malformed, format!("`{MARKER}` cannot be written: {error}"))
        })
    }
}
