//! One declared list in canonical fields.

use crate::database::OF;
use crate::database::lower::{access, identity};
use hive_contract::{Declared, FieldPath, Fields, Invalid, LowerScope, Lowered, Output, Value};
use hive_sql::Dialect;
use hive_sql::facts::drift_text;
use hive_sql::list::Material;
use std::collections::BTreeMap;
use std::path::Path;

const KEYS: [&str; 12] = [
    "database",
    "of",
    "files",
    "during",
    "order",
    "lock_timeout",
    "retries",
    "undo",
    "baseline",
    "backup",
    "place",
    "path",
];

pub(crate) fn lower(
    folder: &Path,
    declared: &Declared,
    scope: &LowerScope,
) -> Result<Lowered, Vec<Invalid>> {
    let mut wrong = Vec::new();
    let of = match declared.fields.get(OF).and_then(Value::as_map) {
        Some(of) => access(folder, of, "of.", &mut wrong),
        None => {
            wrong.push(Invalid::at("database", "the database that it belongs to is not known"));
            None
        }
    };
    for key in declared.fields.keys().filter(|key| !KEYS.contains(&key.as_str())) {
        wrong.push(Invalid::at(key, format!("migrations of SQLite have no `{key}`")));
    }
    let mut material = declared.fields.clone();
    material.remove(OF);
    let read = match Material::read(Dialect::Sqlite, &material) {
        Ok(read) => Some(read),
        Err(faults) => {
            wrong.extend(faults);
            None
        }
    };
    let (Some((_, of)), Some(read), true) = (of, read, wrong.is_empty()) else { return Err(wrong) };
    let mut access = Fields::from([(OF.to_owned(), Value::Map(of))]);
    // A look has to know whether another tool's history says something.
    access.extend(material.get("baseline").map(|it| ("baseline".to_owned(), it.clone())));
    let list = &read.migrations;
    let made_of = |field: &str| vec![FieldPath::new([field])];
    let head = Some(Value::text(list.head()));
    Ok(Lowered {
        identity: identity(declared, scope),
        fields: fields(list.head(), list.list().len(), list.chain(), Fields::new()),
        outputs: BTreeMap::from([
            ("version".to_owned(), Output { made_of: made_of("head"), value: head }),
            ("schema".to_owned(), Output { made_of: made_of("chain"), value: None }),
        ]),
        access,
        was_there: read.baseline.is_some(),
        looks_at: read.backup.into_iter().collect(),
        material,
        ..Lowered::default()
    })
}

/// The managed fields: of the same size however long the list is.
pub(crate) fn fields(head: &str, count: usize, chain: String, drift: Fields) -> Fields {
    let words = drift.iter().map(|(object, it)| (&**object, it.as_text().unwrap_or_default()));
    let objects = drift_text(words);
    Fields::from([
        ("head".to_owned(), Value::text(head)),
        ("count".to_owned(), Value::Int(i64::try_from(count).unwrap_or(i64::MAX))),
        ("chain".to_owned(), Value::Text(chain)),
        ("drift".to_owned(), Value::Map(drift)),
        // An empty table says nothing of what is in the live one: a text does.
        ("objects".to_owned(), Value::Text(objects)),
    ])
}
