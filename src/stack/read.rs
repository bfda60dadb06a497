//! Reads the files of a stack: the only file of this room that touches the disk to read.

use super::model::{At, Problem, SourceFile};
use super::problem::Findings;
use super::sections::TOP;
use super::suggest::nearest;
use super::tree;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// No file of a stack, and no source of a config, may be larger.
const LARGEST: u64 = 1024 * 1024;

/// No file of migrations may be larger.
const LARGEST_MIGRATION: u64 = 4 * LARGEST;

/// All files of one list of migrations may not be larger together: they stand in every snapshot.
const LARGEST_LIST: u64 = 64 * LARGEST;

/// The file of a stack that stands in every environment.
pub(crate) const STACK_FILE: &str = "stack.toml";

/// The environment that needs no file of its own.
pub(crate) const DEV: &str = "dev";

/// The files of a stack in one environment: `stack.toml`, then the environment's own.
pub(crate) fn sources(folder: &Path, environment: &str) -> Result<Vec<SourceFile>, Vec<Problem>> {
    let mut files = Vec::new();
    let mut problems = Vec::new();
    match source(&folder.join(STACK_FILE)) {
        Ok(Some(file)) => files.push(file),
        Ok(None) => return Err(vec![no_stack(folder)]),
        Err(problem) => problems.push(*problem),
    }
    match source(&folder.join(format!("{environment}.toml"))) {
        Ok(Some(file)) => files.push(file),
        Ok(None) if environment == DEV => {}
        Ok(None) => problems.push(no_environment(folder, environment)),
        Err(problem) => problems.push(*problem),
    }
    if problems.is_empty() { Ok(files) } else { Err(problems) }
}

/// One file of a stack, where it exists.
fn source(path: &Path) -> Result<Option<SourceFile>, Box<Problem>> {
    let shown = path.display().to_string();
    let refused = |message: String| Box::new(Problem::nowhere(message, None));
    match text(path) {
        Ok(text) => Ok(Some(SourceFile { path: shown, text: text.into() })),
        Err(Unreadable::Absent) => Ok(None),
        Err(Unreadable::Garbage { bytes, at, what }) => Err(garbage(&shown, &bytes, at, what)),
        Err(other) => Err(refused(format!("`{shown}` {other}"))),
    }
}

/// Why a file has no text for us. Reads behind the file's name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// It is not there.
    #[error("does not exist")]
    Absent,
    /// The system says no.
    #[error("cannot be read: {0}")]
    Refused(std::io::Error),
    /// A folder, a device, a pipe.
    #[error("is not a file")]
    NotAFile,
    /// A file, where a folder should be.
    #[error("is not a folder")]
    NotAFolder,
    /// Its name cannot be told.
    #[error("has a name that is not UTF-8")]
    Unnamed,
    /// It is larger than allowed.
    #[error("is {is} bytes large; at most {most} are allowed")]
    TooLarge {
        /// How large it is.
        is: u64,
        /// What is allowed.
        most: u64,
    },
    /// It is not text.
    #[error("is not text: {what} at byte {at}")]
    Garbage {
        /// What it holds.
        bytes: Vec<u8>,
        /// The first byte that is wrong.
        at: usize,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// The text of a file, which must be UTF-8 without NUL and not too large.
pub(crate) fn text(path: &Path) -> Result<String, Unreadable> {
    text_of(path, LARGEST)
}

/// Texts of files, each with the file's name.
pub(crate) type Texts = Vec<(String, String)>;

/// The texts of the files of migrations in a folder, by name. Left out is what begins with `.`, and
/// what ends with `.md` or `~`.
///
/// # Errors
/// The folder itself, or every file that cannot be read, by its path.
pub(crate) fn migrations(folder: &Path) -> Result<Texts, Vec<(PathBuf, Unreadable)>> {
    let names = names(folder).map_err(|error| vec![(folder.to_path_buf(), error)])?;
    let (mut texts, mut wrong, mut sum) = (Vec::new(), Vec::new(), 0);
    for name in names {
        let path = folder.join(&name);
        let text = match name.to_str() {
            Some(name) => text_of(&path, LARGEST_MIGRATION).map(|text| (name.to_owned(), text)),
            None => Err(Unreadable::Unnamed),
        };
        match text {
            Ok((name, text)) => {
                sum += text.len() as u64;
                texts.push((name, text));
            }
            Err(error) => wrong.push((path, error)),
        }
    }
    if sum > LARGEST_LIST {
        let error = Unreadable::TooLarge { is: sum, most: LARGEST_LIST };
        wrong.push((folder.to_path_buf(), error));
    }
    if wrong.is_empty() { Ok(texts) } else { Err(wrong) }
}

/// The names in a folder that may be those of migrations, in order.
fn names(folder: &Path) -> Result<Vec<OsString>, Unreadable> {
    let entries = std::fs::read_dir(folder).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Unreadable::Absent,
        ErrorKind::NotADirectory => Unreadable::NotAFolder,
        _ => Unreadable::Refused(error),
    })?;
    let names: Result<Vec<OsString>, _> =
        entries.map(|entry| Ok(entry.map_err(Unreadable::Refused)?.file_name())).collect();
    let mut names = names?;
    names.retain(|name| {
        let name = name.as_encoded_bytes();
        !(name.starts_with(b".") || name.ends_with(b".md") || name.ends_with(b"~"))
    });
    names.sort();
    Ok(names)
}

fn text_of(path: &Path, largest: u64) -> Result<String, Unreadable> {
    let bytes = bytes(path, largest)?;
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return Err(Unreadable::Garbage { bytes, at, what: "a NUL byte" });
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Unreadable::Garbage { bytes: error.into_bytes(), at, what: "a byte that is not UTF-8" }
    })
}

fn bytes(path: &Path, largest: u64) -> Result<Vec<u8>, Unreadable> {
    let refused = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Unreadable::Absent,
        _ => Unreadable::Refused(error),
    };
    // Looked at before it is opened: to open a pipe waits for a writer.
    let meta = std::fs::metadata(path).map_err(refused)?;
    if !meta.is_file() {
        return Err(Unreadable::NotAFile);
    }
    if meta.len() > largest {
        return Err(Unreadable::TooLarge { is: meta.len(), most: largest });
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(refused)?;
    file.take(largest + 1).read_to_end(&mut bytes).map_err(Unreadable::Refused)?;
    if bytes.len() as u64 > largest {
        return Err(Unreadable::TooLarge { is: bytes.len() as u64, most: largest });
    }
    Ok(bytes)
}

fn garbage(shown: &str, bytes: &[u8], at: usize, what: &str) -> Box<Problem> {
    let before = String::from_utf8_lossy(&bytes[..at]);
    let text: Arc<str> = String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}").into();
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let place = At {
        file: shown.to_owned(),
        start: before.len(),
        end: before.len() + '\u{fffd}'.len_utf8(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        text,
    };
    Box::new(Problem {
        message: format!("this is not text: {what} stands here"),
        help: Some(format!("`{shown}` must be UTF-8 text")),
        at: Some(place),
        related: Vec::new(),
    })
}

fn no_stack(folder: &Path) -> Problem {
    let shown = folder.join(STACK_FILE).display().to_string();
    let message = if folder.is_dir() {
        format!("there is no stack here: `{shown}` does not exist")
    } else {
        format!("there is no stack here: the folder `{}` does not exist", folder.display())
    };
    let help = format!("begin one with `hive init {}`", folder.display());
    Problem::nowhere(message, Some(help))
}

fn no_environment(folder: &Path, environment: &str) -> Problem {
    let environments = environments(folder);
    let names: Vec<&str> = environments.iter().map(String::as_str).collect();
    let near = nearest(environment, names.iter().copied());
    let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    let file = folder.join(format!("{environment}.toml"));
    Problem::nowhere(
        format!("there is no environment `{environment}`: `{}` does not exist", file.display()),
        Some(format!("{near}environments here are {}", and(&names))),
    )
}

fn and(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The environments that a folder has: `dev`, and each that has a file. A file that a config takes
/// its content from is none, nor is one in which neither a section nor a kind stands.
pub fn environments(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let toml = path.extension().is_some_and(|it| it == "toml");
        if let Some(stem) = path.file_stem().and_then(OsStr::to_str).filter(|_| toml) {
            files.push((stem.to_owned(), plain(&path)));
        }
    }
    let sources: BTreeSet<PathBuf> =
        files.iter().flat_map(|(_, path)| sources_of_configs(folder, path)).collect();
    files.retain(|(stem, path)| {
        let named = stem != "stack" && hive_contract::address::check_name(stem).is_ok();
        named && !sources.contains(path) && may_be_overlay(path)
    });
    let mut found: Vec<String> = files.into_iter().map(|(stem, _)| stem).collect();
    found.push(DEV.to_owned());
    found.sort();
    found.dedup();
    found
}

/// A path without `.` in it.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|it| *it != std::path::Component::CurDir).collect()
}

/// The files that configs take their content from, as far as this file can be read.
fn sources_of_configs(folder: &Path, file: &Path) -> Vec<PathBuf> {
    let table = table(file).ok().flatten().unwrap_or_default();
    let configs = table.get("config").and_then(|it| it.node.table());
    let each = configs.into_iter().flat_map(|it| it.values());
    let source = |it: &tree::Entry| it.node.table()?.get("source")?.node.text().map(str::to_owned);
    each.filter_map(source).map(|it| plain(&folder.join(it))).collect()
}

/// Whether a file may be meant as an environment's: one that is broken may, so that it is found.
fn may_be_overlay(path: &Path) -> bool {
    match table(path) {
        Ok(Some(table)) => table.is_empty() || table.keys().any(|it| TOP.get(it).is_some()),
        Ok(None) | Err(_) => true,
    }
}

/// The table of a file; none where it is no TOML.
fn table(path: &Path) -> Result<Option<tree::Table>, Unreadable> {
    Ok(tree::parse(&text(path)?, 0, &mut Findings::default()))
}

/// A path of a file below a folder, relative to it; none where it lies elsewhere. Links are
/// followed.
pub(crate) fn below(folder: &Path, path: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    let path = path.canonicalize().ok()?;
    path.strip_prefix(folder).ok().map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::tests::folder;

    #[test]
    fn an_environment_is_a_file_that_can_be_laid_over_the_stack() {
        let files = [
            ("stack.toml", "[stack]\nname = \"s\"\n[config.a]\nsource = \"./service.toml\"\n"),
            ("service.toml", "[service]\nlevel = 3\n"),
            ("settings.toml", "level = 3\n"),
            ("Cargo.toml", "[package]\n"),
            ("staging.toml", "[environment]\nprotected = true\n"),
            ("empty.toml", "# as stack.toml has it\n"),
            ("broken.toml", "[service"),
        ];
        let folder = folder(&files);
        assert_eq!(environments(folder.path()), ["broken", "dev", "empty", "staging"]);
    }
}
