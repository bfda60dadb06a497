//! The forms that a text may have.

/// What a text must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Anything, also nothing.
    Any,
    /// Anything but nothing.
    Filled,
    /// A DNS label: names of resources, ports, stacks.
    Name,
    /// A name with `_` allowed, as variables have.
    Variable,
    /// The address of any resource, `service.api`.
    Address,
    /// The address of a check.
    CheckAddress,
    /// The address of a config.
    ConfigAddress,
    /// The name of an environment variable.
    EnvName,
    /// Where a file stands inside a service: absolute, without `..`.
    Inside,
    /// The path of a request, `/healthz`.
    HttpPath,
    /// `http://` or `https://` and something behind it.
    Url,
    /// `host:port`.
    HostPort,
    /// Permissions in octal, `0644`.
    Mode,
    /// A time of day, `09:00`.
    Clock,
    /// Two ports, `20000-29999`.
    PortRange,
    /// `postgres://` or `postgresql://` and something behind it.
    DatabaseUrl,
    /// A folder, or `s3://bucket/prefix`.
    Destination,
    /// Five fields of cron.
    Cron,
    /// A share, `50%`, of 1 to 100.
    Percent,
}

impl Shape {
    /// What is expected, as it stands behind "must be".
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Any => "text",
            Self::Filled => "text, and not empty",
            Self::Name => {
                "a name of lower-case letters, digits and `-`, beginning with a letter, at most 63"
            }
            Self::Variable => {
                "a name of lower-case letters, digits, `_` and `-`, beginning with a letter"
            }
            Self::Address => "an address such as `service.api`",
            Self::CheckAddress => "the address of a check such as `check.smoke`",
            Self::ConfigAddress => "the address of a config such as `config.api`",
            Self::EnvName => "a variable's name of letters, digits and `_`",
            Self::Inside => "an absolute path without `..` such as `/etc/api.toml`",
            Self::HttpPath => "a path that begins with `/` such as `/healthz`",
            Self::Url => "a url that begins with `http://` or `https://`",
            Self::HostPort => "a host and a port such as `localhost:5432`",
            Self::Mode => "permissions in octal such as `0644`",
            Self::Clock => "a time of day such as `09:00`",
            Self::PortRange => "two ports, the lower first, such as `20000-29999`",
            Self::DatabaseUrl => "a url such as `postgres://shop@localhost/shop`",
            Self::Destination => "a folder, or a place in S3 such as `s3://backups/main`",
            Self::Cron => "the five fields of a cron schedule such as `0 3 * * *`",
            Self::Percent => "a share from `1%` to `100%`",
        }
    }

    /// Whether a text has this form.
    pub(crate) fn fits(self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Filled => !text.is_empty(),
            Self::Name => hive_contract::address::check_name(text).is_ok(),
            Self::Variable => variable(text),
            Self::Address => address(text).is_some(),
            Self::CheckAddress => address(text) == Some("check"),
            Self::ConfigAddress => address(text) == Some("config"),
            Self::EnvName => env_name(text),
            Self::Inside => inside(text),
            Self::HttpPath => text.starts_with('/') && !text.contains(char::is_whitespace),
            Self::Url => url(text),
            Self::HostPort => host_port(text),
            Self::Mode => mode(text),
            Self::Clock => clock(text),
            Self::PortRange => port_range(text).is_some(),
            Self::DatabaseUrl => database_url(text),
            Self::Destination => destination(text),
            Self::Cron => cron(text),
            Self::Percent => hive_sql::retention::percent(text).is_some(),
        }
    }

    /// The same as a regular expression, for editors. It may let pass what [`Self::fits`] does
    /// not; never the other way round.
    pub(crate) fn pattern(self) -> Option<&'static str> {
        Some(match self {
            Self::Any => return None,
            Self::Filled => r"^[\s\S]+$",
            Self::Name => "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$",
            Self::Variable => "^[a-z][a-z0-9_-]*$",
            Self::Address => "^[a-z][a-z0-9-]*\\.[a-z][a-z0-9-]*$",
            Self::CheckAddress => "^check\\.[a-z][a-z0-9-]*$",
            Self::ConfigAddress => "^config\\.[a-z][a-z0-9-]*$",
            Self::EnvName => "^[A-Za-z_][A-Za-z0-9_]*$",
            Self::Inside => "^/[\\s\\S]+$",
            Self::HttpPath => "^/\\S*$",
            Self::Url => "^https?://\\S+$",
            Self::HostPort => "^\\S+:[0-9]{1,5}$",
            Self::Mode => "^0?[0-7]{3}$",
            Self::Clock => "^([01][0-9]|2[0-3]):[0-5][0-9]$",
            Self::PortRange => "^[0-9]{1,5}-[0-9]{1,5}$",
            Self::DatabaseUrl => r"^postgres(ql)?://\S+$",
            Self::Destination => r"^(s3://[a-z0-9][^\s]*|[^:]+)$",
            Self::Cron => r"^\s*(\S+\s+){4}\S+\s*$",
            Self::Percent => "^([1-9][0-9]?|100)%$",
        })
    }
}

/// The two ends of `20000-29999`.
fn port_range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-')?;
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let port = |text: &str| digits(text).then(|| text.parse::<u16>().ok()).flatten();
    let (first, last) = (port(first)?, port(last)?);
    (first > 0 && first <= last).then_some((first, last))
}

/// The kind, where the text is an address.
fn address(text: &str) -> Option<&str> {
    let (kind, name) = text.split_once('.')?;
    let good = Shape::Name.fits(kind) && Shape::Name.fits(name);
    good.then_some(kind)
}

fn variable(text: &str) -> bool {
    let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(part)
}

fn env_name(text: &str) -> bool {
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(begins) && text.chars().all(|c| begins(c) || c.is_ascii_digit())
}

fn inside(text: &str) -> bool {
    let parts = || text.split('/').skip(1);
    text.starts_with('/')
        && parts().any(|part| !part.is_empty())
        && !text.ends_with('/')
        && !text.contains('\0')
        && parts().all(|part| part != ".." && part != ".")
}

fn url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
}

fn database_url(text: &str) -> bool {
    let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
}

fn destination(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("s3://") else {
        return !text.is_empty() && !text.contains(':');
    };
    let bucket = rest.split('/').next().unwrap_or_default();
    let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
    let good = bucket.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    good && (3..=63).contains(&bucket.len())
        && bucket.chars().all(part)
        && !rest.contains(char::is_whitespace)
}

/// Only the form: what each field may hold is said by who reads schedules.
fn cron(text: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || "*/,-#".contains(c);
    text.split_whitespace().count() == 5 && text.split_whitespace().all(|it| it.chars().all(part))
}

fn host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let digits = port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
    !host.is_empty()
        && !host.contains(char::is_whitespace)
        && digits
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn mode(text: &str) -> bool {
    let digits = match text.len() {
        4 => text.strip_prefix('0'),
        _ => Some(text),
    };
    digits.is_some_and(|it| it.len() == 3 && it.bytes().all(|b| (b'0'..=b'7').contains(&b)))
}

fn clock(text: &str) -> bool {
    let Some((hour, minute)) = text.split_once(':') else { return false };
    let number = |text: &str, below: u8| {
        text.len() == 2
            && text.bytes().all(|b| b.is_ascii_digit())
            && text.parse::<u8>().is_ok_and(|it| it < below)
    };
    number(hour, 24) && number(minute, 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shape_knows_its_own() {
        let table: &[(Shape, &[&str], &[&str])] = &[
            (Shape::Filled, &["x", "\n"], &[""]),
            (Shape::Name, &["api", "a-1"], &["", "Api", "1a", "a-", "a_b", "a.b"]),
            (Shape::Variable, &["api_image", "a-1"], &["", "A", "_a", "a.b"]),
            (Shape::Address, &["service.api"], &["api", "a.b.c", "service.", ".api", "S.a"]),
            (Shape::CheckAddress, &["check.smoke"], &["service.api", "check"]),
            (Shape::ConfigAddress, &["config.api"], &["check.smoke"]),
            (Shape::EnvName, &["LOG_LEVEL", "_x1"], &["", "1X", "A-B", "A=B"]),
            (Shape::Inside, &["/etc/a.toml"], &["etc/a", "/", "/a/../b", "/a/", "/a/./b"]),
            (Shape::HttpPath, &["/", "/healthz?x=1"], &["healthz", "/a b", ""]),
            (Shape::Url, &["http://x", "https://x/y"], &["ftp://x", "http://", "http://a b"]),
            (Shape::HostPort, &["a:1", "::1:65535"], &["a", ":1", "a:0", "a:65536", "a:+1"]),
            (Shape::Mode, &["0644", "644"], &["0888", "64", "00644", "1777"]),
            (Shape::Clock, &["09:00", "23:59"], &["9:00", "24:00", "09:60", "0900"]),
            (Shape::PortRange, &["1-1", "20000-29999"], &["2-1", "0-1", "1-65536", "1", "+1-2"]),
            (
                Shape::DatabaseUrl,
                &["postgres://u@h/d", "postgresql:///d?host=/run"],
                &["postgres://", "mysql://h/d", "host=h dbname=d", "postgres://a b"],
            ),
            (
                Shape::Destination,
                &["backups", "../x/y", "/var/b", "s3://bucket", "s3://my.bucket/a/b"],
                &["", "s3://", "s3:///a", "s3://B/x", "gs://bucket/x", "s3://bucket/a b"],
            ),
            (Shape::Cron, &["0 3 * * *", "*/5 1-4 1,15 * MON-FRI"], &["", "0 3 * *", "@daily"]),
            (Shape::Percent, &["1%", "50%", "100%"], &["", "50", "0%", "101%", "05%", "1.5%"]),
        ];
        for (shape, good, bad) in table {
            let pattern = shape.pattern().map(|it| regex::Regex::new(it).expect("pattern"));
            for text in *good {
                assert!(shape.fits(text), "{shape:?} {text:?}");
                assert!(pattern.as_ref().is_none_or(|it| it.is_match(text)), "{shape:?} {text:?}");
            }
            for text in *bad {
                assert!(!shape.fits(text), "{shape:?} {text:?}");
            }
        }
    }
}
