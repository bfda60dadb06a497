//! The rules of how hive reaches what holds data: what a database and a backup must say for it, and
//! what may not stand there.

use super::check::Checker;
use super::cycle::visit;
use super::reference::FOREIGN;
use hive_contract::{Declared, Fields, Value};

/// Says what is wrong with how a database or a backup is reached.
pub(crate) fn access(declared: &Declared, checker: &mut Checker<'_>) {
    match declared.address.kind() {
        "database" => {
            engine(declared, checker);
            passwords(declared, checker);
        }
        "backup" => {
            place_in_s3(declared, checker);
            plain_secrets(declared, checker);
            unreadable(declared, checker);
        }
        _ => return,
    }
    outputs(declared, checker);
}

fn text<'a>(fields: &'a Fields, key: &str) -> Option<&'a str> {
    fields.get(key)?.as_text()
}

/// A file is SQLite's, a url PostgreSQL's.
fn engine(declared: &Declared, checker: &mut Checker<'_>) {
    let (wrong, message, help) = match text(&declared.fields, "engine") {
        Some("sqlite") => (
            "url",
            "a database with `engine = \"sqlite\"` is a file, and has no `url`",
            "name the file, as in `path = \"data/shop.db\"`",
        ),
        Some("postgres") => (
            "path",
            "a database with `engine = \"postgres\"` is reached by its url, and has no `path`",
            "name it, as in `url = { env = \"DATABASE_URL\" }`",
        ),
        _ => return,
    };
    if declared.fields.contains_key(wrong) {
        let at = checker.place(&declared.address, &[wrong]);
        checker.findings.add(at, message).help(help);
    }
}

/// A password in a url would stand in every snapshot.
fn passwords(declared: &Declared, checker: &mut Checker<'_>) {
    for key in ["url", "direct_url"] {
        if declared.fields.get(key).is_some_and(has_plain_password) {
            // The header and not the key, whose line would be shown.
            let at = checker.place(&declared.address, &[]);
            let name = &declared.address;
            let message = format!("the `{key}` of `{name}` holds a password in plain text");
            checker.findings.add(at, message).help(
                "name it, as in `{ format = \"postgres://shop:{pw}@db/shop\", pw = { env = \
                 \"DB_PASSWORD\" } }`",
            );
        }
    }
}

/// What stands for a value that is not known yet.
const UNKNOWN: &str = "\u{1}";

fn has_plain_password(url: &Value) -> bool {
    let text = match url {
        Value::Text(text) => text.clone(),
        Value::Format(format) => {
            let hole = |value: &Value| Some(value.scalar().unwrap_or_else(|| UNKNOWN.to_owned()));
            format.join(hole).unwrap_or_default()
        }
        _ => return false,
    };
    let Some((_, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let in_front = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':'));
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let behind = query.split('&').filter_map(|it| it.strip_prefix("password="));
    let mut passwords = in_front.map(|(_, password)| password).into_iter().chain(behind);
    passwords.any(|password| !password.is_empty() && !password.contains(UNKNOWN))
}

/// Settings of S3 say something only where the destination is there.
fn place_in_s3(declared: &Declared, checker: &mut Checker<'_>) {
    let Some(destination) = text(&declared.fields, "destination") else { return };
    if declared.fields.contains_key("s3") && !destination.starts_with("s3://") {
        let at = checker.place(&declared.address, &["s3"]);
        checker
            .findings
            .add(at, "`s3` says something only where `destination` is a place in S3")
            .help("write it as in `destination = \"s3://backups/main\"`, or take `s3` away");
    }
}

/// Keys are named and never written.
fn plain_secrets(declared: &Declared, checker: &mut Checker<'_>) {
    for (table, key) in [("s3", "secret_key"), ("encrypt", "identity")] {
        let inner = declared.fields.get(table).and_then(Value::as_map);
        let Some(value) = inner.and_then(|it| it.get(key)) else { continue };
        if value.is_known() && !value.has_secret() {
            let at = checker.place(&declared.address, &[]);
            let name = &declared.address;
            let message = format!("`{table}.{key}` of `{name}` is a secret in plain text");
            checker
                .findings
                .add(at, message)
                .help(format!("name it, as in `{key} = {{ env = \"BACKUP_KEY\" }}`"));
        }
    }
}

/// What hive cannot read it cannot verify.
fn unreadable(declared: &Declared, checker: &mut Checker<'_>) {
    let Some(encrypt) = declared.fields.get("encrypt").and_then(Value::as_map) else { return };
    if declared.fields.contains_key("verify") && !encrypt.contains_key("identity") {
        let at = checker.place(&declared.address, &["verify"]);
        checker
            .findings
            .add(at, "to verify a backup it must be read, and `encrypt` has no `identity`")
            .help("add it, as in `identity = { file = \"backup.key\" }`, or take `verify` away");
    }
}

/// What this stack itself makes is not known when its databases are looked at.
fn outputs(declared: &Declared, checker: &mut Checker<'_>) {
    let mut places = Vec::new();
    visit(&declared.fields, &mut |path, value| {
        if let Value::Output(output) = value
            && output.address.kind() != FOREIGN
        {
            places.push(path.to_vec());
        }
    });
    for path in places {
        let field: Vec<&str> = path.iter().map(String::as_str).collect();
        let at = checker.place(&declared.address, &field);
        let message = format!(
            "an output of this stack may not stand here: hive reaches `{}` before anything is \
             planned",
            declared.address
        );
        checker.findings.add(at, message).help("write the value, or take it from a variable");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_contract::Format;
    use hive_contract::secret::{SecretPlace, SecretRef};

    #[test]
    fn a_password_is_seen_in_front_of_the_host_and_behind_the_name() {
        for plain in [
            "postgres://u:pw@h/d",
            "postgres://u:p@w@h:5432/d?sslmode=require",
            "postgresql://h/d?user=u&password=pw",
            "postgres://u:pw@h?x=1",
        ] {
            assert!(has_plain_password(&Value::text(plain)), "{plain}");
        }
        for good in ["postgres://u@h/d", "postgres://h:5432/d", "postgres://u:@h/a:b@c", ""] {
            assert!(!has_plain_password(&Value::text(good)), "{good}");
        }
    }

    #[test]
    fn a_hole_is_a_password_only_where_its_value_is_written() {
        let secret = SecretRef { source: SecretPlace::Env("PW".to_owned()), pin: false };
        let url = |pw: Value| {
            let user = ("u".to_owned(), Value::Secret(secret.clone()));
            let values = Fields::from([user, ("pw".to_owned(), pw)]);
            Value::Format(Format { template: "postgres://{u}:{pw}@h/d".to_owned(), values })
        };
        assert!(!has_plain_password(&url(Value::Secret(secret.clone()))));
        assert!(has_plain_password(&url(Value::text("pw"))));
    }
}
