//! An object sent in parts, with bounded memory.

use super::Bucket;
use super::failure::{failed, status};
use crate::folder::source_failed;
use crate::store::Put;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::{ByteStream, Length};
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use hive_contract::{Failure, FailureKind};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

/// No more parts are possible.
const PARTS: i32 = 10_000;

/// How large parts are: they grow, so that an object of any possible size fits.
#[derive(Clone, Debug)]
pub(super) struct Sizes {
    /// Of the first part, in bytes. No server takes less than 5 MiB.
    pub(super) first: u64,
    /// After how many parts they become twice as large.
    pub(super) doubles_after: i32,
    /// The largest that is kept in memory; of larger ones one at a time lies in a file without name.
    pub(super) in_memory: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { first: 8 << 20, doubles_after: 1000, in_memory: 64 << 20 }
    }
}

impl Sizes {
    fn of(&self, number: i32) -> u64 {
        self.first << ((number - 1) / self.doubles_after)
    }
}

/// A part on its way.
enum Part {
    Memory(Vec<u8>),
    Spilled(File, u64),
}

impl Part {
    fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Spilled(_, size) => *size,
        }
    }
}

/// An upload that is given up unless it is completed, also where its caller is dropped.
struct Upload {
    bucket: Bucket,
    key: String,
    id: String,
    ended: bool,
}

pub(super) async fn upload(
    bucket: &Bucket,
    key: &str,
    mut reader: impl AsyncRead + Send + Unpin,
) -> Result<u64, Failure> {
    let sizes = &bucket.0.sizes;
    let first = fill(&mut reader, sizes.of(1), sizes, key).await?;
    if first.len() < sizes.of(1) {
        return put_whole(bucket, key, first).await;
    }
    let upload = Upload::begin(bucket, key).await?;
    match upload.send_all(first, &mut reader).await {
        Ok((parts, size)) => {
            upload.complete(parts, size).await?;
            Ok(size)
        }
        Err(failure) => {
            upload.abort().await;
            Err(failure)
        }
    }
}

/// What fits into one part needs no upload of several.
async fn put_whole(bucket: &Bucket, key: &str, part: Part) -> Result<u64, Failure> {
    let Part::Memory(bytes) = part else {
        let message = format!("the first part of `{key}` does not fit into memory");
        return Err(Failure::new(FailureKind::Malformed, message));
    };
    match bucket.put_new(key, &bytes).await? {
        Put::Made => Ok(bytes.len() as u64),
        Put::Taken(_) => Err(taken(bucket, key)),
    }
}

impl Upload {
    /// A task of its own: where the caller is dropped before the answer is there, nobody else knows
    /// the id, and the upload is given up as its task ends.
    async fn begin(bucket: &Bucket, key: &str) -> Result<Self, Failure> {
        let (bucket, key) = (bucket.clone(), key.to_owned());
        let name = bucket.name(&key);
        let begun = tokio::spawn(async move {
            let begin = bucket.0.client.create_multipart_upload().bucket(&bucket.0.bucket);
            let begin = begin.key(bucket.full(&key));
            let begun = begin.checksum_algorithm(ChecksumAlgorithm::Crc32).send().await;
            let begun = begun.map_err(|error| failed("write", &bucket.name(&key), &error))?;
            let id = begun.upload_id().unwrap_or_default().to_owned();
            Ok(Self { bucket, key, id, ended: false })
        });
        begun.await.unwrap_or_else(|error| {
            let message = format!("`{name}` cannot be written: {error}");
            Err(Failure::new(FailureKind::Unavailable, message))
        })
    }

    /// Sends one part while the next one is read.
    async fn send_all(
        &self,
        first: Part,
        reader: &mut (impl AsyncRead + Send + Unpin),
    ) -> Result<(Vec<CompletedPart>, u64), Failure> {
        let sizes = &self.bucket.0.sizes;
        let (mut done, mut total, mut number, mut part) = (Vec::new(), 0, 1, first);
        loop {
            let length = part.len();
            total += length;
            if length < sizes.of(number) {
                done.push(self.send(number, part).await?);
                return Ok((done, total));
            }
            if number == PARTS {
                let message = format!("`{}` is too large for one object", self.name());
                return Err(Failure::new(FailureKind::Invalid, message));
            }
            let next = fill(reader, sizes.of(number + 1), sizes, &self.key);
            let (sent, next) = tokio::join!(self.send(number, part), next);
            done.push(sent?);
            part = next?;
            number += 1;
            if part.len() == 0 {
                return Ok((done, total));
            }
        }
    }

    async fn send(&self, number: i32, part: Part) -> Result<CompletedPart, Failure> {
        // The file is open until the part is sent.
        let (body, _file) = match part {
            Part::Memory(bytes) => (ByteStream::from(bytes), None),
            Part::Spilled(file, size) => {
                // Through its number, so that it can be read again from its begin for another try.
                let path = format!("/proc/self/fd/{}", file.as_raw_fd());
                let read = ByteStream::read_from().path(path).length(Length::Exact(size));
                let read = read.build().await.map_err(|error| {
                    let message =
                        format!("a part of `{}` cannot be read back: {error}", self.name());
                    Failure::new(FailureKind::Unavailable, message)
                })?;
                (read, Some(file))
            }
        };
        let inner = &self.bucket.0;
        let sent = inner
            .client
            .upload_part()
            .bucket(&inner.bucket)
            .key(self.bucket.full(&self.key))
            .upload_id(&self.id)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(body)
            .customize()
            .config_override(inner.patience.sending())
            .send()
            .await
            .map_err(|error| failed("write", &self.name(), &error))?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag().map(str::to_owned))
            .set_checksum_crc32(sent.checksum_crc32().map(str::to_owned))
            .build())
    }

    async fn complete(mut self, parts: Vec<CompletedPart>, size: u64) -> Result<(), Failure> {
        let inner = &self.bucket.0;
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let completed = inner
            .client
            .complete_multipart_upload()
            .bucket(&inner.bucket)
            .key(self.bucket.full(&self.key))
            .upload_id(&self.id)
            .multipart_upload(parts)
            .if_none_match("*")
            .customize()
            // A server may put the parts together before it answers.
            .config_override(inner.patience.joining(size))
            .send()
            .await;
        let error = match completed {
            Ok(_) => {
                self.ended = true;
                return Ok(());
            }
            Err(error) => error,
        };
        // The answer to the completing call before this one may have been lost.
        if matches!(error.code(), Some("NoSuchUpload")) || status(&error) == Some(412) {
            let there = self.bucket.head(&self.key).await?.map(|it| it.size);
            if error.code() == Some("NoSuchUpload") && there == Some(size) {
                self.ended = true;
                return Ok(());
            }
            if there.is_some() {
                let failure = taken(&self.bucket, &self.key);
                self.abort().await;
                return Err(failure);
            }
        }
        let failure = failed("write", &self.name(), &error);
        self.abort().await;
        Err(failure)
    }

    async fn abort(mut self) {
        self.ended = true;
        abort(&self.bucket, &self.key, &self.id).await;
    }

    fn name(&self) -> String {
        self.bucket.name(&self.key)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (bucket, key, id) = (self.bucket.clone(), self.key.clone(), self.id.clone());
        runtime.spawn(async move { abort(&bucket, &key, &id).await });
    }
}

/// Gives an upload up. Where this fails, it is swept later, or by the server's own rules.
async fn abort(bucket: &Bucket, key: &str, id: &str) {
    let inner = &bucket.0;
    let abort = inner.client.abort_multipart_upload().bucket(&inner.bucket);
    let abort = abort.key(bucket.full(key)).upload_id(id).send();
    // A server that has just answered nothing is not waited for as long again.
    let _ = tokio::time::timeout(inner.patience.stalled, abort).await;
}

pub(super) async fn sweep(bucket: &Bucket, before_ms: i64) -> Result<usize, Failure> {
    let inner = &bucket.0;
    let below = if inner.prefix.is_empty() { String::new() } else { format!("{}/", inner.prefix) };
    let (mut key_marker, mut id_marker) = (None, None);
    let mut swept = 0;
    loop {
        let list = inner.client.list_multipart_uploads().bucket(&inner.bucket).prefix(&below);
        let list = list.set_key_marker(key_marker).set_upload_id_marker(id_marker);
        let page = list.send().await.map_err(|error| failed("list", bucket.shown(), &error))?;
        for upload in page.uploads() {
            let key = upload.key().and_then(|full| bucket.below(full));
            let (Some(key), Some(id)) = (key, upload.upload_id()) else { continue };
            let begun = super::millis(upload.initiated());
            if crate::location::check_key(key).is_ok() && begun < before_ms {
                abort(bucket, key, id).await;
                swept += 1;
            }
        }
        if page.is_truncated() != Some(true) {
            return Ok(swept);
        }
        key_marker = page.next_key_marker().map(str::to_owned);
        id_marker = page.next_upload_id_marker().map(str::to_owned);
    }
}

/// Reads one part, up to its size; less is the end.
async fn fill(
    reader: &mut (impl AsyncRead + Send + Unpin),
    size: u64,
    sizes: &Sizes,
    key: &str,
) -> Result<Part, Failure> {
    let failed = |error: io::Error| source_failed(key, &error);
    if size > sizes.in_memory {
        let file = spill_file().map_err(|error| {
            let message = format!("a part of `{key}` cannot be kept aside: {error}");
            Failure::new(FailureKind::Unavailable, message)
        })?;
        let mut to = tokio::fs::File::from_std(file);
        let copied = tokio::io::copy(&mut reader.take(size), &mut to).await.map_err(failed)?;
        to.flush().await.map_err(|error| {
            let message = format!("a part of `{key}` cannot be kept aside: {error}");
            Failure::new(FailureKind::Unavailable, message)
        })?;
        return Ok(Part::Spilled(to.into_std().await, copied));
    }
    let capacity = usize::try_from(size).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    while bytes.len() < capacity {
        // Grown as it fills: most streams end in their first part.
        let left = (capacity - bytes.len()) as u64;
        bytes.reserve((capacity - bytes.len()).min(1 << 20));
        if reader.take(left).read_buf(&mut bytes).await.map_err(failed)? == 0 {
            break;
        }
    }
    Ok(Part::Memory(bytes))
}

/// A private file without a name, so that nothing is left of it whatever happens.
fn spill_file() -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::open(std::env::temp_dir(), flags, Mode::RUSR | Mode::WUSR)?;
    Ok(File::from(file))
}

fn taken(bucket: &Bucket, key: &str) -> Failure {
    let message = format!("`{}` is there already, and is not written over", bucket.name(key));
    Failure::new(FailureKind::Taken, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_five_terabytes_fits_and_little_is_in_memory() {
        let sizes = Sizes::default();
        let mut total = 0;
        for number in 1..=PARTS {
            let size = sizes.of(number);
            assert!((5 << 20..=5 << 30).contains(&size), "part {number} has {size} bytes");
            total += size;
        }
        assert!(total > 5 << 40);
        let in_memory = (1..=PARTS).map(|it| sizes.of(it)).filter(|it| *it <= sizes.in_memory);
        assert!(2 * in_memory.max().expect("some are") <= 128 << 20);
    }
}
