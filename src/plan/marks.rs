//! Whose a live object is, and whether this plan may touch it.

use super::question::{Asked, PlanError, Question};
use super::survey::Subject;
use hive_contract::{Live, Mark, Target};

/// Whose a live object is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whose {
    /// This store's, under this address.
    Ours,
    /// This stack's and environment's, under this address, and another store's.
    AnotherStores,
    /// It carries no mark.
    Nobodys,
    /// Somebody else's.
    Foreign,
}

fn whose(question: &Question<'_>, subject: &Subject<'_>, mark: Option<&Mark>) -> Whose {
    let Some(mark) = mark else { return Whose::Nobodys };
    let ours = &question.owner;
    let address = &mark.address == subject.address || Some(&mark.address) == subject.moved_from;
    let stack = mark.owner.stack == ours.stack && mark.owner.environment == ours.environment;
    match address && stack {
        true if mark.owner.store == ours.store => Whose::Ours,
        true => Whose::AnotherStores,
        false => Whose::Foreign,
    }
}

/// Whether what is live and was never recorded may be taken into hive.
///
/// What is nobody's is taken where a person asks for it, or, where hive never touched it, its
/// declaration does.
/// An object with this store's own mark is taken without being asked: only its record was lost.
/// With a lost store `adopt` is enough for an object of this stack and environment; where there is
/// a record of others, the mark of another store is another hive's, and needs `--take-over`.
pub(super) fn may_take(
    question: &Question<'_>,
    subject: &Subject<'_>,
    target: &Target,
    live: &Live,
) -> Result<(), PlanError> {
    let whose = whose(question, subject, live.mark.as_ref());
    let owner = live.mark.as_ref().map(Mark::to_string);
    let lost_store = question.recorded.is_none();
    match (whose, subject.asked) {
        (Whose::Ours, _) | (_, Some(Asked::Adopt { take_over: true })) => Ok(()),
        (Whose::Nobodys, Some(Asked::Adopt { .. })) => Ok(()),
        (Whose::Nobodys, _) if live.token.is_none() && says_so(subject, target) => Ok(()),
        (Whose::AnotherStores, Some(Asked::Adopt { .. })) if lost_store => Ok(()),
        (_, Some(Asked::Adopt { .. })) | (Whose::Foreign, _) => {
            Err(PlanError::Foreign { target: target.clone(), owner: owner.unwrap_or_default() })
        }
        _ => {
            let identity = live.identity.clone();
            Err(PlanError::Exists { target: target.clone(), identity, owner })
        }
    }
}

fn says_so(subject: &Subject<'_>, target: &Target) -> bool {
    let part = subject.desired.and_then(|it| it.parts.get(&target.part));
    part.is_some_and(|it| it.lowered.was_there)
}

/// Whether what is live and recorded may be changed.
pub(super) fn may_change(
    question: &Question<'_>,
    subject: &Subject<'_>,
    target: &Target,
    live: &Live,
) -> Result<(), PlanError> {
    match whose(question, subject, live.mark.as_ref()) {
        // A mark that is gone comes back with the next change.
        Whose::Ours | Whose::Nobodys => Ok(()),
        Whose::AnotherStores | Whose::Foreign if takes_over(subject) => Ok(()),
        Whose::AnotherStores | Whose::Foreign => {
            let owner = live.mark.as_ref().map(Mark::to_string).unwrap_or_default();
            Err(PlanError::Foreign { target: target.clone(), owner })
        }
    }
}

/// Whether what is live and recorded may be taken away: never without hive's own mark.
pub(super) fn may_delete(
    question: &Question<'_>,
    subject: &Subject<'_>,
    target: &Target,
    live: &Live,
) -> Result<(), PlanError> {
    match whose(question, subject, live.mark.as_ref()) {
        Whose::Nobodys => Err(PlanError::Unmarked { target: target.clone() }),
        _ => may_change(question, subject, target, live),
    }
}

/// Whether a recorded object is somebody else's by now, and a person said to take it over.
pub(super) fn taken_over(question: &Question<'_>, subject: &Subject<'_>, live: &Live) -> bool {
    let foreign =
        !matches!(whose(question, subject, live.mark.as_ref()), Whose::Ours | Whose::Nobodys);
    foreign && takes_over(subject)
}

fn takes_over(subject: &Subject<'_>) -> bool {
    matches!(subject.asked, Some(Asked::Adopt { take_over: true }))
}
