//! Where one statement ends and the next begins.

use crate::dialect::Dialect;
use crate::lexeme::{self, Lexeme};
use crate::script::Statement;

/// The statements of a text, in order; what holds only blanks and comments is none.
pub fn statements(dialect: Dialect, text: &str) -> Vec<Statement> {
    // What is never closed is found before, by `normalise`; alone it is one statement.
    let Ok(all) = lexeme::lexemes(dialect, text) else {
        return vec![Statement::new(dialect, text, 0, text.len())];
    };
    let mut found = Vec::new();
    let mut state = State::default();
    let mut span: Option<(usize, usize)> = None;
    for one in all.iter().filter(|one| one.counts()) {
        if one.is_symbol(";") && state.ends(dialect) {
            if let Some((start, end)) = span.take() {
                found.push(Statement::new(dialect, text, start, end));
            }
            state = State::default();
            continue;
        }
        state.take(dialect, one);
        span = Some((span.map_or(one.start, |(start, _)| start), one.end()));
    }
    if let Some((start, end)) = span {
        found.push(Statement::new(dialect, text, start, end));
    }
    found
}

/// What has been seen of the statement so far.
#[derive(Default)]
struct State {
    /// The first words, in lower case.
    first: Vec<String>,
    /// Open parentheses.
    parens: u32,
    /// Open `BEGIN ATOMIC` and, inside of it, `CASE`.
    blocks: u32,
    /// Inside of a trigger: whether `; END` was seen last.
    trigger: Trigger,
    /// Whether the last word was `BEGIN`.
    begin: bool,
    /// Whether the last piece makes the next word a name, whatever it is.
    names: bool,
}

#[derive(Default, PartialEq, Eq)]
enum Trigger {
    #[default]
    Body,
    Semicolon,
    End,
}

impl State {
    fn take(&mut self, dialect: Dialect, one: &Lexeme<'_>) {
        if self.first.len() < 5 {
            self.first.push(one.text.to_ascii_lowercase());
        }
        match dialect {
            Dialect::Sqlite => self.take_sqlite(one),
            Dialect::Postgres => self.take_postgres(one),
        }
    }

    fn take_sqlite(&mut self, one: &Lexeme<'_>) {
        self.trigger = if one.is_symbol(";") {
            Trigger::Semicolon
        } else if self.trigger == Trigger::Semicolon && one.is("end") {
            Trigger::End
        } else {
            Trigger::Body
        };
    }

    fn take_postgres(&mut self, one: &Lexeme<'_>) {
        if one.is_symbol("(") {
            self.parens += 1;
        } else if one.is_symbol(")") {
            self.parens = self.parens.saturating_sub(1);
        } else if !self.names {
            let opens_body = self.begin && one.is("atomic") && self.creates_routine();
            if opens_body || self.blocks > 0 && one.is("case") {
                self.blocks += 1;
            } else if self.blocks > 0 && one.is("end") {
                self.blocks -= 1;
            }
        }
        self.begin = one.is("begin");
        self.names = one.is_symbol(".") || one.is("as");
    }

    /// Whether a semicolon here ends the statement.
    fn ends(&self, dialect: Dialect) -> bool {
        match dialect {
            Dialect::Sqlite => !self.creates_trigger() || self.trigger == Trigger::End,
            Dialect::Postgres => self.parens == 0 && self.blocks == 0,
        }
    }

    fn creates_trigger(&self) -> bool {
        let mut words = self.first.iter().map(String::as_str);
        if words.next() != Some("create") {
            return false;
        }
        match words.next() {
            Some("trigger") => true,
            Some("temp" | "temporary") => words.next() == Some("trigger"),
            _ => false,
        }
    }

    fn creates_routine(&self) -> bool {
        let mut words =
            self.first.iter().map(String::as_str).filter(|word| !matches!(*word, "or" | "replace"));
        words.next() == Some("create") && matches!(words.next(), Some("function" | "procedure"))
    }
}
