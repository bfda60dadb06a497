//! The few words of a stack that the ways back need, also when the rest of its TOML is wrong.

use super::problem::Findings;
use super::read::{self, STACK_FILE};
use super::tree::{self, Node, Table};
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
    /// How many steps may run at once, where the stack says so.
    pub parallel: Option<u32>,
}

/// Reads what can be read for an environment, with or without its instance; a missing or broken
/// file gives nothing and is no error here.
pub fn outline(folder: &Path, environment: &str) -> Outline {
    let environment = environment.split('+').next().unwrap_or_default();
    let files = [format!("{environment}.toml"), STACK_FILE.to_owned()];
    let tables: Vec<Table> = files.iter().filter_map(|file| table(&folder.join(file))).collect();
    let node = |section: &str, key: &str| {
        let mut sections = tables.iter().filter_map(|table| table.get(section)?.node.table());
        sections.find_map(|section| Some(&section.get(key)?.node))
    };
    let word = |section: &str, key: &str| node(section, key)?.text().map(str::to_owned);
    let parallel = node("stack", "parallel").and_then(Node::int);
    let parallel = parallel.and_then(|it| u32::try_from(it).ok()).filter(|it| *it > 0);
    Outline { name: word("stack", "name"), store: word("state", "folder"), parallel }
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
        let stack = "[stack]\nname = \"s\"\nparallel = 3\n[state]\nfolder = \"a\"\n[service.x]\nwrong = 1\n";
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
        assert_eq!(outline(folder.path(), "staging").parallel, Some(3));
        assert_eq!(outline(&folder.path().join("gone"), "dev"), Outline::default());
    }
}
