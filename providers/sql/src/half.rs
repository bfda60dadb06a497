//! A file that ran without a transaction and did not end.

use crate::history::Applied;
use crate::migrations::Migration;
use serde::{Deserialize, Serialize};

/// What is known of such a file, and how it goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Half {
    /// Which.
    pub name: String,
    /// How many of its statements are done.
    pub applied: u32,
    /// How many it had when it began.
    pub total: u32,
    /// The statement that was sent and whose end was not seen, counted from 0: whether it is done,
    /// only the database can say.
    pub unsure: Option<u32>,
    /// What the database answered where it failed.
    pub error: Option<String>,
    /// How it goes on.
    pub goes_on: GoesOn,
}

/// How a half applied file goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GoesOn {
    /// With this statement of the file as it is now, counted from 0: those before it are unchanged.
    Resume(u32),
    /// With its down file: it is not wanted any more.
    Down,
    /// A person decides. The facts, each a lower-case fragment.
    Ask(Vec<String>),
}

impl Half {
    /// Of a file that is still wanted: goes on with the next statement where those that ran are
    /// still the same.
    pub fn new(migration: &Migration, row: &Applied) -> Self {
        let statements = &migration.up.statements;
        let done = usize::try_from(row.applied).unwrap_or(usize::MAX);
        // What was sent may be done: it, too, may not be another now.
        let sent = usize::try_from(row.begun).unwrap_or(usize::MAX).max(done);
        let unsure = (row.begun > row.applied && row.error.is_none()).then_some(row.applied);
        let fixed = if unsure.is_some() { sent } else { done };
        let edited: Vec<usize> = (0..fixed)
            .filter(|at| statements.get(*at).map(|one| &one.hash) != row.statements.get(*at))
            .collect();
        let goes_on = if edited.is_empty() {
            GoesOn::Resume(row.applied)
        } else {
            GoesOn::Ask(facts(migration, row, &edited))
        };
        Self::with(row, unsure, goes_on)
    }

    /// Of a file that is not wanted any more: goes back with its down file, where there is one.
    pub fn unwanted(row: &Applied, has_down: bool) -> Self {
        let unsure = (row.begun > row.applied && row.error.is_none()).then_some(row.applied);
        let goes_on = if has_down {
            GoesOn::Down
        } else {
            GoesOn::Ask(vec![ran(row), "no down file takes it back".to_owned()])
        };
        Self::with(row, unsure, goes_on)
    }

    fn with(row: &Applied, unsure: Option<u32>, goes_on: GoesOn) -> Self {
        Self {
            name: row.name.clone(),
            applied: row.applied,
            total: row.total,
            unsure,
            error: row.error.clone(),
            goes_on,
        }
    }

    /// What it is, in words.
    pub fn words(&self) -> String {
        let mut words = format!(
            "`{}` is half applied: {} of {} statements are done",
            self.name, self.applied, self.total
        );
        if let Some(unsure) = self.unsure {
            words.push_str(&format!(", the end of statement {} was not seen", unsure + 1));
        }
        if let Some(error) = &self.error {
            words.push_str(&format!(", then: {error}"));
        }
        words
    }
}

/// How much of a file stays where it failed midway, for whoever reads of the failure.
pub fn applied_so_far(name: &str, applied: u32, total: u32) -> String {
    format!("{applied} of {total} statements of `{name}` are applied")
}

fn ran(row: &Applied) -> String {
    format!("statements 1 to {} of {} ran", row.applied, row.total)
}

fn facts(migration: &Migration, row: &Applied, edited: &[usize]) -> Vec<String> {
    let mut facts = vec![ran(row)];
    for at in edited {
        facts.push(match migration.up.statements.get(*at) {
            Some(one) => format!(
                "statement {} ran and is another now ({}:{})",
                at + 1,
                migration.up.file,
                one.line
            ),
            None => format!("statement {} ran and is not in the file any more", at + 1),
        });
    }
    if let Some(error) = &row.error {
        facts.push(format!("then the database answered: {error}"));
    }
    facts.push(match migration.down.script() {
        Some(down) => format!("`{}` may take back what ran", down.file),
        None => "it has no down file".to_owned(),
    });
    facts
}
