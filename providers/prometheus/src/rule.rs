//! One alerting rule, and the YAML that it is written in.

use crate::expr;
use hive_contract::{Fields, Value};
use promql_parser::util::{display_duration, parse_duration};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// One alerting rule, in a group of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The group's name.
    pub(crate) group: String,
    /// The alert's name.
    pub(crate) alert: String,
    /// Canonical PromQL.
    pub(crate) expr: String,
    /// How long it must hold before it fires, in milliseconds.
    pub(crate) for_ms: u64,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Rule {
    /// A rule of the fields of an alert; none where one is missing or is not filled in.
    pub(crate) fn of(group: &str, alert: &str, fields: &Fields) -> Option<Self> {
        let table = |key: &str| match fields.get(key) {
            None => Some(BTreeMap::new()),
            Some(Value::Map(table)) => {
                table.iter().map(|(key, value)| Some((key.clone(), value.scalar()?))).collect()
            }
            Some(_) => None,
        };
        Some(Self {
            group: group.to_owned(),
            alert: alert.to_owned(),
            expr: fields.get("expr")?.as_text()?.to_owned(),
            for_ms: u64::try_from(fields.get("for")?.as_int()?).ok()?,
            labels: table("labels")?,
            annotations: table("annotations")?,
        })
    }

    /// The fields of the alert.
    pub(crate) fn fields(&self) -> Fields {
        let for_ms = i64::try_from(self.for_ms).unwrap_or(i64::MAX);
        let mut fields = Fields::from([
            ("expr".to_owned(), Value::text(&self.expr)),
            ("for".to_owned(), Value::Int(for_ms)),
        ]);
        for (key, table) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            let table: Fields =
                table.iter().map(|(key, text)| (key.clone(), Value::text(text))).collect();
            if !table.is_empty() {
                fields.insert(key.to_owned(), Value::Map(table));
            }
        }
        fields
    }

    /// The rule file, less its header. Every text is quoted: `summary: No` would be a truth value.
    pub(crate) fn yaml(&self) -> String {
        let mut yaml = format!(
            "groups:\n- name: {}\n  rules:\n  - alert: {}\n    expr: {}\n    for: {}\n",
            quoted(&self.group),
            quoted(&self.alert),
            quoted(&self.expr),
            quoted(&display_duration(&Duration::from_millis(self.for_ms))),
        );
        for (key, table) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            if table.is_empty() {
                continue;
            }
            let _ = writeln!(yaml, "    {key}:");
            for (key, text) in table {
                let _ = writeln!(yaml, "      {key}: {}", quoted(text));
            }
        }
        yaml
    }

    /// Reads what [`Self::yaml`] writes, also where a person has put another value in: other
    /// quotes, other order, comments. None where it is anything else.
    pub(crate) fn read(yaml: &str) -> Option<Self> {
        let mut lines = yaml.lines().filter(|line| {
            let line = line.trim_start();
            !line.is_empty() && !line.starts_with('#')
        });
        if lines.next()?.trim_end() != "groups:" {
            return None;
        }
        let group = value(lines.next()?.strip_prefix("- name: ")?)?;
        if lines.next()?.trim_end() != "  rules:" {
            return None;
        }
        let alert = value(lines.next()?.strip_prefix("  - alert: ")?)?;
        let mut texts = BTreeMap::new();
        let mut tables: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
        let mut table = None;
        for line in lines {
            if let Some(entry) = line.strip_prefix("      ") {
                let (key, text) = entry.split_once(": ")?;
                let before = tables.get_mut(table?)?.insert(name(key)?, value(text)?);
                before.is_none().then_some(())?;
            } else if let Some(key) = line.strip_prefix("    ")?.trim_end().strip_suffix(':') {
                table = Some(name(key).map(|_| key)?);
                tables.insert(key, BTreeMap::new()).is_none().then_some(())?;
            } else {
                let (key, text) = line.strip_prefix("    ")?.split_once(": ")?;
                texts.insert(name(key)?, value(text)?).is_none().then_some(())?;
                table = None;
            }
        }
        let rule = Self {
            group,
            alert,
            expr: expr::canonical(&texts.remove("expr")?).ok()?,
            for_ms: milliseconds(&texts.remove("for").unwrap_or_default())?,
            labels: tables.remove("labels").unwrap_or_default(),
            annotations: tables.remove("annotations").unwrap_or_default(),
        };
        (texts.is_empty() && tables.is_empty()).then_some(rule)
    }
}

fn milliseconds(text: &str) -> Option<u64> {
    if ["", "0", "0s"].contains(&text) {
        return Some(0);
    }
    u64::try_from(parse_duration(text).ok()?.as_millis()).ok()
}

/// A key as hive writes it.
fn name(key: &str) -> Option<String> {
    is_label(key).then(|| key.to_owned())
}

/// Whether a text is the name of a label, or of an annotation.
pub(crate) fn is_label(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A text in double quotes. JSON's quoting is YAML's, once the characters that YAML does not print
/// or breaks lines at are escaped as well.
fn quoted(text: &str) -> String {
    // Text always serialises.
    let json = serde_json::to_string(text).unwrap_or_default();
    let hidden = |c: char| {
        matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
            || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    if !json.contains(hidden) {
        return json;
    }
    json.chars().fold(String::new(), |mut text, c| {
        match hidden(c) {
            true => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => text.push(c),
        }
        text
    })
}

/// A text in double quotes, in single quotes, or plain. None where YAML would need more than this
/// to be understood.
fn value(text: &str) -> Option<String> {
    let text = text.trim();
    if text.starts_with('"') {
        return serde_json::from_str(text).ok();
    }
    if let Some(inner) = text.strip_prefix('\'') {
        let inner = inner.strip_suffix('\'')?;
        let single = inner.replace("''", "").contains('\'');
        return (!single).then(|| inner.replace("''", "'"));
    }
    let plain = !text.is_empty()
        && !text.starts_with(|c: char| "!&*?|>%@`{}[],#:-~".contains(c))
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':');
    plain.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> Rule {
        let table = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
        };
        Rule {
            group: "shop.dev.api-down".to_owned(),
            alert: "api-down".to_owned(),
            expr: "up{job=\"api\"} == 0".to_owned(),
            for_ms: 5_400_000,
            labels: table(&[("severity", "page"), ("team", "No")]),
            annotations: table(&[(
                "summary",
                "it's \"down\": {{ $labels.job }} # é\u{85}\n\t\u{1}",
            )]),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let rule = rule();
        assert_eq!(Rule::read(&rule.yaml()), Some(rule.clone()));
        assert_eq!(Rule::of(&rule.group, &rule.alert, &rule.fields()), Some(rule.clone()));
        let bare =
            Rule { for_ms: 0, labels: BTreeMap::new(), annotations: BTreeMap::new(), ..rule };
        assert_eq!(Rule::read(&bare.yaml()), Some(bare));
    }

    #[test]
    fn it_is_written_like_this() {
        let mut rule = rule();
        rule.annotations.clear();
        let expected = "\
groups:
- name: \"shop.dev.api-down\"
  rules:
  - alert: \"api-down\"
    expr: \"up{job=\\\"api\\\"} == 0\"
    for: \"1h30m\"
    labels:
      severity: \"page\"
      team: \"No\"
";
        assert_eq!(rule.yaml(), expected);
    }

    #[test]
    fn a_value_put_in_by_hand_is_understood() {
        let edited = rule()
            .yaml()
            .replace("for: \"1h30m\"", "for: 10m")
            .replace("severity: \"page\"", "severity: 'ticket'")
            .replace("\"up{job=\\\"api\\\"} == 0\"", "up{job=\"api\"}  ==  0");
        let read = Rule::read(&edited).expect("reads");
        assert_eq!((read.for_ms, read.labels["severity"].as_str()), (600_000, "ticket"));
        assert_eq!(read.expr, rule().expr, "white space is no difference");
    }

    #[test]
    fn anything_else_is_not_guessed_at() {
        let yaml = rule().yaml();
        for (from, to) in [
            ("    for:", "    keep_firing_for: \"5m\"\n    for:"),
            ("expr: \"", "expr: |\n      \""),
            ("severity: \"page\"", "severity: [page]"),
            ("severity: \"page\"", "severity: \"page\"\n      severity: \"x\""),
            ("groups:", "groups: []"),
            ("== 0", "== ("),
        ] {
            assert_eq!(Rule::read(&yaml.replacen(from, to, 1)), None, "{to}");
        }
    }
}
