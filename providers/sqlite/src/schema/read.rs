//! Reading facts: a few queries for the whole database, or for the owners that changed.

use super::table::{Written, written};
use super::words::canonical;
use super::{Source, is_hidden};
use hive_sql::facts::Facts;
use rusqlite::{Connection, Row, params_from_iter};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The statements of `sqlite_schema` by owner.
pub(super) fn sources(
    connection: &Connection,
) -> rusqlite::Result<BTreeMap<Arc<str>, Arc<Source>>> {
    let sql = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema";
    let mut statement = connection.prepare_cached(sql)?;
    let mut sources: BTreeMap<String, Source> = BTreeMap::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (owner, name): (String, String) = (row.get(2)?, row.get(1)?);
        if is_hidden(&owner) {
            continue;
        }
        sources.entry(owner).or_default().insert((row.get(0)?, name, row.get(3)?));
    }
    let shared = sources.into_iter().map(|(owner, source)| (owner.into(), Arc::new(source)));
    Ok(shared.collect())
}

/// The facts of all owners, or of some.
pub(super) fn groups(
    connection: &Connection,
    sources: &BTreeMap<Arc<str>, Arc<Source>>,
    only: Option<&BTreeSet<String>>,
) -> rusqlite::Result<BTreeMap<String, Facts>> {
    let asked = |owner: &str| only.is_none_or(|only| only.contains(owner));
    let mut reader = Reader { connection, only, kinds: BTreeMap::new(), groups: BTreeMap::new() };
    reader.kinds()?;
    let mut texts = BTreeMap::new();
    for (owner, source) in sources.iter().filter(|(owner, _)| asked(owner)) {
        for (sort, name, sql) in source.iter() {
            reader.object(owner, sort, name, sql, &mut texts);
        }
    }
    reader.columns(&texts)?;
    reader.keys()?;
    reader.uniques()?;
    // What belongs to a virtual table is as its module likes.
    let kinds = reader.kinds;
    reader.groups.retain(|owner, _| kinds.get(owner).is_none_or(|kind| kind.sort != "shadow"));
    Ok(reader.groups)
}

struct Kind {
    sort: String,
    options: String,
}

/// One foreign key.
#[derive(Default)]
struct Key {
    from: Vec<String>,
    to: Vec<String>,
    tail: String,
}

struct Reader<'a> {
    connection: &'a Connection,
    only: Option<&'a BTreeSet<String>>,
    kinds: BTreeMap<String, Kind>,
    groups: BTreeMap<String, Facts>,
}

impl Reader<'_> {
    /// Calls `see` with each row of a query over `sqlite_schema m`, of the tables asked for.
    fn tables(
        &self,
        select: &str,
        mut see: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let of_tables = "m.type = 'table' AND m.sql NOT LIKE 'CREATE VIRTUAL %'";
        let Some(only) = self.only else {
            let mut statement = self.connection.prepare_cached(&format!("{select} {of_tables}"))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                see(row)?;
            }
            return Ok(());
        };
        let one = format!("{select} {of_tables} AND m.name = ?1");
        let mut statement = self.connection.prepare_cached(&one)?;
        for owner in only {
            let mut rows = statement.query(params_from_iter([owner]))?;
            while let Some(row) = rows.next()? {
                see(row)?;
            }
        }
        Ok(())
    }

    fn kinds(&mut self) -> rusqlite::Result<()> {
        let columns = "SELECT name, type, wr, strict FROM";
        let Some(only) = self.only else {
            let sql = format!("{columns} pragma_table_list WHERE schema = 'main'");
            let mut statement = self.connection.prepare_cached(&sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                self.kind(row)?;
            }
            return Ok(());
        };
        let sql = format!("{columns} pragma_table_list(?1) WHERE schema = 'main'");
        let mut statement = self.connection.prepare_cached(&sql)?;
        for owner in only {
            let mut rows = statement.query([owner])?;
            while let Some(row) = rows.next()? {
                self.kind(row)?;
            }
        }
        Ok(())
    }

    fn kind(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        let mut options = String::new();
        for (column, option) in [(2, " without rowid"), (3, " strict")] {
            if row.get::<_, bool>(column)? {
                options.push_str(option);
            }
        }
        self.kinds.insert(row.get(0)?, Kind { sort: row.get(1)?, options });
        Ok(())
    }

    fn object(
        &mut self,
        owner: &str,
        sort: &str,
        name: &str,
        sql: &str,
        texts: &mut BTreeMap<String, Written>,
    ) {
        let shown = name.to_lowercase();
        let facts = self.groups.entry(owner.to_owned()).or_default();
        match sort {
            "table"
                if sql.get(..14).is_some_and(|it| it.eq_ignore_ascii_case("CREATE VIRTUAL")) =>
            {
                facts.insert(format!("table {shown}"), canonical(sql));
            }
            "table" => {
                let text = written(sql);
                let options = self.kinds.get(name).map_or("", |kind| &kind.options);
                facts.insert(format!("table {shown}"), format!("table{options}"));
                for clause in &text.table {
                    facts.insert(format!("constraint {shown} {clause}"), clause.clone());
                }
                texts.insert(owner.to_owned(), text);
            }
            // An index without a statement is a constraint's.
            _ if sql.is_empty() => {}
            _ => {
                facts.insert(format!("{sort} {shown}"), canonical(sql));
            }
        }
    }

    fn columns(&mut self, texts: &BTreeMap<String, Written>) -> rusqlite::Result<()> {
        let select = "SELECT m.name, x.name, x.type, x.\"notnull\", x.dflt_value, x.pk, x.hidden \
                      FROM sqlite_schema m JOIN pragma_table_xinfo(m.name) x WHERE";
        let mut found = Vec::new();
        self.tables(select, |row| {
            let owner: String = row.get(0)?;
            let name: String = row.get::<_, String>(1)?.to_lowercase();
            let mut words: Vec<String> = Vec::new();
            let sort: String = row.get::<_, String>(2)?.to_lowercase();
            words.extend(Some(sort).filter(|it| !it.is_empty()));
            if row.get(3)? {
                words.push("not null".to_owned());
            }
            if let Some(default) = row.get::<_, Option<String>>(4)? {
                words.push(format!("default {}", canonical(&default)));
            }
            match row.get::<_, i64>(5)? {
                0 => {}
                1 => words.push("primary key".to_owned()),
                place => words.push(format!("primary key, {place}")),
            }
            if row.get::<_, i64>(6)? == 3 {
                words.push("stored".to_owned());
            }
            let text = texts.get(&owner).and_then(|it| it.columns.get(&name));
            words.extend(text.into_iter().flatten().cloned());
            found.push((
                owner.clone(),
                format!("column {}.{name}", owner.to_lowercase()),
                words.join(" "),
            ));
            Ok(())
        })?;
        self.add(found);
        Ok(())
    }

    fn keys(&mut self) -> rusqlite::Result<()> {
        let select = "SELECT m.name, f.id, f.\"from\", f.\"table\", f.\"to\", f.on_update, f.on_delete \
                      FROM sqlite_schema m JOIN pragma_foreign_key_list(m.name) f WHERE";
        let mut keys: BTreeMap<(String, i64), Key> = BTreeMap::new();
        self.tables(select, |row| {
            let to: Option<String> = row.get(4)?;
            let tail = format!(
                "{} on update {} on delete {}",
                row.get::<_, String>(3)?,
                row.get::<_, String>(5)?,
                row.get::<_, String>(6)?
            );
            let key = keys.entry((row.get(0)?, row.get(1)?)).or_default();
            key.from.push(row.get::<_, String>(2)?.to_lowercase());
            key.to.extend(to.map(|it| it.to_lowercase()));
            key.tail = tail.to_lowercase();
            Ok(())
        })?;
        let found = keys.into_iter().map(|((owner, _), Key { from, to, tail })| {
            let object = format!("foreign key {}({})", owner.to_lowercase(), from.join(", "));
            (owner, object, format!("({}) of {tail}", to.join(", ")))
        });
        self.add(found.collect());
        Ok(())
    }

    fn uniques(&mut self) -> rusqlite::Result<()> {
        let select = "SELECT m.name, l.name, x.name, x.coll FROM sqlite_schema m \
                      JOIN pragma_index_list(m.name) l JOIN pragma_index_xinfo(l.name) x \
                      WHERE l.origin = 'u' AND x.key = 1 AND";
        let mut uniques: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        self.tables(select, |row| {
            let columns = uniques.entry((row.get(0)?, row.get(1)?)).or_default();
            columns.push(row.get::<_, Option<String>>(2)?.unwrap_or_default().to_lowercase());
            Ok(())
        })?;
        let found = uniques.into_iter().map(|((owner, _), columns)| {
            let object = format!("unique {}({})", owner.to_lowercase(), columns.join(", "));
            (owner, object, "unique".to_owned())
        });
        self.add(found.collect());
        Ok(())
    }

    /// Adds facts; two of one name stand side by side.
    fn add(&mut self, found: Vec<(String, String, String)>) {
        for (owner, object, words) in found {
            let Some(facts) = self.groups.get_mut(&owner) else { continue };
            match facts.get_mut(&object) {
                Some(there) if *there != words => {
                    there.push_str("; ");
                    there.push_str(&words);
                }
                Some(_) => {}
                None => {
                    facts.insert(object, words);
                }
            }
        }
    }
}
