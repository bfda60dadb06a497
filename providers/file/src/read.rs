//! Reading one live file.

use crate::Base;
use crate::lower::{digest_of, written_mode};
use crate::sidecar::Sidecar;
use crate::spot::Spot;
use hive_contract::{Failure, FailureKind, Fields, Fingerprint, Live, Observed, Status, Value};
use hive_objects::failure;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// The longest content, in bytes, that stands in fields as text.
pub(crate) const LIMIT: u64 = 1 << 20;

/// A live file: what it says, and who may read it.
pub(crate) struct Raw {
    content: Content,
    mode: u32,
}

enum Content {
    Text(String),
    /// Too long, or not text: it is compared by its digest.
    Other {
        digest: String,
        length: u64,
    },
}

/// Reads a file by its name in an open folder, or by its path with `CWD`.
///
/// # Errors
/// It cannot be read, or it is not a file. A file that is not there is no error.
pub(crate) fn read_file(
    folder: impl AsFd,
    name: &Path,
    shown: &str,
) -> Result<Option<Raw>, Failure> {
    // A pipe must not make the reader wait, a link must not lead it elsewhere.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let open = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Ok(open) => open,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(not_a_file(shown, "a symbolic link")),
        Err(errno) => return Err(failure("read", shown, &errno.into())),
    };
    read_open(open, shown).map(Some)
}

fn read_open(open: OwnedFd, shown: &str) -> Result<Raw, Failure> {
    let stat = rustix::fs::fstat(&open).map_err(|errno| failure("read", shown, &errno.into()))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(not_a_file(shown, "a folder")),
        _ => return Err(not_a_file(shown, "neither a file nor a folder")),
    }
    let mut file = File::from(open);
    let content = read_content(&mut file, stat.st_size.unsigned_abs())
        .map_err(|error| failure("read", shown, &error))?;
    Ok(Raw { content, mode: stat.st_mode & 0o7777 })
}

fn read_content(file: &mut File, size: u64) -> io::Result<Content> {
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(LIMIT)).unwrap_or_default() + 1);
    file.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT {
        let digest = Fingerprint::of_reader(bytes.as_slice().chain(&mut *file))?;
        return Ok(Content::Other { digest: digest.as_str().to_owned(), length: size });
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => Content::Text(text),
        Err(error) => {
            let bytes = error.as_bytes();
            Content::Other { digest: digest_of(bytes), length: bytes.len() as u64 }
        }
    })
}

impl Raw {
    /// The live object: canonical fields, outputs, mark and token.
    pub(crate) fn live(self, base: &Base, spot: &Spot, sidecar: Option<Sidecar>) -> Live {
        let mode = written_mode(self.mode);
        let (content, digest, length) = match self.content {
            Content::Text(text) => {
                let (digest, length) = (digest_of(text.as_bytes()), text.len() as u64);
                (text, digest, length)
            }
            Content::Other { digest, length } => (stand_in(&digest, length), digest, length),
        };
        let status = Status {
            ready: true,
            summary: format!("{length} bytes, mode {mode}"),
            ..Status::default()
        };
        let outputs = BTreeMap::from([
            ("path".to_owned(), Value::Text(spot.relative(base))),
            ("digest".to_owned(), Value::Text(digest)),
            ("content".to_owned(), Value::text(&content)),
        ]);
        let mut fields = Fields::from([
            ("content".to_owned(), Value::Text(content)),
            ("mode".to_owned(), Value::Text(mode)),
        ]);
        if let Some(path) = &spot.path {
            fields.insert("path".to_owned(), Value::text(path));
        }
        let (mark, token) = sidecar.map_or((None, None), |it| (Some(it.mark), Some(it.token)));
        Live {
            identity: spot.identity(),
            fields,
            outputs,
            mark,
            token,
            moved_by: BTreeMap::new(),
            status,
        }
    }
}

/// One file and its sidecar, by path.
pub(crate) fn read_spot(base: &Base, spot: &Spot) -> Result<Observed, Failure> {
    let file = spot.file(base)?;
    let Some(raw) = read_file(rustix::fs::CWD, &file, &spot.relative(base))? else {
        return Ok(Observed::Absent);
    };
    let sidecar = Sidecar::read(rustix::fs::CWD, &spot.sidecar(base))?;
    Ok(Observed::Present(raw.live(base, spot, sidecar)))
}

/// What stands in the field `content` for what is no text or is too long.
fn stand_in(digest: &str, length: u64) -> String {
    format!("{STAND_IN}{digest}, {length} bytes)")
}

const STAND_IN: &str = "(not text of at most 1 MiB: sha256 ";

/// Whether a live content was only stood in for, so that it cannot be written again.
pub(crate) fn is_stand_in(content: &str) -> bool {
    content.starts_with(STAND_IN)
}

fn not_a_file(shown: &str, what: &str) -> Failure {
    Failure::new(FailureKind::Malformed, format!("`{shown}` is {what}, not a file"))
}
