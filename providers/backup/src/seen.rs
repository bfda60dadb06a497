//! A backup as a plan sees it: one row of the field `backups`.

use crate::listing::Held;
use crate::publish::{ALARM, CLOCK};
use hive_contract::{Fields, Live, Value};
use hive_sql::objectives::{Measured, Restore};
use hive_sql::retention::Kept;

/// One row of the field `backups` of a live object of the kind `backup`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its id.
    pub id: String,
    /// When its content was fixed, in milliseconds since 1970.
    pub at_ms: i64,
    /// When it was complete.
    pub finished_ms: i64,
    /// How long it took.
    pub took_ms: i64,
    /// `run` or `safety`.
    pub kind: String,
    /// The size of its content.
    pub bytes: i64,
    /// The size as it is stored.
    pub stored: i64,
    /// How many rows.
    pub rows: i64,
    /// The schema's fingerprint; empty where it has none.
    pub schema: String,
    /// The newest migration in it; empty where it has none.
    pub version: String,
    /// When it was last restored and found equal; none where it never was, or not the last time.
    pub verified_ms: Option<i64>,
    /// How long that look took.
    pub verify_ms: Option<i64>,
    /// How long the restore in it took.
    pub restore_ms: Option<i64>,
    /// Whether it counts: all there, not shrunk, and nothing was found wrong.
    pub ok: bool,
    /// What is wrong with it, in words; empty where nothing is.
    pub wrong: String,
    /// Whether its objects are all there.
    pub whole: bool,
    /// Whether it is far smaller than those before it.
    pub shrunk: bool,
}

impl Seen {
    /// Of a backup that was listed.
    pub fn of(held: &Held) -> Self {
        let manifest = &held.manifest;
        let proof = held.proof();
        let number = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
        let mut wrong = held.wrong.clone();
        wrong.extend([ALARM, CLOCK].iter().filter_map(|it| manifest.notes.get(*it).cloned()));
        if let Some(last) = held.verified.last().filter(|it| !it.ok) {
            wrong.extend(last.wrong.iter().cloned());
        }
        Self {
            id: held.id.to_string(),
            at_ms: manifest.snapshot_ms,
            finished_ms: manifest.finished_ms,
            took_ms: manifest.finished_ms - manifest.started_ms,
            kind: manifest.kind.as_str().to_owned(),
            bytes: number(manifest.bytes()),
            stored: number(manifest.stored()),
            rows: number(manifest.rows()),
            schema: manifest.schema.as_ref().map(|it| it.fingerprint.clone()).unwrap_or_default(),
            version: manifest.migrations.as_ref().map(|it| it.head.clone()).unwrap_or_default(),
            verified_ms: proof.map(|it| it.at_ms),
            verify_ms: proof.map(|it| number(it.took_ms)),
            restore_ms: proof.and_then(|it| it.restore_ms).map(number),
            ok: held.is_good(),
            wrong: wrong.join("; "),
            whole: held.wrong.is_empty(),
            shrunk: manifest.notes.contains_key(ALARM),
        }
    }

    /// As a value.
    pub fn value(&self) -> Value {
        let mut fields = Fields::from([
            ("id".to_owned(), Value::text(&self.id)),
            ("at_ms".to_owned(), Value::Int(self.at_ms)),
            ("finished_ms".to_owned(), Value::Int(self.finished_ms)),
            ("took_ms".to_owned(), Value::Int(self.took_ms)),
            ("kind".to_owned(), Value::text(&self.kind)),
            ("bytes".to_owned(), Value::Int(self.bytes)),
            ("stored".to_owned(), Value::Int(self.stored)),
            ("rows".to_owned(), Value::Int(self.rows)),
            ("schema".to_owned(), Value::text(&self.schema)),
            ("version".to_owned(), Value::text(&self.version)),
            ("ok".to_owned(), Value::Bool(self.ok)),
            ("whole".to_owned(), Value::Bool(self.whole)),
            ("shrunk".to_owned(), Value::Bool(self.shrunk)),
            ("wrong".to_owned(), Value::text(&self.wrong)),
        ]);
        let times = [
            ("verified_ms", self.verified_ms),
            ("verify_ms", self.verify_ms),
            ("restore_ms", self.restore_ms),
        ];
        for (key, time) in times {
            fields.extend(time.map(|it| (key.to_owned(), Value::Int(it))));
        }
        Value::Map(fields)
    }

    /// From its value; what is missing is empty.
    pub fn from_value(value: &Value) -> Option<Self> {
        let fields = value.as_map()?;
        let text =
            |key: &str| fields.get(key).and_then(Value::as_text).unwrap_or_default().to_owned();
        let number = |key: &str| fields.get(key).and_then(Value::as_int);
        let truth = |key: &str| fields.get(key).and_then(Value::as_bool);
        Some(Self {
            id: fields.get("id")?.as_text()?.to_owned(),
            at_ms: number("at_ms").unwrap_or_default(),
            finished_ms: number("finished_ms").or(number("at_ms")).unwrap_or_default(),
            took_ms: number("took_ms").unwrap_or_default(),
            kind: text("kind"),
            bytes: number("bytes").unwrap_or_default(),
            stored: number("stored").unwrap_or_default(),
            rows: number("rows").unwrap_or_default(),
            schema: text("schema"),
            version: text("version"),
            verified_ms: number("verified_ms"),
            verify_ms: number("verify_ms"),
            restore_ms: number("restore_ms"),
            ok: truth("ok").unwrap_or_default(),
            wrong: text("wrong"),
            whole: truth("whole").unwrap_or(true),
            shrunk: truth("shrunk").unwrap_or_default(),
        })
    }

    /// All rows of a live object, newest last.
    pub fn all(live: Option<&Live>) -> Vec<Self> {
        let list = live.and_then(|it| it.fields.get("backups")).and_then(Value::as_list);
        list.unwrap_or_default().iter().filter_map(Self::from_value).collect()
    }

    /// What retention knows of it.
    pub fn kept(&self) -> Kept {
        Kept {
            id: self.id.clone(),
            finished_ms: self.finished_ms,
            verified: self.whole && self.verified_ms.is_some(),
            whole: self.whole,
            shrunk: self.shrunk,
        }
    }
}

/// What recovery objectives are measured against.
pub fn measured(backups: &[Seen]) -> Measured {
    let size = |it: &Seen| u64::try_from(it.bytes).unwrap_or_default();
    let good = backups.iter().rev().find(|it| it.ok);
    let restores = backups.iter().filter_map(|it| {
        let took_ms = u64::try_from(it.restore_ms?).ok()?;
        Some(Restore { took_ms, bytes: size(it) })
    });
    Measured {
        newest_ms: good.map(|it| it.at_ms),
        restores: restores.collect(),
        bytes: good.map(size).unwrap_or_default(),
    }
}
