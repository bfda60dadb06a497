//! What is wrong with a stack: all of it, each with file, line, column and the line itself.

use super::clean::{clean, clean_in_place};
use super::line::{Line, columns};
use super::style::{Paint, Style};
use super::words::count;
use crate::stack::{At, Problem};
use serde::Serialize;

/// The most characters of one line of a file that are shown.
const SHOWN: usize = 120;

/// All problems, as a person reads them.
pub fn text(problems: &[Problem], style: Style) -> String {
    let mut out = String::new();
    let mut ordered: Vec<&Problem> = problems.iter().collect();
    // Stable: what has no place comes last, in the order in which it was found.
    ordered.sort_by_key(|it| {
        it.at.as_ref().map_or((true, "", 0), |at| (false, at.file.as_str(), at.start))
    });
    for problem in ordered {
        one(problem, style, &mut out);
        out.push('\n');
    }
    let found = count(problems.len() as u64, "problem", "problems");
    Line::new()
        .with(Paint::Bold, format!("{found} found; nothing was changed"))
        .write(&mut out, style, 2);
    out
}

fn one(problem: &Problem, style: Style, out: &mut String) {
    Line::new()
        .with(Paint::Bad, "error: ")
        .with(Paint::Bold, clean(&problem.message))
        .write(out, style, 2);
    let related = problem.related.iter().map(|(_, at)| at);
    let margin = problem.at.iter().chain(related).map(|at| at.line.to_string().len()).max();
    let margin = margin.unwrap_or(1);
    if let Some(at) = &problem.at {
        excerpt(at, "", margin, style, out);
    }
    for (word, at) in &problem.related {
        excerpt(at, word, margin, style, out);
    }
    if let Some(help) = &problem.help {
        Line::indented(margin + 1).with(Paint::Note, "help: ").plain(clean(help)).write(
            out,
            style,
            margin + 7,
        );
    }
}

/// File, line and column, the line, and a mark under what is meant.
fn excerpt(at: &At, word: &str, margin: usize, style: Style, out: &mut String) {
    let place = format!("{}:{}:{}", clean(&at.file), at.line, at.column);
    let arrow = format!("{:margin$}--> ", "");
    Line::new().with(Paint::Note, arrow).plain(place).write_unbroken(out, style);
    let Window { shown, before, marked } = window(at);
    if shown.trim().is_empty() {
        return;
    }
    let number = format!("{:>margin$} | ", at.line);
    Line::new().with(Paint::Note, number).plain(shown).write_unbroken(out, style);
    let mut under = Line::new()
        .with(Paint::Note, format!("{:margin$} | ", ""))
        .plain(" ".repeat(before))
        .with(Paint::Bad, "^".repeat(marked.max(1)));
    if !word.is_empty() {
        under = under.plain(" ").plain(clean(word));
    }
    under.write_unbroken(out, style);
}

/// The part of a line that is shown, and where in it the mark goes.
struct Window {
    shown: String,
    before: usize,
    marked: usize,
}

fn window(at: &At) -> Window {
    let text: &str = &at.text;
    let start = floor(text, at.start);
    let line_start = text[..start].rfind('\n').map_or(0, |it| it + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |it| start + it);
    let end = floor(text, at.end).clamp(start, line_end);
    // A very long line is shown from a little before the mark.
    let from = match text[line_start..start].char_indices().rev().nth(SHOWN / 2) {
        Some((it, _)) if text[line_start..line_end].chars().count() > SHOWN => line_start + it,
        _ => line_start,
    };
    let to = text[from..line_end].char_indices().nth(SHOWN).map_or(line_end, |(it, _)| from + it);
    let end = end.min(to).max(start);
    let lead = if from > line_start { "…" } else { "" };
    let trail = if to < line_end { "…" } else { "" };
    let show = |range: &str| clean_in_place(range.trim_end_matches('\r'));
    Window {
        before: columns(lead) + columns(&show(&text[from..start])),
        marked: columns(&show(&text[start..end])),
        shown: format!("{lead}{}{trail}", show(&text[from..to])),
    }
}

/// The nearest border of a character at or before a byte.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[derive(Serialize)]
struct ProblemJson<'a> {
    message: &'a str,
    help: Option<&'a str>,
    at: Option<AtJson<'a>>,
    related: Vec<RelatedJson<'a>>,
}

#[derive(Serialize)]
struct AtJson<'a> {
    file: &'a str,
    line: usize,
    column: usize,
}

#[derive(Serialize)]
struct RelatedJson<'a> {
    word: &'a str,
    at: AtJson<'a>,
}

#[derive(Serialize)]
struct ProblemsJson<'a> {
    format: u32,
    problems: Vec<ProblemJson<'a>>,
}

/// All problems as one JSON document; none makes an empty list.
pub fn json(problems: &[Problem]) -> String {
    let problems = problems
        .iter()
        .map(|it| ProblemJson {
            message: &it.message,
            help: it.help.as_deref(),
            at: it.at.as_ref().map(at_json),
            related: it
                .related
                .iter()
                .map(|(word, it)| RelatedJson { word, at: at_json(it) })
                .collect(),
        })
        .collect();
    super::plan_json::document(&ProblemsJson { format: super::plan_json::FORMAT, problems })
}

fn at_json(at: &At) -> AtJson<'_> {
    AtJson { file: &at.file, line: at.line, column: at.column }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::{golden, problems};

    #[test]
    fn every_problem_is_shown_with_its_line() {
        let shown = text(&problems(), Style::PLAIN);
        golden("problem/all.txt", &shown);
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'));
        assert_eq!(shown.matches("error: ").count(), problems().len());
    }

    #[test]
    fn as_json() {
        golden("problem/all.json", &json(&problems()));
    }

    #[test]
    fn a_thousand_are_all_shown() {
        let many: Vec<Problem> = (0..1_000)
            .map(|it| Problem { message: format!("number {it}"), ..problems()[4].clone() })
            .collect();
        let shown = text(&many, Style::PLAIN);
        assert!((0..1_000).all(|it| shown.contains(&format!("number {it}\n"))));
        assert!(shown.contains("1,000 problems found"));
    }

    #[test]
    fn a_place_outside_of_the_text_does_not_panic() {
        let at = At {
            file: "a.toml".to_owned(),
            text: "ä".into(),
            start: 1,
            end: 99,
            line: 1,
            column: 1,
        };
        let problem =
            Problem { message: "odd".to_owned(), help: None, at: Some(at), related: Vec::new() };
        assert!(text(&[problem], Style::PLAIN).contains("a.toml:1:1"));
    }
}
