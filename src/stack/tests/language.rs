//! The language as a whole: every key does something, the schema says the same as the checker,
//! and the documents show what is so.

mod schema;

use super::{finished, folder, read, shown};
use crate::stack::language::{Key, Keys, Takes, Type};
use crate::stack::sections::{self, TOP};
use crate::stack::{Stack, schema as language_schema};
use std::path::Path;

/// What the examples of the language refer to.
const AROUND: &str = r#"
[config.settings]
content = "x"
[service.api]
process = { command = ["sh"] }
[check.ready]
tcp = "localhost:1"
[check.smoke]
tcp = "localhost:1"
[database.main]
engine = "sqlite"
path = "data/main.db"
"#;

const FILES: &[(&str, &str)] = &[
    ("settings.toml", "level = 3\n"),
    ("server.sh", "#!/bin/sh\n"),
    ("bin/server.sh", "#!/bin/sh\n"),
    ("smoke.sh", "#!/bin/sh\n"),
    ("bin/smoke.sh", "#!/bin/sh\n"),
    ("migrations/main/0001_create_orders.up.sql", "CREATE TABLE orders (id integer);\n"),
];

/// A stack with one more resource, `KIND.subject`, that holds these keys.
fn with(kind: &str, keys: &str) -> String {
    format!("[stack]\nname = \"s\"\n[{kind}.subject]\n{keys}{AROUND}")
}

fn outcome(text: &str) -> Result<Stack, String> {
    let folder = folder(FILES);
    std::fs::write(folder.path().join("stack.toml"), runnable(text)).expect("written");
    match read(folder.path(), "dev") {
        Ok(parsed) => Ok(finished(Ok(parsed))),
        Err(problems) => Err(shown(&problems)),
    }
}

/// The programs of the examples, as scripts that are there.
fn runnable(text: &str) -> String {
    text.replace("\"./server\"", "\"./server.sh\"").replace("\"./smoke\"", "\"./smoke.sh\"")
}

/// Everything of a stack but where it stands.
fn said(stack: &Stack) -> String {
    let Stack { declared, platforms, guards, variables, parallel, store, name, .. } = stack;
    let lease = stack.lease_ms;
    format!(
        "{declared:?} {platforms:?} {guards:?} {variables:?} {parallel:?} {store} {name} {lease:?}"
    )
}

/// What must stand in a table beside a key: required keys, one of each group of alternatives, and
/// what the key says something beside.
fn beside(keys: &Keys, key: &Key) -> String {
    let mut names: Vec<&str> =
        keys.keys.iter().filter(|it| it.required).map(|it| it.name).collect();
    let needed = keys.only_with.iter().find(|(name, _)| *name == key.name);
    for group in keys.one_of {
        let by_need = needed.and_then(|(_, needs)| needs.iter().find(|it| group.contains(it)));
        if !group.contains(&key.name) {
            names.extend(by_need.or(group.first()));
        }
    }
    if let Some((_, needs)) = needed
        && !needs.iter().any(|it| names.contains(it))
    {
        names.extend(needs.first());
    }
    let line = |name: &&str| Some(format!("{name} = {}\n", keys.get(name)?.example));
    let names = names.iter().filter(|name| **name != key.name);
    let lines: String = names.filter_map(line).collect();
    // What these say depends on what another key says.
    match key.name {
        "url" | "direct_url" => lines.replace("\"sqlite\"", "\"postgres\""),
        "s3" => lines.replace("\"backups/main\"", "\"s3://backups/main\""),
        _ => lines,
    }
}

/// What a key of a kind needs from other keys that no table of the language says.
fn more(kind: &str, key: &Key) -> &'static str {
    match (kind, key.name) {
        ("service", "health") => "ports = { http = 80 }\n",
        _ => "",
    }
}

#[test]
fn every_key_of_every_kind_changes_what_is_declared_or_is_refused() {
    let mut walked = 0;
    for (kind, keys) in sections::kinds() {
        for key in keys.keys {
            walked += 1;
            let beside = format!("{}{}", more(kind, key), beside(keys, key));
            if matches!(key.is, Type::Later) {
                let seen = outcome(&with(kind, &format!("{beside}{} = 1\n", key.name)));
                let seen = seen.expect_err(key.name);
                let words = format!("`{}` is not in this version", key.name);
                assert!(seen.contains(&words), "{kind}.{}: {seen}", key.name);
                continue;
            }
            let line = format!("{} = {}\n", key.name, key.example);
            let there = outcome(&with(kind, &format!("{beside}{line}")));
            let there = there.unwrap_or_else(|seen| panic!("{kind}.{}: {seen}", key.name));
            let absent = outcome(&with(kind, &beside));
            let changes = absent.map_or(true, |absent| said(&absent) != said(&there));
            assert!(changes, "{kind}.{} changes nothing", key.name);
        }
    }
    assert!(walked > 50, "{walked}");
}

#[test]
fn every_key_of_the_inner_tables_changes_what_is_declared_or_is_refused() {
    let inner = [
        ("health", "ports = { http = 80, web = 81 }\n", "port = \"web\"\n"),
        ("rollout", "", ""),
        ("process", "ports = { http = 80 }\n", ""),
    ];
    let service = sections::kind("service").expect("a kind");
    for (name, above, unless) in inner {
        let Some(Type::Table(keys)) = service.get(name).map(|key| key.is) else {
            panic!("`{name}` is a table");
        };
        for key in keys.keys {
            let process = if name == "process" { "" } else { "process = { command = [\"sh\"] }\n" };
            let unless = if key.name == "port" || key.name == "command" { "" } else { unless };
            let beside = format!("{unless}{}", beside(keys, key));
            let text = |line: &str| {
                with(
                    "service",
                    &format!("{above}{process}[service.subject.{name}]\n{beside}{line}"),
                )
            };
            if matches!(key.is, Type::Later) {
                let seen = outcome(&text(&format!("{} = 1\n", key.name))).expect_err(key.name);
                assert!(seen.contains("is not in this version"), "{seen}");
                continue;
            }
            let example = match key.name {
                "port" => "\"web\"",
                _ => key.example,
            };
            let there = outcome(&text(&format!("{} = {example}\n", key.name)));
            let there = there.unwrap_or_else(|seen| panic!("{name}.{}: {seen}", key.name));
            let changes = outcome(&text("")).map_or(true, |it| said(&it) != said(&there));
            assert!(changes, "service.{name}.{} changes nothing", key.name);
        }
    }
}

#[test]
fn every_key_of_the_inner_tables_of_data_changes_what_is_declared() {
    let mut walked = 0;
    for kind in ["database", "migrations", "backup"] {
        let outer = sections::kind(kind).expect("a kind");
        for table in outer.keys {
            let Type::Table(keys) = table.is else { continue };
            for key in keys.keys {
                walked += 1;
                let around = format!("{}{}", beside(outer, table), more(kind, table));
                let inner = beside(keys, key);
                let text = |line: &str| {
                    let head = format!("[{kind}.subject.{}]\n", table.name);
                    outcome(&with(kind, &format!("{around}{head}{inner}{line}")))
                };
                let there = text(&format!("{} = {}\n", key.name, key.example));
                let there = there.unwrap_or_else(|seen| panic!("{kind}.{}: {seen}", key.name));
                let changes = text("").map_or(true, |it| said(&it) != said(&there));
                assert!(changes, "{kind}.{}.{} changes nothing", table.name, key.name);
            }
        }
    }
    assert!(walked > 14, "{walked}");
}

#[test]
fn every_key_of_every_section_changes_the_stack_or_is_refused() {
    let base = "[stack]\nname = \"t\"\n";
    for name in sections::SECTIONS {
        let Some(Type::Table(keys)) = TOP.get(name).map(|key| key.is) else { continue };
        for key in keys.keys.iter().filter(|_| *name != "defaults") {
            // In `stack.toml` this is refused: its own test stands with the overlays.
            if key.name == "remove" {
                continue;
            }
            // How far ways back go is said of migrations.
            let data = "[migrations.a]\ndatabase = \"main\"\npath = \"migrations/main\"\n";
            let data = match key.name {
                "rollback" => format!("{data}{AROUND}"),
                _ => String::new(),
            };
            let nothing = outcome(&format!("{base}{data}")).expect("it is right");
            let header = if *name == "stack" { String::new() } else { format!("[{name}]\n") };
            let stack = if key.name == "name" { "[stack]\n" } else { base };
            let value = if matches!(key.is, Type::Later) { "1" } else { key.example };
            let seen = outcome(&format!("{stack}{header}{} = {value}\n{data}", key.name));
            match seen {
                Ok(seen) => {
                    assert!(!matches!(key.is, Type::Later), "{name}.{}", key.name);
                    assert_ne!(said(&seen), said(&nothing), "{name}.{}", key.name);
                }
                Err(seen) => {
                    assert!(seen.contains("is not in this version"), "{name}.{}: {seen}", key.name);
                }
            }
        }
    }
    for key in TOP.keys.iter().filter(|key| matches!(key.is, Type::Later)) {
        let seen = outcome(&format!("{base}[{}.x]\n", key.name)).expect_err("refused");
        assert!(seen.contains("is not in this version"), "{seen}");
    }
}

/// The stacks of the repository: every `stack.toml` with its environments.
fn stacks(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") {
            stacks(&path, found);
        } else if path.file_name().is_some_and(|name| name == "stack.toml") {
            found.push(path.parent().expect("a folder").to_path_buf());
        }
    }
}

#[test]
fn the_schema_accepts_every_file_of_every_stack_of_the_repository() {
    let mut folders = Vec::new();
    stacks(&Path::new(env!("CARGO_MANIFEST_DIR")).join("stacks"), &mut folders);
    for folder in folders {
        for file in std::fs::read_dir(&folder).expect("a folder").flatten() {
            let path = file.path();
            let file = path.file_stem().and_then(|it| it.to_str()).unwrap_or_default();
            let ours =
                file == "stack" || crate::stack::environments(&folder).contains(&file.into());
            if ours && path.extension().is_some_and(|it| it == "toml") {
                let text = std::fs::read_to_string(&path).expect("read");
                let wrong = schema::check(&language_schema(), &text);
                assert!(wrong.is_empty(), "{}: {wrong:?}", path.display());
            }
        }
    }
}

#[test]
fn the_schema_and_the_checker_agree_about_every_example() {
    let whole = language_schema();
    for (kind, keys) in sections::kinds() {
        for key in keys.keys.iter().filter(|key| !matches!(key.is, Type::Later)) {
            let text = format!("[{kind}.x]\n{} = {}\n", key.name, key.example);
            assert_eq!(schema::check(&whole, &text), Vec::<String>::new(), "{text}");
        }
        let unknown = schema::check(&whole, &format!("[{kind}.x]\nnothing = 1\n"));
        assert!(!unknown.is_empty(), "{kind}");
    }
    for (text, why) in [
        ("[service.x]\nreplicas = \"a\"\n", "a wrong type"),
        ("[service.x]\nenvironment = { A = { env = 1 } }\n", "a wrong reference"),
        ("[config.x]\ncontent = { env = \"A\" }\n", "a secret where none may stand"),
        ("[service.x]\nhealth = { every = \"1w\" }\n", "a bad duration"),
        ("[service.x]\nignore = [{ field = \"a\" }]\n", "a missing key of an item"),
        ("[service.Bad]\nreplicas = 1\n", "a bad name"),
        ("[check.x]\nkafka = {}\n", "a key that is not built"),
    ] {
        assert!(!schema::check(&whole, text).is_empty(), "{why} is accepted: {text}");
    }
}

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/language.md");

/// The tables of keys of the page, each under the heading that names its table.
fn tables() -> Vec<(String, String)> {
    fn below(title: &str, keys: &'static Keys, into: &mut Vec<(String, String)>) {
        into.push((title.to_owned(), rows(keys)));
        for key in keys.keys {
            let inner = match key.is {
                Type::Table(inner) => Some((inner, key.name.to_owned())),
                Type::List(Type::Table(inner), _) => Some((*inner, format!("{} (each)", key.name))),
                _ => None,
            };
            if let Some((inner, name)) = inner {
                below(&format!("{title}.{name}"), inner, into);
            }
        }
    }
    let mut into = Vec::new();
    for key in TOP.keys.iter().filter(|key| key.name != "defaults") {
        match key.is {
            Type::Table(keys) => below(key.name, keys, &mut into),
            Type::Map(_, Type::Table(keys)) => {
                below(&format!("{}.NAME", key.name), keys, &mut into)
            }
            _ => {}
        }
    }
    // `uses`, `protect` and `ignore` are the same everywhere: their inner table is shown once.
    into.retain(|(title, _)| !title.ends_with("ignore (each)") || title.starts_with("service."));
    into
}

fn rows(keys: &Keys) -> String {
    let mut rows =
        String::from("| key | holds | default | meaning | example |\n|---|---|---|---|---|\n");
    let cell = |text: &str| text.replace('|', "\\|");
    for key in keys.keys.iter().filter(|key| !matches!(key.is, Type::Later)) {
        let holds = match key.takes {
            Takes::Known => key.is.words(),
            Takes::Outputs => format!("{}; outputs", key.is.words()),
            Takes::Secrets => format!("{}; outputs and secrets", key.is.words()),
        };
        let default = match key.default {
            Some(default) => format!("`{default}`"),
            None if key.required => "required".to_owned(),
            None => "–".to_owned(),
        };
        let example = format!("`{} = {}`", key.name, key.example);
        let cells = [&format!("`{}`", key.name), holds.as_str(), &default, key.doc, &example];
        rows.push_str(&format!("| {} |\n", cells.map(cell).join(" | ")));
    }
    let later: Vec<String> = keys
        .keys
        .iter()
        .filter(|key| matches!(key.is, Type::Later))
        .map(|key| format!("`{}`", key.name))
        .collect();
    if !later.is_empty() {
        rows.push_str(&format!("\nKnown, and not in this version: {}.\n", later.join(", ")));
    }
    rows
}

/// The page with its tables as the language has them.
fn page(text: &str) -> String {
    let mut text = text.to_owned();
    for (title, rows) in tables() {
        let begin = format!("<!-- keys {title} -->\n");
        let start = text.find(&begin).unwrap_or_else(|| panic!("the page has no `{begin}`"));
        let start = start + begin.len();
        let end = start + text[start..].find("<!-- end -->").expect("the table ends");
        text.replace_range(start..end, &rows);
    }
    text
}

#[test]
fn the_page_shows_every_key() {
    let text = std::fs::read_to_string(PAGE).expect("docs/language.md");
    let fresh = page(&text);
    assert!(
        text == fresh,
        "docs/language.md is not as the language is: cargo test -p hive --lib \
         writes_the_keys_of_the_page -- --ignored"
    );
}

#[test]
#[ignore = "writes docs/language.md"]
fn writes_the_keys_of_the_page() {
    let text = std::fs::read_to_string(PAGE).expect("docs/language.md");
    std::fs::write(PAGE, page(&text)).expect("written");
}

#[test]
fn the_examples_of_the_page_are_right() {
    let page = std::fs::read_to_string(PAGE).expect("docs/language.md");
    let blocks: Vec<&str> = page
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect();
    assert!(blocks.len() >= 8, "{}", blocks.len());
    for block in blocks {
        let wrong = schema::check(&language_schema(), block);
        assert!(wrong.is_empty(), "{block}\n{wrong:?}");
        // An overlay is a fragment; everything else is a stack but for its name.
        if block.starts_with("# staging.toml") {
            continue;
        }
        let head = if block.contains("[stack]") { "" } else { "[stack]\nname = \"s\"\n" };
        let text = format!("{head}{block}");
        let folder = folder(FILES);
        std::fs::write(folder.path().join("stack.toml"), runnable(&text)).expect("written");
        let parsed = read(folder.path(), "dev");
        assert!(parsed.is_ok(), "{block}\n{}", shown(&parsed.err().unwrap_or_default()));
    }
}
