//! Where a database is, read from its url. The password stays in memory.

use crate::trouble::invalid;
use hive_contract::{Failure, Fields, Secrets, Value};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_postgres::config::{Host, SslMode};
use zeroize::Zeroizing;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// Everything that a connection is made of.
#[derive(Clone)]
pub(crate) struct Url {
    config: tokio_postgres::Config,
    pub(crate) spot: Spot,
    pub(crate) tls: Tls,
}

/// What may be said of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    /// A host's name or address, or the folder of a unix socket.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) database: String,
    pub(crate) user: String,
}

/// How the connection is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    /// Not at all: loopback, a unix socket, or asked for.
    Off,
    /// The certificate and its name are checked, against this file or the system's own roots.
    Verified { roots: Option<PathBuf> },
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database `{}` on {}:{} as `{}`", self.database, self.host, self.port, self.user)
    }
}

impl Url {
    /// Reads the url that hive itself uses: `direct_url` where there is one, else `url`.
    ///
    /// # Errors
    /// There is none, its secret has no value here, or it makes no sense.
    pub(crate) fn of(folder: &Path, access: &Fields, secrets: &Secrets) -> Result<Self, Failure> {
        let (field, value) = match (access.get("direct_url"), access.get("url")) {
            (Some(direct), _) => ("direct_url", direct),
            (None, Some(url)) => ("url", url),
            (None, None) => return Err(invalid("the database has no `url`")),
        };
        Self::read(folder, field, value, secrets)
    }

    fn read(folder: &Path, field: &str, value: &Value, secrets: &Secrets) -> Result<Self, Failure> {
        let text: SecretString = secrets.text(value).map_err(|error| {
            invalid(format!("the database's `{field}` cannot be read: {error}"))
        })?;
        Self::parse(folder, text.expose_secret())
            .map_err(|why| invalid(format!("the database's `{field}` {why}")))
    }

    /// Reads a url. What is wrong is said without a word of it: any part may hold a piece of a
    /// password that was not escaped.
    pub(crate) fn parse(folder: &Path, text: &str) -> Result<Self, String> {
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err("does not begin with `postgres://`".to_owned());
        }
        let (plain, mode, roots) = split_tls(text)?;
        let mut config: tokio_postgres::Config = plain.parse().map_err(|_| {
            "is no postgres url: characters such as `@`, `/`, `?` in a password are written as \
             `%40`, `%2F`, `%3F`"
                .to_owned()
        })?;
        let host = match config.get_hosts() {
            [Host::Tcp(host)] => host.clone(),
            [Host::Unix(folder)] => folder.display().to_string(),
            [] => return Err("names no host".to_owned()),
            _ => return Err("names several hosts: name the one that is written to".to_owned()),
        };
        let user = config.get_user().ok_or("names no user")?.to_owned();
        let database = config.get_dbname().ok_or("names no database")?.to_owned();
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let tls = tls_mode(&host, mode.as_deref(), roots.map(|it| folder.join(it)))?;
        config.ssl_mode(match tls {
            Tls::Off => SslMode::Disable,
            Tls::Verified { .. } => SslMode::Require,
        });
        config.connect_timeout(CONNECT);
        config.keepalives_idle(Duration::from_secs(30));
        config.tcp_user_timeout(Duration::from_secs(60));
        Ok(Self { config, spot: Spot { host, port, database, user }, tls })
    }

    /// The same server and user, another database.
    pub(crate) fn database(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.config.dbname(name);
        other.spot.database = name.to_owned();
        other
    }

    /// The settings of a connection that says who it is.
    pub(crate) fn config(&self, application: &str) -> tokio_postgres::Config {
        let mut config = self.config.clone();
        config.application_name(application);
        config
    }

    /// The password, where the url has one.
    pub(crate) fn password(&self) -> Option<Zeroizing<Vec<u8>>> {
        self.config.get_password().map(|it| Zeroizing::new(it.to_vec()))
    }

    /// Whether two urls mean the same connection, passwords included.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.config == other.config && self.tls == other.tls
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spot.fmt(f)
    }
}

/// A url without the two parameters that only hive reads, and these: the mode and the roots.
type Split = (Zeroizing<String>, Option<String>, Option<String>);

fn split_tls(text: &str) -> Result<Split, String> {
    // A `?` in front of the host is a password's.
    let host = text.find('@').unwrap_or_default();
    let (base, query) = match text[host..].find('?') {
        Some(at) => (&text[..host + at], &text[host + at + 1..]),
        None => (text, ""),
    };
    let (mut mode, mut roots) = (None, None);
    let mut others = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value.to_owned()),
            Some(("sslrootcert", value)) => roots = Some(unescape(value)?),
            _ => others.push(pair),
        }
    }
    let mut plain = Zeroizing::new(base.to_owned());
    if !others.is_empty() {
        plain.push('?');
        plain.push_str(&others.join("&"));
    }
    Ok((plain, mode, roots))
}

fn unescape(text: &str) -> Result<String, String> {
    let wrong = || "has an `sslrootcert` that is not escaped well".to_owned();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |it: Option<u8>| it.and_then(|it| char::from(it).to_digit(16));
        match (digit(rest.next()), digit(rest.next())) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => return Err(wrong()),
        }
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// A certificate is checked wherever the connection leaves this machine, unless the url says
/// `sslmode=disable`. What libpq calls `require` and `prefer` would accept anybody's.
fn tls_mode(host: &str, mode: Option<&str>, roots: Option<PathBuf>) -> Result<Tls, String> {
    match mode {
        Some("disable") => Ok(Tls::Off),
        Some("verify-full") => Ok(Tls::Verified { roots }),
        None if stays_here(host) && roots.is_none() => Ok(Tls::Off),
        None => Ok(Tls::Verified { roots }),
        Some("allow" | "prefer" | "require" | "verify-ca") => Err(
            "has an `sslmode` that accepts a certificate of anybody: write `verify-full`, with \
             `sslrootcert` where the server has its own, or `disable`"
                .to_owned(),
        ),
        Some(_) => Err("has an `sslmode` other than `verify-full` and `disable`".to_owned()),
    }
}

fn stays_here(host: &str) -> bool {
    host.starts_with('/')
        || host.starts_with('@')
        || host == "localhost"
        || host.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Url, String> {
        Url::parse(Path::new("/stack"), text)
    }

    #[test]
    fn what_leaves_this_machine_is_verified() {
        let tls = |text: &str| parse(text).map(|it| it.tls);
        assert_eq!(tls("postgres://u:p@127.0.0.1/d"), Ok(Tls::Off));
        assert_eq!(tls("postgres://u:p@localhost:6000/d"), Ok(Tls::Off));
        assert_eq!(tls("postgres://u@%2Fvar%2Frun/d"), Ok(Tls::Off));
        assert_eq!(tls("postgres://u:p@db/d"), Ok(Tls::Verified { roots: None }));
        assert_eq!(tls("postgres://u:p@db/d?sslmode=disable"), Ok(Tls::Off));
        let roots = Some(PathBuf::from("/stack/certs/my ca.pem"));
        assert_eq!(
            tls("postgres://u:p@127.0.0.1/d?sslmode=verify-full&sslrootcert=certs%2Fmy%20ca.pem"),
            Ok(Tls::Verified { roots })
        );
        assert!(tls("postgres://u:p@db/d?sslmode=require").is_err_and(|it| it.contains("anybody")));
    }

    #[test]
    fn what_is_said_of_a_url_holds_nothing_secret() {
        let url = parse("postgres://u:canary-1@db:6543/shop").expect("parses");
        assert_eq!(url.spot.to_string(), "database `shop` on db:6543 as `u`");
        assert!(!format!("{url:?}").contains("canary"));
        let odd = parse("postgres://u:can?ary=1@db/d?sslmode=disable").expect("parses");
        assert_eq!(odd.password().as_deref().map(Vec::as_slice), Some(&b"can?ary=1"[..]));
        assert_eq!(odd.tls, Tls::Off);
        for bad in ["postgres://u:canary-1@db:x/d", "postgres://u:canary-1@/d", "mysql://canary-1"]
        {
            let why = parse(bad).expect_err("is refused");
            assert!(!why.contains("canary"), "{why}");
        }
        assert_eq!(parse("postgres://db/d").expect_err("is refused"), "names no user");
    }

    #[test]
    fn another_database_keeps_the_rest() {
        let url = parse("postgres://u:p@db:6543/shop").expect("parses").database("postgres");
        assert_eq!(url.spot.to_string(), "database `postgres` on db:6543 as `u`");
        assert_eq!(url.password().as_deref().map(Vec::as_slice), Some(&b"p"[..]));
    }
}
