//! The small file beside a config that says whose it is and which step last wrote it.

use hive_contract::{Failure, FailureKind, Mark, Token};
use hive_objects::failure;
use serde::{Deserialize, Serialize};
use std::os::fd::AsFd;
use std::path::Path;

/// The longest sidecar that makes sense, in bytes.
const LIMIT: u64 = 1 << 16;

/// Mark and token of one config. A file without one is nobody's; one without a file is nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sidecar {
    /// Of which config: leads from a sidecar to its file.
    pub(crate) identity: String,
    /// Whose.
    pub(crate) mark: Mark,
    /// The step that last wrote it.
    pub(crate) token: Token,
}

impl Sidecar {
    /// Reads one, by its name in an open folder or by its path with `CWD`.
    ///
    /// An empty one is none: a sidecar is not synced, so a power cut can leave it empty, and then
    /// the config has lost its mark and nothing else.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub(crate) fn read(folder: impl AsFd, path: &Path) -> Result<Option<Self>, Failure> {
        let shown = path.display().to_string();
        let Some(opened) = hive_objects::open(folder, path, &shown)? else { return Ok(None) };
        let bytes = opened.bytes(LIMIT).map_err(|error| failure("read", &shown, &error))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            Failure::new(
                FailureKind::Malformed,
                format!(
                    "the sidecar `{shown}` is damaged: {error}: remove it, then adopt the file"
                ),
            )
        })
    }

    /// Its bytes.
    pub(crate) fn write(&self) -> Vec<u8> {
        // A struct of texts always serialises.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}
