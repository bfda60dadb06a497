//! Why a command cannot go on.

use crate::apply::ApplyError;
use crate::plan::{PlanError, PlanFileError};
use crate::stack::Problem;
use hive_contract::{Address, Failure, Target};
use hive_state::LedgerError;
use std::path::PathBuf;

/// Everything that can end a command before or in place of its result.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// The TOML is wrong.
    #[error("the stack has {} {}", .0.len(), if .0.len() == 1 { "error" } else { "errors" })]
    Stack(Vec<Problem>),
    /// There is no plan for what is declared.
    #[error("there is no plan: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Plan(Vec<PlanError>),
    /// The apply did not begin, or could not be followed.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The store.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A plan that cannot be trusted.
    #[error("`{name}` is not a plan that can be trusted: {why}")]
    PlanFile {
        /// The file or digest.
        name: String,
        /// Why.
        why: PlanFileError,
    },
    /// A plan that is of another stack, environment or store.
    #[error("{0}")]
    OtherPlan(String),
    /// A file that a person named.
    #[error("cannot {act} `{}`: {why}", path.display())]
    Io {
        /// `read`, `write`.
        act: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// A provider cannot be connected.
    #[error("the {provider} platform cannot be used: {failure}")]
    Connect {
        /// Its name.
        provider: String,
        /// Why.
        failure: Failure,
    },
    /// A secret of the store itself.
    #[error("{0}")]
    Secret(String),
    /// Neither a stack nor a store.
    #[error("there is no stack in `{}`: neither a `stack.toml` nor a store", .0.display())]
    NoStack(PathBuf),
    /// A snapshot that is not there.
    #[error("there is no snapshot {number}{}", hint.as_ref().map_or(String::new(), |it| format!(": {it}")))]
    NoSnapshot {
        /// Its number.
        number: u64,
        /// Which there are.
        hint: Option<String>,
    },
    /// Files of migrations that are wrong.
    #[error("the files of `{address}` cannot be used: {}", faults.join("; "))]
    Files {
        /// Of which list.
        address: Address,
        /// Each with file, line and column where they are known.
        faults: Vec<String>,
    },
    /// A change was tried on a copy, and does not work.
    #[error("`{target}` was tried on a copy, and failed: {failure}")]
    Tried {
        /// Whose change.
        target: Target,
        /// How.
        failure: Failure,
    },
    /// There is no way back as it was asked for.
    #[error("{message}: {}", facts.join("; "))]
    NoWayBack {
        /// What cannot be: a lower-case fragment.
        message: String,
        /// Why, each a lower-case fragment.
        facts: Vec<String>,
        /// What to do.
        hints: Vec<String>,
    },
    /// What was asked makes no sense here.
    #[error("{0}")]
    Usage(String),
}
