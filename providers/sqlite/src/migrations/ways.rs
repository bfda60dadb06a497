//! The ways back from a change of a list, each with what it loses and how long it took when it was
//! measured.

use super::compare::Compared;
use super::rehearse::Tried;
use hive_contract::{Change, Live, Rehearsal, Value, WayBack};
use hive_sql::{Down, Migration, Stage};

/// The table: the version before, down files, a backup.
pub(crate) fn ways_back(change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<WayBack> {
    let Some(Ok(compared)) = Compared::of(change) else { return Vec::new() };
    let files: Vec<&Migration> = compared.pending().collect();
    if files.is_empty() {
        return Vec::new();
    }
    let tried = rehearsal.map(Tried::read).unwrap_or_default();
    vec![previous(&files), downs(&files, &tried), restore(change, &compared)]
}

fn previous(files: &[&Migration]) -> WayBack {
    let contract = files.iter().find(|it| it.stage == Stage::Contract);
    WayBack {
        way: "previous version".to_owned(),
        not_because: contract.map(|it| {
            let why = it.stage_why.first().map(|why| format!(": {why}")).unwrap_or_default();
            format!("it does not run behind `{}`{why}", it.name)
        }),
        loses: "nothing; the schema stays as it is then".to_owned(),
        takes_ms: None,
    }
}

fn downs(files: &[&Migration], tried: &Tried) -> WayBack {
    let not = files.iter().rev().find_map(|it| match (&it.down, tried.files.get(&it.name)) {
        (Down::Irreversible(reason), _) => Some(format!("`{}` is irreversible: {reason}", it.name)),
        (Down::Script(down), Some(file)) => {
            file.unproven.as_ref().map(|why| format!("`{}` is not proven: {why}", down.file))
        }
        (Down::Script(down), None) => Some(format!("`{}` was not rehearsed", down.file)),
    });
    let contract = files.iter().find(|it| it.stage == Stage::Contract);
    let took: Option<u64> = files.iter().map(|it| tried.files.get(&it.name)?.down_ms).sum();
    WayBack {
        way: "down scripts".to_owned(),
        not_because: not,
        loses: match contract {
            None => "what was written into what the files add".to_owned(),
            Some(it) => format!(
                "what `{}` takes away, and what was written into what the files add",
                it.name
            ),
        },
        takes_ms: took,
    }
}

fn restore(change: &Change, compared: &Compared) -> WayBack {
    let Some(address) = &compared.material.backup else {
        return WayBack {
            way: "restore".to_owned(),
            not_because: Some("no backup of the database is declared".to_owned()),
            loses: "everything since".to_owned(),
            takes_ms: None,
        };
    };
    WayBack {
        way: "restore".to_owned(),
        not_because: None,
        loses: format!("what is written since the backup of {address} before it"),
        takes_ms: change.related.get(address).and_then(measured),
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
