//! The operations of a list of migrations: one file, one operation.

use crate::material::Material;
use crate::rehearsed::Rehearsed;
use crate::seen::Seen;
use crate::steps::{ACCEPT, BASELINE, DOWN, MIGRATE, RESUME, payload, release, shown};
use hive_contract::{
    Change, Expects, Fields, Invalid, Operation, OutputRef, Phase, Rehearsal, Retry, Reversible,
    Undo, Value, WayBack,
};
use hive_sql::history::{Pending, compare};
use hive_sql::lint::lint;
use hive_sql::{Dialect, GoesOn, Migration, Stage};

/// How long a file may take, in milliseconds: it may rewrite a large table.
const LIMIT_MS: u64 = 6 * 3_600_000;

/// Payload: the files of one migration.
pub(crate) const FILES: &str = "files";
/// Payload: SHA-256 of the file's bytes as they lay in the folder.
pub(crate) const RAW: &str = "raw";
/// Payload: the schema's fingerprint that a rehearsal found after it.
pub(crate) const SCHEMA: &str = "schema";
/// Payload: the backup that was taken before it.
pub(crate) const BACKUP: &str = "backup";
/// Payload of [`BASELINE`]: the files that count as applied, or whose history tells.
pub(crate) const APPLIED: &str = "applied";
/// Payload of [`BASELINE`]: another tool.
pub(crate) const TOOL: &str = "tool";

/// What every operation of one list is made with.
struct Making<'a> {
    of: &'a Fields,
    material: &'a Material,
    seen: &'a Seen,
    rehearsed: Rehearsed,
}

pub(crate) fn create(
    change: &Change,
    of: &Fields,
    rehearsal: Option<&Rehearsal>,
) -> Vec<Operation> {
    let Some(material) = change.desired.as_ref().and_then(Material::of) else { return Vec::new() };
    let seen = Seen::default();
    let making =
        Making { of, material: &material, seen: &seen, rehearsed: Rehearsed::of(rehearsal) };
    let mut steps = vec![baseline(change, of, Some(&material))];
    let taken = material.declared_baseline().map_or(0, |it| it.files.len());
    for migration in material.migrations.list().iter().skip(taken) {
        let mut step = making.migrate(MIGRATE, migration);
        if let Some(tool) = material.baseline.as_ref().and_then(|it| it.tool) {
            step.notes.push(format!("nothing to do where {tool} has applied it"));
        }
        steps.push(step);
    }
    steps
}

pub(crate) fn update(
    change: &Change,
    of: &Fields,
    rehearsal: Option<&Rehearsal>,
) -> Vec<Operation> {
    let Some(material) = change.desired.as_ref().and_then(Material::of) else { return Vec::new() };
    let before = change.before.as_deref().and_then(Material::of);
    let seen = change.observed.as_ref().map(|live| Seen::of(live, before.as_ref()));
    let seen = seen.unwrap_or_default();
    let Ok(pending) = compare(&material.migrations, &seen.rows, material.order) else {
        return Vec::new();
    };
    let making =
        Making { of, material: &material, seen: &seen, rehearsed: Rehearsed::of(rehearsal) };
    let mut steps = Vec::new();
    if !seen.drift.is_empty() {
        steps.push(making.accept());
    }
    steps.extend(making.half(&pending, before.as_ref()));
    if material.down {
        steps.extend(making.beyond(&pending, before.as_ref()));
    }
    let list = material.migrations.list();
    steps.extend(pending.files.iter().map(|at| making.migrate(MIGRATE, &list[*at])));
    steps
}

/// Takes the history for hive, with what counts as applied.
pub(crate) fn baseline(change: &Change, of: &Fields, material: Option<&Material>) -> Operation {
    let mut payload = payload(of);
    let mut title = format!("keep {} in it", shown(change));
    let mut notes = Vec::new();
    if let Some(material) = material
        && let Some(declared) = &material.baseline
    {
        let all = material.migrations.list().iter();
        let counted: Vec<&Migration> = match material.declared_baseline() {
            Some(taken) => all.take(taken.files.len()).collect(),
            None => all.collect(),
        };
        let files = counted.iter().map(|it| {
            let raw = Value::text(&it.up.raw_checksum);
            Value::Map(Fields::from([(FILES.to_owned(), it.files_value()), (RAW.to_owned(), raw)]))
        });
        payload.insert(APPLIED.to_owned(), Value::List(files.collect()));
        if let Some(tool) = declared.tool {
            payload.insert(TOOL.to_owned(), Value::text(tool.as_str()));
            title = format!("take over what {tool} has applied");
        }
        if let Some(version) = &declared.version {
            payload.insert("version".to_owned(), Value::text(version));
            title = format!("{title}, up to {version}");
            notes.push(format!("{} files count as applied", counted.len()));
        } else if declared.tool.is_none() {
            payload.remove(APPLIED);
            title = "take the schema as it is for the start".to_owned();
        }
    }
    let mut step = Operation::new(BASELINE, title, Expects::Absent, payload);
    step.notes = notes;
    step.undone_by(release(change, of, true))
}

impl Making<'_> {
    fn migrate(&self, verb: &str, migration: &Migration) -> Operation {
        let mut payload = self.file_payload(migration);
        let rehearsed = self.rehearsed.file(&migration.name);
        if let Some(schema) = rehearsed.and_then(|it| it.schema.as_deref()) {
            payload.insert(SCHEMA.to_owned(), Value::text(schema));
        }
        if let Some(backup) = &self.material.backup {
            let id = OutputRef { address: backup.clone(), output: "id".to_owned() };
            payload.insert(BACKUP.to_owned(), Value::Output(id));
        }
        let title = match verb {
            RESUME => format!("go on with {}", migration.name),
            _ => format!("apply {}", migration.name),
        };
        let mut step = self.operation(verb, title, payload);
        step.phase = self.phase(migration.stage);
        step.takes_ms = rehearsed.map(|it| it.took_ms);
        step.notes.push(migration.stage.to_string());
        step.notes.extend(migration.stage_why.iter().cloned());
        step.notes.extend(rehearsed.map(|it| it.words()));
        step.notes.extend(self.findings(migration));
        self.taken_back(step, migration)
    }

    /// What the lint says, less what a person has accepted.
    fn findings(&self, migration: &Migration) -> Vec<String> {
        let found = lint(Dialect::Postgres, migration, &self.seen.sizes);
        found
            .iter()
            .filter(|it| it.accepted.is_none() && it.file == migration.up.file)
            .map(|it| format!("{}:{}: {} ({})", it.file, it.line, it.message, it.rule))
            .collect()
    }

    fn taken_back(&self, mut step: Operation, migration: &Migration) -> Operation {
        // Where nothing is applied and nothing is there, no file takes anything from anybody.
        let fresh = is_fresh(self.material, self.seen) && self.rehearsed.empty;
        if migration.stage == Stage::Contract && !fresh {
            let backup = self.material.backup.as_ref();
            let (why, reversible) = match backup {
                Some(backup) => {
                    let from = format!("the backup of {backup} that is taken before it");
                    let loses = "what is written after that backup".to_owned();
                    let why = format!("only {from} brings back what it takes away");
                    (why, Reversible::Restorable { from, loses })
                }
                None => {
                    let why = "it takes something away, and there is no backup of this database";
                    (why.to_owned(), Reversible::Irreversible { why: why.to_owned() })
                }
            };
            step.undo = Undo::None { why };
            step.reversible = reversible;
            return step;
        }
        match (self.material.down, migration.down.script()) {
            (true, Some(_)) => step.undone_by(self.take_back(migration)),
            _ => {
                step.notes.push("stays on the way back: the version before runs on it".to_owned());
                step
            }
        }
    }

    fn take_back(&self, migration: &Migration) -> Operation {
        let title = format!("take {} back by its down file", migration.name);
        let mut step = self.operation(DOWN, title, self.file_payload(migration));
        step.phase = self.phase(Stage::Expand);
        step.takes_ms = self.rehearsed.file(&migration.name).map(|it| it.down_ms);
        step
    }

    /// A file that did not end goes on, or goes back where it is not wanted any more.
    fn half(&self, pending: &Pending, before: Option<&Material>) -> Option<Operation> {
        let half = pending.half.as_ref()?;
        match &half.goes_on {
            GoesOn::Resume(_) => {
                let (_, migration) = self.material.migrations.find(&half.name)?;
                let mut step = self.migrate(RESUME, migration);
                step.notes.insert(0, half.words());
                Some(step)
            }
            GoesOn::Down => {
                let (_, migration) = before?.migrations.find(&half.name)?;
                Some(self.back(migration))
            }
            GoesOn::Ask(_) => None,
        }
    }

    /// What is applied and not declared any more, newest first.
    fn beyond(&self, pending: &Pending, before: Option<&Material>) -> Vec<Operation> {
        let rows = pending.beyond.iter().rev().filter_map(|at| self.seen.rows.get(*at));
        let known = |name: &str| Some(before?.migrations.find(name)?.1);
        rows.filter(|row| !row.is_half())
            .filter_map(|row| known(&row.name))
            .filter(|it| it.down.script().is_some())
            .map(|it| self.back(it))
            .collect()
    }

    fn back(&self, migration: &Migration) -> Operation {
        let again = self.migrate(MIGRATE, migration);
        let mut step = self.take_back(migration);
        step.phase = match self.material.stopped {
            true => Phase::Stopped,
            // What used it is updated first.
            false => Phase::Prune,
        };
        step.undone_by(again)
    }

    /// Takes the live schema as it is.
    fn accept(&self) -> Operation {
        let title = "take the schema as it is now as what the last migration left";
        let mut step = self.operation(ACCEPT, title.to_owned(), payload(self.of));
        step.notes = self.seen.drift.iter().map(|(object, is)| format!("{object}: {is}")).collect();
        step
    }

    fn operation(&self, verb: &str, title: String, payload: Fields) -> Operation {
        let mut step = Operation::new(verb, title, Expects::Content, payload);
        step.deadline_ms = LIMIT_MS;
        step.retry = Retry::NEVER;
        step
    }

    fn file_payload(&self, migration: &Migration) -> Fields {
        let mut payload = payload(self.of);
        payload.insert(FILES.to_owned(), migration.files_value());
        payload.insert(RAW.to_owned(), Value::text(&migration.up.raw_checksum));
        payload.insert("lock_timeout".to_owned(), Value::Int(self.material.lock_timeout));
        payload.insert("retries".to_owned(), Value::Int(self.material.retries));
        payload
    }

    fn phase(&self, stage: Stage) -> Phase {
        match (self.material.stopped, stage) {
            (true, _) => Phase::Stopped,
            (false, Stage::Expand) => Phase::Ready,
            (false, Stage::Contract) if is_fresh(self.material, self.seen) => Phase::Ready,
            (false, Stage::Contract) => Phase::Prune,
        }
    }
}

/// Whether nothing is applied yet, so that nobody runs on any of it: then there is nothing that a
/// contract could take away from somebody.
fn is_fresh(material: &Material, seen: &Seen) -> bool {
    seen.rows.is_empty() && material.baseline.is_none()
}

/// What speaks against a list once its history is known.
pub(crate) fn objections(change: &Change) -> Vec<Invalid> {
    let Some(material) = change.desired.as_ref().and_then(Material::of) else { return Vec::new() };
    let before = change.before.as_deref().and_then(Material::of);
    let seen = change.observed.as_ref().map(|live| Seen::of(live, before.as_ref()));
    let seen = seen.unwrap_or_default();
    let pending = match compare(&material.migrations, &seen.rows, material.order) {
        Ok(pending) => pending,
        Err(mismatches) => {
            let invalid = |it: &hive_sql::history::Mismatch| {
                Invalid::at("files", it.to_string()).help(it.help())
            };
            return mismatches.iter().map(invalid).collect();
        }
    };
    let mut wrong = Vec::new();
    if let Some(half) = &pending.half {
        match &half.goes_on {
            GoesOn::Ask(facts) => {
                let what = format!("{}: {}", half.words(), facts.join("; "));
                let help =
                    "bring the file back as it was; what ran can then go on or be taken back";
                wrong.push(Invalid::at("files", what).help(help));
            }
            GoesOn::Down
                if before.as_ref().is_none_or(|it| it.migrations.find(&half.name).is_none()) =>
            {
                let what = format!("{}, and its file is nowhere", half.words());
                wrong.push(Invalid::at("files", what).help("bring the file back"));
            }
            GoesOn::Down | GoesOn::Resume(_) => {}
        }
    }
    if material.down {
        wrong.extend(cannot_go_down(&seen, &pending, before.as_ref()));
    }
    if !is_fresh(&material, &seen) {
        wrong.extend(expand_behind_contract(&material, &pending));
    }
    wrong
}

fn cannot_go_down(seen: &Seen, pending: &Pending, before: Option<&Material>) -> Vec<Invalid> {
    let mut wrong = Vec::new();
    for row in pending.beyond.iter().filter_map(|at| seen.rows.get(*at)) {
        let known = before.and_then(|it| it.migrations.find(&row.name));
        let why = match known.map(|(_, it)| &it.down) {
            Some(hive_sql::Down::Script(_)) => continue,
            Some(hive_sql::Down::Irreversible(why)) => format!("it is irreversible: {why}"),
            None => "no snapshot holds its down file".to_owned(),
        };
        let what = format!("`{}` is applied and not declared any more, and {why}", row.name);
        let help = "restore a backup, or declare the file again";
        wrong.push(Invalid::at("files", what).help(help));
    }
    wrong
}

/// No order keeps the running version alive where an expand waits behind a contract.
fn expand_behind_contract(material: &Material, pending: &Pending) -> Option<Invalid> {
    if material.stopped {
        return None;
    }
    let list = material.migrations.list();
    let mut contract: Option<&Migration> = None;
    for migration in pending.files.iter().map(|at| &list[*at]) {
        match (migration.stage, contract) {
            (Stage::Contract, None) => contract = Some(migration),
            (Stage::Expand, Some(first)) => {
                let what = format!(
                    "`{}` (expand) waits behind `{}` (contract): no order keeps the running \
                     version alive",
                    migration.name, first.name
                );
                let help = format!(
                    "apply the release that ends with `{}` first, or say `during = \"stopped\"`",
                    first.name
                );
                return Some(Invalid::at("files", what).help(help));
            }
            _ => {}
        }
    }
    None
}

/// The reviewer's table: which way back holds.
pub(crate) fn ways_back(change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<WayBack> {
    let Some(material) = change.desired.as_ref().and_then(Material::of) else { return Vec::new() };
    let before = change.before.as_deref().and_then(Material::of);
    let seen = change.observed.as_ref().map(|live| Seen::of(live, before.as_ref()));
    let rows = seen.unwrap_or_default().rows;
    let Ok(pending) = compare(&material.migrations, &rows, material.order) else {
        return Vec::new();
    };
    let list = material.migrations.list();
    let files: Vec<&Migration> = pending.files.iter().map(|at| &list[*at]).collect();
    if files.is_empty() {
        return Vec::new();
    }
    let rehearsed = Rehearsed::of(rehearsal);
    vec![previous(&files), downs(&files, &rehearsed), restored(change, &material)]
}

fn previous(files: &[&Migration]) -> WayBack {
    let contract = files.iter().find(|it| it.stage == Stage::Contract);
    WayBack {
        way: "previous version".to_owned(),
        not_because: contract.map(|it| format!("it does not run on what `{}` leaves", it.name)),
        loses: "nothing".to_owned(),
        takes_ms: None,
    }
}

fn downs(files: &[&Migration], rehearsed: &Rehearsed) -> WayBack {
    let without = files.iter().find_map(|it| match &it.down {
        hive_sql::Down::Irreversible(why) => Some(format!("`{}` is irreversible: {why}", it.name)),
        hive_sql::Down::Script(_) => None,
    });
    let times: Option<Vec<u64>> =
        files.iter().map(|it| rehearsed.file(&it.name).map(|it| it.down_ms)).collect();
    WayBack {
        way: "down scripts".to_owned(),
        not_because: without,
        loses: "what was written into what they take away".to_owned(),
        takes_ms: times.map(|times| times.iter().sum()),
    }
}

fn restored(change: &Change, material: &Material) -> WayBack {
    let backup = material.backup.as_ref();
    let newest = backup.and_then(|it| change.related.get(it)).and_then(|live| {
        let backups = live.fields.get("backups")?.as_list()?;
        backups.last()?.as_map()
    });
    let took = newest.and_then(|it| it.get("restore_ms").or(it.get("verify_ms")));
    WayBack {
        way: "restore".to_owned(),
        not_because: match backup {
            Some(_) => None,
            None => Some("no backup of this database is declared".to_owned()),
        },
        loses: "what is written after the backup".to_owned(),
        takes_ms: took.and_then(Value::as_int).and_then(|it| u64::try_from(it).ok()),
    }
}
