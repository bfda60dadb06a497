//! Reading along the words of one statement.

use crate::dialect::Dialect;
use crate::lexeme::{self, Lexeme, Sort};

/// What is left of a statement, without blanks and comments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phrase<'a, 'b> {
    dialect: Dialect,
    all: &'b [Lexeme<'a>],
}

/// The lexemes of a statement that count.
pub(crate) fn words(dialect: Dialect, text: &str) -> Vec<Lexeme<'_>> {
    let all = lexeme::lexemes(dialect, text).unwrap_or_default();
    all.into_iter().filter(Lexeme::counts).collect()
}

impl<'a, 'b> Phrase<'a, 'b> {
    pub(crate) fn new(dialect: Dialect, all: &'b [Lexeme<'a>]) -> Self {
        Self { dialect, all }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(crate) fn lexemes(&self) -> &'b [Lexeme<'a>] {
        self.all
    }

    pub(crate) fn first(&self) -> Option<&'b Lexeme<'a>> {
        self.all.first()
    }

    /// Whether it begins with these words.
    pub(crate) fn begins(&self, words: &str) -> bool {
        let mut at = self.all.iter();
        words.split(' ').all(|word| at.next().is_some_and(|one| one.is(word)))
    }

    /// Goes past these words where they come next.
    pub(crate) fn eat(&mut self, words: &str) -> bool {
        let begins = self.begins(words);
        if begins {
            self.all = &self.all[words.split(' ').count()..];
        }
        begins
    }

    /// Goes past a symbol where it comes next.
    pub(crate) fn eat_symbol(&mut self, symbol: &str) -> bool {
        let begins = self.first().is_some_and(|one| one.is_symbol(symbol));
        if begins {
            self.all = &self.all[1..];
        }
        begins
    }

    /// Goes past whatever comes next.
    pub(crate) fn skip(&mut self) {
        self.all = self.all.get(1..).unwrap_or_default();
    }

    /// Goes to the first of these words outside of parentheses, and past it; stays where it is not.
    pub(crate) fn find(&mut self, words: &str) -> bool {
        let mut depth = 0_u32;
        for at in 0..self.all.len() {
            let rest = Self { all: &self.all[at..], ..*self };
            if depth == 0 && rest.begins(words) {
                *self = rest;
                return self.eat(words);
            }
            depth = deeper(depth, &self.all[at]);
        }
        false
    }

    /// Whether these words come anywhere outside of parentheses.
    pub(crate) fn has(&self, words: &str) -> bool {
        self.clone().find(words)
    }

    /// Whether these words come anywhere.
    pub(crate) fn holds(&self, words: &str) -> bool {
        (0..self.all.len()).any(|at| Self { all: &self.all[at..], ..*self }.begins(words))
    }

    /// A name, with what qualifies it: `public.orders`. Unquoted, folded as the engine does.
    pub(crate) fn name(&mut self) -> Option<String> {
        let mut name = self.part()?;
        while self.first().is_some_and(|one| one.is_symbol("."))
            && self.all.get(1).is_some_and(|one| matches!(one.sort, Sort::Word | Sort::Name))
        {
            self.skip();
            name.push('.');
            name.push_str(&self.part()?);
        }
        Some(name)
    }

    fn part(&mut self) -> Option<String> {
        let one = self.first()?;
        let part = match one.sort {
            Sort::Word => one.text.to_ascii_lowercase(),
            Sort::Name => unquoted(self.dialect, one.text),
            // SQLite takes a text for a name.
            Sort::Text if self.dialect == Dialect::Sqlite => unquoted(self.dialect, one.text),
            _ => return None,
        };
        self.skip();
        Some(part)
    }

    /// What is inside of the parentheses that begin here; goes past them.
    pub(crate) fn group(&mut self) -> Option<Self> {
        if !self.first()?.is_symbol("(") {
            return None;
        }
        let mut depth = 0;
        for (at, one) in self.all.iter().enumerate() {
            depth = deeper(depth, one);
            if depth == 0 {
                let inner = Self { all: &self.all[1..at], ..*self };
                self.all = &self.all[at + 1..];
                return Some(inner);
            }
        }
        None
    }

    /// Its parts between commas outside of parentheses.
    pub(crate) fn clauses(&self) -> Vec<Self> {
        let mut depth = 0;
        let mut parts = Vec::new();
        let mut from = 0;
        for (at, one) in self.all.iter().enumerate() {
            if depth == 0 && one.is_symbol(",") {
                parts.push(Self { all: &self.all[from..at], ..*self });
                from = at + 1;
            }
            depth = deeper(depth, one);
        }
        parts.push(Self { all: &self.all[from..], ..*self });
        parts
    }
}

fn deeper(depth: u32, one: &Lexeme<'_>) -> u32 {
    if one.is_symbol("(") {
        depth + 1
    } else if one.is_symbol(")") {
        depth.saturating_sub(1)
    } else {
        depth
    }
}

/// A name without its quotes; SQLite compares names without their case.
fn unquoted(dialect: Dialect, text: &str) -> String {
    let mut inner = text.chars();
    let quote = inner.next().unwrap_or('"');
    inner.next_back();
    let inner = inner.as_str();
    let bare = if quote == '[' {
        inner.to_owned()
    } else {
        inner.replace(&format!("{quote}{quote}"), &quote.to_string())
    };
    if dialect == Dialect::Sqlite { bare.to_ascii_lowercase() } else { bare }
}
