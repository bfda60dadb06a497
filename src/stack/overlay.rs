//! Lays an environment's file over `stack.toml`, and resources over the defaults of their kind.

use super::language::Type;
use super::model::Span;
use super::problem::Findings;
use super::sections::{self, SECTIONS, TOP};
use super::tree::{Entry, Is, Node, Table};
use hive_contract::FieldPath;

/// Lays one file over the other: tables merge by key, everything else replaces. What the
/// environment removes is taken from `stack.toml` and from the defaults, never from its own file.
pub(crate) fn overlay(base: Table, over: Option<Table>, findings: &mut Findings) -> Table {
    let mut tree = base;
    if let Some(entry) = environment_key(&tree, "remove") {
        findings
            .at(entry.key, "`remove` stands in `stack.toml`, which is every environment's")
            .help("put it into the file of the environment that does not have these");
    }
    let over = over.unwrap_or_default();
    let mut removed = Vec::new();
    for (path, at) in removals(&over).into_iter().filter(|(path, _)| !path.keys().is_empty()) {
        match take(&mut tree, path.keys()) {
            true => removed.push(path),
            false if in_defaults(&tree, &over, &path) => removed.push(path),
            false => nothing_to_remove(&tree, &path, at, findings),
        }
    }
    merge(&mut tree, over, Some(&Type::Table(&TOP)));
    lay_over_defaults(&mut tree, &removed);
    tree
}

/// Merges `over` into `base`, as the type of the table says. Where the type of a value is no
/// table, as in `{ env = "X" }`, the whole value is replaced.
fn merge(base: &mut Table, over: Table, is: Option<&Type>) {
    for (key, entry) in over {
        let below = is.and_then(|it| it.below(&key));
        let merges = below.is_none_or(Type::merges);
        match base.get_mut(&key) {
            Some(under) if merges && under.node.table().is_some() => match entry.node.is {
                Is::Table(table) => {
                    if let Is::Table(under) = &mut under.node.is {
                        merge(under, table, below);
                    }
                }
                _ => *under = entry,
            },
            _ => {
                base.insert(key, entry);
            }
        }
    }
}

/// Puts the defaults of each kind under its resources.
fn lay_over_defaults(tree: &mut Table, removed: &[FieldPath]) {
    let Some(Entry { node: Node { is: Is::Table(defaults), .. }, .. }) = tree.get("defaults")
    else {
        return;
    };
    for (kind, under) in defaults.clone() {
        let Is::Table(under) = under.node.is else { continue };
        let Some(Is::Table(resources)) = tree.get_mut(&kind).map(|it| &mut it.node.is) else {
            continue;
        };
        let is = sections::kind(&kind).map(Type::Table);
        for (name, entry) in resources {
            let Is::Table(own) = &mut entry.node.is else { continue };
            let gone = removed.iter().filter_map(|path| match path.keys() {
                [of, resource, keys @ ..] if *of == kind && resource == name => Some(keys),
                _ => None,
            });
            let gone: Vec<&[String]> = gone.collect();
            if gone.is_empty() {
                lay_over(own, &under, is.as_ref());
            } else {
                let mut under = under.clone();
                for keys in gone {
                    take(&mut under, keys);
                }
                lay_over(own, &under, is.as_ref());
            }
        }
    }
}

/// Puts into a table what only the one under it has.
fn lay_over(own: &mut Table, under: &Table, is: Option<&Type>) {
    for (key, entry) in under {
        let below = is.and_then(|it| it.below(key));
        match own.get_mut(key).map(|it| &mut it.node.is) {
            None => {
                own.insert(key.clone(), entry.clone());
            }
            Some(Is::Table(own)) if below.is_none_or(Type::merges) => {
                if let Some(under) = entry.node.table() {
                    lay_over(own, under, below);
                }
            }
            Some(_) => {}
        }
    }
}

/// What the environment's own file removes, with where it says so. Items that are no text are
/// found when the section is checked.
fn removals(over: &Table) -> Vec<(FieldPath, Span)> {
    let Some(entry) = environment_key(over, "remove") else { return Vec::new() };
    let Is::List(items) = &entry.node.is else { return Vec::new() };
    items.iter().filter_map(|it| Some((FieldPath::parse(it.text()?), it.at))).collect()
}

fn environment_key<'a>(tree: &'a Table, key: &str) -> Option<&'a Entry> {
    tree.get("environment")?.node.table()?.get(key)
}

/// Takes what stands at a path away; says whether anything stood there.
fn take(table: &mut Table, keys: &[String]) -> bool {
    match keys {
        [] => false,
        [last] => table.remove(last).is_some(),
        [first, rest @ ..] => match table.get_mut(first).map(|it| &mut it.node.is) {
            Some(Is::Table(inner)) => take(inner, rest),
            _ => false,
        },
    }
}

fn has(table: &Table, keys: &[String]) -> bool {
    match keys {
        [] => true,
        [first, rest @ ..] => table.get(first).is_some_and(|entry| {
            rest.is_empty() || entry.node.table().is_some_and(|inner| has(inner, rest))
        }),
    }
}

/// Whether a key of a resource comes from the defaults of its kind.
fn in_defaults(tree: &Table, over: &Table, path: &FieldPath) -> bool {
    let [kind, name, keys @ ..] = path.keys() else { return false };
    let declared = [kind.clone(), name.clone()];
    let default: Vec<String> =
        ["defaults", kind.as_str()].into_iter().map(str::to_owned).chain(keys.to_vec()).collect();
    !keys.is_empty()
        && (has(tree, &declared) || has(over, &declared))
        && (has(tree, &default) || has(over, &default))
}

fn nothing_to_remove(tree: &Table, path: &FieldPath, at: Span, findings: &mut Findings) {
    let near = match path.keys() {
        [kind, _] if !SECTIONS.contains(&kind.as_str()) => {
            findings.nearest(&path.to_string(), addresses(tree))
        }
        keys => nearest_key(tree, keys, findings),
    };
    findings
        .at(at, format!("there is no `{path}` to remove"))
        .help("name what `stack.toml` has, as in `alert.debug` or `service.api.environment.TRACE`")
        .maybe_help(near);
}

/// The key that may be meant by the first of these that does not exist.
fn nearest_key(tree: &Table, keys: &[String], findings: &mut Findings) -> Option<String> {
    let mut table = tree;
    for key in keys {
        match table.get(key).and_then(|entry| entry.node.table()) {
            Some(inner) => table = inner,
            None => return findings.nearest(key, table.keys()),
        }
    }
    None
}

fn addresses(tree: &Table) -> impl Iterator<Item = String> {
    tree.iter()
        .filter(|(kind, _)| !SECTIONS.contains(&kind.as_str()))
        .filter_map(|(kind, entry)| Some((kind, entry.node.table()?)))
        .flat_map(|(kind, table)| table.keys().map(move |name| format!("{kind}.{name}")))
}
