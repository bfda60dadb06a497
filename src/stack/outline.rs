//! The few words of a stack that the ways back need, also when the rest of its TOML is wrong.

use super::problem::Findings;
use super::read::{self, STACK_FILE};
use super::tree::{self, Table};
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

/// Reads what can be read for an environment, with or without its instance; a missing or broken
/// file gives nothing and is no error here.
pub fn outline(folder: &Path, environment: &str) -> Outline {
    let environment = environment.split('+').next().unwrap_or_default();
    let files = [format!("{environment}.toml"), STACK_FILE.to_owned()];
    let tables: Vec<Table> = files.iter().filter_map(|file| table(&folder.join(file))).collect();
    let word = |section: &str, key: &str| {
        tables.iter().find_map(|table| {
            let section = table.get(section)?.node.table()?;
            section.get(key)?.node.text().map(str::to_owned)
        })
    };
    Outline { name: word("stack", "name"), store: word("state", "folder") }
}

fn table(path: &Path) -> Option<Table> {
    tree::parse(&read::text(path).ok()?, 0, &mut Findings::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::tests::folder;

    #[test]
    fn an_outline_is_read_also_where_the_rest_is_wrong() {
        let stack = "[stack]\nname = \"s\"\n[state]\nfolder = \"a\"\n[service.x]\nwrong = 1\n";
        let staging = "[state]\nfolder = \"b\"\n";
        let folder = folder(&[("stack.toml", stack), ("staging.toml", staging), ("bad.toml", "=")]);
        let seen = |environment: &str| {
            let outline = outline(folder.path(), environment);
            (outline.name.unwrap_or_default(), outline.store.unwrap_or_default())
        };
        let pair = |name: &str, store: &str| (name.to_owned(), store.to_owned());
        assert_eq!(seen("dev"), pair("s", "a"));
        assert_eq!(seen("staging"), pair("s", "b"));
        assert_eq!(seen("staging+x"), pair("s", "b"));
        assert_eq!(seen("bad"), pair("s", "a"));
        assert_eq!(outline(&folder.path().join("gone"), "dev"), Outline::default());
    }
}
