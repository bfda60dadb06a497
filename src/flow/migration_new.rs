//! The next pair of migration files.

use super::error::FlowError;
use super::session::Session;
use crate::stack;
use hive_contract::Address;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Numbers above this are moments, as other tools write them: `20261124130501`.
const MOMENTS: u64 = 20_000_101_000_000;
/// How many digits a number has at least.
const DIGITS: usize = 4;

impl Session {
    /// Writes the next pair, up and down, and gives their paths. Nothing is overwritten.
    ///
    /// # Errors
    /// The name is none, there is more than one list and none is named, or it cannot be written.
    pub fn migration_new(
        &self,
        name: &str,
        list: Option<&Address>,
    ) -> Result<[PathBuf; 2], FlowError> {
        let words = words(name)?;
        let folder = self.at.folder.join(self.folder_of(list)?);
        let failed = |act, path: &Path, error: std::io::Error| FlowError::Io {
            act,
            path: path.to_owned(),
            why: error.to_string(),
        };
        std::fs::create_dir_all(&folder).map_err(|error| failed("make", &folder, error))?;
        let there = names(&folder).map_err(|error| failed("read", &folder, error))?;
        if let Some(same) = there.iter().find(|it| is_called(it, &words)) {
            return Err(FlowError::Usage(format!(
                "`{same}` is there already: give this one another name"
            )));
        }
        let stem = format!("{}_{words}", next(&there, jiff::Timestamp::now()));
        let up = folder.join(format!("{stem}.up.sql"));
        let down = folder.join(format!("{stem}.down.sql"));
        create(&up, &up_text(&words)).map_err(|error| failed("write", &up, error))?;
        if let Err(error) = create(&down, &down_text(&stem)) {
            // Half a pair is worse than none; the failure that matters is already in hand.
            let _ = std::fs::remove_file(&up);
            return Err(failed("write", &down, error));
        }
        Ok([up, down])
    }

    /// Where the files of a list are.
    fn folder_of(&self, list: Option<&Address>) -> Result<String, FlowError> {
        let folders = stack::migration_folders(&self.at.folder, &self.at.environment);
        if let Some(list) = list {
            let unknown = || {
                FlowError::Usage(format!("the stack declares no `{list}` with a written `path`"))
            };
            return folders.get(list).cloned().ok_or_else(unknown);
        }
        let mut all = folders.iter();
        match (all.next(), all.next()) {
            (Some((_, one)), None) => Ok(one.clone()),
            (None, _) => Err(FlowError::Usage(
                "the stack declares no migrations: add `[migrations.main]` with `database` and \
                 `path`"
                    .to_owned(),
            )),
            _ => {
                let names: Vec<String> = folders.keys().map(ToString::to_string).collect();
                Err(FlowError::Usage(format!(
                    "the stack has more than one list of migrations: name one of {}",
                    names.join(", ")
                )))
            }
        }
    }
}

/// What a migration does, as a part of a file's name.
fn words(name: &str) -> Result<String, FlowError> {
    let words = name.trim().replace([' ', '-'], "_");
    let good = !words.is_empty()
        && words.len() <= 100
        && words.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match good {
        true => Ok(words),
        false => Err(FlowError::Usage(format!(
            "`{name}` is no name for a migration: use letters, digits and `_`, as in `add_status`"
        ))),
    }
}

fn names(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// Whether a file is the up file of a migration of this name, whatever its number.
fn is_called(file: &str, words: &str) -> bool {
    let stem = file.strip_suffix(".up.sql");
    stem.and_then(|it| it.split_once('_')).is_some_and(|(_, name)| name == words)
}

/// The next number, written as wide as the others.
fn next(names: &[String], now: jiff::Timestamp) -> String {
    let digits = |name: &String| -> Option<(u64, usize)> {
        let digits = name.split('_').next().filter(|_| name.contains('_'))?;
        Some((digits.parse().ok()?, digits.len()))
    };
    let newest = names.iter().filter_map(digits).max();
    match newest {
        Some((number, _)) if number >= MOMENTS => {
            let moment = now.strftime("%Y%m%d%H%M%S").to_string();
            let moment = moment.parse().unwrap_or(number).max(number + 1);
            moment.to_string()
        }
        Some((number, width)) => format!("{:0width$}", number + 1),
        None => format!("{:0DIGITS$}", 1),
    }
}

fn create(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn up_text(words: &str) -> String {
    format!(
        "-- {}\n-- Write what it does below. `hive migrate lint` says what it would cost.\n",
        words.replace('_', " ")
    )
}

fn down_text(stem: &str) -> String {
    format!("-- Takes {stem} back: write how below.\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_whatever_its_number() {
        assert!(is_called("0004_add_note.up.sql", "add_note"));
        assert!(!is_called("0004_add_note.down.sql", "add_note"));
        assert!(!is_called("0004_add_note_too.up.sql", "add_note"));
    }

    #[test]
    fn the_next_number_is_as_wide_as_the_others_and_a_moment_where_they_are() {
        let now: jiff::Timestamp = "2026-11-24T13:05:01Z".parse().expect("a moment");
        let of = |names: &[&str]| {
            next(&names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>(), now)
        };
        assert_eq!(of(&[]), "0001");
        assert_eq!(of(&["README.md", "0001_a.up.sql", "0009_b.down.sql"]), "0010");
        assert_eq!(of(&["000099_a.up.sql"]), "000100");
        assert_eq!(of(&["20240101000000_a.up.sql"]), "20261124130501");
        assert_eq!(of(&["20991231235959_a.up.sql"]), "20991231235960");
    }

    #[test]
    fn a_name_is_letters_and_digits() {
        assert_eq!(words("add status").expect("a name"), "add_status");
        assert_eq!(words("add-status").expect("a name"), "add_status");
        for bad in ["", "../x", "a/b", "drop;", "ä"] {
            assert!(words(bad).is_err(), "{bad}");
        }
    }
}
