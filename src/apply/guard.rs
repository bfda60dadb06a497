//! What can refuse an apply before anything is looked at: protected, frozen, outside the window.

use super::model::{ApplyError, Lent};
use crate::plan::{Command, Plan, guards};
use hive_state::Snapshot;

/// Asks every guard: those of the newest snapshot and those of the plan, and the stricter holds.
///
/// # Errors
/// [`ApplyError::Refused`], saying which and why.
pub(super) async fn check(
    lent: Lent<'_>,
    plan: &Plan,
    head: Option<&Snapshot>,
) -> Result<(), ApplyError> {
    if only_copies(plan) {
        return Ok(());
    }
    freeze(lent).await?;
    let environment = lent.ledger.environment();
    let guards = match head {
        Some(head) => guards::stricter(&head.guards, &plan.guarded_by),
        None => plan.guarded_by.clone(),
    };
    if guards::protected(&guards) {
        return Err(ApplyError::Refused(format!(
            "{environment} is protected: it takes an approved plan, and approvals are not in this \
             version"
        )));
    }
    let (day, minute) = day_and_minute(lent.clock.wall_ms());
    guards::open(&guards, day, minute).map_err(|window| {
        let now = format!("{day} {:02}:{:02} UTC", minute / 60, minute % 60);
        ApplyError::Refused(format!(
            "{environment} is open {window}, and now it is {now}: apply then, or change the \
             window in an apply of its own"
        ))
    })
}

/// Whether a plan makes and proves backups and does nothing else: a hold on an environment is no
/// reason to go without.
fn only_copies(plan: &Plan) -> bool {
    matches!(plan.command, Command::Backup | Command::Verify)
        && plan.guards.is_none()
        && plan.changes.iter().all(|it| it.target.address.kind() == "backup")
        && plan.steps.iter().all(|it| {
            it.target.address.kind() == "backup" && it.action == hive_contract::Action::Run
        })
}

/// The day of the week and the minute of the day, UTC, of a time in milliseconds since 1970.
fn day_and_minute(wall_ms: u64) -> (&'static str, u16) {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let minutes = wall_ms / 60_000;
    let day = DAYS[usize::try_from(minutes / (24 * 60) % 7).unwrap_or_default()];
    (day, u16::try_from(minutes % (24 * 60)).unwrap_or_default())
}

/// Asks whether somebody holds the environment.
///
/// # Errors
/// [`ApplyError::Refused`], naming who and why.
pub(super) async fn freeze(lent: Lent<'_>) -> Result<(), ApplyError> {
    match lent.ledger.freeze().await? {
        None => Ok(()),
        Some(freeze) => Err(ApplyError::Refused(format!(
            "{} is frozen by {}: {}",
            lent.ledger.environment(),
            freeze.who,
            freeze.why
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_of_the_week_is_that_of_utc() {
        assert_eq!(day_and_minute(0), ("Thu", 0));
        // 2026-11-24 08:31:59 UTC, a Tuesday.
        assert_eq!(day_and_minute(1_795_509_119_000), ("Tue", 8 * 60 + 31));
    }
}
