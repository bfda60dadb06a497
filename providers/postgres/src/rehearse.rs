//! A change tried on a copy.

use crate::Base;
use hive_contract::{Change, Context, Failure, Rehearsal};

pub(crate) fn can(_change: &Change) -> bool {
    false
}

pub(crate) async fn rehearse(
    _base: &Base,
    changes: &[Change],
    _context: &Context<'_>,
) -> Vec<Result<Rehearsal, Failure>> {
    changes.iter().map(|_| Ok(Rehearsal::default())).collect()
}
