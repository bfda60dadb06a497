//! The operations of a run: a backup, a look at one, and what goes.

use crate::publish::SMALLER;
use crate::schedule::Schedule;
use crate::seen::Seen;
use crate::steps::{BACKUP, NAME, PRUNE, VERIFY, reach, shown, with_identity};
use hive_contract::{Change, Expects, Fields, Lowered, Operation, Phase, Reversible, Undo, Value};
use hive_sql::retention::{self, Policy};
use hive_sql::words;
use std::collections::{BTreeMap, BTreeSet};

/// Dumps and restores take as long as they take; this is for what hangs.
const DEADLINE_MS: u64 = 24 * 3_600_000;

/// Payload of `backup`: `run` or `safety`.
pub(crate) const KIND: &str = "kind";
/// Payload of `verify`: which; without it the newest that counts when the step runs.
pub(crate) const ID: &str = "id";
/// Key of `keep`: how much of what is there goes at once.
pub(crate) const REMOVES_AT_MOST: &str = "removes_at_most";
/// Payload of `prune`: which.
pub(crate) const IDS: &str = "ids";

/// Payload of `prune`: why it is held back.
pub(crate) const HELD: &str = "held";
/// How a removal that is held back goes on.
pub(crate) const HOW_ON: &str = "look at `keep` and at the clocks; where it is meant, set `removes_at_most = \"100%\"` in `keep` until it is done";

/// What a run is asked for, and what is known when it is planned.
struct Run<'a> {
    asked: &'a Fields,
    desired: &'a Lowered,
    backups: Vec<Seen>,
    now_ms: Option<i64>,
}

pub(crate) fn steps(change: &Change) -> Vec<Operation> {
    let (Some(asked), Some(desired)) = (&change.run, &change.desired) else { return Vec::new() };
    let backups = Seen::all(change.observed.as_ref());
    let now_ms = asked.get("now_ms").and_then(Value::as_int);
    let run = Run { asked, desired, backups, now_ms };
    match asked.get("verb").and_then(Value::as_text) {
        Some("run") => run.all(),
        Some("verify") => vec![run.verify(asked.get("id").and_then(Value::as_text))],
        _ => Vec::new(),
    }
}

impl Run<'_> {
    fn all(&self) -> Vec<Operation> {
        let backs_up = !self.only_if_due() || self.backup_is_due();
        let mut steps = Vec::new();
        steps.extend(backs_up.then(|| self.backup()));
        // Whoever runs it in front of something else asks for a backup alone.
        if self.text("kind") != Some("safety") && self.now_ms.is_some() {
            let any = backs_up || self.backups.iter().any(|it| it.ok);
            steps.extend((any && self.verify_is_due()).then(|| self.verify(None)));
            steps.extend(self.prune());
        }
        steps
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.asked.get(key).and_then(Value::as_text)
    }

    fn only_if_due(&self) -> bool {
        self.asked.get("due").and_then(Value::as_bool).unwrap_or_default()
    }

    /// Whether the schedule has come since the last backup that counts. What nobody scheduled is
    /// never due, and nothing is due where nobody says what time it is.
    fn backup_is_due(&self) -> bool {
        let schedule = self.desired.material.get("schedule").and_then(Value::as_text);
        let schedule = schedule.and_then(|text| Schedule::parse(text).ok());
        let (Some(schedule), Some(now_ms)) = (schedule, self.now_ms) else { return false };
        let Some(last) = schedule.last(now_ms) else { return false };
        // One of the future comes of a clock that was wrong, and counts for nothing.
        let counted = |it: &&Seen| it.ok && it.kind == "run" && it.finished_ms <= now_ms;
        self.backups.iter().filter(counted).all(|it| it.finished_ms < last)
    }

    fn verify_is_due(&self) -> bool {
        let verify = self.desired.material.get("verify").and_then(Value::as_map);
        let every = verify.and_then(|it| it.get("every")).and_then(Value::as_int);
        let (Some(every), Some(now_ms)) = (every, self.now_ms) else { return false };
        let looks = self.backups.iter().filter_map(|it| it.verified_ms);
        let newest = looks.filter(|at| *at <= now_ms).max();
        newest.is_none_or(|at| now_ms - at >= every)
    }

    fn backup(&self) -> Operation {
        let mut payload = reach(self.desired);
        self.take(&mut payload);
        payload.insert(KIND.to_owned(), Value::text(self.text("kind").unwrap_or("run")));
        let smaller = self.asked.get(SMALLER).and_then(Value::as_bool).unwrap_or_default();
        if smaller {
            payload.insert(SMALLER.to_owned(), Value::Bool(true));
        }
        let of = shown(self.desired.fields.get("of"));
        let place = shown(self.desired.fields.get("destination"));
        let mut step = self.step(BACKUP, format!("back up {of} to {place}"), payload, DEADLINE_MS);
        if let Some(reason) = self.text("reason") {
            step.notes.push(reason.to_owned());
        }
        if smaller {
            step.notes
                .push("it counts also where it is far smaller than those before it".to_owned());
        }
        if let Some(last) = self.backups.iter().rev().find(|it| it.ok) {
            let (took, size) = (span(last.took_ms), words::size(natural(last.bytes)));
            step.notes.push(format!("the last one took {took} and holds {size}"));
            step.takes_ms = Some(natural(last.took_ms));
        } else {
            step.notes.push("the first that counts".to_owned());
        }
        step
    }

    fn verify(&self, id: Option<&str>) -> Operation {
        let mut payload = with_identity(self.desired);
        self.take(&mut payload);
        let mut title = "restore the newest backup into a scratch place and compare it".to_owned();
        if let Some(id) = id {
            title = format!("restore the backup {id} into a scratch place and compare it");
            payload.insert(ID.to_owned(), Value::text(id));
        }
        let mut step = self.step(VERIFY, title, payload, DEADLINE_MS);
        let looks = self.backups.iter().filter_map(|it| Some((it.verified_ms?, it.verify_ms?)));
        if let Some((_, took)) = looks.max() {
            step.notes.push(format!("the last one took {}", span(took)));
            step.takes_ms = Some(natural(took));
        }
        step
    }

    /// What no rule keeps, of what is there now: a backup that is not made yet pushes nothing out.
    fn prune(&self) -> Option<Operation> {
        let policy = policy(self.desired);
        let kept: Vec<_> = self.backups.iter().map(Seen::kept).collect();
        let pins = self.asked.get("pins").and_then(Value::as_list).unwrap_or_default();
        let pins: BTreeSet<String> =
            pins.iter().filter_map(Value::as_text).map(str::to_owned).collect();
        let decisions = retention::decide(&policy, &kept, &pins, self.now_ms?);
        let sizes: BTreeMap<&str, i64> =
            self.backups.iter().map(|it| (it.id.as_str(), it.stored)).collect();
        let going: Vec<_> = decisions.iter().filter(|it| !it.keep).collect();
        if going.is_empty() {
            return None;
        }
        let freed: i64 = going.iter().filter_map(|it| sizes.get(it.id.as_str())).sum();
        let these = words::count(going.len() as u64, "backup");
        let held = retention::held_back(&decisions, &kept, at_most(self.desired));
        let title = match held {
            None => format!("remove {these} that no rule keeps, {}", words::size(natural(freed))),
            Some(_) => format!("hold back the removal of {these} that no rule keeps"),
        };
        let mut payload = reach(self.desired);
        payload.extend(held.as_ref().map(|why| (HELD.to_owned(), Value::text(why))));
        let ids = going.iter().map(|it| Value::text(&it.id)).collect();
        payload.insert(IDS.to_owned(), Value::List(ids));
        let mut step = self.step(PRUNE, title, payload, 3_600_000);
        step.phase = Phase::Prune;
        step.notes =
            going.iter().map(|it| format!("{}: {}", it.id, it.reasons.join(", "))).collect();
        if let Some(why) = held {
            step.notes.insert(0, format!("{why}: nothing is removed, and this step fails"));
            step.notes.insert(1, HOW_ON.to_owned());
            return Some(step);
        }
        let why = "what is removed is gone";
        step.undo = Undo::None { why: why.to_owned() };
        step.reversible = Reversible::Irreversible { why: why.to_owned() };
        Some(step)
    }

    /// What is backed up goes with the payload.
    fn take(&self, payload: &mut Fields) {
        let of = self.desired.access.get("of");
        payload.extend(of.map(|it| ("of".to_owned(), it.clone())));
        let name = self.desired.fields.get("of");
        payload.extend(name.map(|it| (NAME.to_owned(), it.clone())));
    }

    fn step(&self, verb: &str, title: String, payload: Fields, deadline_ms: u64) -> Operation {
        let mut step = Operation::new(verb, title, Expects::Content, payload);
        step.deadline_ms = deadline_ms;
        step
    }
}

/// The declared policy.
pub(crate) fn policy(lowered: &Lowered) -> Policy {
    let keep = lowered.material.get("keep").and_then(Value::as_map);
    let number = |key| keep.and_then(|it| it.get(key)).and_then(Value::as_int);
    let count = |key| number(key).and_then(|it| u32::try_from(it).ok()).unwrap_or_default();
    Policy {
        within_ms: number("within").and_then(|it| u64::try_from(it).ok()),
        minimum: count("minimum"),
        daily: count("daily"),
        weekly: count("weekly"),
        monthly: count("monthly"),
        yearly: count("yearly"),
    }
}

/// How much may go at once, in percent.
fn at_most(lowered: &Lowered) -> u32 {
    let keep = lowered.material.get("keep").and_then(Value::as_map);
    let share = keep.and_then(|it| it.get(REMOVES_AT_MOST)).and_then(Value::as_text);
    share.and_then(retention::percent).unwrap_or(retention::AT_MOST)
}

fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn span(ms: i64) -> String {
    words::span(natural(ms))
}
