//! A restore beside the live database, and the swap.

use crate::desk::Desk;
use crate::trouble::invalid;
use hive_contract::{Change, Failure, Fields, Operation, Outcome, Resolution};

pub(crate) fn knows(_verb: &str) -> bool {
    false
}

pub(crate) fn steps(_change: &Change, _of: &Fields) -> Vec<Operation> {
    Vec::new()
}

pub(crate) async fn perform(_desk: &Desk<'_>) -> Result<Outcome, Failure> {
    Err(invalid("this hive restores no PostgreSQL"))
}

pub(crate) async fn late(_desk: &Desk<'_>, failure: Failure) -> Failure {
    failure
}

pub(crate) async fn resolve(_desk: &Desk<'_>) -> Result<Resolution, Failure> {
    Err(invalid("this hive restores no PostgreSQL"))
}
