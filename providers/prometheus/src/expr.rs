//! PromQL: what an expression means, and where one is wrong.

use promql_parser::parser::value::ValueType;
use promql_parser::parser::{self, Expr};

/// One way of writing what the expression means, so that white space, the order in which a duration
/// is written and the like are no difference.
///
/// # Errors
/// Why it is no alert expression, with its line and column where that can be said.
pub(crate) fn canonical(text: &str) -> Result<String, String> {
    let parsed = parser::parse(text).map_err(|why| located(text, &why))?;
    match parsed.value_type() {
        ValueType::Vector | ValueType::Scalar => Ok(written(&parsed, text)),
        ValueType::Matrix => Err("it is a range over time, and an alert needs one value for each \
                                  series: put a function around it, such as `rate(…)`"
            .to_owned()),
        ValueType::String => Err("it is text, and an alert needs numbers".to_owned()),
    }
}

/// The parser's own writing where that reads back as the same; else the text with its white space
/// made one.
fn written(parsed: &Expr, text: &str) -> String {
    let written = parsed.to_string();
    match parser::parse(&written) {
        Ok(again) if again == *parsed => written,
        _ => text.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// The longest text in which a place is searched for, in bytes: each try parses a part of it.
const SEARCHED: usize = 4096;

fn located(text: &str, why: &str) -> String {
    if let Some((at, what)) = unpaired(text) {
        return format!("{what} {}", place(text, at));
    }
    if why != "invalid promql query" || text.len() > SEARCHED {
        return why.to_owned();
    }
    let ends = text.char_indices().map(|(at, _)| at).rev();
    let good = ends.map(|end| text[..end].trim_end()).find(|part| parser::parse(part).is_ok());
    let Some(good) = good else {
        return format!("it does not begin like PromQL {}", place(text, 0));
    };
    let rest = &text[good.len()..];
    let at = good.len() + (rest.len() - rest.trim_start().len());
    match rest.split_whitespace().next() {
        Some(word) => format!("`{word}` cannot stand {}", place(text, at)),
        None => format!("it ends too early {}", place(text, at)),
    }
}

/// The first bracket or quote without its partner.
fn unpaired(text: &str) -> Option<(usize, String)> {
    let mut open: Vec<(usize, char)> = Vec::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '(' | '[' | '{' => open.push((at, c)),
            ')' | ']' | '}' => {
                let partner = match c {
                    ')' => '(',
                    ']' => '[',
                    _ => '{',
                };
                if open.pop().is_none_or(|(_, it)| it != partner) {
                    return Some((at, format!("`{c}` has no `{partner}` before it")));
                }
            }
            '"' | '\'' | '`' => {
                let mut closed = false;
                while let Some((_, inner)) = chars.next() {
                    if inner == '\\' && c != '`' {
                        chars.next();
                    } else if inner == c {
                        closed = true;
                        break;
                    }
                }
                if !closed {
                    return Some((at, format!("the quote {c} is never closed")));
                }
            }
            '#' => {
                chars.by_ref().find(|(_, inner)| *inner == '\n');
            }
            _ => {}
        }
    }
    open.pop().map(|(at, c)| (at, format!("`{c}` is never closed")))
}

/// Counts from 1, in characters.
fn place(text: &str, at: usize) -> String {
    let before = &text[..at];
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    match before.matches('\n').count() {
        0 => format!("at column {column}"),
        lines => format!("at line {}, column {column}", lines + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_meaning_is_the_same_text() {
        let one =
            canonical("sum by (job) (rate(errors{code=~\"5..\"}[300s]))>0.5").expect("parses");
        let other = canonical("sum  by(job)(\n rate( errors{ code=~'5..' }[5m] )) > .5");
        assert_eq!(other, Ok(one.clone()));
        assert_eq!(canonical(&one), Ok(one.clone()), "canonical text is canonical");
        assert_ne!(canonical("up == 0"), canonical("up == 1"));
        assert_ne!(canonical("a - b - c"), canonical("a - (b - c)"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, said) in [
            ("sum(rate(x[5m]) > 5", "`(` is never closed at column 4"),
            ("up == 0)", "`)` has no `(` before it at column 8"),
            ("up{job=\"a} == 0", "the quote \" is never closed at column 8"),
            ("up\n  >> 0", "`>>` cannot stand at line 2, column 3"),
            ("up ==", "`==` cannot stand at column 4"),
            ("== 1", "it does not begin like PromQL at column 1"),
            ("rate(up)", "expected type matrix"),
            ("nonsense(up)", "nonsense"),
            ("up[5m]", "range over time"),
            ("\"up\"", "it is text"),
            ("", "no expression"),
        ] {
            let found = canonical(text).expect_err(text);
            assert!(found.contains(said), "{text:?}: {found}");
        }
    }
}
