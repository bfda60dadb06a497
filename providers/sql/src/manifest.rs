//! What a backup says about itself.

use crate::dialect::Dialect;
use crate::facts::Facts;
use crate::history::Applied;
use crate::surroundings::Surroundings;
use crate::words;
use hive_contract::{Fingerprint, Mark};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The newest format of a manifest that this hive knows.
pub const FORMAT: u32 = 2;
/// The format of a manifest without surroundings: every older hive reads it.
const PLAIN: u32 = 1;
/// The format of what a look at a backup found.
pub const LOOKED: u32 = 1;

/// Written last, created only where it is not there: what has no manifest does not exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format's number.
    pub format: u32,
    /// The backup's id.
    pub id: String,
    /// The token of the step that made it.
    pub token: String,
    /// Whose it is.
    pub mark: Mark,
    /// Why it was made.
    pub kind: Kind,
    /// What it is of.
    pub source: Source,
    /// When its content was fixed, in milliseconds since 1970.
    pub snapshot_ms: i64,
    /// When it began.
    pub started_ms: i64,
    /// When the last object was stored: what retention goes by.
    pub finished_ms: i64,
    /// The schema that it holds, for databases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Schema>,
    /// The migrations that it holds, for databases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrations: Option<Head>,
    /// What is in it, by name: the tables of a database, the files of a folder, the refs of a
    /// repository.
    #[serde(default)]
    pub tables: Vec<Table>,
    /// What it refers to outside of itself, for databases of a server; none where an older hive
    /// made the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surroundings: Option<Surroundings>,
    /// The objects that it is made of.
    pub objects: Vec<Object>,
    /// How they are compressed, such as `zstd`.
    pub compression: String,
    /// Who can read them: age recipients, never keys; none where they are not encrypted.
    #[serde(default)]
    pub recipients: Vec<String>,
    /// What made it, such as `hive` or `pg_dump`, with its version.
    #[serde(default)]
    pub tools: BTreeMap<String, String>,
    /// What else is known of it, such as `wal position`.
    #[serde(default)]
    pub notes: BTreeMap<String, String>,
}

/// Why a backup was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Asked for, or due.
    Run,
    /// Of what is about to be replaced.
    Safety,
}

impl Kind {
    /// As a manifest writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Safety => "safety",
        }
    }
}

/// What a backup is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// `sqlite`, `postgres`, `folder` or `repository`.
    pub engine: String,
    /// The name of the database, or the path below the stack's folder.
    pub name: String,
    /// The system's own identity, such as PostgreSQL's system identifier.
    #[serde(default)]
    pub system: String,
    /// The version of the server or library.
    #[serde(default)]
    pub version: String,
    /// What else a restore must know: encoding, collation, extensions with their versions.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

/// A schema as facts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// See [`crate::facts::fingerprint`].
    pub fingerprint: String,
    /// What it is over.
    pub facts: Facts,
}

/// Which migrations a backup holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The newest, such as `0007_add_status`; empty where there is none.
    pub head: String,
    /// How many.
    pub count: u64,
    /// See [`crate::migrations::chain`].
    pub chain: String,
    /// All rows.
    #[serde(default)]
    pub history: Vec<Applied>,
}

/// The content of one table at the moment of the backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its name, such as `public.orders`.
    pub name: String,
    /// How many rows.
    pub rows: u64,
    /// The exclusive or over all rows' hashes, in the engine's own writing.
    #[serde(default)]
    pub xor: String,
    /// Their sum: pairs of equal rows cancel in the other.
    #[serde(default)]
    pub sum: String,
    /// How large it was.
    #[serde(default)]
    pub bytes: u64,
}

/// One stored object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its key below the backup's own folder, such as `data.zst`.
    pub key: String,
    /// The size of its content.
    pub size: u64,
    /// The size as it is stored.
    pub stored: u64,
    /// SHA-256 of its content, in hex digits.
    pub sha256: String,
    /// SHA-256 as it is stored.
    pub sha256_stored: String,
}

/// How deep a backup was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Depth {
    /// Every object is there with its size.
    Listed,
    /// Every byte was read and has its hash.
    Read,
    /// It was restored into a scratch place and is equal.
    Restored,
}

/// The outcome of one look at a backup; its own object, never a change of the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The format's number.
    pub format: u32,
    /// Which backup.
    pub id: String,
    /// The token of the step that looked.
    pub token: String,
    /// How deep.
    pub depth: Depth,
    /// When it began, in milliseconds since 1970.
    pub at_ms: i64,
    /// How long it took.
    pub took_ms: u64,
    /// How long the restore in it took: download, restore, indexes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_ms: Option<u64>,
    /// Whether everything was equal.
    pub ok: bool,
    /// What was not, each a lower-case fragment.
    #[serde(default)]
    pub wrong: Vec<String>,
    /// The version of the server or library that it was restored into.
    #[serde(default)]
    pub version: String,
}

/// Why a manifest cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is not JSON of this form.
    Damaged(String),
    /// A newer hive wrote it.
    Newer(u32),
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Damaged(why) => write!(f, "the manifest is damaged: {why}"),
            Self::Newer(format) => write!(f, "the manifest has format {format}, of a newer hive"),
        }
    }
}

/// What is stored.
#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    digest: String,
    manifest: T,
}

impl Manifest {
    /// The format of one with these surroundings. What an older hive does not know it would take
    /// for damage.
    pub fn format_with(surroundings: Option<&Surroundings>) -> u32 {
        if surroundings.is_some() { FORMAT } else { PLAIN }
    }

    /// Its bytes: the same for the same content, with a digest over it.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let digest = Fingerprint::of(self).as_str().to_owned();
        serde_json::to_vec_pretty(&Sealed { digest, manifest: self })
    }

    /// From its bytes.
    ///
    /// # Errors
    /// It is damaged, or of a newer hive.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Form {
            format: u32,
        }
        let damaged = |error: serde_json::Error| Unreadable::Damaged(error.to_string());
        let form: Sealed<Form> = serde_json::from_slice(bytes).map_err(damaged)?;
        if form.manifest.format > FORMAT {
            return Err(Unreadable::Newer(form.manifest.format));
        }
        let sealed: Sealed<Self> = serde_json::from_slice(bytes).map_err(damaged)?;
        if Fingerprint::of(&sealed.manifest).as_str() != sealed.digest {
            return Err(Unreadable::Damaged("its digest is another".to_owned()));
        }
        Ok(sealed.manifest)
    }

    /// The size of all content.
    pub fn bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.size).sum()
    }

    /// The size of all that is stored.
    pub fn stored(&self) -> u64 {
        self.objects.iter().map(|object| object.stored).sum()
    }

    /// The rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// What was found when it was restored and compared, in words.
    pub fn proven(&self) -> String {
        let (tables, rows) = (self.tables.len() as u64, self.rows());
        match tables {
            0 => "there is no table, as when it was backed up".to_owned(),
            _ => format!(
                "{} with {} {} as backed up",
                words::count(tables, "table"),
                words::count(rows, "row"),
                if tables == 1 { "is" } else { "are" },
            ),
        }
    }

    /// The language of its database, where it is of one.
    pub fn dialect(&self) -> Option<Dialect> {
        Dialect::parse(&self.source.engine)
    }
}

/// In words, where a new backup is far smaller than the ones before it: less than half of the
/// median of the last five that were asked for, in bytes or in rows.
pub fn shrunk(new: &Manifest, previous: &[Manifest]) -> Option<String> {
    let mut before: Vec<&Manifest> = previous
        .iter()
        .filter(|one| one.id != new.id && one.finished_ms <= new.finished_ms)
        .collect();
    before.sort_by_key(|one| std::cmp::Reverse(one.finished_ms));
    before.truncate(5);
    let bytes = median(before.iter().map(|one| one.bytes()).collect())?;
    let rows = median(before.iter().map(|one| one.rows()).collect())?;
    if new.bytes() < bytes / 2 {
        return Some(format!(
            "it holds {}, and the last {} held {} (median)",
            words::size(new.bytes()),
            before.len(),
            words::size(bytes)
        ));
    }
    (new.rows() < rows / 2).then(|| {
        format!(
            "it holds {}, and the last {} held {rows} (median)",
            words::count(new.rows(), "row"),
            before.len()
        )
    })
}

fn median(mut all: Vec<u64>) -> Option<u64> {
    all.sort_unstable();
    all.get(all.len() / 2).copied()
}

/// Compares the tables of a restored database with those of the manifest, in words; nothing where
/// they are equal. Sizes on disk are not compared.
pub fn differences(manifest: &[Table], restored: &[Table]) -> Vec<String> {
    let by_name = |tables: &[Table]| -> BTreeMap<String, Table> {
        tables.iter().map(|one| (one.name.clone(), one.clone())).collect()
    };
    let (before, after) = (by_name(manifest), by_name(restored));
    let mut found = Vec::new();
    for (name, table) in &before {
        match after.get(name) {
            None => found.push(format!("{name} is not there")),
            Some(other) if other.rows != table.rows => found.push(format!(
                "{name} has {}, and had {}",
                words::count(other.rows, "row"),
                table.rows
            )),
            Some(other) if (&other.xor, &other.sum) != (&table.xor, &table.sum) => {
                found.push(format!("{name} has other rows than it had"));
            }
            Some(_) => {}
        }
    }
    let added = after.keys().filter(|name| !before.contains_key(*name));
    found.extend(added.map(|name| format!("{name} was not in the backup")));
    found
}
