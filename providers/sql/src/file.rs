//! One file of migrations, and how it stands in declared fields and in payloads.

use crate::{Dialect, Migration, Migrations};
use hive_contract::{Fields, Invalid, Value};

/// One file as it lies in the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileText {
    /// Its name without folders, such as `0001_create_orders.up.sql`.
    pub name: String,
    /// Its content, as it is.
    pub text: String,
}

impl FileText {
    /// A file by name and content.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// A file as a table of `name` and `text`; none where either is missing.
    pub fn from_value(value: &Value) -> Option<Self> {
        let text = |key: &str| value.as_map()?.get(key)?.as_text();
        Some(Self::new(text("name")?, text("text")?))
    }

    /// The files of a list; what is no file is left out.
    pub fn list(value: Option<&Value>) -> Vec<Self> {
        let list = value.and_then(Value::as_list).unwrap_or_default();
        list.iter().filter_map(Self::from_value).collect()
    }

    /// The files of a list; what is no file is wrong at the field `files`.
    pub fn checked_list(value: Option<&Value>, wrong: &mut Vec<Invalid>) -> Vec<Self> {
        let list = value.and_then(Value::as_list).unwrap_or_default();
        let files = Self::list(value);
        let missing = list.len() - files.len();
        wrong.extend((0..missing).map(|_| Invalid::at("files", "a file without a name or a text")));
        files
    }
}

impl Migration {
    /// Its files as a list of `name` and `text`, for a payload.
    pub fn files_value(&self) -> Value {
        let scripts = std::iter::once(&self.up).chain(self.down.script());
        let file = |script: &crate::Script| {
            Value::Map(Fields::from([
                ("name".to_owned(), Value::text(&script.file)),
                ("text".to_owned(), Value::text(&script.text)),
            ]))
        };
        Value::List(scripts.map(file).collect())
    }
}

/// What speaks against a list of files that stands in what a run asks: each fault, at no field.
pub fn objections(dialect: Dialect, files: Option<&Value>) -> Vec<Invalid> {
    match Migrations::read(dialect, &FileText::list(files)) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(|it| Invalid::at("", it.to_string())).collect(),
    }
}
