//! An object read as a stream that goes on where a connection was cut.

use super::Bucket;
use super::failure::{broke_off, chain};
use crate::pieces::Pieces;
use crate::store::ObjectReader;
use aws_sdk_s3::primitives::ByteStream;
use hive_contract::{Failure, FailureKind};
use std::error::Error;
use std::io;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How many pieces wait to be read.
const PIECES: usize = 16;

type Sender = mpsc::Sender<io::Result<Box<[u8]>>>;

pub(super) async fn download(bucket: &Bucket, key: &str) -> Result<Option<ObjectReader>, Failure> {
    let Some(got) = bucket.fetch(key, None).await? else { return Ok(None) };
    let length = got.content_length().and_then(|it| u64::try_from(it).ok());
    let size = length.ok_or_else(|| {
        let message = format!("the server does not say how long `{}` is", bucket.name(key));
        Failure::new(FailureKind::Malformed, message)
    })?;
    let version = got.e_tag().unwrap_or_default().to_owned();
    let (pieces, waiting) = mpsc::channel(PIECES);
    let way = Way { bucket: bucket.clone(), key: key.to_owned(), version, size, offset: 0 };
    tokio::spawn(way.run(got.body, pieces));
    Ok(Some(ObjectReader { size, inner: Box::pin(Pieces::new(waiting)) }))
}

struct Way {
    bucket: Bucket,
    key: String,
    version: String,
    size: u64,
    offset: u64,
}

/// How one connection ended.
enum Ended {
    /// Everything came.
    Whole,
    /// Nobody reads any more.
    Unread,
    /// It broke off; how it is told.
    Cut(Failure),
    /// Everything came, and its checksum is not the one that the server knows.
    Damaged(String),
}

impl Way {
    async fn run(mut self, mut body: ByteStream, pieces: Sender) {
        let patience = self.bucket.0.patience.clone();
        let (mut tries, mut moved) = (0, Instant::now());
        loop {
            let before = self.offset;
            let broken = match self.read(body, &pieces).await {
                Ended::Whole | Ended::Unread => return,
                Ended::Damaged(why) => {
                    let message = format!("`{}` arrived damaged: {why}", self.name());
                    self.fail(&pieces, Failure::new(FailureKind::Malformed, message)).await;
                    return;
                }
                Ended::Cut(broken) => broken,
            };
            // Only tries that brought nothing count.
            if self.offset > before {
                (tries, moved) = (0, Instant::now());
            }
            tries += 1;
            body = loop {
                if tries >= patience.attempts || moved.elapsed() > patience.without_progress() {
                    self.fail(&pieces, broken).await;
                    return;
                }
                tokio::time::sleep(patience.wait(tries)).await;
                match self.bucket.fetch(&self.key, Some((self.offset, &self.version))).await {
                    Ok(Some(got)) => break got.body,
                    Ok(None) => {
                        let message = format!("`{}` was deleted while it was read", self.name());
                        self.fail(&pieces, Failure::new(FailureKind::Moved, message)).await;
                        return;
                    }
                    Err(failure) if failure.retryable => tries += 1,
                    Err(failure) => {
                        self.fail(&pieces, failure).await;
                        return;
                    }
                }
            };
        }
    }

    /// Reads one connection to its end.
    async fn read(&mut self, mut body: ByteStream, pieces: &Sender) -> Ended {
        loop {
            match body.next().await {
                None if self.offset == self.size => return Ended::Whole,
                None => {
                    return Ended::Cut(self.cut(&io::Error::other("the server ended it early")));
                }
                Some(Err(error)) if self.offset == self.size => {
                    return Ended::Damaged(chain(&error));
                }
                Some(Err(error)) => return Ended::Cut(self.cut(&error)),
                Some(Ok(bytes)) => {
                    self.offset += bytes.len() as u64;
                    if self.offset > self.size {
                        return Ended::Damaged("it is longer than the server said".to_owned());
                    }
                    if pieces.send(Ok(bytes.to_vec().into_boxed_slice())).await.is_err() {
                        return Ended::Unread;
                    }
                }
            }
        }
    }

    fn cut(&self, error: &(dyn Error + 'static)) -> Failure {
        let at = format!(" at {} of {} bytes", self.offset, self.size);
        broke_off(&self.name(), &at, error)
    }

    async fn fail(&self, pieces: &Sender, failure: Failure) {
        // Where nobody reads any more, nobody needs to know.
        let _ = pieces.send(Err(io::Error::other(failure))).await;
    }

    fn name(&self) -> String {
        self.bucket.name(&self.key)
    }
}
