//! Where a value stands inside the fields of a part.

use crate::value::{Fields, Value};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The keys from the top to one value, written `environment.LOG_LEVEL`.
///
/// A key that itself has a dot, a quote or white space is written in quotes: `files."/etc/a.toml"`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FieldPath(Vec<String>);

impl FieldPath {
    /// A path of these keys.
    pub fn new<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self(keys.into_iter().map(Into::into).collect())
    }

    /// The keys, top first.
    pub fn keys(&self) -> &[String] {
        &self.0
    }

    /// This path with one more key.
    pub fn child(&self, key: &str) -> Self {
        let mut keys = self.0.clone();
        keys.push(key.to_owned());
        Self(keys)
    }

    /// Whether `other` is this path or lies below it.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// Reads the written form. Everything is a path: a quote that is never closed is a key's own.
    pub fn parse(text: &str) -> Self {
        let mut keys = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(quoted) = rest.strip_prefix('"')
                && let Some(end) = quoted.find('"')
            {
                keys.push(quoted[..end].to_owned());
                rest = quoted[end + 1..].strip_prefix('.').unwrap_or(&quoted[end + 1..]);
                continue;
            }
            let (key, after) = rest.split_once('.').unwrap_or((rest, ""));
            keys.push(key.to_owned());
            rest = after;
        }
        Self(keys)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, key) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(".")?;
            }
            let plain = !key.is_empty()
                && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-' || c == '/');
            if plain { f.write_str(key)? } else { write!(f, "\"{key}\"")? }
        }
        Ok(())
    }
}

impl fmt::Debug for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for FieldPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FieldPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse(&String::deserialize(deserializer)?))
    }
}

/// The paths of all leaves: everything that is not a table, and tables without a key.
/// A list is one leaf.
pub fn leaves(fields: &Fields) -> Vec<FieldPath> {
    fn walk(prefix: &FieldPath, fields: &Fields, into: &mut Vec<FieldPath>) {
        for (key, value) in fields {
            let path = prefix.child(key);
            match value {
                Value::Map(inner) if !inner.is_empty() => walk(&path, inner, into),
                _ => into.push(path),
            }
        }
    }
    let mut into = Vec::new();
    walk(&FieldPath::default(), fields, &mut into);
    into
}

/// The value at a path.
pub fn get<'a>(fields: &'a Fields, path: &FieldPath) -> Option<&'a Value> {
    let (last, parents) = path.keys().split_last()?;
    let mut table = fields;
    for key in parents {
        table = match table.get(key)? {
            Value::Map(inner) => inner,
            _ => return None,
        };
    }
    table.get(last)
}

/// Puts a value at a path, making tables on the way.
pub fn set(fields: &mut Fields, path: &FieldPath, value: Value) {
    let Some((last, parents)) = path.keys().split_last() else { return };
    let mut table = fields;
    for key in parents {
        let slot = table.entry(key.clone()).or_insert_with(|| Value::Map(Fields::new()));
        if !matches!(slot, Value::Map(_)) {
            *slot = Value::Map(Fields::new());
        }
        let Value::Map(inner) = slot else { return };
        table = inner;
    }
    table.insert(last.clone(), value);
}

/// Takes the value at a path away; tables that this leaves empty go too.
pub fn remove(fields: &mut Fields, path: &FieldPath) -> Option<Value> {
    fn take(table: &mut Fields, keys: &[String]) -> Option<Value> {
        match keys {
            [] => None,
            [last] => table.remove(last),
            [first, rest @ ..] => {
                let Some(Value::Map(inner)) = table.get_mut(first) else { return None };
                let taken = take(inner, rest);
                if inner.is_empty() {
                    table.remove(first);
                }
                taken
            }
        }
    }
    take(fields, path.keys())
}

/// Only what stands at or below one of these paths.
pub fn restrict(fields: &Fields, paths: &[FieldPath]) -> Fields {
    let mut kept = Fields::new();
    for path in paths {
        if let Some(value) = get(fields, path) {
            set(&mut kept, path, value.clone());
        }
    }
    kept
}
