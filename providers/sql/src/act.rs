//! What a statement does, as far as its words say it.

mod alter;
mod change;
mod define;

use crate::dialect::Dialect;
use crate::phrase::{self, Phrase};

/// What can be asked of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Check,
    ForeignKey,
    Unique,
    PrimaryKey,
    Exclude,
    NotNull,
}

impl Rule {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Check => "a check",
            Self::ForeignKey => "a foreign key",
            Self::Unique => "uniqueness",
            Self::PrimaryKey => "a primary key",
            Self::Exclude => "an exclusion",
            Self::NotNull => "`NOT NULL`",
        }
    }
}

/// A new column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NewColumn {
    pub(crate) table: String,
    pub(crate) column: String,
    pub(crate) not_null: bool,
    /// Whether rows get a value by themselves.
    pub(crate) filled: bool,
    /// Why every row is written anew.
    pub(crate) rewrites: Option<&'static str>,
    /// Whether it refers to another table.
    pub(crate) references: Option<String>,
    pub(crate) unique: bool,
    pub(crate) check: bool,
}

/// A new rule for rows that are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewRule {
    pub(crate) table: String,
    pub(crate) rule: Rule,
    pub(crate) columns: Vec<String>,
    pub(crate) not_valid: bool,
    pub(crate) using_index: bool,
    pub(crate) references: Option<String>,
}

/// One thing that a statement does. Names are folded as the engine folds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    CreateTable {
        table: String,
        references: Vec<String>,
    },
    DropTable {
        table: String,
    },
    RenameTable {
        table: String,
        to: String,
    },
    AddColumn(NewColumn),
    DropColumn {
        table: String,
        column: String,
    },
    RenameColumn {
        table: String,
        column: String,
    },
    ColumnType {
        table: String,
        column: String,
        to: String,
        using: bool,
    },
    SetNotNull {
        table: String,
        column: String,
    },
    SetDefault {
        table: String,
    },
    DropDefault {
        table: String,
        column: String,
    },
    DropNotNull {
        table: String,
    },
    /// Identity or generation of a column changes.
    Regenerate {
        table: String,
        column: String,
        adds: bool,
    },
    AddRule(NewRule),
    ValidateRule {
        table: String,
    },
    DropRule {
        table: String,
    },
    CreateIndex {
        table: String,
        columns: Vec<String>,
        unique: bool,
        concurrently: bool,
    },
    DropIndex {
        concurrently: bool,
    },
    Reindex {
        table: Option<String>,
        concurrently: bool,
    },
    CreateTrigger {
        table: String,
    },
    /// Triggers or rules of a table are switched.
    SwitchTrigger {
        table: String,
        off: bool,
    },
    RowSecurity {
        table: String,
        on: bool,
    },
    /// Every row is written anew: `SET LOGGED`, `VACUUM FULL`, `CLUSTER`.
    Rewrite {
        table: Option<String>,
        what: &'static str,
    },
    Vacuum,
    AttachPartition {
        table: String,
        part: String,
    },
    DetachPartition {
        table: String,
        part: String,
        concurrently: bool,
    },
    /// Settings of a table that no reader notices.
    TableSetting {
        table: String,
        what: String,
    },
    /// It goes to another schema.
    Move {
        what: String,
    },
    Truncate {
        tables: Vec<String>,
    },
    Delete {
        table: String,
        all: bool,
    },
    Update {
        table: String,
        all: bool,
    },
    Insert {
        table: String,
        from_query: bool,
    },
    Lock {
        tables: Vec<String>,
        mode: String,
    },
    Refresh {
        view: String,
        concurrently: bool,
    },
    /// Another object is made.
    Create {
        sort: String,
        name: String,
        replaces: bool,
    },
    /// Another object is dropped.
    Drop {
        sort: String,
        name: String,
    },
    /// Another object or a part of it is renamed.
    Rename {
        sort: String,
        name: String,
    },
    /// Another object is changed.
    Alter {
        sort: String,
        name: String,
        narrows: Option<&'static str>,
    },
    Grant,
    Revoke,
    /// A setting for the rest of the session.
    Set {
        name: String,
        local: bool,
    },
    /// SQL that is made while it runs, or that hive cannot read.
    Dynamic,
    Nothing,
}

/// What a statement does; a statement that only reads does nothing.
pub(crate) fn acts(dialect: Dialect, text: &str) -> Vec<Act> {
    let words = phrase::words(dialect, text);
    of_phrase(dialect, Phrase::new(dialect, &words))
}

fn of_phrase(dialect: Dialect, mut phrase: Phrase<'_, '_>) -> Vec<Act> {
    if phrase.begins("with") {
        // What a common table expression is for comes behind it.
        let mut main = phrase;
        for verb in ["delete from", "update", "insert into", "merge into"] {
            if phrase.has(verb) && main.find(verb) {
                return change::with_verb(verb, main);
            }
        }
        return vec![Act::Nothing];
    }
    if phrase.eat("alter table") {
        return alter::table(dialect, phrase);
    }
    if phrase.eat("alter") {
        return alter::other(phrase);
    }
    if phrase.eat("create") {
        return define::create(phrase);
    }
    if phrase.eat("drop") {
        return define::drop(phrase);
    }
    if phrase.eat("do") {
        return dynamic(phrase);
    }
    change::rows(phrase)
}

/// A `DO` block: its statements as far as they begin like such.
fn dynamic(phrase: Phrase<'_, '_>) -> Vec<Act> {
    let body = phrase.lexemes().iter().find_map(|one| dollar_body(one.text));
    let Some(body) = body else { return vec![Act::Dynamic] };
    let words = phrase::words(Dialect::Postgres, body);
    let mut found = Vec::new();
    for piece in words.split(|one| one.is_symbol(";")) {
        const VERBS: [&str; 7] =
            ["alter", "drop", "truncate", "delete", "update", "create", "insert"];
        if piece.iter().any(|one| one.is("execute")) {
            found.push(Act::Dynamic);
        }
        let begin = piece.iter().position(|one| VERBS.iter().any(|verb| one.is(verb)));
        if let Some(begin) = begin {
            found.extend(of_phrase(
                Dialect::Postgres,
                Phrase::new(Dialect::Postgres, &piece[begin..]),
            ));
        }
    }
    found
}

fn dollar_body(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('$')?;
    let tag = &text[..rest.find('$')? + 2];
    text.strip_prefix(tag)?.strip_suffix(tag)
}
