//! Reading a backup back: what comes out is what went in, or an error.

use crate::lock;
use crate::publish::hex;
use crate::repository::Repository;
use crate::sink::{PIECE, PIECES};
use hive_contract::{Failure, FailureKind};

use hive_sql::manifest::{Manifest, Object};
use sha2::{Digest, Sha256};
use std::io::{self, BufReader, ErrorKind, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

/// How much is read to the end only to say better what is wrong.
const WORTH_READING: u64 = 64 << 20;

/// The content of a backup, read on a blocking thread. Its end is an error unless size and hashes
/// are those of the manifest: a reader that has seen no error up to the end has the whole content.
/// [`failure_of`] brings back the failure that an error carries.
pub struct Plain {
    decoder: Box<dyn Read + Send>,
    stored: Stored,
    object: Object,
    backup: String,
    place: String,
    hash: Sha256,
    size: u64,
    ended: bool,
    found: Arc<Mutex<Option<Failure>>>,
    moved: Arc<AtomicU64>,
}

/// The failure in an error of [`Plain`], whoever passed it on; none where it is not one of its own.
pub fn failure_of(error: &io::Error) -> Option<&Failure> {
    let mut error: &(dyn std::error::Error + 'static) = error.get_ref()?;
    loop {
        if let Some(failure) = error.downcast_ref::<Failure>() {
            return Some(failure);
        }
        error = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => inner,
            None => error.source()?,
        };
    }
}

impl Repository {
    /// Opens a backup by its manifest. Where it is encrypted, the identity of this repository opens
    /// it.
    ///
    /// # Errors
    /// Its data is gone or has another length, or the identity is missing or does not open it.
    pub async fn open(&self, manifest: &Manifest) -> Result<Plain, Failure> {
        let [object] = manifest.objects.as_slice() else {
            let message = format!(
                "the backup {} has {} objects, and this hive knows those of one",
                manifest.id,
                manifest.objects.len()
            );
            return Err(Failure::new(FailureKind::Malformed, message));
        };
        let locked = object.key.ends_with(".age");
        let identity = match (locked, &self.identity) {
            (false, _) => None,
            (true, Some(text)) => Some(lock::identity(text)?),
            (true, None) => {
                let message = format!(
                    "the backup {} is encrypted, and `encrypt.identity` has no value here",
                    manifest.id
                );
                return Err(Failure::new(FailureKind::Forbidden, message));
            }
        };
        let key = format!("{}/{}", manifest.id, object.key);
        let reader = self.objects.get_stream(&key).await?;
        let reader = reader.ok_or_else(|| gone(&manifest.id, &key, self.shown()))?;
        if reader.size != object.stored {
            return Err(other_length(&manifest.id, reader.size, object.stored));
        }
        let stored = Stored::new(reader);
        let place = self.shown().to_owned();
        let recipients = manifest.recipients.join(", ");
        let (backup, object) = (manifest.id.clone(), object.clone());
        let moved = Arc::clone(&self.moved);
        let opened = tokio::task::spawn_blocking(move || {
            let raw = BufReader::with_capacity(PIECE, stored.clone());
            let decoder = match identity {
                None => decoder(raw),
                Some(identity) => unlock(raw, &identity, &recipients, &backup),
            };
            match decoder {
                Ok(decoder) => Ok(Plain {
                    decoder,
                    stored,
                    object,
                    backup,
                    place,
                    hash: Sha256::new(),
                    size: 0,
                    ended: false,
                    found: Arc::default(),
                    moved,
                }),
                // Only reading everything tells a wrong key from a damaged head.
                Err(failure)
                    if failure.kind == FailureKind::Forbidden && object.stored > WORTH_READING =>
                {
                    Err(failure.diagnosis("or the head of what is stored is damaged"))
                }
                Err(failure) => Err(blame(&stored, &object, &backup, &place).unwrap_or(failure)),
            }
        });
        opened.await.unwrap_or_else(|error| {
            let message = format!("reading a backup broke off: {error}");
            Err(Failure::new(FailureKind::Malformed, message))
        })
    }

    /// Reads a whole backup and throws it away: every byte is there and is as it was.
    ///
    /// # Errors
    /// As [`Self::open`] and [`Plain`].
    pub async fn check(&self, manifest: &Manifest) -> Result<(), Failure> {
        let mut plain = self.open(manifest).await?;
        let read = tokio::task::spawn_blocking(move || io::copy(&mut plain, &mut io::sink()));
        let read = read.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        read.map(drop).map_err(|error| read_failed(&error))
    }
}

/// The failure that an error of a reader stands for.
pub(crate) fn read_failed(error: &io::Error) -> Failure {
    failure_of(error).cloned().unwrap_or_else(|| {
        Failure::new(FailureKind::Malformed, format!("the backup cannot be read: {error}"))
    })
}

fn decoder(raw: impl Read + Send + 'static) -> Result<Box<dyn Read + Send>, Failure> {
    let decoder = zstd::Decoder::new(raw).map_err(|error| read_failed(&error))?;
    // What follows the one frame is not for the decoder but for the hash.
    Ok(Box::new(decoder.single_frame()))
}

fn unlock(
    raw: BufReader<Stored>,
    identity: &age::x25519::Identity,
    recipients: &str,
    backup: &str,
) -> Result<Box<dyn Read + Send>, Failure> {
    let opened = age::Decryptor::new_buffered(raw)
        .and_then(|locked| locked.decrypt(std::iter::once(identity as &dyn age::Identity)));
    match opened {
        Ok(reader) => decoder(reader),
        Err(age::DecryptError::NoMatchingKeys) => Err(Failure::new(
            FailureKind::Forbidden,
            format!(
                "`encrypt.identity` does not open the backup {backup}: it is encrypted to {recipients}"
            ),
        )),
        Err(error) => Err(Failure::new(
            FailureKind::Malformed,
            format!("the backup {backup} cannot be decrypted: {error}"),
        )),
    }
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        match self.decoder.read(buffer) {
            Ok(0) => self.end().map(|()| 0),
            Ok(count) => {
                self.hash.update(&buffer[..count]);
                self.size += count as u64;
                self.moved.store(self.size, Ordering::Relaxed);
                Ok(count)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
            Err(error) => Err(self.fails(
                blame(&self.stored, &self.object, &self.backup, &self.place).unwrap_or_else(|| {
                    let message = format!(
                        "the backup {} is stored as it was made and cannot be decoded: {error}",
                        self.backup
                    );
                    Failure::new(FailureKind::Malformed, message)
                }),
            )),
        }
    }
}

impl Plain {
    /// Where it will say what it finds wrong with the backup, whatever its reader makes of that.
    pub(crate) fn found(&self) -> Arc<Mutex<Option<Failure>>> {
        Arc::clone(&self.found)
    }

    fn fails(&self, failure: Failure) -> io::Error {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        *found = Some(failure.clone());
        io::Error::other(failure)
    }

    fn end(&mut self) -> io::Result<()> {
        if let Some(failure) = blame(&self.stored, &self.object, &self.backup, &self.place) {
            return Err(self.fails(failure));
        }
        let sha256 = hex(std::mem::take(&mut self.hash));
        if self.size != self.object.size || sha256 != self.object.sha256 {
            let message = format!(
                "the content of the backup {} is not what was dumped: {} bytes of {}",
                self.backup, self.size, self.object.size
            );
            return Err(self.fails(Failure::new(FailureKind::Malformed, message)));
        }
        self.ended = true;
        Ok(())
    }
}

/// What is wrong with what is stored; nothing where it is byte for byte as it was.
fn blame(stored: &Stored, object: &Object, backup: &str, place: &str) -> Option<Failure> {
    match stored.drain() {
        Err(error) => Some(failure_of(&error).cloned().unwrap_or_else(|| {
            let message = format!("reading the backup {backup} from {place} broke off: {error}");
            Failure::new(FailureKind::Unavailable, message).retryable()
        })),
        Ok((size, _)) if size != object.stored => Some(other_length(backup, size, object.stored)),
        Ok((_, sha256)) if sha256 != object.sha256_stored => Some(Failure::new(
            FailureKind::Malformed,
            format!(
                "the data of the backup {backup} at {place} is damaged: it has the right length and \
                 another checksum"
            ),
        )),
        Ok(_) => None,
    }
}

fn gone(backup: &str, key: &str, place: &str) -> Failure {
    let message = format!("the data of the backup {backup} is gone: {place} has no `{key}`");
    Failure::new(FailureKind::Malformed, message)
}

fn other_length(backup: &str, has: u64, should: u64) -> Failure {
    let how = if has < should { "truncated" } else { "longer than it was" };
    let message = format!("the data of the backup {backup} is {how}: {has} bytes of {should}");
    Failure::new(FailureKind::Malformed, message)
}

fn broken_off(error: &io::Error) -> Failure {
    failure_of(error).cloned().unwrap_or_else(|| {
        let message = format!("what is stored cannot be read to its end: {error}");
        Failure::new(FailureKind::Unavailable, message).retryable()
    })
}

/// The stored bytes on their way, hashed; shared, so that they can be read on where a decoder gave
/// up.
#[derive(Clone)]
struct Stored(Arc<Mutex<Way>>);

struct Way {
    pieces: mpsc::Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
    hash: Sha256,
    size: u64,
    /// Why nothing more comes. What broke off once has not ended, whoever asks again.
    broken: Option<Failure>,
}

impl Stored {
    /// Reads on in a task, so that the network and the decoder work at once.
    fn new(mut reader: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let (pieces, waiting) = mpsc::channel(PIECES);
        tokio::spawn(async move {
            loop {
                let mut piece = Vec::with_capacity(PIECE);
                while piece.len() < PIECE {
                    let left = (PIECE - piece.len()) as u64;
                    match (&mut reader).take(left).read_buf(&mut piece).await {
                        Ok(0) => break,
                        Ok(_) => {}
                        Err(error) => {
                            let _ = pieces.send(Err(error)).await;
                            return;
                        }
                    }
                }
                // Nothing more, or nobody who wants it.
                if piece.is_empty() || pieces.send(Ok(piece)).await.is_err() {
                    return;
                }
            }
        });
        let way = Way {
            pieces: waiting,
            piece: Vec::new(),
            at: 0,
            hash: Sha256::new(),
            size: 0,
            broken: None,
        };
        Self(Arc::new(Mutex::new(way)))
    }

    /// Reads what is left; the size and hash of everything.
    fn drain(&self) -> io::Result<(u64, String)> {
        let mut way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while way.fill()? {
            way.at = way.piece.len();
        }
        Ok((way.size, hex(way.hash.clone())))
    }
}

impl Way {
    /// Whether there is something to read.
    fn fill(&mut self) -> io::Result<bool> {
        while self.at == self.piece.len() {
            if let Some(failure) = &self.broken {
                return Err(io::Error::other(failure.clone()));
            }
            match self.pieces.blocking_recv() {
                None => return Ok(false),
                Some(Err(error)) => self.broken = Some(broken_off(&error)),
                Some(Ok(piece)) => {
                    self.piece = piece;
                    self.at = 0;
                    self.hash.update(&self.piece);
                    self.size += self.piece.len() as u64;
                }
            }
        }
        Ok(true)
    }
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !way.fill()? {
            return Ok(0);
        }
        let count = buffer.len().min(way.piece.len() - way.at);
        buffer[..count].copy_from_slice(&way.piece[way.at..way.at + count]);
        way.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_broke_off_once_is_never_taken_for_its_end() {
        struct Silent;
        impl AsyncRead for Silent {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
                _: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<io::Result<()>> {
                let failure = Failure::new(FailureKind::Unavailable, "the server hangs");
                std::task::Poll::Ready(Err(io::Error::other(failure)))
            }
        }
        let stored = Stored::new(Silent);
        let object = Object { stored: 9, ..Object::default() };
        let blamed = tokio::task::spawn_blocking(move || {
            stored.clone().read(&mut [0; 4]).expect_err("breaks off");
            blame(&stored, &object, "b1", "far away")
        });
        let failure = blamed.await.expect("ends").expect("is no end");
        assert_eq!(failure.message, "the server hangs", "it is called damaged: {failure}");
    }
}
