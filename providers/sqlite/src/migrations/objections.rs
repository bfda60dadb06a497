//! What speaks against a change of a list once it is known what is applied.

use super::compare::{before_of, compared, is_fresh};
use hive_contract::{Action, Change, Invalid};
use hive_sql::list::{is_ahead, mismatched, not_taken, taken_over};

/// Everything that speaks against it; each names the file.
pub(crate) fn objections(change: &Change) -> Vec<Invalid> {
    if !matches!(change.action, Action::Create | Action::Update | Action::Adopt | Action::Run) {
        return Vec::new();
    }
    let compared = match compared(change) {
        None => return Vec::new(),
        Some(Ok(compared)) => compared,
        Some(Err(mismatches)) => return mismatched(&mismatches),
    };
    let mut wrong = Vec::new();
    if let Some(Err(refused)) = taken_over(&compared.material, change.observed.as_ref()) {
        wrong.push(not_taken(&refused));
    }
    let list = &compared.material.migrations;
    let ahead = change.desired.as_ref().is_some_and(|it| is_ahead(it, list));
    let fresh = is_fresh(change, &compared);
    let before = before_of(change);
    wrong.extend(hive_sql::list::objections(&compared, before.as_ref(), fresh, ahead));
    wrong
}
