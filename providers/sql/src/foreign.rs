//! The history of another tool, taken over as a baseline.

use crate::dialect::Dialect;
use crate::migrations::{Migrations, chain};
use hive_contract::Value;
use std::fmt;

/// A tool whose history hive reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// golang-migrate: one row, the newest version.
    GolangMigrate,
    /// sqlx: a row a file.
    Sqlx,
    /// Flyway: a row a file, failed ones too.
    Flyway,
    /// Django: a row a migration of an app.
    Django,
}

/// One row of another tool's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its version, such as `20240101`; for Django `auth.0001_initial`.
    pub version: String,
    /// Whether the tool says that it did not end well.
    pub dirty: bool,
}

impl Row {
    /// A row from the two texts that [`Tool::query`] answers.
    pub fn of_texts(version: &str, dirty: &str) -> Self {
        Self { version: version.to_owned(), dirty: dirty != "0" }
    }

    fn state(&self) -> &'static str {
        if self.dirty { "dirty" } else { "applied" }
    }

    fn of_value(value: &Value) -> Option<Self> {
        let (state, version) = value.as_text()?.split_once(' ')?;
        Some(Self { version: version.to_owned(), dirty: state == "dirty" })
    }
}

/// A history as a field of a live list and of a step: `applied 20240101`, a line each.
pub fn rows_value(rows: &[Row]) -> Value {
    let line = |row: &Row| Value::Text(format!("{} {}", row.state(), row.version));
    Value::List(rows.iter().map(line).collect())
}

/// [`rows_value`] read again.
pub fn rows_of(value: &Value) -> Option<Vec<Row>> {
    value.as_list()?.iter().map(Row::of_value).collect()
}

/// The running hash over a tool's history: another where a row is added, gone or of another state.
pub fn chain_of(tool: Tool, rows: &[Row]) -> String {
    let first = std::iter::once((tool.as_str(), tool.table()));
    chain(first.chain(rows.iter().map(|row| (row.version.as_str(), row.state()))))
}

/// What hive takes over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// The files that count as applied, as indexes into the list: the first so many of it.
    pub files: Vec<usize>,
    /// For each of them the version that the tool says; none where it was declared.
    pub said: Vec<String>,
}

/// Why a history cannot be taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The tool says that a migration did not end well.
    Dirty {
        /// Which.
        version: String,
        /// Whose history.
        tool: Tool,
    },
    /// Something is applied that no file here is.
    NoFile {
        /// Which.
        versions: Vec<String>,
    },
    /// A file is not applied, and a newer one is.
    Gap {
        /// The file.
        file: String,
        /// The newer one.
        newer: String,
    },
    /// No file has the version that was declared.
    NoVersion {
        /// Which.
        version: String,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dirty { version, tool } => {
                write!(f, "{tool} says that version {version} did not end well")
            }
            Self::NoFile { versions } => {
                write!(f, "applied, and no file here: {}", versions.join(", "))
            }
            Self::Gap { file, newer } => {
                write!(f, "`{file}` is not applied, and `{newer}`, which comes after it, is")
            }
            Self::NoVersion { version } => write!(f, "no file has the version {version}"),
        }
    }
}

impl Refused {
    /// What to do.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Dirty { .. } => "repair it with that tool first; hive takes over what is whole",
            Self::NoFile { .. } => "bring the files in, with the same numbers",
            Self::Gap { .. } => "apply it with that tool first, or give the file a newer number",
            Self::NoVersion { .. } => "write the number of the newest file that is applied",
        }
    }
}

impl Tool {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::GolangMigrate, Self::Sqlx, Self::Flyway, Self::Django];

    /// As a stack writes it in `baseline`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GolangMigrate => "golang-migrate",
            Self::Sqlx => "sqlx",
            Self::Flyway => "flyway",
            Self::Django => "django",
        }
    }

    /// From what a stack writes in `baseline`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.as_str() == text)
    }

    /// The table that its history is in.
    pub fn table(self) -> &'static str {
        match self {
            Self::GolangMigrate => "schema_migrations",
            Self::Sqlx => "_sqlx_migrations",
            Self::Flyway => "flyway_schema_history",
            Self::Django => "django_migrations",
        }
    }

    /// Reads its history: two columns of text, the version and `0` or `1` for a dirty one.
    pub fn query(self, dialect: Dialect) -> &'static str {
        match (self, dialect) {
            (Self::GolangMigrate, Dialect::Postgres) => {
                "SELECT version::text, CASE WHEN dirty THEN '1' ELSE '0' END FROM schema_migrations"
            }
            (Self::GolangMigrate, Dialect::Sqlite) => {
                "SELECT CAST(version AS TEXT), CASE WHEN dirty THEN '1' ELSE '0' END \
                 FROM schema_migrations"
            }
            (Self::Sqlx, Dialect::Postgres) => {
                "SELECT version::text, CASE WHEN success THEN '0' ELSE '1' END \
                 FROM _sqlx_migrations ORDER BY version"
            }
            (Self::Sqlx, Dialect::Sqlite) => {
                "SELECT CAST(version AS TEXT), CASE WHEN success THEN '0' ELSE '1' END \
                 FROM _sqlx_migrations ORDER BY version"
            }
            // A file that was undone has a row for each; what counts is the newest.
            (Self::Flyway, _) => {
                "SELECT version, CASE WHEN success THEN '0' ELSE '1' END \
                 FROM flyway_schema_history AS h \
                 WHERE version IS NOT NULL AND type NOT IN ('UNDO_SQL', 'DELETE', 'SCHEMA') \
                 AND NOT EXISTS (SELECT 1 FROM flyway_schema_history AS u \
                 WHERE u.version = h.version AND u.type IN ('UNDO_SQL', 'DELETE') \
                 AND u.installed_rank > h.installed_rank) ORDER BY installed_rank"
            }
            (Self::Django, _) => {
                "SELECT app || '.' || name, '0' FROM django_migrations ORDER BY id"
            }
        }
    }

    /// Finds the files that the tool has applied. `upto` is a declared version; then all files up to
    /// it count, and the tool's rows only say whether something is dirty.
    ///
    /// # Errors
    /// Something is dirty, has no file, or is missing in between.
    pub fn baseline(
        self,
        migrations: &Migrations,
        rows: &[Row],
        upto: Option<&str>,
    ) -> Result<Baseline, Refused> {
        if let Some(row) = rows.iter().find(|row| row.dirty) {
            return Err(Refused::Dirty { version: row.version.clone(), tool: self });
        }
        if let Some(version) = upto {
            return declared(migrations, version);
        }
        match self {
            // It holds one version, and everything before it is applied.
            Self::GolangMigrate => match rows.first() {
                Some(row) => match upto_of(migrations, &row.version) {
                    Some(upto) => {
                        Ok(Baseline { said: vec![row.version.clone(); upto.files.len()], ..upto })
                    }
                    None => Err(Refused::NoFile { versions: vec![row.version.clone()] }),
                },
                None => Ok(Baseline::default()),
            },
            Self::Sqlx | Self::Flyway | Self::Django => self.each(migrations, rows),
        }
    }

    fn each(self, migrations: &Migrations, rows: &[Row]) -> Result<Baseline, Refused> {
        let mut files = Vec::new();
        let mut without = Vec::new();
        for row in rows {
            match self.file(migrations, &row.version) {
                Some(index) => files.push((index, row.version.clone())),
                None => without.push(row.version.clone()),
            }
        }
        if !without.is_empty() {
            return Err(Refused::NoFile { versions: without });
        }
        files.sort_unstable();
        files.dedup_by_key(|(index, _)| *index);
        let (files, said): (Vec<usize>, Vec<String>) = files.into_iter().unzip();
        let list = migrations.list();
        let gap = files.iter().enumerate().find(|(at, index)| at < *index);
        match gap {
            Some((at, index)) => Err(Refused::Gap {
                file: list[at].up.file.clone(),
                newer: list[*index].up.file.clone(),
            }),
            None => Ok(Baseline { files, said }),
        }
    }

    fn file(self, migrations: &Migrations, version: &str) -> Option<usize> {
        let list = migrations.list();
        if self != Self::Django {
            let number: u64 = plain_number(version)?;
            return list.iter().position(|one| one.number == number);
        }
        // `auth.0001_initial` is a file `…_auth_0001_initial`, or, where the number is the app's
        // own, `0001_initial`.
        let (app, name) = version.split_once('.')?;
        let long = format!("{app}_{name}");
        let words = |stem: &str| stem.split_once('_').map(|(_, words)| words.to_owned());
        list.iter()
            .position(|one| words(&one.name).as_deref() == Some(&long))
            .or_else(|| list.iter().position(|one| one.name == name))
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A baseline without another tool's history: all files up to a version.
///
/// # Errors
/// No file has that version.
pub fn declared(migrations: &Migrations, version: &str) -> Result<Baseline, Refused> {
    upto_of(migrations, version).ok_or_else(|| Refused::NoVersion { version: version.to_owned() })
}

fn upto_of(migrations: &Migrations, version: &str) -> Option<Baseline> {
    let list = migrations.list();
    let number = plain_number(version);
    let at = list.iter().position(|one| Some(one.number) == number || one.name == version)?;
    Some(Baseline { files: (0..=at).collect(), said: Vec::new() })
}

/// `7`, `0007` and Flyway's `7.0` are the same number.
fn plain_number(version: &str) -> Option<u64> {
    let mut parts = version.split(['.', '_']);
    let first = parts.next()?.parse().ok()?;
    parts.all(|part| !part.is_empty() && part.bytes().all(|b| b == b'0')).then_some(first)
}
