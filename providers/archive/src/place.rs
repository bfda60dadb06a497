//! What is backed up, as declared.

use hive_contract::{Failure, FailureKind, Fields, Value};
use std::path::{Path, PathBuf};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Folder,
    Repository,
}

impl Sort {
    /// From the declared `engine`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "folder" => Some(Self::Folder),
            "repository" => Some(Self::Repository),
            _ => None,
        }
    }
}

/// A folder or a repository.
#[derive(Clone, Debug)]
pub(crate) struct Of {
    pub(crate) sort: Sort,
    /// Where it is on this machine.
    pub(crate) path: PathBuf,
    /// As a person wrote it.
    pub(crate) shown: String,
}

impl Of {
    /// From the declared `of`; a path is relative to the stack's folder.
    ///
    /// # Errors
    /// It is neither, or has no path.
    pub(crate) fn read(stack: &Path, of: &Fields) -> Result<Self, Failure> {
        let text = |key: &str| of.get(key).and_then(Value::as_text);
        let sort = text("engine").and_then(Sort::parse);
        match (sort, text("path")) {
            (Some(sort), Some(path)) => {
                Ok(Self { sort, path: stack.join(path), shown: path.to_owned() })
            }
            _ => Err(Failure::new(
                FailureKind::Malformed,
                "what is backed up is neither a folder nor a repository with a `path`",
            )),
        }
    }
}
