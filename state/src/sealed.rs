//! The envelope of every file: one JSON document whose first member is a checksum over the rest.
//!
//! `{"checksum":"<64 hex>","kind":"head","format":1,"hive":"0.1.0","parent":null,"body":{…}}` and a
//! line end. The checksum is the SHA-256 of the whole file with its own 64 digits taken as zeros,
//! so no byte can change unseen. The envelope is the same for ever; `format` counts the shapes of
//! the body, for each kind by itself.

use hive_contract::Fingerprint;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const COMPACT: &[u8] = b"{\"checksum\":\"";
const PRETTY: &[u8] = b"{\n  \"checksum\": \"";
const BODY: &[u8] = b"\"body\":";

/// A file that cannot be trusted: which one, and which check it failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{what}` {check}")]
pub struct Damage {
    /// The file, as a person would name it.
    pub what: String,
    /// The check.
    pub check: Check,
}

/// What a file that hive wrote must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Check {
    /// It has content.
    #[error("is empty")]
    Empty,
    /// It has its end.
    #[error("is cut off: its end is missing")]
    Truncated,
    /// It is JSON.
    #[error("is not JSON")]
    NotJson,
    /// No byte was changed.
    #[error("was altered: its checksum does not fit")]
    Checksum,
    /// It is what its place says.
    #[error("is of kind `{found}`, not `{wanted}`")]
    Kind {
        /// What it says it is.
        found: String,
        /// What it should be.
        wanted: String,
    },
    /// It is of a format that this hive knows.
    #[error(
        "was written by a newer hive: it is of format {found}, this one reads up to {known}; \
         use the newer hive"
    )]
    Newer {
        /// Its format.
        found: u32,
        /// The newest that is known here.
        known: u32,
    },
    /// Its body has the shape of its format.
    #[error("is not of the shape that its format says: {0}")]
    Shape(String),
    /// It is there, because another file names it.
    #[error("is gone, although {by} names it")]
    Missing {
        /// The other file.
        by: String,
    },
    /// It is the one that another file names.
    #[error("is not the one that {by} names")]
    Digest {
        /// The other file.
        by: String,
    },
    /// It keeps the rules between its parts.
    #[error("breaks a rule: {0}")]
    Rule(String),
}

/// A file that passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened<T> {
    /// Its content.
    pub body: T,
    /// The shape its content was written in.
    pub format: u32,
    /// The version of the hive that wrote it.
    pub hive: String,
    /// The digest of the file before it, where it is one of a chain.
    pub parent: Option<Fingerprint>,
    /// The digest of the whole file.
    pub digest: Fingerprint,
}

#[derive(Serialize)]
struct Envelope<'a, T: ?Sized> {
    checksum: &'a str,
    kind: &'a str,
    format: u32,
    hive: &'a str,
    parent: Option<&'a Fingerprint>,
    body: &'a T,
}

#[derive(Deserialize)]
pub(crate) struct Header {
    kind: String,
    format: u32,
    hive: String,
    pub(crate) parent: Option<Fingerprint>,
    #[expect(dead_code, reason = "asks that there is one, without reading it")]
    body: IgnoredAny,
}

#[derive(Deserialize)]
struct Content<T> {
    body: T,
}

/// Makes the bytes of a file. `pretty` files are for people: one member a line.
///
/// # Panics
/// The body has a map whose keys are not text. No type of hive has one.
pub fn seal<T: Serialize + ?Sized>(
    kind: &str,
    format: u32,
    parent: Option<&Fingerprint>,
    body: &T,
    pretty: bool,
) -> Vec<u8> {
    let hive = env!("CARGO_PKG_VERSION");
    let envelope = Envelope { checksum: ZEROS, kind, format, hive, parent, body };
    let mut bytes = Vec::with_capacity(512);
    let written = match pretty {
        true => serde_json::to_writer_pretty(&mut bytes, &envelope),
        false => serde_json::to_writer(&mut bytes, &envelope),
    };
    written.expect("keys of maps are text");
    bytes.push(b'\n');
    let start = if pretty { PRETTY.len() } else { COMPACT.len() };
    let checksum = Fingerprint::of_bytes(&bytes);
    bytes[start..start + ZEROS.len()].copy_from_slice(checksum.as_str().as_bytes());
    bytes
}

/// Checks the bytes of a file and reads its content. `what` names the file in messages, `newest` is
/// the newest format of this kind that is known here.
///
/// # Errors
/// The first check that it does not pass.
pub fn open<T: DeserializeOwned>(
    what: &str,
    kind: &str,
    newest: u32,
    bytes: &[u8],
) -> Result<Opened<T>, Damage> {
    let (header, body) = opened(kind, newest, bytes).map_err(|check| damage(what, check))?;
    let Header { format, hive, parent, .. } = header;
    Ok(Opened { body, format, hive, parent, digest: Fingerprint::of_bytes(bytes) })
}

/// Checks a file without reading its content, and gives its kind.
///
/// # Errors
/// It is not a whole file as hive wrote it.
pub fn check(what: &str, bytes: &[u8]) -> Result<String, Damage> {
    header(bytes).map(|it| it.kind).map_err(|check| damage(what, check))
}

/// The bytes of the body of a compact file that was opened.
pub(crate) fn body(bytes: &[u8]) -> &[u8] {
    let start = bytes.windows(BODY.len()).position(|it| it == BODY).map(|at| at + BODY.len());
    let end = bytes.len().saturating_sub(2);
    start.and_then(|start| bytes.get(start..end)).unwrap_or_default()
}

/// As [`open`], without the digest of the file, for large ones.
pub(crate) fn opened<T: DeserializeOwned>(
    kind: &str,
    newest: u32,
    bytes: &[u8],
) -> Result<(Header, T), Check> {
    let header = header(bytes)?;
    if header.kind != kind {
        return Err(Check::Kind { found: header.kind, wanted: kind.to_owned() });
    }
    if header.format > newest {
        return Err(Check::Newer { found: header.format, known: newest });
    }
    if header.format == 0 {
        return Err(Check::Shape("formats count from 1".to_owned()));
    }
    let content: Content<T> =
        serde_json::from_slice(bytes).map_err(|error| Check::Shape(error.to_string()))?;
    Ok((header, content.body))
}

fn header(bytes: &[u8]) -> Result<Header, Check> {
    if bytes.is_empty() {
        return Err(Check::Empty);
    }
    if !checksum_fits(bytes) {
        return Err(match serde_json::from_slice::<IgnoredAny>(bytes) {
            Err(error) if error.is_eof() => Check::Truncated,
            Err(_) if !starts_sealed(bytes) => Check::NotJson,
            // Everything but its line end is there.
            Ok(_) if starts_sealed(bytes) && !bytes.ends_with(b"\n") => Check::Truncated,
            _ => Check::Checksum,
        });
    }
    serde_json::from_slice(bytes).map_err(|error| Check::Shape(error.to_string()))
}

fn starts_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(COMPACT) || bytes.starts_with(PRETTY)
}

fn checksum_fits(bytes: &[u8]) -> bool {
    let start = if bytes.starts_with(COMPACT) { COMPACT.len() } else { PRETTY.len() };
    let end = start + ZEROS.len();
    if !starts_sealed(bytes) || bytes.len() < end {
        return false;
    }
    let mut hash = Sha256::new();
    hash.update(&bytes[..start]);
    hash.update(ZEROS);
    hash.update(&bytes[end..]);
    let mut digits = String::with_capacity(ZEROS.len());
    for byte in hash.finalize() {
        for half in [byte >> 4, byte & 15] {
            digits.extend(char::from_digit(u32::from(half), 16));
        }
    }
    bytes[start..end] == *digits.as_bytes()
}

fn damage(what: &str, check: Check) -> Damage {
    Damage { what: what.to_owned(), check }
}
