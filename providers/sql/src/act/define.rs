//! `CREATE` and `DROP`.

use super::{Act, alter};
use crate::phrase::Phrase;

/// Behind `CREATE`.
pub(super) fn create(mut phrase: Phrase<'_, '_>) -> Vec<Act> {
    let replaces = phrase.eat("or replace");
    for word in ["global", "local", "temporary", "temp", "unlogged", "recursive", "virtual"] {
        phrase.eat(word);
    }
    let unique = phrase.eat("unique");
    if phrase.eat("index") {
        return vec![index(phrase, unique)];
    }
    if phrase.eat("table") {
        phrase.eat("if not exists");
        let table = phrase.name().unwrap_or_default();
        return vec![Act::CreateTable { table, references: references(phrase) }];
    }
    let constraint = phrase.eat("constraint");
    if phrase.eat("trigger") {
        phrase.eat("if not exists");
        let mut on = phrase;
        let table = if on.find("on") { on.name().unwrap_or_default() } else { String::new() };
        return vec![Act::CreateTrigger { table }];
    }
    if constraint {
        return vec![Act::Dynamic];
    }
    if phrase.eat("policy") {
        let mut on = phrase;
        let table = if on.find("on") { on.name().unwrap_or_default() } else { String::new() };
        return vec![Act::RowSecurity { table, on: true }];
    }
    let sort = alter::sort(&mut phrase);
    phrase.eat("if not exists");
    let name = phrase.name().unwrap_or_default();
    vec![Act::Create { sort, name, replaces }]
}

fn index(mut phrase: Phrase<'_, '_>, unique: bool) -> Act {
    let concurrently = phrase.eat("concurrently");
    phrase.eat("if not exists");
    phrase.find("on");
    phrase.eat("only");
    let table = phrase.name().unwrap_or_default();
    Act::CreateIndex { table, columns: alter::columns(phrase), unique, concurrently }
}

/// The tables that a new table refers to.
fn references(phrase: Phrase<'_, '_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = phrase;
    while !rest.is_empty() {
        if let Some(inner) = rest.group() {
            for clause in inner.clauses() {
                let mut clause = clause;
                if clause.find("references") {
                    found.extend(clause.name());
                }
            }
        } else {
            rest.skip();
        }
    }
    found
}

/// Behind `DROP`.
pub(super) fn drop(mut phrase: Phrase<'_, '_>) -> Vec<Act> {
    let sort = alter::sort(&mut phrase);
    if sort == "owned" {
        return vec![Act::Drop { sort: "what is owned".to_owned(), name: String::new() }];
    }
    let concurrently = phrase.eat("concurrently");
    phrase.eat("if exists");
    let one = |mut clause: Phrase<'_, '_>| {
        let name = clause.name().unwrap_or_default();
        match sort.as_str() {
            "table" => Act::DropTable { table: name },
            "index" => Act::DropIndex { concurrently },
            _ => Act::Drop { sort: sort.clone(), name },
        }
    };
    phrase.clauses().into_iter().map(one).collect()
}
