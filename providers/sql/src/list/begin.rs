//! How a history begins, in words: empty, with the schema as it is, or with what something else has
//! applied.

use super::DeclaredBaseline;
use crate::words;

/// The title of an operation that begins the history of a list. `upto` is the newest file that
/// counts as applied, where that is known.
pub fn begin_title(
    address: &impl std::fmt::Display,
    baseline: Option<&DeclaredBaseline>,
    upto: Option<&str>,
) -> String {
    let Some(baseline) = baseline else { return format!("begin the history of {address}") };
    let upto = upto.map(|it| format!(", up to {it}"));
    match (baseline.tool, upto) {
        (Some(tool), upto) => {
            format!("take over what {tool} has applied{}", upto.unwrap_or_default())
        }
        (None, Some(upto)) => format!("take over what is applied{upto}"),
        (None, None) => "take the schema as it is for the start".to_owned(),
    }
}

/// What a reviewer should know of files that are not run.
pub fn counted(files: usize) -> String {
    format!("{} counted as applied, none run", words::count(files as u64, "file"))
}
