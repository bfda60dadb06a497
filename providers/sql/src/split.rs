//! Where one statement ends and the next begins.

use crate::dialect::Dialect;
use crate::lexeme::{self, Lexeme};
use crate::script::Statement;

/// The statements of a text, in order; what holds only blanks and comments is none.
pub fn statements(dialect: Dialect, text: &str) -> Vec<Statement> {
    // What is never closed is found before, by `normalise`; alone it is one statement.
    let Ok(all) = lexeme::lexemes(dialect, text) else {
        return vec![Statement::new(dialect, text, 0, text.len(), 1)];
    };
    let mut found = Vec::new();
    let mut state = State::default();
    let mut span: Option<Span> = None;
    let mut line = 1;
    for one in &all {
        if one.counts() && !(one.is_symbol(";") && state.ends(dialect)) {
            state.take(dialect, one);
            let begin = span.take().unwrap_or(Span { start: one.start, end: 0, line });
            span = Some(Span { end: one.end(), ..begin });
        } else if one.counts() {
            found.extend(span.take().map(|span| span.statement(dialect, text)));
            state = State::default();
        }
        let lines = one.text.bytes().filter(|byte| *byte == b'\n').count();
        line += u32::try_from(lines).unwrap_or(u32::MAX);
    }
    found.extend(span.map(|span| span.statement(dialect, text)));
    found
}

/// Where a statement lies.
struct Span {
    start: usize,
    end: usize,
    line: u32,
}

impl Span {
    fn statement(&self, dialect: Dialect, text: &str) -> Statement {
        Statement::new(dialect, text, self.start, self.end, self.line)
    }
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
