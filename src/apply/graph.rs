//! Which steps may begin: counts of what each still waits for.

use std::collections::{BTreeMap, BTreeSet};

/// Steps that wait for each other. Each end costs as much as it has followers, whatever the size
/// of the plan.
pub(super) struct Graph {
    /// How many steps a step still waits for.
    waits: BTreeMap<u32, usize>,
    /// Who waits for a step.
    followers: BTreeMap<u32, Vec<u32>>,
    /// What waits for nothing and was not taken yet, in the plan's order.
    ready: BTreeSet<u32>,
}

impl Graph {
    /// The graph of these steps, each with what it needs. A need that is not among them holds.
    pub(super) fn new<'a>(steps: impl Iterator<Item = (u32, &'a BTreeSet<u32>)>) -> Self {
        let needs: BTreeMap<u32, &BTreeSet<u32>> = steps.collect();
        let mut graph =
            Self { waits: BTreeMap::new(), followers: BTreeMap::new(), ready: BTreeSet::new() };
        for (step, needed) in &needs {
            let mut waits = 0;
            for need in needed.iter().filter(|need| needs.contains_key(need)) {
                graph.followers.entry(*need).or_default().push(*step);
                waits += 1;
            }
            graph.waits.insert(*step, waits);
            if waits == 0 {
                graph.ready.insert(*step);
            }
        }
        graph
    }

    /// Takes the first step that may begin.
    pub(super) fn take(&mut self) -> Option<u32> {
        self.ready.pop_first()
    }

    /// Takes this step out of those that may begin, now and later: it was begun already.
    pub(super) fn remove(&mut self, step: u32) {
        self.ready.remove(&step);
        self.waits.remove(&step);
    }

    /// Gives back a step that was taken: it may begin once more.
    pub(super) fn again(&mut self, step: u32) {
        self.ready.insert(step);
    }

    /// A step holds: what waited for it alone may begin.
    pub(super) fn done(&mut self, step: u32) {
        self.ready.remove(&step);
        for follower in self.followers.remove(&step).unwrap_or_default() {
            if let Some(waits) = self.waits.get_mut(&follower) {
                *waits -= 1;
                if *waits == 0 {
                    self.ready.insert(follower);
                }
            }
        }
    }

    /// Whether nothing may begin now.
    pub(super) fn nothing_ready(&self) -> bool {
        self.ready.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(needs: &[(u32, &[u32])]) -> Graph {
        let needs: Vec<(u32, BTreeSet<u32>)> =
            needs.iter().map(|(step, needs)| (*step, needs.iter().copied().collect())).collect();
        Graph::new(needs.iter().map(|(step, needs)| (*step, needs)))
    }

    #[test]
    fn a_step_waits_for_all_that_it_needs() {
        let mut graph = graph(&[(1, &[]), (2, &[]), (3, &[1, 2]), (4, &[3])]);
        assert_eq!((graph.take(), graph.take(), graph.take()), (Some(1), Some(2), None));
        graph.done(2);
        assert_eq!(graph.take(), None);
        graph.done(1);
        assert_eq!(graph.take(), Some(3));
        graph.again(3);
        assert_eq!(graph.take(), Some(3));
        graph.done(3);
        assert_eq!(graph.take(), Some(4));
        assert!(graph.nothing_ready());
    }

    #[test]
    fn a_step_that_was_begun_already_never_becomes_ready() {
        let mut graph = graph(&[(1, &[]), (2, &[1]), (3, &[2])]);
        graph.remove(2);
        assert_eq!(graph.take(), Some(1));
        graph.done(1);
        assert_eq!(graph.take(), None, "2 is under way, although 1 was passed after it");
        graph.done(2);
        assert_eq!(graph.take(), Some(3));
    }

    #[test]
    fn a_need_outside_of_the_graph_holds() {
        let mut graph = graph(&[(2, &[1]), (3, &[2])]);
        assert_eq!(graph.take(), Some(2));
        graph.done(2);
        assert_eq!(graph.take(), Some(3));
    }
}
