//! The files of a list against what its live object says is applied.

use super::look::DIGITS;
use hive_contract::{Action, Change, Fields, Live, Lowered, Value};
use hive_sql::history::{Applied, Mismatch};
use hive_sql::list::{Compared, HALF, Material, history_lines};
use hive_sql::{Dialect, Migrations};

/// The material of a lowered list.
pub(crate) fn material(lowered: &Lowered) -> Option<Material> {
    Material::of(Dialect::Sqlite, lowered)
}

/// The recorded list.
pub(crate) fn before_of(change: &Change) -> Option<Material> {
    material(change.before.as_deref()?)
}

/// Compares; none where nothing is desired.
///
/// # Errors
/// Everything that does not go together.
pub(crate) fn compared(change: &Change) -> Option<Result<Compared, Vec<Mismatch>>> {
    let material = material(change.desired.as_ref()?)?;
    let rows = rows(change.observed.as_ref(), &material.migrations);
    Some(Compared::behind(material, rows, change.observed.as_ref()))
}

/// Whether nobody runs on any of it yet. A new list takes nothing over: what another tool has
/// applied is seen, and adopted.
pub(crate) fn is_fresh(change: &Change, compared: &Compared) -> bool {
    change.action == Action::Create || compared.is_fresh()
}

/// What a live list says is applied. Of a statement's hash only the beginning is known; where the
/// file's begins the same way, it is the same.
pub(crate) fn rows(live: Option<&Live>, migrations: &Migrations) -> Vec<Applied> {
    let Some(live) = live else { return Vec::new() };
    let mut rows: Vec<Applied> =
        history_lines(&live.fields).filter_map(|line| row(line, migrations)).collect();
    rows.extend(live.fields.get(HALF).and_then(Value::as_map).and_then(half));
    rows
}

fn row(line: &str, migrations: &Migrations) -> Option<Applied> {
    let mut words = line.split(' ');
    let (name, checksum) = (words.next()?, words.next()?);
    let version = name.split('_').next()?.to_owned();
    let file = migrations.find(name).map(|(_, migration)| migration);
    let begins = words.next().unwrap_or_default().split(',').filter(|it| !it.is_empty());
    let full = |(at, begin): (usize, &str)| {
        let hash = file.and_then(|it| it.up.statements.get(at)).map(|it| it.hash.as_str());
        hash.filter(|hash| hash.get(..DIGITS) == Some(begin)).unwrap_or(begin).to_owned()
    };
    Some(Applied {
        version,
        name: name.to_owned(),
        checksum: checksum.to_owned(),
        statements: begins.enumerate().map(full).collect(),
        finished_ms: Some(0),
        ..Applied::default()
    })
}

fn half(fields: &Fields) -> Option<Applied> {
    let text = |key: &str| fields.get(key).and_then(Value::as_text).map(str::to_owned);
    let number = |key: &str| {
        let number = fields.get(key).and_then(Value::as_int);
        number.and_then(|it| u32::try_from(it).ok()).unwrap_or_default()
    };
    let statements = fields.get("statements").and_then(Value::as_list).unwrap_or_default();
    Some(Applied {
        name: text("name")?,
        version: text("version")?,
        checksum: text("checksum")?,
        statements: statements.iter().filter_map(|it| it.as_text().map(str::to_owned)).collect(),
        applied: number("applied"),
        begun: number("begun"),
        total: number("total"),
        error: text("error"),
        ..Applied::default()
    })
}
