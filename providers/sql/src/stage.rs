//! Whether the version before a migration runs on its outcome.

use crate::dialect::Dialect;
use crate::phrase::{self, Phrase};
use crate::script::Statement;
use serde::{Deserialize, Serialize};
use std::fmt;

/// When in a rollout a migration belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Before the services are updated: the version before runs on its outcome.
    Expand,
    /// After them: the version before does not run on it.
    Contract,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expand => "expand",
            Self::Contract => "contract",
        })
    }
}

/// Decides from the SQL, with the reasons, each a lower-case fragment.
pub fn stage(dialect: Dialect, statements: &[Statement]) -> (Stage, Vec<String>) {
    let mut why = Vec::new();
    for statement in statements {
        let words = phrase::words(dialect, &statement.text);
        let phrase = Phrase::new(dialect, &words);
        if phrase.begins("drop table") || phrase.has("drop column") || phrase.has("rename") {
            why.push(format!("drops or renames (line {})", statement.line));
        }
    }
    if why.is_empty() {
        return (Stage::Expand, vec!["nothing in it stops the version before".to_owned()]);
    }
    (Stage::Contract, why)
}

/// The same, where a directive may say otherwise.
pub(crate) fn declared(
    dialect: Dialect,
    statements: &[Statement],
    declared: Option<Stage>,
) -> (Stage, Vec<String>) {
    let (found, why) = stage(dialect, statements);
    match declared {
        None => (found, why),
        Some(declared) if declared == found => (found, why),
        Some(declared) => {
            let mut all = vec![format!("declared {declared}; the SQL itself looks like {found}")];
            all.extend(why);
            (declared, all)
        }
    }
}
