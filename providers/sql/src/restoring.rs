//! What a run that restores a database asks, and the operations that every engine makes of it.

use crate::Dialect;
use hive_contract::{
    Change, Expects, Fields, Fingerprint, Invalid, Operation, Phase, Retry, Undo, Value,
};

/// A published backup of what is about to be replaced.
pub const SAFETY: &str = "safety";
/// The backup, restored beside the database, brought up and proven.
pub const RESTORE: &str = "restore";
/// Takes what was restored beside away.
pub const DISCARD: &str = "discard";
/// What was restored becomes the database.
pub const SWAP: &str = "swap";
/// What was there before becomes the database again.
pub const PUT_BACK: &str = "put-back";

/// Payload: the database's declared fields.
pub const OF: &str = "of";
/// Payload: the backup's id.
pub const ID: &str = "id";
/// Payload: eight hex digits by which what belongs to one restore is found.
pub const KEY: &str = "key";
/// Payload: the files of the migrations up to which the backup is brought.
pub const FILES: &str = "files";

/// A restore may take as long as its data needs, in milliseconds.
const LIMIT_MS: u64 = 24 * 3_600_000;

/// One restore that is asked for.
#[derive(Clone, Debug)]
pub struct Restoring<'a> {
    run: &'a Fields,
    of: Fields,
    /// How the place of the backups is reached.
    place: Fields,
    retry: Retry,
    /// Which backup.
    pub id: String,
    /// Eight hex digits of its own.
    pub key: String,
    /// Whether a safety copy of what is replaced is asked for.
    pub safety: bool,
    /// Whether there is something that is replaced.
    pub replaces: bool,
}

impl<'a> Restoring<'a> {
    /// Of a run; none where it asks for something else. `of` is how the database is reached.
    pub fn of(change: &'a Change, of: Fields, retry: Retry) -> Option<Self> {
        let run = change.run.as_ref().filter(|run| is_restore(run))?;
        let backup = run.get("backup")?.as_map()?;
        let id = run.get(ID)?.as_text()?.to_owned();
        let now = run.get("now_ms").and_then(Value::as_int).unwrap_or_default();
        let token = change.observed.as_ref().and_then(|live| live.token.as_ref());
        let key = Fingerprint::of(&(&change.identity, &id, now, token)).short().to_owned();
        Some(Self {
            run,
            of,
            place: place_of(backup),
            retry,
            id,
            key,
            safety: run.get(SAFETY).and_then(Value::as_bool).unwrap_or(true),
            replaces: change.observed.is_some(),
        })
    }

    /// One operation, done while nobody uses the database; `reaching` says whether it needs the
    /// backup.
    pub fn operation(&self, verb: &str, title: String, reaching: bool) -> Operation {
        let mut payload = Fields::from([
            (OF.to_owned(), Value::Map(self.of.clone())),
            (KEY.to_owned(), Value::text(&self.key)),
        ]);
        if reaching {
            payload.extend(self.place.clone());
            payload.insert(ID.to_owned(), Value::text(&self.id));
        }
        let expects = if self.replaces { Expects::Content } else { Expects::Absent };
        let mut step = Operation::new(verb, title, expects, payload);
        step.phase = Phase::Stopped;
        step.deadline_ms = LIMIT_MS;
        step.retry = self.retry;
        step
    }

    /// The safety copy.
    pub fn safety(&self, title: String) -> Operation {
        let mut step = self.operation(SAFETY, title, true);
        step.notes.push("nothing is restored before this is published".to_owned());
        // A backup more does no harm.
        step.undo = Undo::Nothing;
        step
    }

    /// The backup beside what is called `shown`.
    pub fn restore(&self, shown: &str) -> Operation {
        let title = format!("restore {} beside {shown}, and prove it", self.id);
        let mut step = self.operation(RESTORE, title, true);
        step.payload.extend(self.run.get(FILES).map(|it| (FILES.to_owned(), it.clone())));
        let title = "take away what was restored beside".to_owned();
        step.undone_by(self.operation(DISCARD, title, false))
    }
}

/// How the place of a declared backup is reached: what of its fields says so.
pub fn place_of(backup: &Fields) -> Fields {
    let reach = ["destination", "s3", "encrypt"].into_iter();
    let reach = reach.filter_map(|key| backup.get_key_value(key));
    reach.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// What speaks against a restore: files that make no list.
pub fn objections(dialect: Dialect, change: &Change) -> Vec<Invalid> {
    let Some(run) = change.run.as_ref().filter(|run| is_restore(run)) else { return Vec::new() };
    crate::file::objections(dialect, run.get(FILES))
}

fn is_restore(run: &Fields) -> bool {
    run.get("verb").and_then(Value::as_text) == Some(RESTORE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_reached_with_its_keys() {
        let field = |name: &str| (name.to_owned(), Value::text(name));
        let declared = ["destination", "encrypt", "keep", "s3", "schedule"];
        let backup: Fields = declared.into_iter().map(field).collect();
        let reach: Fields = ["destination", "encrypt", "s3"].into_iter().map(field).collect();
        assert_eq!(place_of(&backup), reach, "what reaches the place, and nothing else");
    }
}
