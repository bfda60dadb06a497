//! Cycles: resources that wait for each other, with the lines that make them wait.

use super::check::Checker;
use super::model::Span;
use super::resource::verifying;
use hive_contract::{Address, Declared, FieldPath, Fields, Value};
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// One resource waits for another because of what stands at a place.
struct Wait {
    why: String,
    at: Option<Span>,
}

type Graph<'a> = DiGraph<&'a Address, Wait>;

/// Says of each group of resources that wait for each other how the shortest circle in it goes.
pub(crate) fn cycles(declared: &BTreeMap<Address, Declared>, checker: &mut Checker<'_>) {
    let graph = waits(declared, checker);
    for group in kosaraju_scc(&graph) {
        let group: BTreeSet<NodeIndex> = group.into_iter().collect();
        if let Some(circle) = shortest(&graph, &group) {
            tell(&graph, &circle, checker);
        }
    }
}

/// Who waits for whom: uses, references, and the users of a verified service for its checks.
fn waits<'a>(declared: &'a BTreeMap<Address, Declared>, checker: &Checker<'_>) -> Graph<'a> {
    let mut graph = Graph::new();
    let nodes: BTreeMap<&Address, NodeIndex> =
        declared.keys().map(|address| (address, graph.add_node(address))).collect();
    let mut users: BTreeMap<&Address, Vec<(&Address, Option<Span>)>> = BTreeMap::new();
    for (address, resource) in declared {
        for (needed, at) in needs(resource, checker) {
            let Some((needed, node)) = nodes.get_key_value(&needed) else { continue };
            let why = format!("`{address}` needs `{needed}`");
            graph.add_edge(nodes[address], *node, Wait { why, at });
            users.entry(needed).or_default().push((address, at));
        }
    }
    for (address, resource) in declared {
        let checks = verifying(resource);
        for (number, check) in checks.iter().enumerate() {
            let Some(check_node) = nodes.get(check) else { continue };
            let at = checker.place(address, &["rollout", "verify", &number.to_string()]);
            let why = format!("`{check}` verifies `{address}`");
            graph.add_edge(*check_node, nodes[address], Wait { why, at });
            // The other checks of the same rollout are no users: they run beside this one.
            let others = users.get(address).into_iter().flatten();
            for (user, at) in others.filter(|(user, _)| !checks.contains(user)) {
                let why = format!("`{user}` needs `{address}`, which is verified by `{check}`");
                graph.add_edge(nodes[user], *check_node, Wait { why, at: *at });
            }
        }
    }
    graph
}

/// What a resource needs, and where it says so.
fn needs(declared: &Declared, checker: &Checker<'_>) -> Vec<(Address, Option<Span>)> {
    let mut needs = Vec::new();
    for used in &declared.uses {
        needs.push((used.clone(), checker.place_of_use(&declared.address, used)));
    }
    outputs(&declared.fields, &mut |path, address| {
        let field: Vec<&str> = path.iter().map(String::as_str).collect();
        needs.push((address.clone(), checker.place(&declared.address, &field)));
    });
    needs
}

/// Calls `see` for each output that fields refer to, with the keys down to it.
fn outputs(fields: &Fields, see: &mut impl FnMut(&[String], &Address)) {
    visit(fields, &mut |path, value| {
        if let Value::Output(reference) = value {
            see(path, &reference.address);
        }
    });
}

/// Calls `see` for each value of a table that holds no others, with the keys down to it.
pub(crate) fn visit(fields: &Fields, see: &mut impl FnMut(&[String], &Value)) {
    fn walk(value: &Value, path: &mut Vec<String>, see: &mut impl FnMut(&[String], &Value)) {
        let inner: Vec<(String, &Value)> = match value {
            Value::Map(fields) => fields.iter().map(|(k, v)| (k.clone(), v)).collect(),
            Value::List(items) => {
                items.iter().enumerate().map(|(at, v)| (at.to_string(), v)).collect()
            }
            Value::Format(format) => format.values.iter().map(|(k, v)| (k.clone(), v)).collect(),
            leaf => return see(path, leaf),
        };
        for (key, value) in inner {
            path.push(key);
            walk(value, path, see);
            path.pop();
        }
    }
    for (key, value) in fields {
        walk(value, &mut vec![key.clone()], see);
    }
}

/// The shortest circle through the first resource of a group; none where the group is one resource
/// that does not wait for itself.
fn shortest(graph: &Graph<'_>, group: &BTreeSet<NodeIndex>) -> Option<Vec<NodeIndex>> {
    let start = *group.iter().min_by_key(|node| graph[**node])?;
    let mut from: BTreeMap<NodeIndex, NodeIndex> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        let mut next: Vec<NodeIndex> = graph.neighbors(node).collect();
        next.sort_by_key(|node| graph[*node]);
        for next in next.into_iter().filter(|it| group.contains(it)) {
            if next == start {
                let mut circle = vec![node];
                let mut at = node;
                while at != start {
                    at = from[&at];
                    circle.push(at);
                }
                circle.reverse();
                return Some(circle);
            }
            if let Entry::Vacant(unseen) = from.entry(next) {
                unseen.insert(node);
                queue.push_back(next);
            }
        }
    }
    None
}

fn tell(graph: &Graph<'_>, circle: &[NodeIndex], checker: &mut Checker<'_>) {
    let ends = circle.iter().skip(1).chain(circle.first());
    let waits: Vec<&Wait> = circle
        .iter()
        .zip(ends)
        .filter_map(|(one, other)| graph.edges_connecting(*one, *other).last())
        .map(|edge| edge.weight())
        .collect();
    let names = circle.iter().chain(circle.first()).map(|node| format!("`{}`", graph[*node]));
    let path = names.collect::<Vec<_>>().join(" → ");
    let message = match circle {
        [one] => format!("`{}` needs itself", graph[*one]),
        _ => format!("these wait for each other: {path}"),
    };
    let (first, others) = match waits.split_first() {
        Some((first, others)) => (first.at, others),
        None => (None, &[][..]),
    };
    let finding = checker.findings.add(first, message);
    finding.help("take one of these away: what is needed first cannot need what comes after it");
    for wait in others {
        if let Some(at) = wait.at {
            finding.related(wait.why.clone(), at);
        }
    }
}

impl Checker<'_> {
    /// Where a field of a resource stands, else the nearest table around it.
    pub(crate) fn place(&self, address: &Address, field: &[&str]) -> Option<Span> {
        (0..=field.len()).rev().find_map(|count| {
            let around = FieldPath::new(field[..count].iter().copied());
            self.places.get(&(address.clone(), around)).copied()
        })
    }

    /// Where a resource says that it uses another.
    fn place_of_use(&self, address: &Address, used: &Address) -> Option<Span> {
        self.uses.get(&(address.clone(), used.clone())).copied()
    }
}
