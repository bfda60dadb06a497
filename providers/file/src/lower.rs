//! One declared config in canonical fields.

use crate::Base;
use crate::read::LIMIT;
use crate::spot::{Spot, clean};
use hive_contract::{
    Declared, FieldPath, Fields, Fingerprint, Invalid, LowerScope, Lowered, Output, ReplaceOrder,
    Sort, Value,
};
use std::collections::BTreeMap;

pub(crate) fn lower(
    base: &Base,
    declared: &Declared,
    scope: &LowerScope,
) -> Result<Lowered, Vec<Invalid>> {
    let mut wrong = Vec::new();
    let content = keep(content(&declared.fields), &mut wrong);
    let mode = keep(mode(&declared.fields), &mut wrong);
    let path = keep(path(base, &declared.fields), &mut wrong);
    for key in declared.fields.keys() {
        if !["content", "mode", "path", "source"].contains(&key.as_str()) {
            wrong.push(Invalid::at(key, format!("a config has no `{key}`")));
        }
    }
    let (Some(content), Some(mode), Some(path), true) = (content, mode, path, wrong.is_empty())
    else {
        return Err(wrong);
    };

    let spot = Spot {
        environment: scope.owner.environment.clone(),
        name: declared.address.name().to_owned(),
        path,
    };
    let mut fields = Fields::from([
        ("content".to_owned(), content.clone()),
        ("mode".to_owned(), Value::Text(mode)),
    ]);
    if let Some(path) = &spot.path {
        fields.insert("path".to_owned(), Value::text(path));
    }
    Ok(Lowered {
        sort: Sort::Object,
        identity: spot.identity(),
        fields,
        outputs: outputs(&spot, content),
        immutable: spot.path.iter().map(|_| FieldPath::parse("path")).collect(),
        replace: ReplaceOrder::DeleteFirst,
        ..Lowered::default()
    })
}

fn keep<T>(found: Result<T, Invalid>, wrong: &mut Vec<Invalid>) -> Option<T> {
    found.map_err(|invalid| wrong.push(invalid)).ok()
}

/// What others may refer to. Where hive chose the place, `path` is known only from the live file:
/// a config that was moved to another address stays where it is.
fn outputs(spot: &Spot, content: Value) -> BTreeMap<String, Output> {
    let made_of = |field: &str| vec![FieldPath::parse(field)];
    let path = spot.path.as_ref().map(Value::text);
    let digest = content.as_text().map(|text| Value::text(digest_of(text.as_bytes())));
    BTreeMap::from([
        ("path".to_owned(), Output { made_of: made_of("path"), value: path }),
        ("digest".to_owned(), Output { made_of: made_of("content"), value: digest }),
        ("content".to_owned(), Output { made_of: made_of("content"), value: Some(content) }),
    ])
}

/// The output `digest`: SHA-256 in hex.
pub(crate) fn digest_of(content: &[u8]) -> String {
    Fingerprint::of_bytes(content).as_str().to_owned()
}

fn content(fields: &Fields) -> Result<Value, Invalid> {
    let content = fields.get("content").ok_or_else(|| {
        Invalid::at("", "a config needs `content` or `source`")
            .help("write the text as `content`, or the path of a file as `source`")
    })?;
    if content.has_secret() {
        return Err(Invalid::at("content", "a config may not hold a secret: its text is recorded")
            .help("hand the secret to the service through `environment`"));
    }
    match content {
        Value::Text(text) if text.len() as u64 > LIMIT => {
            Err(Invalid::at("content", format!("the content has {} bytes", text.len()))
                .help("a config is at most 1 MiB: it stands in plans and snapshots as text"))
        }
        Value::Text(_) | Value::Output(_) | Value::Format(_) => Ok(content.clone()),
        _ => Err(Invalid::at("content", "the content is not text")),
    }
}

fn mode(fields: &Fields) -> Result<String, Invalid> {
    let wrong = || {
        Invalid::at("mode", "the mode is not a file's permissions").help(
            "write it in octal digits as text, from \"0000\" to \"0777\", as in `mode = \"0640\"`",
        )
    };
    let Some(mode) = fields.get("mode") else { return Ok("0644".to_owned()) };
    let digits = mode.as_text().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let bits = digits.and_then(|text| u32::from_str_radix(text, 8).ok()).ok_or_else(wrong)?;
    if bits > 0o777 { Err(wrong()) } else { Ok(written_mode(bits)) }
}

/// Permissions as they stand in fields.
pub(crate) fn written_mode(bits: u32) -> String {
    format!("{bits:04o}")
}

fn path(base: &Base, fields: &Fields) -> Result<Option<String>, Invalid> {
    let Some(path) = fields.get("path") else { return Ok(None) };
    let text = path.as_text().ok_or_else(|| Invalid::at("path", "the path is not text"))?;
    let path = clean(text).map_err(|why| {
        Invalid::at("path", format!("`{text}` {why}"))
            .help("give a path relative to the stack's folder, as in `path = \"etc/api.toml\"`")
    })?;
    let first = path.split('/').next().unwrap_or_default();
    let run = base.run.split('/').next().unwrap_or_default();
    if first == run || first == ".hive" {
        return Err(Invalid::at("path", format!("`{first}` is hive's own folder"))
            .help("leave `path` away and hive finds a place, or choose another folder"));
    }
    Ok(Some(path))
}
