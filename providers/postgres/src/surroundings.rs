//! What a database refers to outside of itself: read beside a dump, and given to a restored one.

use crate::quote;
use crate::session::{ASKING, Session};
use crate::trouble::malformed;
use hive_contract::Failure;
use hive_sql::surroundings::{Role, Setting, Surroundings};

/// The roles that the database of a session refers to. Its views know no password.
const ROLES: &str = include_str!("roles.sql");

/// Settings that are lists of names: their values are not one text.
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// What the database of a session refers to, and what is said of it from outside.
///
/// # Errors
/// It cannot be read.
pub(crate) async fn read(session: &Session) -> Result<Surroundings, Failure> {
    let doing = "read the roles that the database refers to";
    let row = session.row(doing, ROLES).await?;
    let roles: Vec<Role> = parse(row.said(0)?)?;
    let given = of(session, &session.spot().database).await?;
    let given = given.ok_or_else(|| malformed(format!("{} is not there", session.spot())))?;
    Ok(Surroundings { roles, ..given })
}

/// What is said of a database from outside of it, without the roles; none where it is not there.
///
/// # Errors
/// It cannot be read.
pub(crate) async fn of(session: &Session, database: &str) -> Result<Option<Surroundings>, Failure> {
    let sql = format!(
        "SELECT pg_catalog.jsonb_build_object('roles', '[]'::jsonb, \
           'owner', pg_catalog.pg_get_userbyid(d.datdba), 'connection_limit', d.datconnlimit, \
           'grants', CASE WHEN d.datacl IS NOT NULL THEN COALESCE((SELECT pg_catalog.jsonb_agg( \
               pg_catalog.jsonb_build_object('to', CASE a.grantee WHEN 0 THEN NULL \
                   ELSE pg_catalog.pg_get_userbyid(a.grantee) END, 'privilege', a.privilege_type, \
                 'grantable', a.is_grantable AND a.grantee <> 0)) \
             FROM pg_catalog.aclexplode(d.datacl) a WHERE a.grantee <> d.datdba), '[]') END, \
           'settings', COALESCE((SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object( \
               'role', CASE s.setrole WHEN 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(s.setrole) END, \
               'name', pg_catalog.split_part(c, '=', 1), \
               'value', pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1)) ORDER BY s.setrole, n) \
             FROM pg_catalog.pg_db_role_setting s, \
               LATERAL pg_catalog.unnest(s.setconfig) WITH ORDINALITY AS u (c, n) \
             WHERE s.setdatabase = d.oid), '[]')) \
         FROM pg_catalog.pg_database d WHERE d.datname = {}",
        quote::text(database)
    );
    let rows = session.rows("read what is set on the database", &sql, ASKING).await?;
    rows.first().map(|row| parse(row.said(0)?)).transpose()
}

fn parse<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, Failure> {
    serde_json::from_str(json)
        .map_err(|error| malformed(format!("what surrounds the database makes no sense: {error}")))
}

/// What gives a database to an owner.
pub(crate) fn owner_sql(database: &str, owner: &str) -> String {
    format!("ALTER DATABASE {} OWNER TO {};", quote::name(database), quote::name(owner))
}

/// What gives a database its grants and its limit.
pub(crate) fn grants_sql(database: &str, given: &Surroundings) -> Vec<String> {
    let name = quote::name(database);
    let mut all = Vec::new();
    if given.connection_limit != -1 {
        let limit = given.connection_limit;
        all.push(format!("ALTER DATABASE {name} WITH CONNECTION LIMIT {limit};"));
    }
    let Some(grants) = &given.grants else { return all };
    all.push(format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC;"));
    for grant in grants {
        let to = grant.to.as_deref().map_or("PUBLIC".to_owned(), quote::name);
        let option = if grant.grantable { " WITH GRANT OPTION" } else { "" };
        // A privilege is a word, and nothing else is let through as one.
        let privilege: String =
            grant.privilege.chars().filter(|it| it.is_ascii_uppercase()).collect();
        all.push(format!("GRANT {privilege} ON DATABASE {name} TO {to}{option};"));
    }
    all
}

/// What gives a database one of its settings; none where its value is not known.
pub(crate) fn setting_sql(database: &str, setting: &Setting) -> Option<String> {
    let value = setting.value.as_deref()?;
    let of = match &setting.role {
        None => format!("DATABASE {}", quote::name(database)),
        Some(role) => {
            format!("ROLE {} IN DATABASE {}", quote::name(role), quote::name(database))
        }
    };
    let value = match LISTS.contains(&setting.name.as_str()) {
        false => quote::text(value),
        true => {
            let names: Vec<String> = listed(value).iter().map(|it| quote::text(it)).collect();
            names.join(", ")
        }
    };
    Some(format!("ALTER {of} SET {} TO {value};", quote::name(&setting.name)))
}

/// The names of a list as the server keeps it: `"$user", public`.
fn listed(value: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut quoted = false;
    let mut signs = value.chars().peekable();
    while let Some(sign) = signs.next() {
        let name = names.last_mut();
        match (sign, name) {
            ('"', Some(name)) if quoted && signs.peek() == Some(&'"') => {
                signs.next();
                name.push('"');
            }
            ('"', _) => quoted = !quoted,
            (',', _) if !quoted => names.push(String::new()),
            (sign, _) if !quoted && sign.is_whitespace() => {}
            (sign, Some(name)) => name.push(sign),
            (_, None) => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_sql::surroundings::Grant;

    fn set(role: Option<&str>, name: &str, value: Option<&str>) -> Option<String> {
        let setting = Setting {
            role: role.map(str::to_owned),
            name: name.to_owned(),
            value: value.map(str::to_owned),
        };
        setting_sql("my db", &setting)
    }

    #[test]
    fn a_setting_is_one_text_and_a_list_is_its_names() {
        let sql = "ALTER DATABASE \"my db\" SET \"app.key\" TO 'it''s';";
        assert_eq!(set(None, "app.key", Some("it's")).as_deref(), Some(sql));
        let sql = "ALTER ROLE \"Read Only\" IN DATABASE \"my db\" SET \"search_path\" TO \
                   '$user', 'odd, \"one\"', 'public';";
        let value = "\"$user\", \"odd, \"\"one\"\"\", public";
        assert_eq!(set(Some("Read Only"), "search_path", Some(value)).as_deref(), Some(sql));
        let sql = "ALTER DATABASE \"my db\" SET \"search_path\" TO '';";
        assert_eq!(set(None, "search_path", Some("\"\"")).as_deref(), Some(sql));
        let sql = "ALTER DATABASE \"my db\" SET \"search_path\" TO 'x;it''s';";
        assert_eq!(set(None, "search_path", Some("x; it's")).as_deref(), Some(sql));
        assert_eq!(set(None, "app.key", None), None);
    }

    #[test]
    fn grants_stand_behind_a_revoke_from_everybody() {
        let grant = |to: Option<&str>, privilege: &str, grantable: bool| Grant {
            to: to.map(str::to_owned),
            privilege: privilege.to_owned(),
            grantable,
        };
        let mut given = Surroundings { connection_limit: -1, ..Surroundings::default() };
        assert_eq!(grants_sql("d", &given), Vec::<String>::new());
        given.connection_limit = 20;
        let odd = "CONNECT; DROP";
        given.grants = Some(vec![grant(None, "TEMPORARY", false), grant(Some("a\"b"), odd, true)]);
        assert_eq!(
            grants_sql("d", &given),
            [
                "ALTER DATABASE \"d\" WITH CONNECTION LIMIT 20;",
                "REVOKE ALL ON DATABASE \"d\" FROM PUBLIC;",
                "GRANT TEMPORARY ON DATABASE \"d\" TO PUBLIC;",
                "GRANT CONNECTDROP ON DATABASE \"d\" TO \"a\"\"b\" WITH GRANT OPTION;",
            ]
        );
    }
}
