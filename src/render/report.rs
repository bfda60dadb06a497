//! The end of an apply: what came of it, why, and what to do next.

use super::clean::{clean, clean_lines};
use super::line::Line;
use super::plan_json;
use super::site::Site;
use super::style::{Paint, Style};
use super::words::count;
use crate::apply::Report;
use crate::plan::{Command, Plan};
use hive_contract::{Failure, FailureKind, Remains, Target};
use hive_state::Ending;
use serde::Serialize;
use std::collections::BTreeMap;

/// The report as a person reads it.
pub fn text(report: &Report, plan: Option<&Plan>, site: &Site, style: Style) -> String {
    let mut out = String::new();
    headline(report, plan).write(&mut out, style, 2);
    // What a step left behind is gone again where everything was taken back.
    let stays = report.ending != Ending::RolledBack;
    for failure in &report.failures {
        failed(failure, "failed", stays, style, &mut out);
    }
    for failure in &report.undo_failures {
        failed(failure, "could not be taken back", true, style, &mut out);
    }
    let midway =
        report.unfinished.iter().map(|it| (it, Paint::Bad, "  failed midway, and stays: "));
    let whole = report.stays.iter().map(|it| (it, Paint::Note, "  stays: "));
    for ((step, target, title), paint, word) in midway.chain(whole) {
        Line::new()
            .with(Paint::Dim, format!("{step:>2}  "))
            .with(Paint::Bold, target.to_string())
            .with(paint, word)
            .plain(clean(title))
            .write(&mut out, style, 6);
    }
    kept(report, plan, style, &mut out);
    for secret in &report.moved_secrets {
        Line::new()
            .with(Paint::Care, "! ")
            .plain(format!("the value of secret {} is another than the plan saw", clean(secret)))
            .write(&mut out, style, 2);
    }
    if report.frozen {
        Line::new()
            .with(Paint::Care, "! ")
            .plain(site.complete("the environment is frozen until `hive unfreeze`"))
            .write(&mut out, style, 2);
    }
    for next in next(report, plan) {
        let next = site.complete(&next);
        Line::new().with(Paint::Note, "next  ").plain(next).write(&mut out, style, 6);
    }
    out
}

fn headline(report: &Report, plan: Option<&Plan>) -> Line {
    let steps = plan.map_or(String::new(), |plan| {
        format!(" {}", count(plan.steps.len() as u64, "step", "steps"))
    });
    let (paint, word, more) = match report.ending {
        Ending::Applied => (Paint::Good, "applied", steps),
        Ending::RolledBack if went_back_as_asked(report) => {
            (Paint::Good, "went back, as asked", as_before(report))
        }
        Ending::RolledBack if looks_only(plan) => {
            (Paint::Bad, "failed", ": what is live was not touched".to_owned())
        }
        Ending::RolledBack if !report.unfinished.is_empty() => {
            let numbers = report.unfinished.iter().map(|(number, ..)| number.to_string());
            let steps = numbers.collect::<Vec<_>>().join(", ");
            let more = format!(": step {steps} failed midway and stays so, the rest is as before");
            (Paint::Bad, "failed", more)
        }
        Ending::RolledBack => (Paint::Bad, "failed, and rolled back", as_before(report)),
        Ending::Halted => {
            let why = report.halted_because.as_deref().map(|it| format!("{}; ", clean(it)));
            let more = format!(": {}what was begun is left as it is", why.unwrap_or_default());
            (Paint::Bad, "failed, and halted", more)
        }
        Ending::Interrupted => (
            Paint::Care,
            "interrupted",
            ": no more steps were begun, and those under way have ended".to_owned(),
        ),
        Ending::ClosedByHand => {
            (Paint::Care, "closed by hand", ": what was begun is left as it is".to_owned())
        }
    };
    let line = Line::new().with(paint, word).plain(more);
    match report.snapshot {
        Some(number) => line.plain(format!(" · snapshot {number}")),
        None => line,
    }
    .with(Paint::Dim, format!("  (apply {})", clean(&report.apply)))
}

fn as_before(report: &Report) -> String {
    let but = if report.stays.is_empty() { "" } else { ", but for what may stay" };
    format!(": all that was begun is as before{but}")
}

/// Whether it only looked at backups, so that there was nothing to take back.
fn looks_only(plan: Option<&Plan>) -> bool {
    plan.is_some_and(|it| it.command == Command::Verify)
}

/// Whether nothing failed, and somebody wanted it back.
fn went_back_as_asked(report: &Report) -> bool {
    let all = report.ending == Ending::RolledBack && report.unfinished.is_empty();
    all && report.failures.is_empty()
}

fn failed(
    (step, target, failure): &(u32, Target, Failure),
    word: &str,
    stays: bool,
    style: Style,
    out: &mut String,
) {
    Line::new()
        .with(Paint::Dim, format!("{step:>2}  "))
        .with(Paint::Bold, target.to_string())
        .with(Paint::Bad, format!("  {word}: "))
        .plain(clean(&failure.message))
        .write(out, style, 6);
    for fact in &failure.diagnosis {
        for line in clean_lines(fact).lines() {
            Line::indented(6).with(Paint::Dim, "| ").plain(line).write(out, style, 8);
        }
    }
    let left = match &failure.remains {
        Remains::Nothing => None,
        Remains::Left(_) => Some("it left something behind, which is recorded"),
        Remains::Unsure => Some("what it left behind is not known; the next plan looks at it"),
    };
    if let Some(left) = left.filter(|_| stays) {
        Line::indented(6).with(Paint::Care, left).write(out, style, 6);
    }
}

/// What the checks' commands printed.
fn kept(report: &Report, plan: Option<&Plan>, style: Style, out: &mut String) {
    for (step, text) in &report.kept {
        if text.trim().is_empty() {
            continue;
        }
        let target = plan.and_then(|plan| plan.step(*step)).map(|it| it.target.to_string());
        let line = Line::new().with(Paint::Dim, format!("{step:>2}  "));
        line.with(Paint::Bold, target.unwrap_or_default()).plain("  said").write(out, style, 6);
        for line in clean_lines(text).lines() {
            Line::indented(6).with(Paint::Dim, "| ").plain(line).write(out, style, 8);
        }
    }
}

/// What a person does now.
fn next(report: &Report, plan: Option<&Plan>) -> Vec<String> {
    let service = report.failures.iter().find(|(_, target, failure)| {
        target.address.kind() == "service"
            && matches!(failure.kind, FailureKind::Unhealthy | FailureKind::TimedOut)
    });
    let mut next: Vec<String> = service
        .map(|(_, target, _)| format!("`hive logs {}` shows what it said", target.address))
        .into_iter()
        .collect();
    match report.ending {
        Ending::Applied => next.clear(),
        Ending::RolledBack if went_back_as_asked(report) => {}
        Ending::RolledBack if looks_only(plan) => {
            next.push("`hive backup list` shows which backups are good".to_owned());
        }
        Ending::RolledBack => next.push("mend the cause, then `hive plan` again".to_owned()),
        Ending::Halted if report.frozen => next.push(
            "`hive status` shows what is; then `hive unfreeze`, and `hive apply` goes on from \
             there or `hive rollback` goes back"
                .to_owned(),
        ),
        Ending::Halted => next.push(
            "`hive status` shows what is; then `hive apply` goes on from there, \
             and `hive rollback` goes back"
                .to_owned(),
        ),
        Ending::Interrupted => next.push("`hive apply` does what is left".to_owned()),
        Ending::ClosedByHand => next.push("`hive plan` shows what is left".to_owned()),
    }
    if report.ending != Ending::Applied && report.snapshot.is_some() {
        next.push(format!("`hive history {}` is the report of this apply", report.apply));
    }
    next
}

#[derive(Serialize)]
struct ReportJson<'a> {
    format: u32,
    is: &'static str,
    apply: &'a str,
    ending: Ending,
    snapshot: Option<u64>,
    failures: Vec<FailureJson<'a>>,
    undo_failures: Vec<FailureJson<'a>>,
    stays: Vec<StaysJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unfinished: Vec<StaysJson<'a>>,
    halted_because: Option<&'a str>,
    moved_secrets: &'a [String],
    kept: &'a BTreeMap<u32, String>,
    frozen: bool,
}

#[derive(Serialize)]
struct StaysJson<'a> {
    step: u32,
    target: &'a Target,
    title: &'a str,
}

#[derive(Serialize)]
struct FailureJson<'a> {
    step: u32,
    target: &'a Target,
    kind: FailureKind,
    message: &'a str,
    diagnosis: &'a [String],
}

/// The report as one line of JSON: the last line of an apply with `--format json`.
pub fn json(report: &Report) -> String {
    plan_json::line(&ReportJson {
        format: plan_json::FORMAT,
        is: "report",
        apply: &report.apply,
        ending: report.ending,
        snapshot: report.snapshot,
        failures: report.failures.iter().map(failure_json).collect(),
        undo_failures: report.undo_failures.iter().map(failure_json).collect(),
        stays: report.stays.iter().map(stays_json).collect(),
        unfinished: report.unfinished.iter().map(stays_json).collect(),
        halted_because: report.halted_because.as_deref(),
        moved_secrets: &report.moved_secrets,
        kept: &report.kept,
        frozen: report.frozen,
    })
}

fn stays_json((step, target, title): &(u32, Target, String)) -> StaysJson<'_> {
    StaysJson { step: *step, target, title }
}

fn failure_json((step, target, failure): &(u32, Target, Failure)) -> FailureJson<'_> {
    FailureJson {
        step: *step,
        target,
        kind: failure.kind,
        message: &failure.message,
        diagnosis: &failure.diagnosis,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::{golden, release, report};

    #[test]
    fn every_ending() {
        let mut all = String::new();
        let endings = [
            Ending::Applied,
            Ending::RolledBack,
            Ending::Halted,
            Ending::Interrupted,
            Ending::ClosedByHand,
        ];
        for ending in endings {
            let mut report = Report { ending, ..report() };
            let site = Site { environment: Some("staging".to_owned()), ..Site::default() };
            if ending == Ending::Applied {
                report.failures.clear();
                report.moved_secrets.clear();
            }
            if ending == Ending::Halted {
                report.undo_failures = report.failures.clone();
                report.halted_because = Some("step 2 could not be taken back".to_owned());
                report.frozen = true;
            }
            all.push_str(&text(&report, Some(&release()), &site, Style::PLAIN));
            all.push('\n');
        }
        let asked = Report { failures: Vec::new(), moved_secrets: Vec::new(), ..report() };
        all.push_str(&text(&asked, Some(&release()), &Site::default(), Style::PLAIN));
        golden("report/endings.txt", &all);
    }

    #[test]
    fn as_json() {
        golden("report/rolled-back.jsonl", &json(&report()));
    }
}
