//! Reading one live file.

use crate::Base;
use crate::lower::{digest_of, written_mode};
use crate::sidecar::Sidecar;
use crate::spot::Spot;
use hive_contract::{Failure, Fields, Fingerprint, Live, Observed, Status, Value};
use hive_objects::{Opened, failure};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::fd::AsFd;
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
    let Some(opened) = hive_objects::open(folder, name, shown)? else { return Ok(None) };
    let mode = opened.mode;
    let content = read_content(opened).map_err(|error| failure("read", shown, &error))?;
    Ok(Some(Raw { content, mode }))
}

fn read_content(opened: Opened) -> io::Result<Content> {
    let bytes = opened.bytes(LIMIT)?;
    let length = opened.length;
    if bytes.len() as u64 > LIMIT {
        let digest = Fingerprint::of_reader(bytes.as_slice().chain(opened.into_file()))?;
        return Ok(Content::Other { digest: digest.as_str().to_owned(), length });
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => Content::Text(text),
        Err(error) => Content::Other { digest: digest_of(error.as_bytes()), length },
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
            ended: BTreeMap::new(),
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
