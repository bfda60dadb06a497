//! Indexes that are built beside writers: their names, and what is left of one that failed.

use crate::quote;
use crate::session::Session;
use hive_contract::Failure;
use hive_sql::Dialect;
use hive_sql::lexeme::lexemes;
use std::time::Duration;

/// A statement that cannot run in a transaction and that names an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Concurrent {
    /// `CREATE INDEX CONCURRENTLY`.
    Create {
        /// As it is written; none where the server chooses one.
        name: Option<String>,
        /// The schema of its table as it is written, which is the index's own.
        schema: Option<String>,
    },
    /// `DROP INDEX CONCURRENTLY`.
    Drop {
        /// As it is written, with its schema.
        name: String,
    },
}

/// Reads a statement.
pub(crate) fn of(statement: &str) -> Option<Concurrent> {
    let all = lexemes(Dialect::Postgres, statement).ok()?;
    let words: Vec<&str> = all.iter().filter(|it| it.counts()).map(|it| it.text).collect();
    let mut rest = words.as_slice();
    if eat(&mut rest, &["create"]) {
        eat(&mut rest, &["unique"]);
        if !eat(&mut rest, &["index", "concurrently"]) {
            return None;
        }
        eat(&mut rest, &["if", "not", "exists"]);
        let name = (!rest.first()?.eq_ignore_ascii_case("on")).then(|| rest[0].to_owned());
        let on = rest.iter().position(|it| it.eq_ignore_ascii_case("on"))?;
        let mut table = &rest[on + 1..];
        eat(&mut table, &["only"]);
        let schema = (table.get(1) == Some(&".")).then(|| table[0].to_owned());
        return Some(Concurrent::Create { name, schema });
    }
    if eat(&mut rest, &["drop", "index", "concurrently"]) {
        eat(&mut rest, &["if", "exists"]);
        let name: String = rest
            .iter()
            .take_while(|it| !["cascade", "restrict", ","].contains(&it.to_lowercase().as_str()))
            .copied()
            .collect();
        return Some(Concurrent::Drop { name });
    }
    None
}

fn eat(rest: &mut &[&str], words: &[&str]) -> bool {
    let found = rest.len() >= words.len()
        && words.iter().zip(rest.iter()).all(|(word, it)| it.eq_ignore_ascii_case(word));
    if found {
        *rest = &rest[words.len()..];
    }
    found
}

/// Whether a statement that cannot run in a transaction does the same again.
pub(crate) fn is_harmless_again(statement: &str) -> bool {
    let first = statement.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    let again = ["vacuum", "reindex", "cluster", "analyze", "refresh"];
    again.contains(&first.as_str()) || statement.to_ascii_lowercase().starts_with("alter system")
}

impl Concurrent {
    /// The index as SQL would name it; none where nobody knows its name.
    fn name(&self) -> Option<String> {
        match self {
            Self::Create { name: Some(name), schema: Some(schema) } => {
                Some(format!("{schema}.{name}"))
            }
            Self::Create { name, .. } => name.clone(),
            Self::Drop { name } => Some(name.clone()),
        }
    }

    /// For people.
    pub(crate) fn shown(&self) -> String {
        self.name().map_or("the index".to_owned(), |name| format!("the index `{name}`"))
    }
}

/// Whether it is there, valid or not.
///
/// # Errors
/// The server is gone.
pub(crate) async fn is_there(session: &Session, index: &Concurrent) -> Result<bool, Failure> {
    Ok(valid(session, index).await?.is_some())
}

/// Whether it is there and used by the server; also where its name is not known.
///
/// # Errors
/// The server is gone.
pub(crate) async fn is_valid(session: &Session, index: &Concurrent) -> Result<bool, Failure> {
    if index.name().is_none() || matches!(index, Concurrent::Drop { .. }) {
        return Ok(true);
    }
    Ok(valid(session, index).await? == Some(true))
}

async fn valid(session: &Session, index: &Concurrent) -> Result<Option<bool>, Failure> {
    let Some(name) = index.name() else { return Ok(None) };
    let sql = format!(
        "SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid = pg_catalog.to_regclass({})",
        quote::text(&name)
    );
    let rows = session.rows("look at an index", &sql, crate::session::ASKING).await?;
    rows.first().map(|row| row.truth(0)).transpose()
}

/// Takes away what a build that failed has left: it costs every write and serves no read.
///
/// # Errors
/// It cannot be dropped.
pub(crate) async fn drop_carcass(
    session: &Session,
    index: &Concurrent,
    limit: Duration,
) -> Result<(), Failure> {
    if matches!(index, Concurrent::Drop { .. }) || valid(session, index).await? != Some(false) {
        return Ok(());
    }
    let Some(name) = index.name() else { return Ok(()) };
    let sql = format!("DROP INDEX CONCURRENTLY IF EXISTS {name}");
    session.rows("drop an index that is not valid", &sql, limit).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_known_by_its_statement() {
        let create = |name: Option<&str>, schema: Option<&str>| {
            let owned = |it: Option<&str>| it.map(str::to_owned);
            Some(Concurrent::Create { name: owned(name), schema: owned(schema) })
        };
        assert_eq!(of("CREATE INDEX CONCURRENTLY i ON t (a)"), create(Some("i"), None));
        assert_eq!(
            of("create unique index concurrently if not exists \"I i\"\n on only s.t (a)"),
            create(Some("\"I i\""), Some("s"))
        );
        assert_eq!(of("CREATE INDEX CONCURRENTLY ON t (a)"), create(None, None));
        assert_eq!(of("CREATE INDEX i ON t (a)"), None);
        let dropped = Concurrent::Drop { name: "s.i".to_owned() };
        assert_eq!(of("DROP INDEX CONCURRENTLY IF EXISTS s . i CASCADE"), Some(dropped));
        assert!(is_harmless_again("VACUUM t") && !is_harmless_again("CALL p()"));
    }
}
