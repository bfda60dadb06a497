//! The operations of a list of migrations: one file, one operation.

use crate::seen::Seen;
use crate::steps::{ACCEPT, BASELINE, DOWN, MIGRATE, RESUME, payload, release, shown};
use hive_contract::{
    Change, Expects, Fields, Invalid, Lowered, Operation, OutputRef, Phase, Rehearsal, Retry,
    Reversible, Undo, Value, WayBack,
};
use hive_sql::history::Mismatch;
use hive_sql::lint::lint;
use hive_sql::list::{Compared, Material, Tried, down_of, mismatched};
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
    tried: Tried,
}

pub(crate) fn create(
    change: &Change,
    of: &Fields,
    rehearsal: Option<&Rehearsal>,
) -> Vec<Operation> {
    let Some(material) = change.desired.as_ref().and_then(material) else { return Vec::new() };
    let seen = Seen::default();
    let making = Making { of, material: &material, seen: &seen, tried: Tried::of(rehearsal) };
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
    let before = before_of(change);
    let seen = seen(change, before.as_ref());
    let Some(Ok(compared)) = compared(change, &seen) else { return Vec::new() };
    let material = &compared.material;
    let making = Making { of, material, seen: &seen, tried: Tried::of(rehearsal) };
    let mut steps = Vec::new();
    steps.extend(making.accept(&compared));
    steps.extend(making.half(&compared, before.as_ref()));
    if material.down {
        let whole = compared.beyond().rev().filter(|row| !row.is_half());
        let files = whole.filter_map(|row| down_of(before.as_ref(), row));
        steps.extend(files.map(|it| making.back(it)));
    }
    steps.extend(compared.pending().map(|it| making.migrate(MIGRATE, it)));
    steps
}

/// The material of a lowered list.
pub(crate) fn material(lowered: &Lowered) -> Option<Material> {
    Material::of(Dialect::Postgres, lowered)
}

/// The recorded list.
pub(crate) fn before_of(change: &Change) -> Option<Material> {
    material(change.before.as_deref()?)
}

/// What is live of it.
pub(crate) fn seen(change: &Change, before: Option<&Material>) -> Seen {
    change.observed.as_ref().map(|live| Seen::of(live, before)).unwrap_or_default()
}

/// The files against the history; none where nothing is desired.
pub(crate) fn compared(change: &Change, seen: &Seen) -> Option<Result<Compared, Vec<Mismatch>>> {
    let material = material(change.desired.as_ref()?)?;
    Some(Compared::new(material, seen.rows.clone()))
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
        let tried = self.tried.file(&migration.name);
        if let Some(schema) = tried.and_then(|it| it.schema_after.as_deref()) {
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
        step.takes_ms = tried.map(|it| it.took_ms);
        step.notes.push(migration.stage.to_string());
        step.notes.extend(migration.stage_why.iter().cloned());
        step.notes.extend(tried.map(|it| it.words()));
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
        let fresh = is_fresh(self.material, self.seen) && self.tried.empty;
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
        step.takes_ms = self.tried.file(&migration.name).and_then(|it| it.down_ms);
        step
    }

    /// A file that did not end goes on, or goes back where it is not wanted any more.
    fn half(&self, compared: &Compared, before: Option<&Material>) -> Option<Operation> {
        if let Some(half) = &compared.pending.half {
            let GoesOn::Resume(_) = half.goes_on else { return None };
            let (_, migration) = self.material.migrations.find(&half.name)?;
            let mut step = self.migrate(RESUME, migration);
            step.notes.insert(0, half.words());
            return Some(step);
        }
        let half = compared.unwanted(before)?;
        let row = compared.rows.iter().find(|row| row.name == half.name)?;
        let mut step = self.back(down_of(before, row)?);
        step.notes.insert(0, half.words());
        Some(step)
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

    /// Takes the live schema as it is, and files that only say the same in other words.
    fn accept(&self, compared: &Compared) -> Option<Operation> {
        let drift = &self.seen.drift;
        if drift.is_empty() && compared.reworded.is_empty() {
            return None;
        }
        let title = match drift.is_empty() {
            true => "take the files as they are now",
            false => "take the schema as it is now as what the last migration left",
        };
        let list = self.material.migrations.list();
        let reworded: Vec<&Migration> = compared.reworded.iter().map(|at| &list[*at]).collect();
        let files = reworded.iter().map(|it| {
            let raw = Value::text(&it.up.raw_checksum);
            Value::Map(Fields::from([(FILES.to_owned(), it.files_value()), (RAW.to_owned(), raw)]))
        });
        let mut payload = payload(self.of);
        payload.insert(APPLIED.to_owned(), Value::List(files.collect()));
        let mut step = self.operation(ACCEPT, title.to_owned(), payload);
        step.notes = drift.iter().map(|(object, is)| format!("{object}: {is}")).collect();
        step.notes.extend(reworded.iter().map(|it| {
            format!("{}: only blanks or comments are other than when it was applied", it.up.file)
        }));
        Some(step)
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
        payload.insert("retries".to_owned(), Value::Int(self.material.retries.into()));
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
    let before = before_of(change);
    let seen = seen(change, before.as_ref());
    match compared(change, &seen) {
        None => Vec::new(),
        Some(Err(mismatches)) => mismatched(&mismatches),
        Some(Ok(compared)) => {
            let fresh = is_fresh(&compared.material, &seen);
            hive_sql::list::objections(&compared, before.as_ref(), fresh)
        }
    }
}

/// Which ways lead back from a change.
pub(crate) fn ways_back(change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<WayBack> {
    let seen = seen(change, before_of(change).as_ref());
    let Some(Ok(compared)) = compared(change, &seen) else { return Vec::new() };
    let files: Vec<&Migration> = compared.pending().collect();
    let tried = Tried::of(rehearsal);
    hive_sql::list::ways_back(&compared.material, &files, &tried, &change.related)
}
