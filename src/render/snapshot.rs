//! What a snapshot holds, and what differs between two.

use super::clean::clean;
use super::line::{Line, columns};
use super::plan_json::{FORMAT, document};
use super::plan_text;
use super::reading::{FieldChange, FieldRow, between, field_rows};
use super::style::{Paint, Style};
use super::words::{ago, count, moment};
use hive_contract::{Address, Fields, Value};
use hive_state::{Recorded, Snapshot};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// All snapshots, newest first.
pub fn list(all: &[Snapshot], now_ms: u64, style: Style) -> String {
    let mut out = String::new();
    for one in all.iter().rev() {
        Line::new()
            .with(Paint::Bold, format!("{:>4}  ", one.number))
            .plain(count(one.resources.len() as u64, "resource", "resources"))
            .plain(if one.whole { "" } else { ", partial" })
            .with(Paint::Dim, format!("  {} · apply {}", ago(one.at_ms, now_ms), clean(&one.apply)))
            .write(&mut out, style, 6);
    }
    if all.is_empty() {
        out.push_str("there is no snapshot yet\n");
    }
    out
}

/// Everything that one snapshot holds.
pub fn text(one: &Snapshot, now_ms: u64, style: Style) -> String {
    let mut out = String::new();
    let partial = if one.whole { "" } else { " · partial" };
    Line::new()
        .with(Paint::Bold, format!("snapshot {}", one.number))
        .plain(format!(" · {} · {}{partial}", clean(&one.stack), clean(&one.environment)))
        .write(&mut out, style, 2);
    Line::new()
        .with(Paint::Dim, "made  ")
        .plain(format!("{} ({})", moment(one.at_ms), ago(one.at_ms, now_ms)))
        .plain(format!(" by the apply {}", clean(&one.apply)))
        .write(&mut out, style, 6);
    table("variables", &one.variables, style, &mut out);
    table("guards", &one.guards, style, &mut out);
    for (address, recorded) in &one.resources {
        out.push('\n');
        resource(address, recorded, style, &mut out);
    }
    out
}

fn table(name: &str, fields: &Fields, style: Style, out: &mut String) {
    if !fields.is_empty() {
        Line::new().with(Paint::Dim, name).write(out, style, 2);
        plan_text::fields(&quiet(field_rows(fields)), style, out);
    }
}

fn resource(address: &Address, recorded: &Recorded, style: Style, out: &mut String) {
    let mut line = Line::new().with(Paint::Bold, address.to_string());
    if recorded.declared.protect {
        line = line.with(Paint::Care, "  protected");
    }
    line.write(out, style, 2);
    plan_text::fields(&quiet(field_rows(&recorded.declared.fields)), style, out);
    for (part, held) in &recorded.parts {
        Line::indented(2)
            .with(Paint::Dim, format!("{part}  "))
            .plain(format!("{} as {}", clean(&held.provider), clean(&held.identity)))
            .write(out, style, 6);
        for (name, value) in &held.outputs {
            let value = super::value::show(value, &|_| None);
            Line::indented(6).plain(format!("{} = {value}", clean(name))).write(out, style, 8);
        }
    }
    if !recorded.edges.is_empty() {
        let on: Vec<String> = recorded.edges.iter().map(ToString::to_string).collect();
        Line::indented(2).with(Paint::Dim, "needs ").plain(on.join(", ")).write(out, style, 8);
    }
}

/// What is, and is not being made: without the sign of a change.
fn quiet(rows: Vec<FieldRow>) -> Vec<FieldRow> {
    rows.into_iter()
        .map(|row| match row.change {
            FieldChange::Set(value) => FieldRow { change: FieldChange::Is(value), ..row },
            _ => row,
        })
        .collect()
}

/// What differs between what two snapshots declare.
pub fn diff(from: &Snapshot, to: &Snapshot, style: Style) -> String {
    let mut out = String::new();
    Line::new()
        .with(Paint::Bold, format!("from snapshot {} to snapshot {}", from.number, to.number))
        .write(&mut out, style, 2);
    let widest = addresses(from, to).iter().map(|it| columns(&it.to_string())).max().unwrap_or(0);
    let mut same = 0_u64;
    for address in addresses(from, to) {
        let (before, after) = (declared(from, address), declared(to, address));
        let (paint, word) = match (before, after) {
            (None, _) => (Paint::Good, "added"),
            (_, None) => (Paint::Bad, "removed"),
            (before, after) if before == after => {
                same += 1;
                continue;
            }
            _ => (Paint::Care, "changed"),
        };
        Line::new()
            .with(Paint::Bold, address.to_string())
            .to_column(widest + 2)
            .with(paint, word)
            .write(&mut out, style, 6);
        let none = Fields::new();
        let rows = match word {
            "removed" => Vec::new(),
            _ => between(before.unwrap_or(&none), after.unwrap_or(&none)),
        };
        plan_text::fields(&rows, style, &mut out);
    }
    for (name, before, after) in
        [("variables", &from.variables, &to.variables), ("guards", &from.guards, &to.guards)]
    {
        if before != after {
            Line::new().with(Paint::Bold, name).write(&mut out, style, 2);
            plan_text::fields(&between(before, after), style, &mut out);
        }
    }
    Line::new()
        .with(
            Paint::Dim,
            format!("{} declared alike in both", count(same, "resource", "resources")),
        )
        .write(&mut out, style, 2);
    out
}

fn addresses<'a>(from: &'a Snapshot, to: &'a Snapshot) -> BTreeSet<&'a Address> {
    from.resources.keys().chain(to.resources.keys()).collect()
}

fn declared<'a>(snapshot: &'a Snapshot, address: &Address) -> Option<&'a Fields> {
    snapshot.resources.get(address).map(|it| &it.declared.fields)
}

#[derive(Serialize)]
struct ListJson<'a> {
    format: u32,
    snapshots: Vec<HeadJson<'a>>,
}

#[derive(Serialize)]
struct HeadJson<'a> {
    number: u64,
    whole: bool,
    apply: &'a str,
    at_ms: u64,
    resources: usize,
}

#[derive(Serialize)]
struct SnapshotJson<'a> {
    format: u32,
    snapshot: &'a Snapshot,
}

#[derive(Serialize)]
struct DiffJson<'a> {
    format: u32,
    from: u64,
    to: u64,
    resources: BTreeMap<&'a Address, SidesJson<'a>>,
}

#[derive(Serialize)]
struct SidesJson<'a> {
    from: Option<&'a BTreeMap<String, Value>>,
    to: Option<&'a BTreeMap<String, Value>>,
}

/// All snapshots, oldest first, as one JSON document.
pub fn list_json(all: &[Snapshot]) -> String {
    let snapshots = all
        .iter()
        .map(|one| HeadJson {
            number: one.number,
            whole: one.whole,
            apply: &one.apply,
            at_ms: one.at_ms,
            resources: one.resources.len(),
        })
        .collect();
    document(&ListJson { format: FORMAT, snapshots })
}

/// One snapshot as one JSON document.
pub fn json(one: &Snapshot) -> String {
    document(&SnapshotJson { format: FORMAT, snapshot: one })
}

/// The declared fields of everything that differs, as one JSON document.
pub fn diff_json(from: &Snapshot, to: &Snapshot) -> String {
    let resources = addresses(from, to)
        .into_iter()
        .map(|it| (it, SidesJson { from: declared(from, it), to: declared(to, it) }))
        .filter(|(_, sides)| sides.from != sides.to)
        .collect();
    document(&DiffJson { format: FORMAT, from: from.number, to: to.number, resources })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::{fields, golden};
    use hive_contract::Declared;

    fn snapshot(number: u64, resources: &[(&str, i64)]) -> Snapshot {
        let resources = resources.iter().map(|(address, replicas)| {
            let address: Address = address.parse().expect("an address");
            let declared = Declared {
                address: address.clone(),
                fields: fields([("replicas", Value::from(*replicas))]),
                uses: BTreeSet::new(),
                protect: number == 2,
                ignore: Vec::new(),
            };
            let (parts, edges) = (BTreeMap::new(), BTreeSet::new());
            (address, Recorded { declared, parts, edges, restored: None })
        });
        Snapshot {
            number,
            parent: None,
            stack: "hiver".to_owned(),
            environment: "dev".to_owned(),
            whole: number == 1,
            apply: "0a1b".to_owned(),
            at_ms: 1_772_373_909_000,
            guards: Fields::new(),
            variables: fields([("image", Value::from(format!("api:{number}")))]),
            places: BTreeMap::new(),
            resources: resources.collect(),
        }
    }

    #[test]
    fn a_list_one_and_the_difference_of_two() {
        let one = snapshot(1, &[("service.api", 1), ("service.gone", 1), ("service.same", 1)]);
        let two = snapshot(2, &[("service.api", 2), ("service.new", 1), ("service.same", 1)]);
        let now_ms = 1_772_400_000_000;
        let mut shown = list(&[one.clone(), two.clone()], now_ms, Style::PLAIN);
        shown.push_str(&text(&two, now_ms, Style::PLAIN));
        shown.push_str(&diff(&one, &two, Style::PLAIN));
        golden("snapshot/snapshots.txt", &shown);
        golden("snapshot/diff.json", &diff_json(&one, &two));
    }
}
