//! The report of a rebuild or a drill: what came back, from when, proven how, in what time.

use super::clean::clean;
use super::line::Line;
use super::plan_json;
use super::style::{Paint, Style};
use super::words::{count, moment, span};
use crate::flow::{Item, Rebuilt};
use serde::Serialize;

/// As a person reads it.
pub fn text(report: &Rebuilt, style: Style) -> String {
    let mut out = String::new();
    head(report).write(&mut out, style, 2);
    out.push_str(&items(report, style));
    if report.whole { time(report) } else { no_time(report) }.write(&mut out, style, 2);
    out
}

/// What was proven or came back, one after another.
pub fn items(report: &Rebuilt, style: Style) -> String {
    let mut out = String::new();
    for item in &report.items {
        row(item, style, &mut out);
    }
    out
}

/// What failed has recovered nothing, so its time says nothing of what is promised.
fn no_time(report: &Rebuilt) -> Line {
    let what = if report.drill { "not proven" } else { "not recovered" };
    Line::new().with(Paint::Bold, format!("{what}, after {}", span(report.took_ms)))
}

fn time(report: &Rebuilt) -> Line {
    let what = if report.drill { "measured" } else { "recovered" };
    let line = Line::new().with(Paint::Bold, format!("{what} in {}", span(report.took_ms)));
    let late: Vec<String> = report
        .items
        .iter()
        .filter(|it| it.is_late())
        .map(|it| format!("{} may take {}", it.address, span(it.rto_ms.unwrap_or_default())))
        .collect();
    let promised = report.items.iter().any(|it| it.rto_ms.is_some());
    match (late.is_empty(), promised) {
        (true, true) => line.with(Paint::Good, " · rto met"),
        (true, false) => line.with(Paint::Dim, " · no rto is declared"),
        (false, _) => line.with(Paint::Bad, format!(" · rto missed: {}", late.join(", "))),
    }
}

fn head(report: &Rebuilt) -> Line {
    let what = match (report.drill, report.snapshot) {
        (true, _) => "drill: nothing but scratch places was touched".to_owned(),
        (false, Some(number)) => format!("rebuilt, as snapshot {number}"),
        (false, None) => "rebuild".to_owned(),
    };
    let line = Line::new().with(Paint::Bold, what).plain(" · ");
    match report.whole {
        true if report.has_damage() => {
            line.with(Paint::Bad, "proven is an older backup, as a newer one is damaged")
        }
        true => line.with(Paint::Good, "all of it is proven"),
        false if report.drill => line.with(Paint::Bad, "not all of it is proven"),
        false => line.with(Paint::Bad, "not all of it is there"),
    }
}

fn row(item: &Item, style: Style, out: &mut String) {
    let (paint, word) = if item.ok { (Paint::Good, "ok") } else { (Paint::Bad, "failed") };
    let mut line =
        Line::indented(2).with(Paint::Bold, item.address.to_string()).plain("  ").with(paint, word);
    if let (Some(id), Some(at_ms)) = (&item.id, item.at_ms) {
        let word = if item.ok { "from" } else { "tried: of" };
        line = line.plain(format!("  {word} {}, backup {}", moment(at_ms), clean(id)));
    }
    if let Some(rows) = item.rows {
        let counted = match item.address.kind() {
            "database" => count(rows, "row", "rows"),
            _ => count(rows, "entry", "entries"),
        };
        line = line.plain(format!(", {counted}"));
    }
    let time = item.restore_ms.filter(|it| *it != item.took_ms);
    let time = time.map_or(String::new(), |it| format!(", the restore alone in {}", span(it)));
    line.write(out, style, 6);
    Line::indented(6)
        .plain(clean(&item.proof))
        .with(Paint::Dim, format!("  in {}{time}", span(item.took_ms)))
        .write(out, style, 8);
    for note in &item.notes {
        Line::indented(6).plain(clean(note)).write(out, style, 8);
    }
    if !item.damaged.is_empty() {
        let said = format!("newer, and damaged: {}", item.damaged.join(", "));
        Line::indented(6).with(Paint::Bad, clean(&said)).write(out, style, 8);
    }
    if let Some(advice) = &item.advice {
        Line::indented(6).plain(clean(advice)).write(out, style, 8);
    }
}

#[derive(Serialize)]
struct RebuiltJson<'a> {
    format: u32,
    is: &'static str,
    good: bool,
    #[serde(flatten)]
    report: &'a Rebuilt,
}

/// As one line of JSON, the last of the command.
pub fn json(report: &Rebuilt) -> String {
    let is = if report.drill { "drilled" } else { "rebuilt" };
    plan_json::line(&RebuiltJson { format: plan_json::FORMAT, is, good: report.is_good(), report })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::{EVIL, golden, target};

    fn item(address: &str, ok: bool, proof: &str) -> Item {
        Item {
            address: target(address).address,
            backup: None,
            id: None,
            at_ms: None,
            rows: None,
            ok,
            proof: proof.to_owned(),
            advice: (!ok).then(|| EVIL.to_owned()),
            notes: Vec::new(),
            damaged: Vec::new(),
            took_ms: 1_400,
            restore_ms: None,
            rto_ms: None,
        }
    }

    fn report(drill: bool) -> Rebuilt {
        let data = Item {
            backup: Some(target("backup.main").address),
            id: Some("20261124T030000Z-ab12cd34".to_owned()),
            at_ms: Some(1_795_489_200_000),
            rows: Some(12_345),
            restore_ms: Some(3_100),
            rto_ms: Some(if drill { 1_800_000 } else { 3_000 }),
            took_ms: 4_200,
            notes: vec![if drill {
                "role `app` is not on this server: a rebuild makes it".to_owned()
            } else {
                "role `app` was made without a password: give it one with ALTER ROLE".to_owned()
            }],
            ..item("database.main", true, "equal to the manifest of its backup")
        };
        let items = match drill {
            true => vec![data],
            false => vec![data, item("service.api", false, EVIL)],
        };
        Rebuilt {
            drill,
            snapshot: (!drill).then_some(7),
            apply: "0123456789abcdef".to_owned(),
            whole: drill,
            took_ms: 6_300,
            items,
        }
    }

    #[test]
    fn what_came_back_from_when_proven_how_in_what_time() {
        let (there, drill) = (report(false), report(true));
        let shown = text(&there, Style::PLAIN);
        golden("rebuild/rebuilt.txt", &shown);
        let late = Rebuilt { whole: true, items: vec![there.items[0].clone()], ..there.clone() };
        golden("rebuild/late.txt", &text(&late, Style::PLAIN));
        let damaged = vec!["20261125T030000Z-ffffffff".to_owned()];
        let older = Item { damaged, ..drill.items[0].clone() };
        let older = Rebuilt { items: vec![older], ..drill.clone() };
        golden("rebuild/older.txt", &text(&older, Style::PLAIN));
        golden("rebuild/drill.txt", &text(&drill, Style::PLAIN));
        golden("rebuild/rebuilt.jsonl", &(json(&there) + &json(&drill)));
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown}");
        assert!(drill.is_good() && !there.is_good() && !late.is_good());
        assert!(older.has_damage() && !drill.has_damage());
    }
}
