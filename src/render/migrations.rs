//! Migrations: where each is, what is said against it, and what trying it taught.

use super::clean::clean;
use super::line::{Line, columns};
use super::plan_json::{FORMAT, document};
use super::style::{Paint, Style};
use super::words::count;
use crate::flow::{File, FileState, Learnt, Linted, List};
use hive_contract::{Fields, Target};
use hive_sql::Stage;
use hive_sql::lint::{Finding, Level};
use serde::Serialize;
use std::collections::BTreeMap;

/// What is applied, pending and drifted, as a person reads it.
pub fn status(lists: &[List], style: Style) -> String {
    let mut out = String::new();
    for (number, list) in lists.iter().enumerate() {
        if number > 0 {
            out.push('\n');
        }
        head(list).write(&mut out, style, 4);
        if let Some(why) = &list.unreadable {
            let line = Line::indented(2).with(Paint::Bad, "cannot be read: ").plain(clean(why));
            line.write(&mut out, style, 4);
        }
        let widest = list.files.iter().map(|it| columns(&it.name)).max().unwrap_or(0).min(60);
        for file in &list.files {
            row(file, list.unreadable.is_some(), widest, style, &mut out);
        }
        if let Some(half) = &list.half {
            let line = Line::indented(2).with(Paint::Bad, "half applied: ").plain(clean(half));
            line.write(&mut out, style, 4);
        }
        for (object, words) in &list.drift {
            Line::indented(2)
                .with(Paint::Care, format!("drift: {}: ", clean(object)))
                .plain(clean(words))
                .write(&mut out, style, 4);
        }
    }
    out
}

fn head(list: &List) -> Line {
    let of = |state: FileState| list.files.iter().filter(|it| it.state == state).count() as u64;
    let applied = of(FileState::Applied) + of(FileState::Edited) + of(FileState::Missing);
    let counts = match list.unreadable {
        Some(_) => count(list.files.len() as u64, "file", "files"),
        None => format!("{applied} applied, {} pending", of(FileState::Pending)),
    };
    Line::new()
        .with(Paint::Bold, list.address.to_string())
        .plain(format!("  of {} · {counts}", clean(&list.database)))
}

fn row(file: &File, unknown: bool, widest: usize, style: Style, out: &mut String) {
    let (paint, word) = match file.state {
        _ if unknown => (Paint::Dim, ""),
        FileState::Applied => (Paint::Good, "applied"),
        FileState::Pending => (Paint::Care, "pending"),
        FileState::Edited => (Paint::Bad, "applied, and edited since"),
        FileState::Missing => (Paint::Bad, "applied, and its file is gone"),
    };
    let mut line = Line::indented(2)
        .plain(clean(&file.name))
        .to_column(widest + 4)
        .with(paint, format!("{word:<8}"));
    if let Some(stage) = file.stage.filter(|_| file.state == FileState::Pending) {
        let paint = if stage == Stage::Contract { Paint::Care } else { Paint::Plain };
        line = line.plain("  ").with(paint, stage.to_string());
        if stage == Stage::Contract && !file.why.is_empty() {
            line = line.with(Paint::Dim, format!(": {}", clean(&file.why.join("; "))));
        }
    }
    if let Some(why) = &file.irreversible {
        line = line.with(Paint::Dim, format!("  no way back: {}", clean(why)));
    }
    line.write(out, style, widest + 6);
}

/// What is said against migrations, as a person and an editor read it: `file:line:column`.
pub fn lint(all: &[Linted], style: Style) -> String {
    let mut out = String::new();
    for list in all {
        for finding in &list.findings {
            one_finding(list, finding, style, &mut out);
        }
        summary(list).write(&mut out, style, 2);
    }
    out
}

fn one_finding(list: &Linted, finding: &Finding, style: Style, out: &mut String) {
    let folder = list.folder.as_ref().map_or(String::new(), |it| format!("{}/", clean(it)));
    let place = format!("{folder}{}:{}:{}", clean(&finding.file), finding.line, finding.column);
    let (paint, word) = match (&finding.accepted, finding.level) {
        (Some(_), _) => (Paint::Dim, "accepted"),
        (None, Level::Danger) => (Paint::Bad, "danger"),
        (None, Level::Warning) => (Paint::Care, "warning"),
        (None, Level::Note) => (Paint::Note, "note"),
    };
    Line::new()
        .with(Paint::Bold, place)
        .plain(": ")
        .with(paint, word)
        .plain(format!(": {}", clean(&finding.message)))
        .with(Paint::Dim, format!("  [{}]", clean(&finding.rule)))
        .write(out, style, 4);
    if let Some(why) = &finding.accepted {
        Line::indented(4).with(Paint::Dim, format!("because {}", clean(why))).write(out, style, 6);
    } else if let Some(help) = &finding.help {
        Line::indented(4).with(Paint::Note, "help: ").plain(clean(help)).write(out, style, 10);
    }
}

fn summary(list: &Linted) -> Line {
    let open = |level: Level| {
        let of = list.findings.iter().filter(|it| it.level == level && it.accepted.is_none());
        of.count() as u64
    };
    let (dangers, warnings) = (open(Level::Danger), open(Level::Warning));
    let files = count(list.looked_at as u64, "migration", "migrations");
    let line = Line::new().with(Paint::Bold, list.address.to_string());
    let found = match (dangers, warnings) {
        (0, 0) => "nothing speaks against it".to_owned(),
        (0, _) => count(warnings, "warning", "warnings"),
        (_, 0) => count(dangers, "danger", "dangers"),
        _ => format!(
            "{}, {}",
            count(dangers, "danger", "dangers"),
            count(warnings, "warning", "warnings")
        ),
    };
    let paint = if dangers > 0 { Paint::Bad } else { Paint::Plain };
    let sizes = if list.sized { "" } else { "; the sizes of its tables are not known here" };
    line.plain(format!("  {files} looked at: ")).with(paint, found).with(Paint::Dim, sizes)
}

/// What trying taught, as a person reads it. `lists` are those that were asked for: of some nothing
/// can be tried though something is left to do.
pub fn learnt(learnt: &Learnt, lists: &[List], style: Style) -> String {
    let mut out = String::new();
    let tried = |it: &List| learnt.keys().any(|target| target.address == it.address);
    let untried: Vec<(&List, String)> =
        lists.iter().filter(|it| !tried(it)).filter_map(|it| Some((it, left_to_do(it)?))).collect();
    if learnt.is_empty() && untried.is_empty() {
        out.push_str("nothing is pending, so there is nothing to try\n");
    }
    for (list, why) in untried {
        Line::new()
            .with(Paint::Bold, list.address.to_string())
            .with(Paint::Care, "  not tried: ")
            .plain(clean(&why))
            .write(&mut out, style, 4);
    }
    for (target, came) in learnt {
        let line = Line::new().with(Paint::Bold, target.to_string());
        match came {
            Err(why) => line
                .with(Paint::Bad, "  could not be tried: ")
                .plain(clean(why))
                .write(&mut out, style, 4),
            Ok(rehearsal) => {
                line.with(Paint::Good, "  works on a copy").write(&mut out, style, 4);
                let widest = rehearsal.facts.keys().map(|it| columns(it)).max().unwrap_or(0);
                for (name, words) in &rehearsal.facts {
                    Line::indented(2)
                        .with(Paint::Dim, clean(name))
                        .to_column(widest.min(40) + 4)
                        .plain(clean(words))
                        .write(&mut out, style, widest.min(40) + 4);
                }
            }
        }
    }
    out
}

/// Why nothing of a list was tried though it is not all applied; none where it is.
fn left_to_do(list: &List) -> Option<String> {
    let pending = list.files.iter().filter(|it| it.state == FileState::Pending).count() as u64;
    match (&list.unreadable, &list.half) {
        (Some(why), _) => Some(why.clone()),
        (None, Some(half)) => {
            Some(format!("{half}; it goes on there, and half a file cannot be tried on a copy"))
        }
        (None, None) if pending > 0 => {
            Some(format!("{} pending", count(pending, "file is", "files are")))
        }
        (None, None) => None,
    }
}

#[derive(Serialize)]
struct StatusJson<'a> {
    format: u32,
    migrations: &'a [List],
}

/// The same as [`status`], as one JSON document.
pub fn status_json(lists: &[List]) -> String {
    document(&StatusJson { format: FORMAT, migrations: lists })
}

#[derive(Serialize)]
struct LintJson<'a> {
    format: u32,
    dangerous: bool,
    migrations: &'a [Linted],
}

/// The same as [`lint`], as one JSON document.
pub fn lint_json(all: &[Linted]) -> String {
    let dangerous = all.iter().any(Linted::is_dangerous);
    document(&LintJson { format: FORMAT, dangerous, migrations: all })
}

#[derive(Serialize)]
struct LearntJson<'a> {
    format: u32,
    rehearsals: BTreeMap<&'a Target, OneJson<'a>>,
}

#[derive(Serialize)]
struct OneJson<'a> {
    facts: Option<&'a BTreeMap<String, String>>,
    fields: Option<&'a Fields>,
    failed: Option<&'a String>,
}

/// The same as [`learnt`], as one JSON document.
pub fn learnt_json(learnt: &Learnt) -> String {
    let rehearsals = learnt.iter().map(|(target, came)| {
        let facts = came.as_ref().ok();
        let one = OneJson {
            facts: facts.map(|it| &it.facts),
            fields: facts.map(|it| &it.fields),
            failed: came.as_ref().err(),
        };
        (target, one)
    });
    document(&LearntJson { format: FORMAT, rehearsals: rehearsals.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::{EVIL, golden, target};
    use hive_contract::Rehearsal;

    fn file(name: &str, state: FileState, stage: Stage) -> File {
        File {
            name: name.to_owned(),
            state,
            stage: Some(stage),
            why: vec!["drops a column (line 3)".to_owned()],
            irreversible: None,
        }
    }

    fn lists() -> Vec<List> {
        let files = vec![
            file("0001_create_orders", FileState::Applied, Stage::Expand),
            file("0002_add_note", FileState::Edited, Stage::Expand),
            file("0003_add_status", FileState::Pending, Stage::Expand),
            File {
                irreversible: Some("the old column is gone".to_owned()),
                ..file("0004_drop_old_status", FileState::Pending, Stage::Contract)
            },
        ];
        let main = List {
            address: target("migrations.main").address,
            database: "database.main".to_owned(),
            files,
            drift: [("column orders.extra".to_owned(), format!("added by hand: {EVIL}"))].into(),
            half: Some("`0003_add_status` ended after 1 of 3 statements".to_owned()),
            unreadable: None,
        };
        let blind = List {
            address: target("migrations.blind").address,
            drift: BTreeMap::new(),
            half: None,
            unreadable: Some("the server does not answer".to_owned()),
            ..main.clone()
        };
        vec![main, blind]
    }

    fn finding(level: Level, accepted: Option<&str>) -> Finding {
        Finding {
            rule: "drop-column".to_owned(),
            file: "0004_drop_old_status.up.sql".to_owned(),
            line: 3,
            column: 1,
            message: "the column `old_status` is dropped with what is in it".to_owned(),
            help: Some(EVIL.to_owned()),
            level,
            accepted: accepted.map(str::to_owned),
        }
    }

    #[test]
    fn where_each_migration_is() {
        let shown = status(&lists(), Style::PLAIN);
        golden("migrate/status.txt", &shown);
        golden("migrate/status.json", &status_json(&lists()));
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown}");
    }

    #[test]
    fn what_is_said_against_it_stands_at_its_line() {
        let linted = |findings: Vec<Finding>| Linted {
            address: target("migrations.main").address,
            folder: Some("migrations/main".to_owned()),
            looked_at: 2,
            findings,
            sized: false,
        };
        let all = [Level::Danger, Level::Warning, Level::Note].map(|it| finding(it, None));
        let bad = linted(all.into());
        let good = linted(vec![finding(Level::Danger, Some("nobody reads it any more"))]);
        assert!(bad.is_dangerous() && !good.is_dangerous());
        let all = [bad, good];
        let shown = lint(&all, Style::PLAIN);
        golden("migrate/lint.txt", &shown);
        golden("migrate/lint.json", &lint_json(&all));
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown}");
    }

    #[test]
    fn what_trying_taught() {
        let facts = [("up", "1.2 s"), ("longest lock", "8 ms"), ("down", "equal to before")];
        let facts = facts.map(|(name, words)| (name.to_owned(), words.to_owned())).into();
        let all = Learnt::from([
            (target("migrations.main"), Ok(Rehearsal { facts, ..Rehearsal::default() })),
            (target("migrations.other"), Err(EVIL.to_owned())),
        ]);
        golden(
            "migrate/rehearse.txt",
            &(learnt(&all, &lists(), Style::PLAIN) + &learnt(&Learnt::new(), &[], Style::PLAIN)),
        );
        let half = lists().remove(0);
        let shown = learnt(&Learnt::new(), &[half], Style::PLAIN);
        assert!(shown.contains("ended after 1 of 3 statements"), "{shown}");
        assert!(!shown.contains("nothing is pending"), "{shown}");
        golden("migrate/rehearse.json", &learnt_json(&all));
    }
}
