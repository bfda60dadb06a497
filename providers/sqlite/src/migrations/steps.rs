//! The operations of one change of a list: what is the same on every engine is
//! [`hive_sql::list`]'s, and what is here is how a history begins.

use super::BASELINE;
use super::compare::{before_of, compared, is_fresh};
use crate::database::steps::{adopt, of, release};
use crate::database::{OF, steps as marks};
use hive_contract::{Action, Change, Fields, Operation, Rehearsal, Retry, Value};
use hive_sql::lint::Sizes;
use hive_sql::list::{Making, Material, Tried, begin_title, drift_of};

pub(crate) fn steps(change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<Operation> {
    let Some(of) = of(change) else { return Vec::new() };
    match change.action {
        Action::Delete | Action::Forget => return marks::steps(change),
        Action::Create | Action::Update | Action::Adopt | Action::Run => {}
        _ => return Vec::new(),
    }
    // What does not go together is an objection, and nothing is planned.
    let Some(Ok(compared)) = compared(change) else { return Vec::new() };
    let mut steps = begun(change, &of, &compared.material);
    let drift = change.observed.as_ref().map(|it| drift_of(&it.fields)).unwrap_or_default();
    let (before, tried) = (before_of(change), Tried::of(rehearsal));
    let making = Making {
        compared: &compared,
        before: before.as_ref(),
        tried: &tried,
        drift: &drift,
        sizes: &Sizes::default(),
        fresh: is_fresh(change, &compared),
        payload: payload(&of, &compared.material),
        retry: Retry { attempts: compared.material.retries + 1, first_ms: 500 },
    };
    steps.extend(making.operations());
    steps
}

/// What every payload of a list holds: how the file is reached, and how long it is waited for.
fn payload(of: &Fields, material: &Material) -> Fields {
    Fields::from([
        (OF.to_owned(), Value::Map(of.clone())),
        ("lock_timeout".to_owned(), Value::Int(material.lock_timeout)),
    ])
}

/// How the history becomes hive's.
fn begun(change: &Change, of: &Fields, material: &Material) -> Vec<Operation> {
    match change.action {
        Action::Create => {
            let title = begin_title(&change.target.address, None, None);
            let named = |step| Operation { title: title.clone(), ..step };
            marks::steps(change).into_iter().map(named).collect()
        }
        Action::Adopt => {
            vec![take_over(change, of, material).unwrap_or_else(|| adopt(change, of))]
        }
        _ => Vec::new(),
    }
}

/// Another tool's history.
fn take_over(change: &Change, of: &Fields, material: &Material) -> Option<Operation> {
    let live = change.observed.as_ref()?;
    let access = &change.desired.as_ref()?.access;
    let mut payload = payload(of, material);
    payload.insert("baseline".to_owned(), access.get("baseline")?.clone());
    let address = &change.target.address;
    let mut step = hive_sql::list::take_over(BASELINE, address, material, live, payload)?;
    step.retry = Retry { attempts: material.retries + 1, first_ms: 500 };
    Some(step.undone_by(release(of, false)))
}
