//! The operations of one change of a database, or of whatever is marked the same way.

use super::{CLAIM, KEEPS, MARK, OF, RELEASE};
use hive_contract::{Action, Change, Expects, Fields, Mark, Operation, Value};

pub(crate) fn steps(change: &Change) -> Vec<Operation> {
    let Some(of) = of(change) else { return Vec::new() };
    let step = match change.action {
        Action::Create => {
            let create = of.get("create").and_then(Value::as_bool).unwrap_or(false);
            let title = match create {
                true => format!("make `{}` where it is absent, and mark it as hive's", shown(&of)),
                false => format!("mark `{}` as hive's", shown(&of)),
            };
            claim(&of, title, Expects::Absent, None).undone_by(release(&of, false))
        }
        Action::Delete => release(&of, false).undone_by(again(change, &of, Expects::Absent)),
        Action::Forget => release(&of, true).undone_by(again(change, &of, Expects::Content)),
        Action::Adopt => adopt(change, &of),
        _ => return Vec::new(),
    };
    vec![step]
}

/// The database's declared fields: as declared, else as recorded.
pub(crate) fn of(change: &Change) -> Option<Fields> {
    let lowered = change.desired.as_ref().or(change.before.as_deref())?;
    let of = lowered.access.get(OF).and_then(Value::as_map);
    Some(of.unwrap_or(&lowered.access).clone())
}

/// Takes into hive what is there.
pub(crate) fn adopt(change: &Change, of: &Fields) -> Operation {
    let before = change.observed.as_ref().and_then(|live| live.mark.as_ref());
    let undo = match before {
        Some(mark) => claim(of, mark_title(of), Expects::Content, Some(mark)),
        None => release(of, true),
    };
    claim(of, mark_title(of), Expects::Content, None).undone_by(undo)
}

/// The mark that was on it, again.
pub(crate) fn again(change: &Change, of: &Fields, expects: Expects) -> Operation {
    let before = change.observed.as_ref().and_then(|live| live.mark.as_ref());
    claim(of, mark_title(of), expects, before)
}

fn mark_title(of: &Fields) -> String {
    format!("mark `{}` as hive's", shown(of))
}

fn claim(of: &Fields, title: String, expects: Expects, mark: Option<&Mark>) -> Operation {
    let mut payload = Fields::from([(OF.to_owned(), Value::Map(of.clone()))]);
    if let Some(mark) = mark {
        payload.insert(MARK.to_owned(), mark.value());
    }
    Operation::new(CLAIM, title, expects, payload)
}

/// Takes hive's mark off.
pub(crate) fn release(of: &Fields, keeps: bool) -> Operation {
    let title = format!("take hive's mark off `{}`; the data stays", shown(of));
    let payload = Fields::from([
        (OF.to_owned(), Value::Map(of.clone())),
        (KEEPS.to_owned(), Value::Bool(keeps)),
    ]);
    Operation::new(RELEASE, title, Expects::Content, payload)
}

/// The path as the stack writes it.
pub(crate) fn shown(of: &Fields) -> &str {
    of.get("path").and_then(Value::as_text).unwrap_or_default()
}
