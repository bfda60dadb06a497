//! What a rehearsal found, as facts of the plan.

use hive_contract::{Fields, Rehearsal, Value};
use hive_sql::words;
use std::collections::BTreeMap;

/// The facts of each file by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rehearsed {
    pub(crate) files: BTreeMap<String, File>,
    /// Whether nothing was in the database before the first of them.
    pub(crate) empty: bool,
}

/// What came of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct File {
    /// The schema's fingerprint after it, where the copy had the live schema before it.
    pub(crate) schema: Option<String>,
    /// How long it took, in milliseconds.
    pub(crate) took_ms: u64,
    /// How long its down file took.
    pub(crate) down_ms: u64,
    /// How long it held the strongest lock on a table that was there before, in milliseconds.
    pub(crate) locked_ms: u64,
    /// The tables that were written anew.
    pub(crate) rewritten: Vec<String>,
}

/// The name of a file's facts among a rehearsal's fields.
const FILES: &str = "files";
/// Whether the database was empty.
const EMPTY: &str = "empty";

impl Rehearsed {
    pub(crate) fn of(rehearsal: Option<&Rehearsal>) -> Self {
        let files = rehearsal.and_then(|it| it.fields.get(FILES)).and_then(Value::as_map);
        let files = files.into_iter().flatten();
        let files = files.filter_map(|(name, it)| Some((name.clone(), File::read(it.as_map()?))));
        let empty = rehearsal.and_then(|it| it.fields.get(EMPTY)) == Some(&Value::Bool(true));
        Self { files: files.collect(), empty }
    }

    pub(crate) fn file(&self, name: &str) -> Option<&File> {
        self.files.get(name)
    }

    /// As fields of a rehearsal.
    pub(crate) fn fields(&self) -> Fields {
        let files = self.files.iter().map(|(name, file)| (name.clone(), file.value()));
        let mut fields = Fields::from([(FILES.to_owned(), Value::Map(files.collect()))]);
        fields.extend(self.empty.then(|| (EMPTY.to_owned(), Value::Bool(true))));
        fields
    }
}

impl File {
    /// In words, for the plan.
    pub(crate) fn words(&self) -> String {
        let mut words = format!(
            "rehearsed in {}, longest lock {}",
            words::span(self.took_ms),
            words::span(self.locked_ms)
        );
        if !self.rewritten.is_empty() {
            words.push_str(&format!(", writes {} anew", self.rewritten.join(", ")));
        }
        words
    }

    fn value(&self) -> Value {
        let whole = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
        let mut fields = Fields::from([
            ("took_ms".to_owned(), whole(self.took_ms)),
            ("down_ms".to_owned(), whole(self.down_ms)),
            ("locked_ms".to_owned(), whole(self.locked_ms)),
            ("rewritten".to_owned(), Value::List(self.rewritten.iter().map(Value::text).collect())),
        ]);
        if let Some(schema) = &self.schema {
            fields.insert("schema".to_owned(), Value::text(schema));
        }
        Value::Map(fields)
    }

    fn read(fields: &Fields) -> Self {
        let whole = |key: &str| {
            let said = fields.get(key).and_then(Value::as_int).unwrap_or_default();
            u64::try_from(said).unwrap_or_default()
        };
        let rewritten = fields.get("rewritten").and_then(Value::as_list).unwrap_or_default();
        Self {
            schema: fields.get("schema").and_then(Value::as_text).map(str::to_owned),
            took_ms: whole("took_ms"),
            down_ms: whole("down_ms"),
            locked_ms: whole("locked_ms"),
            rewritten: rewritten.iter().filter_map(Value::as_text).map(str::to_owned).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_survives_the_plan() {
        let file = File {
            schema: Some("ab".to_owned()),
            took_ms: 1_200,
            down_ms: 5,
            locked_ms: 8,
            rewritten: vec!["public.orders".to_owned()],
        };
        let files = BTreeMap::from([("0001_a".to_owned(), file)]);
        for empty in [false, true] {
            let rehearsed = Rehearsed { files: files.clone(), empty };
            let rehearsal = Rehearsal { fields: rehearsed.fields(), ..Rehearsal::default() };
            assert_eq!(Rehearsed::of(Some(&rehearsal)), rehearsed);
        }
    }
}
