//! Declared → this provider's terms. All validation is here.

use crate::{DATABASE, ENGINE, MIGRATIONS, foreign};
use hive_contract::{
    Declared, FieldPath, Fields, Invalid, LowerScope, Lowered, Output, OutputRef, Value,
};
use hive_sql::Dialect;
use hive_sql::facts::AS_MIGRATED;
use hive_sql::list::Material;
use std::collections::{BTreeMap, BTreeSet};

/// What of a database's fields says how it is reached.
const REACHED_BY: [&str; 4] = ["engine", "url", "direct_url", "create"];

/// A database.
pub(crate) fn database(declared: &Declared, scope: &LowerScope) -> Result<Lowered, Vec<Invalid>> {
    let mut wrong = Vec::new();
    let access = access(&declared.fields, "", &mut wrong);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let made_of = |field: &str| vec![FieldPath::new([field])];
    let mut outputs = BTreeMap::new();
    let url = access.get("url").cloned();
    outputs.insert("url".to_owned(), Output { made_of: made_of("engine"), value: url });
    let name = access.get("url").and_then(name_of).map(Value::Text);
    outputs.insert("name".to_owned(), Output { made_of: made_of("engine"), value: name });
    Ok(Lowered {
        identity: identity(declared, scope),
        fields: Fields::from([("engine".to_owned(), Value::text(ENGINE))]),
        outputs,
        access,
        holds_data: true,
        ..Lowered::default()
    })
}

/// Migrations.
pub(crate) fn migrations(declared: &Declared, scope: &LowerScope) -> Result<Lowered, Vec<Invalid>> {
    let mut wrong = Vec::new();
    let of = declared.fields.get("of").and_then(Value::as_map);
    let mut access = match of {
        Some(of) => access(of, "of.", &mut wrong),
        None => {
            wrong.push(Invalid::at("database", "the database that it belongs to is not known"));
            Fields::new()
        }
    };
    let mut material = declared.fields.clone();
    material.remove("of");
    // A look has to know whether another tool's history says something.
    let baseline = material.get(foreign::BASELINE);
    access.extend(baseline.map(|it| (foreign::BASELINE.to_owned(), it.clone())));
    let read = Material::read(Dialect::Postgres, &material);
    let read = match read {
        Ok(read) => Some(read),
        Err(faults) => {
            wrong.extend(faults);
            None
        }
    };
    let (Some(read), true) = (read, wrong.is_empty()) else { return Err(wrong) };
    let list = &read.migrations;
    let count = i64::try_from(list.list().len()).unwrap_or(i64::MAX);
    let fields = Fields::from([
        ("head".to_owned(), Value::text(list.head())),
        ("count".to_owned(), Value::Int(count)),
        ("chain".to_owned(), Value::text(list.chain())),
        ("drift".to_owned(), Value::Map(Fields::new())),
        // An empty table says nothing of what is in the live one: a text does.
        ("objects".to_owned(), Value::text(AS_MIGRATED)),
    ]);
    let made_of = |field: &str| vec![FieldPath::new([field])];
    let head = Some(Value::text(list.head()));
    let outputs = BTreeMap::from([
        ("version".to_owned(), Output { made_of: made_of("head"), value: head }),
        ("schema".to_owned(), Output { made_of: made_of("chain"), value: None }),
    ]);
    Ok(Lowered {
        identity: identity(declared, scope),
        fields,
        outputs,
        access,
        was_there: read.baseline.is_some(),
        looks_at: read.backup.into_iter().collect::<BTreeSet<_>>(),
        material,
        ..Lowered::default()
    })
}

/// What a mark is found by: `production/database.main`.
pub(crate) fn identity(declared: &Declared, scope: &LowerScope) -> String {
    format!("{}/{}", scope.owner.environment, declared.address)
}

/// The kind of an identity.
pub(crate) fn kind_of(identity: &str) -> &'static str {
    let address = identity.rsplit_once('/').map_or(identity, |(_, address)| address);
    match address.split('.').next() {
        Some("migrations") => MIGRATIONS,
        Some("backup") => crate::BACKUP,
        _ => DATABASE,
    }
}

/// How a database is reached, checked as far as that goes without its secrets.
pub(crate) fn access(of: &Fields, prefix: &str, wrong: &mut Vec<Invalid>) -> Fields {
    let at = |field: &str| format!("{prefix}{field}");
    let engine = of.get("engine").and_then(Value::as_text);
    if engine != Some(ENGINE) {
        let said = engine.unwrap_or("nothing");
        wrong.push(Invalid::at(&at("engine"), format!("the engine is `{ENGINE}`, not `{said}`")));
    }
    if of.contains_key("path") {
        let what = "a PostgreSQL database has a `url` and no `path`";
        wrong.push(Invalid::at(&at("path"), what));
    }
    match of.get("url") {
        None => wrong.push(
            Invalid::at(&at("url"), "a PostgreSQL database needs a `url`")
                .help("such as `url = { env = \"DATABASE_URL\" }`"),
        ),
        Some(url) => check_url(&at("url"), url, wrong),
    }
    if let Some(url) = of.get("direct_url") {
        check_url(&at("direct_url"), url, wrong);
    }
    if of.get("create").is_some_and(|it| it.as_bool().is_none()) {
        wrong.push(Invalid::at(&at("create"), "`create` is `true` or `false`"));
    }
    of.iter()
        .filter(|(key, _)| REACHED_BY.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn check_url(field: &str, url: &Value, wrong: &mut Vec<Invalid>) {
    match url {
        Value::Text(text) if has_password(text) => wrong.push(
            Invalid::at(
                field,
                "the url has a password in it, which a plan and a record would show",
            )
            .help("write `{ format = \"postgres://user:{pw}@host/db\", pw = { env = \"…\" } }`"),
        ),
        Value::Text(text) => {
            let read = crate::url::Url::parse(std::path::Path::new(""), text);
            if let Err(why) = read {
                wrong.push(Invalid::at(field, format!("the url {why}")));
            }
        }
        Value::Secret(_) | Value::Format(_) => {}
        Value::Output(OutputRef { address, output }) => wrong.push(Invalid::at(
            field,
            format!("the url may not come from `{address}.{output}`: hive needs it for the plan"),
        )),
        _ => wrong.push(Invalid::at(field, "the url is text, a secret or a format")),
    }
}

fn has_password(url: &str) -> bool {
    let after = url.split_once("://").map_or(url, |(_, after)| after);
    let authority = after.split(['/', '?']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    user.is_some_and(|user| user.contains(':')) || url.contains("password=")
}

/// The name of the database, where the url shows it.
fn name_of(url: &Value) -> Option<String> {
    let text = match url {
        Value::Text(text) => text.as_str(),
        Value::Format(format) => format.template.as_str(),
        _ => return None,
    };
    let (_, after) = text.split_once("://")?;
    let (_, path) = after.split_once('/')?;
    let name = path.split('?').next()?;
    let plain = !name.is_empty() && !name.contains(['{', '%', '/']);
    plain.then(|| name.to_owned())
}
