//! What resources that hold data say of each other: a database's fields stand in its migrations and
//! backups, a backup in front of the migrations of its database, migrations in front of who uses it.

use super::check::Checker;
use super::cycle::visit;
use super::tree::{Is, Table};
use hive_contract::{Address, Declared, Fields, Value};
use hive_sql::restoring::place_of;
use std::collections::{BTreeMap, BTreeSet};

type Resources = BTreeMap<Address, Declared>;

/// How far the ways back of an environment go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undo {
    /// Expand migrations stay.
    Stay,
    /// They are taken back by their down scripts.
    Down,
}

impl Undo {
    /// What `[environment] rollback` says.
    pub(crate) fn of(rollback: Option<&str>) -> Self {
        if rollback == Some("all") { Self::Down } else { Self::Stay }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Stay => "stay",
            Self::Down => "down",
        }
    }
}

/// Puts into the resources what they need of each other.
pub(crate) fn inject(resources: &mut Resources, undo: Undo, checker: &mut Checker<'_>) {
    let databases: BTreeMap<Address, Fields> = resources
        .iter()
        .filter(|(address, _)| address.kind() == "database")
        .map(|(address, declared)| (address.clone(), declared.fields.clone()))
        .collect();
    for declared in resources.values_mut() {
        match declared.address.kind() {
            "migrations" => {
                of_database(declared, &databases, checker);
                declared.fields.insert("undo".to_owned(), Value::text(undo.word()));
            }
            "backup" => {
                of_database(declared, &databases, checker);
                of_files(declared, checker);
            }
            _ => {}
        }
    }
    let migrations = migrations_of(resources, checker);
    backups_before(resources, checker);
    migrations_before(resources, &migrations, checker);
}

/// `database = "main"` → its address, its fields in `of`, and the edge to it.
fn of_database(
    declared: &mut Declared,
    databases: &BTreeMap<Address, Fields>,
    checker: &mut Checker<'_>,
) {
    let name = declared.fields.get("database").and_then(Value::as_text);
    let Some(database) = name.and_then(|name| Address::new("database", name).ok()) else { return };
    let at = checker.place(&declared.address, &["database"]);
    if let Some(at) = at
        && !checker.declared(&database, at)
    {
        return;
    }
    declared.fields.insert("database".to_owned(), Value::text(database.to_string()));
    if let Some(fields) = databases.get(&database) {
        declared.fields.insert("of".to_owned(), Value::Map(fields.clone()));
    }
    if let Some(at) = at {
        checker.also_stands(&declared.address, "of", at);
    }
    edge(declared, &database, &["database"], checker);
}

/// `folder` or `repository` → what is backed up, in `of`.
fn of_files(declared: &mut Declared, checker: &mut Checker<'_>) {
    for engine in ["folder", "repository"] {
        let Some(path) = declared.fields.remove(engine) else { continue };
        let of = [("engine", Value::text(engine)), ("path", path)];
        let of = of.map(|(key, value)| (key.to_owned(), value));
        declared.fields.insert("of".to_owned(), Value::Map(Fields::from(of)));
        if let Some(at) = checker.place(&declared.address, &[engine]) {
            checker.also_stands(&declared.address, "of", at);
        }
    }
}

/// A resource needs another because of what stands at a field.
fn edge(declared: &mut Declared, other: &Address, field: &[&str], checker: &mut Checker<'_>) {
    let own = declared.address.clone();
    if declared.uses.insert(other.clone())
        && let Some(at) = checker.place(&own, field)
    {
        checker.uses.insert((own, other.clone()), at);
    }
}

fn database_of(declared: &Declared) -> Option<Address> {
    declared.fields.get("database")?.as_text()?.parse().ok()
}

fn of_kind<'a>(resources: &'a Resources, kind: &'a str) -> impl Iterator<Item = &'a Declared> {
    resources.values().filter(move |it| it.address.kind() == kind)
}

/// The migrations of each database: one list at most.
fn migrations_of(resources: &Resources, checker: &mut Checker<'_>) -> BTreeMap<Address, Address> {
    let mut lists: BTreeMap<Address, Address> = BTreeMap::new();
    for declared in of_kind(resources, "migrations") {
        let Some(database) = database_of(declared) else { continue };
        let own = &declared.address;
        let Some(first) = lists.get(&database) else {
            lists.insert(database, own.clone());
            continue;
        };
        let there = checker.place(first, &["database"]);
        let at = checker.place(own, &["database"]);
        let message = format!("`{first}` and `{own}` are both migrations of `{database}`");
        let finding = checker.findings.add(at, message);
        finding.help("one database has one ordered list: put the files into one folder");
        if let Some(there) = there {
            finding.related(format!("`{first}` says so here"), there);
        }
    }
    lists
}

/// A backup is made before its database is migrated: of several the first by name. Where its place
/// is goes along, as a rehearsal may restore what lies there.
fn backups_before(resources: &mut Resources, checker: &mut Checker<'_>) {
    let mut backups: BTreeMap<Address, (Address, Fields)> = BTreeMap::new();
    for declared in of_kind(resources, "backup") {
        if let Some(database) = database_of(declared) {
            let own = || (declared.address.clone(), place_of(&declared.fields));
            backups.entry(database).or_insert_with(own);
        }
    }
    for declared in resources.values_mut().filter(|it| it.address.kind() == "migrations") {
        let backup = database_of(declared).and_then(|it| backups.get(&it));
        let Some((backup, place)) = backup else { continue };
        declared.fields.insert("backup".to_owned(), Value::text(backup.to_string()));
        declared.fields.insert("place".to_owned(), Value::Map(place.clone()));
        edge(declared, backup, &["database"], checker);
    }
}

/// A service comes after the migrations of every database that it refers to, itself or in a config
/// that it reads.
fn migrations_before(
    resources: &mut Resources,
    migrations: &BTreeMap<Address, Address>,
    checker: &mut Checker<'_>,
) {
    let named: BTreeMap<Address, BTreeMap<Address, Vec<String>>> = resources
        .iter()
        .filter(|(address, _)| ["service", "config"].contains(&address.kind()))
        .map(|(address, declared)| (address.clone(), names(declared)))
        .collect();
    for declared in resources.values_mut().filter(|it| it.address.kind() == "service") {
        for (database, field) in databases_of(&declared.address, &named) {
            if let Some(list) = migrations.get(&database) {
                let field: Vec<&str> = field.iter().map(String::as_str).collect();
                edge(declared, list, &field, checker);
            }
        }
    }
}

/// What a resource names, and in which field.
fn names(declared: &Declared) -> BTreeMap<Address, Vec<String>> {
    let mut named: BTreeMap<Address, Vec<String>> =
        declared.uses.iter().map(|it| (it.clone(), vec!["uses".to_owned()])).collect();
    visit(&declared.fields, &mut |path, value| {
        if let Value::Output(output) = value {
            named.entry(output.address.clone()).or_insert_with(|| path.to_vec());
        }
    });
    named
}

/// The databases that a service names, with its own field that leads to each.
fn databases_of(
    service: &Address,
    named: &BTreeMap<Address, BTreeMap<Address, Vec<String>>>,
) -> BTreeMap<Address, Vec<String>> {
    let mut databases = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (own, field) in named.get(service).into_iter().flatten() {
        let mut open = vec![own];
        while let Some(address) = open.pop() {
            match address.kind() {
                "database" => {
                    databases.entry(address.clone()).or_insert_with(|| field.clone());
                }
                "config" if seen.insert(address) => {
                    open.extend(named.get(address).into_iter().flat_map(BTreeMap::keys));
                }
                _ => {}
            }
        }
    }
    databases
}

/// Gives an instance its own databases and backups: the files and places of its environment carry
/// its name. A PostgreSQL database is what its url says, so that must not be the same for all.
pub(crate) fn instance(
    resources: &mut Resources,
    name: &str,
    tree: &Table,
    checker: &mut Checker<'_>,
) {
    for declared in resources.values_mut() {
        let key = match declared.address.kind() {
            "database" => "path",
            "backup" => "destination",
            _ => continue,
        };
        if let Some(Value::Text(path)) = declared.fields.get_mut(key) {
            *path = with_instance(path, name);
        }
        let address = &declared.address;
        if address.kind() == "database" && is_written(tree, address, "url") {
            let at = checker.place(address, &["url"]);
            checker
                .findings
                .add(at, format!("the instance `{name}` would share `{address}`: its url is fixed"))
                .help("take the url from a secret or a variable, and give each instance its own");
        }
    }
}

/// Whether a key of a resource holds plain text, and nothing that varies from outside.
fn is_written(tree: &Table, address: &Address, key: &str) -> bool {
    let kind = tree.get(address.kind()).and_then(|it| it.node.table());
    let resource = kind.and_then(|it| it.get(address.name())?.node.table());
    let key = resource.and_then(|it| it.get(key));
    key.is_some_and(|it| matches!(it.node.is, Is::Text(_)))
}

/// `data/shop.db` → `data/shop+NAME.db`, `backups/main` → `backups/main+NAME`.
fn with_instance(path: &str, name: &str) -> String {
    let path = path.trim_end_matches('/');
    if path.strip_prefix("s3://").is_some_and(|bucket| !bucket.contains('/')) {
        return format!("{path}/+{name}");
    }
    let last = path.rfind('/').map_or(0, |at| at + 1);
    match path[last..].rfind('.').filter(|at| *at > 0 && !path.starts_with("s3://")) {
        Some(dot) => format!("{}+{name}{}", &path[..last + dot], &path[last + dot..]),
        None => format!("{path}+{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_stands_in_front_of_the_ending() {
        for (path, expected) in [
            ("data/shop.db", "data/shop+x.db"),
            ("shop", "shop+x"),
            ("backups/main/", "backups/main+x"),
            ("a.b/c", "a.b/c+x"),
            ("../.hidden", "../.hidden+x"),
            ("s3://bucket/a.b", "s3://bucket/a.b+x"),
            ("s3://bucket/", "s3://bucket/+x"),
        ] {
            assert_eq!(with_instance(path, "x"), expected);
        }
    }
}
