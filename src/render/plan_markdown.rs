//! A plan as a comment on a pull request: at most [`LIMIT`] bytes, and what had no room is said.
//!
//! Text from outside stands in code, every mark of it as a number: it can neither make a link, a
//! mention or a picture, nor end the place it stands in.

use super::reading::{About, FieldChange, FieldRow, Reading, Row, Sign, read};
use super::words::{count, thousands};
use crate::plan::Plan;
use std::fmt::Write as _;

/// The longest comment that the usual forges take, in bytes.
pub const LIMIT: usize = 65_536;
/// Kept free for what is said about the rest.
const RESERVE: usize = 1_536;

/// The plan as a comment.
pub fn markdown(plan: &Plan, about: &About) -> String {
    let reading = read(plan, about);
    let mut room = LIMIT - RESERVE;
    // What matters most takes its room first; the comment's own order is made at the end.
    let head = take(&mut room, head(&reading));
    let warnings = fill(&mut room, warnings(&reading));
    let table = fill(&mut room, table(&reading));
    let back = fill(&mut room, way_back(&reading));
    let details = fill(&mut room, details(&reading));

    let mut out = head;
    out.push_str(&warnings.text);
    if !table.text.is_empty() {
        out.push_str("\n| | | | |\n|--:|---|---|---|\n");
        out.push_str(&table.text);
    }
    if !back.text.is_empty() {
        out.push('\n');
        out.push_str(&back.text);
    }
    out.push_str(&details.text);
    out.push_str(&left_out(
        &reading,
        &[
            (&warnings, "remark", "remarks"),
            (&table, "step", "steps"),
            (&back, "line of the way back", "lines of the way back"),
            (&details, "resource's fields", "resources' fields"),
        ],
    ));
    out
}

/// Pieces that had room, and how many had none.
struct Filled {
    text: String,
    missing: usize,
    all: usize,
}

fn take(room: &mut usize, text: String) -> String {
    *room = room.saturating_sub(text.len());
    text
}

fn fill(room: &mut usize, pieces: Vec<String>) -> Filled {
    let mut filled = Filled { text: String::new(), missing: 0, all: pieces.len() };
    for piece in pieces {
        // After the first that has no room none is taken, so that what is missing is the end.
        if filled.missing > 0 || piece.len() > *room {
            filled.missing += 1;
        } else {
            *room -= piece.len();
            filled.text.push_str(&piece);
        }
    }
    filled
}

fn head(reading: &Reading) -> String {
    let title: Vec<String> = reading.header.iter().map(|it| code(&short(it, 120))).collect();
    let counts = reading.counts.join(", ");
    let mut out = format!("### hive · {}\n\n", title.join(" · "));
    let _ = write!(out, "**{counts}** · digest `{}`", reading.digest);
    if let Some(saved) = &reading.saved {
        let _ = write!(out, " · {}", code(&short(saved, 200)));
    }
    out.push('\n');
    out
}

fn warnings(reading: &Reading) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut say = |text: String| pieces.push(format!("\n> ⚠️ {text}\n"));
    reading.notes.iter().for_each(|it| say(code(it)));
    let no_return =
        reading.rows.iter().find_map(|row| Some((row.number?, row.no_return.as_ref()?)));
    if let Some((step, why)) = no_return {
        say(format!("**Point of no return before step {step}**: {}", code(why)));
    }
    if !reading.left_out.is_empty() {
        say(format!("left out because of `--only`: {}", code(&reading.left_out.join(", "))));
    }
    reading.lints.iter().for_each(|it| say(code(it)));
    pieces
}

fn table(reading: &Reading) -> Vec<String> {
    reading.rows.iter().map(table_row).collect()
}

fn table_row(row: &Row) -> String {
    let number = row.number.map_or("–".to_owned(), |it| it.to_string());
    let mut what: Vec<String> = row.what.iter().map(|it| code(&short(it, 300))).collect();
    what.extend(row.back.iter().map(|it| format!("**{}**", code(&short(it, 300)))));
    what.extend(row.takes.clone());
    let target = code(&row.target);
    let mark = if row.no_return.is_some() { "🛑 " } else { "" };
    format!("| {mark}{number} | {target} | {} | {} |\n", row.action, what.join(" · "))
}

fn way_back(reading: &Reading) -> Vec<String> {
    let mut pieces = Vec::new();
    for (heading, entries) in &reading.way_back {
        pieces.push(format!("\n**{heading}**\n\n"));
        pieces.extend(entries.iter().map(|it| format!("- {}\n", code(&short(it, 300)))));
    }
    pieces
}

fn details(reading: &Reading) -> Vec<String> {
    let rows = reading.rows.iter().filter(|row| !row.fields.is_empty());
    let mut pieces: Vec<String> = rows
        .map(|row| {
            let number = row.number.map(|it| format!("{it} ")).unwrap_or_default();
            let summary = format!("{number}{} {}", code(&row.target), row.action);
            folded(&summary, &field_lines(&row.fields))
        })
        .collect();
    if !reading.guards.is_empty() {
        pieces.push(folded("guards of the next apply", &field_lines(&reading.guards)));
    }
    if !reading.secrets.is_empty() {
        pieces.push(folded("secrets", &reading.secrets));
    }
    if !reading.files.is_empty() {
        pieces.push(folded("files that the steps run", &reading.files));
    }
    pieces
}

fn folded(summary: &str, lines: &[String]) -> String {
    let fence = fence(lines);
    let body = lines.join("\n");
    format!(
        "\n<details><summary>{summary}</summary>\n\n{fence}diff\n{body}\n{fence}\n\n</details>\n"
    )
}

/// A fence that is longer than every run of backticks between it and its end.
fn fence(lines: &[String]) -> String {
    let longest =
        lines.iter().flat_map(|line| line.split(|c| c != '`').map(str::len)).max().unwrap_or(0);
    "`".repeat((longest + 1).max(3))
}

fn field_lines(fields: &[FieldRow]) -> Vec<String> {
    let mut lines = Vec::new();
    for FieldRow { field, change, notes } in fields {
        let notes = match notes.is_empty() {
            true => String::new(),
            false => format!("   ({})", notes.join(", ")),
        };
        match change {
            FieldChange::Is(value) => lines.push(format!("  {field} = {value}{notes}")),
            FieldChange::Set(value) => lines.push(format!("+ {field} = {value}{notes}")),
            FieldChange::Reset(value) => lines.push(format!("- {field} = {value}{notes}")),
            FieldChange::FromTo(before, after) => {
                lines.push(format!("- {field} = {before}"));
                lines.push(format!("+ {field} = {after}{notes}"));
            }
            FieldChange::Lines(text) => {
                lines.push(format!("# {field}{notes}"));
                lines.extend(text.iter().map(|(sign, line)| match sign {
                    Sign::Header => line.clone(),
                    _ => format!("{}{line}", sign.mark()),
                }));
            }
        }
    }
    lines
}

fn left_out(reading: &Reading, parts: &[(&Filled, &str, &str)]) -> String {
    let missing: Vec<String> = parts
        .iter()
        .filter(|(filled, ..)| filled.missing > 0)
        .map(|(filled, one, many)| {
            format!(
                "{} of {}",
                thousands(filled.missing as u64),
                count(filled.all as u64, one, many)
            )
        })
        .collect();
    match missing.is_empty() {
        true => String::new(),
        false => format!(
            "\n> ⚠️ **This comment is cut, the plan is not.** Left out for length: {}. \
             Read all of it with `hive show {}`.\n",
            missing.join(", "),
            reading.digest.get(..8).unwrap_or(&reading.digest),
        ),
    }
}

/// Text from outside as code. Marks become numbers, so that no forge reads them as its own.
fn code(text: &str) -> String {
    let mut out = String::from("<code>");
    for c in text.chars() {
        if c.is_ascii_punctuation() && !matches!(c, '.' | '-' | '/' | ',') {
            let _ = write!(out, "&#{};", c as u32);
        } else if c == '\n' {
            out.push(' ');
        } else {
            out.push(c);
        }
    }
    out.push_str("</code>");
    out
}

/// At most so many characters.
fn short(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let kept: String = text.chars().take(limit - 1).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::{adversarial, empty, golden, huge, migrating, release};

    #[test]
    fn a_release() {
        golden("plan/release.md", &markdown(&release(), &About::default()));
        golden("plan/migrating.md", &markdown(&migrating(), &About::default()));
        golden("plan/empty.md", &markdown(&empty(), &About::default()));
    }

    #[test]
    fn nothing_from_outside_is_markup() {
        let shown = markdown(&adversarial(), &About::default());
        golden("plan/adversarial.md", &shown);
        let outside_of_fences: Vec<&str> = {
            let mut fence: Option<&str> = None;
            let mut kept = Vec::new();
            for line in shown.lines() {
                let ticks = &line[..line.len() - line.trim_start_matches('`').len()];
                match fence {
                    None if ticks.len() >= 3 => fence = Some(ticks),
                    Some(open) if ticks.len() >= open.len() && line == ticks => fence = None,
                    None => kept.push(line),
                    Some(_) => {}
                }
            }
            assert_eq!(fence, None, "every fence ends");
            kept
        };
        for line in outside_of_fences {
            for bad in ["<script", "<img", "@octocat", "](", "http:", "onerror="] {
                assert!(!line.contains(bad), "{bad} in {line}");
            }
        }
    }

    #[test]
    fn a_huge_plan_is_cut_and_says_so() {
        let shown = markdown(&huge(), &About::default());
        assert!(shown.len() <= LIMIT, "{}", shown.len());
        assert!(shown.len() > LIMIT - 3 * RESERVE, "the room is used: {}", shown.len());
        let end = shown.lines().last().expect("has lines");
        assert!(end.contains("Left out for length") && end.contains("of 2,000 steps"), "{end}");
        assert!(end.contains("`hive show "), "{end}");
    }

    #[test]
    fn one_huge_resource_is_left_out_and_not_cut_in_two() {
        let mut plan = release();
        plan.changes[1].differences[0].desired = Some("long line\n".repeat(20_000).into());
        let shown = markdown(&plan, &About::default());
        assert!(shown.len() <= LIMIT);
        assert_eq!(shown.matches("<details>").count(), shown.matches("</details>").count());
        assert!(shown.contains("resources' fields"), "{shown}");
    }

    #[test]
    fn a_hostile_head_does_not_break_the_limit() {
        let mut plan = huge();
        plan.stack = "`<|".repeat(100_000);
        plan.lints.push(crate::plan::Lint { address: None, message: "|".repeat(500_000) });
        assert!(markdown(&plan, &About::default()).len() <= LIMIT);
    }
}
