//! The first line of a rule file: whose it is, and which step last wrote it.

use hive_contract::{Failure, FailureKind, Mark, Token};
use serde::{Deserialize, Serialize};

const BEGIN: &str = "# hive: ";

/// Mark and token, as a YAML comment. A file without it is nobody's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// Of which alert.
    pub(crate) identity: String,
    /// Whose.
    pub(crate) mark: Mark,
    /// The step that last wrote it.
    pub(crate) token: Token,
}

impl Header {
    /// Cuts a file into its header and the rest.
    ///
    /// # Errors
    /// There is a header, and it is damaged.
    pub(crate) fn split<'a>(
        file: &'a str,
        shown: &str,
    ) -> Result<(Option<Self>, &'a str), Failure> {
        let Some(rest) = file.strip_prefix(BEGIN) else { return Ok((None, file)) };
        let (line, body) = rest.split_once('\n').unwrap_or((rest, ""));
        let header = serde_json::from_str(line).map_err(|error| {
            Failure::new(
                FailureKind::Malformed,
                format!("the first line of `{shown}` is damaged: {error}: remove it, then adopt"),
            )
        })?;
        Ok((Some(header), body))
    }

    /// A file of this header and a rest.
    pub(crate) fn join(&self, body: &str) -> String {
        // A struct of texts always serialises, on one line.
        let line = serde_json::to_string(self).unwrap_or_default();
        format!("{BEGIN}{line}\n{body}")
    }
}
