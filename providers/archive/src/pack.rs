//! A folder as one stream.

use crate::tally::Tally;
use crate::walk::{Entry, Sort, Unread, Walk};
use hive_backup::now_ms;
use rustix::fs::OFlags;
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a file that changes under the reader is read.
const TRIES: u32 = 4;
/// For how long the system may give two changes the same time, with room to spare.
const FRESH_MS: i64 = 40;

/// What was packed.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    pub(crate) tally: Tally,
    /// How many pipes and devices were left out.
    pub(crate) odd: u64,
}

/// Why a folder could not be packed.
#[derive(Debug)]
pub(crate) enum Broken {
    /// Something in it cannot be read.
    Unread(Unread),
    /// A file changed each time it was read.
    Restless(PathBuf),
    /// The stream is no longer taken.
    Unwritten(io::Error),
}

/// Writes everything below `root`. Nothing is held in memory but names.
///
/// # Errors
/// See [`Broken`]; what is written by then is worth nothing.
pub(crate) fn pack<W: Write>(
    root: &Path,
    except: Option<&Path>,
    into: W,
) -> Result<(Packed, W), Broken> {
    let mut pack = Pack {
        root,
        tar: tar::Builder::new(into),
        tally: Tally::default(),
        first: BTreeMap::new(),
    };
    let mut walk = Walk::new(root, except);
    while let Some(entry) = walk.next().map_err(Broken::Unread)? {
        match pack.entry(&entry) {
            // It went away since it was seen.
            Err(Broken::Unread(unread)) if unread.error.kind() == ErrorKind::NotFound => {}
            done => done?,
        }
    }
    let into = pack.tar.into_inner().map_err(Broken::Unwritten)?;
    Ok((Packed { tally: pack.tally, odd: walk.odd }, into))
}

struct Pack<'a, W: Write> {
    root: &'a Path,
    tar: tar::Builder<W>,
    tally: Tally,
    /// The first name of a file with several, as it was packed, and the hash of its content.
    first: BTreeMap<(u64, u64), (Entry, [u8; 32])>,
}

impl<W: Write> Pack<'_, W> {
    fn entry(&mut self, entry: &Entry) -> Result<(), Broken> {
        match &entry.sort {
            Sort::Folder => self.folder(entry),
            Sort::Link(to) => self.link(entry, to),
            Sort::File => self.file(entry),
        }
    }

    fn folder(&mut self, entry: &Entry) -> Result<(), Broken> {
        let mut header = header(entry, tar::EntryType::Directory, 0);
        self.times(entry)?;
        let path = shown(&entry.path);
        self.tar.append_data(&mut header, path.join(""), io::empty()).map_err(Broken::Unwritten)?;
        count(&mut self.tally, entry, &[]);
        Ok(())
    }

    fn link(&mut self, entry: &Entry, to: &Path) -> Result<(), Broken> {
        let mut header = header(entry, tar::EntryType::Symlink, 0);
        self.times(entry)?;
        self.tar.append_link(&mut header, &entry.path, to).map_err(Broken::Unwritten)?;
        count(&mut self.tally, entry, to.as_os_str().as_bytes());
        Ok(())
    }

    fn file(&mut self, entry: &Entry) -> Result<(), Broken> {
        let names = (entry.meta.dev(), entry.meta.ino());
        if entry.meta.nlink() > 1
            && let Some((first, hash)) = self.first.get(&names)
        {
            let mut header = header(entry, tar::EntryType::Link, 0);
            self.tar
                .append_link(&mut header, &entry.path, &first.path)
                .map_err(Broken::Unwritten)?;
            // It is the same file, as it was when it was read.
            let same = Entry { path: entry.path.clone(), ..first.clone() };
            count(&mut self.tally, &same, hash);
            return Ok(());
        }
        for again in 0..TRIES {
            let seen = self.root.join(&entry.path).symlink_metadata();
            if again > 0 || seen.is_ok_and(|meta| is_fresh(&meta)) {
                pause();
            }
            if let Some((read, hash)) = self.try_file(&entry.path)? {
                count(&mut self.tally, &read, &hash);
                if read.meta.nlink() > 1 {
                    self.first.insert(names, (read, hash));
                }
                return Ok(());
            }
        }
        Err(Broken::Restless(entry.path.clone()))
    }

    /// Writes a file as it is now. Where it changes meanwhile, what was written is followed by
    /// another try under the same name, which counts for whoever reads the stream.
    fn try_file(&mut self, path: &Path) -> Result<Option<(Entry, [u8; 32])>, Broken> {
        let unread = |error| Broken::Unread(Unread { path: path.to_owned(), error });
        let file = OpenOptions::new().read(true).custom_flags(flags()).open(self.root.join(path));
        let file = match file {
            // A link has taken its place.
            Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
                return Ok(None);
            }
            opened => opened.map_err(unread)?,
        };
        let meta = file.metadata().map_err(unread)?;
        if !meta.is_file() {
            return Ok(None);
        }
        let entry = Entry { path: path.to_owned(), sort: Sort::File, meta };
        let mut header = header(&entry, tar::EntryType::Regular, entry.meta.len());
        self.times(&entry)?;
        let mut exact = Exact::new(&file, entry.meta.len());
        self.tar.append_data(&mut header, path, &mut exact).map_err(Broken::Unwritten)?;
        if let Some(error) = exact.error {
            return Err(unread(error));
        }
        let (short, hash) = (exact.short, exact.hash.finalize().into());
        let after = file.metadata().map_err(unread)?;
        // A change in the same tick of the clock would leave the time as it is.
        let same = !short
            && !is_fresh(&entry.meta)
            && after.len() == entry.meta.len()
            && times_of(&after) == times_of(&entry.meta)
            && after.mode() == entry.meta.mode();
        Ok(same.then_some((entry, hash)))
    }

    /// Times to the nanosecond, which a plain header has no room for.
    fn times(&mut self, entry: &Entry) -> Result<(), Broken> {
        let time = format!("{}.{:09}", entry.meta.mtime(), entry.meta.mtime_nsec());
        // A negative time with a fraction is written differently by everyone.
        if entry.meta.mtime() < 0 || entry.meta.mtime_nsec() == 0 {
            return Ok(());
        }
        let times = [("mtime", time.as_bytes())];
        self.tar.append_pax_extensions(times).map_err(Broken::Unwritten)
    }
}

/// Does not follow a link that was put there meanwhile, nor wait for a pipe.
fn flags() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()
}

fn header(entry: &Entry, sort: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(sort);
    header.set_mode(entry.mode());
    header.set_uid(u64::from(entry.meta.uid()));
    header.set_gid(u64::from(entry.meta.gid()));
    header.set_mtime(u64::try_from(entry.meta.mtime()).unwrap_or(0));
    header.set_size(size);
    header
}

fn shown(path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_owned() }
}

fn times_of(meta: &std::fs::Metadata) -> (i64, i64, i64, i64) {
    (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec())
}

/// Whether a file was changed just now, by the system's own clock.
fn is_fresh(meta: &std::fs::Metadata) -> bool {
    let age = now_ms() - (meta.ctime() * 1000 + meta.ctime_nsec() / 1_000_000);
    (0..FRESH_MS).contains(&age)
}

#[expect(clippy::disallowed_methods, reason = "on a thread of its own, not on the runtime's")]
fn pause() {
    std::thread::sleep(Duration::from_millis(FRESH_MS.unsigned_abs() + 10));
}

/// Counts one entry by all that is to be equal when it is unpacked.
fn count(tally: &mut Tally, entry: &Entry, content: &[u8]) {
    let (sort, size) = match entry.sort {
        Sort::File => ("files", entry.meta.len()),
        Sort::Folder => ("folders", 0),
        Sort::Link(_) => ("links", 0),
    };
    let is_link = matches!(entry.sort, Sort::Link(_));
    // A link has no mode of its own.
    let mode = if is_link { 0 } else { entry.mode() };
    let (seconds, fraction) = match entry.meta.mtime() {
        seconds @ 0.. => (seconds, entry.meta.mtime_nsec()),
        _ => (0, 0),
    };
    let parts: [&[u8]; 5] = [
        entry.path.as_os_str().as_bytes(),
        &mode.to_be_bytes(),
        &seconds.to_be_bytes(),
        &fraction.to_be_bytes(),
        content,
    ];
    tally.add(sort, size, &parts);
}

/// Counts a folder that was unpacked, as [`pack`] counts one.
///
/// # Errors
/// Something in it cannot be read.
pub(crate) fn tally(root: &Path) -> Result<Tally, Unread> {
    let mut tally = Tally::default();
    let mut walk = Walk::new(root, None);
    while let Some(entry) = walk.next()? {
        match &entry.sort {
            Sort::Folder => count(&mut tally, &entry, &[]),
            Sort::Link(to) => count(&mut tally, &entry, to.as_os_str().as_bytes()),
            Sort::File => {
                let hash = File::open(root.join(&entry.path)).and_then(|mut file| {
                    let mut hash = Sha256::new();
                    io::copy(&mut file, &mut hash).map(|_| hash)
                });
                let hash = hash.map_err(|error| Unread { path: entry.path.clone(), error })?;
                count(&mut tally, &entry, &hash.finalize());
            }
        }
    }
    Ok(tally)
}

/// As many bytes as were promised, whatever the file does: what is missing is zero.
struct Exact<'a> {
    file: &'a File,
    left: u64,
    hash: Sha256,
    short: bool,
    error: Option<io::Error>,
}

impl<'a> Exact<'a> {
    fn new(file: &'a File, left: u64) -> Self {
        Self { file, left, hash: Sha256::new(), short: false, error: None }
    }
}

impl Read for Exact<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let buffer = &mut buffer[..wanted];
        let count = if self.short { 0 } else { self.some(buffer) };
        if count == 0 {
            self.short = true;
            buffer.fill(0);
        }
        let count = if count == 0 { wanted } else { count };
        self.hash.update(&buffer[..count]);
        self.left -= count as u64;
        Ok(count)
    }
}

impl Exact<'_> {
    fn some(&mut self, buffer: &mut [u8]) -> usize {
        loop {
            match self.file.read(buffer) {
                Ok(count) => return count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.error = Some(error);
                    return 0;
                }
            }
        }
    }
}
