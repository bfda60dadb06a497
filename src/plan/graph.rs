//! The order of steps: edges in, a deterministic order and what each step waits for out.

use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::rc::Rc;

/// A point in time: a step, or a moment between steps (`everything before service.api is done`).
pub(super) struct Moment {
    /// Which step's draft; none for a moment between steps.
    pub(super) draft: Option<usize>,
    /// Whose.
    pub(super) subject: usize,
    /// Among what may come next, the smallest comes first.
    pub(super) rank: Rank,
}

/// What comes first among steps that do not wait for each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Rank {
    /// 0 makes, 1 takes away, 2 cannot be taken back.
    pub(super) stage: u8,
    /// The subject, by address.
    pub(super) subject: usize,
    /// The draft.
    pub(super) draft: usize,
}

/// Whether an edge must hold, or gives way where it closes a cycle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Edge {
    /// Must hold.
    Firm,
    /// Gives way.
    Soft,
}

/// Moments and what comes before what.
#[derive(Default)]
pub(super) struct Graph {
    inner: DiGraph<Moment, Edge>,
}

/// Drafts in order, and for each which of them it waits for, by their place in the order.
#[derive(Default, PartialEq, Eq, Debug)]
pub(super) struct Order {
    /// The drafts.
    pub(super) drafts: Vec<usize>,
    /// What each waits for, as indices into [`Self::drafts`].
    pub(super) needs: Vec<BTreeSet<usize>>,
}

impl Graph {
    /// A moment between steps, in the life of a subject.
    pub(super) fn moment(&mut self, subject: usize) -> NodeIndex {
        self.inner.add_node(Moment { draft: None, subject, rank: Rank::default() })
    }

    /// A step.
    pub(super) fn step(&mut self, rank: Rank) -> NodeIndex {
        let (draft, subject) = (Some(rank.draft), rank.subject);
        self.inner.add_node(Moment { draft, subject, rank })
    }

    /// `first` is before `then`.
    pub(super) fn before(&mut self, first: NodeIndex, then: NodeIndex) {
        if first != then {
            self.inner.add_edge(first, then, Edge::Firm);
        }
    }

    /// `first` is before `then`, where nothing speaks against it.
    pub(super) fn rather_before(&mut self, first: NodeIndex, then: NodeIndex) {
        self.inner.add_edge(first, then, Edge::Soft);
    }

    /// The order, ties broken by rank.
    ///
    /// # Errors
    /// The subjects on a cycle, in its order, the first also last.
    pub(super) fn order(mut self) -> Result<Order, Vec<usize>> {
        let sorted = match self.sorted() {
            Some(sorted) => sorted,
            None => {
                self.give_way();
                match self.sorted() {
                    Some(sorted) => sorted,
                    None => return Err(self.cycle()),
                }
            }
        };
        Ok(self.collapsed(&sorted))
    }

    /// All moments, each after what is before it; none where there is a cycle.
    fn sorted(&self) -> Option<Vec<NodeIndex>> {
        let mut waits: Vec<usize> = vec![0; self.inner.node_count()];
        for edge in self.inner.edge_references() {
            waits[edge.target().index()] += 1;
        }
        let key = |node: NodeIndex| Reverse((self.inner[node].rank, node));
        let free = self.inner.node_indices().filter(|node| waits[node.index()] == 0);
        let mut next: BinaryHeap<_> = free.map(key).collect();
        let mut sorted = Vec::with_capacity(waits.len());
        while let Some(Reverse((_, node))) = next.pop() {
            sorted.push(node);
            for then in self.inner.neighbors(node) {
                waits[then.index()] -= 1;
                if waits[then.index()] == 0 {
                    next.push(key(then));
                }
            }
        }
        (sorted.len() == waits.len()).then_some(sorted)
    }

    /// Takes the soft edges out of every cycle.
    fn give_way(&mut self) {
        let mut component = vec![0; self.inner.node_count()];
        for (number, nodes) in petgraph::algo::kosaraju_scc(&self.inner).iter().enumerate() {
            nodes.iter().for_each(|node| component[node.index()] = number);
        }
        self.inner.retain_edges(|graph, edge| {
            let Some((first, then)) = graph.edge_endpoints(edge) else { return true };
            graph[edge] == Edge::Firm || component[first.index()] != component[then.index()]
        });
    }

    fn cycle(&self) -> Vec<usize> {
        let components = petgraph::algo::kosaraju_scc(&self.inner);
        let in_cycle = components.iter().filter(|it| it.len() > 1);
        let Some(component) = in_cycle.min_by_key(|it| it.iter().min().copied()) else {
            return Vec::new();
        };
        let path = cycle(&self.inner, component);
        // Backwards, so that each waits for the next.
        path.iter().rev().map(|node| self.inner[*node].subject).collect()
    }

    /// Only the steps, each waiting for the steps behind the moments that it waits for.
    fn collapsed(&self, sorted: &[NodeIndex]) -> Order {
        let mut place = vec![0; sorted.len()];
        sorted.iter().enumerate().for_each(|(at, node)| place[node.index()] = at);
        let before = |node: &NodeIndex| {
            let direction = petgraph::Direction::Incoming;
            let nodes = self.inner.neighbors_directed(*node, direction);
            nodes.map(|it| place[it.index()]).collect()
        };
        let before: Vec<Vec<usize>> = sorted.iter().map(before).collect();
        let real: Vec<bool> = sorted.iter().map(|it| self.inner[*it].draft.is_some()).collect();
        let needs = collapse(&before, &real);
        let mut number = vec![0; sorted.len()];
        let mut order = Order::default();
        for (at, node) in sorted.iter().enumerate() {
            let Some(draft) = self.inner[*node].draft else { continue };
            number[at] = order.drafts.len();
            order.drafts.push(draft);
        }
        for at in (0..sorted.len()).filter(|at| real[*at]) {
            order.needs.push(needs[at].iter().map(|it| number[*it]).collect());
        }
        order
    }
}

/// What a relay replaces: more than this many steps before a moment, and not only one behind it.
const RELAY: usize = 64;

/// For each real place in a sorted graph the real places that it waits for, through those that are
/// not. `before[at]` holds smaller places only.
///
/// Where many wait for many, one of the first waits for the others of them and all of the second
/// for that one, so that the needs stay linear in the size of the graph.
pub(super) fn collapse(before: &[Vec<usize>], real: &[bool]) -> Vec<BTreeSet<usize>> {
    let mut behind = vec![0_usize; before.len()];
    before.iter().flatten().for_each(|at| behind[*at] += 1);
    let mut needs: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); before.len()];
    let mut through: Vec<Option<Rc<BTreeSet<usize>>>> = vec![None; before.len()];
    for at in 0..before.len() {
        if let ([only], false) = (before[at].as_slice(), real[at])
            && let Some(set) = &through[*only]
        {
            through[at] = Some(Rc::clone(set));
            continue;
        }
        let mut set = BTreeSet::new();
        for first in &before[at] {
            match &through[*first] {
                Some(steps) => set.extend(steps.iter().copied()),
                None => drop(set.insert(*first)),
            }
        }
        if real[at] {
            needs[at].append(&mut set);
            continue;
        }
        if set.len() > RELAY
            && behind[at] > 1
            && let Some(last) = set.pop_last()
        {
            needs[last].append(&mut set);
            set.insert(last);
        }
        through[at] = Some(Rc::new(set));
    }
    needs
}

/// A way through a strongly connected component back to its smallest node, which is also last.
pub(super) fn cycle<N, E>(graph: &DiGraph<N, E>, component: &[NodeIndex]) -> Vec<NodeIndex> {
    let inside: BTreeSet<NodeIndex> = component.iter().copied().collect();
    let Some(start) = inside.first().copied() else { return Vec::new() };
    // Breadth first, so that the way is a shortest one.
    let mut came_from = BTreeMap::new();
    let mut next = VecDeque::from([start]);
    while let Some(node) = next.pop_front() {
        let mut thens: Vec<_> = graph.neighbors(node).filter(|it| inside.contains(it)).collect();
        thens.sort_unstable();
        for then in thens {
            if then == start {
                let mut path = vec![start, node];
                let mut at = node;
                while at != start {
                    at = came_from[&at];
                    path.push(at);
                }
                path.reverse();
                if node == start {
                    path.truncate(2);
                }
                return path;
            }
            if let Entry::Vacant(way) = came_from.entry(then) {
                way.insert(node);
                next.push_back(then);
            }
        }
    }
    vec![start]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(graph: &mut Graph, draft: usize) -> NodeIndex {
        graph.step(Rank { stage: 0, subject: draft, draft })
    }

    #[test]
    fn ties_go_by_rank_and_moments_vanish() {
        let mut graph = Graph::default();
        let c = step(&mut graph, 2);
        let b = step(&mut graph, 1);
        let a = step(&mut graph, 0);
        let all = graph.moment(0);
        let last = graph.step(Rank { stage: 0, subject: 0, draft: 3 });
        for node in [a, b, c] {
            graph.before(node, all);
        }
        graph.before(all, last);
        let order = graph.order().expect("no cycle");
        assert_eq!(order.drafts, [0, 1, 2, 3]);
        assert_eq!(order.needs[3], BTreeSet::from([0, 1, 2]));
    }

    #[test]
    fn a_cycle_is_a_path_and_a_soft_edge_gives_way() {
        let mut graph = Graph::default();
        let (a, b) = (step(&mut graph, 0), step(&mut graph, 1));
        graph.before(a, b);
        graph.rather_before(b, a);
        assert_eq!(graph.order().expect("gives way").drafts, [0, 1]);

        let mut graph = Graph::default();
        let (a, b, c) = (step(&mut graph, 0), step(&mut graph, 1), step(&mut graph, 2));
        graph.before(a, b);
        graph.before(b, c);
        graph.before(c, a);
        assert_eq!(graph.order(), Err(vec![0, 2, 1, 0]));
    }

    #[test]
    fn many_to_many_stays_linear() {
        let many = 500;
        let mut graph = Graph::default();
        let all = graph.moment(0);
        for draft in 0..many {
            let node = step(&mut graph, draft);
            graph.before(node, all);
        }
        for draft in many..2 * many {
            let node = step(&mut graph, draft);
            graph.before(all, node);
        }
        let order = graph.order().expect("no cycle");
        let edges: usize = order.needs.iter().map(BTreeSet::len).sum();
        assert!(edges < 3 * many, "{edges}");
        // Everything of the second half still waits, through the relay, for all of the first.
        assert_eq!(order.needs[many], BTreeSet::from([many - 1]));
        assert_eq!(order.needs[many - 1].len(), many - 1);
    }
}
