//! Values as a reviewer reads them.

use super::clean::clean;
use hive_contract::{FieldPath, Fingerprint, OutputRef, Pick, Value};

/// The longest value that is shown whole on one line, in characters.
const LONGEST: usize = 160;
/// How many equal characters are shown around where two long texts differ.
const AROUND: usize = 24;

/// Says when an output will be known: `known after step 3`.
pub type Knows<'a> = &'a dyn Fn(&OutputRef) -> Option<u32>;

/// A value on one line.
pub fn show(value: &Value, knows: Knows<'_>) -> String {
    shorten(&whole(value, knows))
}

/// Two values side by side, each on one line. Long ones are cut where both are alike, so that
/// what differs is always seen.
pub fn show_pair(before: &Value, after: &Value, knows: Knows<'_>) -> (String, String) {
    let (before, after) = alike(before, after, knows);
    if before.chars().count().max(after.chars().count()) <= LONGEST {
        return (before, after);
    }
    let a: Vec<char> = before.chars().collect();
    let b: Vec<char> = after.chars().collect();
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let limit = a.len().min(b.len()) - head;
    let tail = a.iter().rev().zip(b.iter().rev()).take(limit).take_while(|(x, y)| x == y).count();
    (window(&a, head, tail), window(&b, head, tail))
}

/// Both in quotes where one needs them.
fn alike(before: &Value, after: &Value, knows: Knows<'_>) -> (String, String) {
    if let (Value::Text(a), Value::Text(b)) = (before, after)
        && is_plain(a) != is_plain(b)
    {
        return (quoted(a), quoted(b));
    }
    (whole(before, knows), whole(after, knows))
}

fn window(text: &[char], head: usize, tail: usize) -> String {
    let from = head.saturating_sub(AROUND);
    let to = (text.len() - tail + AROUND).min(text.len());
    let mut shown = String::new();
    if from > 0 {
        shown.push('…');
    }
    let middle: String = text[from..to].iter().collect();
    shown.push_str(&shorten(&middle));
    if to < text.len() {
        shown.push('…');
    }
    shown
}

fn shorten(text: &str) -> String {
    let long = text.chars().count();
    if long <= LONGEST {
        return text.to_owned();
    }
    let kept: String = text.chars().take(LONGEST - 20).collect();
    format!("{kept}… ({} characters)", super::words::thousands(long as u64))
}

fn whole(value: &Value, knows: Knows<'_>) -> String {
    match value {
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Text(text) => plain_or_quoted(text),
        Value::List(values) => {
            let inner: Vec<String> = values.iter().map(|it| whole(it, knows)).collect();
            format!("[{}]", inner.join(", "))
        }
        Value::Map(fields) => {
            let inner: Vec<String> = fields
                .iter()
                .map(|(key, it)| format!("{} = {}", plain_or_quoted(key), whole(it, knows)))
                .collect();
            format!("{{{}}}", inner.join(", "))
        }
        Value::Secret(reference) => format!("(secret {})", clean(&reference.to_string())),
        Value::Output(reference) => match knows(reference) {
            Some(step) => {
                format!(
                    "({}.{}, known after step {step})",
                    reference.address,
                    clean(&reference.output)
                )
            }
            None => format!("({}.{})", reference.address, clean(&reference.output)),
        },
        Value::Pick(Pick::Port { .. }) => "(a free port)".to_owned(),
        Value::Format(format) => {
            let holes: Vec<String> = format
                .values
                .iter()
                .map(|(key, it)| format!("{} = {}", clean(key), whole(it, knows)))
                .collect();
            format!("\"{}\" with {}", clean(&format.template), holes.join(", "))
        }
    }
}

/// Text without quotes where nobody could take it for something else.
fn plain_or_quoted(text: &str) -> String {
    if is_plain(text) { clean(text) } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", clean(text).replace('"', "\\\""))
}

fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && clean(text) == text
        && !text.starts_with(' ')
        && !text.ends_with(' ')
        && !text.starts_with(['(', '[', '{', '"'])
        && !text.contains(['→', ','])
        && text.parse::<f64>().is_err()
        && !matches!(text, "true" | "false" | "nothing")
}

/// The same value as a person reads it where that is something else: `5 min` for 300000 where the
/// field says that it is a time, the first digits of a digest.
pub fn readable(field: &FieldPath, value: &Value) -> Value {
    time(field, value).or_else(|| digest(value)).unwrap_or_else(|| value.clone())
}

fn time(field: &FieldPath, value: &Value) -> Option<Value> {
    const TIMES: [&str; 4] = ["every", "for", "grace", "timeout"];
    let key = field.keys().last()?;
    let ms = u64::try_from(value.as_int()?).ok()?;
    (TIMES.contains(&key.as_str()) || key.ends_with("_ms"))
        .then(|| Value::Text(super::words::exact_span(ms)))
}

fn digest(value: &Value) -> Option<Value> {
    let digest = Fingerprint::parse(value.as_text()?)?;
    digest.as_str().get(..12).map(|first| Value::Text(format!("{first}…")))
}

/// The text, where a value is text of more than one line.
pub fn many_lines(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_text).filter(|text| text.contains('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_contract::{Fields, Format, SecretRef};

    fn plain(value: &Value) -> String {
        show(value, &|it| (it.output == "url").then_some(3))
    }

    #[test]
    fn a_text_is_never_taken_for_something_else() {
        assert_eq!(plain(&Value::from("api:1.4.2")), "api:1.4.2");
        assert_eq!(plain(&Value::from("7")), "\"7\"");
        assert_eq!(plain(&Value::from(7)), "7");
        assert_eq!(plain(&Value::from("")), "\"\"");
        assert_eq!(plain(&Value::from("(secret env:X)")), "\"(secret env:X)\"");
        assert_eq!(plain(&Value::from("a → b")), "\"a → b\"");
        assert_eq!(plain(&Value::from("a\u{1b}c")), "\"a\\u{1b}c\"");
    }

    #[test]
    fn two_texts_are_quoted_alike() {
        let pair = |a: &str, b: &str| show_pair(&a.into(), &b.into(), &|_| None);
        assert_eq!(pair("1.0", "9"), ("\"1.0\"".to_owned(), "\"9\"".to_owned()));
        assert_eq!(pair("main", "9"), ("\"main\"".to_owned(), "\"9\"".to_owned()));
        assert_eq!(pair("main", "next"), ("main".to_owned(), "next".to_owned()));
    }

    #[test]
    fn what_is_not_known_yet_says_so() {
        let url = Value::Output(OutputRef {
            address: "service.api".parse().expect("address"),
            output: "url".into(),
        });
        assert_eq!(plain(&url), "(service.api.url, known after step 3)");
        let format = Value::Format(Format {
            template: "x{pw}".into(),
            values: Fields::from([("pw".into(), Value::Secret(SecretRef::env("PW")))]),
        });
        assert_eq!(plain(&format), "\"x{pw}\" with pw = (secret env:PW)");
    }

    #[test]
    fn two_long_texts_show_where_they_differ() {
        let same = "a".repeat(500);
        let (one, two) = (format!("{same}X{same}"), format!("{same}Y{same}"));
        let (one, two) = show_pair(&one.into(), &two.into(), &|_| None);
        assert_ne!(one, two);
        assert!(one.contains('X') && two.contains('Y') && one.chars().count() < 80, "{one}");
    }
}
