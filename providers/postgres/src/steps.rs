//! The operations of marks: of a database, and of migrations where they are taken in or let go.

use crate::lower::kind_of;
use crate::migrating;
use crate::{DATABASE, MIGRATIONS};
use hive_contract::{Action, Change, Expects, Fields, Mark, Operation, Rehearsal, Value};

/// Takes a database for hive, and makes it where it may and there is none.
pub(crate) const CLAIM: &str = "claim";
/// Takes a history for hive, and what another tool applied.
pub(crate) const BASELINE: &str = "baseline";
/// Sets the mark.
pub(crate) const ADOPT: &str = "adopt";
/// Takes the mark off. What is marked stays.
pub(crate) const RELEASE: &str = "release";

/// Payload: how the database is reached.
pub(crate) const OF: &str = "of";
/// Payload of [`ADOPT`]: a mark other than the step's own, for an undo.
pub(crate) const MARK: &str = "mark";
/// Payload of [`RELEASE`]: whether the row goes too, so that nothing is seen any more.
pub(crate) const GONE: &str = "gone";

pub(crate) fn steps(change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<Operation> {
    match kind_of(&change.identity) {
        DATABASE => database(change),
        MIGRATIONS => migrations(change, rehearsal),
        _ => crate::backup::steps(change),
    }
}

fn database(change: &Change) -> Vec<Operation> {
    let of = reached(change);
    match change.action {
        Action::Create => vec![claim(change, &of)],
        Action::Delete => vec![release(change, &of, true).undone_by(claim(change, &of))],
        Action::Adopt => vec![adopt(change, &of)],
        Action::Forget => vec![forget(change, &of)],
        Action::Run => crate::restore::steps(change, &of),
        // Nothing of a database that hive manages can change.
        Action::Keep | Action::Update | Action::Replace | Action::Stop | Action::Start => {
            Vec::new()
        }
    }
}

fn migrations(change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<Operation> {
    let of = reached(change);
    match change.action {
        Action::Create => migrating::create(change, &of, rehearsal),
        Action::Update => migrating::update(change, &of, rehearsal),
        Action::Delete => {
            let again = migrating::baseline(change, &of, None);
            vec![release(change, &of, true).undone_by(again)]
        }
        Action::Adopt => {
            let taken = migrating::take_over(change, &of);
            let goes_on = taken.is_some() || !change.differences.is_empty();
            let mut steps = vec![taken.unwrap_or_else(|| adopt(change, &of))];
            if goes_on {
                steps.extend(migrating::update(change, &of, rehearsal));
            }
            steps
        }
        Action::Forget => vec![forget(change, &of)],
        Action::Keep | Action::Replace | Action::Run | Action::Stop | Action::Start => Vec::new(),
    }
}

/// How the database is reached: as declared now, else as recorded.
pub(crate) fn reached(change: &Change) -> Fields {
    let now = change.desired.as_ref().or(change.before.as_deref());
    now.map(|it| it.access.clone()).unwrap_or_default()
}

fn claim(change: &Change, of: &Fields) -> Operation {
    let creates = of.get("create").and_then(Value::as_bool).unwrap_or(false);
    let title = match creates {
        true => format!("take {} for hive, made where there is none", shown(change)),
        false => format!("take {} for hive", shown(change)),
    };
    let step = Operation::new(CLAIM, title, Expects::Absent, payload(of));
    step.undone_by(release(change, of, true))
}

fn adopt(change: &Change, of: &Fields) -> Operation {
    let before = change.observed.as_ref().and_then(|live| live.mark.as_ref());
    let undo = match before {
        Some(mark) => mark_as(change, of, Some(mark)),
        None => release(change, of, false),
    };
    mark_as(change, of, None).undone_by(undo)
}

fn forget(change: &Change, of: &Fields) -> Operation {
    let before = change.observed.as_ref().and_then(|live| live.mark.as_ref());
    release(change, of, false).undone_by(mark_as(change, of, before))
}

pub(crate) fn release(change: &Change, of: &Fields, gone: bool) -> Operation {
    let mut payload = payload(of);
    payload.insert(GONE.to_owned(), Value::Bool(gone));
    let title = format!("take hive's mark off {}; the data stays", shown(change));
    Operation::new(RELEASE, title, Expects::Content, payload)
}

fn mark_as(change: &Change, of: &Fields, mark: Option<&Mark>) -> Operation {
    let mut payload = payload(of);
    if let Some(mark) = mark {
        payload.insert(MARK.to_owned(), mark.value());
    }
    let title = format!("mark {} as hive's", shown(change));
    Operation::new(ADOPT, title, Expects::Content, payload)
}

pub(crate) fn payload(of: &Fields) -> Fields {
    Fields::from([(OF.to_owned(), Value::Map(of.clone()))])
}

/// What a reviewer reads.
pub(crate) fn shown(change: &Change) -> String {
    match kind_of(&change.identity) {
        MIGRATIONS => format!("the history of {}", change.target.address),
        _ => change.target.address.to_string(),
    }
}
