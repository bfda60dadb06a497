//! What speaks against a change of a list once it is known what is applied.

use super::compare::Compared;
use super::look::foreign_of;
use super::material::{Material, NONE};
use super::steps::before_of;
use hive_contract::{Action, Change, Invalid, Live, Value};
use hive_sql::foreign::{Baseline, Refused, Tool, declared};
use hive_sql::history::Applied;
use hive_sql::{Down, GoesOn, Half, Stage};

/// Everything that speaks against it; each names the file.
pub(crate) fn objections(change: &Change) -> Vec<Invalid> {
    if !matches!(change.action, Action::Create | Action::Update | Action::Adopt | Action::Run) {
        return Vec::new();
    }
    let compared = match Compared::of(change) {
        None => return Vec::new(),
        Some(Ok(compared)) => compared,
        Some(Err(mismatches)) => {
            return mismatches
                .iter()
                .map(|it| Invalid::at("files", it.to_string()).help(it.help()))
                .collect();
        }
    };
    let mut wrong = Vec::new();
    if let Some(live) = &change.observed
        && let Some(Err(refused)) = baseline(&compared.material, change, live)
    {
        wrong.push(Invalid::at("baseline", refused.to_string()).help(refused.help()));
    }
    wrong.extend(half(&compared, change));
    wrong.extend(hidden_expand(&compared, change));
    wrong.extend(beyond(&compared, change));
    wrong
}

/// The files that something else has applied, by what the database says.
pub(crate) fn baseline(
    material: &Material,
    change: &Change,
    live: &Live,
) -> Option<Result<Baseline, Refused>> {
    let foreign = foreign_of(live)?;
    let access = &change.desired.as_ref()?.access;
    let said = access.get("baseline")?.as_map()?;
    let text = |key: &str| said.get(key).and_then(Value::as_text);
    let version = text("version");
    let tool = text("tool")?;
    let migrations = &material.migrations;
    Some(match Tool::parse(tool) {
        Some(tool) => tool.baseline(migrations, &foreign, version),
        None if tool == NONE => declared(migrations, version.unwrap_or_default()),
        None => return None,
    })
}

/// A half applied file that a person has to decide about.
fn half(compared: &Compared, change: &Change) -> Option<Invalid> {
    let half = match &compared.pending.half {
        Some(half) => half.clone(),
        None => unwanted(compared, change)?,
    };
    let GoesOn::Ask(facts) = &half.goes_on else { return None };
    let message = format!("{}: {}", half.words(), facts.join("; "));
    let help = "bring the statements that ran back as they were and hive goes on behind them, or \
                give the file back its down file and take it out of the list";
    Some(Invalid::at("files", message).help(help))
}

/// A half applied file that the list does not hold any more.
pub(crate) fn unwanted(compared: &Compared, change: &Change) -> Option<Half> {
    let row = compared.pending.beyond.iter().map(|at| &compared.rows[*at]).find(|it| it.is_half());
    row.map(|row| Half::unwanted(row, down_of(change, row).is_some()))
}

/// The recorded migration of a row that has a down file.
pub(crate) fn down_of(change: &Change, row: &Applied) -> Option<hive_sql::Migration> {
    let before = before_of(change)?;
    let (_, migration) = before.migrations.find(&row.name)?;
    let same = migration.up.checksum == row.checksum || row.is_half();
    (same && migration.down.script().is_some()).then(|| migration.clone())
}

/// An expand that waits behind a contract has no order in which the running version lives.
fn hidden_expand(compared: &Compared, change: &Change) -> Option<Invalid> {
    if compared.material.stopped || change.action == Action::Create {
        return None;
    }
    let waiting: Vec<_> = compared.pending().collect();
    let contract = waiting.iter().position(|it| it.stage == Stage::Contract)?;
    let expand = waiting[contract..].iter().find(|it| it.stage == Stage::Expand)?;
    let contract = &waiting[contract].name;
    let message = format!(
        "`{}` adds to the schema and waits behind `{contract}`, which takes away what the running \
         version uses",
        expand.name
    );
    let help = format!(
        "apply the release that ends with `{contract}` first, or say `during = \"stopped\"`"
    );
    Some(Invalid::at("files", message).help(help))
}

/// What is applied and not wanted any more, and cannot be taken back.
fn beyond(compared: &Compared, change: &Change) -> Vec<Invalid> {
    if !compared.material.down {
        return Vec::new();
    }
    let rows = compared.pending.beyond.iter().map(|at| &compared.rows[*at]);
    let stuck = rows.filter(|row| !row.is_half() && down_of(change, row).is_none());
    stuck
        .map(|row| {
            let why = before_of(change)
                .and_then(|it| it.migrations.find(&row.name).map(|(_, it)| it.down.clone()));
            let why = match why {
                Some(Down::Irreversible(reason)) => format!("it is irreversible: {reason}"),
                Some(Down::Script(_)) => "it is not the file that was applied".to_owned(),
                None => "its down file is not recorded".to_owned(),
            };
            let message = format!("`{}` is applied and cannot be taken back: {why}", row.name);
            let help = "say `rollback = \"services\"`, so that it stays, or restore a backup";
            Invalid::at("files", message).help(help)
        })
        .collect()
}
