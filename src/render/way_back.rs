//! What a reviewer reads of the way back: what is taken back by itself, where that ends, and which
//! ways there are from each change as a whole.

use super::clean::clean;
use super::words;
use crate::plan::{Plan, Step};
use hive_contract::{Action, Address, Reversible, Undo, WayBack};
use std::collections::BTreeSet;

/// Headings with their entries.
pub(super) fn read(plan: &Plan) -> Vec<(String, Vec<String>)> {
    if plan.steps.is_empty() {
        return Vec::new();
    }
    let mut ways = Vec::new();
    match plan.point_of_no_return {
        None => ways.push(("way back".to_owned(), undone(plan, u32::MAX))),
        Some(first) => {
            let before = undone(plan, first);
            if !before.is_empty() {
                ways.push((format!("way back before step {first}"), before));
            }
            ways.push((format!("after step {first}"), by_hand(plan, first)));
        }
    }
    for (target, table) in &plan.ways {
        ways.push((format!("from {target}"), table.iter().map(way).collect()));
    }
    ways
}

/// What cannot simply be taken back; none where it can.
pub(super) fn hard(plan: &Plan, step: &Step) -> Option<String> {
    match &step.operation.reversible {
        Reversible::Reversible => None,
        Reversible::Restorable { from, loses } => {
            Some(format!("restorable from {}, loses {}", source(plan, step, from), clean(loses)))
        }
        Reversible::Irreversible { why } => Some(format!("irreversible: {}", clean(why))),
    }
}

/// Why there is no way back by itself behind a step.
pub(super) fn why_none(plan: &Plan, step: &Step) -> String {
    match &step.operation.reversible {
        Reversible::Restorable { from, loses } => match kept_by(plan, step, from) {
            Some(number) => format!(
                "undoing what follows is a restore from step {number}, which loses {}",
                clean(loses)
            ),
            None => format!("undoing what follows loses {}", clean(loses)),
        },
        Reversible::Irreversible { why } => {
            format!("what follows cannot be taken back: {}", clean(why))
        }
        Reversible::Reversible => "what follows cannot be taken back".to_owned(),
    }
}

fn source(plan: &Plan, step: &Step, from: &str) -> String {
    match kept_by(plan, step, from) {
        Some(number) => format!("step {number}"),
        None => clean(from),
    }
}

/// The step that keeps what a later one is restored from: the last run before it of an address that
/// is named.
fn kept_by(plan: &Plan, step: &Step, from: &str) -> Option<u32> {
    let words = from.split(|it: char| it.is_whitespace() || it == '`' || it == ',');
    let named: Vec<Address> = words.filter_map(|it| it.parse().ok()).collect();
    let keeps = |it: &&Step| {
        it.action == Action::Run
            && it.acts
            && it.number < step.number
            && named.contains(&it.target.address)
    };
    plan.steps.iter().rfind(keeps).map(|it| it.number)
}

fn undone(plan: &Plan, below: u32) -> Vec<String> {
    let mut back: Vec<String> = plan
        .rollback
        .iter()
        .filter(|undo| undo.of < below)
        .map(|undo| format!("{} {}", undo.of, clean(&undo.operation.title)))
        .collect();
    let undone: BTreeSet<u32> = plan.rollback.iter().map(|it| it.of).collect();
    back.extend(plan.steps.iter().filter(|step| step.number < below).filter_map(|step| {
        match &step.operation.undo {
            Undo::None { why } => Some(format!("{} stays: {}", step.number, clean(why))),
            // A proof leaves what it proved as it was: what it restored is gone with its end.
            Undo::Nothing if step.operation.verb == hive_backup::VERIFY => None,
            Undo::Nothing if step.stays() && !undone.contains(&step.number) => {
                Some(format!("{} {} stays", step.number, clean(&step.operation.title)))
            }
            _ => None,
        }
    }));
    if back.is_empty() && below == u32::MAX {
        back.push("nothing to take back".to_owned());
    }
    back
}

fn by_hand(plan: &Plan, from: u32) -> Vec<String> {
    let mut back: Vec<String> = plan
        .steps
        .iter()
        .filter(|step| step.number >= from)
        .filter_map(|step| Some(format!("{} {}", step.number, hard(plan, step)?)))
        .collect();
    back.insert(0, "by hand".to_owned());
    back
}

/// One row of the truth table.
fn way(way: &WayBack) -> String {
    let name = clean(&way.way);
    let takes = way.takes_ms.map(|ms| format!(", about {}", words::span(ms))).unwrap_or_default();
    match &way.not_because {
        Some(why) => format!("{name}: no, {}", clean(why)),
        None => format!("{name}: yes{takes}, loses {}", clean(&way.loses)),
    }
}
