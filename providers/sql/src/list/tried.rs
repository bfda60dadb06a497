//! What a rehearsal found, as facts of the plan.

use crate::words;
use hive_contract::{Fields, Rehearsal, Value};
use std::collections::BTreeMap;

/// The name of the files' facts among a rehearsal's fields.
const FILES: &str = "files";
/// Whether the database was empty.
const EMPTY: &str = "empty";

/// What a rehearsal found of each file, by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// The facts of each file.
    pub files: BTreeMap<String, TriedFile>,
    /// Whether nothing was in the database before the first of them.
    pub empty: bool,
}

/// What a rehearsal found of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriedFile {
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// How long its down file took; none where it has none, or it was not tried.
    pub down_ms: Option<u64>,
    /// How long it held the strongest lock on a table that was there before; none where the engine
    /// locks the whole database.
    pub locked_ms: Option<u64>,
    /// The tables that were written anew.
    pub rewritten: Vec<String>,
    /// The schema's fingerprint before it, where the copy had the live schema.
    pub schema_before: Option<String>,
    /// The schema's fingerprint after it, where the copy had the live schema.
    pub schema_after: Option<String>,
    /// Why its down file is not proven; none where it is.
    pub unproven: Option<String>,
}

impl Tried {
    /// What a rehearsal's fields hold.
    pub fn of(rehearsal: Option<&Rehearsal>) -> Self {
        let files = rehearsal.and_then(|it| it.fields.get(FILES)).and_then(Value::as_map);
        let files = files.into_iter().flatten();
        let file = |(name, it): (&String, &Value)| Some((name.clone(), TriedFile::read(it)?));
        let empty = rehearsal.and_then(|it| it.fields.get(EMPTY)) == Some(&Value::Bool(true));
        Self { files: files.filter_map(file).collect(), empty }
    }

    /// What was found of one file.
    pub fn file(&self, name: &str) -> Option<&TriedFile> {
        self.files.get(name)
    }

    /// As fields of a rehearsal.
    pub fn fields(&self) -> Fields {
        let files = self.files.iter().map(|(name, file)| (name.clone(), file.value()));
        let mut fields = Fields::from([(FILES.to_owned(), Value::Map(files.collect()))]);
        fields.extend(self.empty.then(|| (EMPTY.to_owned(), Value::Bool(true))));
        fields
    }
}

impl TriedFile {
    /// Whether down brought back what was, and up again what had been made.
    pub fn is_proven(&self) -> bool {
        self.unproven.is_none() && self.down_ms.is_some()
    }

    /// In words, for the plan.
    pub fn words(&self) -> String {
        let mut words = format!("rehearsed in {}", words::span(self.took_ms));
        if let Some(locked) = self.locked_ms {
            words.push_str(&format!(", longest lock {}", words::span(locked)));
        }
        if !self.rewritten.is_empty() {
            words.push_str(&format!(", writes {} anew", self.rewritten.join(", ")));
        }
        words
    }

    /// What a reviewer should know of the down file; none where it was not tried.
    pub fn down_words(&self) -> Option<String> {
        match &self.unproven {
            Some(why) => Some(format!("down file not proven: {why}")),
            None if self.is_proven() => {
                Some("down file proven: the schema is as before".to_owned())
            }
            None => None,
        }
    }

    fn value(&self) -> Value {
        let whole = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
        let mut fields = Fields::from([("took_ms".to_owned(), whole(self.took_ms))]);
        let numbers = [("down_ms", self.down_ms), ("locked_ms", self.locked_ms)];
        let texts = [
            ("schema_before", &self.schema_before),
            ("schema_after", &self.schema_after),
            ("unproven", &self.unproven),
        ];
        let numbers = numbers.into_iter().filter_map(|(key, it)| Some((key, whole(it?))));
        let texts =
            texts.into_iter().filter_map(|(key, it)| Some((key, Value::text(it.as_ref()?))));
        fields.extend(numbers.chain(texts).map(|(key, value)| (key.to_owned(), value)));
        if !self.rewritten.is_empty() {
            let tables = self.rewritten.iter().map(Value::text).collect();
            fields.insert("rewritten".to_owned(), Value::List(tables));
        }
        Value::Map(fields)
    }

    fn read(value: &Value) -> Option<Self> {
        let fields = value.as_map()?;
        let whole = |key: &str| fields.get(key)?.as_int().and_then(|it| u64::try_from(it).ok());
        let text = |key: &str| fields.get(key)?.as_text().map(str::to_owned);
        let rewritten = fields.get("rewritten").and_then(Value::as_list).unwrap_or_default();
        Some(Self {
            took_ms: whole("took_ms")?,
            down_ms: whole("down_ms"),
            locked_ms: whole("locked_ms"),
            rewritten: rewritten.iter().filter_map(Value::as_text).map(str::to_owned).collect(),
            schema_before: text("schema_before"),
            schema_after: text("schema_after"),
            unproven: text("unproven"),
        })
    }
}
