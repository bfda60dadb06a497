//! Whether a file below a folder has changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Folders that are never looked into: what hive, git and builders write.
const LEFT_OUT: [&str; 2] = ["target", "node_modules"];
/// More files than these are not looked at.
const MOST: usize = 20_000;

/// The files below a folder as they were.
pub struct Watch {
    seen: BTreeMap<PathBuf, Stamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
}

impl Watch {
    /// As they are now.
    pub fn of(folder: &Path) -> Self {
        Self { seen: look(folder) }
    }

    /// Whether one has come, gone or changed.
    pub fn changed(&self, folder: &Path) -> bool {
        look(folder) != self.seen
    }
}

fn look(folder: &Path) -> BTreeMap<PathBuf, Stamp> {
    let mut seen = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        // What cannot be read is not watched; the plan that needs it says why.
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let hidden = name.as_encoded_bytes().first() == Some(&b'.');
            let Ok(about) = entry.metadata() else { continue };
            if about.is_dir() && !hidden && !LEFT_OUT.iter().any(|it| name == *it) {
                open.push(entry.path());
            } else if about.is_file() && !hidden && seen.len() < MOST {
                let stamp = Stamp { length: about.len(), modified: about.modified().ok() };
                seen.insert(entry.path(), stamp);
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_that_come_go_or_change_are_seen_and_hidden_ones_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("config")).expect("makes it");
        fs::create_dir(at(".hive")).expect("makes it");
        fs::write(at("stack.toml"), "a").expect("writes");
        let watch = Watch::of(folder.path());
        fs::write(at(".hive/head.json"), "x").expect("writes");
        assert!(!watch.changed(folder.path()));
        fs::write(at("config/api.toml"), "x").expect("writes");
        assert!(watch.changed(folder.path()));
        let watch = Watch::of(folder.path());
        fs::write(at("stack.toml"), "longer").expect("writes");
        assert!(watch.changed(folder.path()));
        let watch = Watch::of(folder.path());
        fs::remove_file(at("stack.toml")).expect("removes");
        assert!(watch.changed(folder.path()));
    }
}
