//! Making a backup: everything in one pass, and the manifest last.

use crate::engine::Contents;
use crate::id::{BackupId, now_ms};
use crate::lock::{self, Locked};
use crate::repository::Repository;
use crate::sink::{PIECE, PIECES, Piece, Sink};
use age::x25519::Recipient;
use hive_contract::{Failure, FailureKind, Guard, Mark, Token};
use hive_objects::{Pieces, Put};
use hive_sql::manifest::{Kind, Manifest, Object, shrunk};
use sha2::{Digest, Sha256};
use std::future::Future;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

/// The key of the manifest below a backup's own folder.
pub const MANIFEST: &str = "manifest.json";
/// What the key of a backup's data begins with, below its own folder.
pub(crate) const DATA: &str = "data-";
/// The note in a manifest of a backup that is not to be counted as good.
pub const ALARM: &str = "alarm";
/// Note of a manifest: it is far smaller than those before it, and somebody said that this is right.
/// What comes after it is not compared with what came before it.
pub const SMALLER: &str = "smaller";
/// The note in a manifest that was written while the clock was behind an older backup.
pub const CLOCK: &str = "clock";
/// Fast, and nearly as small as any slower level.
const LEVEL: i32 = 3;
/// How far a clock may be behind the newest backup for it to be a clock that was set back.
pub(crate) const BEHIND_MS: i64 = 3_600_000;

/// What is published.
pub struct Order<'a> {
    /// Whose it is.
    pub mark: &'a Mark,
    /// The step that makes it.
    pub token: &'a Token,
    /// Why.
    pub kind: Kind,
    /// The manifests of the backups that are there, for comparison.
    pub previous: &'a [Manifest],
    /// Whether somebody said that it may be far smaller than these.
    pub smaller: bool,
    /// Asked before every write.
    pub guard: &'a dyn Guard,
}

impl<'a> Order<'a> {
    /// One that is compared with nothing.
    pub fn new(mark: &'a Mark, token: &'a Token, kind: Kind, guard: &'a dyn Guard) -> Self {
        Self { mark, token, kind, previous: &[], smaller: false, guard }
    }
}

impl Repository {
    /// Makes a backup of what `dump` writes, and says its manifest; the one that is there already
    /// where the step has made it before. Where the dump is far smaller
    /// than those before it, the manifest has the note [`ALARM`], or [`SMALLER`] where that was said
    /// to be right. Dropped, killed or failed before
    /// the end, there is no backup.
    ///
    /// # Errors
    /// The dump's own failure; else that of the place.
    pub async fn publish<F>(
        &self,
        order: &Order<'_>,
        dump: impl FnOnce(Sink) -> F,
    ) -> Result<Manifest, Failure>
    where
        F: Future<Output = Result<Contents, Failure>>,
    {
        if let Some(manifest) = self.find_by_token(order.token).await? {
            return Ok(manifest);
        }
        order.guard.may_write()?;
        let started_ms = now_ms();
        let id = self.begin(order.token, started_ms).await?;
        let (contents, object) = self.store(&id, &self.free_name()?, dump).await?;
        let (finished_ms, clock) = finished(order.previous, now_ms());
        let surroundings = contents.surroundings.map(|it| match self.recipients.is_empty() {
            true => it,
            false => it.veiled(),
        });
        let mut manifest = Manifest {
            format: Manifest::format_with(surroundings.as_ref()),
            id: id.to_string(),
            token: order.token.as_str().to_owned(),
            mark: order.mark.clone(),
            kind: order.kind,
            source: contents.source,
            snapshot_ms: contents.snapshot_ms,
            started_ms,
            finished_ms,
            schema: contents.schema,
            migrations: contents.migrations,
            tables: contents.tables,
            surroundings,
            objects: vec![object],
            compression: "zstd".to_owned(),
            recipients: self.recipients.clone(),
            tools: contents.tools,
            notes: contents.notes,
        };
        manifest.tools.insert("hive".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        if let Some(clock) = clock {
            manifest.notes.insert(CLOCK.to_owned(), clock);
        }
        if let Some(alarm) = alarm(&manifest, order.previous) {
            let note = if order.smaller { SMALLER } else { ALARM };
            manifest.notes.insert(note.to_owned(), alarm);
        }
        order.guard.may_write()?;
        self.list_it(&id, manifest).await
    }

    /// The id of a step. A try that was cut off may still be writing its manifest, but only where its
    /// data is there already: then this one takes the same id, and of the two manifests one wins.
    async fn begin(&self, token: &Token, now_ms: i64) -> Result<BackupId, Failure> {
        let entries = self.objects.list("").await?;
        let ids = entries.iter().filter_map(|it| BackupId::parse(it.key.split_once('/')?.0));
        let begun = ids.filter(|it| it.may_be_of(token)).max();
        Ok(begun.unwrap_or_else(|| BackupId::new(token, now_ms)))
    }

    /// A name that no other try has.
    fn free_name(&self) -> Result<String, Failure> {
        let mut random = [0; 4];
        getrandom::fill(&mut random).map_err(|error| {
            Failure::new(FailureKind::Unavailable, format!("the system has no randomness: {error}"))
        })?;
        let ending = if self.recipients.is_empty() { "zst" } else { "zst.age" };
        Ok(format!("{DATA}{:08x}.{ending}", u32::from_ne_bytes(random)))
    }

    async fn store<F>(
        &self,
        id: &BackupId,
        name: &str,
        dump: impl FnOnce(Sink) -> F,
    ) -> Result<(Contents, Object), Failure>
    where
        F: Future<Output = Result<Contents, Failure>>,
    {
        let refused = |why: String| Failure::new(FailureKind::Invalid, why);
        let recipients: Result<Vec<Recipient>, String> =
            self.recipients.iter().map(|it| lock::recipient(it)).collect();
        let recipients = recipients.map_err(refused)?;
        let (sink, plain) = Sink::new();
        let (stored, waiting) = mpsc::channel(PIECES);
        let moved = Arc::clone(&self.moved);
        let press = tokio::task::spawn_blocking(move || press(plain, &recipients, stored, &moved));
        let key = id.key(name);
        let upload = self.objects.put_stream(&key, Pieces::new(waiting));
        let (contents, uploaded, pressed) = tokio::join!(dump(sink), upload, press);
        let pressed = pressed.map_err(|error| {
            Failure::new(FailureKind::Malformed, format!("compressing broke off: {error}"))
        })?;
        let sums = match pressed {
            // Whoever read it went away: that is whose failure it is.
            Pressed::Unread => {
                uploaded?;
                let message = format!("writing `{key}` ended before its content did");
                return Err(Failure::new(FailureKind::Malformed, message));
            }
            Pressed::Cut => {
                contents?;
                let message = "the dump ended without saying that it was at its end";
                return Err(Failure::new(FailureKind::Malformed, message));
            }
            Pressed::Failed(error) => {
                let message = format!("the dump cannot be compressed or encrypted: {error}");
                return Err(Failure::new(FailureKind::Malformed, message));
            }
            Pressed::Whole(sums) => sums,
        };
        let size = uploaded?;
        let kept = async {
            let contents = contents?;
            self.check_stored(&key, size, &sums).await?;
            Ok(contents)
        };
        match kept.await {
            Ok(contents) => Ok((contents, sums.object(name))),
            Err(failure) => {
                // It has no manifest, so it is garbage; collected later where this fails.
                let _ = self.objects.delete(&key).await;
                Err(failure)
            }
        }
    }

    /// What the place says that it has is what was sent to it.
    async fn check_stored(&self, key: &str, sent: u64, sums: &Sums) -> Result<(), Failure> {
        let has = self.objects.head(key).await?.map(|it| it.size);
        if has == Some(sums.stored) && sent == sums.stored {
            return Ok(());
        }
        let has = has.map_or_else(|| "nothing".to_owned(), |it| format!("{it} bytes"));
        let message =
            format!("{} has {has} at `{key}` where {} bytes were sent", self.shown(), sums.stored);
        Err(Failure::new(FailureKind::Malformed, message))
    }

    async fn list_it(&self, id: &BackupId, manifest: Manifest) -> Result<Manifest, Failure> {
        let bytes = manifest.to_json().map_err(|error| {
            Failure::new(FailureKind::Malformed, format!("no manifest can be written: {error}"))
        })?;
        if self.objects.put_new(&id.key(MANIFEST), &bytes).await? == Put::Made {
            return Ok(manifest);
        }
        for object in &manifest.objects {
            self.objects.delete(&id.key(&object.key)).await?;
        }
        let there = self.manifest(id.as_str()).await?;
        if there.token == manifest.token {
            return Ok(there);
        }
        let message = format!("somebody else has published a backup {id} at {}", self.shown());
        Err(Failure::new(FailureKind::Taken, message))
    }
}

/// When it counts as finished: after the newest one also where the clock was set back a little, so
/// that the order stays right. The note says what the clock said.
fn finished(previous: &[Manifest], now_ms: i64) -> (i64, Option<String>) {
    let Some(newest) = previous.iter().max_by_key(|it| it.finished_ms) else {
        return (now_ms, None);
    };
    if newest.finished_ms < now_ms {
        return (now_ms, None);
    }
    let note = format!(
        "the clock said {}, which is not after the backup {}",
        jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default(),
        newest.id
    );
    let behind = newest.finished_ms - now_ms;
    let counts = if behind <= BEHIND_MS { newest.finished_ms + 1 } else { now_ms };
    (counts, Some(note))
}

/// Why a new backup is not to be counted as good. What is made for safety is of a database that may
/// have lost its rows: no reason to refuse it.
fn alarm(new: &Manifest, previous: &[Manifest]) -> Option<String> {
    if new.kind != Kind::Run {
        return None;
    }
    let alike = |it: &&Manifest| {
        it.kind == Kind::Run
            && (&it.source.engine, &it.source.name) == (&new.source.engine, &new.source.name)
            && !it.notes.contains_key(ALARM)
    };
    let good: Vec<&Manifest> = previous.iter().filter(alike).collect();
    let right = good.iter().filter(|it| it.notes.contains_key(SMALLER));
    let since = right.map(|it| it.finished_ms).max().unwrap_or(i64::MIN);
    let good: Vec<Manifest> =
        good.into_iter().filter(|it| it.finished_ms >= since).cloned().collect();
    shrunk(new, &good)
}

/// How the way from the dump to the place ended.
enum Pressed {
    Whole(Sums),
    /// The dump ended before its end.
    Cut,
    /// Nobody reads any more.
    Unread,
    Failed(io::Error),
}

/// Sizes and hashes on both sides.
struct Sums {
    size: u64,
    sha256: String,
    stored: u64,
    sha256_stored: String,
}

impl Sums {
    fn object(self, name: &str) -> Object {
        Object {
            key: name.to_owned(),
            size: self.size,
            stored: self.stored,
            sha256: self.sha256,
            sha256_stored: self.sha256_stored,
        }
    }
}

/// Compresses, encrypts and hashes on a thread of its own.
fn press(
    mut plain: mpsc::Receiver<Piece>,
    recipients: &[Recipient],
    stored: mpsc::Sender<io::Result<Box<[u8]>>>,
    moved: &AtomicU64,
) -> Pressed {
    let outlet =
        Outlet { pieces: stored.clone(), buffer: Vec::new(), hash: Sha256::new(), size: 0 };
    match press_all(&mut plain, recipients, outlet, moved) {
        Ok(Some(sums)) => Pressed::Whole(sums),
        Ok(None) => {
            // The reader must not take this for the end of the stream.
            let cut = io::Error::new(ErrorKind::UnexpectedEof, "the dump broke off");
            let _ = stored.blocking_send(Err(cut));
            Pressed::Cut
        }
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Pressed::Unread,
        Err(error) => {
            let told = io::Error::new(error.kind(), error.to_string());
            let _ = stored.blocking_send(Err(told));
            Pressed::Failed(error)
        }
    }
}

fn press_all(
    plain: &mut mpsc::Receiver<Piece>,
    recipients: &[Recipient],
    outlet: Outlet,
    moved: &AtomicU64,
) -> io::Result<Option<Sums>> {
    let mut writer = zstd::Encoder::new(Locked::new(recipients, outlet)?, LEVEL)?;
    let (mut hash, mut size) = (Sha256::new(), 0);
    loop {
        match plain.blocking_recv() {
            Some(Piece::Bytes(bytes)) => {
                hash.update(&bytes);
                size += bytes.len() as u64;
                moved.store(size, Ordering::Relaxed);
                writer.write_all(&bytes)?;
            }
            Some(Piece::End) => break,
            None => return Ok(None),
        }
    }
    let outlet = writer.finish()?.finish()?;
    let (stored, sha256_stored) = outlet.finish()?;
    Ok(Some(Sums { size, sha256: hex(hash), stored, sha256_stored }))
}

/// The end of the way: hashes what is stored, and hands it over.
struct Outlet {
    pieces: mpsc::Sender<io::Result<Box<[u8]>>>,
    buffer: Vec<u8>,
    hash: Sha256,
    size: u64,
}

impl Outlet {
    fn finish(mut self) -> io::Result<(u64, String)> {
        self.flush()?;
        Ok((self.size, hex(self.hash)))
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        let unread = |_| io::Error::new(ErrorKind::BrokenPipe, "nobody reads any more");
        self.pieces.blocking_send(Ok(piece.into_boxed_slice())).map_err(unread)
    }
}

pub(crate) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        use std::fmt::Write as _;
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
