//! Which rows of the server's catalogue are other than at the last look.
//!
//! A row that was written since then has a transaction number that was not over then, whoever wrote
//! it and however: by a statement, a function, a cascade, or in a subtransaction. A row that went
//! away is missed in its table's count.

use crate::book::READING;
use crate::session::{Row, Session};
use crate::trouble::malformed;
use hive_contract::Failure;
use std::collections::{BTreeMap, BTreeSet};

/// An object of the schema: the letter of its sort, as in `facts.sql`, and its number.
pub(crate) type Owner = (char, u32);

/// One table of the catalogue.
struct Table {
    letter: char,
    /// The table with its alias `r`, and what of it counts.
    from: &'static str,
    /// What a row is known by: the object, and which of its rows, with a point between.
    row: &'static str,
    /// The sort of the object that a row is of.
    of: char,
    /// Whether rows can go away without another trace.
    counted: bool,
}

/// The sort of rows that other objects' definitions may name without depending on them: where one
/// is other, everything is read.
const ALL: char = '*';
/// Settings that a session gets when it begins.
const SETTINGS: char = 'S';

const fn of(letter: char, from: &'static str, row: &'static str, of: char, counted: bool) -> Table {
    Table { letter, from, row, of, counted }
}

const OID: &str = "r.oid || '.0'";
const TABLES: &[Table] = &[
    of('c', "pg_class r", OID, 'c', true),
    of('a', "pg_attribute r", "r.attrelid || '.' || r.attnum", 'c', false),
    of('d', "pg_attrdef r", "r.adrelid || '.' || r.adnum", 'c', true),
    of('i', "pg_index r", "r.indexrelid || '.0'", 'c', false),
    of('q', "pg_sequence r", "r.seqrelid || '.0'", 'c', false),
    of('P', "pg_partitioned_table r", "r.partrelid || '.0'", 'c', false),
    of('h', "pg_inherits r", "r.inhrelid || '.' || r.inhseqno", 'c', true),
    of('k', "pg_constraint r", OID, 'k', true),
    of('t', "pg_trigger r", OID, 't', true),
    of('w', "pg_rewrite r", OID, 'w', true),
    of('p', "pg_policy r", OID, 'p', true),
    of('f', "pg_proc r", OID, 'f', true),
    of('g', "pg_aggregate r", "r.aggfnoid::pg_catalog.oid || '.0'", 'f', false),
    of('y', "pg_type r", OID, 'y', true),
    of('e', "pg_enum r", "r.enumtypid || '.' || r.oid", 'y', true),
    of('r', "pg_range r", "r.rngtypid || '.0'", 'y', false),
    of('s', "pg_statistic_ext r", OID, 's', true),
    of('v', "pg_event_trigger r", OID, 'v', true),
    of('N', "pg_namespace r WHERE r.nspname !~ '^pg_' AND r.nspname <> 'hive'", OID, ALL, true),
    of('X', "pg_extension r", OID, ALL, true),
    of(
        'E',
        "pg_depend r WHERE r.deptype = 'e' \
         AND r.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass",
        "r.objid || '.' || r.classid",
        ALL,
        true,
    ),
    of('L', "pg_language r", OID, ALL, true),
    of('C', "pg_collation r", OID, ALL, true),
    of('O', "pg_operator r", OID, ALL, true),
    of('B', "pg_opclass r", OID, ALL, true),
    of('M', "pg_am r", OID, ALL, true),
    of('T', "pg_ts_config r", OID, ALL, true),
    of('D', "pg_ts_dict r", OID, ALL, true),
    of(SETTINGS, "pg_db_role_setting r", "r.setdatabase || '.' || r.setrole", ALL, true),
];

/// The names of the roles that policies are for.
const ROLES: &str = "SELECT 'R', pg_catalog.md5(pg_catalog.string_agg(a.oid || a.rolname::text, ' ' ORDER BY a.oid)), NULL \
    FROM pg_catalog.pg_roles a WHERE a.oid IN (SELECT pg_catalog.unnest(p.polroles) FROM pg_catalog.pg_policy p)";

/// The oldest transaction that is not over, and our own.
const OWN: &str = "SELECT 'I', pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text, \
    pg_catalog.pg_current_xact_id_if_assigned()::text";

/// Where each sort of object stands in the catalogue.
const SORTS: [(char, &str); 9] = [
    ('c', "pg_class"),
    ('k', "pg_constraint"),
    ('t', "pg_trigger"),
    ('w', "pg_rewrite"),
    ('p', "pg_policy"),
    ('f', "pg_proc"),
    ('y', "pg_type"),
    ('s', "pg_statistic_ext"),
    ('v', "pg_event_trigger"),
];

/// The rows of a table, each by its object and which of its rows it is.
type Known = BTreeSet<(u32, u32)>;

/// The catalogue as it was at the last look.
#[derive(Clone, Debug)]
pub(crate) struct Catalogue {
    /// The oldest transaction that was not over.
    horizon: u32,
    /// The rows that were written by this one or a later one, each with its version.
    recent: BTreeSet<String>,
    /// The rows of each table whose rows may go away.
    known: BTreeMap<char, Known>,
    roles: String,
    /// Where nobody else was writing: the first transaction behind the one that looked.
    next: Option<u64>,
}

/// What became of the objects since the last look.
pub(crate) enum Touched {
    /// These were written or went away.
    These(BTreeSet<Owner>),
    /// What others may name without depending on it was.
    All,
}

impl Catalogue {
    /// Looks for the first time, in the transaction that is open.
    ///
    /// # Errors
    /// The server refuses, or is gone.
    pub(crate) async fn first(session: &Session) -> Result<Self, Failure> {
        let seen = Seen::look(session, None).await?;
        let mut known = BTreeMap::new();
        for row in session.rows("list the catalogue", &listing(None), READING).await? {
            known.insert(letter(&row)?, listed(row.text(1).unwrap_or_default())?);
        }
        let recent = seen.recent().map(|(_, row)| row).collect();
        Ok(Self { horizon: seen.horizon, recent, known, roles: seen.roles, next: seen.next })
    }

    /// The transaction from which on rows are new to whoever looked last.
    pub(crate) fn horizon(&self) -> u32 {
        self.horizon
    }

    /// Whether it is certain, without a look, that nothing was written since the last one: then
    /// nobody else was writing anywhere on this server, and no transaction has begun to write but
    /// the one that looked, which is over. Asked at the beginning of a transaction.
    ///
    /// # Errors
    /// The server refuses, or is gone.
    pub(crate) async fn is_quiet(&self, session: &Session) -> Result<bool, Failure> {
        let Some(next) = self.next else { return Ok(false) };
        let sql = "SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()), \
            pg_catalog.pg_current_xact_id_if_assigned()";
        let row = session.row("ask who has written", sql).await?;
        Ok(row.said(0)? == next.to_string() && row.text(1).is_none())
    }

    /// Looks again. Says too whether a new session would have other settings.
    ///
    /// # Errors
    /// The server refuses, or is gone.
    pub(crate) async fn again(&mut self, session: &Session) -> Result<(Touched, bool), Failure> {
        let seen = Seen::look(session, Some(self.horizon)).await?;
        let mut other = Other { all: seen.roles != self.roles, ..Other::default() };
        let mut recent = BTreeSet::new();
        for (table, row) in seen.recent() {
            let key = key(&row[1..])?;
            if !self.recent.contains(&row) {
                other.add(table, key.0);
            }
            if table.counted {
                self.known.entry(table.letter).or_default().insert(key);
            }
            recent.insert(row);
        }
        for table in TABLES.iter().filter(|it| it.counted) {
            let before = self.known.entry(table.letter).or_default();
            if seen.counts.get(&table.letter) == Some(&before.len()) {
                continue;
            }
            let rows = session.rows("list the catalogue", &listing(Some(table)), READING).await?;
            let now = listed(rows.first().and_then(|it| it.text(1)).unwrap_or_default())?;
            for gone in before.difference(&now) {
                other.add(table, gone.0);
            }
            *before = now;
        }
        (self.horizon, self.recent, self.roles) = (seen.horizon, recent, seen.roles);
        self.next = seen.next;
        let touched = if other.all { Touched::All } else { Touched::These(other.touched) };
        Ok((touched, other.settings))
    }
}

/// What is found to be other on the way.
#[derive(Default)]
struct Other {
    touched: BTreeSet<Owner>,
    all: bool,
    settings: bool,
}

impl Other {
    /// A row of this table, of the object of this number, was written or went away.
    fn add(&mut self, table: &Table, number: u32) {
        match (table.letter, table.of) {
            (SETTINGS, _) => self.settings = true,
            (_, ALL) => self.all = true,
            (_, sort) => drop(self.touched.insert((sort, number))),
        }
    }
}

/// These and whatever depends on them: its definition may name them.
///
/// # Errors
/// The server refuses, or is gone.
pub(crate) async fn with_dependents(
    session: &Session,
    touched: BTreeSet<Owner>,
) -> Result<BTreeSet<Owner>, Failure> {
    let class = |table: &str| format!("'pg_catalog.{table}'::pg_catalog.regclass");
    let begin: Vec<String> = SORTS
        .iter()
        .filter_map(|(sort, table)| {
            let numbers = numbers(&touched, *sort)?;
            Some(format!("SELECT {}::pg_catalog.oid, pg_catalog.unnest({numbers})", class(table)))
        })
        .collect();
    if begin.is_empty() {
        return Ok(touched);
    }
    let sorts: String = SORTS
        .iter()
        .map(|(sort, table)| format!(" WHEN d.classid = {} THEN '{sort}'", class(table)))
        .collect();
    let sql = format!(
        "WITH RECURSIVE dep(classid, objid) AS (({}) UNION \
           SELECT d.classid, d.objid FROM dep JOIN pg_catalog.pg_depend d \
           ON d.refclassid = dep.classid AND d.refobjid = dep.objid) \
         SELECT CASE{sorts} ELSE '' END, d.objid FROM dep d \
         UNION ALL SELECT 'c', v.adrelid FROM dep d JOIN pg_catalog.pg_attrdef v ON v.oid = d.objid \
           WHERE d.classid = {} \
         UNION ALL SELECT 'c', w.ev_class FROM dep d JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid \
           WHERE d.classid = {}",
        begin.join(" UNION ALL "),
        class("pg_attrdef"),
        class("pg_rewrite"),
    );
    let mut all = touched;
    for row in session.rows("look for what depends on it", &sql, READING).await? {
        if !row.said(0)?.is_empty() {
            all.insert((letter(&row)?, number(row.said(1)?)?));
        }
    }
    Ok(all)
}

/// The numbers of a sort's objects as an array of SQL; none where there is none.
pub(crate) fn numbers(owners: &BTreeSet<Owner>, sort: char) -> Option<String> {
    let of_sort = owners.range((sort, 0)..=(sort, u32::MAX));
    let numbers: Vec<String> = of_sort.map(|it| it.1.to_string()).collect();
    let list = numbers.join(",");
    (!list.is_empty()).then(|| format!("'{{{list}}}'::pg_catalog.oid[]"))
}

/// One look at all tables, in one moment.
struct Seen {
    horizon: u32,
    counts: BTreeMap<char, usize>,
    /// By the table's letter, with `;` between.
    rows: BTreeMap<char, String>,
    roles: String,
    next: Option<u64>,
}

impl Seen {
    async fn look(session: &Session, horizon: Option<u32>) -> Result<Self, Failure> {
        let mut seen = Self {
            horizon: 0,
            counts: BTreeMap::new(),
            rows: BTreeMap::new(),
            roles: String::new(),
            next: None,
        };
        for row in session.rows("look through the catalogue", &looking(horizon), READING).await? {
            let count = row.text(1).unwrap_or_default();
            match letter(&row)? {
                'H' => seen.horizon = number(count)?,
                'I' => seen.next = next(count, row.text(2)),
                'R' => count.clone_into(&mut seen.roles),
                letter => {
                    let count = usize::try_from(row.int(1)?).unwrap_or_default();
                    seen.counts.insert(letter, count);
                    seen.rows.insert(letter, row.text(2).unwrap_or_default().to_owned());
                }
            }
        }
        Ok(seen)
    }

    /// The rows that were written since, each as its table's letter, its key and its version.
    fn recent(&self) -> impl Iterator<Item = (&'static Table, String)> {
        TABLES.iter().flat_map(|table| {
            let rows = self.rows.get(&table.letter).map_or("", String::as_str).split(';');
            let rows = rows.filter(|it| !it.is_empty());
            rows.map(move |row| (table, format!("{}{row}", table.letter)))
        })
    }
}

/// The first transaction behind our own, where ours is the oldest that is not over.
fn next(oldest: &str, own: Option<&str>) -> Option<u64> {
    own.filter(|own| *own == oldest)?.parse::<u64>().ok()?.checked_add(1)
}

/// What asks for every table's count, and its rows since `horizon`.
fn looking(horizon: Option<u32>) -> String {
    let now = "pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::pg_catalog.xid";
    let since = horizon.map_or_else(|| now.to_owned(), |it| format!("'{it}'::pg_catalog.xid"));
    let mut sql = format!(
        "WITH since AS MATERIALIZED (SELECT pg_catalog.age({since}) AS age) \
         SELECT 'H', {now}::text, NULL::text UNION ALL {OWN} UNION ALL {ROLES}"
    );
    for Table { letter, from, row, counted, .. } in TABLES {
        let since = "pg_catalog.age(r.xmin) <= (SELECT age FROM since)";
        let (filter, only) = match counted {
            true => (format!("FILTER (WHERE {since})"), String::new()),
            false => (String::new(), format!("WHERE {since}")),
        };
        sql.push_str(&format!(
            " UNION ALL SELECT '{letter}', pg_catalog.count(*)::text, \
             pg_catalog.string_agg({row} || ' ' || r.xmin || r.ctid, ';') {filter} \
             FROM pg_catalog.{from} {only}"
        ));
    }
    sql
}

/// What asks for the keys of every row of the tables whose rows may go away, or of one of them.
fn listing(one: Option<&Table>) -> String {
    let of_one = |it: &&Table| it.counted && one.is_none_or(|one| one.letter == it.letter);
    let asked = TABLES.iter().filter(of_one).map(|Table { letter, from, row, .. }| {
        format!("SELECT '{letter}', pg_catalog.string_agg({row}, ';') FROM pg_catalog.{from}")
    });
    asked.collect::<Vec<_>>().join(" UNION ALL ")
}

fn listed(rows: &str) -> Result<Known, Failure> {
    rows.split(';').filter(|it| !it.is_empty()).map(key).collect()
}

/// `16384.2`, and whatever is behind a blank.
fn key(row: &str) -> Result<(u32, u32), Failure> {
    let key = row.split(' ').next().unwrap_or_default();
    let (object, part) = key.split_once('.').unwrap_or((key, "0"));
    // A system column's number is below zero.
    let part = part.parse::<i64>().map(|it| u32::try_from(it.rem_euclid(1 << 32)));
    match part {
        Ok(Ok(part)) => Ok((number(object)?, part)),
        _ => Err(malformed(format!("the catalogue's row `{row}` makes no sense"))),
    }
}

fn number(text: &str) -> Result<u32, Failure> {
    text.parse().map_err(|_| malformed(format!("`{text}` is not a number of the catalogue")))
}

fn letter(row: &Row) -> Result<char, Failure> {
    row.said(0)?.chars().next().ok_or_else(|| malformed("a row of the catalogue has no sort"))
}
