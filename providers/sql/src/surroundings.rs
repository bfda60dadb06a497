//! What a database refers to outside of itself, and what is said of it from outside: what no dump
//! of one database makes again.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The surroundings of one database at the moment of its backup. Passwords are not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    /// Whose the database is.
    pub owner: String,
    /// What was granted on it, but to its owner; none where nobody ever changed that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Vec<Grant>>,
    /// What is set for its sessions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<Setting>,
    /// How many sessions it takes; -1 for as many as there are.
    pub connection_limit: i64,
    /// The roles that it refers to, by name.
    pub roles: Vec<Role>,
}

/// One privilege on the database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Who has it; everybody where it is none.
    pub to: Option<String>,
    /// Such as `CONNECT`.
    pub privilege: String,
    /// Whether it may be passed on.
    #[serde(default, skip_serializing_if = "is_not")]
    pub grantable: bool,
}

/// One setting of the database's sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Of which role's sessions; of everybody's where it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Such as `search_path`.
    pub name: String,
    /// As the server keeps it; none where it was left out, see [`Surroundings::veiled`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// A role that a database refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// What it may, and how.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub attributes: BTreeSet<Attribute>,
    /// How many sessions it may have; -1 for as many as there are.
    pub connection_limit: i64,
    /// The roles that it is a member of: of those here, and of the server's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub member_of: Vec<String>,
    /// Whether anything in the database is its.
    #[serde(default, skip_serializing_if = "is_not")]
    pub owns: bool,
    /// Whether a policy names it.
    #[serde(default, skip_serializing_if = "is_not")]
    pub policies: bool,
}

/// What a role may, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Attribute {
    /// It can log in.
    Login,
    /// It has what the roles have that it is a member of.
    Inherit,
    /// It may make databases.
    CreateDb,
    /// It may make roles.
    CreateRole,
    /// It may do everything.
    Superuser,
    /// It may copy the whole server.
    Replication,
    /// No policy holds for it.
    BypassRls,
}

impl Attribute {
    /// As SQL writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Login => "LOGIN",
            Self::Inherit => "INHERIT",
            Self::CreateDb => "CREATEDB",
            Self::CreateRole => "CREATEROLE",
            Self::Superuser => "SUPERUSER",
            Self::Replication => "REPLICATION",
            Self::BypassRls => "BYPASSRLS",
        }
    }
}

impl Surroundings {
    /// The same without the values of settings that an application has made up (`app.key`), which
    /// may be anything: for a manifest that anybody can read, beside content that nobody can.
    #[must_use]
    pub fn veiled(mut self) -> Self {
        for setting in self.settings.iter_mut().filter(|it| it.name.contains('.')) {
            setting.value = None;
        }
        self
    }

    /// The role of a name.
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.iter().find(|it| it.name == name)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde lends what it asks about")]
fn is_not(is: &bool) -> bool {
    !is
}
