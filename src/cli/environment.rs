//! The one place that reads hive's environment.
#![expect(clippy::disallowed_methods, reason = "src/cli is the room that knows the environment")]

use crate::flow::ReadVariable;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// What the outside says beside the arguments.
#[derive(Clone)]
pub struct Environment {
    /// Where the command stands.
    pub folder: PathBuf,
    /// `HIVE_VAR_…`, with its prefix.
    pub variables: BTreeMap<String, String>,
    /// `PATH`.
    pub path: Option<OsString>,
    /// User and host, as written into journals: `kim@laptop`.
    pub who: String,
    /// Whether `NO_COLOR` is set and not empty.
    pub no_colour: bool,
    /// Whether `TERM` is `dumb`.
    pub dumb: bool,
    /// `COLUMNS`.
    pub columns: Option<usize>,
}

/// Reads everything that hive reads of its environment, but secrets.
pub fn read() -> Environment {
    let text = |name: &str| std::env::var(name).ok().filter(|it| !it.is_empty());
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("HIVE_VAR_"))
        .collect();
    let user = text("USER")
        .or_else(|| text("LOGNAME"))
        .unwrap_or_else(|| user(rustix::process::getuid().as_raw()));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Environment {
        folder: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
        variables,
        path: std::env::var_os("PATH"),
        who: format!("{user}@{host}"),
        no_colour: std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty()),
        dumb: std::env::var_os("TERM").is_some_and(|it| it == "dumb"),
        columns: text("COLUMNS").and_then(|it| it.parse().ok()).filter(|it| *it > 0),
    }
}

/// The name of a user as `/etc/passwd` has it, else the number: `uid 7`.
fn user(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_in(&passwd, uid).map_or_else(|| format!("uid {uid}"), str::to_owned)
}

/// `name:password:uid:…`, one user a line.
fn name_in(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|it| !it.is_empty())?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

/// Reads one variable as a secret, at the moment that it is needed.
pub fn variable() -> ReadVariable {
    Arc::new(|name| std::env::var(name).ok().map(SecretString::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_name_or_a_number() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\nbroken\nkim:x:1000:1000::/home/kim:/bin/sh\n";
        assert_eq!(name_in(passwd, 0), Some("root"));
        assert_eq!(name_in(passwd, 1000), Some("kim"));
        assert_eq!(name_in(passwd, 7), None);
    }
}
