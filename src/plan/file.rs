//! Plans as files: sealed, and checked when they are read.

use super::check;
use super::model::{FORMAT, Plan};
use hive_state::sealed::{self, Damage};

/// The kind that a plan file says it is.
pub const KIND: &str = "plan";

/// Why a plan file cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanFileError {
    /// It is not a whole plan file as hive wrote it.
    #[error("it {}", .0.check)]
    Damaged(#[from] Damage),
    /// Its parts do not fit together.
    #[error("the plan breaks a rule: {0}")]
    Broken(String),
}

/// The bytes of a plan file: the same plan, the same bytes.
pub fn write(plan: &Plan) -> Vec<u8> {
    sealed::seal(KIND, FORMAT, None, plan, true)
}

/// Reads a plan file.
///
/// # Errors
/// Any byte of it is another than was written, it is of a newer hive, or it breaks a rule.
pub fn read(bytes: &[u8]) -> Result<Plan, PlanFileError> {
    let opened = sealed::open::<Plan>("the plan", KIND, FORMAT, bytes)?;
    let plan = opened.body;
    if plan.format != opened.format {
        let (inside, outside) = (plan.format, opened.format);
        return Err(PlanFileError::Broken(format!("it has two formats, {outside} and {inside}")));
    }
    check::verify(&plan).map_err(PlanFileError::Broken)?;
    Ok(plan)
}
