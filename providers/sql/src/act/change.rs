//! Statements about rows, and the rest.

use super::Act;
use crate::lexeme::Sort;
use crate::phrase::Phrase;

/// Any statement that is no `ALTER`, `CREATE` or `DROP`.
pub(super) fn rows(mut phrase: Phrase<'_, '_>) -> Vec<Act> {
    for verb in ["delete from", "update", "insert into", "merge into"] {
        if phrase.eat(verb) {
            return with_verb(verb, phrase);
        }
    }
    if phrase.eat("replace into")
        || phrase.begins("insert") && phrase.find("into")
        || phrase.eat("copy")
    {
        return with_verb("insert into", phrase);
    }
    if phrase.eat("truncate") {
        phrase.eat("table");
        return vec![Act::Truncate { tables: tables(phrase) }];
    }
    if phrase.eat("lock") {
        phrase.eat("table");
        let mut mode = phrase;
        let mode = if mode.find("in") { text(mode) } else { "access exclusive mode".to_owned() };
        return vec![Act::Lock { tables: tables(phrase), mode }];
    }
    maintenance(phrase)
}

/// Behind one of the verbs that change rows.
pub(super) fn with_verb(verb: &str, mut phrase: Phrase<'_, '_>) -> Vec<Act> {
    if verb == "update" && phrase.eat("or") {
        phrase.skip();
    }
    phrase.eat("only");
    let table = phrase.name().unwrap_or_default();
    let all = !phrase.has("where");
    vec![match verb {
        "delete from" => Act::Delete { table, all },
        "update" => Act::Update { table, all },
        "merge into" => Act::Update { table, all: false },
        _ => Act::Insert { table, from_query: phrase.has("select") },
    }]
}

fn maintenance(mut phrase: Phrase<'_, '_>) -> Vec<Act> {
    if phrase.eat("vacuum") {
        let options = phrase.group();
        let full = phrase.eat("full") || options.is_some_and(|inner| inner.holds("full"));
        for word in ["freeze", "verbose", "analyze"] {
            phrase.eat(word);
        }
        let table = phrase.name();
        return vec![if full {
            Act::Rewrite { table, what: "`VACUUM FULL`" }
        } else {
            Act::Vacuum
        }];
    }
    if phrase.eat("cluster") {
        phrase.group();
        phrase.eat("verbose");
        return vec![Act::Rewrite { table: phrase.name(), what: "`CLUSTER`" }];
    }
    if phrase.eat("reindex") {
        phrase.group();
        let is_table = phrase.eat("table");
        if !is_table {
            phrase.skip();
        }
        let concurrently = phrase.eat("concurrently");
        let table = if is_table { phrase.name() } else { None };
        return vec![Act::Reindex { table, concurrently }];
    }
    if phrase.eat("refresh materialized view") {
        let concurrently = phrase.eat("concurrently");
        return vec![Act::Refresh { view: phrase.name().unwrap_or_default(), concurrently }];
    }
    if phrase.eat("set") {
        let local = phrase.eat("local");
        phrase.eat("session");
        return vec![Act::Set { name: phrase.name().unwrap_or_default(), local }];
    }
    for (verb, act) in [("grant", Act::Grant), ("revoke", Act::Revoke), ("call", Act::Dynamic)] {
        if phrase.begins(verb) {
            return vec![act];
        }
    }
    vec![Act::Nothing]
}

fn tables(phrase: Phrase<'_, '_>) -> Vec<String> {
    phrase
        .clauses()
        .into_iter()
        .filter_map(|mut one| {
            one.eat("only");
            one.name()
        })
        .collect()
}

fn text(phrase: Phrase<'_, '_>) -> String {
    let words = phrase.lexemes().iter().filter(|one| one.sort == Sort::Word);
    words.map(|one| one.text.to_ascii_lowercase()).collect::<Vec<_>>().join(" ")
}
