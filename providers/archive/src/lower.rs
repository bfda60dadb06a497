//! A declared backup of a folder or a repository.

use crate::place::Sort;
use hive_backup::lower_backup;
use hive_contract::{Declared, Invalid, LowerScope, Lowered, Value};
use std::path::{Component, Path};

/// One declared backup in terms of its destination.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub(crate) fn lower(declared: &Declared, scope: &LowerScope) -> Result<Lowered, Vec<Invalid>> {
    let mut wrong = Vec::new();
    if declared.address.kind() != "backup" {
        let message = format!("the provider `{}` has only backups", crate::NAME);
        return Err(vec![Invalid::at("", message)]);
    }
    check_of(declared, &mut wrong);
    match lower_backup(declared, scope) {
        Ok(lowered) if wrong.is_empty() => Ok(lowered),
        Ok(_) => Err(wrong),
        Err(more) => {
            wrong.extend(more);
            Err(wrong)
        }
    }
}

fn check_of(declared: &Declared, wrong: &mut Vec<Invalid>) {
    let Some(of) = declared.fields.get("of").and_then(Value::as_map) else { return };
    let text = |key: &str| of.get(key).and_then(Value::as_text);
    if text("engine").and_then(Sort::parse).is_none() {
        wrong.push(Invalid::at("of.engine", "it is neither `folder` nor `repository`"));
    }
    let Some(path) = text("path").filter(|path| !path.is_empty()) else {
        wrong.push(Invalid::at("of.path", "it is not said which folder is backed up"));
        return;
    };
    let destination = declared.fields.get("destination").and_then(Value::as_text);
    let inside_of_it = destination.filter(|it| !it.contains("://"));
    if inside_of_it.is_some_and(|destination| clean(destination) == clean(path)) {
        wrong.push(
            Invalid::at("destination", "it is the folder that is backed up")
                .help("give the backups a folder of their own"),
        );
    }
}

/// A path without what says nothing.
fn clean(path: &str) -> Vec<Component<'_>> {
    Path::new(path).components().filter(|part| *part != Component::CurDir).collect()
}
