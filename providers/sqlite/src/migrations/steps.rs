//! The operations of one change of a list.

use super::compare::{before_of, compared};
use super::look::FOREIGN;
use super::objections::baseline;
use super::{ACCEPT, BACKUP, BASELINE, DOWN, FILES, MIGRATE, RESUME, ROWS, SCHEMA};
use crate::database::steps::{adopt, of, release};
use crate::database::{OF, steps as marks};
use hive_contract::{
    Action, Change, Expects, Fields, Operation, OutputRef, Phase, Rehearsal, Retry, Reversible,
    Undo, Value,
};
use hive_sql::history::Applied;
use hive_sql::lint::{self, Sizes};
use hive_sql::list::{Compared, Material, Tried, TriedFile, down_of};
use hive_sql::{Dialect, GoesOn, Migration, Stage, words};

/// A migration may take as long as its data needs.
const DEADLINE_MS: u64 = 6 * 3_600_000;

pub(crate) fn steps(change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<Operation> {
    let Some(of) = of(change) else { return Vec::new() };
    match change.action {
        Action::Delete | Action::Forget => return marks::steps(change),
        Action::Create | Action::Update | Action::Adopt | Action::Run => {}
        _ => return Vec::new(),
    }
    // What does not go together is an objection, and nothing is planned.
    let Some(Ok(compared)) = compared(change) else { return Vec::new() };
    let tried = Tried::of(rehearsal);
    let fresh = compared.rows.is_empty() && tried.empty;
    let pen = Pen { change, of: &of, material: &compared.material, tried: &tried, fresh };
    let mut steps = Vec::new();
    let mut covered = 0;
    match change.action {
        Action::Create => steps.extend(marks::steps(change).into_iter().map(|step| Operation {
            title: format!("begin a history in `{}`", marks::shown(&of)),
            ..step
        })),
        Action::Adopt => match pen.baseline() {
            Some((step, files)) => {
                covered = files;
                steps.push(step);
            }
            None => steps.push(adopt(change, &of)),
        },
        _ => {}
    }
    steps.extend(pen.accept(&compared));
    steps.extend(pen.half(&compared));
    let half = compared.pending.half.as_ref().map(|it| &it.name);
    let waiting = compared.pending().skip(covered).filter(|it| Some(&it.name) != half);
    steps.extend(waiting.map(|migration| pen.migrate(MIGRATE, migration)));
    if compared.material.down {
        let before = before_of(change);
        let beyond = compared.beyond().rev().filter_map(|row| down_of(before.as_ref(), row));
        steps.extend(pen.downs(&beyond.collect::<Vec<_>>()));
    }
    steps
}

struct Pen<'a> {
    change: &'a Change,
    of: &'a Fields,
    material: &'a Material,
    tried: &'a Tried,
    /// Whether nothing is applied and nothing is there, so that no file takes anything from anybody.
    fresh: bool,
}

impl Pen<'_> {
    fn operation(&self, verb: &str, title: String, payload: Fields) -> Operation {
        let mut payload = payload;
        payload.insert(OF.to_owned(), Value::Map(self.of.clone()));
        payload.insert("lock_timeout".to_owned(), Value::Int(self.material.lock_timeout));
        let mut step = Operation::new(verb, title, Expects::Content, payload);
        step.deadline_ms = DEADLINE_MS;
        step.retry = Retry { attempts: self.material.retries + 1, first_ms: 500 };
        if self.material.stopped {
            step.phase = Phase::Stopped;
        }
        step
    }

    /// One file.
    fn migrate(&self, verb: &str, migration: &Migration) -> Operation {
        let mut payload = Fields::from([(FILES.to_owned(), migration.files_value())]);
        let tried = self.tried.file(&migration.name);
        if let Some(schema) = tried.and_then(|it| it.schema_after.as_ref()) {
            payload.insert(SCHEMA.to_owned(), Value::text(schema));
        }
        if let Some(backup) = &self.material.backup {
            let id = OutputRef { address: backup.clone(), output: "id".to_owned() };
            payload.insert(BACKUP.to_owned(), Value::Output(id));
        }
        let mut step = self.operation(verb, migration.name.clone(), payload);
        step.notes = self.notes(migration);
        step.takes_ms = tried.map(|it| it.took_ms);
        // Where nothing is applied nobody runs on it yet.
        let contract = migration.stage == Stage::Contract && self.change.action != Action::Create;
        if contract && !self.material.stopped {
            step.phase = Phase::Prune;
        }
        self.way_back(&mut step, migration);
        step
    }

    fn notes(&self, migration: &Migration) -> Vec<String> {
        let mut notes = vec![migration.stage.to_string()];
        if migration.stage == Stage::Contract {
            notes.extend(migration.stage_why.iter().cloned());
            notes.extend(self.fresh.then(|| "nothing is there that it could take".to_owned()));
        }
        if !migration.up.transactional {
            notes.push("without a transaction, statement by statement".to_owned());
        }
        match self.tried.file(&migration.name) {
            Some(tried) => {
                notes.push(tried.words());
                notes.push(tried.down_words());
            }
            None => notes.push("not rehearsed".to_owned()),
        }
        for finding in lint::lint(Dialect::Sqlite, migration, &Sizes::default()) {
            let said = format!("{}:{}: {}", finding.file, finding.line, finding.message);
            notes.push(match finding.accepted {
                Some(reason) => format!("{said} (accepted: {reason})"),
                None => said,
            });
        }
        notes
    }

    fn way_back(&self, step: &mut Operation, migration: &Migration) {
        let goes_down = self.material.down && migration.down.script().is_some();
        let stage = if self.fresh { Stage::Expand } else { migration.stage };
        match stage {
            Stage::Expand if goes_down => {
                step.undo = Undo::By(Box::new(self.down(migration)));
            }
            // The version before runs on what an expand leaves: it stays.
            Stage::Expand => step.undo = Undo::Nothing,
            Stage::Contract => {
                let why = format!("`{}` takes away what the version before uses", migration.name);
                step.undo = Undo::None { why: why.clone() };
                step.reversible = match &self.material.backup {
                    Some(backup) => Reversible::Restorable {
                        from: format!("the backup of {backup} before it"),
                        loses: "what was written since".to_owned(),
                    },
                    None => Reversible::Irreversible { why },
                };
            }
        }
    }

    /// Down files, newest first. What an expand added goes when nobody uses it any more; what a
    /// contract took away comes back before somebody needs it.
    fn downs(&self, migrations: &[&Migration]) -> Vec<Operation> {
        let down = |(at, migration): (usize, &&Migration)| {
            let mut step = self.down(migration);
            let late = migrations[at..].iter().all(|it| it.stage == Stage::Expand);
            if late && !self.material.stopped {
                step.phase = Phase::Prune;
            }
            step
        };
        migrations.iter().enumerate().map(down).collect()
    }

    /// The down file of a migration.
    fn down(&self, migration: &Migration) -> Operation {
        let mut payload = Fields::from([(FILES.to_owned(), migration.files_value())]);
        let tried = self.tried.file(&migration.name);
        let proven = tried
            .and_then(|it| it.schema_before.as_ref())
            .filter(|_| tried.is_some_and(TriedFile::is_proven));
        if let Some(schema) = proven {
            payload.insert(SCHEMA.to_owned(), Value::text(schema));
        }
        let mut step = self.operation(DOWN, format!("take back {}", migration.name), payload);
        step.takes_ms = tried.and_then(|it| it.down_ms);
        let why = format!("what `{}` took back is applied again by a new plan", migration.name);
        step.undo = Undo::None { why: why.clone() };
        step.reversible = match &self.material.backup {
            Some(backup) => Reversible::Restorable {
                from: format!("the backup of {backup} before it"),
                loses: "what was written since".to_owned(),
            },
            None => Reversible::Irreversible { why },
        };
        step
    }

    /// A file that ran without a transaction and did not end.
    fn half(&self, compared: &Compared) -> Option<Operation> {
        if let Some(half) = &compared.pending.half {
            let (_, migration) = compared.material.migrations.find(&half.name)?;
            let GoesOn::Resume(at) = half.goes_on else { return None };
            let mut step = self.migrate(RESUME, migration);
            step.title = format!("go on with {} behind statement {at}", half.name);
            step.notes.insert(0, half.words());
            return Some(step);
        }
        if self.material.down {
            // It is taken back with what else is not wanted.
            return None;
        }
        let before = before_of(self.change);
        let half = compared.unwanted(before.as_ref())?;
        let row = compared.rows.iter().find(|row| row.name == half.name)?;
        let mut step = self.down(down_of(before.as_ref(), row)?);
        step.notes.insert(0, half.words());
        Some(step)
    }

    /// What somebody changed by hand, and files that only say the same in other words.
    fn accept(&self, compared: &Compared) -> Option<Operation> {
        let live = self.change.observed.as_ref()?;
        let drift = live.fields.get("drift").and_then(Value::as_map).cloned().unwrap_or_default();
        if drift.is_empty() && compared.reworded.is_empty() {
            return None;
        }
        let list = compared.material.migrations.list();
        let reworded: Vec<&Migration> = compared.reworded.iter().map(|at| &list[*at]).collect();
        let payload = Fields::from([
            (ROWS.to_owned(), Value::List(reworded.iter().map(|it| row_value(it)).collect())),
            ("drift".to_owned(), Value::Bool(!drift.is_empty())),
        ]);
        let title = match drift.len() {
            0 => "take the files as they are now".to_owned(),
            1 => "take what was changed by hand as it is".to_owned(),
            count => format!("take {count} objects that were changed by hand as they are"),
        };
        let mut step = self.operation(ACCEPT, title, payload);
        let by_hand = drift
            .iter()
            .map(|(object, words)| format!("{object}: {}", words.as_text().unwrap_or_default()));
        let files = reworded.iter().map(|it| {
            format!("{}: only blanks or comments are other than when it was applied", it.up.file)
        });
        step.notes = by_hand.chain(files).collect();
        step.notes.push("nothing of the data or the schema changes".to_owned());
        // What the step changes is what hive compares with, and that is what a plan shows again.
        step.undo = Undo::Nothing;
        Some(step)
    }

    /// Another tool's history, and how many files it covers.
    fn baseline(&self) -> Option<(Operation, usize)> {
        let live = self.change.observed.as_ref()?;
        let files = baseline(self.material, live)?.ok()?.files;
        let access = &self.change.desired.as_ref()?.access;
        let covered: Vec<&Migration> =
            files.iter().filter_map(|at| self.material.migrations.list().get(*at)).collect();
        let payload = Fields::from([
            (ROWS.to_owned(), Value::List(covered.iter().map(|it| row_value(it)).collect())),
            ("baseline".to_owned(), access.get("baseline")?.clone()),
            (FOREIGN.to_owned(), live.fields.get(FOREIGN)?.clone()),
        ]);
        let title = match covered.last() {
            Some(newest) => format!("take over what is applied, up to {}", newest.name),
            None => "take over a history in which nothing is applied".to_owned(),
        };
        let mut step = self.operation(BASELINE, title, payload);
        step.notes.push(format!(
            "{} counted as applied, none run",
            words::count(covered.len() as u64, "file")
        ));
        step.notes.push(live.status.summary.clone());
        Some((step.undone_by(release(self.of, false)), covered.len()))
    }
}

/// What a history keeps of a file that is not run.
fn row_value(migration: &Migration) -> Value {
    let row = Applied::of(migration);
    let hashes = row.statements.iter().map(Value::text);
    Value::Map(Fields::from([
        ("version".to_owned(), Value::text(&row.version)),
        ("name".to_owned(), Value::text(&row.name)),
        ("checksum".to_owned(), Value::text(&row.checksum)),
        ("raw_checksum".to_owned(), Value::text(&row.raw_checksum)),
        ("statements".to_owned(), Value::List(hashes.collect())),
    ]))
}

/// [`row_value`] read again.
pub(super) fn row_of(value: &Value) -> Option<Applied> {
    let fields = value.as_map()?;
    let text = |key: &str| fields.get(key).and_then(Value::as_text).map(str::to_owned);
    let statements: Vec<String> = fields
        .get("statements")?
        .as_list()?
        .iter()
        .filter_map(|it| it.as_text().map(str::to_owned))
        .collect();
    let total = u32::try_from(statements.len()).unwrap_or(u32::MAX);
    Some(Applied {
        version: text("version")?,
        name: text("name")?,
        checksum: text("checksum")?,
        raw_checksum: text("raw_checksum")?,
        statements,
        applied: total,
        begun: total,
        total,
        baseline: true,
        hive: env!("CARGO_PKG_VERSION").to_owned(),
        ..Applied::default()
    })
}
