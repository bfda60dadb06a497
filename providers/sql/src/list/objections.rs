//! What speaks against a change of a list once it is known what is applied.

use super::{Compared, Material, down_of};
use crate::history::Mismatch;
use crate::{Down, GoesOn, Stage};
use hive_contract::Invalid;

/// Where files and history do not go together; each names the file.
pub fn mismatched(mismatches: &[Mismatch]) -> Vec<Invalid> {
    mismatches.iter().map(|it| Invalid::at("files", it.to_string()).help(it.help())).collect()
}

/// Everything else that speaks against it; each names the file. `before` is the recorded list,
/// `fresh` says that nobody runs on any of it yet, and `ahead` that newer files stay applied: see
/// [`super::ahead`].
pub fn objections(
    compared: &Compared,
    before: Option<&Material>,
    fresh: bool,
    ahead: bool,
) -> Vec<Invalid> {
    let mut wrong: Vec<Invalid> = half(compared, before).into_iter().collect();
    if !ahead {
        wrong.extend(removed(compared, before));
    }
    if !fresh {
        wrong.extend(hidden_expand(compared));
    }
    wrong.extend(beyond(compared, before));
    wrong
}

/// A half applied file that a person has to decide about.
fn half(compared: &Compared, before: Option<&Material>) -> Option<Invalid> {
    let half = match &compared.pending.half {
        Some(half) => half.clone(),
        None => compared.unwanted(before)?,
    };
    let GoesOn::Ask(facts) = &half.goes_on else { return None };
    let message = format!("{}: {}", half.words(), facts.join("; "));
    let help = "bring the statements that ran back as they were and hive goes on behind them, or \
                give the file back its down file and take it out of the list";
    Some(Invalid::at("files", message).help(help))
}

/// An expand that waits behind a contract has no order in which the running version lives.
fn hidden_expand(compared: &Compared) -> Option<Invalid> {
    if compared.material.stopped {
        return None;
    }
    let waiting: Vec<_> = compared.pending().collect();
    let contract = waiting.iter().position(|it| it.stage == Stage::Contract)?;
    let expand = waiting[contract..].iter().find(|it| it.stage == Stage::Expand)?;
    let contract = &waiting[contract].name;
    let message = format!(
        "`{}` (expand) waits behind `{contract}` (contract), which takes away what the running \
         version uses",
        expand.name
    );
    let help = format!(
        "apply the release that ends with `{contract}` first, or say `during = \"stopped\"`"
    );
    Some(Invalid::at("files", message).help(help))
}

/// The newest applied files that somebody took out: nothing newer stands behind them, so only the
/// record tells them from those that a younger version of the list left.
fn removed(compared: &Compared, before: Option<&Material>) -> Vec<Invalid> {
    if compared.material.down {
        return Vec::new();
    }
    let held = |name: &str| before.is_some_and(|it| it.migrations.find(name).is_some());
    let gone = compared.beyond().filter(|row| !row.is_half() && held(&row.name));
    let gone: Vec<Mismatch> =
        gone.map(|row| Mismatch::Removed { name: row.name.clone() }).collect();
    mismatched(&gone)
}

/// What is applied and not wanted any more, and cannot be taken back.
fn beyond(compared: &Compared, before: Option<&Material>) -> Vec<Invalid> {
    if !compared.material.down {
        return Vec::new();
    }
    let stuck = compared.beyond().filter(|row| !row.is_half() && down_of(before, row).is_none());
    stuck
        .map(|row| {
            let known = before.and_then(|it| it.migrations.find(&row.name));
            let why = match known.map(|(_, it)| &it.down) {
                Some(Down::Irreversible(reason)) => format!("it is irreversible: {reason}"),
                Some(Down::Script(_)) => "it is not the file that was applied".to_owned(),
                None => "no snapshot holds its down file".to_owned(),
            };
            let message = format!(
                "`{}` is applied and not declared any more, and cannot be taken back: {why}",
                row.name
            );
            let help = "say `rollback = \"services\"`, so that it stays, declare the file again, or \
                        restore a backup";
            Invalid::at("files", message).help(help)
        })
        .collect()
}
