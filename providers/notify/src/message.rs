//! What is told.

use serde::{Deserialize, Serialize};

/// How one apply ended, for whoever wants to hear of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `applied`, `failed`, `rolled-back`, `halted`, `interrupted`, or `test`.
    pub event: String,
    /// The stack's name.
    pub stack: String,
    /// The environment, with its instance.
    pub environment: String,
    /// The apply's id; empty in a test.
    pub apply: String,
    /// One line.
    pub summary: String,
    /// More lines: what failed, and how.
    pub lines: Vec<String>,
    /// Where to read more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Message {
    /// The JSON that a webhook and a command are given: the message, and all of it in `text`, which
    /// is the key that chats show.
    pub(crate) fn json(&self) -> String {
        #[derive(Serialize)]
        struct Told<'a> {
            text: String,
            #[serde(flatten)]
            message: &'a Message,
        }
        // A struct of texts always serialises.
        serde_json::to_string(&Told { text: self.text(), message: self }).unwrap_or_default()
    }

    fn text(&self) -> String {
        let lines = std::iter::once(&self.summary).chain(&self.lines).chain(&self.url);
        lines.map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}
