//! Who can read a backup: age recipients lock it, an identity opens it.

use age::x25519::{Identity, Recipient};
use hive_contract::{Failure, FailureKind};
use secrecy::{ExposeSecret, SecretString};
use std::io::{self, Write};

/// Parses an age recipient, `age1…`.
///
/// # Errors
/// Why it is none, as a fragment.
pub(crate) fn recipient(text: &str) -> Result<Recipient, String> {
    if text.trim().to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
        return Err("it is a secret key: a recipient is the public half, `age1…`".to_owned());
    }
    text.parse().map_err(|why: &str| format!("`{text}` is no age recipient: {why}"))
}

/// Parses an age identity, `AGE-SECRET-KEY-1…`. A file of several lines has one that is not a
/// comment.
///
/// # Errors
/// It is none. Nothing of it is said.
pub(crate) fn identity(text: &SecretString) -> Result<Identity, Failure> {
    let lines = text.expose_secret().lines().map(str::trim);
    let mut keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let parsed = keys.next().and_then(|key| key.parse().ok());
    parsed.filter(|_| keys.next().is_none()).ok_or_else(|| {
        Failure::new(
            FailureKind::Invalid,
            "the secret `encrypt.identity` is no age identity: one line `AGE-SECRET-KEY-1…`",
        )
    })
}

/// A writer that locks what is written to it, or passes it on.
pub(crate) enum Locked<W: Write> {
    Plain(W),
    Age(Box<age::stream::StreamWriter<W>>),
}

impl<W: Write> Locked<W> {
    /// Locks for these recipients; for nobody in particular without any.
    pub(crate) fn new(recipients: &[Recipient], inner: W) -> io::Result<Self> {
        if recipients.is_empty() {
            return Ok(Self::Plain(inner));
        }
        let recipients = recipients.iter().map(|it| it as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients).map_err(io::Error::other)?;
        Ok(Self::Age(Box::new(encryptor.wrap_output(inner)?)))
    }

    /// Writes what belongs to the end.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(inner) => Ok(inner),
            Self::Age(writer) => writer.finish(),
        }
    }
}

impl<W: Write> Write for Locked<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(inner) => inner.write(bytes),
            Self::Age(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(inner) => inner.flush(),
            Self::Age(writer) => writer.flush(),
        }
    }
}
