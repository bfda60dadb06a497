//! What a database looks like: one fact for each object, so that a difference has a name.

mod read;
mod table;
mod words;

use crate::books;
use hive_sql::facts::Facts;
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The schema of one database at one moment, cheap to bring up to date and to copy.
///
/// It says nothing about the order of columns, about blanks, comments, quotes and letter case, nor
/// about hive's own tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Schema {
    /// What `sqlite_schema` holds, by owner: a table with its indexes and triggers, or a view.
    sources: BTreeMap<Arc<str>, Arc<Source>>,
    groups: BTreeMap<Arc<str>, Arc<Group>>,
}

/// The statements that made one owner and what belongs to it, in order.
type Source = BTreeSet<(String, String, String)>;

/// The facts of one owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Group {
    facts: Facts,
    hash: [u8; 32],
}

impl Schema {
    /// Reads all of it, in one pass.
    ///
    /// # Errors
    /// What SQLite says.
    pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut schema = Self::default();
        schema.refresh(connection)?;
        Ok(schema)
    }

    /// Brings it up to date, reading only what changed, and says which owners did.
    ///
    /// # Errors
    /// What SQLite says.
    pub(crate) fn refresh(
        &mut self,
        connection: &Connection,
    ) -> rusqlite::Result<BTreeSet<String>> {
        let sources = read::sources(connection)?;
        let all: BTreeSet<&str> =
            self.sources.keys().map(|it| &**it).chain(sources.keys().map(|it| &**it)).collect();
        let differs = |owner: &&str| self.sources.get(*owner) != sources.get(*owner);
        let mut changed: BTreeSet<String> =
            all.into_iter().filter(differs).map(str::to_owned).collect();
        // A foreign key without columns means the primary key of the other table, whatever that is.
        let few = changed.len() * 8 < sources.len();
        let only = few.then_some(&changed);
        let mut groups = read::groups(connection, &sources, only)?;
        for owner in changed.iter().cloned().collect::<Vec<_>>() {
            match groups.remove(&owner) {
                Some(facts) => {
                    self.groups.insert(owner.into(), Arc::new(Group::new(facts)));
                }
                None => {
                    self.groups.remove(owner.as_str());
                }
            }
        }
        for (owner, facts) in groups {
            let group = Arc::new(Group::new(facts));
            if self.groups.get(owner.as_str()) != Some(&group) {
                changed.insert(owner.clone());
                self.groups.insert(owner.into(), group);
            }
        }
        self.sources = sources;
        Ok(changed)
    }

    /// The hash of all facts, in hex digits.
    pub(crate) fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let groups = self.groups.iter().map(|(owner, group)| (owner.to_lowercase(), group));
        for (owner, group) in groups.collect::<BTreeMap<_, _>>() {
            hash.update(owner.as_bytes());
            hash.update([0]);
            hash.update(group.hash);
        }
        hive_contract::fingerprint::hex(&hash.finalize())
    }

    /// The facts of one owner; none where there is no such thing.
    pub(crate) fn facts_of(&self, owner: &str) -> Option<&Facts> {
        self.groups.get(owner).map(|it| &it.facts)
    }

    /// All facts.
    pub(crate) fn facts(&self) -> Facts {
        let facts = self.groups.values().flat_map(|group| &group.facts);
        facts.map(|(object, words)| (object.clone(), words.clone())).collect()
    }

    /// All owners.
    pub(crate) fn owners(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(|it| &**it)
    }

    /// Whether the schema holds nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

impl Group {
    fn new(facts: Facts) -> Self {
        let mut hash = Sha256::new();
        for (object, words) in &facts {
            hash.update(object.as_bytes());
            hash.update([0]);
            hash.update(words.as_bytes());
            hash.update([0]);
        }
        Self { facts, hash: hash.finalize().into() }
    }
}

/// Whether a table is SQLite's or hive's own.
fn is_hidden(name: &str) -> bool {
    name.starts_with("sqlite_") || books::is_own(name)
}

#[cfg(test)]
mod tests;
