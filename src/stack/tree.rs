//! TOML as a tree in which every key and value knows where it stands.

use super::model::Span;
use super::problem::Findings;
use hive_contract::Value;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The value; of a table with a header, the header.
    pub(crate) at: Span,
    /// What it is.
    pub(crate) is: Is,
}

/// What stands in TOML.
#[derive(Clone, Debug)]
pub(crate) enum Is {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Text.
    Text(String),
    /// Values in order.
    List(Vec<Node>),
    /// A table.
    Table(Table),
    /// What the language has no use for, in words: a date, a number with a point.
    Other(&'static str),
}

/// A table by key.
pub(crate) type Table = BTreeMap<String, Entry>;

/// One key of a table with its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Where the key stands.
    pub(crate) key: Span,
    /// Its value.
    pub(crate) node: Node,
}

/// How deep tables and lists may be nested.
pub(crate) const DEPTH: usize = 32;

/// At most so many syntax errors of one file are told: later ones mostly follow from earlier ones.
const SYNTAX_ERRORS: usize = 5;

/// Parses the text of one file; nothing where it is no TOML.
pub(crate) fn parse(text: &str, file: usize, findings: &mut Findings) -> Option<Table> {
    let span = |range: Range<usize>| Span { file, start: range.start, end: range.end };
    if let Some(at) = too_deep(text) {
        too_deep_at(findings, span(at..at + 1));
        return None;
    }
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let before = findings.count();
        let table = Reader { file, findings }.table(root.into_inner(), 0);
        return (findings.count() == before).then_some(table);
    }
    let mut twice = None;
    for error in errors.iter().take(SYNTAX_ERRORS) {
        let at = span(error.span().unwrap_or(text.len()..text.len()));
        // What stands below a header that stands twice is a duplicate only because of that.
        let below = |header: usize| !text[header..at.start.max(header)].contains("\n[");
        if error.message() == DUPLICATE && twice.is_some_and(below) {
            continue;
        }
        if syntax(findings, text, error.message(), at) {
            twice = Some(at.start);
        }
    }
    None
}

/// How the parser says that a key or header stands twice.
const DUPLICATE: &str = "duplicate key";

/// The value that a short TOML text of our own stands for.
pub(crate) fn value(toml: &str) -> Option<Node> {
    let value = DeValue::parse(toml).ok()?;
    Some(Reader { file: 0, findings: &mut Findings::default() }.node(value, 0))
}

/// Says what is no TOML; whether it was a header that stands twice.
fn syntax(findings: &mut Findings, text: &str, message: &str, at: Span) -> bool {
    if message != DUPLICATE {
        findings.at(at, format!("this is not TOML: {message}"));
        return false;
    }
    let key = text.get(at.start..at.end).unwrap_or_default();
    let line = text[..at.start].rfind('\n').map_or(0, |end| end + 1);
    let line = text[line..].lines().next().unwrap_or_default().trim();
    let header = line.starts_with('[').then(|| line.split('#').next().unwrap_or_default().trim());
    let what = match header {
        Some(header) => format!("`{header}` stands here again"),
        None => format!("the key `{key}` stands in this table twice"),
    };
    findings.at(at, what).help("take one of the two away, or give it another name");
    header.is_some()
}

fn too_deep_at(findings: &mut Findings, at: Span) {
    findings.at(at, format!("tables and lists are nested deeper than {DEPTH} here"));
}

/// The first byte at which brackets or the dots of one key are nested deeper than [`DEPTH`].
///
/// The parser makes a table for each dot and takes them apart one inside the other, so this is
/// looked at before it sees the text. What passes is at most `DEPTH` times `DEPTH` deep.
fn too_deep(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut open, mut dots, mut at) = (0_usize, 0_usize, 0_usize);
    while at < bytes.len() {
        match bytes[at] {
            b'#' => {
                at = line_end(bytes, at);
                continue;
            }
            quote @ (b'"' | b'\'') => {
                at = string_end(bytes, at, quote);
                continue;
            }
            b'[' | b'{' => {
                open += 1;
                dots = 0;
            }
            b']' | b'}' => open = open.saturating_sub(1),
            b'.' => dots += 1,
            b'=' | b',' | b'\n' => dots = 0,
            _ => {}
        }
        if open > DEPTH || dots > DEPTH {
            return Some(at);
        }
        at += 1;
    }
    None
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |far| from + far)
}

/// The first byte behind a string. One that is never closed ends with its line, or with the text
/// where it has three quotes, as the parser sees it.
fn string_end(bytes: &[u8], from: usize, quote: u8) -> usize {
    let three = [quote; 3];
    let long = bytes[from..].starts_with(&three);
    let mut at = from + if long { 3 } else { 1 };
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quote == b'"' => at += 1,
            b'\n' if !long => return at,
            byte if byte == quote && !long => return at + 1,
            byte if byte == quote && bytes[at..].starts_with(&three) => {
                // Up to two quotes may stand right before the closing three.
                let quotes = bytes[at..].iter().take_while(|byte| **byte == quote).count();
                return at + quotes.min(5);
            }
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Turns the parser's tree into ours.
struct Reader<'a> {
    file: usize,
    findings: &'a mut Findings,
}

impl Reader<'_> {
    fn span(&self, range: Range<usize>) -> Span {
        Span { file: self.file, start: range.start, end: range.end }
    }

    fn table(&mut self, table: DeTable<'_>, depth: usize) -> Table {
        table
            .into_iter()
            .map(|(key, value)| {
                let at = self.span(key.span());
                let node = self.node(value, depth + 1);
                (key.into_inner().into_owned(), Entry { key: at, node })
            })
            .collect()
    }

    fn node(&mut self, value: Spanned<DeValue<'_>>, depth: usize) -> Node {
        let at = self.span(value.span());
        let is = match value.into_inner() {
            DeValue::Array(_) | DeValue::Table(_) if depth > DEPTH => {
                too_deep_at(self.findings, at);
                Is::Other("nothing")
            }
            DeValue::Array(list) => {
                Is::List(list.into_iter().map(|it| self.node(it, depth + 1)).collect())
            }
            DeValue::Table(table) => Is::Table(self.table(table, depth)),
            DeValue::String(text) => Is::Text(text.into_owned()),
            DeValue::Boolean(truth) => Is::Bool(truth),
            DeValue::Float(_) => Is::Other("a number with a point"),
            DeValue::Datetime(_) => Is::Other("a date or time without quotes"),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => Is::Int(number),
                    Err(_) => Is::Other("a number that is too large"),
                }
            }
        };
        Node { at, is }
    }
}

impl Node {
    /// What it is, as it stands behind "and here stands".
    pub(crate) fn words(&self) -> String {
        match &self.is {
            Is::Bool(truth) => format!("`{truth}`"),
            Is::Int(number) => format!("the number `{number}`"),
            Is::Text(text) => quoted(text),
            Is::List(_) => "a list".to_owned(),
            Is::Table(_) => "a table".to_owned(),
            Is::Other(words) => (*words).to_owned(),
        }
    }

    /// A scalar as it stands.
    pub(crate) fn scalar(&self) -> Option<Value> {
        match &self.is {
            Is::Bool(truth) => Some(Value::Bool(*truth)),
            Is::Int(number) => Some(Value::Int(*number)),
            Is::Text(text) => Some(Value::Text(text.clone())),
            _ => None,
        }
    }

    /// A scalar, or a list of such, as it stands.
    pub(crate) fn plain(&self) -> Option<Value> {
        match &self.is {
            Is::List(items) => {
                items.iter().map(Self::plain).collect::<Option<_>>().map(Value::List)
            }
            _ => self.scalar(),
        }
    }

    /// The table, where it is one.
    pub(crate) fn table(&self) -> Option<&Table> {
        match &self.is {
            Is::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The text, where it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.is {
            Is::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn int(&self) -> Option<i64> {
        match self.is {
            Is::Int(number) => Some(number),
            _ => None,
        }
    }
}

/// A text in a message: short, and on one line.
pub(crate) fn quoted(text: &str) -> String {
    let short: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    let more = if text.chars().nth(60).is_some() { "…" } else { "" };
    format!("the text `{short}{more}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_strings_and_comments() {
        assert_eq!(too_deep(&format!("a = {}", "[".repeat(33))), Some(4 + 32));
        assert_eq!(too_deep(&format!("a = {}{}", "[".repeat(32), "]".repeat(32))), None);
        assert_eq!(too_deep(&format!("# {}", "[".repeat(99))), None);
        assert_eq!(too_deep(&format!("a = \"{}\\\"{}\"", "[".repeat(99), ".".repeat(99))), None);
        assert_eq!(too_deep(&format!("a = '''\n{}''\n'''", "{".repeat(99))), None);
        assert_eq!(too_deep(&format!("a{} = 1", ".a".repeat(33))), Some(1 + 64));
        assert_eq!(too_deep(&"a = 1.5\n".repeat(99)), None);
        assert_eq!(too_deep("a = [\"\"\"x\"\"\"\"\"] # \"["), None);
    }

    #[test]
    fn a_table_that_is_too_deep_only_in_sum_is_refused() {
        // The dots of each key are within the limit, both keys together are not.
        let text = format!("a{0} = {{ a{0} = 1 }}", ".a".repeat(20));
        let mut findings = Findings::default();
        assert_eq!(too_deep(&text), None);
        assert!(parse(&text, 0, &mut findings).is_none());
        assert!(!findings.is_empty());
    }

    #[test]
    fn half_a_million_dots_are_refused_and_do_not_overflow() {
        let mut findings = Findings::default();
        let text = format!("[a{}]", ".a".repeat(500_000));
        assert!(parse(&text, 0, &mut findings).is_none());
        assert_eq!(findings.count(), 1);
    }
}
