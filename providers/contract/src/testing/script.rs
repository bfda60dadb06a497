//! What goes wrong in the world, said beforehand.

use crate::outcome::{Failure, FailureKind};
use crate::value::Fields;
use std::collections::{BTreeMap, VecDeque};

/// What happens to one call of `perform` on one object. Each is used up by one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: this call is let through.
    Pass,
    /// The call fails and has no effect.
    Refuse(Failure),
    /// The system asks to slow down: retryable, no effect.
    Throttle,
    /// The answer is lost, and hive cannot know whether there was an effect.
    Lost {
        /// Whether there was one.
        effect: bool,
    },
    /// There is an effect and the call fails all the same, saying what it left.
    FailAfter(FailureKind),
    /// There is an effect, and the thing says that it does not work. A gate does not hold.
    Unhealthy,
    /// The call takes its time, in milliseconds of the lent sleeper.
    Wait {
        /// Before the effect.
        before_ms: u64,
        /// After the effect.
        after_ms: u64,
    },
    /// Somebody else sets these fields between the call's read and its write.
    Meddle(Fields),
}

/// The script of a whole world.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    calls: BTreeMap<String, VecDeque<Fault>>,
    trouble: BTreeMap<String, Failure>,
}

impl Script {
    /// Adds faults for the next calls on one object, one a call.
    pub(super) fn add(&mut self, identity: &str, faults: impl IntoIterator<Item = Fault>) {
        self.calls.entry(identity.to_owned()).or_default().extend(faults);
    }

    /// The fault of this call.
    pub(super) fn next(&mut self, identity: &str) -> Fault {
        let queue = self.calls.get_mut(identity);
        queue.and_then(VecDeque::pop_front).unwrap_or(Fault::Pass)
    }

    /// Every call on an object fails like this until it is calmed; `*` is every object.
    pub(super) fn trouble(&mut self, identity: &str, failure: Failure) {
        self.trouble.insert(identity.to_owned(), failure);
    }

    /// What every call on an object fails with now.
    pub(super) fn troubled(&self, identity: &str) -> Option<&Failure> {
        self.trouble.get(identity).or_else(|| self.trouble.get("*"))
    }

    /// Nothing goes wrong any more.
    pub(super) fn calm(&mut self) {
        self.calls.clear();
        self.trouble.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_used_up_by_one_call() {
        let mut script = Script::default();
        script.add("a", [Fault::Pass, Fault::Throttle]);
        assert_eq!(script.next("b"), Fault::Pass);
        assert_eq!(script.next("a"), Fault::Pass);
        assert_eq!(script.next("a"), Fault::Throttle);
        assert_eq!(script.next("a"), Fault::Pass);
    }

    #[test]
    fn trouble_stays_until_it_is_calmed() {
        let mut script = Script::default();
        script.trouble("*", Failure::new(FailureKind::Forbidden, "no"));
        script.trouble("a", Failure::new(FailureKind::Malformed, "??"));
        assert_eq!(script.troubled("a").map(|it| it.kind), Some(FailureKind::Malformed));
        assert_eq!(script.troubled("b").map(|it| it.kind), Some(FailureKind::Forbidden));
        script.calm();
        assert_eq!(script.troubled("a"), None);
    }
}
