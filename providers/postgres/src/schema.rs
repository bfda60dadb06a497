//! The schema as facts, read again as far as it was touched.

use crate::book::READING;
use crate::catalogue::{self, Catalogue, Owner, Touched};
use crate::delta::Delta;
use crate::session::{Row, Session};
use crate::trouble::malformed;
use hive_contract::Failure;
use hive_sql::facts::{Facts, fingerprint};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// All objects of a schema with their definitions.
pub(crate) const FACTS: &str = include_str!("facts.sql");
/// How the whole is read: without compiling, which takes longer than reading.
pub(crate) const PINNED: &str = "SET LOCAL search_path = ''; SET LOCAL jit = off";
/// How few objects are read: each by its number.
const BY_NUMBER: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; \
    SET LOCAL enable_mergejoin = off";

/// What is in a database besides rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schema {
    facts: Facts,
    /// The names of each object's facts.
    names: BTreeMap<Owner, Vec<String>>,
    /// What was looked at; none where it is not looked at again.
    catalogue: Option<Catalogue>,
    print: OnceLock<String>,
    settings: bool,
}

impl Schema {
    /// Facts as rows of `facts.sql`.
    ///
    /// # Errors
    /// They make no sense.
    pub(crate) fn of_rows(rows: &[Row]) -> Result<Self, Failure> {
        let mut schema = Self::default();
        schema.take(rows)?;
        Ok(schema)
    }

    /// The whole as it is in the transaction that is open. The search path is as before afterwards.
    ///
    /// # Errors
    /// The server refuses, or is gone.
    pub(crate) async fn read(session: &Session) -> Result<Self, Failure> {
        begin(session).await?;
        // First what tells of changes: what changes while the facts are read is seen again.
        let catalogue = Catalogue::first(session).await?;
        let mut schema = Self::of_rows(&session.rows(DOING, FACTS, READING).await?)?;
        schema.catalogue = Some(catalogue);
        end(session).await?;
        Ok(schema)
    }

    /// The same as [`Self::read`] would leave, at the cost of what was touched. Says what is other.
    ///
    /// # Errors
    /// The server refuses, or is gone.
    pub(crate) async fn again(
        &mut self,
        session: &Session,
    ) -> Result<Delta<String, String>, Failure> {
        let Some(catalogue) = self.catalogue.as_mut() else {
            let before = std::mem::replace(self, Self::read(session).await?);
            return Ok(Delta::between(&before.facts, &self.facts));
        };
        begin(session).await?;
        let (touched, settings) = catalogue.again(session).await?;
        self.settings |= settings;
        let delta = match touched {
            Touched::These(touched) if touched.is_empty() => Delta::default(),
            Touched::These(touched) => self.these(session, touched).await?,
            Touched::All => self.all(session).await?,
        };
        end(session).await?;
        if delta != Delta::default() {
            self.print = OnceLock::new();
        }
        Ok(delta)
    }

    async fn all(&mut self, session: &Session) -> Result<Delta<String, String>, Failure> {
        let before = std::mem::take(&mut self.facts);
        self.names.clear();
        self.take(&session.rows(DOING, FACTS, READING).await?)?;
        Ok(Delta::between(&before, &self.facts))
    }

    async fn these(
        &mut self,
        session: &Session,
        touched: BTreeSet<Owner>,
    ) -> Result<Delta<String, String>, Failure> {
        session.run(DOING, BY_NUMBER).await?;
        let touched = catalogue::with_dependents(session, touched).await?;
        let rows = match some(&touched) {
            Some(sql) => session.rows(DOING, &sql, READING).await?,
            None => Vec::new(),
        };
        let mut before = Facts::new();
        for owner in &touched {
            for name in self.names.remove(owner).unwrap_or_default() {
                before.extend(self.facts.remove(&name).map(|it| (name, it)));
            }
        }
        let after = self.take(&rows)?;
        Ok(Delta::between(&before, &after))
    }

    fn take(&mut self, rows: &[Row]) -> Result<Facts, Failure> {
        let mut taken = Facts::new();
        for row in rows {
            let (name, is) = (row.said(0)?, row.text(1).unwrap_or_default());
            let sort = row.said(2)?.chars().next().unwrap_or_default();
            let number = u32::try_from(row.int(3)?)
                .map_err(|_| malformed(format!("the number of {name} makes no sense")))?;
            self.names.entry((sort, number)).or_default().push(name.to_owned());
            taken.insert(name.to_owned(), is.to_owned());
        }
        match self.facts.is_empty() {
            true => self.facts.clone_from(&taken),
            false => self.facts.extend(taken.iter().map(|(name, is)| (name.clone(), is.clone()))),
        }
        Ok(taken)
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    pub(crate) fn into_facts(self) -> Facts {
        self.facts
    }

    pub(crate) fn fingerprint(&self) -> &str {
        self.print.get_or_init(|| fingerprint(&self.facts))
    }

    /// The transaction from which on rows are new to whoever looked last.
    pub(crate) fn horizon(&self) -> Option<u32> {
        self.catalogue.as_ref().map(Catalogue::horizon)
    }

    /// As [`Catalogue::is_quiet`].
    ///
    /// # Errors
    /// The server refuses, or is gone.
    pub(crate) async fn is_quiet(&self, session: &Session) -> Result<bool, Failure> {
        match &self.catalogue {
            Some(catalogue) => catalogue.is_quiet(session).await,
            None => Ok(false),
        }
    }

    /// Whether a session that begins now gets other settings than one that began before.
    pub(crate) fn other_settings(&self) -> bool {
        self.settings
    }
}

const DOING: &str = "read the schema";

async fn begin(session: &Session) -> Result<(), Failure> {
    session.run(DOING, &format!("SAVEPOINT hive_facts; {PINNED}")).await
}

async fn end(session: &Session) -> Result<(), Failure> {
    let sql = "ROLLBACK TO SAVEPOINT hive_facts; RELEASE SAVEPOINT hive_facts";
    session.run(DOING, sql).await
}

/// What asks for the facts of a few objects; none where none of them can have any.
fn some(owners: &BTreeSet<Owner>) -> Option<String> {
    let mut branches = FACTS.split("-- of ");
    // A probe for each object costs less than all that extensions hold.
    let head = branches.next()?.replace("ext AS MATERIALIZED", "ext AS NOT MATERIALIZED");
    let head = head.replace("/* only these relations */", &of_these(owners));
    let asked: Vec<String> = branches
        .filter_map(|branch| {
            let (sort, branch) = branch.split_once('\n')?;
            let numbers = catalogue::numbers(owners, sort.chars().next()?)?;
            let branch = branch.trim().trim_end_matches("UNION ALL");
            let (branch, only) = branch.rsplit_once("/* only ")?;
            let column = only.trim().strip_suffix(" */")?;
            Some(format!("{branch}AND {column} = ANY ({numbers})"))
        })
        .collect();
    (!asked.is_empty()).then(|| format!("{head}{}", asked.join("\nUNION ALL\n")))
}

/// What keeps the relations to those that are asked for, and those whose parts are.
fn of_these(owners: &BTreeSet<Owner>) -> String {
    let of = |sort: char, select: &str| {
        let numbers = catalogue::numbers(owners, sort)?;
        Some(format!("SELECT {}", select.replace("{}", &numbers)))
    };
    let asked = [
        of('c', "pg_catalog.unnest({})"),
        of('c', "i.indrelid FROM pg_catalog.pg_index i WHERE i.indexrelid = ANY ({})"),
        of('k', "k.conrelid FROM pg_catalog.pg_constraint k WHERE k.oid = ANY ({})"),
        of('t', "t.tgrelid FROM pg_catalog.pg_trigger t WHERE t.oid = ANY ({})"),
        of('w', "w.ev_class FROM pg_catalog.pg_rewrite w WHERE w.oid = ANY ({})"),
        of('p', "p.polrelid FROM pg_catalog.pg_policy p WHERE p.oid = ANY ({})"),
    ];
    let asked: Vec<String> = asked.into_iter().flatten().collect();
    match asked.is_empty() {
        true => "AND false".to_owned(),
        false => format!("AND c.oid = ANY (ARRAY({}))", asked.join(" UNION ALL ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_objects_are_asked_for_by_their_numbers() {
        assert_eq!(some(&BTreeSet::new()), None);
        let sql = some(&BTreeSet::from([('c', 7), ('c', 8), ('f', 9)])).expect("asks");
        assert_eq!(sql.matches("AND rel.oid = ANY ('{7,8}'::pg_catalog.oid[])").count(), 2);
        assert_eq!(sql.matches("AND i.indexrelid = ANY ('{7,8}'::pg_catalog.oid[])").count(), 1);
        assert_eq!(sql.matches("= ANY ('{9}'::pg_catalog.oid[])").count(), 1);
        assert_eq!(sql.matches("\nUNION ALL\n").count(), 3);
        assert!(!sql.contains("only"));
    }

    #[test]
    fn every_branch_says_whose_its_facts_are() {
        let branches: Vec<&str> = FACTS.split("-- of ").skip(1).collect();
        assert_eq!(branches.len(), FACTS.matches("UNION ALL").count() + 1);
        assert!(branches.iter().all(|it| it.contains("/* only ")));
        assert!(FACTS.contains("/* only these relations */"));
    }
}
