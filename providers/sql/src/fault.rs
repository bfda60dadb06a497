//! What is wrong with a file.

use hive_contract::Invalid;
use std::fmt;

/// One thing that is wrong with a file; such a list is never planned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Which file.
    pub file: String,
    /// Where in it, counted from 1.
    pub line: Option<u32>,
    /// Where in the line, in characters counted from 1.
    pub column: Option<u32>,
    /// What is wrong, a lower-case fragment.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Fault {
    /// Something wrong with a file as a whole.
    pub fn of(file: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            column: None,
            message: message.into(),
            help: None,
        }
    }

    /// The same at a line and column.
    #[must_use]
    pub fn at(mut self, line: u32, column: u32) -> Self {
        self.line = Some(line);
        self.column = Some(column);
        self
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// As something wrong at the field `files`.
    pub fn invalid(&self) -> Invalid {
        Invalid { help: self.help.clone(), ..Invalid::at("files", self.to_string()) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(f, "{}:{line}:{column}: ", self.file)?,
            (Some(line), None) => write!(f, "{}:{line}: ", self.file)?,
            _ => write!(f, "{}: ", self.file)?,
        }
        f.write_str(&self.message)
    }
}
