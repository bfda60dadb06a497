//! `ALTER`.

use super::{Act, NewColumn, NewRule, Rule};
use crate::dialect::Dialect;
use crate::lexeme::Sort;
use crate::phrase::Phrase;

/// Behind `ALTER TABLE`.
pub(super) fn table(dialect: Dialect, mut phrase: Phrase<'_, '_>) -> Vec<Act> {
    if phrase.eat("all in tablespace") {
        return vec![Act::Dynamic];
    }
    phrase.eat("if exists");
    phrase.eat("only");
    let Some(table) = phrase.name() else { return vec![Act::Dynamic] };
    phrase.eat_symbol("*");
    phrase.clauses().into_iter().map(|clause| action(dialect, &table, clause)).collect()
}

fn action(dialect: Dialect, table: &str, mut clause: Phrase<'_, '_>) -> Act {
    let table = table.to_owned();
    if clause.eat("add") {
        return added(dialect, table, clause);
    }
    if clause.eat("drop constraint") {
        return Act::DropRule { table };
    }
    if clause.eat("drop") {
        clause.eat("column");
        clause.eat("if exists");
        return Act::DropColumn { table, column: clause.name().unwrap_or_default() };
    }
    if clause.eat("alter constraint") {
        return Act::TableSetting { table, what: "a constraint".to_owned() };
    }
    if clause.eat("alter") {
        clause.eat("column");
        let column = clause.name().unwrap_or_default();
        return column_action(table, column, clause);
    }
    if clause.eat("validate constraint") {
        return Act::ValidateRule { table };
    }
    if clause.eat("rename constraint") {
        return Act::TableSetting { table, what: "the name of a constraint".to_owned() };
    }
    if clause.eat("rename to") {
        return Act::RenameTable { table, to: clause.name().unwrap_or_default() };
    }
    if clause.eat("rename") {
        clause.eat("column");
        return Act::RenameColumn { table, column: clause.name().unwrap_or_default() };
    }
    if clause.eat("attach partition") {
        return Act::AttachPartition { table, part: clause.name().unwrap_or_default() };
    }
    if clause.eat("detach partition") {
        let part = clause.name().unwrap_or_default();
        let concurrently = clause.has("concurrently") || clause.has("finalize");
        return Act::DetachPartition { table, part, concurrently };
    }
    setting(table, clause)
}

fn setting(table: String, mut clause: Phrase<'_, '_>) -> Act {
    if clause.eat("set schema") {
        return Act::Move { what: table };
    }
    let rewrites = [
        ("set logged", "`SET LOGGED`"),
        ("set unlogged", "`SET UNLOGGED`"),
        ("set access method", "`SET ACCESS METHOD`"),
        ("set tablespace", "`SET TABLESPACE`"),
    ];
    for (words, what) in rewrites {
        if clause.begins(words) {
            return Act::Rewrite { table: Some(table), what };
        }
    }
    for words in ["enable row level security", "force row level security"] {
        if clause.begins(words) {
            return Act::RowSecurity { table, on: true };
        }
    }
    for words in ["disable row level security", "no force row level security"] {
        if clause.begins(words) {
            return Act::RowSecurity { table, on: false };
        }
    }
    for (words, off) in [("disable", true), ("enable", false)] {
        if clause.begins(words) {
            return Act::SwitchTrigger { table, off };
        }
    }
    let what = clause.lexemes().iter().take(3).map(|one| one.text.to_ascii_lowercase());
    Act::TableSetting { table, what: what.collect::<Vec<_>>().join(" ") }
}

fn column_action(table: String, column: String, mut clause: Phrase<'_, '_>) -> Act {
    if clause.eat("set data type") || clause.eat("type") {
        let using = clause.has("using");
        let words = clause.lexemes().iter().take_while(|one| !one.is("using"));
        let to = words.map(|one| one.text.to_ascii_lowercase()).collect::<Vec<_>>().join(" ");
        return Act::ColumnType { table, column, to, using };
    }
    if clause.begins("set not null") {
        return Act::SetNotNull { table, column };
    }
    if clause.begins("drop not null") {
        return Act::DropNotNull { table };
    }
    if clause.begins("set default") {
        return Act::SetDefault { table };
    }
    if clause.begins("drop default") {
        return Act::DropDefault { table, column };
    }
    for (words, adds) in [
        ("add generated", true),
        ("set generated", false),
        ("drop identity", false),
        ("drop expression", false),
        ("set expression", false),
    ] {
        if clause.begins(words) {
            return Act::Regenerate { table, column, adds };
        }
    }
    Act::TableSetting { table, what: format!("column {column}") }
}

fn added(dialect: Dialect, table: String, mut clause: Phrase<'_, '_>) -> Act {
    if clause.eat("constraint") {
        clause.name();
        return match rule(&table, clause) {
            Some(rule) => Act::AddRule(rule),
            None => Act::Dynamic,
        };
    }
    let explicit = clause.eat("column");
    if !explicit && let Some(rule) = rule(&table, clause) {
        return Act::AddRule(rule);
    }
    clause.eat("if not exists");
    let column = clause.name().unwrap_or_default();
    Act::AddColumn(new_column(dialect, table, column, clause))
}

/// A rule for a table as it is written behind `ADD`, or behind the name of a constraint.
pub(super) fn rule(table: &str, mut clause: Phrase<'_, '_>) -> Option<NewRule> {
    let kind = if clause.eat("check") {
        Rule::Check
    } else if clause.eat("foreign key") {
        Rule::ForeignKey
    } else if clause.eat("primary key") {
        Rule::PrimaryKey
    } else if clause.eat("unique") {
        Rule::Unique
    } else if clause.eat("exclude") {
        Rule::Exclude
    } else if clause.eat("not null") {
        Rule::NotNull
    } else {
        return None;
    };
    let using_index = clause.has("using index") && !clause.has("using index tablespace");
    let not_valid = clause.has("not valid");
    let columns = columns(clause);
    let mut rest = clause;
    let references = if rest.find("references") { rest.name() } else { None };
    let table = table.to_owned();
    Some(NewRule { table, rule: kind, columns, not_valid, using_index, references })
}

/// The names that stand alone in the first parentheses, or right here.
pub(super) fn columns(clause: Phrase<'_, '_>) -> Vec<String> {
    let mut rest = clause;
    while !rest.is_empty() {
        if let Some(inner) = rest.group() {
            return inner.clauses().into_iter().filter_map(|mut one| one.name()).collect();
        }
        rest.skip();
    }
    let mut rest = clause;
    rest.name().into_iter().collect()
}

/// A column as it is written behind its name.
pub(super) fn new_column(
    dialect: Dialect,
    table: String,
    column: String,
    clause: Phrase<'_, '_>,
) -> NewColumn {
    let serial = clause.first().is_some_and(|one| {
        ["serial", "bigserial", "smallserial", "serial4", "serial8", "serial2"]
            .iter()
            .any(|word| one.is(word))
    });
    let mut default = clause;
    let has_default = default.find("default") && !default.begins("null");
    let identity = clause.has("as identity");
    let generated = clause.has("generated") && !identity;
    let stored = generated && clause.has("stored");
    let mut refers = clause;
    let references = if refers.find("references") { refers.name() } else { None };
    let primary = clause.has("primary key");
    let rewrites = match dialect {
        Dialect::Sqlite => None,
        Dialect::Postgres if serial => Some("a serial"),
        Dialect::Postgres if identity => Some("an identity"),
        Dialect::Postgres if stored => Some("a stored generated column"),
        Dialect::Postgres if has_default && is_volatile(default) => {
            Some("a default that is another for every row")
        }
        Dialect::Postgres => None,
    };
    NewColumn {
        table,
        column,
        not_null: clause.has("not null") || primary,
        filled: has_default || serial || identity || generated,
        rewrites,
        references,
        unique: clause.has("unique") || primary,
        check: clause.has("check"),
    }
}

/// Whether a default calls something that may answer another value for every row.
fn is_volatile(default: Phrase<'_, '_>) -> bool {
    const FIXED: [&str; 14] = [
        "now",
        "current_timestamp",
        "current_date",
        "current_time",
        "localtimestamp",
        "transaction_timestamp",
        "statement_timestamp",
        "current_setting",
        "varchar",
        "numeric",
        "char",
        "timestamp",
        "timestamptz",
        "decimal",
    ];
    let all = default.lexemes();
    let ends = |word: &str| ["not", "check", "unique", "references", "constraint"].contains(&word);
    all.windows(2).take_while(|pair| !ends(&pair[0].text.to_ascii_lowercase())).any(|pair| {
        let [name, open] = pair else { return false };
        matches!(name.sort, Sort::Word | Sort::Name)
            && open.is_symbol("(")
            && !FIXED.iter().any(|word| name.is(word))
    })
}

/// Behind `ALTER`, for whatever is no table.
pub(super) fn other(mut phrase: Phrase<'_, '_>) -> Vec<Act> {
    let sort = sort(&mut phrase);
    phrase.eat("if exists");
    let name = phrase.name().unwrap_or_default();
    if phrase.has("rename") {
        return vec![if sort == "index" {
            Act::TableSetting { table: String::new(), what: "the name of an index".to_owned() }
        } else {
            Act::Rename { sort, name }
        }];
    }
    if phrase.has("set schema") {
        return vec![Act::Move { what: format!("{sort} {name}") }];
    }
    let narrows = if sort == "domain" && (phrase.has("add") || phrase.has("set not null")) {
        Some("asks more of values")
    } else if sort == "type" && (phrase.has("drop attribute") || phrase.has("alter attribute")) {
        Some("changes what it is made of")
    } else if sort == "policy" {
        Some("changes who sees which rows")
    } else if (sort == "view" || sort == "materialized view") && phrase.has("alter") {
        Some("changes what it answers")
    } else {
        None
    };
    vec![Act::Alter { sort, name, narrows }]
}

/// Goes past the sort of an object, such as `materialized view`.
pub(super) fn sort(phrase: &mut Phrase<'_, '_>) -> String {
    const LONG: [&str; 12] = [
        "materialized view",
        "foreign table",
        "foreign data wrapper",
        "text search configuration",
        "text search dictionary",
        "text search parser",
        "text search template",
        "event trigger",
        "operator class",
        "operator family",
        "default privileges",
        "user mapping",
    ];
    if let Some(sort) = LONG.iter().find(|sort| phrase.eat(sort)) {
        return (*sort).to_owned();
    }
    let word = phrase.first().map(|one| one.text.to_ascii_lowercase()).unwrap_or_default();
    phrase.skip();
    word
}
