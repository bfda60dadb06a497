//! Names and texts as they stand in SQL.

use std::fmt::Write as _;

/// A name: `"order"`.
pub(crate) fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// A text: `'it''s'`. A zero byte, which no text here can hold, becomes the sign for it.
pub(crate) fn text(text: &str) -> String {
    let text = text.replace('\0', "\u{2400}").replace('\'', "''");
    match text.contains('\\') {
        true => format!("E'{}'", text.replace('\\', "\\\\")),
        false => format!("'{text}'"),
    }
}

/// A text, or `NULL`.
pub(crate) fn maybe(value: Option<&str>) -> String {
    value.map_or_else(|| "NULL".to_owned(), text)
}

/// Texts as an array.
pub(crate) fn list<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    let mut written = String::from("ARRAY[");
    for (at, value) in values.into_iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(written, "{comma}{}", text(value));
    }
    written.push_str("]::text[]");
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_stays_one_thing() {
        assert_eq!(name("a\"b"), "\"a\"\"b\"");
        assert_eq!(text("it's"), "'it''s'");
        assert_eq!(text("a\\'b"), "E'a\\\\''b'");
        assert_eq!(list(["a", "b'"]), "ARRAY['a','b''']::text[]");
        assert_eq!(list([]), "ARRAY[]::text[]");
        assert_eq!(maybe(None), "NULL");
    }
}
