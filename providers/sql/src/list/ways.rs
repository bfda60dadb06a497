//! The ways back from a change of a list, each with what it loses and how long it took when it was
//! measured.

use super::{Material, Tried};
use crate::{Down, Migration, Stage};
use hive_contract::{Address, Live, Value, WayBack};
use std::collections::BTreeMap;

/// The table: the version before, down files, a backup. None where no file is to be applied.
/// `related` holds what is live of the backup that the list names.
pub fn ways_back(
    material: &Material,
    files: &[&Migration],
    tried: &Tried,
    related: &BTreeMap<Address, Live>,
) -> Vec<WayBack> {
    if files.is_empty() {
        return Vec::new();
    }
    vec![previous(files), downs(files, tried), restore(material, related)]
}

fn previous(files: &[&Migration]) -> WayBack {
    let contract = files.iter().find(|it| it.stage == Stage::Contract);
    WayBack {
        way: "previous version".to_owned(),
        not_because: contract.map(|it| {
            let why = it.stage_why.first().map(|why| format!(": {why}")).unwrap_or_default();
            format!("it does not run on what `{}` leaves{why}", it.name)
        }),
        loses: "nothing".to_owned(),
        takes_ms: None,
    }
}

fn downs(files: &[&Migration], tried: &Tried) -> WayBack {
    let not = files.iter().rev().find_map(|it| match (&it.down, tried.file(&it.name)) {
        (Down::Irreversible(reason), _) => Some(format!("`{}` is irreversible: {reason}", it.name)),
        (Down::Script(down), Some(file)) => {
            file.unproven.as_ref().map(|why| format!("`{}` is not proven: {why}", down.file))
        }
        (Down::Script(down), None) => Some(format!("`{}` was not rehearsed", down.file)),
    });
    let contract = files.iter().find(|it| it.stage == Stage::Contract);
    let took: Option<u64> = files.iter().map(|it| tried.file(&it.name)?.down_ms).sum();
    WayBack {
        way: "down scripts".to_owned(),
        not_because: not,
        loses: match contract {
            None => "what was written into what the files add".to_owned(),
            Some(it) => {
                let name = &it.name;
                format!("what `{name}` takes away, and what was written into what the files add")
            }
        },
        takes_ms: took,
    }
}

fn restore(material: &Material, related: &BTreeMap<Address, Live>) -> WayBack {
    let backup = material.backup.as_ref();
    WayBack {
        way: "restore".to_owned(),
        not_because: match backup {
            Some(_) => None,
            None => Some("no backup of this database is declared".to_owned()),
        },
        loses: "what is written after the backup".to_owned(),
        takes_ms: backup.and_then(|it| related.get(it)).and_then(measured),
    }
}

/// How long the newest restore that was measured took.
fn measured(backup: &Live) -> Option<u64> {
    let backups = backup.fields.get("backups")?.as_list()?;
    let took = |key: &str| {
        backups.iter().rev().find_map(|it| it.as_map()?.get(key).and_then(Value::as_int))
    };
    took("restore_ms").or_else(|| took("verify_ms")).and_then(|ms| u64::try_from(ms).ok())
}
