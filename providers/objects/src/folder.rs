//! Objects as files below a folder: written aside, made durable, and only then put in their place.

use crate::store::{Content, Entry, ObjectReader, Put};
use crate::{failure, open, rename_new};
use hive_contract::{Failure, FailureKind, Fingerprint};
use rustix::fs::{CWD, FlockOperation};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

/// Where files lie until they are whole. No key begins with a dot.
const PARTIAL: &str = ".partial";
/// How much of a stream is read at once, and how many such pieces wait to be written.
const PIECE: usize = 1 << 20;
const PIECES: usize = 4;

/// A folder that holds objects. Folders are made 0700, files 0600.
#[derive(Clone)]
pub struct Folder {
    root: Arc<PathBuf>,
    shown: Arc<str>,
}

/// A file that is taken away unless it gets its place.
struct Partial {
    file: File,
    path: PathBuf,
}

impl Folder {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: Arc::new(root.to_owned()), shown: root.display().to_string().into() }
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    pub(crate) async fn probe(&self) -> Result<(), Failure> {
        // The system itself refuses the second of two; what is left to know is whether one can be.
        self.run(|it| it.partial().map(drop).map_err(|error| it.failed("write into", "", &error)))
            .await
    }

    /// Small objects are written where the caller stands: one that is dropped has written it or has
    /// not, and nothing comes later.
    pub(crate) fn put_new(&self, key: &str, bytes: &[u8]) -> Result<Put, Failure> {
        let written = self.write(bytes).and_then(|partial| self.install(partial, key));
        match written {
            Ok(()) => Ok(Put::Made),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let there = self.read(key, u64::MAX - 1)?.unwrap_or_default();
                Ok(if there == bytes { Put::Made } else { Put::Taken(there) })
            }
            Err(error) => Err(self.failed("write", key, &error)),
        }
    }

    /// As [`Self::put_new`].
    pub(crate) fn put_over(&self, key: &str, bytes: &[u8], version: &str) -> Result<Put, Failure> {
        let _lock = self.lock().map_err(|error| self.failed("lock", "", &error))?;
        let there = self.read(key, u64::MAX - 1)?.unwrap_or_default();
        if there == bytes {
            return Ok(Put::Made);
        }
        if version_of(&there) != version {
            return Ok(Put::Taken(there));
        }
        self.write(bytes)
            .and_then(|partial| self.replace(partial, key))
            .map_err(|error| self.failed("write", key, &error))?;
        Ok(Put::Made)
    }

    pub(crate) async fn put_stream(
        &self,
        key: &str,
        mut reader: impl AsyncRead + Send + Unpin,
    ) -> Result<u64, Failure> {
        let (pieces, mut waiting) = mpsc::channel::<Piece>(PIECES);
        let whole = key.to_owned();
        let writer = self.run(move |it| {
            let mut partial = it.partial().map_err(|error| it.failed("write", &whole, &error))?;
            let mut size = 0;
            loop {
                match waiting.blocking_recv() {
                    Some(Piece::Bytes(bytes)) => {
                        size += bytes.len() as u64;
                        let written = partial.file.write_all(&bytes);
                        written.map_err(|error| it.failed("write", &whole, &error))?;
                    }
                    Some(Piece::End) => break,
                    None => return Err(given_up(&whole)),
                }
            }
            let placed = it.install(partial, &whole);
            placed.map(|()| size).map_err(|error| it.failed("write", &whole, &error))
        });
        let reading = async move {
            loop {
                let mut bytes = Vec::with_capacity(PIECE);
                while bytes.len() < PIECE {
                    let left = (PIECE - bytes.len()) as u64;
                    if (&mut reader).take(left).read_buf(&mut bytes).await? == 0 {
                        break;
                    }
                }
                let last = bytes.len() < PIECE;
                // A writer that has failed takes no more, and says itself why.
                let taken = pieces.send(Piece::Bytes(bytes)).await.is_ok();
                if taken && last {
                    let _ = pieces.send(Piece::End).await;
                }
                if !taken || last {
                    return io::Result::Ok(());
                }
            }
        };
        let (read, written) = tokio::join!(reading, writer);
        read.map_err(|error| source_failed(key, &error))?;
        written
    }

    pub(crate) async fn get(&self, key: &str, limit: u64) -> Result<Option<Content>, Failure> {
        let key = key.to_owned();
        self.run(move |it| {
            let read = it.read(&key, limit)?;
            Ok(read.map(|bytes| Content { version: version_of(&bytes), bytes }))
        })
        .await
    }

    pub(crate) async fn get_stream(&self, key: &str) -> Result<Option<ObjectReader>, Failure> {
        let whole = key.to_owned();
        let shown = self.name(key);
        let opened = self.run(move |it| open(CWD, &it.path(&whole), &it.name(&whole))).await?;
        let Some(opened) = opened else { return Ok(None) };
        let size = opened.length;
        let mut file = opened.into_file();
        let (pieces, waiting) = mpsc::channel(PIECES);
        tokio::task::spawn_blocking(move || {
            let mut left = size;
            while left > 0 {
                let mut bytes = Vec::with_capacity(PIECE);
                let piece = match (&mut file).take(PIECE as u64).read_to_end(&mut bytes) {
                    Ok(0) => Err(io::Error::new(
                        ErrorKind::UnexpectedEof,
                        format!("`{shown}` became shorter while it was read"),
                    )),
                    Ok(count) => {
                        left = left.saturating_sub(count as u64);
                        Ok(bytes.into_boxed_slice())
                    }
                    Err(error) => Err(error),
                };
                let failed = piece.is_err();
                // A reader that went away wants no more.
                if pieces.blocking_send(piece).is_err() || failed {
                    return;
                }
            }
        });
        Ok(Some(ObjectReader { size, inner: Box::pin(crate::pieces::Pieces::new(waiting)) }))
    }

    pub(crate) async fn head(&self, key: &str) -> Result<Option<Entry>, Failure> {
        let key = key.to_owned();
        self.run(move |it| match it.path(&key).symlink_metadata() {
            Ok(found) if found.is_file() => Ok(Some(entry(&key, &found))),
            Ok(_) => Err(Failure::new(
                FailureKind::Malformed,
                format!("`{}` is not a file", it.name(&key)),
            )),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(it.failed("read", &key, &error)),
        })
        .await
    }

    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<Entry>, Failure> {
        let prefix = prefix.to_owned();
        self.run(move |it| {
            let mut entries = Vec::new();
            // Only below the deepest folder that the prefix names.
            let start = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
            it.walk(start, &mut entries)?;
            entries.retain(|entry| entry.key.starts_with(&prefix));
            entries.sort_by(|a, b| a.key.cmp(&b.key));
            Ok(entries)
        })
        .await
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<(), Failure> {
        let key = key.to_owned();
        self.run(move |it| {
            let path = it.path(&key);
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(it.failed("delete", &key, &error)),
            }
            let mut folder = path.parent().unwrap_or(&it.root);
            while folder != it.root.as_path() && fs::remove_dir(folder).is_ok() {
                folder = folder.parent().unwrap_or(&it.root);
            }
            match sync_folder(folder) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    Err(it.failed("delete", &key, &error))
                }
                _ => Ok(()),
            }
        })
        .await
    }

    pub(crate) async fn sweep(&self, before_ms: i64) -> Result<usize, Failure> {
        self.run(move |it| {
            let folder = it.root.join(PARTIAL);
            let names = match fs::read_dir(&folder) {
                Ok(names) => names,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
                Err(error) => return Err(it.failed("list", PARTIAL, &error)),
            };
            let mut swept = 0;
            for name in names {
                let name = name.map_err(|error| it.failed("list", PARTIAL, &error))?;
                let Ok(found) = name.metadata() else { continue };
                let ours = name.file_name().to_str().is_some_and(is_partial);
                if ours && found.is_file() && modified_ms(&found) < before_ms {
                    match fs::remove_file(name.path()) {
                        Ok(()) => swept += 1,
                        Err(error) if error.kind() == ErrorKind::NotFound => {}
                        Err(error) => return Err(it.failed("delete", PARTIAL, &error)),
                    }
                }
            }
            Ok(swept)
        })
        .await
    }

    /// File calls block: they run where that disturbs nobody.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let it = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&it)).await;
        done.unwrap_or_else(|error| {
            let message = format!("writing below `{}` broke off: {error}", self.shown);
            Err(Failure::new(FailureKind::Malformed, message))
        })
    }

    fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    fn name(&self, key: &str) -> String {
        self.path(key).display().to_string()
    }

    fn failed(&self, verb: &str, key: &str, error: &io::Error) -> Failure {
        let shown = self.name(key);
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Failure::new(
                FailureKind::Unavailable,
                format!("no space is left for `{shown}`; nothing was kept of it"),
            ),
            ErrorKind::AlreadyExists => Failure::new(
                FailureKind::Taken,
                format!("`{shown}` is there already, and is not written over"),
            ),
            _ => failure(verb, &shown, error),
        }
    }

    fn read(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>, Failure> {
        let Some(opened) = open(CWD, &self.path(key), &self.name(key))? else { return Ok(None) };
        let bytes = opened.bytes(limit).map_err(|error| self.failed("read", key, &error))?;
        if bytes.len() as u64 > limit {
            return Err(too_long(&self.name(key), limit));
        }
        Ok(Some(bytes))
    }

    fn partial(&self) -> io::Result<Partial> {
        let folder = self.root.join(PARTIAL);
        make_folder(&folder)?;
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let path = folder.join(format!("{:016x}", u64::from_ne_bytes(random)));
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Partial { file, path })
    }

    fn write(&self, bytes: &[u8]) -> io::Result<Partial> {
        let mut partial = self.partial()?;
        partial.file.write_all(bytes)?;
        Ok(partial)
    }

    fn install(&self, partial: Partial, key: &str) -> io::Result<()> {
        let to = self.path(key);
        partial.file.sync_all()?;
        self.make_parents(&to)?;
        match rename_new(&partial.path, &to) {
            // A delete beside us took the folder away while it was empty.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.make_parents(&to)?;
                rename_new(&partial.path, &to)?;
            }
            done => done?,
        }
        sync_folder(to.parent().unwrap_or(&self.root))
    }

    fn replace(&self, partial: Partial, key: &str) -> io::Result<()> {
        let to = self.path(key);
        partial.file.sync_all()?;
        self.make_parents(&to)?;
        fs::rename(&partial.path, &to)?;
        sync_folder(to.parent().unwrap_or(&self.root))
    }

    /// Makes the folders of a file, and makes durable that they are there.
    fn make_parents(&self, file: &Path) -> io::Result<()> {
        let Some(parent) = file.parent().filter(|it| !it.is_dir()) else { return Ok(()) };
        make_folder(parent)?;
        let mut folder = parent;
        while folder != self.root.as_path() {
            let Some(above) = folder.parent() else { break };
            sync_folder(above)?;
            folder = above;
        }
        Ok(())
    }

    /// One conditional write at a time, also between processes.
    fn lock(&self) -> io::Result<File> {
        make_folder(&self.root.join(PARTIAL))?;
        let path = self.root.join(PARTIAL).join("lock");
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))?;
        Ok(file)
    }

    fn walk(&self, below: &str, entries: &mut Vec<Entry>) -> Result<(), Failure> {
        let folder = self.path(below);
        let names = match fs::read_dir(&folder) {
            Ok(names) => names,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(self.failed("list", below, &error)),
        };
        for name in names {
            let name = name.map_err(|error| self.failed("list", below, &error))?;
            // What is no key is not ours.
            let Some(text) = name.file_name().to_str().map(str::to_owned) else { continue };
            let key = if below.is_empty() { text } else { format!("{below}/{text}") };
            if crate::location::check_key(&key).is_err() {
                continue;
            }
            let kind = name.file_type().map_err(|error| self.failed("list", &key, &error))?;
            if kind.is_dir() {
                self.walk(&key, entries)?;
            } else if kind.is_file() {
                match name.metadata() {
                    Ok(found) => entries.push(entry(&key, &found)),
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(self.failed("list", &key, &error)),
                }
            }
        }
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Where it was renamed to its place this finds nothing.
        let _ = fs::remove_file(&self.path);
    }
}

enum Piece {
    Bytes(Vec<u8>),
    End,
}

fn given_up(key: &str) -> Failure {
    Failure::new(FailureKind::Cancelled, format!("writing `{key}` was given up before its end"))
}

pub(crate) fn source_failed(key: &str, error: &io::Error) -> Failure {
    let message = format!("what `{key}` is made of could not be read to its end: {error}");
    Failure::new(FailureKind::Unavailable, message)
}

pub(crate) fn too_long(shown: &str, limit: u64) -> Failure {
    let message = format!("`{shown}` is longer than {limit} bytes: hive did not write it");
    Failure::new(FailureKind::Malformed, message)
}

fn version_of(bytes: &[u8]) -> String {
    Fingerprint::of_bytes(bytes).as_str().to_owned()
}

fn is_partial(name: &str) -> bool {
    name.len() == 16 && name.chars().all(|c| c.is_ascii_hexdigit())
}

fn make_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn entry(key: &str, found: &fs::Metadata) -> Entry {
    Entry { key: key.to_owned(), size: found.len(), modified_ms: modified_ms(found) }
}

fn modified_ms(found: &fs::Metadata) -> i64 {
    let since = found.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |it| i64::try_from(it.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn desk() -> (tempfile::TempDir, Folder) {
        let folder = tempfile::tempdir().expect("folder");
        let objects = Folder::new(&folder.path().join("made/when/needed"));
        (folder, objects)
    }

    fn partials(folder: &Folder) -> usize {
        let names = fs::read_dir(folder.root.join(PARTIAL)).into_iter().flatten().flatten();
        names.filter(|name| name.file_name() != "lock").count()
    }

    #[tokio::test]
    async fn a_key_is_written_once_and_the_same_bytes_twice_are_one_effect() {
        let (_folder, objects) = desk();
        assert!(objects.list("").await.expect("lists").is_empty());
        assert_eq!(objects.put_new("a/b", b"one"), Ok(Put::Made));
        assert_eq!(objects.put_new("a/b", b"one"), Ok(Put::Made));
        assert_eq!(objects.put_new("a/b", b"two"), Ok(Put::Taken(b"one".to_vec())));
        let mode = |key: &str| objects.path(key).metadata().expect("there").permissions().mode();
        assert_eq!((mode("a/b") & 0o777, mode("a") & 0o777), (0o600, 0o700));
        let entries = objects.list("a/").await.expect("lists");
        assert_eq!((entries.len(), entries[0].key.as_str(), entries[0].size), (1, "a/b", 3));
        objects.delete("a/b").await.expect("deletes");
        objects.delete("a/b").await.expect("is gone");
        assert!(!objects.path("a").exists(), "its empty folder goes with it");
        assert_eq!(partials(&objects), 0);
    }

    #[tokio::test]
    async fn a_write_over_another_version_is_refused() {
        let (_folder, objects) = desk();
        objects.put_new("mark", b"one").expect("writes");
        let seen = objects.get("mark", 100).await.expect("reads").expect("is there");
        assert_eq!(objects.put_over("mark", b"two", &seen.version), Ok(Put::Made));
        assert_eq!(objects.put_over("mark", b"two", &seen.version), Ok(Put::Made));
        let late = objects.put_over("mark", b"three", &seen.version);
        assert_eq!(late, Ok(Put::Taken(b"two".to_vec())));
        assert!(objects.get("mark", 2).await.expect_err("is longer").message.contains("longer"));
    }

    #[tokio::test]
    async fn a_stream_is_there_whole_or_not_at_all() {
        let (_folder, objects) = desk();
        let bytes = vec![7_u8; 3 * PIECE + 5];
        let size = objects.put_stream("data", bytes.as_slice()).await.expect("writes");
        assert_eq!(size, bytes.len() as u64);
        let mut reader = objects.get_stream("data").await.expect("opens").expect("is there");
        let mut back = Vec::new();
        reader.read_to_end(&mut back).await.expect("reads");
        assert!(back == bytes && reader.size == size);
        let again = objects.put_stream("data", b"x".as_slice()).await.expect_err("is there");
        assert_eq!(again.kind, FailureKind::Taken);

        let broken = that_breaks(&bytes[..PIECE + 1]);
        let failure = objects.put_stream("half", broken).await.expect_err("breaks");
        assert!(failure.message.contains("cable"), "{failure}");
        assert_eq!(objects.head("half").await, Ok(None));
        assert_eq!(partials(&objects), 0);
    }

    /// Gives these bytes and then fails.
    fn that_breaks(bytes: &[u8]) -> impl AsyncRead + Send + Unpin + '_ {
        struct Cut;
        impl AsyncRead for Cut {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
                _: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<io::Result<()>> {
                std::task::Poll::Ready(Err(io::Error::other("the cable is cut")))
            }
        }
        tokio::io::AsyncReadExt::chain(bytes, Cut)
    }

    #[tokio::test]
    async fn a_dropped_stream_leaves_nothing() {
        let (_folder, objects) = desk();
        let (mut feed, reader) = tokio::io::duplex(64);
        let writing = objects.put_stream("data", reader);
        tokio::select! {
            _ = writing => panic!("it cannot end before its source does"),
            () = async {
                tokio::io::AsyncWriteExt::write_all(&mut feed, &[1; 4096]).await.expect("takes");
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            } => {}
        }
        for _ in 0..200 {
            if partials(&objects) == 0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!((partials(&objects), objects.head("data").await), (0, Ok(None)));
    }

    #[tokio::test]
    async fn what_a_dead_writer_left_is_not_listed_and_is_swept_later() {
        let (_folder, objects) = desk();
        objects.put_new("kept", b"x").expect("writes");
        let left = objects.partial().expect("begins");
        let path = left.path.clone();
        std::mem::forget(left);
        fs::write(objects.root.join(PARTIAL).join("foreign.txt"), "x").expect("writes");
        assert_eq!(objects.list("").await.expect("lists").len(), 1);
        assert_eq!(objects.sweep(0).await, Ok(0), "a writer may still be at it");
        assert_eq!(objects.sweep(i64::MAX).await, Ok(1));
        assert!(!path.exists() && objects.root.join(PARTIAL).join("foreign.txt").exists());
    }

    #[tokio::test]
    async fn of_many_writers_of_one_key_one_wins() {
        let (_folder, objects) = desk();
        for round in 0..20 {
            let key = format!("round-{round}");
            let writers: Vec<_> = (0..8)
                .map(|writer: u8| {
                    let (objects, key) = (objects.clone(), key.clone());
                    tokio::spawn(async move { objects.put_new(&key, &[writer]) })
                })
                .collect();
            let mut made = 0;
            for writer in writers {
                made += usize::from(writer.await.expect("ends") == Ok(Put::Made));
            }
            assert_eq!(made, 1, "round {round}");
        }
    }

    #[tokio::test]
    async fn a_link_in_an_objects_place_is_not_followed() {
        let (_folder, objects) = desk();
        objects.put_new("kept", b"x").expect("writes");
        std::os::unix::fs::symlink("/etc/hostname", objects.path("link")).expect("links");
        assert_eq!(objects.list("").await.expect("lists").len(), 1);
        assert!(objects.get("link", 100).await.is_err() && objects.head("link").await.is_err());
    }

    #[tokio::test]
    async fn a_full_disk_says_so_and_keeps_nothing() {
        let folder = Folder::new(Path::new("/dev/full"));
        let full = io::Error::from(ErrorKind::StorageFull);
        let failure = folder.failed("write", "data", &full);
        assert!(failure.message.contains("no space is left") && !failure.retryable);
        assert!(folder.put_new("x", b"x").is_err(), "a file is no folder");
    }
}
