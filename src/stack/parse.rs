//! From files to a stack: read, parse, overlay, check, refer, bind.

use super::bound::Binder;
use super::check::{Checker, Hole};
use super::inject::{self, Undo};
use super::language::{Keys, Takes, Type};
use super::model::{ForeignRef, ForeignValue, Problem, SourceFile, Span, Spans, Stack, Unread};
use super::outline::STORE;
use super::problem::Findings;
use super::reference::FOREIGN;
use super::sections::{self, SECTIONS, TOP};
use super::tree::{self, Entry, Table};
use super::variables::{self, Given};
use super::{cycle, overlay, read, resource};
use hive_contract::value::fill_fields;
use hive_contract::{Address, Declared, Fields, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

/// A stack that is right, but for the values that it takes from other stacks.
#[derive(Debug)]
pub struct Parsed {
    stack: Stack,
    holes: Vec<Hole>,
    foreign: Vec<ForeignRef>,
}

/// Reads the stack in a folder as it is in one environment.
///
/// `instance` makes an environment of its own, `dev+NAME`, out of the same files. `vars` are given
/// by `--var`, `env_vars` by the environment, with or without their prefix `HIVE_VAR_`. Programs
/// are searched on `path_var`.
///
/// # Errors
/// Everything that is wrong with the stack, in the order of its files and lines.
pub fn parse(
    folder: &Path,
    environment: &str,
    instance: Option<&str>,
    vars: &BTreeMap<String, String>,
    env_vars: &BTreeMap<String, String>,
    path_var: Option<&OsStr>,
) -> Result<Parsed, Vec<Problem>> {
    names(environment, instance)?;
    let files = read::sources(folder, environment)?;
    let mut findings = Findings::default();
    let trees: Vec<Option<Table>> = files
        .iter()
        .enumerate()
        .map(|(number, file)| tree::parse(&file.text, number, &mut findings))
        .collect();
    // What a file says that is no TOML is not known, so nothing else is looked for.
    let Some(trees) = trees.into_iter().collect::<Option<Vec<Table>>>() else {
        return Err(findings.problems(&files));
    };
    let mut trees = trees.into_iter();
    let tree = overlay::overlay(trees.next().unwrap_or_default(), trees.next(), &mut findings);
    let given = Given { by_argument: vars, by_environment: env_vars };
    let reading = Reading { folder, environment, instance, path_var };
    reading.stack(&tree, given, files, findings)
}

fn names(environment: &str, instance: Option<&str>) -> Result<(), Vec<Problem>> {
    let refused =
        |message: String, help: &str| Err(vec![Problem::nowhere(message, Some(help.to_owned()))]);
    if let Err(error) = hive_contract::address::check_name(environment) {
        return refused(format!("the environment: {error}"), "give it by `-e`, as in `-e staging`");
    }
    if environment == "stack" {
        let help = "`stack.toml` is the file of all environments; give another by `-e`";
        return refused("no environment can be called `stack`".to_owned(), help);
    }
    match instance.map(hive_contract::address::check_name) {
        Some(Err(error)) => {
            refused(format!("the instance: {error}"), "give it as in `--instance feature-7`")
        }
        _ => Ok(()),
    }
}

/// What is read, and for whom.
struct Reading<'a> {
    folder: &'a Path,
    environment: &'a str,
    instance: Option<&'a str>,
    path_var: Option<&'a OsStr>,
}

impl Reading<'_> {
    fn stack(
        &self,
        tree: &Table,
        given: Given<'_>,
        files: Vec<SourceFile>,
        mut findings: Findings,
    ) -> Result<Parsed, Vec<Problem>> {
        let variables = variables::resolve(tree.get("variables"), given, &mut findings);
        let addresses = addresses(tree);
        let mut checker = Checker::new(&mut findings, &variables, &addresses, self.environment);
        let sections = sections(tree, &mut checker);
        let mut declared = resources(tree, &mut checker);
        if let Some(name) = self.instance {
            inject::instance(&mut declared, name, tree, &mut checker);
        }
        let undo = Undo::of(sections.text("environment", "rollback").as_deref());
        inject::inject(&mut declared, undo, &mut checker);
        resource::claims(&declared, &mut checker);
        cycle::cycles(&declared, &mut checker);
        let store = sections.text("state", "folder").unwrap_or_else(|| STORE.to_owned());
        let platforms = sections.platforms();
        let made = made(&declared, &platforms).chain([store.clone()]);
        let mut binder = Binder::new(self.folder, self.path_var, made);
        for resource in declared.values_mut() {
            binder.bind(resource, &mut checker);
        }
        let (places, holes) = (checker.places, checker.holes);
        if !findings.is_empty() {
            return Err(findings.problems(&files));
        }
        let variables =
            variables.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let environment = match self.instance {
            Some(instance) => format!("{}+{instance}", self.environment),
            None => self.environment.to_owned(),
        };
        let stack = Stack {
            folder: self.folder.to_path_buf(),
            name: sections.text("stack", "name").unwrap_or_default(),
            parallel: sections.int("stack", "parallel").and_then(|it| it.try_into().ok()),
            environment,
            declared,
            platforms,
            guards: sections.guards(),
            lease_ms: sections.int("state", "lease").and_then(|it| it.try_into().ok()),
            store,
            variables,
            foreign: Vec::new(),
            files: binder.files(),
            places: Spans { fields: places, files },
        };
        let foreign: BTreeSet<&ForeignRef> = holes.iter().map(|hole| &hole.reference).collect();
        let foreign = foreign.into_iter().cloned().collect();
        Ok(Parsed { stack, holes, foreign })
    }
}

/// Where configs are written, and processes run, where a stack says nothing.
const RUN: &str = ".hive-run";

/// The files and folders that an apply writes: those of configs, databases and backups, and what
/// processes run in.
fn made(
    declared: &BTreeMap<Address, Declared>,
    platforms: &BTreeMap<String, Fields>,
) -> impl Iterator<Item = String> {
    let text = |fields: &Fields, key: &str| fields.get(key)?.as_text().map(str::to_owned);
    let written = declared.values().filter_map(move |it| match it.address.kind() {
        "config" | "database" => text(&it.fields, "path"),
        "backup" => text(&it.fields, "destination").filter(|it| !it.starts_with("s3://")),
        _ => None,
    });
    let run = platforms.get("process").and_then(|it| text(it, "directory"));
    written.chain(run).chain([RUN.to_owned()])
}

/// What the sections say, by section.
struct Sections(Fields);

impl Sections {
    fn section(&self, name: &str) -> Fields {
        self.0.get(name).and_then(Value::as_map).cloned().unwrap_or_default()
    }

    fn text(&self, section: &str, key: &str) -> Option<String> {
        Some(self.0.get(section)?.as_map()?.get(key)?.as_text()?.to_owned())
    }

    fn int(&self, section: &str, key: &str) -> Option<i64> {
        self.0.get(section)?.as_map()?.get(key)?.as_int()
    }

    /// The settings of each platform; `process` is always there.
    fn platforms(&self) -> BTreeMap<String, Fields> {
        let declared = self.section("platform").into_iter();
        let tables = declared.filter_map(|(name, it)| Some((name, it.as_map()?.clone())));
        std::iter::once(("process".to_owned(), Fields::new())).chain(tables).collect()
    }

    /// What the environment says, but for what it removes, which is done, and for how far its ways
    /// back go, which stands in its migrations.
    fn guards(&self) -> Fields {
        let mut guards = self.section("environment");
        guards.remove("remove");
        guards.remove("rollback");
        guards
    }
}

/// Checks the sections, and that nothing stands at the top that is neither section nor kind.
fn sections(tree: &Table, checker: &mut Checker<'_>) -> Sections {
    let mut sections = Fields::new();
    for (name, entry) in tree {
        let Some(key) = TOP.get(name) else {
            unknown_top(name, entry, checker);
            continue;
        };
        match key.is {
            Type::Later => not_built(name, entry, checker),
            _ if name == "defaults" => defaults(entry, checker),
            _ if SECTIONS.contains(&key.name) => {
                let value = checker.within(name, |checker| checker.section(&entry.node, &key.is));
                sections.extend(value.map(|value| (name.clone(), value)));
            }
            _ => {}
        }
    }
    if !tree.contains_key("stack") {
        checker
            .findings
            .at(Span { file: 0, start: 0, end: 0 }, "there is no `[stack]`")
            .help("begin the file with `[stack]` and `name = \"…\"`");
    }
    Sections(sections)
}

fn unknown_top(name: &str, entry: &Entry, checker: &mut Checker<'_>) {
    let near = checker.findings.nearest(name, TOP.keys.iter().map(|key| key.name));
    let kinds: Vec<String> = sections::kinds().map(|(kind, _)| format!("`{kind}`")).collect();
    checker
        .findings
        .at(entry.key, format!("`{name}` is neither a kind nor a section"))
        .help(format!("the kinds are {}", kinds.join(", ")))
        .maybe_help(near);
}

/// A kind that is known and not built: said at the header of each of its resources.
fn not_built(kind: &str, entry: &Entry, checker: &mut Checker<'_>) {
    match entry.node.table().filter(|table| !table.is_empty()) {
        None => checker.not_yet(entry, kind),
        Some(resources) => {
            for resource in resources.values() {
                let at = resource.node.at;
                checker.findings.at(at, format!("`{kind}` is not in this version")).help(
                    "hive knows this kind and does nothing with it yet, so it refuses it: take it \
                     away",
                );
            }
        }
    }
}

fn defaults(entry: &Entry, checker: &mut Checker<'_>) {
    let Some(table) = entry.node.table() else {
        let is = Type::Table(&sections::DEFAULTS);
        checker.within("defaults", |checker| checker.section(&entry.node, &is));
        return;
    };
    for (kind, entry) in table {
        match (sections::kind(kind), TOP.get(kind).map(|key| key.is)) {
            (Some(keys), _) => {
                checker.within(kind, |checker| checker.defaults(&entry.node, keys));
            }
            (None, Some(Type::Later)) => checker.not_yet(entry, kind),
            (None, _) => checker.unknown_key(kind, entry, &sections::DEFAULTS),
        }
    }
}

/// The address of everything that is declared under a kind, also one that is not built.
fn addresses(tree: &Table) -> BTreeSet<Address> {
    tree.iter()
        .filter(|(kind, _)| TOP.get(kind).is_some() && !SECTIONS.contains(&kind.as_str()))
        .filter_map(|(kind, entry)| Some((kind, entry.node.table()?)))
        .flat_map(|(kind, table)| table.keys().map(move |name| Address::new(kind, name)))
        .filter_map(Result::ok)
        .collect()
}

fn resources(tree: &Table, checker: &mut Checker<'_>) -> BTreeMap<Address, Declared> {
    let mut declared = BTreeMap::new();
    for (kind, keys) in sections::kinds() {
        let Some(entry) = tree.get(kind) else { continue };
        let Some(table) = entry.node.table() else {
            let words = entry.node.words();
            checker
                .findings
                .at(entry.node.at, format!("`{kind}` must be a table, and here stands {words}"))
                .help(format!("declare one by its name, as in `[{kind}.api]`"));
            continue;
        };
        for (name, entry) in table {
            if let Some(one) = one(kind, name, entry, keys, checker) {
                declared.insert(one.address.clone(), one);
            }
        }
    }
    declared
}

fn one(
    kind: &str,
    name: &str,
    entry: &Entry,
    keys: &'static Keys,
    checker: &mut Checker<'_>,
) -> Option<Declared> {
    let address = match Address::new(kind, name) {
        Ok(address) => address,
        Err(error) => {
            checker.findings.at(entry.key, error.to_string());
            return None;
        }
    };
    if entry.node.table().is_none() && keys.get(name).is_some() {
        checker
            .findings
            .at(entry.key, format!("`{name}` is a key of {}, which has no name here", keys.what))
            .help(format!("give it one, as in `[{kind}.api]`"));
        return None;
    }
    let fields = checker.resource(&address, &entry.node, keys)?;
    Some(resource::declare(address, fields, checker))
}

impl Parsed {
    /// The outputs of other stacks that this one refers to, each once.
    pub fn foreign(&self) -> &[ForeignRef] {
        &self.foreign
    }

    /// The stack without those values: each stays a reference to an output that nobody knows yet.
    /// Good enough to check everything else.
    pub fn alone(self) -> Stack {
        self.stack
    }

    /// Puts the values of other stacks' outputs in.
    ///
    /// # Errors
    /// A value that is missing, or that may not stand where it is referred to, each at its line.
    pub fn finish(self, foreign: &BTreeMap<ForeignRef, Value>) -> Result<Stack, Vec<Problem>> {
        self.finish_or(foreign, &BTreeMap::new())
    }

    /// The same, where `unread` says why a value is missing.
    ///
    /// # Errors
    /// See [`Self::finish`].
    pub fn finish_or(
        self,
        foreign: &BTreeMap<ForeignRef, Value>,
        unread: &BTreeMap<ForeignRef, Unread>,
    ) -> Result<Stack, Vec<Problem>> {
        let Self { mut stack, holes, foreign: references } = self;
        if holes.is_empty() {
            return Ok(stack);
        }
        let mut findings = Findings::default();
        for hole in &holes {
            let why = unread.get(&hole.reference);
            fits(hole, foreign.get(&hole.reference), why, &mut findings);
        }
        if !findings.is_empty() {
            return Err(findings.problems(&stack.places.files));
        }
        let fill = |value: &Value| {
            let Value::Output(output) = value else { return None };
            let number = output.address.name().strip_prefix('n');
            let number: usize =
                number.filter(|_| output.address.kind() == FOREIGN)?.parse().ok()?;
            foreign.get(&holes.get(number)?.reference).cloned()
        };
        for declared in stack.declared.values_mut() {
            declared.fields = fill_fields(&declared.fields, &fill);
        }
        stack.foreign = references
            .into_iter()
            .filter_map(|reference| {
                let value = foreign.get(&reference)?.clone();
                Some(ForeignValue { reference, value })
            })
            .collect();
        Ok(stack)
    }
}

fn fits(hole: &Hole, value: Option<&Value>, why: Option<&Unread>, findings: &mut Findings) {
    let ForeignRef { stack, environment, address, output } = &hole.reference;
    let what = format!("`{address}.{output}` of the stack `{stack}` in `{environment}`");
    match value {
        None => {
            let because = why.map(|it| format!(": {}", it.why)).unwrap_or_default();
            findings
                .at(hole.at, format!("{what} has no value here{because}"))
                .maybe_help(why.and_then(|it| it.help.clone()));
        }
        Some(value) if value.has_secret() && hole.takes < Takes::Secrets => {
            findings.at(hole.at, format!("{what} is a secret, and may not stand here"));
        }
        Some(value) if !value.is_known() => {
            findings.at(hole.at, format!("{what} is not known"));
        }
        Some(Value::List(_) | Value::Map(_)) => {
            findings
                .at(hole.at, format!("{what} is a list or a table, and may not stand here"))
                .help("name an output that is text, a number or a truth value");
        }
        Some(_) => {}
    }
}
