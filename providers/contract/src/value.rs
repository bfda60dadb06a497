//! Values of fields: what can stand in TOML, and what is filled in later.

use crate::address::Address;
use crate::secret::SecretRef;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};

/// A table of values, in the order of its keys.
pub type Fields = BTreeMap<String, Value>;

/// One value in canonical form. There are no floats: a number with a point is text.
///
/// In JSON a value is itself; the four that stand for something else are tables with one key that
/// begins with `$`, and a table's own key that begins with `$` gets a second one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Text.
    Text(String),
    /// Values in order. Lists whose order says nothing are sorted by `lower` and `observe`.
    List(Vec<Value>),
    /// A table.
    Map(Fields),
    /// `$secret`: the value is somewhere else and is read right before it is used.
    Secret(SecretRef),
    /// `$output`: what another resource will say of itself.
    Output(OutputRef),
    /// `$pick`: the planner chooses, from what is free.
    Pick(Pick),
    /// `$format`: text around other values.
    Format(Format),
}

/// One output of one resource of the same stack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OutputRef {
    /// Whose output.
    pub address: Address,
    /// Which output, such as `url`.
    pub output: String,
}

/// What the planner chooses for a provider.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pick {
    /// A free TCP port: the recorded one, else the first free in an order hashed from `key`.
    Port {
        /// What the port is for, unique within a place: `service.api/http/0`.
        key: String,
    },
}

/// A template with named holes, `postgres://u:{pw}@db/hiver`. `{{` and `}}` are braces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Format {
    /// The text with its holes.
    pub template: String,
    /// What goes into each hole.
    pub values: Fields,
}

/// Why a template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A brace without its partner.
    #[error("the format has a `{0}` without its partner: write `{0}{0}` for a plain one")]
    Brace(char),
    /// A hole without a value.
    #[error("the format names `{{{0}}}`, which has no value")]
    Hole(String),
    /// A value without a hole.
    #[error("`{0}` does not stand in the format")]
    Unused(String),
    /// A list or a table cannot stand inside text.
    #[error("`{0}` is not text, a number or a truth value")]
    Shape(String),
}

/// A piece of a parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Plain text.
    Text(String),
    /// A hole by its name.
    Hole(String),
}

impl Format {
    /// Cuts the template into its pieces.
    ///
    /// # Errors
    /// An unpaired brace, a hole without a value, or a value without a hole.
    pub fn pieces(&self) -> Result<Vec<Piece>, FormatError> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut seen = BTreeSet::new();
        let mut chars = self.template.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '{' if chars.peek() == Some(&'{') => {
                    chars.next();
                    text.push('{');
                }
                '}' if chars.peek() == Some(&'}') => {
                    chars.next();
                    text.push('}');
                }
                '}' => return Err(FormatError::Brace('}')),
                '{' => {
                    let mut name = String::new();
                    loop {
                        match chars.next() {
                            Some('}') => break,
                            Some(c) => name.push(c),
                            None => return Err(FormatError::Brace('{')),
                        }
                    }
                    if !self.values.contains_key(&name) {
                        return Err(FormatError::Hole(name));
                    }
                    if !text.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut text)));
                    }
                    seen.insert(name.clone());
                    pieces.push(Piece::Hole(name));
                }
                c => text.push(c),
            }
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        match self.values.keys().find(|key| !seen.contains(*key)) {
            Some(unused) => Err(FormatError::Unused(unused.clone())),
            None => Ok(pieces),
        }
    }

    /// Joins the pieces, with `text` giving each hole's text.
    ///
    /// # Errors
    /// What [`Self::pieces`] finds, or `text` has none for a hole.
    pub fn join(&self, text: impl Fn(&Value) -> Option<String>) -> Result<String, FormatError> {
        self.pieces()?
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(plain) => Ok(plain),
                Piece::Hole(name) => text(&self.values[&name]).ok_or(FormatError::Shape(name)),
            })
            .collect()
    }
}

impl Value {
    /// Text from anything that reads as text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The text, where it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, where it is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The truth value, where it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The values of a list, where it is one.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Self::List(values) => Some(values),
            _ => None,
        }
    }

    /// The table, where it is one.
    pub fn as_map(&self) -> Option<&Fields> {
        match self {
            Self::Map(fields) => Some(fields),
            _ => None,
        }
    }

    /// A scalar as text: what stands in an environment variable or in a format.
    pub fn scalar(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Int(number) => Some(number.to_string()),
            Self::Bool(truth) => Some(truth.to_string()),
            _ => None,
        }
    }

    /// Whether nothing is left to fill in but secrets.
    pub fn is_known(&self) -> bool {
        let mut known = true;
        self.visit(&mut |value| known &= !matches!(value, Self::Output(_) | Self::Pick(_)));
        known
    }

    /// Whether a secret stands in it anywhere.
    pub fn has_secret(&self) -> bool {
        let mut found = false;
        self.visit(&mut |value| found |= matches!(value, Self::Secret(_)));
        found
    }

    /// Calls `see` with this value and every value inside it.
    pub fn visit<'a>(&'a self, see: &mut impl FnMut(&'a Value)) {
        see(self);
        match self {
            Self::List(values) => values.iter().for_each(|value| value.visit(see)),
            Self::Map(fields) => fields.values().for_each(|value| value.visit(see)),
            Self::Format(format) => format.values.values().for_each(|value| value.visit(see)),
            _ => {}
        }
    }

    /// This value with every placeholder that `fill` knows filled in; a format whose holes are all
    /// plain becomes text.
    pub fn fill(&self, fill: &impl Fn(&Value) -> Option<Value>) -> Value {
        match self {
            Self::Output(_) | Self::Pick(_) => fill(self).unwrap_or_else(|| self.clone()),
            Self::List(values) => Self::List(values.iter().map(|value| value.fill(fill)).collect()),
            Self::Map(fields) => Self::Map(fill_fields(fields, fill)),
            Self::Format(format) => {
                let filled = Format {
                    template: format.template.clone(),
                    values: fill_fields(&format.values, fill),
                };
                match filled.join(Value::scalar) {
                    Ok(text) => Self::Text(text),
                    Err(_) => Self::Format(filled),
                }
            }
            other => other.clone(),
        }
    }
}

/// [`Value::fill`] over a table.
pub fn fill_fields(fields: &Fields, fill: &impl Fn(&Value) -> Option<Value>) -> Fields {
    fields.iter().map(|(key, value)| (key.clone(), value.fill(fill))).collect()
}

/// Calls `see` with every value in a table.
pub fn visit_fields<'a>(fields: &'a Fields, see: &mut impl FnMut(&'a Value)) {
    fields.values().for_each(|value| value.visit(see));
}

/// The outputs that a table names, each once.
pub fn outputs_in(fields: &Fields) -> BTreeSet<OutputRef> {
    let mut found = BTreeSet::new();
    visit_fields(fields, &mut |value| {
        if let Value::Output(reference) = value {
            found.insert(reference.clone());
        }
    });
    found
}

/// The secrets that a table names, each once.
pub fn secrets_in(fields: &Fields) -> BTreeSet<SecretRef> {
    let mut found = BTreeSet::new();
    visit_fields(fields, &mut |value| {
        if let Value::Secret(reference) = value {
            found.insert(reference.clone());
        }
    });
    found
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

const SECRET: &str = "$secret";
const OUTPUT: &str = "$output";
const PICK: &str = "$pick";
const FORMAT: &str = "$format";

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn tagged<S: Serializer, T: Serialize>(
            serializer: S,
            tag: &'static str,
            value: &T,
        ) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeMap;
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(tag, value)?;
            map.end()
        }
        match self {
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(values) => serializer.collect_seq(values),
            Self::Map(fields) => serializer.collect_map(fields.iter().map(|(key, value)| {
                let key = if key.starts_with('$') { format!("${key}") } else { key.clone() };
                (key, value)
            })),
            Self::Secret(reference) => tagged(serializer, SECRET, reference),
            Self::Output(reference) => tagged(serializer, OUTPUT, reference),
            Self::Pick(pick) => tagged(serializer, PICK, pick),
            Self::Format(format) => tagged(serializer, FORMAT, format),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_json(serde_json::Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

fn from_json(json: serde_json::Value) -> Result<Value, String> {
    use serde_json::Value as Json;
    Ok(match json {
        Json::Bool(truth) => Value::Bool(truth),
        Json::Number(number) => {
            Value::Int(number.as_i64().ok_or_else(|| format!("`{number}` is not a whole number"))?)
        }
        Json::String(text) => Value::Text(text),
        Json::Array(values) => {
            Value::List(values.into_iter().map(from_json).collect::<Result<_, _>>()?)
        }
        Json::Object(map) => return object_from_json(map),
        Json::Null => return Err("a value may not be null".to_owned()),
    })
}

fn object_from_json(map: serde_json::Map<String, serde_json::Value>) -> Result<Value, String> {
    fn typed<T: serde::de::DeserializeOwned>(json: serde_json::Value) -> Result<T, String> {
        serde_json::from_value(json).map_err(|error| error.to_string())
    }
    let tag = map.keys().find(|key| key.starts_with('$') && !key.starts_with("$$")).cloned();
    let Some(tag) = tag else {
        let mut fields = Fields::new();
        for (key, value) in map {
            let key = key.strip_prefix('$').map(str::to_owned).unwrap_or(key);
            fields.insert(key, from_json(value)?);
        }
        return Ok(Value::Map(fields));
    };
    if map.len() != 1 {
        return Err(format!("a table with `{tag}` has no other key"));
    }
    let inner = map.into_iter().next().map(|(_, inner)| inner).unwrap_or_default();
    match tag.as_str() {
        SECRET => Ok(Value::Secret(typed(inner)?)),
        OUTPUT => Ok(Value::Output(typed(inner)?)),
        PICK => Ok(Value::Pick(typed(inner)?)),
        FORMAT => Ok(Value::Format(typed(inner)?)),
        _ => Err(format!("unknown placeholder `{tag}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(value: &Value) {
        let text = serde_json::to_string(value).expect("writes");
        assert_eq!(&serde_json::from_str::<Value>(&text).expect("reads"), value, "{text}");
    }

    #[test]
    fn every_value_survives_json() {
        let output = OutputRef {
            address: "service.api".parse().expect("address"),
            output: "url".to_owned(),
        };
        let plain = Fields::from([
            ("$dollar".to_owned(), Value::from(1)),
            ("list".to_owned(), Value::List(vec![true.into(), "x".into()])),
            ("empty".to_owned(), Value::Map(Fields::new())),
        ]);
        round(&Value::Map(plain));
        round(&Value::Output(output.clone()));
        round(&Value::Pick(Pick::Port { key: "service.api/http/0".to_owned() }));
        round(&Value::Secret(SecretRef::env("TOKEN")));
        round(&Value::Format(Format {
            template: "{a}".to_owned(),
            values: Fields::from([("a".to_owned(), Value::Output(output))]),
        }));
    }

    #[test]
    fn a_format_becomes_text_only_without_secrets() {
        let hole = |value: Value| {
            Value::Format(Format {
                template: "x{a}{{}}".to_owned(),
                values: Fields::from([("a".to_owned(), value)]),
            })
        };
        assert_eq!(hole(Value::from(7)).fill(&|_| None), Value::from("x7{}"));
        let secret = hole(Value::Secret(SecretRef::env("PW")));
        assert_eq!(secret.fill(&|_| None), secret);
    }

    #[test]
    fn a_bad_format_says_what_is_wrong() {
        let format = |template: &str, keys: &[&str]| Format {
            template: template.to_owned(),
            values: keys.iter().map(|key| ((*key).to_owned(), Value::from(1))).collect(),
        };
        assert_eq!(format("{a", &["a"]).pieces(), Err(FormatError::Brace('{')));
        assert_eq!(format("a}", &[]).pieces(), Err(FormatError::Brace('}')));
        assert_eq!(format("{b}", &[]).pieces(), Err(FormatError::Hole("b".to_owned())));
        assert_eq!(format("", &["a"]).pieces(), Err(FormatError::Unused("a".to_owned())));
    }
}
