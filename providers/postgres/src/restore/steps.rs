//! The operations of a restore.

use super::{CLOSE, DISCARD, FILES, ID, KEY, PUT_BACK, REOPEN, RESTORE, SAFETY, SWAP};
use crate::steps::OF;
use hive_contract::{
    Change, Expects, Fields, Fingerprint, Invalid, Operation, Phase, Retry, Undo, Value,
};
use hive_sql::Dialect;

/// A restore may take as long as its data needs.
const LIMIT_MS: u64 = 24 * 3_600_000;

/// The operations of a run that asks for a restore; none where it asks for something else.
pub(crate) fn steps(change: &Change, of: &Fields) -> Vec<Operation> {
    let Some(pen) = Pen::of(change, of) else { return Vec::new() };
    let mut steps = Vec::new();
    if pen.replaces {
        steps.push(pen.close());
        if pen.safety {
            steps.push(pen.safety());
        }
    }
    steps.push(pen.restore());
    steps.push(pen.swap());
    steps
}

/// What speaks against it: files that make no list.
pub(crate) fn objections(change: &Change) -> Vec<Invalid> {
    let Some(run) = change.run.as_ref().filter(|run| is_restore(run)) else { return Vec::new() };
    hive_sql::file::objections(Dialect::Postgres, run.get(FILES))
}

fn is_restore(run: &Fields) -> bool {
    run.get("verb").and_then(Value::as_text) == Some(RESTORE)
}

struct Pen<'a> {
    change: &'a Change,
    run: &'a Fields,
    of: &'a Fields,
    /// How the place of the backups is reached.
    place: Fields,
    id: String,
    key: String,
    safety: bool,
    /// Whether there is something that is replaced.
    replaces: bool,
}

impl<'a> Pen<'a> {
    fn of(change: &'a Change, of: &'a Fields) -> Option<Self> {
        let run = change.run.as_ref().filter(|run| is_restore(run))?;
        let backup = run.get("backup")?.as_map()?;
        let reach = ["destination", "s3", "encrypt"];
        let reach =
            reach.iter().filter_map(|key| Some(((*key).to_owned(), backup.get(*key)?.clone())));
        let id = run.get(ID)?.as_text()?.to_owned();
        let now = run.get("now_ms").and_then(Value::as_int).unwrap_or_default();
        let token = change.observed.as_ref().and_then(|live| live.token.as_ref());
        let key = Fingerprint::of(&(&change.identity, &id, now, token)).as_str()[..8].to_owned();
        Some(Self {
            change,
            run,
            of,
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
            payload.insert(ID.to_owned(), Value::text(&self.id));
        }
        let expects = if self.replaces { Expects::Content } else { Expects::Absent };
        let mut step = Operation::new(verb, title, expects, payload);
        step.phase = Phase::Stopped;
        step.deadline_ms = LIMIT_MS;
        step.retry = Retry::NEVER;
        step
    }

    fn shown(&self) -> String {
        self.change.target.address.to_string()
    }

    fn close(&self) -> Operation {
        let title = format!(
            "close {} to everybody: it is put aside as …_hive_old_{}",
            self.shown(),
            self.key
        );
        let mut step = self.operation(CLOSE, title, true);
        step.deadline_ms = 300_000;
        step.notes
            .push("whoever is connected is disconnected, also what hive does not know".to_owned());
        let undo = format!("open {} again as it was", self.shown());
        step.undone_by(self.operation(REOPEN, undo, false))
    }

    fn safety(&self) -> Operation {
        let title = format!("back up {} as it was when it was closed", self.shown());
        let mut step = self.operation(SAFETY, title, true);
        step.notes.push("nothing is restored before this is published".to_owned());
        // A backup more does no harm.
        step.undo = Undo::Nothing;
        step
    }

    fn restore(&self) -> Operation {
        let title = format!("restore {} beside {}, and prove it", self.id, self.shown());
        let mut step = self.operation(RESTORE, title, true);
        step.payload.extend(self.run.get(FILES).map(|it| (FILES.to_owned(), it.clone())));
        let mut undo = self.operation(DISCARD, "drop what was restored beside".to_owned(), false);
        if !self.replaces {
            undo.expects = Expects::Absent;
        }
        step.undone_by(undo)
    }

    fn swap(&self) -> Operation {
        let title = format!("give what was restored the name of {}", self.shown());
        let mut step = self.operation(SWAP, title, false);
        if self.replaces {
            step.notes.push(format!("what was there stays as …_hive_old_{}", self.key));
        }
        let title = format!("take the name of {} off it again", self.shown());
        let mut undo = self.operation(PUT_BACK, title, false);
        undo.expects = Expects::Content;
        step.undone_by(undo)
    }
}
