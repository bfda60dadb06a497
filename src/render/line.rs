//! One line of painted pieces, measured without its paint, and wrapped or cut to a width.

use super::style::{Paint, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Painted pieces that belong on one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pieces: Vec<(Paint, String)>,
}

/// The narrowest room in which text is still broken and not simply left to the terminal.
const NARROWEST: usize = 20;

impl Line {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A line that begins with spaces.
    pub fn indented(columns: usize) -> Self {
        Self::new().plain(" ".repeat(columns))
    }

    /// The same with one more piece.
    #[must_use]
    pub fn with(mut self, paint: Paint, text: impl Into<String>) -> Self {
        self.pieces.push((paint, text.into()));
        self
    }

    /// The same with one more plain piece.
    #[must_use]
    pub fn plain(self, text: impl Into<String>) -> Self {
        self.with(Paint::Plain, text)
    }

    /// The same, filled with spaces up to a column; two at least where it is there already.
    #[must_use]
    pub fn to_column(self, column: usize) -> Self {
        let missing = column.saturating_sub(self.width()).max(2);
        self.plain(" ".repeat(missing))
    }

    /// How many columns it takes.
    pub fn width(&self) -> usize {
        self.pieces.iter().map(|(_, text)| text.width()).sum()
    }

    /// Adds it to `out`, broken between words where it is wider than `style.width`; what follows
    /// the first break is indented by `hang`.
    pub fn write(&self, out: &mut String, style: Style, hang: usize) {
        for line in self.wrap(style.width, hang) {
            line.write_unbroken(out, style);
        }
    }

    /// Adds it to `out` as it is.
    pub fn write_unbroken(&self, out: &mut String, style: Style) {
        let text_ends = self.pieces.iter().rposition(|(_, text)| !text.trim_end().is_empty());
        for (at, (paint, text)) in self.pieces.iter().enumerate() {
            match text_ends {
                Some(last) if at < last => style.paint_into(out, *paint, text),
                Some(last) if at == last => style.paint_into(out, *paint, text.trim_end()),
                _ => {}
            }
        }
        out.push('\n');
    }

    /// Broken between words. A word that is wider than a line is left to the terminal, so that a
    /// path can be copied as one.
    pub fn wrap(&self, width: usize, hang: usize) -> Vec<Self> {
        if self.width() <= width || width < hang.saturating_add(NARROWEST) {
            return vec![self.clone()];
        }
        let mut wrapping = Wrapping { width, hang, lines: Vec::new(), line: Self::new(), at: 0 };
        for (paint, text) in &self.pieces {
            for word in words(text) {
                wrapping.push(*paint, word);
            }
        }
        wrapping.end()
    }
}

struct Wrapping {
    width: usize,
    hang: usize,
    lines: Vec<Line>,
    line: Line,
    at: usize,
}

impl Wrapping {
    fn push(&mut self, paint: Paint, word: &str) {
        let wide = word.width();
        let blank = word.trim().is_empty();
        if self.at + wide <= self.width {
            return self.put(paint, word, wide);
        }
        if blank {
            return self.turn();
        }
        if self.at > self.hang {
            self.turn();
        }
        self.put(paint, word, wide);
    }

    fn put(&mut self, paint: Paint, text: &str, wide: usize) {
        let fresh = self.at == self.hang && !self.lines.is_empty();
        if fresh && text.trim().is_empty() {
            return;
        }
        self.at += wide;
        match self.line.pieces.last_mut() {
            Some((last, before)) if *last == paint => before.push_str(text),
            _ => self.line.pieces.push((paint, text.to_owned())),
        }
    }

    fn turn(&mut self) {
        if self.at == self.hang && !self.lines.is_empty() {
            return;
        }
        let next = Line::indented(self.hang);
        self.lines.push(std::mem::replace(&mut self.line, next));
        self.at = self.hang;
    }

    fn end(mut self) -> Vec<Line> {
        if self.at > self.hang || self.lines.is_empty() {
            self.lines.push(self.line);
        }
        self.lines
    }
}

/// Runs of spaces and runs of everything else, in order.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = rest.find(|c| (c == ' ') != (first == ' ')).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word)
    })
}

/// A remark on a line of its own.
pub fn note(text: &str, style: Style) -> String {
    let mut out = String::new();
    let text = super::clean::clean(text);
    Line::new().with(Paint::Care, "! ").plain(text).write(&mut out, style, 2);
    out
}

/// At most so many columns of a text, with `…` where something was left out.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut at = 0;
    for c in text.chars() {
        at += c.width().unwrap_or(0);
        if at + 1 > width {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

/// How many columns a text takes.
pub fn columns(text: &str) -> usize {
    text.width()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &Line, width: usize, hang: usize) -> String {
        let mut out = String::new();
        line.write(&mut out, Style { colour: false, width }, hang);
        out
    }

    #[test]
    fn breaks_between_words_and_hangs() {
        let line = Line::new().plain("one two ").with(Paint::Bold, "three four five six");
        assert_eq!(shown(&line, 24, 2), "one two three four five\n  six\n");
    }

    #[test]
    fn a_long_word_is_whole_on_a_line_of_its_own() {
        let word = "/x".repeat(30);
        let text = shown(&Line::new().plain("some words ").plain(word.clone()).plain(" b"), 30, 4);
        assert_eq!(text, format!("some words\n    {word}\n    b\n"));
    }

    #[test]
    fn wide_characters_count_two_columns() {
        assert_eq!(columns("日本"), 4);
        assert_eq!(cut("日本語です", 5), "日本…");
        assert_eq!(cut("short", 5), "short");
    }

    #[test]
    fn colour_takes_no_columns() {
        let line = Line::new().with(Paint::Bad, "gone");
        let mut out = String::new();
        line.write(&mut out, Style { colour: true, width: 80 }, 0);
        assert_eq!(out, "\u{1b}[31mgone\u{1b}[0m\n");
        assert_eq!(line.width(), 4);
    }
}
