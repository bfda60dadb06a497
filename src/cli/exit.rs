//! What a command ends with. The table is `docs/exit-codes.md`.

use crate::apply::{ApplyError, Report};
use crate::flow::FlowError;
use hive_state::{Ending, LedgerError};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// `plan --exit-code` or `drift`, and there are changes.
    Changes = 2,
    /// Refused: a stale or altered plan, not approved, frozen, outside of the window, not
    /// confirmed. Nothing was changed.
    Refused = 3,
    /// Somebody else holds the lease.
    Held = 4,
    /// Failed and rolled back.
    RolledBack = 5,
    /// Interrupted.
    Interrupted = 130,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// How an apply ended.
    pub fn of_report(report: &Report) -> Self {
        match report.ending {
            Ending::Applied => Self::Done,
            Ending::RolledBack => Self::RolledBack,
            Ending::Halted | Ending::ClosedByHand => Self::Failed,
            Ending::Interrupted => Self::Interrupted,
        }
    }

    /// What ended a command without its result.
    pub fn of_error(error: &FlowError) -> Self {
        match error {
            FlowError::PlanFile { .. } | FlowError::OtherPlan(_) => Self::Refused,
            FlowError::Apply(error) => Self::of_apply(error),
            FlowError::Ledger(error) => Self::of_ledger(error),
            FlowError::Stack(_)
            | FlowError::Plan(_)
            | FlowError::Io { .. }
            | FlowError::Connect { .. }
            | FlowError::Secret(_)
            | FlowError::NoStack(_)
            | FlowError::NoSnapshot { .. }
            | FlowError::NoWayBack { .. }
            | FlowError::Tried { .. }
            | FlowError::Files { .. }
            | FlowError::Usage(_) => Self::Failed,
        }
    }

    fn of_apply(error: &ApplyError) -> Self {
        match error {
            ApplyError::Stale(_)
            | ApplyError::Refused(_)
            | ApplyError::Untrusted(_)
            | ApplyError::Open { .. } => Self::Refused,
            ApplyError::Ledger(error) => Self::of_ledger(error),
            ApplyError::Expired(_) => Self::Held,
            ApplyError::LeftAtOnce | ApplyError::LeftOpen => Self::Interrupted,
            ApplyError::Unsettled { .. }
            | ApplyError::Unreadable { .. }
            | ApplyError::NoPlace(_) => Self::Failed,
        }
    }

    fn of_ledger(error: &LedgerError) -> Self {
        match error {
            LedgerError::Held { .. } | LedgerError::Fenced { .. } | LedgerError::Lost(_) => {
                Self::Held
            }
            _ => Self::Failed,
        }
    }
}
