//! What a file may not hold, whatever a person says.

use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::lexeme::{self, Sort};
use crate::phrase::{self, Phrase};
use crate::script::{Script, Statement};

/// Adds what is wrong with a file's statements to `faults`.
pub(crate) fn check(dialect: Dialect, script: &Script, faults: &mut Vec<Fault>) {
    if let Some(at) = script.text.find('\0') {
        let (line, column) = lexeme::position(&script.text, at);
        faults.push(Fault::of(&script.file, "a NUL byte").at(line, column));
    }
    let mut outside: Vec<&Statement> = Vec::new();
    let mut inside: Vec<&Statement> = Vec::new();
    for statement in &script.statements {
        let words = phrase::words(dialect, &statement.text);
        let phrase = Phrase::new(dialect, &words);
        if let Some((message, help)) = refused(dialect, phrase, script.transactional) {
            faults.push(at(script, statement, message).help(help));
            continue;
        }
        match outside_of_transaction(dialect, phrase) {
            Some(what) if script.transactional => {
                let help = if what.ends_with("foreign_keys`") {
                    "take it out: files are applied with foreign keys off, and all of them are \
                     checked before the end"
                } else {
                    "give it a file of its own with `-- hive: no-transaction` at the top"
                };
                let message = format!("{what} cannot run inside a transaction");
                faults.push(at(script, statement, message).help(help));
            }
            Some(_) => outside.push(statement),
            None if !harmless(phrase) => inside.push(statement),
            None => {}
        }
    }
    if let (Some(out), Some(mixed)) = (outside.first(), inside.first()) {
        let message = format!(
            "it runs without a transaction for the statement of line {}, and could run in one",
            out.line
        );
        let help = "move it to a file of its own: where one of them fails, the other stays done";
        faults.push(at(script, mixed, message).help(help));
    }
    if dialect == Dialect::Postgres {
        used_enum_values(script, faults);
    }
}

fn at(script: &Script, statement: &Statement, message: impl Into<String>) -> Fault {
    let (line, column) = lexeme::position(&script.text, statement.start);
    Fault::of(&script.file, message).at(line, column)
}

/// What hive runs in no file.
fn refused(
    dialect: Dialect,
    phrase: Phrase<'_, '_>,
    transactional: bool,
) -> Option<(String, &'static str)> {
    const DATABASE: &str = "a database is made with `create = true` in its declaration, and never \
                            dropped by hive";
    const TRANSACTION: &str = "take it out: hive begins and commits, with the history row in the \
                               same transaction; `-- hive: no-transaction` at the top runs a file \
                               without one";
    for words in ["drop database", "create database"] {
        if phrase.begins(words) {
            return Some((format!("`{}` in a migration", words.to_uppercase()), DATABASE));
        }
    }
    let nested = ["begin", "start transaction", "commit", "end", "abort", "prepare transaction"];
    let savepoint = ["savepoint", "release", "rollback"];
    let control = nested.iter().any(|words| phrase.begins(words))
        || phrase.begins("rollback") && !phrase.has("to")
        || !transactional && savepoint.iter().any(|words| phrase.begins(words));
    if control {
        let word = phrase.first().map(|one| one.text.to_uppercase()).unwrap_or_default();
        return Some((format!("`{word}` in a migration"), TRANSACTION));
    }
    match dialect {
        Dialect::Postgres => refused_by_postgres(phrase),
        Dialect::Sqlite => refused_by_sqlite(phrase),
    }
}

fn refused_by_postgres(phrase: Phrase<'_, '_>) -> Option<(String, &'static str)> {
    if phrase.begins("copy") && (phrase.has("from stdin") || phrase.has("to stdout")) {
        return Some((
            "`COPY` from or to a client".to_owned(),
            "its rows are no SQL: write `INSERT INTO … VALUES` (`pg_dump --inserts` does)",
        ));
    }
    let meta = phrase.lexemes().iter().find(|one| one.is_symbol("\\"))?;
    let command = phrase.lexemes().iter().find(|one| one.start == meta.end());
    Some((
        format!("`\\{}` is a command of psql", command.map_or("", |one| one.text)),
        "hive sends SQL: write what the command does",
    ))
}

fn refused_by_sqlite(phrase: Phrase<'_, '_>) -> Option<(String, &'static str)> {
    let first = phrase.first()?;
    if first.is_symbol(".") {
        let command = phrase.lexemes().get(1).map_or("", |one| one.text);
        let help = "hive sends SQL: write what the command does";
        return Some((format!("`.{command}` is a command of the sqlite3 shell"), help));
    }
    if phrase.begins("attach") || phrase.begins("detach") {
        let word = first.text.to_uppercase();
        let help = "no backup of this database holds what lies in another file";
        return Some((format!("`{word}` in a migration"), help));
    }
    None
}

/// What cannot run inside a transaction, or has no effect in it, in words.
fn outside_of_transaction(dialect: Dialect, phrase: Phrase<'_, '_>) -> Option<String> {
    match dialect {
        Dialect::Postgres => outside_in_postgres(phrase),
        Dialect::Sqlite => outside_in_sqlite(phrase),
    }
}

fn outside_in_postgres(phrase: Phrase<'_, '_>) -> Option<String> {
    let index = |p: Phrase<'_, '_>| {
        p.begins("create index concurrently") || p.begins("create unique index concurrently")
    };
    let what = if index(phrase) {
        "`CREATE INDEX CONCURRENTLY`"
    } else if phrase.begins("drop index concurrently") {
        "`DROP INDEX CONCURRENTLY`"
    } else if phrase.begins("reindex") && phrase.holds("concurrently") {
        "`REINDEX CONCURRENTLY`"
    } else if ["database", "system", "schema"].iter().any(|sort| reindexes(phrase, sort)) {
        "`REINDEX` of more than one table"
    } else if phrase.begins("vacuum") {
        "`VACUUM`"
    } else if phrase.begins("alter system") {
        "`ALTER SYSTEM`"
    } else if phrase.begins("create tablespace") || phrase.begins("drop tablespace") {
        "a change of tablespaces"
    } else if phrase.begins("alter table")
        && phrase.has("detach partition")
        && (phrase.has("concurrently") || phrase.has("finalize"))
    {
        "`DETACH PARTITION CONCURRENTLY`"
    } else if phrase.begins("alter database") && phrase.has("set tablespace") {
        "`ALTER DATABASE … SET TABLESPACE`"
    } else if phrase.begins("cluster") && phrase.lexemes().len() <= 2 && !names_a_table(phrase) {
        "`CLUSTER` of all tables"
    } else if phrase.begins("create subscription") && !phrase.holds("create_slot")
        || phrase.begins("drop subscription")
    {
        "a change of subscriptions"
    } else {
        return None;
    };
    Some(what.to_owned())
}

fn reindexes(phrase: Phrase<'_, '_>, sort: &str) -> bool {
    let mut phrase = phrase;
    if !phrase.eat("reindex") {
        return false;
    }
    phrase.group();
    phrase.begins(sort)
}

fn names_a_table(phrase: Phrase<'_, '_>) -> bool {
    phrase.lexemes().get(1).is_some_and(|one| !one.is("verbose"))
}

fn outside_in_sqlite(phrase: Phrase<'_, '_>) -> Option<String> {
    if phrase.begins("vacuum") {
        return Some("`VACUUM`".to_owned());
    }
    let mut phrase = phrase;
    if !phrase.eat("pragma") {
        return None;
    }
    let name = phrase.name()?;
    let name = name.rsplit('.').next().unwrap_or(&name);
    let asks_only = phrase.is_empty();
    let outside = ["foreign_keys", "journal_mode", "synchronous", "auto_vacuum", "page_size"];
    (outside.contains(&name) && !asks_only).then(|| format!("`PRAGMA {name}`"))
}

/// What stands beside anything: it leaves nothing half done.
fn harmless(phrase: Phrase<'_, '_>) -> bool {
    ["set", "reset", "analyze", "select", "comment", "pragma", "savepoint", "release", "show"]
        .iter()
        .any(|word| phrase.begins(word))
        || phrase.begins("drop index if exists")
}

/// A value added to an enum cannot be used in the transaction that adds it.
fn used_enum_values(script: &Script, faults: &mut Vec<Fault>) {
    if !script.transactional {
        return;
    }
    let mut added: Vec<(&str, u32)> = Vec::new();
    let all: Vec<_> = script
        .statements
        .iter()
        .map(|statement| (statement, phrase::words(Dialect::Postgres, &statement.text)))
        .collect();
    for (statement, words) in &all {
        let mut phrase = Phrase::new(Dialect::Postgres, words);
        if phrase.eat("alter type") {
            if phrase.find("add value") {
                phrase.eat("if not exists");
                added.extend(phrase.first().map(|one| (one.text, statement.line)));
            }
            continue;
        }
        let used = words.iter().find(|one| {
            one.sort == Sort::Text && added.iter().any(|(value, _)| *value == one.text)
        });
        if let Some(used) = used {
            let line = added.iter().find(|(value, _)| *value == used.text).map_or(0, |(_, l)| *l);
            let message =
                format!("{} is used in the transaction that adds it (line {line})", used.text);
            let help = "PostgreSQL refuses that: use it in the next file";
            faults.push(at(script, statement, message).help(help));
        }
    }
}
