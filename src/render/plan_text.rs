//! A plan as text, for a terminal or a pipe.

use super::line::{Line, columns};
use super::reading::{About, FieldChange, FieldRow, Reading, Row, Sign, read};
use super::style::{Paint, Style};
use crate::plan::Plan;
use hive_contract::Action;

/// The widest column of addresses; longer ones push their row to the right.
const WIDEST_TARGET: usize = 32;
/// The widest column of fields.
const WIDEST_FIELD: usize = 28;
/// Where fields begin.
const FIELD_AT: usize = 6;

/// The plan as a reviewer reads it.
pub fn text(plan: &Plan, about: &About, style: Style) -> String {
    let reading = read(plan, about);
    let mut out = String::new();
    head(&reading, style, &mut out);
    body(&reading, style, &mut out);
    tail(&reading, style, &mut out);
    summary(&reading, style, &mut out);
    out
}

fn head(reading: &Reading, style: Style, out: &mut String) {
    Line::new().with(Paint::Bold, reading.header.join(" · ")).write(out, style, 2);
    for note in &reading.notes {
        Line::new().with(Paint::Care, format!("! {note}")).write(out, style, 2);
    }
    out.push('\n');
}

fn body(reading: &Reading, style: Style, out: &mut String) {
    let numbers = reading.rows.iter().filter_map(|row| row.number).max().unwrap_or(0);
    let targets = reading.rows.iter().map(|row| columns(&row.target)).max().unwrap_or(0);
    let actions = reading.rows.iter().map(|row| row.action.to_string().len()).max().unwrap_or(0);
    let columns = Columns {
        number: numbers.to_string().len().max(2),
        target: targets.min(WIDEST_TARGET),
        action: actions,
    };
    for row in &reading.rows {
        if let Some(why) = &row.no_return {
            no_return(why, style, out);
        }
        step(row, &columns, style, out);
    }
    if !reading.guards.is_empty() {
        Line::new()
            .plain("environment  ")
            .with(Paint::Care, "update")
            .plain("  guards of the next apply")
            .write(out, style, 2);
        fields(&reading.guards, style, out);
    }
    if !reading.rows.is_empty() || !reading.guards.is_empty() {
        out.push('\n');
    }
}

struct Columns {
    number: usize,
    target: usize,
    action: usize,
}

fn no_return(why: &str, style: Style, out: &mut String) {
    let line = Line::new().with(Paint::Bad, format!("──── point of no return: {why} ────"));
    line.write(out, style, 5);
}

fn step(row: &Row, at: &Columns, style: Style, out: &mut String) {
    let number = row.number.map_or("-".to_owned(), |it| it.to_string());
    let action_at = at.number + 2 + at.target + 2;
    let what_at = action_at + at.action + 2;
    let mut line = Line::new()
        .with(Paint::Dim, format!("{number:>width$}  ", width = at.number))
        .with(Paint::Bold, row.target.clone())
        .to_column(action_at)
        .with(action_paint(row.action), row.action.to_string())
        .to_column(what_at)
        .plain(row.what.join(" · "));
    if let Some(back) = &row.back {
        line = line.plain(" · ").with(Paint::Care, back.clone());
    }
    if let Some(takes) = &row.takes {
        line = line.plain("  ").with(Paint::Dim, takes.clone());
    }
    line.write(out, style, hang(what_at, style));
    fields(&row.fields, style, out);
}

/// Where broken lines go on: below their column, unless that leaves too little room.
fn hang(column: usize, style: Style) -> usize {
    if column <= style.width / 2 { column } else { FIELD_AT + 2 }
}

/// Fields, one below the other.
pub fn fields(rows: &[FieldRow], style: Style, out: &mut String) {
    let widest = rows.iter().map(|row| columns(&row.field)).max().unwrap_or(0).min(WIDEST_FIELD);
    for row in rows {
        field(row, FIELD_AT + widest + 2, style, out);
    }
}

fn field(row: &FieldRow, value_at: usize, style: Style, out: &mut String) {
    let line = Line::indented(FIELD_AT).plain(row.field.clone());
    let mut line = match &row.change {
        FieldChange::Is(value) => line.to_column(value_at).plain(value.clone()),
        FieldChange::Set(value) => line.to_column(value_at).with(Paint::Good, format!("+ {value}")),
        FieldChange::Reset(value) => {
            line.to_column(value_at).with(Paint::Bad, format!("- {value}"))
        }
        FieldChange::FromTo(before, after) => line
            .to_column(value_at)
            .with(Paint::Bad, before.clone())
            .plain(" → ")
            .with(Paint::Good, after.clone()),
        FieldChange::Lines(_) => line,
    };
    if !row.notes.is_empty() {
        line = line.plain("   ").with(Paint::Care, row.notes.join(" · "));
    }
    line.write(out, style, hang(value_at, style));
    if let FieldChange::Lines(lines) = &row.change {
        diff(lines, FIELD_AT + 2, style, out);
    }
}

/// The lines of a diff. A long one is broken and not cut: a reviewer reads all of it.
pub fn diff(lines: &[(Sign, String)], indent: usize, style: Style, out: &mut String) {
    for (sign, text) in lines {
        let paint = match sign {
            Sign::Header => Paint::Dim,
            Sign::Same => Paint::Plain,
            Sign::Gone => Paint::Bad,
            Sign::New => Paint::Good,
        };
        let shown = format!("{}{text}", sign.mark());
        Line::indented(indent).with(paint, shown).write(out, style, indent + 3);
    }
}

fn action_paint(action: Action) -> Paint {
    match action {
        Action::Keep => Paint::Dim,
        Action::Create | Action::Start => Paint::Good,
        Action::Update => Paint::Care,
        Action::Replace | Action::Delete | Action::Stop => Paint::Bad,
        Action::Adopt | Action::Forget | Action::Run => Paint::Note,
    }
}

fn tail(reading: &Reading, style: Style, out: &mut String) {
    let widest = reading.way_back.iter().map(|(heading, _)| columns(heading)).max().unwrap_or(0);
    for (heading, entries) in &reading.way_back {
        Line::new()
            .with(Paint::Dim, format!("{heading:>widest$}"))
            .plain("  ")
            .plain(entries.join(" · "))
            .write(out, style, hang(widest + 2, style));
    }
    for lint in &reading.lints {
        Line::new().with(Paint::Care, "! ").plain(lint.clone()).write(out, style, 2);
    }
    if !reading.left_out.is_empty() {
        Line::new()
            .with(Paint::Care, "! left out because of --only, although it differs: ")
            .plain(reading.left_out.join(", "))
            .write(out, style, 2);
    }
    named("secrets", &reading.secrets, style, out);
    named("runs files", &reading.files, style, out);
}

fn named(heading: &str, items: &[String], style: Style, out: &mut String) {
    if !items.is_empty() {
        Line::new().with(Paint::Dim, format!("{heading}  ")).plain(items.join(" · ")).write(
            out,
            style,
            heading.len() + 2,
        );
    }
}

fn summary(reading: &Reading, style: Style, out: &mut String) {
    let mut line = Line::new()
        .with(Paint::Bold, reading.counts.join(", "))
        .plain(" · digest ")
        .plain(reading.short_digest.clone());
    if let Some(saved) = &reading.saved {
        line = line.plain(" · ").plain(saved.clone());
    }
    line.write(out, style, 2);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::{adversarial, empty, golden, migrating, release};

    fn about() -> About {
        About {
            base_at_ms: Some(1_000),
            now_ms: 2 * 86_400_000 + 5_000,
            saved: Some("saved to plan.json".to_owned()),
            notes: vec!["frozen by kim@laptop: investigating".to_owned()],
            ..About::default()
        }
    }

    #[test]
    fn a_release() {
        let plan = release();
        golden("plan/release.txt", &text(&plan, &about(), Style::PLAIN));
        golden("plan/release-80.txt", &text(&plan, &about(), Style { colour: false, width: 80 }));
        golden("plan/release-40.txt", &text(&plan, &about(), Style { colour: false, width: 40 }));
        golden("plan/release.ansi", &text(&plan, &about(), Style { colour: true, width: 80 }));
    }

    #[test]
    fn a_release_with_data() {
        golden("plan/migrating.txt", &text(&migrating(), &about(), Style::PLAIN));
    }

    #[test]
    fn nothing_to_do() {
        golden("plan/empty.txt", &text(&empty(), &About::default(), Style::PLAIN));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [60, 80, 100, 200] {
            let shown = text(&release(), &about(), Style { colour: false, width });
            let wide: Vec<&str> = shown.lines().filter(|it| columns(it) > width).collect();
            assert!(wide.is_empty(), "{width}: {wide:#?}");
        }
    }

    #[test]
    fn nothing_from_outside_is_a_command_to_the_terminal() {
        let shown = text(&adversarial(), &about(), Style::PLAIN);
        golden("plan/adversarial.txt", &shown);
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown}");
        assert!(!shown.contains('\u{202e}'));
    }
}
