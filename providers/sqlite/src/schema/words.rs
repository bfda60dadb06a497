//! SQL in one form: without comments, one blank between pieces, no quotes where none are needed.

use hive_sql::Dialect;
use hive_sql::lexeme::{self, Sort};

/// One piece of SQL that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// In the one form.
    pub(super) text: String,
    /// Whether it may be a keyword: neither quoted nor a literal.
    pub(super) plain: bool,
}

impl Word {
    /// Whether it is this keyword, given in lower case.
    pub(super) fn is(&self, keyword: &str) -> bool {
        self.plain && self.text == keyword
    }
}

/// The pieces of a text. One that never ends stands as it is.
pub(super) fn words(sql: &str) -> Vec<Word> {
    let Ok(lexemes) = lexeme::lexemes(Dialect::Sqlite, sql) else {
        return vec![Word { text: sql.to_owned(), plain: false }];
    };
    let counted = lexemes.into_iter().filter(|it| it.counts());
    let word = |it: lexeme::Lexeme<'_>| match it.sort {
        Sort::Word => Word { text: it.text.to_lowercase(), plain: true },
        Sort::Name => Word { text: name(it.text), plain: false },
        Sort::Symbol => Word { text: it.text.to_owned(), plain: true },
        _ => Word { text: it.text.to_owned(), plain: false },
    };
    counted.map(word).collect()
}

/// A quoted name without its quotes, in lower case: SQLite's names do not know case.
fn name(quoted: &str) -> String {
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or(quoted);
    let inner = match quoted.as_bytes().first() {
        Some(b'"') => inner.replace("\"\"", "\""),
        Some(b'`') => inner.replace("``", "`"),
        _ => inner.to_owned(),
    };
    let needs_none = !inner.is_empty() && inner.chars().all(|c| c.is_alphanumeric() || c == '_');
    let lower = inner.to_lowercase();
    if needs_none { lower } else { format!("\"{lower}\"") }
}

/// Pieces as one text.
pub(super) fn joined<'a>(words: impl IntoIterator<Item = &'a Word>) -> String {
    let mut text = String::new();
    for word in words {
        let tight = matches!(word.text.as_str(), "," | ")" | "." | ";") || text.is_empty();
        if !tight && !text.ends_with(['(', '.']) {
            text.push(' ');
        }
        text.push_str(&word.text);
    }
    text
}

/// A text in the one form.
pub(super) fn canonical(sql: &str) -> String {
    joined(&words(sql))
}
