//! Tests of the room over folders of files: what is right, what is wrong, and where.

mod data;
mod errors;
mod language;
mod values;

use super::{Parsed, Problem, Stack, parse};
use hive_contract::{Address, Fields, Value};
use std::collections::BTreeMap;
use std::path::Path;
use tempfile::TempDir;

/// A folder with these files; what ends with `.sh` is executable.
pub(crate) fn folder(files: &[(&str, &str)]) -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("its folder");
        std::fs::write(&path, text).expect("written");
        if name.ends_with(".sh") {
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(&path, mode).expect("executable");
        }
    }
    folder
}

/// The stack in a folder in `dev`, without variables.
pub(crate) fn read(folder: &Path, environment: &str) -> Result<Parsed, Vec<Problem>> {
    let path = std::ffi::OsString::from("/usr/bin:/bin");
    parse(folder, environment, None, &BTreeMap::new(), &BTreeMap::new(), Some(&path))
}

/// The stack of one file, which must be right.
pub(crate) fn stack(text: &str) -> Stack {
    let folder = folder(&[("stack.toml", text)]);
    finished(read(folder.path(), "dev"))
}

pub(crate) fn finished(parsed: Result<Parsed, Vec<Problem>>) -> Stack {
    let parsed = parsed.unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    parsed.finish(&BTreeMap::new()).unwrap_or_else(|problems| panic!("{}", shown(&problems)))
}

/// The fields of a resource.
pub(crate) fn fields<'a>(stack: &'a Stack, address: &str) -> &'a Fields {
    let address: Address = address.parse().expect("an address");
    &stack.declared.get(&address).expect("it is declared").fields
}

/// A value from its JSON.
pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("a value")
}

/// Problems as one line each: `stack.toml:3:1: message (help) [other place]`.
pub(crate) fn shown(problems: &[Problem]) -> String {
    let at = |at: &super::At| {
        let name = Path::new(&at.file).file_name().and_then(|it| it.to_str()).unwrap_or_default();
        format!("{name}:{}:{}", at.line, at.column)
    };
    let mut lines = String::new();
    for problem in problems {
        let place = problem.at.as_ref().map(|it| at(it) + ": ").unwrap_or_default();
        let help = problem.help.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
        let related: String =
            problem.related.iter().map(|(why, it)| format!(" [{}: {why}]", at(it))).collect();
        lines.push_str(&format!("{place}{}{help}{related}\n", problem.message));
    }
    lines
}
