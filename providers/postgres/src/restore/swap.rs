//! The names change hands.

use super::close::{again_while_used, send_away};
use super::state::{Beside, Found};
use crate::desk::{Desk, outside};
use crate::names;
use crate::quote;
use crate::session::{ASKING, Session};
use hive_contract::{Failure, FailureKind, Outcome, Remains};

/// Gives what was restored the name that everybody knows, in one commit with what was granted and
/// set on what had that name.
pub(super) async fn swap(desk: &Desk<'_>) -> Result<Outcome, Failure> {
    let beside = Beside::look(desk, outside(desk.url, &desk.application()).await?).await?;
    let key = beside.key.clone();
    let done = beside.new.is_none() && beside.live.as_ref().is_some_and(|it| it.is_restored(&key));
    if !done {
        let (Some(new), None) = (&beside.new, &beside.live) else {
            let what = format!("there is nothing restored that could become {}", desk.url.spot);
            return Err(Failure::new(FailureKind::Moved, what));
        };
        if !new.is_restored(&key) {
            let what = format!("`{}` is not whole", new.name);
            return Err(Failure::new(FailureKind::Moved, what));
        }
        beside.check(desk).await?;
        let carried = carried(&beside.outside, beside.old.as_ref(), &new.name).await?;
        desk.context.guard.may_write()?;
        send_away(&beside.outside, &new.name).await?;
        let rename = format!(
            "BEGIN; {carried} ALTER DATABASE {} RENAME TO {}; COMMIT",
            quote::name(&new.name),
            quote::name(&desk.url.spot.database)
        );
        again_while_used(desk, &beside.outside, &new.name, &rename).await?;
    }
    let beside = Beside::look(desk, beside.outside).await?;
    let mut outcome = beside.outcome(desk).await?;
    if let Some(old) = &beside.old {
        outcome.kept = format!("what was there before is kept as database `{}`", old.name);
    }
    Ok(outcome)
}

/// What is said of a database from outside of it, and what no dump of it holds: its owner, its
/// grants, its settings, its limit.
async fn carried(outside: &Session, old: Option<&Found>, new: &str) -> Result<String, Failure> {
    let Some(old) = old else { return Ok(String::new()) };
    let sql = format!(
        "WITH d AS (SELECT * FROM pg_catalog.pg_database WHERE datname = {old}), \
         a AS (SELECT x.*, d.datdba FROM d, LATERAL pg_catalog.aclexplode(d.datacl) x) \
         SELECT pg_catalog.format('ALTER DATABASE %I OWNER TO %I;', {new}, \
             pg_catalog.pg_get_userbyid(datdba)) FROM d \
           WHERE datdba <> (SELECT datdba FROM pg_catalog.pg_database WHERE datname = {new}) \
         UNION ALL SELECT pg_catalog.format('ALTER DATABASE %I WITH CONNECTION LIMIT %s;', {new}, \
             datconnlimit) FROM d WHERE datconnlimit <> -1 \
         UNION ALL SELECT pg_catalog.format('REVOKE ALL ON DATABASE %I FROM PUBLIC;', {new}) FROM d \
           WHERE datacl IS NOT NULL \
         UNION ALL SELECT pg_catalog.format('GRANT %s ON DATABASE %I TO %s%s;', privilege_type, {new}, \
             CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(grantee)) END, \
             CASE WHEN is_grantable AND grantee <> 0 THEN ' WITH GRANT OPTION' ELSE '' END) \
           FROM a WHERE grantee <> datdba \
         UNION ALL SELECT pg_catalog.format('ALTER %s SET %I TO %L;', \
             CASE s.setrole WHEN 0 THEN pg_catalog.format('DATABASE %I', {new}) \
               ELSE pg_catalog.format('ROLE %I IN DATABASE %I', pg_catalog.pg_get_userbyid(s.setrole), {new}) END, \
             pg_catalog.split_part(c, '=', 1), pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1)) \
           FROM d JOIN pg_catalog.pg_db_role_setting s ON s.setdatabase = d.oid, \
             pg_catalog.unnest(s.setconfig) c \
           WHERE pg_catalog.split_part(c, '=', 1) NOT IN ('search_path', 'temp_tablespaces', \
             'session_preload_libraries', 'shared_preload_libraries', 'local_preload_libraries') \
         UNION ALL SELECT pg_catalog.format('ALTER %s SET %I TO %s;', \
             CASE s.setrole WHEN 0 THEN pg_catalog.format('DATABASE %I', {new}) \
               ELSE pg_catalog.format('ROLE %I IN DATABASE %I', pg_catalog.pg_get_userbyid(s.setrole), {new}) END, \
             pg_catalog.split_part(c, '=', 1), pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1)) \
           FROM d JOIN pg_catalog.pg_db_role_setting s ON s.setdatabase = d.oid, \
             pg_catalog.unnest(s.setconfig) c \
           WHERE pg_catalog.split_part(c, '=', 1) IN ('search_path', 'temp_tablespaces', \
             'session_preload_libraries', 'shared_preload_libraries', 'local_preload_libraries')",
        old = quote::text(&old.name),
        new = quote::text(new),
    );
    let rows = outside.rows("read what is set on the database", &sql, ASKING).await?;
    let lines: Vec<&str> = rows.iter().filter_map(|row| row.text(0)).collect();
    Ok(lines.join(" "))
}

/// Takes the name off what was restored, so that the old one can have it again.
pub(super) async fn put_back(desk: &Desk<'_>) -> Result<Outcome, Failure> {
    let beside = Beside::look(desk, outside(desk.url, &desk.application()).await?).await?;
    let key = beside.key.clone();
    if let Some(live) = beside.live.as_ref().filter(|it| it.is_restored(&key)) {
        // One that an earlier try has closed cannot be looked into, and was looked into then.
        if live.open {
            beside.check(desk).await?;
        }
        desk.context.guard.may_write()?;
        let (name, new) = (quote::name(&live.name), quote::name(&names::new(&live.name, &key)));
        let shut = format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false");
        beside.outside.run("close what was restored", &shut).await?;
        send_away(&beside.outside, &live.name).await?;
        let rename = format!(
            "BEGIN; ALTER DATABASE {name} RENAME TO {new}; \
             ALTER DATABASE {new} WITH ALLOW_CONNECTIONS true; COMMIT"
        );
        if let Err(failure) = again_while_used(desk, &beside.outside, &live.name, &rename).await {
            let open = format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true");
            return Err(match beside.outside.run("open it again", &open).await {
                Ok(()) => failure,
                Err(shut) => failure.diagnosis(shut.message).remains(Remains::Unsure),
            });
        }
    } else if beside.new.is_none() {
        let what = format!("{} is not what this restore has put there", desk.url.spot);
        return Err(Failure::new(FailureKind::Moved, what));
    }
    let beside = Beside::look(desk, beside.outside).await?;
    beside.outcome(desk).await
}
