//! The smallest pieces of SQL: where words, literals and comments begin and end.

use crate::dialect::Dialect;

/// What sort of piece it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// A keyword or an unquoted name.
    Word,
    /// A quoted name.
    Name,
    /// A text literal in any of its forms, dollar-quoted ones included.
    Text,
    /// A number.
    Number,
    /// An operator or punctuation.
    Symbol,
    /// A comment.
    Comment,
    /// Blanks and line ends.
    Space,
}

/// One piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lexeme<'a> {
    /// What it is.
    pub sort: Sort,
    /// As it is written.
    pub text: &'a str,
    /// Where it begins, in bytes.
    pub start: usize,
}

impl<'a> Lexeme<'a> {
    /// Where it ends, in bytes.
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Whether it says something to the database.
    pub fn counts(&self) -> bool {
        !matches!(self.sort, Sort::Comment | Sort::Space)
    }

    /// Whether it is this keyword, in any case.
    pub fn is(&self, word: &str) -> bool {
        self.sort == Sort::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether it is this operator or punctuation.
    pub fn is_symbol(&self, symbol: &str) -> bool {
        self.sort == Sort::Symbol && self.text == symbol
    }
}

/// Why a text has no end: what was never closed, and where it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclosed {
    /// Such as `a text in quotes`.
    pub what: &'static str,
    /// Where it begins, in bytes.
    pub start: usize,
}

/// All pieces of a text, without gaps: joined, they are the text.
///
/// # Errors
/// A literal, a quoted name or a comment is never closed.
pub fn lexemes(dialect: Dialect, text: &str) -> Result<Vec<Lexeme<'_>>, Unclosed> {
    let mut lexer = Lexer { dialect, text, at: 0 };
    let mut all = Vec::with_capacity(text.len() / 4);
    while lexer.at < text.len() {
        let start = lexer.at;
        let sort = lexer.next()?;
        all.push(Lexeme { sort, text: &text[start..lexer.at], start });
    }
    Ok(all)
}

/// The line and the column of a place in a text, both counted from 1, the column in characters.
pub fn position(text: &str, at: usize) -> (u32, u32) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let begin = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let column = text.get(begin..at).map_or(0, |part| part.chars().count()) + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}

struct Lexer<'a> {
    dialect: Dialect,
    text: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn next(&mut self) -> Result<Sort, Unclosed> {
        let rest = self.rest();
        let first = rest.as_bytes()[0];
        if first.is_ascii_whitespace() || first == 0x0b {
            return Ok(self.space());
        }
        if rest.starts_with("--") {
            self.at += rest.find('\n').unwrap_or(rest.len());
            return Ok(Sort::Comment);
        }
        if rest.starts_with("/*") {
            return self.block_comment();
        }
        match first {
            b'\'' => self.quoted(b'\'', false, Sort::Text),
            b'"' => self.quoted(b'"', false, Sort::Name),
            b'`' if self.dialect == Dialect::Sqlite => self.quoted(b'`', false, Sort::Name),
            b'[' if self.dialect == Dialect::Sqlite => self.bracketed(),
            b'$' => self.dollar(),
            b'0'..=b'9' => Ok(self.number()),
            b'.' if rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit) => Ok(self.number()),
            _ if begins_word(first) => self.word(),
            _ => Ok(self.symbol()),
        }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) -> Sort {
        let bytes = self.rest().bytes();
        self.at += bytes.take_while(|byte| byte.is_ascii_whitespace() || *byte == 0x0b).count();
        Sort::Space
    }

    fn block_comment(&mut self) -> Result<Sort, Unclosed> {
        let start = self.at;
        let nests = self.dialect == Dialect::Postgres;
        let mut depth = 0_usize;
        let bytes = self.text.as_bytes();
        while self.at < bytes.len() {
            let pair = &bytes[self.at..bytes.len().min(self.at + 2)];
            if pair == b"/*" && (depth == 0 || nests) {
                depth += 1;
                self.at += 2;
            } else if pair == b"*/" {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return Ok(Sort::Comment);
                }
            } else {
                self.at += 1;
            }
        }
        Err(Unclosed { what: "a comment", start })
    }

    /// A quoted piece at the lexer's place; a doubled quote stands for itself.
    fn quoted(&mut self, quote: u8, escapes: bool, sort: Sort) -> Result<Sort, Unclosed> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        self.at += 1;
        while self.at < bytes.len() {
            let byte = bytes[self.at];
            if escapes && byte == b'\\' {
                self.at += 2;
            } else if byte != quote {
                self.at += 1;
            } else if bytes.get(self.at + 1) == Some(&quote) {
                self.at += 2;
            } else {
                self.at += 1;
                return Ok(sort);
            }
        }
        self.at = bytes.len();
        let what = if sort == Sort::Text { "a text in quotes" } else { "a quoted name" };
        Err(Unclosed { what, start })
    }

    fn bracketed(&mut self) -> Result<Sort, Unclosed> {
        match self.rest().find(']') {
            Some(end) => {
                self.at += end + 1;
                Ok(Sort::Name)
            }
            None => Err(Unclosed { what: "a name in brackets", start: self.at }),
        }
    }

    fn dollar(&mut self) -> Result<Sort, Unclosed> {
        let rest = self.rest();
        let tag_end = rest[1..]
            .bytes()
            .position(|byte| !(byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80));
        let opener = match tag_end {
            Some(end)
                if self.dialect == Dialect::Postgres
                    && rest.as_bytes()[end + 1] == b'$'
                    && !rest.as_bytes()[1].is_ascii_digit() =>
            {
                &rest[..end + 2]
            }
            _ => {
                // A parameter, or a lone sign.
                let length = tag_end.map_or(rest.len(), |end| end + 1);
                self.at += length;
                return Ok(Sort::Symbol);
            }
        };
        match rest[opener.len()..].find(opener) {
            Some(end) => {
                self.at += opener.len() + end + opener.len();
                Ok(Sort::Text)
            }
            None => Err(Unclosed { what: "a text in dollar quotes", start: self.at }),
        }
    }

    fn number(&mut self) -> Sort {
        let bytes = self.text.as_bytes();
        let start = self.at;
        while self.at < bytes.len() {
            let byte = bytes[self.at];
            let hex = bytes[start..].get(1).is_some_and(|byte| byte.eq_ignore_ascii_case(&b'x'));
            let sign = matches!(byte, b'+' | b'-')
                && self.at > start
                && bytes[self.at - 1].eq_ignore_ascii_case(&b'e')
                && !hex
                && bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit);
            // `1..2` is two numbers with two dots between them.
            let dots = byte == b'.' && bytes.get(self.at + 1) == Some(&b'.');
            if dots || !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_') || sign) {
                break;
            }
            self.at += 1;
        }
        if self.at == start {
            self.at += 1;
        }
        Sort::Number
    }

    fn word(&mut self) -> Result<Sort, Unclosed> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        while self.at < bytes.len() && goes_on_word(bytes[self.at]) {
            self.at += 1;
        }
        let prefix = &self.text[start..self.at];
        let next = bytes.get(self.at);
        if next == Some(&b'\'') && self.dialect == Dialect::Postgres {
            if prefix.eq_ignore_ascii_case("e") {
                return self.escaped(start);
            }
            if ["b", "x", "n"].iter().any(|one| prefix.eq_ignore_ascii_case(one)) {
                return self.quoted(b'\'', false, Sort::Text).map_err(|e| Unclosed { start, ..e });
            }
        }
        if next == Some(&b'\'')
            && self.dialect == Dialect::Sqlite
            && prefix.eq_ignore_ascii_case("x")
        {
            return self.quoted(b'\'', false, Sort::Text).map_err(|e| Unclosed { start, ..e });
        }
        if self.dialect == Dialect::Postgres
            && prefix.eq_ignore_ascii_case("u")
            && next == Some(&b'&')
            && let Some(quote @ (b'\'' | b'"')) = bytes.get(self.at + 1)
        {
            self.at += 1;
            let sort = if *quote == b'"' { Sort::Name } else { Sort::Text };
            return self.quoted(*quote, false, sort).map_err(|e| Unclosed { start, ..e });
        }
        Ok(Sort::Word)
    }

    /// `E'…'`, and what continues it behind a line end, where backslashes escape as well.
    fn escaped(&mut self, start: usize) -> Result<Sort, Unclosed> {
        let sort = self.quoted(b'\'', true, Sort::Text).map_err(|e| Unclosed { start, ..e })?;
        while let Some(next) = self.continuation() {
            self.at = next;
            self.quoted(b'\'', true, Sort::Text).map_err(|e| Unclosed { start, ..e })?;
        }
        Ok(sort)
    }

    /// Where a literal goes on: a quote behind blanks that hold a line end.
    fn continuation(&self) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let mut at = self.at;
        let mut line_end = false;
        loop {
            match bytes.get(at)? {
                b'\n' | b'\r' => {
                    line_end = true;
                    at += 1;
                }
                byte if byte.is_ascii_whitespace() => at += 1,
                b'-' if bytes.get(at + 1) == Some(&b'-') => {
                    at += bytes[at..].iter().position(|byte| *byte == b'\n')?;
                }
                b'\'' if line_end => return Some(at),
                _ => return None,
            }
        }
    }

    fn symbol(&mut self) -> Sort {
        const OPERATOR: &[u8] = b"+-*/<>=~!@#%^&|?";
        let rest = self.rest().as_bytes();
        let length = if rest.starts_with(b"::") || rest.starts_with(b":=") {
            2
        } else if OPERATOR.contains(&rest[0]) {
            let run = rest.iter().take_while(|byte| OPERATOR.contains(byte)).count();
            // A comment may begin in the middle of such a run.
            let comment = (1..run).find(|at| {
                let tail = &rest[*at..];
                tail.starts_with(b"--") || tail.starts_with(b"/*")
            });
            comment.unwrap_or(run)
        } else {
            self.rest().chars().next().map_or(1, char::len_utf8)
        };
        self.at += length;
        Sort::Symbol
    }
}

fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn goes_on_word(byte: u8) -> bool {
    begins_word(byte) || byte.is_ascii_digit() || byte == b'$'
}
