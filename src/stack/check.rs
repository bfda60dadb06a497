//! Checks a tree against the language, and makes values of it.

use super::duration;
use super::language::{Key, Keys, Takes, Type, one_of};
use super::model::{ForeignRef, Span};
use super::problem::Findings;
use super::shape::Shape;
use super::tree::{self, Entry, Is, Node, Table};
use super::variables::Variables;
use hive_contract::{Address, FieldPath, Fields, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What checking one stack needs and gathers.
pub(crate) struct Checker<'a> {
    /// What is wrong.
    pub(crate) findings: &'a mut Findings,
    /// The variables that a reference may name.
    pub(crate) variables: &'a Variables,
    /// The resources that a reference may name.
    pub(crate) addresses: &'a BTreeSet<Address>,
    /// The environment that a reference to another stack means where it names none.
    pub(crate) environment: &'a str,
    /// Where each field of each resource stands.
    pub(crate) places: BTreeMap<(Address, FieldPath), Span>,
    /// Where a resource says that it uses another.
    pub(crate) uses: BTreeMap<(Address, Address), Span>,
    /// The references to other stacks, in the order of their placeholders.
    pub(crate) holes: Vec<Hole>,
    here: Option<Address>,
    path: Vec<String>,
    partial: bool,
}

/// A reference to another stack, and what may come to stand in its place.
#[derive(Clone, Debug)]
pub(crate) struct Hole {
    /// What is asked.
    pub(crate) reference: ForeignRef,
    /// Where.
    pub(crate) at: Span,
    /// Whether its value may be, or hold, a secret.
    pub(crate) takes: Takes,
}

impl<'a> Checker<'a> {
    /// A checker that has seen nothing yet.
    pub(crate) fn new(
        findings: &'a mut Findings,
        variables: &'a Variables,
        addresses: &'a BTreeSet<Address>,
        environment: &'a str,
    ) -> Self {
        Self {
            findings,
            variables,
            addresses,
            environment,
            places: BTreeMap::new(),
            uses: BTreeMap::new(),
            holes: Vec::new(),
            here: None,
            path: Vec::new(),
            partial: false,
        }
    }

    /// A section: what it says.
    pub(crate) fn section(&mut self, node: &Node, is: &Type) -> Option<Value> {
        self.here = None;
        self.partial = false;
        self.value(node, is, Takes::Known)
    }

    /// The defaults of a kind: nothing is missing in them, and nothing is filled in.
    pub(crate) fn defaults(&mut self, node: &Node, keys: &'static Keys) {
        self.here = None;
        self.partial = true;
        self.value(node, &Type::Table(keys), Takes::Known);
        self.partial = false;
    }

    /// One resource: its fields.
    pub(crate) fn resource(
        &mut self,
        address: &Address,
        node: &Node,
        keys: &'static Keys,
    ) -> Option<Fields> {
        self.here = Some(address.clone());
        let value = self.value(node, &Type::Table(keys), Takes::Known);
        self.here = None;
        match value {
            Some(Value::Map(fields)) => Some(fields),
            _ => None,
        }
    }

    fn value(&mut self, node: &Node, is: &Type, takes: Takes) -> Option<Value> {
        self.record(node.at);
        match (is, &node.is) {
            (Type::Table(keys), Is::Table(table)) => self.table(node, table, keys).map(Value::Map),
            (Type::Map(shape, of), Is::Table(table)) => self.map(table, *shape, of, takes),
            (Type::List(of, least), Is::List(items)) => self.list(node, items, of, *least, takes),
            (Type::Table(_) | Type::Map(..) | Type::List(..) | Type::Later, _) => {
                self.wrong(node, is);
                None
            }
            _ => self.scalar(node, is, takes),
        }
    }

    fn record(&mut self, at: Span) {
        if let Some(here) = &self.here {
            let field = FieldPath::new(self.path.iter().cloned());
            self.places.insert((here.clone(), field), at);
        }
    }

    fn wrong(&mut self, node: &Node, is: &Type) {
        let what = match self.path.last() {
            Some(key) if !self.in_list() => format!("`{key}`"),
            Some(_) => "this".to_owned(),
            None => self.here.as_ref().map_or("this".to_owned(), |it| format!("`{it}`")),
        };
        let message = format!("{what} must be {}, and here stands {}", is.words(), node.words());
        self.findings.at(node.at, message);
    }

    /// Whether the value at hand is an item of a list.
    fn in_list(&self) -> bool {
        self.path.last().is_some_and(|key| key.bytes().all(|b| b.is_ascii_digit()))
    }

    fn table(&mut self, node: &Node, table: &Table, keys: &'static Keys) -> Option<Fields> {
        let mut fields = Fields::new();
        let mut whole = true;
        let mut later = false;
        for (name, entry) in table {
            let Some(key) = keys.get(name) else {
                self.unknown_key(name, entry, keys);
                whole = false;
                continue;
            };
            if matches!(key.is, Type::Later) {
                self.not_yet(entry, name);
                (whole, later) = (false, true);
                continue;
            }
            self.path.push(name.clone());
            match self.value(&entry.node, &key.is, key.takes) {
                Some(value) => {
                    fields.insert(name.clone(), value);
                }
                None => whole = false,
            }
            self.path.pop();
        }
        if !self.partial {
            whole &= self.required(node, table, keys, later);
            self.fill(&mut fields, table, keys);
        }
        whole &= self.alternatives(table, keys);
        whole.then_some(fields)
    }

    /// Says that a key is known, and not built.
    pub(crate) fn not_yet(&mut self, entry: &Entry, name: &str) {
        self.findings.at(entry.key, format!("`{name}` is not in this version")).help(
            "hive knows this key and does nothing with it yet, so it refuses it: take it away",
        );
    }

    /// Says that a key is not known.
    pub(crate) fn unknown_key(&mut self, name: &str, entry: &Entry, keys: &Keys) {
        let names: Vec<&str> =
            keys.keys.iter().filter(|it| !matches!(it.is, Type::Later)).map(|it| it.name).collect();
        let near = self.findings.nearest(name, keys.keys.iter().map(|it| it.name));
        self.findings
            .at(entry.key, format!("`{name}` is not a key of {}", keys.what))
            .help(format!("its keys are {}", list(&names)))
            .maybe_help(near);
    }

    fn required(&mut self, node: &Node, table: &Table, keys: &Keys, later: bool) -> bool {
        let before = self.findings.count();
        let name = self.name_of(keys);
        for key in keys.keys.iter().filter(|key| key.required && !table.contains_key(key.name)) {
            let add = add(key);
            self.findings.at(node.at, format!("{name} has no `{}`", key.name)).help(add);
        }
        for group in keys.one_of {
            // What is known and not built might be the one: that is said already.
            if !later && !group.iter().any(|name| table.contains_key(*name)) {
                self.findings.at(node.at, format!("{name} needs one of {}", one_of(group)));
            }
        }
        self.findings.count() == before
    }

    /// How a message calls the table at hand: a resource by its address.
    fn name_of(&self, keys: &Keys) -> String {
        match &self.here {
            Some(address) if self.path.is_empty() => format!("`{address}`"),
            _ => keys.what.to_owned(),
        }
    }

    fn alternatives(&mut self, table: &Table, keys: &Keys) -> bool {
        let before = self.findings.count();
        for group in keys.one_of {
            let there: Vec<(&str, Span)> =
                group.iter().filter_map(|name| Some((*name, table.get(*name)?.key))).collect();
            if let [(first, first_at), (second, at), ..] = there[..] {
                let removal = self.removal(first);
                self.findings
                    .at(at, format!("`{first}` and `{second}` exclude each other"))
                    .help(format!(
                        "keep one; an environment takes the other away by `[environment] remove`, \
                         as in `{removal}`"
                    ))
                    .related(format!("`{first}` stands here"), first_at);
            }
        }
        for (name, needs) in keys.only_with {
            let Some(entry) = table.get(*name) else { continue };
            if !self.partial && !needs.iter().any(|other| table.contains_key(*other)) {
                let message = format!("`{name}` says something only beside {}", one_of(needs));
                self.findings.at(entry.key, message);
            }
        }
        self.findings.count() == before
    }

    fn removal(&self, key: &str) -> String {
        let address = self.here.as_ref().map(ToString::to_string);
        let inner = self.path.iter().cloned().chain([key.to_owned()]);
        address.into_iter().chain(inner).collect::<Vec<_>>().join(".")
    }

    /// Declares the defaults that a provider must always see.
    fn fill(&mut self, fields: &mut Fields, table: &Table, keys: &Keys) {
        for key in keys.keys.iter().filter(|key| key.filled && !table.contains_key(key.name)) {
            let default = key.default.and_then(tree::value);
            let value = default.and_then(|node| literal(node.plain()?, &key.is));
            fields.extend(value.map(|value| (key.name.to_owned(), value)));
        }
    }

    fn map(&mut self, table: &Table, shape: Shape, of: &Type, takes: Takes) -> Option<Value> {
        let mut fields = Fields::new();
        let mut whole = true;
        for (name, entry) in table {
            if !shape.fits(name) {
                let message = format!("the key `{name}` must be {}", shape.words());
                self.findings.at(entry.key, message);
                whole = false;
            }
            self.path.push(name.clone());
            match self.value(&entry.node, of, takes) {
                Some(value) => {
                    fields.insert(name.clone(), value);
                }
                None => whole = false,
            }
            self.path.pop();
        }
        whole.then_some(Value::Map(fields))
    }

    fn list(
        &mut self,
        node: &Node,
        items: &[Node],
        of: &Type,
        least: usize,
        takes: Takes,
    ) -> Option<Value> {
        if items.len() < least {
            self.wrong_list(node);
            return None;
        }
        let values: Vec<Option<Value>> = items
            .iter()
            .enumerate()
            .map(|(at, item)| {
                self.path.push(at.to_string());
                let value = self.value(item, of, takes);
                self.path.pop();
                value
            })
            .collect();
        values.into_iter().collect::<Option<Vec<Value>>>().map(Value::List)
    }

    fn wrong_list(&mut self, node: &Node) {
        let what = self.path.last().map_or("this", String::as_str);
        self.findings.at(node.at, format!("`{what}` must have something in it"));
    }

    fn scalar(&mut self, node: &Node, is: &Type, takes: Takes) -> Option<Value> {
        let value = match &node.is {
            Is::Table(table) if super::reference::is_one(table) => {
                self.reference(table, node.at, takes)?
            }
            _ => match node.scalar() {
                Some(value) => value,
                None => {
                    self.wrong(node, is);
                    return None;
                }
            },
        };
        if matches!(value, Value::Output(_) | Value::Secret(_) | Value::Format(_)) {
            return Some(value);
        }
        let checked = literal(value.clone(), is);
        if checked.is_none() {
            match node.table() {
                None => self.wrong(node, is),
                Some(table) => {
                    let stands = Node { at: node.at, is: scalar_is(&value) };
                    let (must, words) = (is.words(), stands.words());
                    match table.get("var").and_then(|it| it.node.text()) {
                        Some(name) => self
                            .findings
                            .at(
                                node.at,
                                format!(
                                    "this must be {must}, and the variable `{name}` is {words}"
                                ),
                            )
                            .help(format!("give it another value, by `--var {name}=…`")),
                        None => self
                            .findings
                            .at(node.at, format!("this must be {must}, and it is {words}")),
                    };
                }
            }
        }
        checked
    }

    /// Puts a key behind the path while `read` looks at what stands there.
    pub(crate) fn within<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(key.to_owned());
        let read = read(self);
        self.path.pop();
        read
    }

    /// Records that a field that is made of another stands where that stands.
    pub(crate) fn also_stands(&mut self, address: &Address, field: &str, at: Span) {
        self.places.insert((address.clone(), FieldPath::new([field])), at);
    }

    /// Records where the value at hand stands.
    pub(crate) fn stands(&mut self, at: Span) {
        self.record(at);
    }
}

fn scalar_is(value: &Value) -> Is {
    match value {
        Value::Bool(truth) => Is::Bool(*truth),
        Value::Int(number) => Is::Int(*number),
        other => Is::Text(other.scalar().unwrap_or_default()),
    }
}

/// A known value in the form in which it is declared; none where it does not fit the type.
fn literal(value: Value, is: &Type) -> Option<Value> {
    match (is, &value) {
        (Type::Bool, Value::Bool(_))
        | (Type::Scalar, Value::Bool(_) | Value::Int(_) | Value::Text(_)) => Some(value),
        (Type::Int(least, most), Value::Int(number)) => {
            (least..=most).contains(&number).then_some(value)
        }
        (Type::Text(shape), Value::Text(text)) => shape.fits(text).then_some(value),
        (Type::Choice(choices), Value::Text(text)) => {
            choices.contains(&text.as_str()).then_some(value)
        }
        (Type::Duration(least), Value::Text(text)) => duration::milliseconds(text)
            .filter(|milliseconds| milliseconds >= least)
            .map(Value::Int),
        (Type::List(of, _), Value::List(items)) => items
            .iter()
            .map(|item| literal(item.clone(), of))
            .collect::<Option<Vec<_>>>()
            .map(Value::List),
        _ => None,
    }
}

/// How a missing key is put right.
fn add(key: &Key) -> String {
    format!("add it, as in `{} = {}`", key.name, key.example)
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
