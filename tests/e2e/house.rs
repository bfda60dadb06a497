//! The house rules: which room may know which, who may print, what a file may be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which crate may depend on which. A new edge is a line here, with its reason.
const CRATES: &[(&str, &[&str], &str)] = &[
    ("hive-contract", &[], "below everything"),
    ("hive-state", &["hive-contract"], "records are made of the contract's nouns"),
    ("hive-probe", &[], "asks http, tcp and commands, and knows nothing of hive"),
    ("hive-process", &["hive-contract", "hive-probe"], "health is probed"),
    ("hive-objects", &["hive-contract"], "files written whole; failures in the contract's words"),
    ("hive-file", &["hive-contract", "hive-objects"], "configs are files written whole"),
    ("hive-check", &["hive-contract", "hive-probe"], "a check is a probe"),
    ("hive-notify", &["hive-contract"], "a provider"),
    ("hive-prometheus", &["hive-contract", "hive-objects"], "rules are files written whole"),
    ("hive-sql", &["hive-contract"], "pure: failures and values in the contract's words"),
    (
        "hive-backup",
        &["hive-contract", "hive-objects", "hive-sql"],
        "backups are objects; manifests and retention are pure",
    ),
    (
        "hive-sqlite",
        &["hive-contract", "hive-objects", "hive-sql", "hive-backup"],
        "an engine adds what differs",
    ),
    (
        "hive-postgres",
        &["hive-contract", "hive-objects", "hive-sql", "hive-backup"],
        "an engine adds what differs",
    ),
    (
        "hive-archive",
        &["hive-contract", "hive-objects", "hive-sql", "hive-backup"],
        "folders and repositories are backed up as databases are",
    ),
    ("hive-parts", &[], "for tests alone: real servers, which know nothing of hive"),
    (
        "hive",
        &[
            "hive-contract",
            "hive-state",
            "hive-probe",
            "hive-process",
            "hive-file",
            "hive-check",
            "hive-notify",
            "hive-prometheus",
            "hive-sql",
            "hive-backup",
            "hive-sqlite",
            "hive-postgres",
            "hive-archive",
        ],
        "the tool: its registry lists the providers",
    ),
];

/// Which room of `src/` may use which other.
const ROOMS: &[(&str, &[&str], &str)] = &[
    ("plan", &[], "pure"),
    ("stack", &["plan"], "a stack binds files for the plan"),
    ("registry", &["plan"], "gives the planner its pure verbs"),
    ("apply", &["plan", "registry"], "runs plans with providers"),
    ("flow", &["stack", "plan", "apply", "registry"], "brings the rooms together"),
    ("render", &["stack", "plan", "apply", "flow"], "shows their nouns"),
    ("cli", &["stack", "plan", "apply", "flow", "render"], "arguments in, request out"),
];

/// Words that a room may not contain, and why.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    (
        "src/plan",
        &[
            "std::fs",
            "std::env",
            "std::net",
            "tokio::",
            "SystemTime",
            "Instant::now",
            "jiff::Timestamp::now",
        ],
        "the planner does no I/O, reads no clock and no environment",
    ),
    (
        "providers/contract/src",
        &["std::fs", "std::env", "std::net", "tokio::"],
        "the contract does no I/O",
    ),
    (
        "src/apply",
        &["std::fs", "std::env", "std::net"],
        "the executor knows store and providers only",
    ),
    (
        "providers",
        &["hive_state", "println!", "eprintln!"],
        "a provider never sees the state or the terminal",
    ),
    ("state/src", &["println!", "eprintln!", "std::env::"], "only src/render prints"),
];

/// The one place of each exception to "only src/cli reads the environment".
const READS_ENVIRONMENT: &[(&str, &str)] = &[
    ("src/cli/environment.rs", "the room that knows the environment"),
    ("src/render/samples.rs", "tests alone: the switch that writes goldens anew"),
    ("providers/process/src", "connect: PATH, for finding programs"),
    ("providers/check/src", "connect: PATH, for finding programs"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(below: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![below.to_owned()];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" {
                    open.push(path);
                }
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The lines of a source file that are code and not of its unit tests.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(path).expect("a source file reads");
    let body = text.split("\n#[cfg(test)]").next().unwrap_or_default().to_owned();
    body.lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.to_owned()))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .collect()
}

fn manifests() -> BTreeMap<String, toml::Table> {
    let mut manifests = BTreeMap::new();
    for path in files(&root(), "Cargo.toml") {
        let text = fs::read_to_string(&path).expect("a manifest reads");
        let table: toml::Table = text.parse().expect("a manifest parses");
        let name = table["package"]["name"].as_str().expect("a package has a name").to_owned();
        manifests.insert(name, table);
    }
    manifests
}

#[test]
fn crates_depend_one_way() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        CRATES.iter().map(|(name, on, _)| (*name, on.iter().copied().collect())).collect();
    let manifests = manifests();
    assert_eq!(
        manifests.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        allowed.keys().copied().collect(),
        "every crate of the workspace stands in the table, and nothing else"
    );
    for (name, manifest) in manifests {
        let on: BTreeSet<&str> = manifest
            .get("dependencies")
            .and_then(toml::Value::as_table)
            .into_iter()
            .flat_map(|it| it.keys().map(String::as_str))
            .filter(|it| it.starts_with("hive-"))
            .collect();
        let extra: Vec<_> = on.difference(&allowed[name.as_str()]).collect();
        assert!(extra.is_empty(), "{name} may not depend on {extra:?}");
    }
}

#[test]
fn rooms_know_only_rooms_below() {
    let rooms: BTreeMap<&str, &[&str]> = ROOMS.iter().map(|(name, on, _)| (*name, *on)).collect();
    let mut wrong = Vec::new();
    for path in files(&root().join("src"), ".rs") {
        let relative = shown(&path);
        let room = relative.trim_start_matches("src/").split(['/', '.']).next().unwrap_or_default();
        let Some(allowed) = rooms.get(room) else { continue };
        for (line, text) in code(&path) {
            for other in rooms.keys().filter(|it| **it != room && !allowed.contains(it)) {
                if text.contains(&format!("crate::{other}")) {
                    wrong.push(format!("{relative}:{line}: src/{room} may not use src/{other}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_room_contains_what_it_may_not() {
    let mut wrong = Vec::new();
    for (room, words, why) in FORBIDDEN {
        for path in files(&root().join(room), ".rs") {
            let relative = shown(&path);
            if ["/examples/", "/tests/", "/src/bin/", "/testing/", "/samples.rs"]
                .iter()
                .any(|it| relative.contains(it))
            {
                continue;
            }
            for (line, text) in code(&path) {
                for word in words.iter().filter(|it| text.contains(**it)) {
                    wrong.push(format!("{relative}:{line}: `{word}`: {why}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_render_prints_and_only_cli_reads_the_environment() {
    let mut wrong = Vec::new();
    for path in
        ["src", "state/src", "providers"].iter().flat_map(|it| files(&root().join(it), ".rs"))
    {
        let relative = shown(&path);
        if ["/examples/", "/tests/", "/src/bin/", "/testing/", "/samples.rs"]
            .iter()
            .any(|it| relative.contains(it))
        {
            continue;
        }
        for (line, text) in code(&path) {
            // A keeper is a process of its own: its stdout is the pipe to whoever started it.
            let prints = ["println!", "print!(", "eprint", "stdout()", "stderr()"];
            if prints.iter().any(|it| text.contains(it))
                && !relative.starts_with("src/render/")
                && !relative.starts_with("src/cli/")
                && relative != "providers/process/src/keeper.rs"
                && !text.contains(".stdout(")
            {
                wrong.push(format!("{relative}:{line}: only src/render prints"));
            }
            let reads = text.contains("env::var") || text.contains("env::vars");
            let may = READS_ENVIRONMENT.iter().any(|(at, _)| relative.starts_with(at));
            if reads && !may {
                wrong.push(format!(
                    "{relative}:{line}: only src/cli/environment.rs reads the environment"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_hold_one_noun_or_verb() {
    let vague = ["utils", "util", "helpers", "helper", "common", "manager", "imp", "misc"];
    let mut wrong = Vec::new();
    for path in ["src", "state", "providers", "tests", "benches", "examples"]
        .iter()
        .flat_map(|it| files(&root().join(it), ".rs"))
    {
        let stem = path.file_stem().and_then(|it| it.to_str()).unwrap_or_default();
        if vague.contains(&stem) {
            wrong.push(format!("{}: a name that says nothing", shown(&path)));
        }
        let lines = fs::read_to_string(&path).expect("reads").lines().count();
        if lines > 700 {
            wrong.push(format!("{}: {lines} lines hold more than one thing", shown(&path)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_has_its_page() {
    let mut rooms: Vec<PathBuf> = vec![root().join("state")];
    for below in ["providers", "src"] {
        let entries = fs::read_dir(root().join(below)).expect("lists");
        rooms.extend(entries.flatten().map(|it| it.path()).filter(|it| it.is_dir()));
    }
    let without: Vec<String> =
        rooms.iter().filter(|it| !it.join("README.md").is_file()).map(|it| shown(it)).collect();
    assert!(without.is_empty(), "no README.md in {without:?}");
}

#[test]
fn every_stack_is_used_by_a_test_and_every_golden_too() {
    let sources = ["src", "state", "providers", "tests"]
        .iter()
        .flat_map(|it| files(&root().join(it), ".rs"))
        .map(|it| fs::read_to_string(it).expect("reads"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut unused = Vec::new();
    for entry in fs::read_dir(root().join("stacks")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && !sources.contains(&format!("stacks/{name}")) {
            unused.push(format!("stacks/{name}"));
        }
    }
    for golden in files(&root().join("tests/goldens"), "") {
        let name = golden.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = name.split('.').next().unwrap_or_default();
        if !sources.contains(stem) {
            unused.push(shown(&golden));
        }
    }
    assert!(unused.is_empty(), "no test uses {unused:?}");
}

#[test]
fn every_provider_of_the_registry_has_a_room_and_every_room_of_one_a_line() {
    let registry = fs::read_to_string(root().join("src/registry.rs")).expect("reads");
    let table = |name: &str| {
        let from = registry.split(&format!("const {name}: ")).nth(1).expect("a table");
        let rows = from.split("];").next().expect("it ends").lines();
        let last = |row: &str| row.rsplit('"').nth(1).map(str::to_owned);
        rows.skip(1).filter_map(last).collect::<BTreeSet<String>>()
    };
    let listed: BTreeSet<String> = table("KINDS").union(&table("ENGINES")).cloned().collect();
    let rooms = fs::read_dir(root().join("providers")).expect("lists").flatten();
    let of_provider = |room: &Path| {
        let code = files(&room.join("src"), ".rs").into_iter().flat_map(|it| code(&it));
        code.into_iter().any(|(_, line)| line.starts_with("impl Provider for"))
    };
    let names: BTreeSet<String> = rooms
        .map(|it| it.path())
        .filter(|it| !it.ends_with("contract") && of_provider(it))
        .map(|it| it.file_name().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    assert_eq!(listed, names, "src/registry.rs and the rooms of providers");
    for name in &names {
        let connects = registry.contains(&format!("\"{name}\" => Arc::new("));
        assert!(connects, "`connect` of src/registry.rs has no line for {name}");
    }
}

#[test]
fn every_promise_has_a_patch_that_breaks_it() {
    let patches = files(&root().join("tests/breaks"), ".patch");
    let names: Vec<String> = patches.iter().map(|it| shown(it)).collect();
    for promise in 1..=8 {
        let begin = format!("tests/breaks/p{promise}-");
        assert!(names.iter().any(|it| it.starts_with(&begin)), "no {begin}….patch");
    }
    for path in patches {
        let text = fs::read_to_string(&path).expect("reads");
        for line in ["# law: ", "# test: -p ", "# reason: "] {
            let has = text.lines().any(|it| it.starts_with(line) && it.len() > line.len());
            assert!(has, "{} has no `{line}`", shown(&path));
        }
    }
}
