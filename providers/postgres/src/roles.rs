//! The roles of a server that a backup refers to: which there are, which are to be made, and
//! whether they can be.

use crate::quote;
use crate::session::{ASKING, Session};
use crate::tools;
use crate::trouble::{malformed, state};
use hive_contract::{Failure, FailureKind};
use hive_sql::surroundings::{Attribute, Role, Surroundings};
use std::collections::{BTreeMap, BTreeSet};

/// What a role is given that it had, where the role that makes it has it itself. What reaches
/// further is given by a person.
const GIVEN: [Attribute; 2] = [Attribute::CreateDb, Attribute::CreateRole];

/// The roles of a backup, held against a server.
pub(crate) struct Roles<'a> {
    wanted: &'a Surroundings,
    there: BTreeMap<String, There>,
    /// The role of the session, and what it may.
    me: String,
    mine: BTreeSet<Attribute>,
    major: u32,
}

/// A role that is there.
#[derive(Clone)]
struct There {
    /// Whether the session's role may give it something.
    takes: bool,
    /// Whether the session's role may make others members of it.
    lends: bool,
    /// The note on it.
    note: String,
    attributes: BTreeSet<Attribute>,
    member_of: BTreeSet<String>,
}

/// What a role is known by that a restore has made.
fn note(key: &str) -> String {
    format!("hive: made for restore {key}")
}

impl<'a> Roles<'a> {
    /// Looks which of them there are.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub(crate) async fn look(session: &Session, wanted: &'a Surroundings) -> Result<Self, Failure> {
        let doing = "look for the roles of a backup";
        let major = tools::server(session).await?.major;
        let gives = if major < 16 { "MEMBER" } else { "SET" };
        let names = quote::list(wanted.roles.iter().map(|it| it.name.as_str()));
        let sql = format!(
            "SELECT r.rolname, pg_catalog.pg_has_role(r.oid, '{gives}'), \
               pg_catalog.pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION'), \
               pg_catalog.to_jsonb(pg_catalog.array_remove(ARRAY[ \
                 CASE WHEN r.rolcanlogin THEN 'login' END, CASE WHEN r.rolinherit THEN 'inherit' END, \
                 CASE WHEN r.rolcreatedb THEN 'createdb' END, \
                 CASE WHEN r.rolcreaterole THEN 'createrole' END, \
                 CASE WHEN r.rolsuper THEN 'superuser' END, \
                 CASE WHEN r.rolreplication THEN 'replication' END, \
                 CASE WHEN r.rolbypassrls THEN 'bypassrls' END], NULL)), \
               COALESCE((SELECT pg_catalog.jsonb_agg(g.rolname) FROM pg_catalog.pg_auth_members m \
                 JOIN pg_catalog.pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid), '[]'), \
               COALESCE(pg_catalog.shobj_description(r.oid, 'pg_authid'), ''), \
               r.rolname = current_user \
             FROM pg_catalog.pg_roles r \
             WHERE r.rolname = ANY ({names}) OR r.rolname = current_user"
        );
        let (mut there, mut me) = (BTreeMap::new(), None);
        for row in session.rows(doing, &sql, ASKING).await? {
            let name = row.said(0)?.to_owned();
            let found = There {
                takes: row.truth(1)?,
                lends: row.truth(2)?,
                attributes: parse(row.said(3)?)?,
                member_of: parse(row.said(4)?)?,
                note: row.said(5)?.to_owned(),
            };
            if row.truth(6)? {
                me = Some((name.clone(), found.attributes.clone()));
            }
            there.insert(name, found);
        }
        let (me, mine) = me.ok_or_else(|| malformed("the session's role is not there"))?;
        Ok(Self { wanted, there, me, mine, major })
    }

    /// Those that are not there.
    pub(crate) fn missing(&self) -> Vec<&'a Role> {
        self.wanted.roles.iter().filter(|it| !self.there.contains_key(&it.name)).collect()
    }

    /// Why they cannot be had: the session's role may not make what is missing, or not give anything
    /// to those that own something. The owner of the database is among these where it is `given`
    /// too. None where everything can be done.
    pub(crate) fn refusal(&self, shown: &str, given: bool) -> Option<Failure> {
        if self.mine.contains(&Attribute::Superuser) {
            return None;
        }
        let missing = self.missing();
        let makes = missing.is_empty() || self.mine.contains(&Attribute::CreateRole);
        let closed: Vec<&Role> = self
            .wanted
            .roles
            .iter()
            .filter(|it| self.owns(it, given))
            .filter(|it| self.there.get(&it.name).is_some_and(|it| !it.takes))
            .collect();
        let mut why = Vec::new();
        let mut lines = Vec::new();
        if !makes {
            why.push(format!("may not make the roles {}", names(&missing)));
            lines.extend(self.made_by(&missing, &GIVEN.into(), |_| true));
            let owners = missing.iter().filter(|it| self.owns(it, given));
            lines.extend(owners.map(|it| self.joined(&it.name)));
        }
        if !closed.is_empty() {
            why.push(format!("may not give anything to {}", names(&closed)));
            lines.extend(closed.iter().map(|it| self.joined(&it.name)));
        }
        if why.is_empty() {
            return None;
        }
        let what = format!(
            "{shown} cannot be restored by this role: `{}` {}",
            self.me,
            why.join(", and ")
        );
        let failure = Failure::new(FailureKind::Forbidden, what);
        let failure = failure.diagnosis("nothing was closed or made; somebody who may runs first:");
        Some(lines.into_iter().fold(failure, Failure::diagnosis))
    }

    /// What makes those that are missing, for the restore of a key.
    pub(crate) fn making(&self, key: &str, given: bool) -> Vec<String> {
        let missing = self.missing();
        let may: BTreeSet<Attribute> = match self.mine.contains(&Attribute::Superuser) {
            true => GIVEN.into(),
            false => GIVEN.into_iter().filter(|it| self.mine.contains(it)).collect(),
        };
        let mut lines = self.made_by(&missing, &may, |group| self.lends(group));
        for role in missing {
            if self.joins(role, given) {
                lines.push(self.joined(&role.name));
            }
            let name = quote::name(&role.name);
            lines.push(format!("COMMENT ON ROLE {name} IS {};", quote::text(&note(key))));
        }
        lines
    }

    /// What a person should know of those that the restore of a key has made.
    pub(crate) fn told(&self, key: &str, given: bool) -> Vec<String> {
        let mut lines = Vec::new();
        let note = note(key);
        for role in &self.wanted.roles {
            let Some(there) = self.there.get(&role.name).filter(|it| it.note == note) else {
                continue;
            };
            lines.push(told(role, there));
            if self.joins(role, given) {
                let (me, name) = (&self.me, &role.name);
                lines.push(format!("role `{me}` is a member of `{name}`, to give it what is its"));
            }
        }
        lines
    }

    fn made_by(
        &self,
        missing: &[&Role],
        may: &BTreeSet<Attribute>,
        lends: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let mut lines: Vec<String> = missing.iter().map(|it| make_sql(it, may)).collect();
        let is_missing = |name: &str| missing.iter().any(|it| it.name == name);
        for role in &self.wanted.roles {
            for group in role.member_of.iter().filter(|it| self.wanted.role(it).is_some()) {
                let new = is_missing(&role.name) || is_missing(group);
                if new && (is_missing(group) || lends(group)) {
                    lines.push(member_sql(group, &role.name));
                }
            }
        }
        lines
    }

    fn joined(&self, group: &str) -> String {
        member_sql(group, &self.me)
    }

    fn owns(&self, role: &Role, given: bool) -> bool {
        role.owns || (given && role.name == self.wanted.owner)
    }

    /// Whether the session's role becomes a member of one that it makes.
    fn joins(&self, role: &Role, given: bool) -> bool {
        self.owns(role, given) && role.name != self.me && !self.mine.contains(&Attribute::Superuser)
    }

    /// Whether the session's role may make members of a role that is there.
    fn lends(&self, group: &str) -> bool {
        self.there.get(group).is_some_and(|it| {
            it.lends
                || (self.major < 16
                    && self.mine.contains(&Attribute::CreateRole)
                    && !it.attributes.contains(&Attribute::Superuser))
        })
    }
}

fn parse<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, Failure> {
    serde_json::from_str(json)
        .map_err(|error| malformed(format!("what a role may makes no sense: {error}")))
}

fn names(roles: &[&Role]) -> String {
    let names: Vec<String> = roles.iter().map(|it| format!("`{}`", it.name)).collect();
    names.join(", ")
}

/// A role without a password.
fn make_sql(role: &Role, may: &BTreeSet<Attribute>) -> String {
    let mut sql = format!("CREATE ROLE {}", quote::name(&role.name));
    for attribute in &role.attributes {
        if *attribute == Attribute::Login || may.contains(attribute) {
            sql.push(' ');
            sql.push_str(attribute.as_str());
        }
    }
    if !role.attributes.contains(&Attribute::Inherit) {
        sql.push_str(" NOINHERIT");
    }
    if role.connection_limit != -1 {
        sql.push_str(&format!(" CONNECTION LIMIT {}", role.connection_limit));
    }
    sql.push(';');
    sql
}

fn member_sql(group: &str, member: &str) -> String {
    format!("GRANT {} TO {};", quote::name(group), quote::name(member))
}

fn told(role: &Role, there: &There) -> String {
    let name = &role.name;
    let mut without: Vec<String> = Vec::new();
    let left = role.attributes.difference(&there.attributes);
    without.extend(left.map(|it| it.as_str().to_owned()));
    let groups = role.member_of.iter().filter(|it| !there.member_of.contains(*it));
    without.extend(groups.map(|it| format!("membership in `{it}`")));
    let password = role.attributes.contains(&Attribute::Login);
    match (password, without.is_empty()) {
        (false, true) => format!("role `{name}` was made"),
        (true, true) => {
            format!("role `{name}` was made without a password: give it one with ALTER ROLE")
        }
        (false, false) => format!(
            "role `{name}` was made without {}: give it what it shall have",
            without.join(", ")
        ),
        (true, false) => format!(
            "role `{name}` was made without a password: give it one with ALTER ROLE; and without \
             {}: give it what it shall have",
            without.join(", ")
        ),
    }
}

/// Drops the roles that the restore of a key has made, as far as nothing is theirs. Those that stay
/// are said.
///
/// # Errors
/// The server cannot be asked.
pub(crate) async fn take_away(session: &Session, key: &str) -> Result<Vec<String>, Failure> {
    let doing = "look for the roles that a restore has made";
    let sql = format!(
        "SELECT r.rolname FROM pg_catalog.pg_roles r \
         WHERE pg_catalog.shobj_description(r.oid, 'pg_authid') = {} ORDER BY 1",
        quote::text(&note(key))
    );
    let mut stay = Vec::new();
    for row in session.rows(doing, &sql, ASKING).await? {
        let name = row.said(0)?;
        let drop = format!("DROP ROLE IF EXISTS {}", quote::name(name));
        if let Err(error) = session.try_rows("drop a role", &drop, ASKING).await? {
            let why = match state(&error) {
                "2BP01" => "something is its".to_owned(),
                _ => error.as_db_error().map_or(error.to_string(), |it| it.message().to_owned()),
            };
            stay.push(format!("role `{name}`, which this restore made, stays: {why}"));
        }
    }
    Ok(stay)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str, attributes: &[Attribute], owns: bool) -> Role {
        Role {
            name: name.to_owned(),
            attributes: attributes.iter().copied().collect(),
            connection_limit: -1,
            owns,
            ..Role::default()
        }
    }

    fn there(takes: bool, attributes: &[Attribute]) -> There {
        There {
            takes,
            lends: false,
            note: String::new(),
            attributes: attributes.iter().copied().collect(),
            member_of: BTreeSet::new(),
        }
    }

    fn wanted() -> Surroundings {
        let mut app = role("app", &[Attribute::Login, Attribute::Inherit], true);
        app.member_of = vec!["Read \"Only\"".to_owned(), "pg_monitor".to_owned()];
        let mut all = [Attribute::Inherit, Attribute::CreateDb, Attribute::Superuser].to_vec();
        all.push(Attribute::BypassRls);
        let mut boss = role("boss", &all, false);
        boss.connection_limit = 3;
        let reader = role("Read \"Only\"", &[], false);
        let owner = "app".to_owned();
        Surroundings { owner, roles: vec![app, boss, reader], ..Surroundings::default() }
    }

    fn roles<'a>(
        wanted: &'a Surroundings,
        mine: &[Attribute],
        there: &[(&str, There)],
    ) -> Roles<'a> {
        Roles {
            wanted,
            there: there.iter().map(|(name, it)| ((*name).to_owned(), it.clone())).collect(),
            me: "hive".to_owned(),
            mine: mine.iter().copied().collect(),
            major: 15,
        }
    }

    #[test]
    fn what_is_missing_is_made_without_what_reaches_further() {
        let wanted = wanted();
        let made = roles(&wanted, &[Attribute::CreateRole], &[]).making("12345678", true);
        assert_eq!(
            made,
            [
                "CREATE ROLE \"app\" LOGIN;",
                "CREATE ROLE \"boss\" CONNECTION LIMIT 3;",
                "CREATE ROLE \"Read \"\"Only\"\"\" NOINHERIT;",
                "GRANT \"Read \"\"Only\"\"\" TO \"app\";",
                "GRANT \"app\" TO \"hive\";",
                "COMMENT ON ROLE \"app\" IS 'hive: made for restore 12345678';",
                "COMMENT ON ROLE \"boss\" IS 'hive: made for restore 12345678';",
                "COMMENT ON ROLE \"Read \"\"Only\"\"\" IS 'hive: made for restore 12345678';",
            ]
        );
        let made = roles(&wanted, &[Attribute::Superuser], &[]).making("12345678", true);
        assert!(made.contains(&"CREATE ROLE \"boss\" CREATEDB CONNECTION LIMIT 3;".into()));
        assert!(!made.iter().any(|it| it.contains("\"hive\"") || it.contains("SUPERUSER")));
    }

    #[test]
    fn a_role_that_is_there_is_left_as_it_is() {
        let wanted = wanted();
        let there = [("app", there(true, &[])), ("boss", there(false, &[]))];
        let roles = roles(&wanted, &[Attribute::CreateRole], &there);
        let made = roles.making("12345678", true);
        assert_eq!(made[0], "CREATE ROLE \"Read \"\"Only\"\"\" NOINHERIT;");
        assert_eq!(made.len(), 3, "{made:?}");
        assert!(roles.refusal("it", true).is_none());
    }

    #[test]
    fn who_may_not_is_told_what_somebody_else_runs() {
        let wanted = wanted();
        let refusal = roles(&wanted, &[], &[]).refusal("database `shop`", true).expect("refused");
        assert_eq!(refusal.kind, FailureKind::Forbidden);
        assert_eq!(
            refusal.message,
            "database `shop` cannot be restored by this role: `hive` may not make the roles `app`, \
             `boss`, `Read \"Only\"`"
        );
        let line = "GRANT \"app\" TO \"hive\";".to_owned();
        assert!(refusal.diagnosis.contains(&line), "{:?}", refusal.diagnosis);
        let there = [("app", there(false, &[]))];
        let some = roles(&wanted, &[Attribute::CreateRole], &there);
        let refusal = some.refusal("database `shop`", false).expect("refused");
        assert!(refusal.message.ends_with("`hive` may not give anything to `app`"), "{refusal}");
        assert!(roles(&wanted, &[Attribute::Superuser], &there).refusal("it", true).is_none());
    }

    #[test]
    fn what_a_role_was_made_without_is_said() {
        let wanted = wanted();
        let mut made = there(true, &[Attribute::Login, Attribute::Inherit]);
        made.member_of.insert("Read \"Only\"".to_owned());
        assert_eq!(
            told(&wanted.roles[0], &made),
            "role `app` was made without a password: give it one with ALTER ROLE; and without \
             membership in `pg_monitor`: give it what it shall have"
        );
        let made = there(true, &[Attribute::Inherit, Attribute::CreateDb]);
        assert_eq!(
            told(&wanted.roles[1], &made),
            "role `boss` was made without SUPERUSER, BYPASSRLS: give it what it shall have"
        );
        assert_eq!(told(&wanted.roles[2], &there(true, &[])), "role `Read \"Only\"` was made");
    }
}
