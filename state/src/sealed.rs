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
            Err(error) if error.is_eof() && !has_end(bytes) => Check::Truncated,
            Err(_) if !starts_sealed(bytes) => Check::NotJson,
            // Everything but its line end is there.
            Ok(_) if starts_sealed(bytes) && bytes.ends_with(b"}") => Check::Truncated,
            _ => Check::Checksum,
        });
    }
    serde_json::from_slice(bytes).map_err(|error| Check::Shape(error.to_string()))
}

fn starts_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(COMPACT) || bytes.starts_with(PRETTY)
}

/// Whether the end is there, so that what is wrong is wrong before it. The line end of a compact
/// file is its only one, so one that was altered is never taken for one that was cut off.
fn has_end(bytes: &[u8]) -> bool {
    if bytes.starts_with(COMPACT) { bytes.contains(&b'\n') } else { bytes.ends_with(b"\n}\n") }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    type Body = BTreeMap<String, u64>;

    fn sample(pretty: bool) -> Vec<u8> {
        let body = Body::from([("körper".to_owned(), 1), ("zwei".to_owned(), 2)]);
        seal("head", 1, Some(&Fingerprint::of_bytes(b"before")), &body, pretty)
    }

    fn check_of(bytes: &[u8]) -> Check {
        let damage = open::<Body>("the file", "head", 1, bytes).expect_err("is refused");
        assert_eq!(damage.what, "the file");
        damage.check
    }

    #[test]
    fn what_is_sealed_is_opened() {
        for pretty in [false, true] {
            let bytes = sample(pretty);
            let opened = open::<Body>("the file", "head", 1, &bytes).expect("opens");
            assert_eq!(opened.body["zwei"], 2);
            assert_eq!(opened.parent, Some(Fingerprint::of_bytes(b"before")));
            assert_eq!(opened.digest, Fingerprint::of_bytes(&bytes));
            assert_eq!((opened.format, opened.hive.as_str()), (1, env!("CARGO_PKG_VERSION")));
            assert_eq!(check("the file", &bytes).expect("opens"), "head");
        }
    }

    #[test]
    fn the_checksum_is_the_hash_of_the_file_with_its_digits_as_zeros() {
        let bytes = sample(false);
        let text = String::from_utf8(bytes.clone()).expect("text");
        assert!(text.starts_with("{\"checksum\":\"") && text.ends_with("}\n"), "{text}");
        let digits = &text[13..77];
        let zeroed = text.replacen(digits, ZEROS, 1);
        assert_eq!(digits, Fingerprint::of_bytes(zeroed.as_bytes()).as_str());
    }

    #[test]
    fn every_other_value_of_every_byte_is_refused() {
        for pretty in [false, true] {
            let bytes = sample(pretty);
            for at in 0..bytes.len() {
                for other in 0..=u8::MAX {
                    let mut altered = bytes.clone();
                    altered[at] = other;
                    let opened = open::<Body>("the file", "head", 1, &altered);
                    assert_eq!(opened.is_ok(), other == bytes[at], "byte {at} as {other}");
                }
            }
        }
    }

    #[test]
    fn what_was_altered_is_not_taken_for_cut_off() {
        let bytes = sample(false);
        for at in 0..bytes.len() {
            for other in (0..=u8::MAX).filter(|other| *other != bytes[at]) {
                let mut altered = bytes.clone();
                altered[at] = other;
                assert_ne!(check_of(&altered), Check::Truncated, "byte {at} as {other}");
            }
        }
    }

    #[test]
    fn every_length_but_its_own_is_refused() {
        for pretty in [false, true] {
            let bytes = sample(pretty);
            assert_eq!(check_of(b""), Check::Empty);
            for length in 1..bytes.len() {
                let check = check_of(&bytes[..length]);
                assert_eq!(check, Check::Truncated, "{length} of {}", bytes.len());
            }
            let longer = [&bytes[..], b" "].concat();
            assert_eq!(check_of(&longer), Check::Checksum);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(check_of(b"\x7fELF\x02\x01"), Check::NotJson);
        assert_eq!(check_of(b"[1, 2]\n"), Check::Checksum);
        assert_eq!(check_of(b"{}\n"), Check::Checksum);
        let kind = seal("lease", 1, None, &Body::new(), false);
        assert_eq!(check_of(&kind), Check::Kind { found: "lease".into(), wanted: "head".into() });
        let newer = seal("head", 2, None, "another shape", false);
        assert_eq!(check_of(&newer), Check::Newer { found: 2, known: 1 });
        assert!(matches!(check_of(&seal("head", 0, None, &Body::new(), false)), Check::Shape(_)));
        assert!(matches!(check_of(&seal("head", 1, None, "text", false)), Check::Shape(_)));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(check_of(deep.as_bytes()), Check::Checksum);
    }

    #[test]
    fn the_body_is_found_in_a_compact_file() {
        let bytes = seal("head", 1, None, "\"body\":", false);
        assert_eq!(body(&bytes), b"\"\\\"body\\\":\"");
    }
}
