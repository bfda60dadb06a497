//! What contract migrations took away since a snapshot: its services would not run on what is there.

use super::error::FlowError;
use hive_contract::{Address, Declared, Fields, Value};
use hive_sql::{Dialect, FileText, Migration, Migrations, Stage};
use hive_state::Snapshot;
use std::collections::{BTreeMap, BTreeSet};

/// A migration that took something away, and why it is called that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TakenAway {
    /// Whose list it is of.
    pub(super) list: Address,
    /// Such as `0008_drop_old_status`.
    pub(super) name: String,
    /// Why, in the words of whoever read the SQL.
    pub(super) why: Vec<String>,
    /// Whether there is a script that takes it back.
    pub(super) has_down: bool,
    /// The services of the snapshot that use the database.
    pub(super) users: BTreeSet<Address>,
}

/// The contract migrations that are recorded and that what is wanted does not have, where it has
/// services that use their database.
pub(super) fn taken_away(
    wanted: &BTreeMap<Address, Declared>,
    recorded: Option<&Snapshot>,
) -> Vec<TakenAway> {
    let Some(recorded) = recorded else { return Vec::new() };
    let lists = recorded.resources.iter().filter(|(address, _)| address.kind() == "migrations");
    let mut all = Vec::new();
    for (address, held) in lists {
        let Some(newer) = migrations(&held.declared.fields) else { continue };
        let older = wanted.get(address);
        let older = older.and_then(|it| migrations(&it.fields));
        let known: BTreeSet<&str> =
            older.iter().flat_map(|it| it.list()).map(|it| it.name.as_str()).collect();
        let users = users(wanted, address, &held.declared.fields);
        let undone = wanted.get(address).and_then(|it| it.fields.get("undo")?.as_text());
        let stays = |it: &&Migration| {
            let comes_back = undone == Some("down") && it.down.script().is_some();
            it.stage == Stage::Contract && !known.contains(it.name.as_str()) && !comes_back
        };
        let staying = newer.list().iter().filter(stays).filter(|_| !users.is_empty());
        all.extend(staying.map(|it| TakenAway {
            list: address.clone(),
            name: it.name.clone(),
            why: it.stage_why.clone(),
            has_down: it.down.script().is_some(),
            users: users.clone(),
        }));
    }
    all
}

/// Why services alone are not brought back, and what to do.
pub(super) fn refused(number: u64, gone: Vec<TakenAway>) -> FlowError {
    let downs = gone.iter().all(|it| it.has_down);
    let facts = gone.iter().map(|it| {
        let users: Vec<String> = it.users.iter().map(|it| format!("`{it}`")).collect();
        let why = it.why.first().map_or(String::new(), |it| format!(": {it}"));
        format!(
            "`{}` of `{}` took away what {} of snapshot {number} may need{why}",
            it.name,
            it.list,
            users.join(", ")
        )
    });
    let mut hints = vec![format!(
        "`hive restore {number} --with-data` brings back schema and data from a backup, and loses \
         what was written since"
    )];
    if downs {
        hints.push(format!(
            "`hive restore {number} --down` takes the migrations back by their scripts: the columns \
             come back, what was in them does not"
        ));
    }
    hints.push(format!(
        "`hive restore {number} --services-only`, where its services do not need it after all"
    ));
    FlowError::NoWayBack {
        message: format!("the services of snapshot {number} would not run on the schema of today"),
        facts: facts.collect(),
        hints,
    }
}

/// The services that are wanted and use these migrations or their database.
fn users(
    wanted: &BTreeMap<Address, Declared>,
    list: &Address,
    fields: &Fields,
) -> BTreeSet<Address> {
    let database: Option<Address> =
        fields.get("database").and_then(Value::as_text).and_then(|it| it.parse().ok());
    let mine = |it: &Address| it == list || Some(it) == database.as_ref();
    let uses = |it: &Declared| {
        let named = hive_contract::value::outputs_in(&it.fields);
        it.uses.iter().any(mine) || named.iter().any(|it| mine(&it.address))
    };
    let services = wanted.values().filter(|it| it.address.kind() == "service" && uses(it));
    services.map(|it| it.address.clone()).collect()
}

/// The migrations of a declared list; none where they cannot be read, which a plan of them says.
pub(super) fn migrations(fields: &Fields) -> Option<Migrations> {
    let engine = fields.get("of")?.as_map()?.get("engine")?.as_text()?;
    Migrations::read(Dialect::parse(engine)?, &files(fields)).ok()
}

/// The files of a declared list as they are.
pub(super) fn files(fields: &Fields) -> Vec<FileText> {
    FileText::list(fields.get("files"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(json: &str) -> Declared {
        serde_json::from_str(json).expect("declared")
    }

    fn list(files: &[(&str, &str)]) -> Declared {
        let files: Vec<String> = files
            .iter()
            .map(|(name, text)| format!(r#"{{"name":"{name}","text":"{text}"}}"#))
            .collect();
        declared(&format!(
            r#"{{"address":"migrations.main","fields":{{"database":"database.main",
                "of":{{"engine":"sqlite"}},"files":[{}]}}}}"#,
            files.join(",")
        ))
    }

    fn head(list: Declared) -> Snapshot {
        let declared = serde_json::to_string(&list).expect("writes");
        let text = format!(
            r#"{{"number":1,"parent":null,"stack":"s","environment":"dev","whole":true,"apply":"a",
                "at_ms":0,"guards":{{}},"variables":{{}},"places":{{}},
                "resources":{{"migrations.main":{{"declared":{declared}}}}}}}"#
        );
        serde_json::from_str(&text).expect("a snapshot")
    }

    const ONE: [(&str, &str); 2] = [
        ("0001_a.up.sql", "CREATE TABLE a (x INTEGER, y INTEGER);"),
        ("0001_a.down.sql", "DROP TABLE a;"),
    ];
    const TWO: [(&str, &str); 2] = [
        ("0002_b.up.sql", "ALTER TABLE a DROP COLUMN y;"),
        ("0002_b.down.sql", "ALTER TABLE a ADD COLUMN y INTEGER;"),
    ];

    #[test]
    fn what_a_contract_took_away_since_is_named_where_a_service_uses_the_database() {
        let head = head(list(&[ONE, TWO].concat()));
        let service = declared(
            r#"{"address":"service.api","fields":{},"uses":["database.main","migrations.main"]}"#,
        );
        let of = |all: &[&Declared]| -> BTreeMap<Address, Declared> {
            all.iter().map(|it| (it.address.clone(), (*it).clone())).collect()
        };
        let older = list(&ONE);
        let gone = taken_away(&of(&[&older, &service]), Some(&head));
        assert_eq!(gone.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["0002_b"]);
        assert!(gone[0].has_down);
        let FlowError::NoWayBack { facts, hints, .. } = refused(3, gone) else {
            panic!("another error");
        };
        assert!(facts[0].contains("`service.api`"), "{facts:?}");
        assert_eq!(hints.len(), 3);
        assert!(taken_away(&of(&[&older]), Some(&head)).is_empty(), "nobody uses it");
        let same = list(&[ONE, TWO].concat());
        assert!(taken_away(&of(&[&same, &service]), Some(&head)).is_empty());
    }
}
