//! One declared database in canonical fields.

use crate::ENGINE;
use crate::site::Site;
use hive_contract::{Declared, FieldPath, Fields, Invalid, LowerScope, Lowered, Output, Value};
use std::collections::BTreeMap;
use std::path::Path;

pub(crate) fn lower(
    folder: &Path,
    declared: &Declared,
    scope: &LowerScope,
) -> Result<Lowered, Vec<Invalid>> {
    let mut wrong = Vec::new();
    let access = access(folder, &declared.fields, "", &mut wrong);
    for key in declared.fields.keys().filter(|key| !KEYS.contains(&key.as_str())) {
        wrong.push(Invalid::at(key, format!("a SQLite database has no `{key}`")));
    }
    let (Some((site, access)), true) = (access, wrong.is_empty()) else { return Err(wrong) };
    let made_of = vec![FieldPath::parse("engine")];
    let output = |(name, value)| (name, Output { made_of: made_of.clone(), value: Some(value) });
    Ok(Lowered {
        identity: identity(declared, scope),
        fields: Fields::from([("engine".to_owned(), Value::text(ENGINE))]),
        outputs: site.outputs().into_iter().map(output).collect::<BTreeMap<_, _>>(),
        access,
        holds_data: true,
        ..Lowered::default()
    })
}

const KEYS: [&str; 3] = ["engine", "path", "create"];

/// What hive's own rows know something by: `production/database.main`.
pub(crate) fn identity(declared: &Declared, scope: &LowerScope) -> String {
    format!("{}/{}", scope.owner.environment, declared.address)
}

/// How a database is reached: `engine`, `path` and `create` of its declared fields.
pub(crate) fn access(
    folder: &Path,
    of: &Fields,
    prefix: &str,
    wrong: &mut Vec<Invalid>,
) -> Option<(Site, Fields)> {
    let before = wrong.len();
    let at = |key: &str| format!("{prefix}{key}");
    let engine = of.get("engine").and_then(Value::as_text);
    if engine != Some(ENGINE) {
        let said = engine.unwrap_or("nothing");
        wrong.push(Invalid::at(&at("engine"), format!("the engine is `{ENGINE}`, not `{said}`")));
    }
    if of.get("create").is_some_and(|it| it.as_bool().is_none()) {
        wrong.push(Invalid::at(&at("create"), "`create` is `true` or `false`"));
    }
    let site = match Site::read(folder, of) {
        Ok(site) => site,
        Err(why) => {
            let help = "give the path of a file, relative to the stack's folder, as in \
                        `path = \"data/shop.db\"`";
            wrong.push(Invalid::at(&at("path"), why).help(help));
            return None;
        }
    };
    let kept = of.iter().filter(|(key, _)| KEYS.contains(&key.as_str()));
    let access = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
    (wrong.len() == before).then_some((site, access))
}
