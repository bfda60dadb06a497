//! What is other between two looks.

use std::collections::BTreeMap;

/// What was touched between two looks: before and after, none where it is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delta<K, V>(BTreeMap<K, (Option<V>, Option<V>)>);

impl<K, V> Default for Delta<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Clone + Ord, V: Clone + PartialEq> Delta<K, V> {
    /// All that is other between two states.
    pub(crate) fn between(before: &BTreeMap<K, V>, after: &BTreeMap<K, V>) -> Self {
        let mut delta = Self::default();
        for (key, was) in before {
            delta.add(key.clone(), Some(was.clone()), after.get(key).cloned());
        }
        for (key, is) in after.iter().filter(|it| !before.contains_key(it.0)) {
            delta.add(key.clone(), None, Some(is.clone()));
        }
        delta
    }

    /// Adds one thing, where it is other.
    pub(crate) fn add(&mut self, key: K, before: Option<V>, after: Option<V>) {
        if before != after {
            self.0.insert(key, (before, after));
        }
    }

    /// What is other after another one came behind this one.
    pub(crate) fn then(&self, next: &Self) -> Self {
        let mut all = self.clone();
        for (key, (was, is)) in &next.0 {
            match all.0.get_mut(key) {
                Some(one) => one.1.clone_from(is),
                None => drop(all.0.insert(key.clone(), (was.clone(), is.clone()))),
            }
        }
        all
    }

    /// What of it was there before.
    pub(crate) fn before(&self) -> BTreeMap<K, V> {
        self.0.iter().filter_map(|(key, it)| Some((key.clone(), it.0.clone()?))).collect()
    }

    /// What of it is there after.
    pub(crate) fn after(&self) -> BTreeMap<K, V> {
        self.0.iter().filter_map(|(key, it)| Some((key.clone(), it.1.clone()?))).collect()
    }

    /// What it is about.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }

    /// What of it went away.
    pub(crate) fn gone(&self) -> Vec<K> {
        self.0.iter().filter(|it| it.1.1.is_none()).map(|it| it.0.clone()).collect()
    }

    /// Does the same to another state.
    pub(crate) fn change(&self, state: &mut BTreeMap<K, V>) {
        for (key, (_, is)) in &self.0 {
            match is {
                Some(is) => drop(state.insert(key.clone(), is.clone())),
                None => drop(state.remove(key)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(all: &[(&'static str, u8)]) -> BTreeMap<&'static str, u8> {
        all.iter().copied().collect()
    }

    #[test]
    fn there_and_back_is_nothing() {
        let (first, second) = (state(&[("a", 1), ("b", 2)]), state(&[("b", 3), ("c", 4)]));
        let there = Delta::between(&first, &second);
        let mut changed = first.clone();
        there.change(&mut changed);
        assert_eq!(changed, second);
        let both = there.then(&Delta::between(&second, &first));
        assert_eq!(both.before(), both.after());
        assert_eq!(there.then(&Delta::default()), there);
    }
}
