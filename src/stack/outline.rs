//! The few words of a stack that the ways back need, also when the rest of its TOML is wrong.

use std::path::Path;

/// The store's folder where a stack says nothing.
pub const STORE: &str = ".hive";

/// A stack's name and where its store is, as far as they can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// The name, where there is a `stack.toml` that parses.
    pub name: Option<String>,
    /// The store's folder, where the stack says so.
    pub store: Option<String>,
}

/// Reads what can be read; a missing or broken `stack.toml` gives nothing and is no error here.
pub fn outline(folder: &Path) -> Outline {
    let Ok(text) = std::fs::read_to_string(folder.join("stack.toml")) else {
        return Outline::default();
    };
    let Ok(table) = text.parse::<toml::Table>() else { return Outline::default() };
    let word = |section: &str, key: &str| table.get(section)?.get(key)?.as_str().map(str::to_owned);
    Outline { name: word("stack", "name"), store: word("state", "folder") }
}
