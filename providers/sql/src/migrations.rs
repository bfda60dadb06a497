//! The list of migrations that a folder holds: files, order, checksums.

use crate::dialect::Dialect;
use crate::directive::{self, Direction, Directives};
use crate::fault::Fault;
use crate::file::FileText;
use crate::name::{self, FileName};
use crate::refusal;
use crate::script::{self, Script};
use crate::stage::{self, Stage};
use hive_contract::fingerprint::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

pub use crate::script::Statement;

/// One step of a schema, with its way back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// Its place in the order.
    pub number: u64,
    /// The same as the file writes it, such as `0007`.
    pub version: String,
    /// Number and words, such as `0007_add_status`.
    pub name: String,
    /// What it does.
    pub up: Script,
    /// What takes it back.
    pub down: Down,
    /// Whether the version before it runs on its outcome.
    pub stage: Stage,
    /// Why that is so, each a lower-case fragment.
    pub stage_why: Vec<String>,
}

/// What takes a migration back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Down {
    /// This file.
    Script(Script),
    /// Nothing, for this declared reason.
    Irreversible(String),
}

impl Down {
    /// The file, where there is one.
    pub fn script(&self) -> Option<&Script> {
        match self {
            Self::Script(script) => Some(script),
            Self::Irreversible(_) => None,
        }
    }
}

/// All migrations of one database, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrations {
    dialect: Dialect,
    list: Vec<Migration>,
}

impl Migrations {
    /// Reads the files of a folder, in whatever order they come.
    ///
    /// # Errors
    /// Everything that is wrong with them, at once, in the order of the files.
    pub fn read(dialect: Dialect, files: &[FileText]) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let pairs = pair(files, &mut faults);
        let mut list = Vec::with_capacity(pairs.len());
        for pair in pairs.into_values() {
            list.extend(migration(dialect, pair, &mut faults));
        }
        if faults.is_empty() {
            return Ok(Self { dialect, list });
        }
        faults.sort();
        Err(faults)
    }

    /// In which language they are written.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// All of them, in order.
    pub fn list(&self) -> &[Migration] {
        &self.list
    }

    /// The name of the newest, such as `0007_add_status`; empty where there is none.
    pub fn head(&self) -> &str {
        self.list.last().map_or("", |migration| &migration.name)
    }

    /// The one with a name, and its index.
    pub fn find(&self, name: &str) -> Option<(usize, &Migration)> {
        self.list.iter().enumerate().find(|(_, migration)| migration.name == name)
    }

    /// The running hash over all names and checksums: see [`chain`].
    pub fn chain(&self) -> String {
        self.chain_at(self.list.len())
    }

    /// The running hash over the first `count`.
    pub fn chain_at(&self, count: usize) -> String {
        let first = self.list.iter().take(count);
        chain(first.map(|one| (one.name.as_str(), one.up.checksum.as_str())))
    }
}

/// The running hash over names and checksums in order, in hex digits: each link hashes the link
/// before it, so that it is another where a file is edited, removed, inserted or moved. That of
/// nothing is the empty text.
pub fn chain<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    chain_behind("", files)
}

/// The same behind a link that is known.
pub fn chain_behind<'a>(link: &str, files: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut link = link.to_owned();
    for (name, checksum) in files {
        let mut hash = Sha256::new();
        for part in [link.as_str(), name, checksum] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        link = hex(&hash.finalize());
    }
    link
}

/// The files of one number.
struct Pair<'a> {
    up: Option<(FileName<'a>, &'a FileText)>,
    down: Option<(FileName<'a>, &'a FileText)>,
}

fn pair<'a>(files: &'a [FileText], faults: &mut Vec<Fault>) -> BTreeMap<u64, Pair<'a>> {
    let mut pairs: BTreeMap<u64, Pair<'a>> = BTreeMap::new();
    let mut sorted: Vec<&FileText> = files.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    for file in sorted {
        let name = match name::parse(&file.name) {
            Ok(name) => name,
            Err(fault) => {
                faults.push(fault);
                continue;
            }
        };
        let pair = pairs.entry(name.number).or_insert(Pair { up: None, down: None });
        let slot = match name.direction {
            Direction::Up => &mut pair.up,
            Direction::Down => &mut pair.down,
        };
        if let Some((_, other)) = slot {
            let message = format!("version {} is taken by `{}` already", name.number, other.name);
            faults.push(Fault::of(&file.name, message).help("give one of them another number"));
            continue;
        }
        *slot = Some((name, file));
    }
    pairs
}

fn migration(dialect: Dialect, pair: Pair<'_>, faults: &mut Vec<Fault>) -> Option<Migration> {
    let Some((name, file)) = pair.up else {
        let (_, file) = pair.down?;
        let help = "add the up file, or take the down file away";
        faults.push(Fault::of(&file.name, "a down file without its up file").help(help));
        return None;
    };
    let up = script_of(dialect, file, Direction::Up, faults);
    if up.as_ref().is_some_and(|(up, _)| up.statements.is_empty()) {
        let help = "write what it does, or take the file away with its down file";
        faults.push(Fault::of(&file.name, "an up file without a statement").help(help));
    }
    let down = pair.down.map(|(down_name, down_file)| {
        if down_name.stem != name.stem {
            let message = format!("the up file of version {} is `{}`", name.number, file.name);
            let help = format!("name it `{}.down.sql`", name.stem);
            faults.push(Fault::of(&down_file.name, message).help(help));
        }
        let read = script_of(dialect, down_file, Direction::Down, faults);
        if let Some((script, _)) = &read
            && script.statements.is_empty()
            && up.as_ref().is_none_or(|(up, _)| !up.statements.is_empty())
        {
            let help = "write what takes the up file back, or delete it and say \
                        `-- hive: irreversible = \"reason\"` at the top of the up file";
            faults.push(Fault::of(&down_file.name, "a down file without a statement").help(help));
        }
        (down_file, read)
    });
    let (up, directives) = up?;
    let down = match (down, directives.irreversible) {
        (Some((down_file, _)), Some((_, line))) => {
            let message = format!("it is declared irreversible, and `{}` is there", down_file.name);
            let help = "take the line away, or the down file";
            faults.push(Fault::of(&file.name, message).at(line, 1).help(help));
            return None;
        }
        (Some((_, read)), None) => Down::Script(read?.0),
        (None, Some((reason, _))) => Down::Irreversible(reason),
        (None, None) => {
            let help = format!(
                "add `{}.down.sql`, or say `-- hive: irreversible = \"reason\"` at the top",
                name.stem
            );
            faults.push(Fault::of(&file.name, "nothing takes it back").help(help));
            return None;
        }
    };
    let (stage, stage_why) = stage::declared(dialect, &up.statements, directives.stage);
    Some(Migration {
        number: name.number,
        version: name.version.to_owned(),
        name: name.stem.to_owned(),
        up,
        down,
        stage,
        stage_why,
    })
}

fn script_of(
    dialect: Dialect,
    file: &FileText,
    direction: Direction,
    faults: &mut Vec<Fault>,
) -> Option<(Script, Directives)> {
    let mut script = match script::read(dialect, &file.name, &file.text) {
        Ok(script) => script,
        Err(fault) => {
            faults.push(fault);
            return None;
        }
    };
    let mut directives = directive::read(dialect, &script, direction, faults);
    script.transactional = !directives.no_transaction;
    script.accepts = std::mem::take(&mut directives.accepts);
    refusal::check(dialect, &script, faults);
    Some((script, directives))
}
