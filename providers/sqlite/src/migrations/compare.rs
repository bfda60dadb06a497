//! The files of a list against what its live object says is applied.

use super::look::{DIGITS, HALF, HISTORY};
use super::material::Material;
use hive_contract::{Change, Fields, Live, Value};
use hive_sql::history::{Applied, Mismatch, Pending, compare};
use hive_sql::{Migration, Migrations};

/// What a change is about.
pub(crate) struct Compared {
    /// The declared list.
    pub(crate) material: Material,
    /// What is applied.
    pub(crate) rows: Vec<Applied>,
    /// What is left to do.
    pub(crate) pending: Pending,
    /// Applied files that say the same in other words: they are accepted as they are.
    pub(crate) reworded: Vec<usize>,
}

impl Compared {
    /// Compares; none where nothing is desired.
    ///
    /// # Errors
    /// Everything that does not go together.
    pub(crate) fn of(change: &Change) -> Option<Result<Self, Vec<Mismatch>>> {
        let material = Material::of(change.desired.as_ref()?)?;
        let rows = rows(change.observed.as_ref(), &material.migrations);
        Some(Self::new(material, rows))
    }

    fn new(material: Material, rows: Vec<Applied>) -> Result<Self, Vec<Mismatch>> {
        let first = compare(&material.migrations, &rows, material.order);
        let reworded = match &first {
            Ok(_) => Vec::new(),
            Err(wrong) => wrong.iter().filter_map(|it| same(it, &material.migrations)).collect(),
        };
        if reworded.is_empty() {
            return Ok(Self { pending: first?, material, rows, reworded });
        }
        let mut accepted = rows.clone();
        for at in &reworded {
            let migration = &material.migrations.list()[*at];
            let row = accepted.iter_mut().find(|row| row.number() == migration.number);
            if let Some(row) = row {
                row.checksum.clone_from(&migration.up.checksum);
            }
        }
        let pending = compare(&material.migrations, &accepted, material.order)?;
        Ok(Self { material, rows, pending, reworded })
    }

    /// The files to apply, in order.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &Migration> {
        self.pending.files.iter().filter_map(|at| self.material.migrations.list().get(*at))
    }
}

fn same(mismatch: &Mismatch, migrations: &Migrations) -> Option<usize> {
    match mismatch {
        Mismatch::Edited { name, same: true, .. } => migrations.find(name).map(|(at, _)| at),
        _ => None,
    }
}

/// What a live list says is applied. Of a statement's hash only the beginning is known; where the
/// file's begins the same way, it is the same.
pub(crate) fn rows(live: Option<&Live>, migrations: &Migrations) -> Vec<Applied> {
    let Some(live) = live else { return Vec::new() };
    let lines = live.fields.get(HISTORY).and_then(Value::as_list).unwrap_or_default();
    let mut rows: Vec<Applied> =
        lines.iter().filter_map(|line| row(line.as_text()?, migrations)).collect();
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
