//! What a provider says while it works.

use serde::{Deserialize, Serialize};

/// One thing that happened inside a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// How much it matters.
    pub level: Level,
    /// A lower-case fragment: `replica 1 of 2 is healthy`.
    pub message: String,
    /// How far it is, as done and total, where that can be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<(u64, u64)>,
}

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Normal progress.
    Info,
    /// Worth a look.
    Warning,
}

impl Event {
    /// Normal progress.
    pub fn info(message: impl Into<String>) -> Self {
        Self { level: Level::Info, message: message.into(), progress: None }
    }

    /// Worth a look.
    pub fn warning(message: impl Into<String>) -> Self {
        Self { level: Level::Warning, message: message.into(), progress: None }
    }

    /// The same with how far it is.
    #[must_use]
    pub fn progress(mut self, done: u64, total: u64) -> Self {
        self.progress = Some((done, total));
        self
    }
}
