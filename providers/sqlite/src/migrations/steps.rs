//! The operations of one change of a list: what is the same on every engine is
//! [`hive_sql::list`]'s, and what is here is how a history begins.

use super::compare::{before_of, compared, drift, is_fresh};
use super::look::FOREIGN;
use super::objections::baseline;
use super::{BASELINE, ROWS};
use crate::database::steps::{adopt, of, release};
use crate::database::{OF, steps as marks};
use hive_contract::{Action, Change, Expects, Fields, Operation, Rehearsal, Retry, Value};
use hive_sql::Migration;
use hive_sql::lint::Sizes;
use hive_sql::list::{Making, Material, Tried, begin_title, counted, row_value};

pub(crate) fn steps(change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<Operation> {
    let Some(of) = of(change) else { return Vec::new() };
    match change.action {
        Action::Delete | Action::Forget => return marks::steps(change),
        Action::Create | Action::Update | Action::Adopt | Action::Run => {}
        _ => return Vec::new(),
    }
    // What does not go together is an objection, and nothing is planned.
    let Some(Ok(compared)) = compared(change) else { return Vec::new() };
    let (mut steps, covered) = begun(change, &of, &compared.material);
    let (before, tried, drift) = (before_of(change), Tried::of(rehearsal), drift(change));
    let making = Making {
        compared: &compared,
        before: before.as_ref(),
        tried: &tried,
        drift: &drift,
        sizes: &Sizes::default(),
        fresh: is_fresh(change, &compared),
        covered,
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

/// How the history becomes hive's, and how many files something else has applied.
fn begun(change: &Change, of: &Fields, material: &Material) -> (Vec<Operation>, usize) {
    match change.action {
        Action::Create => {
            let title = begin_title(&change.target.address, None, None);
            let named = |step| Operation { title: title.clone(), ..step };
            (marks::steps(change).into_iter().map(named).collect(), 0)
        }
        Action::Adopt => match take_over(change, of, material) {
            Some((step, files)) => (vec![step], files),
            None => (vec![adopt(change, of)], 0),
        },
        _ => (Vec::new(), 0),
    }
}

/// Another tool's history, and how many files it covers.
fn take_over(change: &Change, of: &Fields, material: &Material) -> Option<(Operation, usize)> {
    let live = change.observed.as_ref()?;
    let files = baseline(material, live)?.ok()?.files;
    let access = &change.desired.as_ref()?.access;
    let covered: Vec<&Migration> =
        files.iter().filter_map(|at| material.migrations.list().get(*at)).collect();
    let mut payload = payload(of, material);
    payload.extend([
        (ROWS.to_owned(), Value::List(covered.iter().map(|it| row_value(it)).collect())),
        ("baseline".to_owned(), access.get("baseline")?.clone()),
        (FOREIGN.to_owned(), live.fields.get(FOREIGN)?.clone()),
    ]);
    let upto = covered.last().map(|it| it.name.as_str());
    let title = begin_title(&change.target.address, material.baseline.as_ref(), upto);
    let mut step = Operation::new(BASELINE, title, Expects::Content, payload);
    step.retry = Retry { attempts: material.retries + 1, first_ms: 500 };
    step.notes = vec![counted(covered.len()), live.status.summary.clone()];
    Some((step.undone_by(release(of, false)), covered.len()))
}
