//! Objects of one place: a folder or a prefix in a bucket, with the same verbs and promises.

use crate::folder::Folder;
use crate::location::{Location, S3Settings, check_key};
use crate::s3::Bucket;
use hive_contract::Failure;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};

/// Objects of one place. A clone is the same place.
#[derive(Clone)]
pub enum Objects {
    /// Files below a folder.
    Folder(Folder),
    /// Objects below a prefix in a bucket.
    Bucket(Bucket),
}

/// What came of writing an object that may not be there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is written, durably; also where an earlier try had written these same bytes.
    Made,
    /// Something else is there: this.
    Taken(Vec<u8>),
}

/// One object, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its key below the place.
    pub key: String,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last written, in milliseconds since 1970, by the place's own clock.
    pub modified_ms: i64,
}

/// An object's content with the version that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What [`Objects::put_over`] is conditioned on.
    pub version: String,
}

/// The content of an object as a stream: it fails at its end where it was shorter than it should.
pub struct ObjectReader {
    /// The length of the whole object in bytes.
    pub size: u64,
    pub(crate) inner: Pin<Box<dyn AsyncRead + Send>>,
}

impl AsyncRead for ObjectReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.inner.as_mut().poll_read(context, buffer)
    }
}

impl Objects {
    /// Connects to a place. Nothing is written, and a folder need not be there yet.
    ///
    /// # Errors
    /// Settings that make no client: no region, no credentials, a broken endpoint.
    pub async fn open(location: &Location, settings: &S3Settings) -> Result<Self, Failure> {
        Ok(match location {
            Location::Folder(path) => Self::Folder(Folder::new(path)),
            Location::Bucket { name, prefix } => {
                Self::Bucket(Bucket::open(name, prefix, settings).await?)
            }
        })
    }

    /// The place as a person writes it.
    pub fn shown(&self) -> &str {
        match self {
            Self::Folder(folder) => folder.shown(),
            Self::Bucket(bucket) => bucket.shown(),
        }
    }

    /// Checks that a second writer of a key is refused. A place where it is not can lose what was
    /// written, so it must not be used.
    ///
    /// # Errors
    /// The place ignores conditional writes, or cannot be written.
    pub async fn probe(&self) -> Result<(), Failure> {
        match self {
            Self::Folder(folder) => folder.probe().await,
            Self::Bucket(bucket) => bucket.probe().await,
        }
    }

    /// Writes a small object where nothing is. The same bytes twice are one effect.
    ///
    /// # Errors
    /// It could not be written, or it is not known whether it was: the same again tells.
    pub async fn put_new(&self, key: &str, bytes: &[u8]) -> Result<Put, Failure> {
        check_key(key)?;
        match self {
            Self::Folder(folder) => folder.put_new(key, bytes),
            Self::Bucket(bucket) => bucket.put_new(key, bytes).await,
        }
    }

    /// Writes a small object over the version that was read. The same bytes twice are one effect.
    /// `Taken` where another version is there.
    ///
    /// # Errors
    /// As [`Self::put_new`].
    pub async fn put_over(&self, key: &str, bytes: &[u8], version: &str) -> Result<Put, Failure> {
        check_key(key)?;
        match self {
            Self::Folder(folder) => folder.put_over(key, bytes, version),
            Self::Bucket(bucket) => bucket.put_over(key, bytes, version).await,
        }
    }

    /// Writes everything that the reader gives as one object, and says how many bytes those were.
    /// In memory is at most 128 MiB of it. Dropped or failed before its end, there is no object.
    /// The key must be the caller's alone, such as one with a random part.
    ///
    /// # Errors
    /// The reader fails, the place does, or something is there.
    pub async fn put_stream(
        &self,
        key: &str,
        reader: impl AsyncRead + Send + Unpin,
    ) -> Result<u64, Failure> {
        check_key(key)?;
        match self {
            Self::Folder(folder) => folder.put_stream(key, reader).await,
            Self::Bucket(bucket) => bucket.put_stream(key, reader).await,
        }
    }

    /// Reads a small object whole, up to `limit` bytes; none where there is none.
    ///
    /// # Errors
    /// It cannot be read, or is longer.
    pub async fn get(&self, key: &str, limit: u64) -> Result<Option<Content>, Failure> {
        check_key(key)?;
        match self {
            Self::Folder(folder) => folder.get(key, limit).await,
            Self::Bucket(bucket) => bucket.get(key, limit).await,
        }
    }

    /// Reads an object as a stream that goes on after a cut connection; none where there is none.
    ///
    /// # Errors
    /// It cannot be opened.
    pub async fn get_stream(&self, key: &str) -> Result<Option<ObjectReader>, Failure> {
        check_key(key)?;
        match self {
            Self::Folder(folder) => folder.get_stream(key).await,
            Self::Bucket(bucket) => bucket.get_stream(key).await,
        }
    }

    /// Looks at an object; none where there is none.
    ///
    /// # Errors
    /// The place cannot be read.
    pub async fn head(&self, key: &str) -> Result<Option<Entry>, Failure> {
        check_key(key)?;
        match self {
            Self::Folder(folder) => folder.head(key).await,
            Self::Bucket(bucket) => bucket.head(key).await,
        }
    }

    /// All objects whose key begins with `prefix`, by key; whole ones only.
    ///
    /// # Errors
    /// The place cannot be read.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Entry>, Failure> {
        match self {
            Self::Folder(folder) => folder.list(prefix).await,
            Self::Bucket(bucket) => bucket.list(prefix).await,
        }
    }

    /// Takes an object away; one that is not there is gone already.
    ///
    /// # Errors
    /// It could not be taken away.
    pub async fn delete(&self, key: &str) -> Result<(), Failure> {
        check_key(key)?;
        match self {
            Self::Folder(folder) => folder.delete(key).await,
            Self::Bucket(bucket) => bucket.delete(key).await,
        }
    }

    /// Takes away what writers that died have left half written before `before_ms`, and says how
    /// many those were. No whole object is touched.
    ///
    /// # Errors
    /// The place cannot be read, or they cannot be taken away.
    pub async fn sweep(&self, before_ms: i64) -> Result<usize, Failure> {
        match self {
            Self::Folder(folder) => folder.sweep(before_ms).await,
            Self::Bucket(bucket) => bucket.sweep(before_ms).await,
        }
    }
}
