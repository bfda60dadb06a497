//! A change of a service as one operation, with what takes it back.

use hive_contract::value::Fields;
use hive_contract::{Action, Change, Expects, Live, Operation, Reversible, Undo, Value};

/// Every verb of this platform.
pub(crate) mod verb {
    /// Starts what is not there.
    pub(crate) const LAUNCH: &str = "launch";
    /// Makes the replicas what they should be, one at a time.
    pub(crate) const ROLL: &str = "roll";
    /// Ends everything and takes it away.
    pub(crate) const STOP: &str = "stop";
    /// Ends everything and keeps what it was.
    pub(crate) const SUSPEND: &str = "suspend";
    /// Puts hive's mark on it, or takes it off.
    pub(crate) const MARK: &str = "mark";
}

/// The canonical fields that an operation makes live.
pub(crate) const SERVICE: &str = "service";
/// Whether replicas are started anew although nothing about them differs.
pub(crate) const RESTART: &str = "restart";
/// Whether also the replicas that stay as they are must be healthy.
pub(crate) const VERIFY: &str = "verify";
/// Whether the step's mark is put on or taken off.
pub(crate) const MARKED: &str = "marked";
/// Another mark that is put on.
pub(crate) const MARK: &str = "mark";

/// Time for what is not the service's own: copying its program, starting it, looking.
const MARGIN_MS: u64 = 30_000;

/// The operations of one change.
pub(crate) fn steps(change: &Change) -> Vec<Operation> {
    let before = recorded(change);
    match change.action {
        Action::Create => desired(change).map(|fields| {
            let stop = stop(&fields);
            launch(fields).undone_by(stop)
        }),
        // Where nothing differs it is what cannot be compared: the value of a secret.
        Action::Update => update(change, change.differences.is_empty()),
        Action::Run => desired(change)
            .or(before.clone())
            .map(|fields| back_by(roll(fields, true), before.map(|before| roll(before, false)))),
        Action::Delete => {
            let stop = stop(before.as_ref().unwrap_or(&Fields::new()));
            Some(back_by(stop, before.map(launch)))
        }
        Action::Adopt => return adopt(change),
        Action::Forget => Some(mark(false).undone_by(mark(true))),
        Action::Stop => return suspend(change),
        Action::Start => return resume(change),
        Action::Keep | Action::Replace => None,
    }
    .into_iter()
    .collect()
}

fn update(change: &Change, restart: bool) -> Option<Operation> {
    let before = recorded(change).map(|before| roll(before, false));
    let fields = desired(change)?;
    let step = match (change.unverified, change.differences.is_empty()) {
        (false, _) => roll(fields, restart),
        (true, false) => verified(roll(fields, false)),
        (true, true) => {
            let title = format!("see that {} works", words(&fields));
            verified(Operation { title, ..roll(fields, false) })
        }
    };
    Some(back_by(step, before))
}

/// The mark first, so that what is changed is hive's; then whatever is not as declared.
fn adopt(change: &Change) -> Vec<Operation> {
    let marked = mark(true).undone_by(mark_before(change));
    let differs = !change.differences.is_empty();
    let changed = differs.then(|| update(change, false)).flatten();
    std::iter::once(marked).chain(changed).collect()
}

/// The operation with its way back, where what was there before is known well enough to start it.
fn back_by(mut operation: Operation, back: Option<Operation>) -> Operation {
    if let Some(back) = back {
        return operation.undone_by(back);
    }
    let why = "how the running processes were started is not recorded".to_owned();
    operation.undo = Undo::None { why: why.clone() };
    operation.reversible = Reversible::Irreversible { why };
    operation
}

/// Nothing runs any more; all that is recorded stays. Of what does not run there is nothing to do.
pub(crate) fn suspend(change: &Change) -> Vec<Operation> {
    let Some(fields) = recorded(change).filter(|_| runs(change)) else { return Vec::new() };
    let title = format!("stop {}, to be started again", replicas(&fields));
    let mut suspend = Operation::new(verb::SUSPEND, title, Expects::Content, Fields::new());
    suspend.deadline_ms = deadline(&fields);
    vec![suspend.undone_by(roll(fields, false))]
}

/// Whether any replica was seen to run.
fn runs(change: &Change) -> bool {
    let count = |live: &Live| live.fields.get("replicas").and_then(Value::as_int);
    change.observed.as_ref().and_then(count).is_some_and(|it| it > 0)
}

/// The desired fields, else the recorded ones again.
pub(crate) fn resume(change: &Change) -> Vec<Operation> {
    let Some(fields) = desired(change).or_else(|| recorded(change)) else { return Vec::new() };
    let title = format!("start {}", words(&fields));
    let mut back = Operation::new(verb::SUSPEND, "stop it again", Expects::Content, Fields::new());
    back.deadline_ms = deadline(&fields);
    vec![Operation { title, ..roll(fields, false) }.undone_by(back)]
}

fn launch(fields: Fields) -> Operation {
    let title = format!("start {}", words(&fields));
    operation(verb::LAUNCH, title, Expects::Absent, fields, false)
}

fn roll(fields: Fields, restart: bool) -> Operation {
    let again = if restart { "restart" } else { "roll" };
    let title = format!("{again} {}", words(&fields));
    operation(verb::ROLL, title, Expects::Content, fields, restart)
}

/// Nobody has seen the replicas that stay work: they are asked too.
fn verified(mut roll: Operation) -> Operation {
    roll.payload.insert(VERIFY.to_owned(), Value::Bool(true));
    roll
}

fn stop(fields: &Fields) -> Operation {
    let title = match fields.is_empty() {
        true => "stop whatever runs of it".to_owned(),
        false => format!("stop {}", words(fields)),
    };
    let mut stop = Operation::new(verb::STOP, title, Expects::Content, Fields::new());
    stop.deadline_ms = deadline(fields);
    stop
}

fn mark(marked: bool) -> Operation {
    let title = if marked { "take it into hive as it runs" } else { "let it run without hive" };
    let payload = Fields::from([(MARKED.to_owned(), Value::Bool(marked))]);
    Operation::new(verb::MARK, title, Expects::Content, payload)
}

/// The mark that was on it before it was taken over.
fn mark_before(change: &Change) -> Operation {
    let mut back = mark(false);
    if let Some(before) = change.observed.as_ref().and_then(|live| live.mark.as_ref()) {
        let text = |key: &str, text: &str| (key.to_owned(), Value::from(text));
        let fields = Fields::from([
            text("store", &before.owner.store),
            text("stack", &before.owner.stack),
            text("environment", &before.owner.environment),
            text("address", &before.address.to_string()),
        ]);
        back.title = format!("let it be {before} again");
        back.payload = Fields::from([(MARK.to_owned(), Value::Map(fields))]);
    }
    back
}

fn operation(
    verb: &str,
    title: String,
    expects: Expects,
    fields: Fields,
    restart: bool,
) -> Operation {
    let deadline_ms = deadline(&fields);
    let mut payload = Fields::from([(SERVICE.to_owned(), Value::Map(fields))]);
    if restart {
        payload.insert(RESTART.to_owned(), Value::Bool(true));
    }
    let mut operation = Operation::new(verb, title, expects, payload);
    operation.deadline_ms = deadline_ms;
    operation
}

/// What was there: as recorded, else as it is.
fn recorded(change: &Change) -> Option<Fields> {
    let observed = || change.observed.as_ref().map(|live| live.fields.clone());
    change.recorded.clone().or_else(observed).filter(|fields| fields.contains_key("program"))
}

fn desired(change: &Change) -> Option<Fields> {
    change.desired.as_ref().map(|it| it.fields.clone())
}

fn words(fields: &Fields) -> String {
    let command = fields.get("command").and_then(Value::as_list).unwrap_or_default();
    let program = command.first().and_then(Value::as_text).unwrap_or("its command");
    format!("{} of `{program}`", replicas(fields))
}

fn replicas(fields: &Fields) -> String {
    match fields.get("replicas").and_then(Value::as_int) {
        Some(1) => "1 replica".to_owned(),
        Some(count) => format!("{count} replicas"),
        None => "all replicas".to_owned(),
    }
}

/// `rollout.timeout` where the service says it, else what its replicas may take one after another.
fn deadline(fields: &Fields) -> u64 {
    let at = |path: [&str; 2]| {
        let value = fields.get(path[0])?.as_map()?.get(path[1])?.as_int()?;
        u64::try_from(value).ok()
    };
    at(["rollout", "timeout"]).unwrap_or_else(|| {
        let count = fields.get("replicas").and_then(Value::as_int).unwrap_or(1).max(1);
        let each = at(["health", "grace"]).unwrap_or_default()
            + at(["stop", "grace"]).unwrap_or(10_000)
            + MARGIN_MS;
        each.saturating_mul(u64::try_from(count).unwrap_or(1)).max(300_000)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_contract::{Lowered, ReplaceOrder, Sort, Target};
    use std::collections::{BTreeMap, BTreeSet};

    fn fields(replicas: i64) -> Fields {
        Fields::from([
            ("replicas".to_owned(), Value::Int(replicas)),
            ("program".to_owned(), Value::Map(Fields::new())),
            ("command".to_owned(), Value::List(vec!["./server".into()])),
        ])
    }

    fn change(action: Action, desired: Option<Fields>, recorded: Option<Fields>) -> Change {
        Change {
            desired: desired.map(|fields| Lowered {
                sort: Sort::Object,
                identity: "dev/service.api".to_owned(),
                fields,
                outputs: BTreeMap::new(),
                immutable: BTreeSet::new(),
                replace: ReplaceOrder::DeleteFirst,
                ..Lowered::default()
            }),
            recorded,
            ..Change::new(
                Target::main("service.api".parse().expect("address")),
                action,
                "dev/service.api".to_owned(),
            )
        }
    }

    fn undo(operation: &Operation) -> &Operation {
        match &operation.undo {
            Undo::By(undo) => undo,
            other => panic!("no undo: {other:?}"),
        }
    }

    #[test]
    fn each_change_is_one_operation_that_its_undo_takes_back() {
        let made = steps(&change(Action::Create, Some(fields(2)), None));
        assert_eq!(made.len(), 1);
        assert_eq!((made[0].verb.as_str(), made[0].expects), ("launch", Expects::Absent));
        assert_eq!(made[0].title, "start 2 replicas of `./server`");
        assert_eq!(undo(&made[0]).verb, "stop");

        let made = steps(&change(Action::Delete, None, Some(fields(1))));
        assert_eq!((made[0].verb.as_str(), undo(&made[0]).verb.as_str()), ("stop", "launch"));

        let made = steps(&change(Action::Update, Some(fields(2)), Some(fields(1))));
        let back = undo(&made[0]);
        assert_eq!((made[0].verb.as_str(), back.verb.as_str()), ("roll", "roll"));
        assert_eq!(back.payload[SERVICE], Value::Map(fields(1)));

        let same = change(Action::Adopt, Some(fields(1)), Some(fields(1)));
        assert_eq!(steps(&same).iter().map(|it| it.verb.as_str()).collect::<Vec<_>>(), ["mark"]);
        let mut other = change(Action::Adopt, Some(fields(2)), Some(fields(1)));
        other.differences = vec![hive_contract::Difference {
            field: hive_contract::FieldPath::new(["replicas"]),
            recorded: None,
            observed: Some(Value::Int(1)),
            desired: Some(Value::Int(2)),
            reason: hive_contract::Reason::Declared,
            moved_by: None,
        }];
        let made = steps(&other);
        let verbs: Vec<_> = made.iter().map(|it| it.verb.as_str()).collect();
        assert_eq!(verbs, ["mark", "roll"]);
        assert_eq!(undo(&made[1]).payload[SERVICE], Value::Map(fields(1)));

        let made = steps(&change(Action::Run, Some(fields(1)), Some(fields(1))));
        assert_eq!(made[0].payload[RESTART], Value::Bool(true));
        assert!(!undo(&made[0]).payload.contains_key(RESTART));
    }

    #[test]
    fn it_is_stopped_where_it_runs_and_started_as_it_shall_be() {
        let live = |replicas: i64| Live {
            identity: "dev/service.api".to_owned(),
            fields: fields(replicas),
            outputs: BTreeMap::new(),
            mark: None,
            token: None,
            moved_by: BTreeMap::new(),
            ended: BTreeMap::new(),
            status: hive_contract::Status::default(),
        };
        let mut stop = change(Action::Stop, None, Some(fields(2)));
        assert!(suspend(&stop).is_empty(), "nothing is there");
        stop.observed = Some(live(0));
        assert!(suspend(&stop).is_empty(), "nothing runs");
        stop.observed = Some(live(2));
        let made = suspend(&stop);
        assert_eq!(made[0].verb, "suspend");
        assert_eq!(undo(&made[0]).payload[SERVICE], Value::Map(fields(2)));

        let made = resume(&change(Action::Start, Some(fields(3)), Some(fields(2))));
        assert_eq!(made[0].title, "start 3 replicas of `./server`");
        assert_eq!(made[0].payload[SERVICE], Value::Map(fields(3)), "as it is desired");
        assert_eq!(undo(&made[0]).verb, "suspend");
        let made = resume(&change(Action::Start, None, Some(fields(2))));
        assert_eq!(made[0].payload[SERVICE], Value::Map(fields(2)), "as it was");
    }

    #[test]
    fn the_rollouts_own_timeout_is_the_deadline() {
        let mut wanted = fields(1);
        assert_eq!(deadline(&wanted), 300_000);
        let timeout = Fields::from([("timeout".to_owned(), Value::Int(5_000))]);
        wanted.insert("rollout".to_owned(), Value::Map(timeout));
        assert_eq!(deadline(&wanted), 5_000);
    }
}
