//! The ways back through data: which backup brings back what, and what is asked of whom for it.

use super::ask::Back;
use super::backups::{Backups, Kept};
use super::error::FlowError;
use super::session::Session;
use crate::plan::{Asked, Desired, Lint};
use hive_contract::{Address, Declared, Failure, Fields, Observed, Target, Value};
use hive_state::Snapshot;
use std::collections::{BTreeMap, BTreeSet};

/// What was seen, by place and part.
pub(super) type SeenParts = BTreeMap<(String, Target), Result<Observed, Failure>>;

/// What a way back asks of single resources, and what a reviewer should know of it.
#[derive(Default)]
pub(super) struct Through {
    pub(super) asked: BTreeMap<Address, Asked>,
    pub(super) lints: Vec<Lint>,
    /// Each database or folder that comes back, with the backup that it comes from.
    pub(super) comes_back: Vec<ComesBack>,
}

/// One thing that comes back from a backup.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ComesBack {
    /// What: a database, or the backup of a folder or a repository.
    pub address: Address,
    /// From which backup.
    pub backup: Address,
    /// The backup as it is kept.
    pub kept: Kept,
    /// How long it may take, in milliseconds, where that is promised.
    pub rto_ms: Option<u64>,
}

/// What is known of backups, for whoever chooses from them.
pub(super) struct Shelf<'a> {
    pub(super) declared: &'a BTreeMap<Address, Declared>,
    pub(super) desired: &'a BTreeMap<Address, Desired>,
    pub(super) recorded: Option<&'a Snapshot>,
    pub(super) observed: &'a SeenParts,
    pub(super) now_ms: u64,
}

impl Shelf<'_> {
    /// The declared form of a resource: as it is wanted, else as it is recorded.
    fn declared(&self, address: &Address) -> Option<&Declared> {
        let recorded = || Some(&self.recorded?.resources.get(address)?.declared);
        self.declared.get(address).or_else(recorded)
    }

    /// Everything wanted or recorded of a kind, each once.
    fn of_kind(&self, kind: &str) -> BTreeSet<&Address> {
        let recorded = self.recorded.iter().flat_map(|it| it.resources.keys());
        self.declared.keys().chain(recorded).filter(|it| it.kind() == kind).collect()
    }

    /// What was seen of a resource's main part, wherever it is.
    fn seen(&self, address: &Address) -> Option<&Result<Observed, Failure>> {
        let target = Target::main(address.clone());
        let wanted = self.desired.get(address).and_then(|it| it.parts.get(&target.part));
        let at = wanted.map(|it| it.place.clone()).or_else(|| {
            let held = self.recorded?.resources.get(address)?;
            Some(held.parts.get(&target.part)?.place.clone())
        });
        self.observed.get(&(at?, target))
    }

    /// Every backup, wanted or recorded, with what its destination holds.
    fn backups(&self) -> Vec<Backups> {
        let backups = self.of_kind("backup").into_iter();
        let of = |address: &Address| {
            let declared = self.declared(address)?;
            let of = Backups::of(address, &declared.fields, self.seen(address), &[], self.now_ms);
            Some(of.beside(self.recorded, &[]))
        };
        backups.filter_map(of).collect()
    }

    /// By database that is not there, the newest good backup of it as a person knows it.
    pub(super) fn newest_of_lost(&self) -> BTreeMap<Address, String> {
        let lost: Vec<&Address> = self
            .of_kind("database")
            .into_iter()
            .filter(|it| matches!(self.seen(it), Some(Ok(Observed::Absent))))
            .collect();
        if lost.is_empty() {
            return BTreeMap::new();
        }
        let backups = self.backups();
        let newest = |database: &&Address| {
            let of = backups.iter().filter(|it| it.database.as_ref() == Some(*database));
            let kept = of.filter_map(Backups::newest).max_by_key(|it| it.at_ms)?;
            Some(((*database).clone(), named(kept)))
        };
        lost.iter().filter_map(newest).collect()
    }

    /// The files of the migrations of a database, as they are wanted.
    fn files(&self, database: &Address) -> Value {
        let lists = self.declared.values().filter(|it| is_of(it, "migrations", database));
        let files = lists.filter_map(|it| it.fields.get("files").cloned()).next();
        files.unwrap_or_else(|| Value::List(Vec::new()))
    }

    /// What a provider is asked for to restore a database from a backup.
    fn restore(&self, database: &Address, backup: &Address, kept: &Kept) -> Fields {
        let of = self.declared(database).map(|it| it.fields.clone()).unwrap_or_default();
        let backup = self.declared(backup).map(|it| it.fields.clone()).unwrap_or_default();
        [
            ("verb", Value::text("restore")),
            ("backup", Value::Map(backup)),
            ("id", Value::text(&kept.id)),
            ("at_ms", int(kept.at_ms)),
            ("of", Value::Map(of)),
            ("files", self.files(database)),
            ("safety", Value::Bool(true)),
            ("now_ms", int(self.now_ms)),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    /// Asks for a database from a backup: its migrations come with it.
    fn ask(&self, database: &Address, backups: &Backups, kept: &Kept, into: &mut Through) {
        let run = self.restore(database, &backups.address, kept);
        into.asked.insert(database.clone(), Asked::Do(run));
        for list in self.of_kind("migrations") {
            if self.declared(list).is_some_and(|it| is_of(it, "migrations", database)) {
                into.asked.insert(list.clone(), Asked::Record);
            }
        }
        into.comes_back.push(ComesBack {
            address: database.clone(),
            backup: backups.address.clone(),
            kept: kept.clone(),
            rto_ms: backups.rto_ms,
        });
    }
}

impl Session {
    /// What going back to a snapshot asks for beyond what it declares.
    ///
    /// # Errors
    /// There is no backup that has the data, or services alone would not run on what is there.
    pub(super) async fn through(
        &self,
        number: u64,
        back: Back,
        shelf: &Shelf<'_>,
    ) -> Result<Through, FlowError> {
        match back {
            Back::Data => self.with_data(number, shelf).await,
            Back::Usual | Back::Schema => {
                let gone = super::contract::taken_away(shelf.declared, shelf.recorded);
                match gone.is_empty() {
                    true => Ok(Through::default()),
                    false => Err(super::contract::refused(number, gone)),
                }
            }
            Back::Services => Ok(Through::default()),
        }
    }

    /// Every database of a snapshot, with the data that it had then.
    async fn with_data(&self, number: u64, shelf: &Shelf<'_>) -> Result<Through, FlowError> {
        let era = self.era(number).await?;
        let (backups, mut through, mut facts) = (shelf.backups(), Through::default(), Vec::new());
        for database in shelf.declared.keys().filter(|it| it.kind() == "database") {
            let mut of: Vec<&Backups> =
                backups.iter().filter(|it| it.database.as_ref() == Some(database)).collect();
            of.sort_by_key(|it| !shelf.declared.contains_key(&it.address));
            // One that has the data itself goes before one that is brought up to it.
            let found = of.iter().filter_map(|it| Some((*it, it.of_era(&era)?)));
            let found = found.min_by_key(|(_, (_, exact))| !exact);
            let Some((backups, (kept, exact))) = found else {
                facts.push(no_backup(database, &of));
                continue;
            };
            shelf.ask(database, backups, kept, &mut through);
            through.lints.push(loses(database, number, kept, exact, shelf.now_ms));
        }
        if !facts.is_empty() {
            return Err(FlowError::NoWayBack {
                message: format!("snapshot {number} cannot come back with its data"),
                facts,
                hints: vec![
                    format!("`hive restore {number}` brings back the services alone"),
                    "`hive backup list` shows which backups there are".to_owned(),
                ],
            });
        }
        if through.asked.is_empty() {
            return Err(FlowError::Usage(format!(
                "snapshot {number} has no database, so there is no data to bring back: leave \
                 `--with-data` out"
            )));
        }
        Ok(through)
    }

    /// One database from one of its backups, at the schema that is wanted now.
    pub(super) fn one_database(
        &self,
        database: &Address,
        backup: &Address,
        id: &str,
        shelf: &Shelf<'_>,
    ) -> Result<Through, FlowError> {
        let backups = shelf.backups();
        let of = backups.iter().find(|it| it.address == *backup);
        let of = of.ok_or_else(|| super::backups::not_recorded(backup))?;
        let kept = of.find(Some(id))?;
        let mut through = Through::default();
        shelf.ask(database, of, kept, &mut through);
        let lost = lost(kept, shelf.now_ms);
        let since = format!("it gets the data of {}: {lost}", held(kept));
        through.lints.push(Lint { address: Some(database.clone()), message: since });
        Ok(through)
    }

    /// Whatever is absent and has a backup: databases, folders and repositories.
    pub(super) fn absent(&self, shelf: &Shelf<'_>) -> Result<Through, FlowError> {
        let (backups, mut through, mut facts) = (shelf.backups(), Through::default(), Vec::new());
        for database in shelf.declared.keys().filter(|it| it.kind() == "database") {
            if !matches!(shelf.seen(database), Some(Ok(Observed::Absent))) {
                continue;
            }
            let of: Vec<&Backups> =
                backups.iter().filter(|it| it.database.as_ref() == Some(database)).collect();
            match of.iter().find_map(|it| Some((*it, it.newest()?))) {
                Some((backups, kept)) => {
                    shelf.ask(database, backups, kept, &mut through);
                    let message = format!("it gets the data of {}", described(kept));
                    through.lints.push(Lint { address: Some(database.clone()), message });
                }
                None => facts.push(no_backup(database, &of)),
            }
        }
        for files in backups.iter().filter(|it| it.database.is_none()) {
            self.files_of(files, shelf, &mut through, &mut facts);
        }
        match facts.is_empty() {
            true => Ok(through),
            false => Err(FlowError::NoWayBack {
                message: "what is gone cannot be brought back".to_owned(),
                facts,
                hints: vec![
                    "`hive backup list` shows which backups there are".to_owned(),
                    "`hive apply` makes what is declared, with databases that are empty".to_owned(),
                ],
            }),
        }
    }

    /// Asks for a folder or a repository where it is gone.
    fn files_of(
        &self,
        files: &Backups,
        shelf: &Shelf<'_>,
        through: &mut Through,
        facts: &mut Vec<String>,
    ) {
        let of = shelf.declared(&files.address).and_then(|it| it.fields.get("of"));
        let path = of.and_then(Value::as_map).and_then(|it| it.get("path")?.as_text());
        let Some(path) = path.filter(|it| is_gone(&self.at.folder.join(it))) else { return };
        match files.newest() {
            Some(kept) => {
                let run = unpack(&kept.id, path, shelf.now_ms);
                through.asked.insert(files.address.clone(), Asked::Do(run));
                through.comes_back.push(ComesBack {
                    address: files.address.clone(),
                    backup: files.address.clone(),
                    kept: kept.clone(),
                    rto_ms: files.rto_ms,
                });
            }
            None => facts.push(no_backup(&files.address, &[files])),
        }
    }
}

impl Backups {
    /// The backup of an id, or the newest good one.
    ///
    /// # Errors
    /// There is none, it is damaged, or the destination cannot be read.
    pub fn find(&self, id: Option<&str>) -> Result<&Kept, FlowError> {
        let address = &self.address;
        if id.is_none() && self.unreadable.is_none() && self.newest().is_none() {
            return Err(FlowError::Usage(format!("`{address}` holds no good backup")));
        }
        let one = self.find_any(id)?;
        if one.ok {
            return Ok(one);
        }
        Err(FlowError::Usage(format!(
            "the backup {} of `{address}` is damaged{}",
            one.id,
            one.wrong.as_ref().map_or(String::new(), |it| format!(": {it}"))
        )))
    }

    /// The backup of an id, or the newest good one, else the newest: to look at it once more.
    ///
    /// # Errors
    /// There is none, or the destination cannot be read.
    pub fn find_any(&self, id: Option<&str>) -> Result<&Kept, FlowError> {
        let address = &self.address;
        if let Some(why) = &self.unreadable {
            return Err(FlowError::Usage(format!("`{address}` cannot be read: {why}")));
        }
        let Some(id) = id else {
            let none = || FlowError::Usage(format!("`{address}` holds no backup"));
            let newest = || self.list.iter().rev().find(|it| !it.is_safety());
            return self.newest().or_else(newest).ok_or_else(none);
        };
        let found: Vec<&Kept> = self.list.iter().filter(|it| it.id.starts_with(id)).collect();
        let exact = found.iter().find(|it| it.id == id);
        match (exact, found.as_slice()) {
            (Some(one), _) | (None, [one]) => Ok(one),
            (None, []) => Err(FlowError::Usage(format!(
                "`{address}` holds no backup `{id}`: `hive backup list {address}` shows which"
            ))),
            (None, more) => Err(FlowError::Usage(format!(
                "{} backups of `{address}` begin with `{id}`: give more of it",
                more.len()
            ))),
        }
    }
}

/// What a provider is asked for to unpack a backup.
pub(super) fn unpack(id: &str, to: &str, now_ms: u64) -> Fields {
    [
        ("verb", Value::text("unpack")),
        ("id", Value::text(id)),
        ("to", Value::text(to)),
        ("now_ms", int(now_ms)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// Whether a folder is not there, or holds nothing.
fn is_gone(folder: &std::path::Path) -> bool {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// Whether a resource is of a kind and belongs to a database.
fn is_of(declared: &Declared, kind: &str, database: &Address) -> bool {
    let of = declared.fields.get("database").and_then(Value::as_text);
    declared.address.kind() == kind && of == Some(&database.to_string())
}

/// A number of milliseconds as a value.
pub(super) fn int(ms: u64) -> Value {
    Value::Int(i64::try_from(ms).unwrap_or(i64::MAX))
}

fn no_backup(database: &Address, backups: &[&Backups]) -> String {
    let Some(first) = backups.first() else {
        return format!("`{database}` has no backup declared");
    };
    let (address, place) = (&first.address, &first.destination);
    match (&first.unreadable, first.list.len()) {
        (Some(why), _) => format!("`{address}` of `{database}` cannot be read: {why}"),
        (None, 0) => format!("`{address}` of `{database}` holds nothing in `{place}`"),
        (None, 1) => format!("the only backup that `{address}` holds is damaged or too young"),
        (None, many) => format!("none of the {many} backups that `{address}` holds is good for it"),
    }
}

/// A backup with its time, its rows and whether it was proven.
pub(super) fn described(kept: &Kept) -> String {
    let proof = if kept.verified_ms.is_some() { "verified" } else { "not verified yet" };
    format!("{}, {proof}", held(kept))
}

/// A backup with its time and what it holds.
fn held(kept: &Kept) -> String {
    let rows = match kept.rows {
        Some(1) => ", 1 row".to_owned(),
        Some(rows) => format!(", {rows} rows"),
        None => String::new(),
    };
    format!("{}{rows}", named(kept))
}

/// A backup with its kind and its time, as a person knows it.
pub(super) fn named(kept: &Kept) -> String {
    let moment = jiff::Timestamp::from_millisecond(i64::try_from(kept.at_ms).unwrap_or(i64::MAX));
    let moment = moment.map(|it| it.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
    let kind = if kept.is_safety() { "safety copy" } else { "backup" };
    format!("{kind} {} of {}", kept.id, moment.unwrap_or_else(|_| "an unknown time".to_owned()))
}

fn lost(kept: &Kept, now_ms: u64) -> String {
    let minutes = now_ms.saturating_sub(kept.at_ms) / 60_000;
    let age = match minutes {
        0 => "less than a minute ago".to_owned(),
        1..120 => format!("{minutes} min ago"),
        120..2_880 => format!("{} h ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1_440),
    };
    let proof = match kept.verified_ms {
        Some(_) => "",
        None => "; it was not verified yet, and restoring proves it before anything is swapped",
    };
    format!("what was written since ({age}) is lost, and kept in a safety copy{proof}")
}

fn loses(database: &Address, number: u64, kept: &Kept, exact: bool, now_ms: u64) -> Lint {
    let older = match exact {
        true => String::new(),
        false => format!(
            ", the newest from before snapshot {number}, brought up to its schema: what was \
             written while it was the newest is in no backup"
        ),
    };
    let message = format!("it gets the data of {}{older}: {}", held(kept), lost(kept, now_ms));
    Lint { address: Some(database.clone()), message }
}
