//! Backups.

use crate::Base;
use crate::lower::kind_of;
use crate::trouble::invalid;
use hive_contract::{
    AskOne, Change, Context, Declared, Failure, Invalid, Live, LowerScope, Lowered, Observed,
    Operation, Outcome, Perform, Resolution, Secrets, StackMark, Target,
};

/// Whether an identity is a backup's.
pub(crate) fn is_of(identity: &str) -> bool {
    kind_of(identity) == crate::BACKUP
}

pub(crate) fn lower(_declared: &Declared, _scope: &LowerScope) -> Result<Lowered, Vec<Invalid>> {
    Err(vec![Invalid::at("of", "this hive makes no backups of PostgreSQL")])
}

pub(crate) async fn observe(
    _base: &Base,
    parts: &[&AskOne],
    _marked: Option<&StackMark>,
    _secrets: &Secrets,
) -> (Vec<(Target, Result<Observed, Failure>)>, Vec<Live>) {
    let none = |one: &&AskOne| {
        (one.target.clone(), Err(invalid("this hive makes no backups of PostgreSQL")))
    };
    (parts.iter().map(none).collect(), Vec::new())
}

pub(crate) fn steps(_change: &Change) -> Vec<Operation> {
    Vec::new()
}

pub(crate) async fn perform(
    _base: &Base,
    _request: &Perform,
    _context: &Context<'_>,
) -> Result<Outcome, Failure> {
    Err(invalid("this hive makes no backups of PostgreSQL"))
}

pub(crate) async fn resolve(
    _base: &Base,
    _request: &Perform,
    _context: &Context<'_>,
) -> Result<Resolution, Failure> {
    Err(invalid("this hive makes no backups of PostgreSQL"))
}
