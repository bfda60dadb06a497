//! What was: the list of applies, and the report of one.

use super::clean::{clean, clean_lines};
use super::line::{Line, columns, cut};
use super::plan_json::{FORMAT, document};
use super::style::{Paint, Style};
use super::words::{ago, count, moment, span};
use crate::flow::{Applied, AppliedStep};
use hive_contract::{Action, Event, Failure, Level, Target, Value};
use hive_state::{Ending, Note};
use serde::Serialize;
use std::collections::BTreeMap;

/// All applies, newest first.
pub fn list(all: &[Applied], now_ms: u64, style: Style) -> String {
    let mut out = String::new();
    if all.is_empty() {
        out.push_str("nothing was applied yet\n");
    }
    let rows: Vec<Vec<(Paint, String)>> = all.iter().map(|one| row(one, now_ms)).collect();
    let widths = widths(&rows, style);
    for (one, cells) in all.iter().zip(rows) {
        line(cells, &widths).write(&mut out, style, 10);
        for note in &one.notes {
            Line::indented(10).plain(note_words(note)).write(&mut out, style, 12);
        }
    }
    out
}

/// The cells of one apply: the first is the number, and the last are the least important.
fn row(one: &Applied, now_ms: u64) -> Vec<(Paint, String)> {
    let snapshot = one.snapshot.map_or("-".to_owned(), |number| number.to_string());
    let (paint, word) = ending(one);
    vec![
        (Paint::Bold, format!("{snapshot:>4}")),
        (Paint::Dim, clean(one.apply.get(..8).unwrap_or(&one.apply))),
        (paint, word.to_owned()),
        (Paint::Plain, clean(&one.command)),
        (Paint::Plain, steps_words(one)),
        (Paint::Dim, ago(one.began_ms, now_ms)),
        (Paint::Dim, clean(&one.who)),
        (Paint::Dim, span(took(one))),
    ]
}

/// `4 steps`, or `1 of 4 steps` where it did not come to all of them.
fn steps_words(one: &Applied) -> String {
    let begun = one.steps.len();
    match one.planned {
        Some(planned) if begun < planned => {
            format!("{begun} of {}", count(planned as u64, "step", "steps"))
        }
        Some(planned) => count(planned as u64, "step", "steps"),
        None => count(begun as u64, "step", "steps"),
    }
}

/// How wide each column is; the last ones are left out where the terminal has no room for them.
fn widths(rows: &[Vec<(Paint, String)>], style: Style) -> Vec<usize> {
    let mut widths: Vec<usize> = Vec::new();
    for cells in rows {
        widths.resize(cells.len(), 0);
        for (width, (_, text)) in widths.iter_mut().zip(cells) {
            *width = columns(text).max(*width);
        }
    }
    let gaps = |widths: &[usize]| widths.len().saturating_sub(1) * GAP.len();
    let over = |widths: &[usize]| {
        (widths.iter().sum::<usize>() + gaps(widths)).saturating_sub(style.width)
    };
    // A command may be long, as it may name a backup: its end goes before a column does.
    let shrink = |widths: &mut Vec<usize>, least: usize| {
        let over = over(widths);
        if let Some(width) = widths.get_mut(COMMAND) {
            *width = width.saturating_sub(over).max(least.min(*width));
        }
    };
    shrink(&mut widths, SHOWN);
    while widths.len() > LEAST && over(&widths) > 0 {
        widths.pop();
    }
    shrink(&mut widths, 0);
    widths
}

/// Which column is the command, and how much of it is shown before another column goes.
const COMMAND: usize = 3;
const SHOWN: usize = 16;

/// Between two columns.
const GAP: &str = "  ";
/// Number, apply, ending, command, steps and when are always shown.
const LEAST: usize = 6;

/// Cells below those of the other rows.
fn line(cells: Vec<(Paint, String)>, widths: &[usize]) -> Line {
    let mut line = Line::new();
    for (number, ((paint, text), width)) in cells.into_iter().zip(widths).enumerate() {
        let text = if columns(&text) > *width { cut(&text, *width) } else { text };
        let missing = " ".repeat(width.saturating_sub(columns(&text)));
        let gap = if number == 0 { "" } else { GAP };
        line = line.plain(gap).with(paint, text).plain(missing);
    }
    line
}

fn took(one: &Applied) -> u64 {
    one.ended_ms.saturating_sub(one.began_ms)
}

fn ending(one: &Applied) -> (Paint, &'static str) {
    match one.ending {
        Some(Ending::Applied) => (Paint::Good, "applied"),
        Some(Ending::RolledBack) => (Paint::Bad, "rolled back"),
        Some(Ending::Halted) => (Paint::Bad, "halted"),
        Some(Ending::Interrupted) => (Paint::Care, "interrupted"),
        Some(Ending::ClosedByHand) => (Paint::Care, "closed by hand"),
        None => (Paint::Care, "open"),
    }
}

/// The report of one apply: who, what, times, failures with diagnosis, notes.
pub fn report(one: &Applied, style: Style) -> String {
    let mut out = String::new();
    let (paint, word) = ending(one);
    Line::new()
        .with(Paint::Bold, clean(&one.command))
        .plain(" · ")
        .with(paint, word)
        .plain(one.snapshot.map_or(String::new(), |number| format!(" · snapshot {number}")))
        .write(&mut out, style, 2);
    let mut say = |what: &str, text: String| {
        Line::new().with(Paint::Dim, format!("{what:<8}")).plain(text).write(&mut out, style, 8);
    };
    say("apply", clean(&one.apply));
    say("plan", clean(&one.plan));
    say("by", clean(&one.who));
    say("began", moment(one.began_ms));
    say("ended", format!("{} ({})", moment(one.ended_ms), span(took(one))));
    if let Some(back) = &one.back {
        say("back", clean(back));
    }
    out.push('\n');
    steps(&one.steps, style, &mut out);
    for event in &one.events {
        said(event, 0, style, &mut out);
    }
    if !one.notes.is_empty() {
        out.push('\n');
    }
    for note in &one.notes {
        Line::new()
            .with(Paint::Note, "note  ")
            .plain(note_words(note))
            .with(Paint::Dim, format!("  {}", moment(note.at_ms)))
            .write(&mut out, style, 6);
    }
    out
}

fn steps(steps: &[AppliedStep], style: Style, out: &mut String) {
    let rows: Vec<Vec<(Paint, String)>> = steps.iter().map(cells).collect();
    let widths = widths(&rows, Style::PLAIN);
    for (step, cells) in steps.iter().zip(rows) {
        // The title is the last cell but one, and nothing has to stand below it.
        let hang = widths.iter().take(4).map(|it| it + GAP.len()).sum();
        let hang = if hang <= style.width / 2 { hang } else { 6 };
        line(cells, &widths).write(out, style, hang);
        told(step, style, out);
    }
}

fn cells(step: &AppliedStep) -> Vec<(Paint, String)> {
    let paint = match step.state {
        "done" => Paint::Good,
        "failed" | "undo-failed" => Paint::Bad,
        _ => Paint::Care,
    };
    vec![
        (Paint::Dim, format!("{:>2}", step.number)),
        (Paint::Bold, step.target.as_ref().map(ToString::to_string).unwrap_or_default()),
        (Paint::Plain, step.action.map(|it| it.to_string()).unwrap_or_default()),
        (paint, state_words(step.state).to_owned()),
        (Paint::Plain, clean(&step.title)),
        (Paint::Dim, span(step.times.1.saturating_sub(step.times.0))),
    ]
}

/// What is to be said of a step below it.
fn told(step: &AppliedStep, style: Style, out: &mut String) {
    let failures = [("failed", &step.failure), ("could not be taken back", &step.undo_failure)];
    for (word, failure) in failures {
        if let Some(failure) = failure {
            diagnosis(word, failure, style, out);
        }
    }
    step.events
        .iter()
        .filter(|it| it.level == Level::Warning)
        .for_each(|it| said(it, 6, style, out));
    quoted(&step.kept, style, out);
    let left = data_words(step);
    if !left.is_empty() {
        Line::indented(6).with(Paint::Dim, left.join(" · ")).write(out, style, 8);
    }
}

/// What a step that moves data was, and what it left: `expand`, `id 20261124T030000Z-ab12cd34`.
fn data_words(step: &AppliedStep) -> Vec<String> {
    let data = ["backup", "database", "migrations"];
    let kind = step.target.as_ref().map(|it| it.address.kind());
    if !kind.is_some_and(|it| data.contains(&it)) {
        return Vec::new();
    }
    let left = ["id", "version", "schema"].into_iter().filter_map(|name| {
        let value = step.outputs.get(name)?.scalar()?;
        (!value.is_empty()).then(|| format!("{name} {}", clean(&value)))
    });
    step.notes.iter().map(|it| clean(it)).chain(left).collect()
}

/// Where a step is, in the words of a report.
fn state_words(state: &str) -> &str {
    match state {
        "begin" => "begun, and its end was not seen",
        "void" => "had no effect",
        "undo-begin" => "being taken back, and its end was not seen",
        "undo-void" => "not taken back yet",
        "undo-done" => "taken back",
        "undo-failed" => "could not be taken back",
        other => other,
    }
}

fn diagnosis(word: &str, failure: &Failure, style: Style, out: &mut String) {
    Line::indented(6)
        .with(Paint::Bad, format!("{word}: "))
        .plain(clean(&failure.message))
        .write(out, style, 8);
    failure.diagnosis.iter().for_each(|fact| quoted(fact, style, out));
}

fn quoted(text: &str, style: Style, out: &mut String) {
    for line in clean_lines(text).lines() {
        Line::indented(6).with(Paint::Dim, "| ").plain(line).write(out, style, 8);
    }
}

fn said(event: &Event, indent: usize, style: Style, out: &mut String) {
    Line::indented(indent).with(Paint::Care, "! ").plain(clean(&event.message)).write(
        out,
        style,
        indent + 2,
    );
}

fn note_words(note: &Note) -> String {
    format!("{}: {}", clean(&note.who), clean(&note.text))
}

#[derive(Serialize)]
struct HistoryJson<'a> {
    format: u32,
    applies: Vec<AppliedJson<'a>>,
}

#[derive(Serialize)]
struct OneJson<'a> {
    format: u32,
    #[serde(flatten)]
    apply: AppliedJson<'a>,
}

#[derive(Serialize)]
struct AppliedJson<'a> {
    apply: &'a str,
    command: &'a str,
    who: &'a str,
    plan: &'a str,
    began_ms: u64,
    ended_ms: u64,
    ending: Option<Ending>,
    snapshot: Option<u64>,
    back: Option<&'a str>,
    planned_steps: Option<usize>,
    steps: Vec<StepJson<'a>>,
    events: &'a [Event],
    notes: &'a [Note],
}

#[derive(Serialize)]
struct StepJson<'a> {
    step: u32,
    target: Option<&'a Target>,
    action: Option<Action>,
    title: &'a str,
    state: &'a str,
    began_ms: u64,
    ended_ms: u64,
    failure: Option<&'a Failure>,
    undo_failure: Option<&'a Failure>,
    kept: &'a str,
    notes: &'a [String],
    outputs: &'a BTreeMap<String, Value>,
    events: &'a [Event],
}

/// All applies as one JSON document.
pub fn list_json(all: &[Applied]) -> String {
    document(&HistoryJson { format: FORMAT, applies: all.iter().map(applied_json).collect() })
}

/// One apply as one JSON document.
pub fn report_json(one: &Applied) -> String {
    document(&OneJson { format: FORMAT, apply: applied_json(one) })
}

fn applied_json(one: &Applied) -> AppliedJson<'_> {
    AppliedJson {
        apply: &one.apply,
        command: &one.command,
        who: &one.who,
        plan: &one.plan,
        began_ms: one.began_ms,
        ended_ms: one.ended_ms,
        ending: one.ending,
        snapshot: one.snapshot,
        back: one.back.as_deref(),
        planned_steps: one.planned,
        steps: one.steps.iter().map(step_json).collect(),
        events: &one.events,
        notes: &one.notes,
    }
}

fn step_json(step: &AppliedStep) -> StepJson<'_> {
    StepJson {
        step: step.number,
        target: step.target.as_ref(),
        action: step.action,
        title: &step.title,
        state: step.state,
        began_ms: step.times.0,
        ended_ms: step.times.1,
        failure: step.failure.as_ref(),
        undo_failure: step.undo_failure.as_ref(),
        kept: &step.kept,
        notes: &step.notes,
        outputs: &step.outputs,
        events: &step.events,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::{EVIL, golden, report as failed, target};

    fn applied() -> Vec<Applied> {
        let failure = failed().failures[0].2.clone();
        let step =
            |number: u32, of: &str, state: &'static str, failure: Option<Failure>| AppliedStep {
                number,
                target: Some(target(of)),
                action: Some(Action::Update),
                title: format!("roll {of}"),
                state,
                times: (1_772_373_909_000, 1_772_373_911_500),
                failure,
                undo_failure: None,
                kept: String::new(),
                notes: vec!["expand".to_owned()],
                outputs: [("id".to_owned(), Value::text("20261124T030000Z-ab12cd34"))].into(),
                events: vec![Event::info("healthy"), Event::warning(EVIL)],
            };
        let bad = Applied {
            apply: "0a1b2c3d4e5f6071".to_owned(),
            command: "apply".to_owned(),
            who: "kim@laptop".to_owned(),
            plan: "7c1f".repeat(16),
            began_ms: 1_772_373_909_000,
            ended_ms: 1_772_373_915_000,
            ending: Some(Ending::RolledBack),
            snapshot: Some(42),
            back: Some("step 2 failed".to_owned()),
            planned: Some(4),
            steps: vec![
                step(1, "config.api", "undo-done", None),
                step(2, "service.api", "undo-done", Some(failure)),
                step(3, "backup.main", "done", None),
            ],
            events: vec![Event::warning("the store was slow")],
            notes: vec![Note {
                about: "42".to_owned(),
                who: "sam@desk".to_owned(),
                text: EVIL.to_owned(),
                at_ms: 1_772_374_000_000,
            }],
        };
        let open = Applied {
            apply: "ffff".to_owned(),
            command: "restore 3".to_owned(),
            ending: None,
            snapshot: None,
            back: None,
            planned: None,
            steps: Vec::new(),
            events: Vec::new(),
            notes: Vec::new(),
            ..bad.clone()
        };
        vec![open, bad]
    }

    #[test]
    fn a_list_and_a_report() {
        let all = applied();
        golden("history/list.txt", &list(&all, 1_772_400_000_000, Style::PLAIN));
        let narrow = Style { colour: false, width: 80 };
        let shown = list(&all, 1_772_400_000_000, narrow);
        assert!(shown.lines().all(|it| it.starts_with("     ") || columns(it) <= 80), "{shown}");
        golden("history/report.txt", &report(&all[1], Style::PLAIN));
        golden("history/list.json", &list_json(&all));
        assert!(!report(&all[1], Style::PLAIN).contains('\u{1b}'));
    }
}
