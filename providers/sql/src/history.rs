//! What a database says was applied, compared with the files.

use crate::half::Half;
use crate::migrations::{Migration, Migrations};
use hive_contract::Perform;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One row of the history that hive keeps in the database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The number as the file wrote it.
    pub version: String,
    /// Number and words, such as `0007_add_status`.
    pub name: String,
    /// SHA-256 of the normalised text of the up file.
    pub checksum: String,
    /// SHA-256 of the file's bytes.
    pub raw_checksum: String,
    /// The hash of each statement, in order.
    pub statements: Vec<String>,
    /// How many statements are known to be done.
    pub applied: u32,
    /// How many were sent; one more than `applied` where the end of the last was not seen.
    pub begun: u32,
    /// How many there are.
    pub total: u32,
    /// When it began, in milliseconds since 1970.
    pub started_ms: i64,
    /// When all of it was done.
    pub finished_ms: Option<i64>,
    /// What the database answered where it failed.
    pub error: Option<String>,
    /// Which statement failed, counted from 0.
    pub error_statement: Option<u32>,
    /// Whether it was taken over from another tool or from hand, and not run by hive.
    pub baseline: bool,
    /// The version of hive that ran it.
    pub hive: String,
    /// The apply that ran it.
    pub apply: String,
    /// The step's token.
    pub token: String,
    /// The schema's fingerprint before it.
    pub before: String,
    /// The schema's fingerprint after it.
    pub after: String,
    /// The backup that was taken before it.
    pub backup: Option<String>,
}

impl Applied {
    /// Its place in the order.
    pub fn number(&self) -> u64 {
        self.version.parse().unwrap_or(u64::MAX)
    }

    /// Whether this is the whole of a file, as the file is now.
    pub fn is_of(&self, migration: &Migration) -> bool {
        let same = self.name == migration.name && self.checksum == migration.up.checksum;
        same && !self.is_half()
    }

    /// Whether some of its statements are done and some are not.
    pub fn is_half(&self) -> bool {
        self.finished_ms.is_none()
    }

    /// The same as a row of this hive's, written by a step that begins at a moment.
    #[must_use]
    pub fn by(self, step: &Perform, started_ms: i64) -> Self {
        Self {
            started_ms,
            hive: env!("CARGO_PKG_VERSION").to_owned(),
            apply: step.facts.get("apply").cloned().unwrap_or_default(),
            token: step.token.as_str().to_owned(),
            ..self
        }
    }

    /// A row that is about to run, or that is taken over, from its file.
    pub fn of(migration: &Migration) -> Self {
        Self {
            version: migration.version.clone(),
            name: migration.name.clone(),
            checksum: migration.up.checksum.clone(),
            raw_checksum: migration.up.raw_checksum.clone(),
            statements: migration.up.statements.iter().map(|one| one.hash.clone()).collect(),
            total: u32::try_from(migration.up.statements.len()).unwrap_or(u32::MAX),
            ..Self::default()
        }
    }
}

/// In which order files may be applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Each is newer than all that are applied.
    #[default]
    Linear,
    /// A file that is older than what is applied runs too.
    Any,
}

impl Order {
    /// As a stack writes it in `order`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "linear" => Some(Self::Linear),
            "any" => Some(Self::Any),
            _ => None,
        }
    }
}

/// What is left to do where nothing speaks against it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// The files to apply, as indexes into the list, in order.
    pub files: Vec<usize>,
    /// Those of them that are older than something applied; only with [`Order::Any`].
    pub out_of_order: Vec<usize>,
    /// The rows whose files the list does not hold and that are newer than all it holds, as indexes
    /// into the rows, oldest first: the list is of an older day.
    pub beyond: Vec<usize>,
    /// The file that was begun without a transaction and did not end.
    pub half: Option<Half>,
}

impl Pending {
    /// The first file to apply, as an index into the list.
    pub fn first(&self) -> Option<usize> {
        self.files.first().copied()
    }
}

/// Why the files and the history do not go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// An applied file was edited.
    Edited {
        /// Which.
        name: String,
        /// The file.
        file: String,
        /// Whether it still says the same: only blanks and comments are other. Then it can be
        /// accepted as it is.
        same: bool,
        /// The statements that are other, as lines of the file.
        lines: Vec<u32>,
        /// Where the file only ends earlier: the line of its last statement, and the first statement
        /// that is not there any more, counted from 1.
        shorter: Option<(u32, usize)>,
    },
    /// An applied file is not there, while newer ones are.
    Removed {
        /// Which.
        name: String,
    },
    /// An applied file has another name now.
    Renamed {
        /// As it was applied.
        name: String,
        /// The file now.
        file: String,
    },
    /// A file that is not applied is older than one that is.
    OutOfOrder {
        /// The file.
        file: String,
        /// The next newer one that is applied: between it and the one before, the file was put in.
        before: String,
        /// The newest that is applied.
        newest: String,
    },
}

impl Mismatch {
    /// The file or name that it is about.
    pub fn subject(&self) -> &str {
        match self {
            Self::Edited { file, .. } | Self::Renamed { file, .. } => file,
            Self::OutOfOrder { file, .. } => file,
            Self::Removed { name } => name,
        }
    }

    /// What to do.
    pub fn help(&self) -> String {
        match self {
            Self::Edited { same: true, .. } => {
                "only blanks or comments are other: bring the file back, or accept it as it is"
                    .to_owned()
            }
            Self::Edited { .. } => {
                "bring the file back as it was, and put the change into a new file".to_owned()
            }
            Self::Removed { .. } => {
                "bring the file back; what it did is taken back by a new file".to_owned()
            }
            Self::Renamed { name, .. } => format!("give it its name back: `{name}`"),
            Self::OutOfOrder { newest, .. } => format!(
                "give it a number above that of `{newest}`, or say `order = \"any\"` where the \
                 order does not matter"
            ),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edited { file, same: true, .. } => {
                write!(f, "`{file}` is applied and was edited, in blanks or comments only")
            }
            Self::Edited { file, lines, shorter, .. } => {
                write!(f, "`{file}` is applied and was edited")?;
                if let Some(line) = lines.first() {
                    write!(f, ", first at line {line}")?;
                } else if let Some((line, statement)) = shorter {
                    write!(f, ", behind line {line}: statement {statement} is not there any more")?;
                }
                Ok(())
            }
            Self::Removed { name } => {
                write!(f, "`{name}` is applied, and its file is not there")
            }
            Self::Renamed { name, file } => {
                write!(f, "`{name}` is applied, and its file is called `{file}` now")
            }
            Self::OutOfOrder { file, before, newest } => {
                write!(f, "`{file}` is not applied, and `{before}`, which comes after it, is")?;
                if newest != before {
                    write!(f, "; the newest applied is `{newest}`")?;
                }
                Ok(())
            }
        }
    }
}

/// Compares the files with what is applied.
///
/// # Errors
/// Everything that does not go together, at once.
pub fn compare(
    migrations: &Migrations,
    applied: &[Applied],
    order: Order,
) -> Result<Pending, Vec<Mismatch>> {
    let list = migrations.list();
    let files: BTreeMap<u64, usize> =
        list.iter().enumerate().map(|(index, one)| (one.number, index)).collect();
    let rows: BTreeMap<u64, &Applied> = applied.iter().map(|one| (one.number(), one)).collect();
    let newest_file = list.last().map(|one| one.number);
    let mut pending = Pending::default();
    let mut wrong = Vec::new();
    let mut beyond = BTreeSet::new();

    for (number, row) in &rows {
        match files.get(number) {
            Some(index) => {
                let migration = &list[*index];
                if row.is_half() {
                    pending.half = Some(Half::new(migration, row));
                } else {
                    wrong.extend(other(migration, row));
                }
            }
            None if newest_file.is_none_or(|newest| *number > newest) => {
                beyond.insert(*number);
            }
            None => wrong.push(Mismatch::Removed { name: row.name.clone() }),
        }
    }
    let whole: BTreeMap<u64, &Applied> = rows
        .iter()
        .filter(|(_, row)| !row.is_half())
        .map(|(number, row)| (*number, *row))
        .collect();
    for (index, migration) in list.iter().enumerate() {
        if rows.contains_key(&migration.number) {
            continue;
        }
        if let Some((_, next)) = whole.range(migration.number..).next() {
            if order == Order::Linear {
                let newest = whole.values().next_back().map_or("", |row| &row.name);
                wrong.push(Mismatch::OutOfOrder {
                    file: migration.up.file.clone(),
                    before: next.name.clone(),
                    newest: newest.to_owned(),
                });
            } else {
                pending.out_of_order.push(index);
            }
        }
        pending.files.push(index);
    }
    pending.beyond = applied
        .iter()
        .enumerate()
        .filter(|(_, row)| beyond.contains(&row.number()))
        .map(|(index, _)| index)
        .collect();
    pending.beyond.sort_by_key(|index| applied[*index].number());
    if wrong.is_empty() { Ok(pending) } else { Err(wrong) }
}

/// How an applied file differs from its row.
fn other(migration: &Migration, row: &Applied) -> Option<Mismatch> {
    if migration.name != row.name {
        return Some(Mismatch::Renamed { name: row.name.clone(), file: migration.up.file.clone() });
    }
    if migration.up.checksum == row.checksum {
        return None;
    }
    let statements = &migration.up.statements;
    // Of a row that nobody has the statements of, only the whole is known to be other.
    let known = if row.statements.is_empty() { 0 } else { statements.len() };
    let lines: Vec<u32> = statements
        .iter()
        .take(known)
        .enumerate()
        .filter(|(index, one)| row.statements.get(*index) != Some(&one.hash))
        .map(|(_, one)| one.line)
        .collect();
    let same = lines.is_empty() && statements.len() == row.statements.len();
    let last = statements.last().filter(|_| lines.is_empty() && !same && known > 0);
    let shorter = last.map(|it| (it.last_line(), statements.len() + 1));
    Some(Mismatch::Edited {
        name: migration.name.clone(),
        file: migration.up.file.clone(),
        same,
        lines,
        shorter,
    })
}
