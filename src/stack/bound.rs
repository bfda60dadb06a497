//! Files beside a stack: the sources of configs, which become content, the files of migrations, which
//! become texts, and the programs that steps run, which are bound by digest.

use super::check::Checker;
use super::model::Span;
use super::read::{self, Unreadable};
use crate::plan::BoundFile;
use hive_contract::{Address, Declared, Fields, Fingerprint, Value};
use hive_process::program;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Reads what the declared resources need from the disk, each file once.
pub(crate) struct Binder<'a> {
    folder: &'a Path,
    path_var: Option<&'a OsStr>,
    made: Vec<PathBuf>,
    digests: BTreeMap<PathBuf, Option<Fingerprint>>,
    files: BTreeMap<String, Fingerprint>,
}

impl<'a> Binder<'a> {
    /// A binder of the files of one stack. `path_var` is where programs are searched; `made` are
    /// files and folders that applies write, relative to the stack's folder.
    pub(crate) fn new(
        folder: &'a Path,
        path_var: Option<&'a OsStr>,
        made: impl IntoIterator<Item = String>,
    ) -> Self {
        let made = made.into_iter().map(|path| plain(&folder.join(path))).collect();
        Self { folder, path_var, made, digests: BTreeMap::new(), files: BTreeMap::new() }
    }

    /// Whether an apply writes a file. Its content is then declared elsewhere, and is no fact that
    /// a plan could be bound to: it would move with the apply itself.
    fn is_made(&self, path: &Path) -> bool {
        let path = plain(path);
        self.made.iter().any(|made| path.starts_with(made))
    }

    /// The files below the stack's folder that steps run.
    pub(crate) fn files(self) -> Vec<BoundFile> {
        self.files.into_iter().map(|(path, digest)| BoundFile { path, digest }).collect()
    }

    /// Adds to a resource what its files say.
    pub(crate) fn bind(&mut self, declared: &mut Declared, checker: &mut Checker<'_>) {
        let address = declared.address.clone();
        match address.kind() {
            "config" => self.source(&address, &mut declared.fields, checker),
            "migrations" => self.migrations(&address, &mut declared.fields, checker),
            "check" if declared.fields.contains_key("command") => {
                self.program(&address, &[], &mut declared.fields, checker);
            }
            "service" => {
                if let Some(Value::Map(process)) = declared.fields.get_mut("process") {
                    self.program(&address, &["process"], process, checker);
                }
            }
            _ => {}
        }
    }

    /// `source` → `content`.
    fn source(&mut self, address: &Address, fields: &mut Fields, checker: &mut Checker<'_>) {
        let Some(Value::Text(source)) = fields.remove("source") else { return };
        let at = checker.place(address, &["source"]);
        match read::text(&self.folder.join(&source)) {
            Ok(text) => {
                fields.insert("content".to_owned(), Value::Text(text));
                if let Some(at) = at {
                    checker.also_stands(address, "content", at);
                }
            }
            Err(unreadable) => {
                let help = match unreadable {
                    Unreadable::Absent => "the path is relative to the stack's folder",
                    Unreadable::TooLarge { .. } => {
                        "a config is written whole into plan and snapshot"
                    }
                    _ => "a config must be UTF-8 text",
                };
                checker.findings.add(at, format!("`{source}` {unreadable}")).help(help);
            }
        }
    }

    /// `path` → `files`: their names and texts, in the order of their names.
    fn migrations(&self, address: &Address, fields: &mut Fields, checker: &mut Checker<'_>) {
        let Some(Value::Text(path)) = fields.remove("path") else { return };
        let at = checker.place(address, &["path"]);
        match read::migrations(&self.folder.join(&path)) {
            Ok(texts) => {
                let one = |(name, text): (String, String)| {
                    let file = [("name", Value::Text(name)), ("text", Value::Text(text))];
                    Value::Map(file.map(|(key, value)| (key.to_owned(), value)).into())
                };
                let files = texts.into_iter().map(one).collect();
                fields.insert("files".to_owned(), Value::List(files));
                if let Some(at) = at {
                    checker.also_stands(address, "files", at);
                }
            }
            Err(wrong) => {
                for (file, unreadable) in wrong {
                    let file =
                        file.strip_prefix(self.folder).unwrap_or(&file).display().to_string();
                    let help = match unreadable {
                        Unreadable::Absent => "the path is relative to the stack's folder",
                        Unreadable::NotAFile => "the files of one list stand side by side",
                        Unreadable::TooLarge { .. } => {
                            "every snapshot holds the text of migrations"
                        }
                        Unreadable::NotAFolder => "name the folder in which the files are",
                        _ => "a migration must be UTF-8 text",
                    };
                    checker.findings.add(at, format!("`{file}` {unreadable}")).help(help);
                }
            }
        }
    }

    /// `command` → `program` and `inputs`: what it runs, and which files it is given.
    fn program(
        &mut self,
        address: &Address,
        above: &[&str],
        fields: &mut Fields,
        checker: &mut Checker<'_>,
    ) {
        let directory = match fields.get("directory").and_then(Value::as_text) {
            Some(directory) => self.folder.join(directory),
            None => self.folder.to_path_buf(),
        };
        let command = fields.get("command").and_then(Value::as_list).unwrap_or_default();
        let Some((Value::Text(name), arguments)) = command.split_first() else { return };
        let field: Vec<&str> = above.iter().copied().chain(["command", "0"]).collect();
        let at = checker.place(address, &field);
        if name.contains('/') && self.is_made(&directory.join(name)) {
            return;
        }
        let Some(digest) = self.found(name, &directory, at, checker) else { return };
        let texts = arguments.iter().filter_map(Value::as_text);
        let inputs: Fields = texts
            .filter_map(|text| Some((text, self.input(&directory, text)?)))
            .map(|(text, digest)| (text.to_owned(), Value::text(digest.as_str())))
            .collect();
        let program = [("name", Value::text(name)), ("digest", Value::text(digest.as_str()))];
        let program = program.map(|(key, value)| (key.to_owned(), value));
        fields.insert("program".to_owned(), Value::Map(Fields::from(program)));
        if !inputs.is_empty() {
            fields.insert("inputs".to_owned(), Value::Map(inputs));
        }
    }

    fn found(
        &mut self,
        name: &str,
        directory: &Path,
        at: Option<Span>,
        checker: &mut Checker<'_>,
    ) -> Option<Fingerprint> {
        let Some(path) = program::find(name, directory, self.path_var) else {
            let (message, help) = match name.contains('/') {
                true => (
                    format!("there is no program `{name}` in `{}`", directory.display()),
                    "the path is relative to `directory`, and the file must be executable",
                ),
                false => (
                    format!("there is no program `{name}` on PATH"),
                    "put it on PATH, or write a path with `/`, relative to `directory`",
                ),
            };
            checker.findings.add(at, message).help(help);
            return None;
        };
        let digest = self.digest(&path);
        if digest.is_none() {
            let message = format!("the program `{}` cannot be read", path.display());
            checker.findings.add(at, message).help("hive binds what it runs by content");
        }
        digest
    }

    /// The digest of an argument that is a file.
    fn input(&mut self, directory: &Path, argument: &str) -> Option<Fingerprint> {
        // Arguments are anything: only what can be a path is looked up.
        if argument.is_empty() || argument.len() > 4096 || argument.contains('\0') {
            return None;
        }
        let path = directory.join(argument);
        if self.is_made(&path) { None } else { self.digest(&path) }
    }

    /// The digest of a file, which is bound where it lies below the stack's folder.
    fn digest(&mut self, path: &Path) -> Option<Fingerprint> {
        if let Some(known) = self.digests.get(path) {
            return known.clone();
        }
        let digest = path.is_file().then(|| program::digest(path).ok()).flatten();
        self.digests.insert(path.to_path_buf(), digest.clone());
        if let (Some(digest), Some(below)) = (&digest, read::below(self.folder, path))
            && let Some(below) = below.to_str()
        {
            self.files.insert(below.to_owned(), digest.clone());
        }
        digest
    }
}

/// A path without `.` in it.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect()
}
