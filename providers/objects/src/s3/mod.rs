//! Objects in a bucket, by the S3 protocol.

mod client;
mod download;
mod failure;
mod stall;
mod upload;

#[cfg(test)]
mod tests;

use crate::folder::too_long;
use crate::location::{Location, S3Settings};
use crate::store::{Content, Entry, ObjectReader, Put};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use client::Patience;
pub(crate) use client::STALLED;
use failure::{HttpResponse, failed, status};
use hive_contract::{Failure, FailureKind};
use std::sync::Arc;
use tokio::io::AsyncRead;
use upload::Sizes;

/// How often a conditional write is tried again that the server was too busy to decide.
const CONFLICTS: u32 = 5;

/// Objects below a prefix in a bucket.
#[derive(Clone)]
pub struct Bucket(Arc<Inner>);

struct Inner {
    client: Client,
    bucket: String,
    prefix: String,
    shown: String,
    patience: Patience,
    sizes: Sizes,
}

impl Bucket {
    pub(crate) async fn open(
        name: &str,
        prefix: &str,
        settings: &S3Settings,
    ) -> Result<Self, Failure> {
        let patience = Patience::of(settings.patience);
        Self::open_with(name, prefix, settings, patience, Sizes::default()).await
    }

    async fn open_with(
        name: &str,
        prefix: &str,
        settings: &S3Settings,
        patience: Patience,
        sizes: Sizes,
    ) -> Result<Self, Failure> {
        let location = Location::Bucket { name: name.to_owned(), prefix: prefix.to_owned() };
        let shown = location.to_string();
        let client = client::connect(&shown, settings, &patience).await?;
        let (bucket, prefix) = (name.to_owned(), prefix.to_owned());
        Ok(Self(Arc::new(Inner { client, bucket, prefix, shown, patience, sizes })))
    }

    pub(crate) fn shown(&self) -> &str {
        &self.0.shown
    }

    /// Asks the server itself: the second writer of a key, and a writer over a version that is not
    /// there, must be refused.
    pub(crate) async fn probe(&self) -> Result<(), Failure> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| {
            Failure::new(FailureKind::Unavailable, format!("the system has no randomness: {error}"))
        })?;
        let key = format!("hive-probe-{:016x}", u64::from_ne_bytes(random));
        let first = self.put_new(&key, b"first").await?;
        let second = self.put_new(&key, b"second").await;
        let stale = self.put_over(&key, b"third", "\"00000000000000000000000000000000\"").await;
        self.delete(&key).await?;
        let kept = |put: Put| matches!(put, Put::Taken(there) if there == b"first");
        if first == Put::Made && kept(second?) && kept(stale?) {
            return Ok(());
        }
        let message = format!(
            "the server of {} ignores conditions of writes, so two that write at once could lose data: \
             hive does not use it",
            self.shown()
        );
        Err(Failure::new(FailureKind::Invalid, message))
    }

    pub(crate) async fn put_new(&self, key: &str, bytes: &[u8]) -> Result<Put, Failure> {
        self.put(key, bytes, None).await
    }

    pub(crate) async fn put_over(
        &self,
        key: &str,
        bytes: &[u8],
        version: &str,
    ) -> Result<Put, Failure> {
        self.put(key, bytes, Some(version)).await
    }

    async fn put(&self, key: &str, bytes: &[u8], over: Option<&str>) -> Result<Put, Failure> {
        let mut conflicts = 0;
        loop {
            let put = self.0.client.put_object().bucket(&self.0.bucket).key(self.full(key));
            let put = match over {
                Some(version) => put.if_match(version),
                None => put.if_none_match("*"),
            };
            let put = put.body(ByteStream::from(bytes.to_vec())).customize();
            let put = put.config_override(self.0.patience.sending());
            match put.send().await {
                Ok(_) => return Ok(Put::Made),
                Err(error) => match (status(&error), error.code()) {
                    (Some(412), _) => {}
                    (Some(404), Some("NoSuchKey")) if over.is_some() => {}
                    (Some(409), _) if conflicts < CONFLICTS => {
                        conflicts += 1;
                        tokio::time::sleep(self.0.patience.wait(conflicts)).await;
                        continue;
                    }
                    _ => return Err(failed("write", &self.name(key), &error)),
                },
            }
            // The write before a cut connection may have been our own.
            let there = self.get(key, u64::MAX).await?.map(|it| it.bytes).unwrap_or_default();
            return Ok(if there == bytes { Put::Made } else { Put::Taken(there) });
        }
    }

    pub(crate) async fn put_stream(
        &self,
        key: &str,
        reader: impl AsyncRead + Send + Unpin,
    ) -> Result<u64, Failure> {
        upload::upload(self, key, reader).await
    }

    pub(crate) async fn get(&self, key: &str, limit: u64) -> Result<Option<Content>, Failure> {
        let mut tries = 1;
        loop {
            let got = match self.fetch(key, None).await? {
                None => return Ok(None),
                Some(got) => got,
            };
            let size = u64::try_from(got.content_length().unwrap_or_default()).unwrap_or_default();
            if size > limit {
                return Err(too_long(&self.name(key), limit));
            }
            let version = got.e_tag().unwrap_or_default().to_owned();
            let error = match got.body.collect().await {
                Ok(bytes) => return Ok(Some(Content { bytes: bytes.to_vec(), version })),
                Err(error) => error,
            };
            if tries == self.0.patience.attempts {
                return Err(failure::broke_off(&self.name(key), "", &error));
            }
            tokio::time::sleep(self.0.patience.wait(tries)).await;
            tries += 1;
        }
    }

    pub(crate) async fn get_stream(&self, key: &str) -> Result<Option<ObjectReader>, Failure> {
        download::download(self, key).await
    }

    pub(crate) async fn head(&self, key: &str) -> Result<Option<Entry>, Failure> {
        let head = self.0.client.head_object().bucket(&self.0.bucket).key(self.full(key));
        match head.send().await {
            Ok(found) => Ok(Some(Entry {
                key: key.to_owned(),
                size: u64::try_from(found.content_length().unwrap_or_default()).unwrap_or_default(),
                modified_ms: millis(found.last_modified()),
            })),
            // A head has no body that could tell a missing object from a missing bucket.
            Err(error) if status(&error) == Some(404) => {
                self.bucket_is_there().await?;
                Ok(None)
            }
            Err(error) => Err(failed("read", &self.name(key), &error)),
        }
    }

    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<Entry>, Failure> {
        let below = if prefix.is_empty() && !self.0.prefix.is_empty() {
            format!("{}/", self.0.prefix)
        } else {
            self.full(prefix)
        };
        let list = self.0.client.list_objects_v2().bucket(&self.0.bucket).prefix(below);
        let mut pages = list.into_paginator().send();
        let mut entries = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("list", self.shown(), &error))?;
            entries.extend(page.contents().iter().filter_map(|object| {
                let key = self.below(object.key()?)?;
                // What is no key is not ours.
                crate::location::check_key(key).ok()?;
                Some(Entry {
                    key: key.to_owned(),
                    size: u64::try_from(object.size().unwrap_or_default()).unwrap_or_default(),
                    modified_ms: millis(object.last_modified()),
                })
            }));
        }
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(entries)
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<(), Failure> {
        let delete = self.0.client.delete_object().bucket(&self.0.bucket).key(self.full(key));
        match delete.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("NoSuchKey") => Ok(()),
            Err(error) => Err(failed("delete", &self.name(key), &error)),
        }
    }

    pub(crate) async fn sweep(&self, before_ms: i64) -> Result<usize, Failure> {
        upload::sweep(self, before_ms).await
    }

    /// An object as the server gives it, from an offset of a version on; none where there is none.
    async fn fetch(
        &self,
        key: &str,
        from: Option<(u64, &str)>,
    ) -> Result<Option<aws_sdk_s3::operation::get_object::GetObjectOutput>, Failure> {
        let mut get = self.0.client.get_object().bucket(&self.0.bucket).key(self.full(key));
        if let Some((offset, version)) = from {
            get = get.range(format!("bytes={offset}-")).if_match(version);
        }
        match get.send().await {
            Ok(got) => Ok(Some(got)),
            Err(error) if error.code() == Some("NoSuchKey") => Ok(None),
            Err(error) => Err(failed("read", &self.name(key), &error)),
        }
    }

    async fn bucket_is_there(&self) -> Result<(), Failure> {
        match self.0.client.head_bucket().bucket(&self.0.bucket).send().await {
            Ok(_) => Ok(()),
            Err(error) if status(&error) == Some(404) => {
                let message = format!("there is no bucket `{}`", self.0.bucket);
                Err(Failure::new(FailureKind::Invalid, message))
            }
            // Who may read objects need not be allowed to look at the bucket.
            Err(error) if status(&error) == Some(403) => Ok(()),
            Err(error) => Err(failed("read", self.shown(), &error)),
        }
    }

    fn full(&self, key: &str) -> String {
        if self.0.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.0.prefix) }
    }

    fn below<'k>(&self, full: &'k str) -> Option<&'k str> {
        if self.0.prefix.is_empty() {
            return Some(full);
        }
        full.strip_prefix(&self.0.prefix)?.strip_prefix('/')
    }

    fn name(&self, key: &str) -> String {
        format!("{}/{key}", self.0.shown)
    }
}

fn millis(at: Option<&aws_sdk_s3::primitives::DateTime>) -> i64 {
    at.and_then(|it| it.to_millis().ok()).unwrap_or_default()
}

/// Where the answer to a request is an error, whatever the request was.
type Refused<E> = SdkError<E, HttpResponse>;
