//! One file of SQL: its text in one form, its statements, its checksums.

use crate::dialect::Dialect;
use crate::directive::Accept;
use crate::fault::Fault;
use crate::lexeme::{self, Lexeme, Sort};
use crate::split;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// One file, up or down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// The name of the file.
    pub file: String,
    /// Its text with line feeds, without a byte order mark, without blanks at the ends of lines
    /// (those inside of literals stay). Lines are those of the file.
    pub text: String,
    /// SHA-256 of `text`, in hex digits: what the chain is made of.
    pub checksum: String,
    /// SHA-256 of the file's bytes as they are, for people who look for the file.
    pub raw_checksum: String,
    /// What is sent to the database, one by one, in order.
    pub statements: Vec<Statement>,
    /// Whether it runs in one transaction, with its history row in it.
    pub transactional: bool,
    /// What a person accepted in it.
    pub accepts: Vec<Accept>,
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// From its first word to its last, without the semicolon; comments inside it stay.
    pub text: String,
    /// The line of its first word in the file, counted from 1.
    pub line: u32,
    /// Where it begins in [`Script::text`], in bytes.
    pub start: usize,
    /// SHA-256 over its words, in hex digits: the same whatever blanks and comments it has.
    pub hash: String,
}

impl Statement {
    /// The line of its last word.
    pub fn last_line(&self) -> u32 {
        let lines = self.text.bytes().filter(|byte| *byte == b'\n').count();
        self.line + u32::try_from(lines).unwrap_or(u32::MAX)
    }

    /// The statement between two places of a script; its first word is in this line.
    pub(crate) fn new(dialect: Dialect, script: &str, start: usize, end: usize, line: u32) -> Self {
        let text = &script[start..end];
        Self { text: text.to_owned(), line, start, hash: hash(dialect, text) }
    }
}

/// Reads one file.
///
/// # Errors
/// Something in it has no end.
pub(crate) fn read(dialect: Dialect, file: &str, raw: &str) -> Result<Script, Fault> {
    let text = normalise(dialect, raw).map_err(|unclosed| {
        let plain = plain(raw);
        let (line, column) = lexeme::position(&plain, unclosed.start);
        Fault::of(file, format!("{} is never closed", unclosed.what)).at(line, column)
    })?;
    Ok(Script {
        file: file.to_owned(),
        checksum: digest(text.as_bytes()),
        raw_checksum: digest(raw.as_bytes()),
        statements: split::statements(dialect, &text),
        text,
        transactional: true,
        accepts: Vec::new(),
    })
}

/// A text in the one form that is hashed and run: line feeds, no byte order mark, no blanks at the
/// ends of lines or of the file. Literals keep every byte but for carriage returns at line ends.
///
/// # Errors
/// Something in it has no end.
pub fn normalise(dialect: Dialect, raw: &str) -> Result<String, lexeme::Unclosed> {
    let plain = plain(raw);
    let all = lexeme::lexemes(dialect, &plain)?;
    let mut text = String::with_capacity(plain.len());
    for one in all {
        match one.sort {
            Sort::Space => {
                if let Some((_, last)) = one.text.rsplit_once('\n') {
                    let lines = one.text.bytes().filter(|byte| *byte == b'\n').count();
                    text.extend(std::iter::repeat_n('\n', lines));
                    text.push_str(last);
                } else {
                    text.push_str(one.text);
                }
            }
            Sort::Comment => push_trimmed_lines(&mut text, one.text),
            _ => text.push_str(one.text),
        }
    }
    text.truncate(text.trim_end_matches(|c: char| c.is_ascii_whitespace()).len());
    Ok(text)
}

fn push_trimmed_lines(into: &mut String, comment: &str) {
    for (index, line) in comment.split('\n').enumerate() {
        if index > 0 {
            into.push('\n');
        }
        into.push_str(line.trim_end());
    }
}

fn plain(raw: &str) -> String {
    let raw = raw.trim_start_matches('\u{feff}');
    raw.replace("\r\n", "\n").replace('\r', "\n")
}

/// The hash of what a statement says: its lexemes without blanks and comments. PostgreSQL folds
/// unquoted words, and so does the hash.
pub fn hash(dialect: Dialect, text: &str) -> String {
    let mut hash = Sha256::new();
    let all = lexeme::lexemes(dialect, text)
        .unwrap_or_else(|_| vec![Lexeme { sort: Sort::Text, text, start: 0 }]);
    for one in all.iter().filter(|one| one.counts()) {
        hash.update([one.sort as u8]);
        if one.sort == Sort::Word && dialect == Dialect::Postgres {
            hash.update(one.text.to_ascii_lowercase().as_bytes());
        } else {
            hash.update(one.text.as_bytes());
        }
        hash.update([0]);
    }
    hive_contract::fingerprint::hex(&hash.finalize())
}

/// SHA-256 in hex digits.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hive_contract::fingerprint::hex(&Sha256::digest(bytes))
}
