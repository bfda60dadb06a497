//! Hashes of canonical content.

use crate::path::{self, FieldPath};
use crate::value::Fields;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// SHA-256 over canonical content, as 64 lower-case hex digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The hash of bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(hex(&Sha256::digest(bytes)))
    }

    /// The hash of everything that a reader gives: the same as [`Self::of_bytes`] of it all.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of_reader(mut reader: impl std::io::Read) -> std::io::Result<Self> {
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(Self(hex(&hash.finalize()))),
                Ok(count) => hash.update(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The hash of anything that serialises, by its JSON. Types that are hashed hold no hash maps,
    /// so that the same content always has the same bytes.
    pub fn of<T: Serialize + ?Sized>(content: &T) -> Self {
        struct Into(Sha256);
        impl std::io::Write for Into {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.update(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut into = Into(Sha256::new());
        match serde_json::to_writer(&mut into, content) {
            Ok(()) => Self(hex(&into.0.finalize())),
            // Only a map with keys that are not text can fail, and no content type has one.
            Err(error) => Self::of_bytes(format!("unserialisable: {error}").as_bytes()),
        }
    }

    /// The hash of the managed fields of something live.
    pub fn of_managed(fields: &Fields, managed: &[FieldPath]) -> Self {
        Self::of(&path::restrict(fields, managed))
    }

    /// A fingerprint from its hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let good = text.len() == 64
            && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        good.then(|| Self(text.to_owned()))
    }

    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first eight digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

/// Lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}
