//! What speaks against a change of a list once it is known what is applied.

use super::compare::{before_of, compared, is_fresh};
use super::look::foreign_of;
use hive_contract::{Action, Change, Invalid, Live};
use hive_sql::foreign::{Baseline, Refused, declared};
use hive_sql::list::{Material, is_ahead, mismatched};

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
    if let Some(live) = &change.observed
        && let Some(Err(refused)) = baseline(&compared.material, live)
    {
        wrong.push(Invalid::at("baseline", refused.to_string()).help(refused.help()));
    }
    let list = &compared.material.migrations;
    let ahead = change.desired.as_ref().is_some_and(|it| is_ahead(it, list));
    let fresh = is_fresh(change, &compared);
    let before = before_of(change);
    wrong.extend(hive_sql::list::objections(&compared, before.as_ref(), fresh, ahead));
    wrong
}

/// The files that something else has applied, by what the database says.
pub(crate) fn baseline(material: &Material, live: &Live) -> Option<Result<Baseline, Refused>> {
    let foreign = foreign_of(live)?;
    let said = material.baseline.as_ref()?;
    let version = said.version.as_deref();
    Some(match said.tool {
        Some(tool) => tool.baseline(&material.migrations, &foreign, version),
        // The schema as it is, and no file.
        None => version.map_or(Ok(Baseline::default()), |it| declared(&material.migrations, it)),
    })
}
