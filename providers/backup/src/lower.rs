//! A declared backup in terms of the place that it goes to.

use crate::lock;
use crate::runs::REMOVES_AT_MOST;
use crate::schedule::Schedule;
use hive_contract::{
    Declared, FieldPath, Fields, Invalid, LowerScope, Lowered, Output, ReplaceOrder, Sort, Value,
};
use hive_objects::Location;
use hive_sql::{retention, words};
use std::path::Path;

/// The keys that say how often, how long and how well: compared by nobody.
const POLICY: [&str; 5] = ["schedule", "keep", "verify", "rpo", "rto"];
/// The keys that say how the place is reached.
const ACCESS: [&str; 4] = ["of", "destination", "s3", "encrypt"];

/// One declared `backup` as a live object: the marker at its destination. Pure; all validation that
/// the engines share is here.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn lower_backup(declared: &Declared, scope: &LowerScope) -> Result<Lowered, Vec<Invalid>> {
    let fields = &declared.fields;
    let mut wrong = Vec::new();
    let destination = check_destination(fields, &mut wrong);
    check_encrypt(fields, &mut wrong);
    check_policy(fields, &mut wrong);
    let of = of_words(fields);
    if of.is_none() {
        wrong.push(Invalid::at("of", "it is not said what is backed up"));
    }
    let (Some(of), Some(destination), true) = (of, destination, wrong.is_empty()) else {
        return Err(wrong);
    };
    let pick = |keys: &[&str]| -> Fields {
        let found =
            keys.iter().filter_map(|key| Some(((*key).to_owned(), fields.get(*key)?.clone())));
        found.collect()
    };
    let made_of = vec![FieldPath::parse("backups")];
    let output = |_| Output { made_of: made_of.clone(), value: None };
    Ok(Lowered {
        sort: Sort::Object,
        identity: format!("{}/{}", scope.owner.environment, declared.address),
        fields: Fields::from([
            ("of".to_owned(), Value::Text(of)),
            ("destination".to_owned(), Value::Text(destination)),
            ("encrypted".to_owned(), Value::Bool(fields.contains_key("encrypt"))),
        ]),
        outputs: ["id", "at_ms"].map(|name| (name.to_owned(), output(name))).into(),
        immutable: [FieldPath::parse("destination")].into(),
        replace: ReplaceOrder::DeleteFirst,
        access: pick(&ACCESS),
        material: pick(&POLICY),
        before_users: true,
        ..Lowered::default()
    })
}

/// What is backed up, in one text: the database's address, else the path.
pub(crate) fn of_words(fields: &Fields) -> Option<String> {
    let address = fields.get("database").and_then(Value::as_text);
    let of = fields.get("of").and_then(Value::as_map)?;
    let engine = of.get("engine").and_then(Value::as_text)?;
    let path = of.get("path").and_then(Value::as_text);
    Some(match (address, path) {
        (Some(address), _) => address.to_owned(),
        (None, Some(path)) => format!("{engine} {path}"),
        (None, None) => engine.to_owned(),
    })
}

fn check_destination(fields: &Fields, wrong: &mut Vec<Invalid>) -> Option<String> {
    let Some(text) = fields.get("destination").and_then(Value::as_text) else {
        wrong.push(
            Invalid::at("destination", "it is not said where the backups go")
                .help("give a folder, or `s3://bucket/prefix`"),
        );
        return None;
    };
    let location = match Location::parse(text, Path::new("")) {
        Ok(location) => location,
        Err(why) => {
            wrong.push(Invalid::at("destination", why));
            return None;
        }
    };
    let s3 = fields.get("s3").and_then(Value::as_map);
    match (&location, s3) {
        (Location::Folder(_), Some(_)) => wrong.push(
            Invalid::at("s3", "the destination is a folder, which needs no `s3`")
                .help("give `s3://bucket/prefix` as the destination, or take `s3` away"),
        ),
        (Location::Bucket { .. }, Some(s3)) => check_s3(s3, wrong),
        (_, None) => {}
    }
    Some(text.to_owned())
}

fn check_s3(s3: &Fields, wrong: &mut Vec<Invalid>) {
    for (one, other) in [("access_key", "secret_key"), ("secret_key", "access_key")] {
        if s3.contains_key(one) && !s3.contains_key(other) {
            wrong.push(Invalid::at(&format!("s3.{one}"), format!("it has no `{other}` beside it")));
        }
    }
    if let Some(Value::Text(_)) = s3.get("secret_key") {
        wrong.push(
            Invalid::at("s3.secret_key", "a secret does not stand in a stack's files")
                .help("refer to it: `{ env = \"…\" }`"),
        );
    }
    if let Some(endpoint) = s3.get("endpoint").and_then(Value::as_text) {
        let host = endpoint.strip_prefix("https://").or(endpoint.strip_prefix("http://"));
        let host = host.map(|it| it.trim_end_matches('/'));
        if !host.is_some_and(|it| !it.is_empty() && !it.contains(['/', '@', '?', ' '])) {
            wrong.push(Invalid::at(
                "s3.endpoint",
                format!("`{endpoint}` is no server: write `https://host` or `https://host:port`"),
            ));
        }
    }
}

fn check_encrypt(fields: &Fields, wrong: &mut Vec<Invalid>) {
    let Some(encrypt) = fields.get("encrypt").and_then(Value::as_map) else { return };
    let recipients = encrypt.get("recipients").and_then(Value::as_list).unwrap_or_default();
    if recipients.is_empty() {
        wrong.push(
            Invalid::at("encrypt.recipients", "there is nobody who could read the backups")
                .help("give at least one age recipient, `age1…`"),
        );
    }
    for (at, one) in recipients.iter().enumerate() {
        let parsed = one.as_text().ok_or_else(|| "it is not text".to_owned());
        if let Err(why) = parsed.and_then(|text| lock::recipient(text).map(drop)) {
            wrong.push(Invalid::at(&format!("encrypt.recipients[{at}]"), why));
        }
    }
    match encrypt.get("identity") {
        Some(Value::Secret(_)) => {}
        Some(_) => wrong.push(
            Invalid::at("encrypt.identity", "a secret key does not stand in a stack's files")
                .help("refer to it: `{ env = \"…\" }` or `{ file = \"…\" }`"),
        ),
        None if fields.contains_key("verify") => wrong.push(
            Invalid::at("encrypt", "encrypted backups cannot be verified without `identity`")
                .help("give `identity`, or take `verify` away and verify where the key is"),
        ),
        None => {}
    }
}

fn check_policy(fields: &Fields, wrong: &mut Vec<Invalid>) {
    let number = |map: &Fields, key: &str| map.get(key).and_then(Value::as_int);
    let schedule = match fields.get("schedule").and_then(Value::as_text).map(Schedule::parse) {
        None => None,
        Some(Ok(schedule)) => Some(schedule),
        Some(Err(why)) => {
            wrong.push(
                Invalid::at("schedule", why)
                    .help("five fields in UTC, as in `0 3 * * *` for every day at 03:00"),
            );
            None
        }
    };
    if let Some(keep) = fields.get("keep").and_then(Value::as_map) {
        let keys = ["within", "minimum", "daily", "weekly", "monthly", "yearly"];
        for key in keys.iter().filter(|key| number(keep, key).is_some_and(|it| it < 0)) {
            wrong.push(Invalid::at(&format!("keep.{key}"), "it is less than nothing"));
        }
        let share = keep.get(REMOVES_AT_MOST).and_then(Value::as_text);
        if share.is_some_and(|text| retention::percent(text).is_none()) {
            wrong.push(
                Invalid::at(&format!("keep.{REMOVES_AT_MOST}"), "it is no share from 1% to 100%")
                    .help("write it as in `removes_at_most = \"50%\"`"),
            );
        }
        if keys.iter().all(|key| number(keep, key).unwrap_or_default() <= 0) {
            wrong.push(
                Invalid::at("keep", "it keeps nothing")
                    .help("say what stays, as in `{ within = \"30d\", minimum = 7 }`"),
            );
        }
    }
    let every = fields.get("verify").and_then(Value::as_map).and_then(|it| number(it, "every"));
    if every.is_some_and(|it| it <= 0) {
        wrong.push(Invalid::at("verify.every", "it is no span of time"));
    }
    for key in ["rpo", "rto"].iter().filter(|key| number(fields, key).is_some_and(|it| it <= 0)) {
        wrong.push(Invalid::at(key, "it is no span of time"));
    }
    let gap = schedule.and_then(|it| it.longest_gap_ms());
    if let (Some(gap), Some(rpo)) = (gap, number(fields, "rpo").filter(|it| *it > 0))
        && gap > rpo
    {
        let span = |ms: i64| words::span(u64::try_from(ms).unwrap_or_default());
        wrong.push(
            Invalid::at("rpo", format!("the schedule leaves up to {} between backups", span(gap)))
                .help(format!("back up at least every {}, or allow more", span(rpo))),
        );
    }
}
