//! The operations of a restore.

use super::{DISCARD, FILES, ID, KEY, PUT_BACK, RESTORE, SAFETY, SWAP};
use crate::database::OF;
use crate::database::steps::{of, shown};
use hive_contract::{
    Change, Expects, Fields, Fingerprint, Invalid, Operation, Phase, Reversible, Undo, Value,
};
use hive_sql::Dialect;

/// A restore may take as long as its data needs.
const DEADLINE_MS: u64 = 24 * 3_600_000;

/// The operations of a run that asks for a restore; none where it asks for something else.
pub(crate) fn steps(change: &Change) -> Vec<Operation> {
    let Some(pen) = Pen::of(change) else { return Vec::new() };
    let mut steps = Vec::new();
    if pen.replaces && pen.safety {
        steps.push(pen.safety());
    }
    steps.push(pen.restore());
    steps.push(pen.swap());
    steps
}

/// What speaks against it: files that make no list.
pub(crate) fn objections(change: &Change) -> Vec<Invalid> {
    let Some(run) = change.run.as_ref().filter(|run| is_restore(run)) else { return Vec::new() };
    hive_sql::file::objections(Dialect::Sqlite, run.get(FILES))
}

fn is_restore(run: &Fields) -> bool {
    run.get("verb").and_then(Value::as_text) == Some("restore")
}

struct Pen<'a> {
    run: &'a Fields,
    of: Fields,
    /// How the place of the backups is reached.
    place: Fields,
    id: String,
    key: String,
    safety: bool,
    /// Whether there is something that is replaced.
    replaces: bool,
}

impl<'a> Pen<'a> {
    fn of(change: &'a Change) -> Option<Self> {
        let run = change.run.as_ref().filter(|run| is_restore(run))?;
        let backup = run.get("backup")?.as_map()?;
        let reach = ["destination", "s3", "encrypt"];
        let reach =
            reach.iter().filter_map(|key| Some(((*key).to_owned(), backup.get(*key)?.clone())));
        let id = run.get(ID)?.as_text()?.to_owned();
        let now = run.get("now_ms").and_then(Value::as_int).unwrap_or_default();
        let key = Fingerprint::of(&(&change.identity, &id, now)).short().to_owned();
        Some(Self {
            run,
            of: of(change)?,
            place: reach.collect(),
            id,
            key,
            safety: run.get(SAFETY).and_then(Value::as_bool).unwrap_or(true),
            replaces: change.observed.is_some(),
        })
    }

    fn operation(&self, verb: &str, title: String, with_place: bool) -> Operation {
        let mut payload = Fields::from([
            (OF.to_owned(), Value::Map(self.of.clone())),
            (KEY.to_owned(), Value::text(&self.key)),
        ]);
        if with_place {
            payload.extend(self.place.clone());
        }
        let expects = if self.replaces { Expects::Content } else { Expects::Absent };
        let mut step = Operation::new(verb, title, expects, payload);
        step.phase = Phase::Stopped;
        step.deadline_ms = DEADLINE_MS;
        step
    }

    fn safety(&self) -> Operation {
        let title = format!("back up `{}` as it is now", shown(&self.of));
        let mut step = self.operation(SAFETY, title, true);
        step.payload.insert(ID.to_owned(), Value::text(&self.id));
        step.notes.push("nothing is restored before this is published".to_owned());
        // A backup more does no harm.
        step.undo = Undo::Nothing;
        step
    }

    fn restore(&self) -> Operation {
        let title = format!("restore {} beside `{}`, and prove it", self.id, shown(&self.of));
        let mut step = self.operation(RESTORE, title, true);
        step.payload.insert(ID.to_owned(), Value::text(&self.id));
        step.payload.extend(self.run.get(FILES).map(|it| (FILES.to_owned(), it.clone())));
        let undo = self.operation(DISCARD, "take away what was restored beside".to_owned(), false);
        step.undone_by(undo)
    }

    fn swap(&self) -> Operation {
        let title = match self.replaces {
            true => format!("make it the content of `{}`, in one transaction", shown(&self.of)),
            false => format!("put it in place as `{}`", shown(&self.of)),
        };
        let mut step = self.operation(SWAP, title, false);
        if self.replaces && !self.safety {
            let why = "no safety copy of what is replaced was asked for".to_owned();
            step.undo = Undo::None { why: why.clone() };
            step.reversible = Reversible::Irreversible { why };
            return step;
        }
        let title = match self.replaces {
            true => "put the safety copy back".to_owned(),
            false => "take the file out of its place again".to_owned(),
        };
        let mut undo =
            self.operation(if self.replaces { PUT_BACK } else { SWAP }, title, self.replaces);
        undo.expects = Expects::Content;
        if !self.replaces {
            undo.payload.insert("away".to_owned(), Value::Bool(true));
        }
        step.undone_by(undo)
    }
}
