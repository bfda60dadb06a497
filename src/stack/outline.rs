//! The few words of a stack that the ways back need, also when the rest of its TOML is wrong.

use super::duration;
use super::problem::Findings;
use super::read::{self, STACK_FILE};
use super::tree::{self, Node, Table};
use hive_contract::Address;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
    /// How long the lease holds, in milliseconds, where the stack says so.
    pub lease_ms: Option<u64>,
    /// A file that is there and cannot be read or is no TOML: what it says of the store is not
    /// known.
    pub broken: Option<String>,
}

/// Reads what can be read for an environment, with or without its instance; a missing file gives
/// nothing, and a broken one is named.
pub fn outline(folder: &Path, environment: &str) -> Outline {
    let environment = environment.split('+').next().unwrap_or_default();
    let files = [format!("{environment}.toml"), STACK_FILE.to_owned()];
    let read: Vec<(&String, Option<Table>)> = files
        .iter()
        .filter(|file| folder.join(file).symlink_metadata().is_ok())
        .map(|file| (file, table(&folder.join(file))))
        .collect();
    let broken = read.iter().find(|(_, table)| table.is_none()).map(|(file, _)| (*file).clone());
    let tables: Vec<Table> = read.into_iter().filter_map(|(_, table)| table).collect();
    let node = |section: &str, key: &str| {
        let mut sections = tables.iter().filter_map(|table| table.get(section)?.node.table());
        sections.find_map(|section| Some(&section.get(key)?.node))
    };
    let word = |section: &str, key: &str| node(section, key)?.text().map(str::to_owned);
    let parallel = node("stack", "parallel").and_then(Node::int);
    let parallel = parallel.and_then(|it| u32::try_from(it).ok()).filter(|it| *it > 0);
    let lease_ms = word("state", "lease").and_then(|it| duration::milliseconds(&it));
    let lease_ms = lease_ms.and_then(|it| u64::try_from(it).ok()).filter(|it| *it >= 1_000);
    let (name, store) = (word("stack", "name"), word("state", "folder"));
    Outline { name, store, parallel, lease_ms, broken }
}

/// Where the files of each list of migrations are, as written in the files of an environment. One
/// whose path is not plain text is left out.
pub fn migration_folders(folder: &Path, environment: &str) -> BTreeMap<Address, String> {
    let environment = environment.split('+').next().unwrap_or_default();
    let mut folders = BTreeMap::new();
    // The overlay comes second and says the last word.
    for file in [STACK_FILE.to_owned(), format!("{environment}.toml")] {
        let Some(table) = table(&folder.join(file)) else { continue };
        let lists = table.get("migrations").and_then(|it| it.node.table());
        for (name, list) in lists.into_iter().flatten() {
            let path = list.node.table().and_then(|it| it.get("path")?.node.text());
            if let (Ok(address), Some(path)) = (Address::new("migrations", name), path) {
                folders.insert(address, path.to_owned());
            }
        }
    }
    folders
}

/// What applies and those who use databases write, as far as the files of the stack say so in plain
/// text, in any environment: databases, and places of backups.
pub fn written_in(folder: &Path) -> Vec<PathBuf> {
    let mut written = Vec::new();
    for environment in read::environments(folder).into_iter().chain(["stack".to_owned()]) {
        let Some(table) = table(&folder.join(format!("{environment}.toml"))) else { continue };
        for (kind, key) in [("database", "path"), ("backup", "destination")] {
            let resources = table.get(kind).and_then(|it| it.node.table());
            for resource in resources.into_iter().flat_map(|it| it.values()) {
                let path = resource.node.table().and_then(|it| it.get(key)?.node.text());
                written.extend(path.filter(|it| !it.contains("://")).map(|it| folder.join(it)));
            }
        }
    }
    written
}

fn table(path: &Path) -> Option<Table> {
    tree::parse(&read::text(path).ok()?, 0, &mut Findings::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::tests::folder;

    #[test]
    fn the_folder_of_a_list_is_what_the_overlay_says_last() {
        let stack =
            "[migrations.main]\ndatabase = \"main\"\npath = \"a\"\n[migrations.b]\npath = \"b\"\n";
        let staging = "[migrations.main]\npath = \"c\"\n";
        let folder = folder(&[("stack.toml", stack), ("staging.toml", staging)]);
        let of = |environment: &str| -> Vec<String> {
            migration_folders(folder.path(), environment).into_values().collect()
        };
        assert_eq!(of("dev"), ["b", "a"]);
        assert_eq!(of("staging+x"), ["b", "c"]);
    }

    #[test]
    fn what_is_written_in_any_environment_is_known() {
        let stack = "[database.a]\npath = \"data/a.db\"\n[backup.a]\ndestination = \"s3://b/x\"\n";
        let staging = "[backup.a]\ndestination = \"kept\"\n[database.a]\npath = { var = \"x\" }\n";
        let folder = folder(&[("stack.toml", stack), ("staging.toml", staging)]);
        let at = |path: &str| folder.path().join(path);
        assert_eq!(written_in(folder.path()), [at("kept"), at("data/a.db")]);
    }

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
        assert_eq!(outline(folder.path(), "staging").broken, None);
        assert_eq!(outline(folder.path(), "bad").broken.as_deref(), Some("bad.toml"));
        assert_eq!(outline(&folder.path().join("gone"), "dev"), Outline::default());
    }
}
