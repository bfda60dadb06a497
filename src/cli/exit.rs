//! What a command ends with. The table is `docs/exit-codes.md`.

use crate::apply::{ApplyError, Report};
use crate::flow::FlowError;
use crate::plan::{Command, Plan};
use hive_contract::{Failure, FailureKind, Remains};
use hive_state::{Ending, LedgerError};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// `plan --exit-code` or `drift`, and there are changes; a backup that is not what it should be.
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

    /// How an apply ended, of this plan where it is known. Whoever looks at a backup takes nothing
    /// back: it says whether the backup is wrong, or could not be looked at.
    pub fn of_report(report: &Report, plan: Option<&Plan>) -> Self {
        let of_backups = |plan: &&Plan| matches!(plan.command, Command::Backup | Command::Verify);
        let of_backups = plan.filter(of_backups);
        match report.ending {
            Ending::Applied => Self::Done,
            Ending::RolledBack | Ending::Halted
                if of_backups.is_some_and(|plan| says_no(report, plan)) =>
            {
                Self::Changes
            }
            Ending::RolledBack if of_backups.is_some_and(|it| it.command == Command::Verify) => {
                Self::Failed
            }
            // Not all of it is as before.
            Ending::RolledBack if !report.unfinished.is_empty() => Self::Failed,
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

/// Whether a backup is there and is not what it should be: it was looked at, or has just been made.
fn says_no(report: &Report, plan: &Plan) -> bool {
    let bad = |step: u32, failure: &Failure| {
        let verb = plan.step(step).map(|it| it.operation.verb.as_str());
        match (verb, failure.kind) {
            (Some(hive_backup::VERIFY), FailureKind::Unhealthy | FailureKind::Malformed) => true,
            (Some(hive_backup::BACKUP), FailureKind::Unhealthy) => {
                matches!(failure.remains, Remains::Left(_))
            }
            _ => false,
        }
    };
    report.failures.iter().any(|(step, _, failure)| bad(*step, failure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_interrupted_is_130_closed_or_open() {
        for error in [ApplyError::LeftOpen, ApplyError::LeftAtOnce] {
            assert_eq!(Exit::of_error(&FlowError::Apply(error)).code(), 130);
        }
    }
}
