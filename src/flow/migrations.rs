//! Lists of migrations: what is applied, pending, drifted, and what is said against them.

use super::ask::{Ask, Want};
use super::contract;
use super::error::FlowError;
use super::observe::observe;
use super::rehearse::{Hears, Learnt, Rehearse};
use super::session::Session;
use crate::plan::{self, Scope};
use crate::stack;
use hive_contract::{Address, Declared, Failure, Fields, Observed, Target, Value};
use hive_sql::lint::{self, Finding, Level, Sizes, TableSize};
use hive_sql::list::{drift_of, history_of};
use hive_sql::{Dialect, Migration, Migrations, Stage};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One list and its database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct List {
    /// Its address.
    pub address: Address,
    /// Its database.
    pub database: String,
    /// Each file, in order; and what is applied and has no file.
    pub files: Vec<File>,
    /// What is not as the last migration left it: object, and in words what is other.
    pub drift: BTreeMap<String, String>,
    /// A file that was begun without a transaction and did not end, in words.
    pub half: Option<String>,
    /// Why the database could not be read; none where it could.
    pub unreadable: Option<String>,
}

/// One migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct File {
    /// Number and words: `0007_add_status`.
    pub name: String,
    /// Where it is.
    pub state: FileState,
    /// When in a rollout it belongs; none where its file is not there.
    pub stage: Option<Stage>,
    /// Why that is so.
    pub why: Vec<String>,
    /// Why it has no way back, where it has none.
    pub irreversible: Option<String>,
}

/// Where a migration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileState {
    /// In the database.
    Applied,
    /// Not yet.
    Pending,
    /// In the database, and the file says something else now.
    Edited,
    /// In the database, and there is no file.
    Missing,
}

/// What is said against the files of one list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Linted {
    /// Its address.
    pub address: Address,
    /// The folder of its files as a person writes it, where that is known.
    pub folder: Option<String>,
    /// How many files were looked at.
    pub looked_at: usize,
    /// In the order of files and lines.
    pub findings: Vec<Finding>,
    /// Whether the sizes of tables are known.
    pub sized: bool,
}

impl Linted {
    /// Whether something in it will hurt, and nobody accepted it.
    pub fn is_dangerous(&self) -> bool {
        self.findings.iter().any(|it| it.level == Level::Danger && it.accepted.is_none())
    }
}

type Seen = BTreeMap<Address, Result<Observed, Failure>>;

impl Session {
    /// What is applied and pending of the declared lists, or of one.
    ///
    /// # Errors
    /// There is no such list, its files cannot be read, or the store cannot be.
    pub async fn migrations(&self, only: &BTreeSet<Address>) -> Result<Vec<List>, FlowError> {
        let lists = self.lists(only)?;
        let seen = self.seen(&lists).await?;
        let mut all = Vec::new();
        for declared in lists {
            let files = self.read(declared)?;
            all.push(list(declared, &files, seen.get(&declared.address)));
        }
        Ok(all)
    }

    /// What is said against what is pending in the declared lists, or in one; against all of it where
    /// the database cannot be read.
    ///
    /// # Errors
    /// There is no such list, or the store cannot be read.
    pub async fn lint(&self, only: &BTreeSet<Address>) -> Result<Vec<Linted>, FlowError> {
        let lists = self.lists(only)?;
        let seen = self.seen(&lists).await?;
        let folders = stack::migration_folders(&self.at.folder, &self.at.environment);
        let mut all = Vec::new();
        for declared in lists {
            let folder = folders.get(&declared.address).cloned();
            let live = seen.get(&declared.address).and_then(|it| it.as_ref().ok()?.live());
            let sizes = live.and_then(|it| it.fields.get("sizes")?.as_map()).map(sizes);
            let applied: BTreeSet<String> =
                live.map(|it| history(&it.fields)).unwrap_or_default().into_keys().collect();
            let (looked_at, findings) =
                findings(declared, &applied, &sizes.clone().unwrap_or_default());
            let address = declared.address.clone();
            all.push(Linted { address, folder, looked_at, findings, sized: sizes.is_some() });
        }
        Ok(all)
    }

    /// Tries what is pending in the declared lists, or in one, now.
    ///
    /// # Errors
    /// There is no such list, or no plan for it, or it does not work.
    pub async fn try_now(
        &self,
        only: &BTreeSet<Address>,
        hears: Hears<'_>,
    ) -> Result<Learnt, FlowError> {
        let lists = self.lists(only)?.into_iter().map(|it| it.address.clone()).collect();
        let ask =
            Ask { scope: Scope::Only(lists), rehearse: Rehearse::Anew, ..Ask::all(Want::Declared) };
        Ok(self.plan(&ask, hears).await?.rehearsed)
    }

    /// The declared lists, or these of them.
    fn lists(&self, only: &BTreeSet<Address>) -> Result<Vec<&Declared>, FlowError> {
        let stack = self.toml()?;
        if let Some(address) = only.iter().find(|it| !stack.declared.contains_key(*it)) {
            return Err(FlowError::Usage(format!("the stack declares no `{address}`")));
        }
        if let Some(address) = only.iter().find(|it| it.kind() != "migrations") {
            return Err(FlowError::Usage(format!(
                "`{address}` is no list of migrations: name one as in `migrations.main`"
            )));
        }
        let lists = stack.declared.values().filter(|it| it.address.kind() == "migrations");
        let lists: Vec<&Declared> =
            lists.filter(|it| only.is_empty() || only.contains(&it.address)).collect();
        match lists.is_empty() {
            true => Err(FlowError::Usage(
                "the stack declares no migrations: they are declared as `[migrations.main]`"
                    .to_owned(),
            )),
            false => Ok(lists),
        }
    }

    /// What is live of these lists, each where it can be reached.
    async fn seen(&self, lists: &[&Declared]) -> Result<Seen, FlowError> {
        let recorded = self.ledger.head().await?.map(|(_, snapshot)| snapshot);
        let providers = self.providers(recorded.as_ref()).await?;
        let declared: BTreeMap<Address, Declared> =
            lists.iter().map(|it| (it.address.clone(), (*it).clone())).collect();
        let desired = plan::desire(&declared, &providers).map_err(|wrong| self.wrong(wrong))?;
        let mut recorded = recorded;
        if let Some(recorded) = &mut recorded {
            recorded.resources.retain(|address, _| declared.contains_key(address));
        }
        let seen = observe(&providers, &self.secrets, &desired, recorded.as_ref()).await;
        let main = |((_, target), found): ((String, Target), Result<Observed, Failure>)| {
            (target.address, found)
        };
        Ok(seen.observed.into_iter().map(main).collect())
    }

    /// The files of a list.
    fn read(&self, declared: &Declared) -> Result<Migrations, FlowError> {
        let engine = engine(&declared.fields);
        Migrations::read(engine, &contract::files(&declared.fields)).map_err(|faults| {
            let shown = faults.iter().map(ToString::to_string).collect();
            FlowError::Files { address: declared.address.clone(), faults: shown }
        })
    }
}

fn engine(fields: &Fields) -> Dialect {
    let of = fields.get("of").and_then(Value::as_map);
    let engine = of.and_then(|it| it.get("engine")?.as_text());
    engine.and_then(Dialect::parse).unwrap_or(Dialect::Sqlite)
}

/// What is applied: checksums by name.
fn history(live: &Fields) -> BTreeMap<String, String> {
    history_of(live).map(|(name, checksum)| (name.to_owned(), checksum.to_owned())).collect()
}

fn list(declared: &Declared, files: &Migrations, seen: Option<&Result<Observed, Failure>>) -> List {
    let text = |key: &str| declared.fields.get(key).and_then(Value::as_text).unwrap_or_default();
    let live = seen.and_then(|it| it.as_ref().ok()?.live()).map(|it| &it.fields);
    let mut applied = live.map(history).unwrap_or_default();
    let mut rows: Vec<File> =
        files.list().iter().map(|it| file(it, applied.remove(&it.name).as_deref())).collect();
    rows.extend(applied.into_keys().map(|name| File {
        name,
        state: FileState::Missing,
        stage: None,
        why: Vec::new(),
        irreversible: None,
    }));
    rows.sort_by_key(|it| number(&it.name));
    List {
        address: declared.address.clone(),
        database: text("database").to_owned(),
        files: rows,
        drift: live.map(drift_of).unwrap_or_default(),
        half: live.and_then(half),
        unreadable: seen.and_then(|it| it.as_ref().err()).map(ToString::to_string),
    }
}

fn file(migration: &Migration, applied: Option<&str>) -> File {
    let state = match applied {
        None => FileState::Pending,
        Some(checksum) if checksum == migration.up.checksum => FileState::Applied,
        Some(_) => FileState::Edited,
    };
    let irreversible = match &migration.down {
        hive_sql::Down::Script(_) => None,
        hive_sql::Down::Irreversible(why) => Some(why.clone()),
    };
    File {
        name: migration.name.clone(),
        state,
        stage: Some(migration.stage),
        why: migration.stage_why.clone(),
        irreversible,
    }
}

/// The number that a name begins with.
fn number(name: &str) -> u64 {
    let digits = name.split(|it: char| !it.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or(u64::MAX)
}

fn half(live: &Fields) -> Option<String> {
    let half = live.get("half")?.as_map()?;
    let name = half.get("name")?.as_text()?;
    let number = |key: &str| half.get(key).and_then(Value::as_int).unwrap_or_default();
    let error = half.get("error").and_then(Value::as_text);
    let error = error.map_or(String::new(), |it| format!(": {it}"));
    Some(format!(
        "`{name}` ended after {} of {} statements{error}",
        number("applied"),
        number("total")
    ))
}

/// What is said against the files of a list that are not applied; a list that cannot be read has
/// its faults.
fn findings(
    declared: &Declared,
    applied: &BTreeSet<String>,
    sizes: &Sizes,
) -> (usize, Vec<Finding>) {
    let engine = engine(&declared.fields);
    let files = contract::files(&declared.fields);
    let migrations = match Migrations::read(engine, &files) {
        Ok(migrations) => migrations,
        Err(faults) => {
            let found = faults.into_iter().map(|it| Finding {
                rule: "file".to_owned(),
                file: it.file,
                line: it.line.unwrap_or(1),
                column: it.column.unwrap_or(1),
                message: it.message,
                help: it.help,
                level: Level::Danger,
                accepted: None,
            });
            return (files.len(), found.collect());
        }
    };
    let pending: Vec<&Migration> =
        migrations.list().iter().filter(|it| !applied.contains(&it.name)).collect();
    let found = pending.iter().flat_map(|it| lint::lint(engine, it, sizes)).collect();
    (pending.len(), found)
}

/// How heavy a live database says it is.
fn sizes(fields: &Fields) -> Sizes {
    let whole = |value: Option<&Value>| {
        u64::try_from(value.and_then(Value::as_int).unwrap_or_default()).unwrap_or_default()
    };
    let tables = fields.get("tables").and_then(Value::as_map).into_iter().flatten();
    let table = |(name, size): (&String, &Value)| {
        let size = size.as_list().unwrap_or_default();
        (name.clone(), TableSize { bytes: whole(size.first()), rows: whole(size.get(1)) })
    };
    Sizes {
        tables: tables.map(table).collect(),
        longest_tx_ms: whole(fields.get("longest_ms")),
        max_locks: fields.get("locks").map(|it| whole(Some(it))),
        ..Sizes::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_contract::{Live, Status};

    fn declared() -> Declared {
        let json = r#"{"address":"migrations.main","fields":{"database":"database.main",
            "of":{"engine":"sqlite"},"files":[
            {"name":"0001_a.up.sql","text":"CREATE TABLE a (x INTEGER, y INTEGER);"},
            {"name":"0001_a.down.sql","text":"DROP TABLE a;"},
            {"name":"0002_b.up.sql","text":"ALTER TABLE a DROP COLUMN y;"},
            {"name":"0002_b.down.sql","text":"ALTER TABLE a ADD COLUMN y INTEGER;"}]}}"#;
        serde_json::from_str(json).expect("declared")
    }

    fn live(history: &[String]) -> Result<Observed, Failure> {
        let lines = history.iter().map(|it| Value::text(it.clone())).collect();
        let drift = Fields::from([("column a.z".to_owned(), Value::text("added by hand"))]);
        Ok(Observed::Present(Live {
            identity: "dev/migrations.main".to_owned(),
            fields: Fields::from([
                ("history".to_owned(), Value::List(lines)),
                ("drift".to_owned(), Value::Map(drift)),
            ]),
            outputs: Fields::new(),
            mark: None,
            token: None,
            moved_by: BTreeMap::new(),
            ended: BTreeMap::new(),
            status: Status::default(),
        }))
    }

    fn states(history: &[String]) -> Vec<(String, FileState)> {
        let declared = declared();
        let files = contract::migrations(&declared.fields).expect("reads");
        let list = list(&declared, &files, Some(&live(history)));
        assert_eq!(list.drift.len(), 1);
        list.files.into_iter().map(|it| (it.name, it.state)).collect()
    }

    #[test]
    fn what_is_applied_pending_edited_and_missing() {
        let files = contract::migrations(&declared().fields).expect("reads");
        let first = format!("0001_a {}", files.list()[0].up.checksum);
        let named = |name: &str, state| (name.to_owned(), state);
        assert_eq!(
            states(std::slice::from_ref(&first)),
            [named("0001_a", FileState::Applied), named("0002_b", FileState::Pending)]
        );
        assert_eq!(
            states(&["0001_a other".to_owned(), "0003_gone x".to_owned()]),
            [
                named("0001_a", FileState::Edited),
                named("0002_b", FileState::Pending),
                named("0003_gone", FileState::Missing)
            ]
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_danger_with_its_place() {
        let mut declared = declared();
        let empty = r#"[{"name":"0001_a.up.sql","text":""}]"#;
        declared.fields.insert("files".to_owned(), serde_json::from_str(empty).expect("files"));
        let (_, found) = findings(&declared, &BTreeSet::new(), &Sizes::default());
        assert!(!found.is_empty() && found.iter().all(|it| it.level == Level::Danger), "{found:?}");
    }
}
