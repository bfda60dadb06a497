//! What ends a command before its result: an error of the flow, or a word of the command itself.

use super::exit::Exit;
use super::trouble;
use crate::flow::FlowError;
use crate::render::error::Trouble;
use hive_state::LedgerError;

/// Why a command has no result.
#[derive(Debug)]
pub enum Ended {
    /// The flow could not go on.
    Flow(FlowError),
    /// The command itself says no.
    Said {
        /// With which code.
        exit: Exit,
        /// In which words.
        trouble: Trouble,
    },
}

impl Ended {
    /// Arguments that make no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Said { exit: Exit::Failed, trouble: Trouble::new(message) }
    }

    /// Refused before anything was changed.
    pub fn refused(trouble: Trouble) -> Self {
        Self::Said { exit: Exit::Refused, trouble }
    }

    /// With which code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Flow(error) => Exit::of_error(error),
            Self::Said { exit, .. } => *exit,
        }
    }

    /// In which words.
    pub fn trouble(&self, now_ms: u64) -> Trouble {
        match self {
            Self::Flow(error) => trouble::of(error, now_ms),
            Self::Said { trouble, .. } => trouble.clone(),
        }
    }
}

impl From<FlowError> for Ended {
    fn from(error: FlowError) -> Self {
        Self::Flow(error)
    }
}

impl From<LedgerError> for Ended {
    fn from(error: LedgerError) -> Self {
        Self::Flow(FlowError::Ledger(error))
    }
}
