//! What is: each recorded part beside the live one, and what moved.

use super::backups::{self, OneJson, one_json};
use super::clean::clean;
use super::line::{Line, columns};
use super::plan_json::{FORMAT, document};
use super::plan_text;
use super::reading;
use super::site::Site;
use super::style::{Paint, Style};
use super::value;
use super::words::{ago, list, span};
use crate::flow::{Drifted, PartStatus, Status};
use hive_contract::{FieldPath, Target, Value};
use hive_sql::facts::AS_MIGRATED;
use hive_state::{Freeze, Hold, LeaseBody};
use serde::Serialize;
use std::collections::BTreeMap;

/// Of what the status is.
pub struct Here<'a> {
    /// The stack.
    pub stack: &'a str,
    /// The environment, with its instance.
    pub environment: &'a str,
    /// Now.
    pub now_ms: u64,
    /// What is known of whoever holds the lease.
    pub hold: Hold,
    /// Where a person stands.
    pub site: Site,
}

/// Everything, as a person reads it.
pub fn text(status: &Status, here: &Here<'_>, style: Style) -> String {
    let mut out = String::new();
    head(status, here).write(&mut out, style, 2);
    for remark in remarks(status, here) {
        Line::new().with(Paint::Care, "! ").plain(remark).write(&mut out, style, 2);
    }
    let widest = status.parts.keys().map(|it| columns(&it.to_string())).max().unwrap_or(0);
    let widest = widest.min(40);
    for (target, part) in &status.parts {
        row(target, part, widest, style, &mut out);
        if let Some(of) = part.backups.as_ref().filter(|_| !part.unreadable) {
            backups::summary(of, here.now_ms, &here.site, 6, style, &mut out);
        }
    }
    if let Some(recorded) = &status.recorded {
        let silent: Vec<String> = recorded
            .resources
            .keys()
            .filter(|address| !status.parts.keys().any(|it| it.address == **address))
            .map(ToString::to_string)
            .collect();
        if !silent.is_empty() {
            Line::new()
                .with(Paint::Dim, "nothing live to look at: ")
                .plain(silent.join(", "))
                .write(&mut out, style, 2);
        }
    }
    out
}

fn head(status: &Status, here: &Here<'_>) -> Line {
    let place = format!("{} · {}", clean(here.stack), clean(here.environment));
    let open = if status.open.is_some() { " and an open apply" } else { "" };
    let what = match status.newest() {
        None if status.open.is_some() => "no snapshot yet, and an open apply".to_owned(),
        None => "nothing was applied yet".to_owned(),
        Some(snapshot) => {
            let partial = if snapshot.whole { "" } else { ", partial" };
            let bare = snapshot.resources.is_empty() && open.is_empty();
            let nothing = if bare { ": nothing is recorded" } else { "" };
            let when = ago(snapshot.at_ms, here.now_ms);
            format!("snapshot {}{partial} ({when}){nothing}{open}", snapshot.number)
        }
    };
    Line::new().with(Paint::Bold, place).plain(format!(" · {what}"))
}

fn remarks(status: &Status, here: &Here<'_>) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(open) = status.open.as_ref().filter(|_| here.hold != Hold::Live) {
        remarks.push(here.site.complete(&format!(
            "the apply {} was interrupted and is still open: `hive recover` settles it",
            clean(&open.apply)
        )));
    }
    if let Some(Freeze { who, why, at_ms }) = &status.frozen {
        let when = ago(*at_ms, here.now_ms);
        remarks.push(format!("frozen by {} {when}: {}", clean(who), clean(why)));
    }
    let held = status.lease.as_ref().and_then(|it| Some((it, it.holder.as_ref()?)));
    if let Some((lease, holder)) = held {
        let who = format!("{} (pid {} on {})", clean(&holder.who), holder.pid, clean(&holder.host));
        match here.hold {
            Hold::Live => remarks.push(format!("{who} is applying now")),
            Hold::Silent => remarks.push(format!(
                "{who} holds the lease and was not heard of for {}",
                span(here.now_ms.saturating_sub(lease.renewed_ms))
            )),
            // Of one that is gone only what it left is worth a word.
            Hold::Gone | Hold::Free => {}
        }
    }
    for stray in &status.strays {
        remarks.push(format!(
            "{stray} carries this stack's mark and is not recorded: `hive adopt` takes it back"
        ));
    }
    remarks
}

fn row(target: &Target, part: &PartStatus, widest: usize, style: Style, out: &mut String) {
    let (paint, word) = match (part.unreadable, part.ready) {
        (true, _) => (Paint::Bad, "unreadable"),
        (_, true) => (Paint::Good, "ready"),
        (_, false) => (Paint::Bad, "not ready"),
    };
    let line = Line::new()
        .plain(target.to_string())
        .to_column(widest + 2)
        .with(paint, format!("{word:<10}"))
        .plain(format!("  {}", clean(&part.summary)));
    let url = part.outputs.get("url").and_then(Value::as_text).filter(|_| !part.unreadable);
    let line = match url {
        Some(url) => line.with(Paint::Dim, format!("  {}", clean(url))),
        None => line,
    };
    line.write(out, style, widest + 4);
    part.drift.iter().for_each(|it| drifted(it, style, out));
}

fn drifted(drift: &Drifted, style: Style, out: &mut String) {
    if let Some(objects) = by_hand(drift) {
        for object in objects.lines() {
            Line::indented(6).with(Paint::Care, clean(object)).write(out, style, 8);
        }
        return;
    }
    let text = |it: &Option<Value>| value::many_lines(it.as_ref()).map(str::to_owned);
    if let (Some(recorded), Some(observed)) = (&drift.recorded, &drift.observed)
        && (text(&drift.recorded).is_some() || text(&drift.observed).is_some())
    {
        let side = |it: &Value| match it {
            Value::Text(text) => text.clone(),
            other => value::show(other, &|_| None),
        };
        let who = drift.moved_by.as_deref().map(|it| format!(", changed by {}", clean(it)));
        let said = format!("{} moved{}", clean(&drift.field.to_string()), who.unwrap_or_default());
        Line::indented(6).with(Paint::Care, said).write(out, style, 8);
        let lines = reading::diff(&side(recorded), &side(observed));
        return plan_text::diff(&lines, 8, style, out);
    }
    let line = Line::indented(6).with(Paint::Care, drift_words(drift));
    line.write(out, style, 8);
}

/// What was changed by hand in a schema, a line for each object.
fn by_hand(drift: &Drifted) -> Option<&str> {
    let was = drift.recorded.as_ref().and_then(Value::as_text);
    let is = drift.observed.as_ref().and_then(Value::as_text);
    is.filter(|_| was == Some(AS_MIGRATED) && drift.field.keys() == ["objects"])
}

fn drift_words(drift: &Drifted) -> String {
    let show = |it: &Option<Value>| match it {
        None => "nothing".to_owned(),
        Some(value) => value::show(value, &|_| None),
    };
    if drift.field == FieldPath::default() {
        return format!("it was {} and is gone", show(&drift.recorded));
    }
    let who = drift.moved_by.as_deref().map(|it| format!(", changed by {}", clean(it)));
    let (recorded, observed) = match (&drift.recorded, &drift.observed) {
        (Some(a), Some(b)) => value::show_pair(a, b, &|_| None),
        (a, b) => (show(a), show(b)),
    };
    format!(
        "{} was {recorded} and is {observed}{}",
        clean(&drift.field.to_string()),
        who.unwrap_or_default()
    )
}

/// Only what moved.
pub fn drift(status: &Status, site: &Site, style: Style) -> String {
    let mut out = String::new();
    let mut calm = 0_usize;
    for (target, part) in &status.parts {
        if part.unreadable {
            Line::new()
                .with(Paint::Bold, target.to_string())
                .with(Paint::Bad, "  unreadable: ")
                .plain(clean(&part.summary))
                .write(&mut out, style, 6);
        } else if part.drift.is_empty() {
            calm += 1;
        } else {
            Line::new().with(Paint::Bold, target.to_string()).write(&mut out, style, 6);
            part.drift.iter().for_each(|it| drifted(it, style, &mut out));
        }
    }
    let moved: Vec<String> = status
        .parts
        .iter()
        .filter(|(_, part)| !part.drift.is_empty())
        .map(|(target, _)| target.to_string())
        .collect();
    let line = match moved.is_empty() {
        true if status.parts.is_empty() => "nothing live is recorded".to_owned(),
        true => format!("nothing moved, {calm} as recorded"),
        false => site.complete(&format!(
            "{} moved, {calm} as recorded; `hive plan` shows what mends it",
            list(&moved)
        )),
    };
    Line::new().with(Paint::Bold, line).write(&mut out, style, 2);
    out
}

#[derive(Serialize)]
struct StatusJson<'a> {
    format: u32,
    stack: &'a str,
    environment: &'a str,
    snapshot: Option<u64>,
    whole: Option<bool>,
    snapshot_at_ms: Option<u64>,
    open: Option<&'a str>,
    frozen: &'a Option<Freeze>,
    lease: &'a Option<LeaseBody>,
    hold: Hold,
    parts: BTreeMap<&'a Target, PartJson<'a>>,
}

#[derive(Serialize)]
struct PartJson<'a> {
    ready: bool,
    unreadable: bool,
    summary: &'a str,
    drift: Vec<DriftJson<'a>>,
    outputs: &'a BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backups: Option<OneJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<SchemaJson<'a>>,
}

#[derive(Serialize)]
struct SchemaJson<'a> {
    head: &'a str,
    applied: usize,
}

#[derive(Serialize)]
struct DriftJson<'a> {
    field: &'a FieldPath,
    recorded: &'a Option<Value>,
    observed: &'a Option<Value>,
    moved_by: &'a Option<String>,
}

#[derive(Serialize)]
struct DriftsJson<'a> {
    format: u32,
    parts: BTreeMap<&'a Target, PartJson<'a>>,
}

/// Everything, as one JSON document.
pub fn json(status: &Status, here: &Here<'_>) -> String {
    document(&StatusJson {
        format: FORMAT,
        stack: here.stack,
        environment: here.environment,
        snapshot: status.newest().map(|it| it.number),
        whole: status.newest().map(|it| it.whole),
        snapshot_at_ms: status.newest().map(|it| it.at_ms),
        open: status.open.as_ref().map(|it| it.apply.as_str()),
        frozen: &status.frozen,
        lease: &status.lease,
        hold: here.hold,
        parts: status
            .parts
            .iter()
            .map(|(target, part)| (target, part_json(part, here.now_ms)))
            .collect(),
    })
}

/// What moved or could not be read, as one JSON document.
pub fn drift_json(status: &Status, now_ms: u64) -> String {
    let moved = status.parts.iter().filter(|(_, part)| part.unreadable || !part.drift.is_empty());
    let parts = moved.map(|(target, part)| (target, part_json(part, now_ms))).collect();
    document(&DriftsJson { format: FORMAT, parts })
}

fn part_json(part: &PartStatus, now_ms: u64) -> PartJson<'_> {
    let drift = part
        .drift
        .iter()
        .map(|it| DriftJson {
            field: &it.field,
            recorded: &it.recorded,
            observed: &it.observed,
            moved_by: &it.moved_by,
        })
        .collect();
    PartJson {
        ready: part.ready,
        unreadable: part.unreadable,
        summary: &part.summary,
        drift,
        outputs: &part.outputs,
        backups: part.backups.as_ref().map(|it| one_json(it, now_ms)),
        schema: part.schema.as_ref().map(|(head, applied)| SchemaJson { head, applied: *applied }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::{EVIL, golden, target};

    fn part(summary: &str, ready: bool, drift: Vec<Drifted>) -> PartStatus {
        PartStatus {
            summary: summary.to_owned(),
            ready,
            drift,
            outputs: [("url".to_owned(), Value::from("http://127.0.0.1:20001"))].into(),
            unreadable: false,
            backups: None,
            schema: None,
        }
    }

    fn status() -> Status {
        let moved = Drifted {
            field: FieldPath::parse("environment.LOG"),
            recorded: Some("info".into()),
            observed: None,
            moved_by: Some(EVIL.to_owned()),
        };
        let gone = Drifted {
            field: FieldPath::default(),
            recorded: Some("dev/config.a".into()),
            observed: None,
            moved_by: None,
        };
        let text = Drifted {
            field: FieldPath::parse("content"),
            recorded: Some("level = 3\nname = a\n".into()),
            observed: Some("level = 4\nname = a\n".into()),
            moved_by: None,
        };
        let schema = Drifted {
            field: FieldPath::parse("objects"),
            recorded: Some(AS_MIGRATED.into()),
            observed: Some(format!("column orders.x: added by hand: text\ntable {EVIL}").into()),
            moved_by: None,
        };
        let unreadable = PartStatus { unreadable: true, ..part(EVIL, false, Vec::new()) };
        Status {
            recorded: None,
            open: None,
            frozen: Some(Freeze { who: "kim@laptop".into(), why: EVIL.into(), at_ms: 1_000 }),
            lease: None,
            strays: Vec::new(),
            parts: [
                (target("service.api"), part("2 of 2 healthy", true, vec![moved])),
                (target("config.a"), part("gone", false, vec![gone])),
                (target("config.b"), part("written", true, vec![text])),
                (target("migrations.main"), part("3 applied", false, vec![schema])),
                (target("service.blind"), unreadable),
            ]
            .into(),
        }
    }

    #[test]
    fn what_is_and_what_moved() {
        let here = Here {
            stack: "hiver",
            environment: "dev",
            now_ms: 61_000,
            hold: Hold::Free,
            site: Site::default(),
        };
        let shown = text(&status(), &here, Style::PLAIN);
        golden("status/status.txt", &shown);
        golden("status/drift.txt", &drift(&status(), &Site::default(), Style::PLAIN));
        golden("status/status.json", &json(&status(), &here));
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown}");
    }
}
