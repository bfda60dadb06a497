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
    /// What applies and services write.
    written: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
}

impl Watch {
    /// As they are now, but for what is `written` by applies and services: databases, backups.
    pub fn of(folder: &Path, written: Vec<PathBuf>) -> Self {
        Self { seen: look(folder, &written), written }
    }

    /// Whether one has come, gone or changed.
    pub fn changed(&self, folder: &Path) -> bool {
        look(folder, &self.written) != self.seen
    }
}

/// Whether a path is one that is written, is inside it, or stands beside it as a database's journal
/// and that of an instance do: `shop.db-wal`, `shop+feature-7.db`.
fn is_written(path: &Path, written: &[PathBuf]) -> bool {
    let name = |path: &Path| path.file_name().map(|it| it.to_string_lossy().into_owned());
    let Some(own) = name(path) else { return false };
    written.iter().any(|of| {
        let stem = of.file_stem().unwrap_or_default().to_string_lossy();
        let beside =
            name(of).is_some_and(|of| own.starts_with(&of)) || own.starts_with(&format!("{stem}+"));
        path.starts_with(of) || (beside && path.parent() == of.parent())
    })
}

fn look(folder: &Path, written: &[PathBuf]) -> BTreeMap<PathBuf, Stamp> {
    let mut seen = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        // What cannot be read is not watched; the plan that needs it says why.
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let hidden = name.as_encoded_bytes().first() == Some(&b'.')
                || is_written(&entry.path(), written);
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
        let watch = Watch::of(folder.path(), Vec::new());
        fs::write(at(".hive/head.json"), "x").expect("writes");
        assert!(!watch.changed(folder.path()));
        fs::write(at("config/api.toml"), "x").expect("writes");
        assert!(watch.changed(folder.path()));
        let watch = Watch::of(folder.path(), Vec::new());
        fs::write(at("stack.toml"), "longer").expect("writes");
        assert!(watch.changed(folder.path()));
        let watch = Watch::of(folder.path(), Vec::new());
        fs::remove_file(at("stack.toml")).expect("removes");
        assert!(watch.changed(folder.path()));
    }

    #[test]
    fn what_services_and_applies_write_is_no_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("backups/dev")).expect("makes it");
        let watch = Watch::of(folder.path(), vec![at("shop.db"), at("backups/dev")]);
        for written in ["shop.db", "shop.db-wal", "shop+x.db", "backups/dev/a"] {
            fs::write(at(written), "x").expect("writes");
            assert!(!watch.changed(folder.path()), "{written}");
        }
        fs::write(at("shop.toml"), "x").expect("writes");
        assert!(watch.changed(folder.path()));
    }
}
