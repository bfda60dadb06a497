//! A plan as one HTML file that loads nothing: to be kept, mailed or put beside a build.

use super::reading::{About, FieldChange, FieldRow, Reading, Row, Sign, read};
use crate::plan::Plan;
use hive_contract::Action;
use std::fmt::Write as _;

/// Nothing may be loaded, run or sent; only the style that stands in the file.
const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
"#;

const CSS: &str = "
:root { color-scheme: light dark; --text: #1c1e21; --dim: #626870; --back: #ffffff; --card: #f5f6f8;
  --line: #d8dbe0; --good: #17692e; --care: #8a5200; --bad: #b3261e; --note: #0b5c8a; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e6ea; --dim: #9aa1ab; --back: #15171a;
  --card: #1e2125; --line: #363b42; --good: #6fce87; --care: #e3b25f; --bad: #ff8a80; --note: #79c0ea; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
  max-width: 64rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; overflow-wrap: anywhere; }
h1 { font-size: 1.25rem; margin: 0 0 .25rem; } h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
code, pre, td.value { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, monospace; }
.dim { color: var(--dim); } .good { color: var(--good); } .care { color: var(--care); }
.bad { color: var(--bad); } .note { color: var(--note); }
.warning { border-left: 3px solid var(--care); background: var(--card); padding: .4rem .8rem; margin: .4rem 0; }
.no-return { border-top: 2px solid var(--bad); color: var(--bad); margin: 1.2rem 0 .6rem; padding-top: .3rem; font-weight: 600; }
.step { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .5rem .8rem; margin: .4rem 0; }
.step .number { color: var(--dim); display: inline-block; min-width: 2rem; }
.step .action { font-weight: 600; margin: 0 .5rem; }
table { border-collapse: collapse; margin: .4rem 0 .2rem 2rem; }
td { padding: .1rem .8rem .1rem 0; vertical-align: top; }
pre { margin: .2rem 0 .4rem 2rem; padding: .5rem; border: 1px solid var(--line); border-radius: 4px;
  white-space: pre-wrap; }
ul { margin: .2rem 0; padding-left: 1.4rem; }
";

/// The plan as a page.
pub fn html(plan: &Plan, about: &About) -> String {
    let reading = read(plan, about);
    let title = escape(&reading.header.join(" · "));
    let mut out =
        format!("{HEAD}<title>hive · {title}</title>\n<style>{CSS}</style>\n</head>\n<body>\n");
    head(&reading, &title, &mut out);
    steps(&reading, &mut out);
    way_back(&reading, &mut out);
    list("Left out because of --only", &reading.left_out, &mut out);
    list("Secrets", &reading.secrets, &mut out);
    list("Files that the steps run", &reading.files, &mut out);
    out.push_str("</body>\n</html>\n");
    out
}

fn head(reading: &Reading, title: &str, out: &mut String) {
    let counts = escape(&reading.counts.join(", "));
    let _ = write!(out, "<h1>{title}</h1>\n<p><strong>{counts}</strong>");
    let _ = write!(out, " · digest <code>{}</code>", escape(&reading.digest));
    if let Some(saved) = &reading.saved {
        let _ = write!(out, " · {}", escape(saved));
    }
    out.push_str("</p>\n");
    for warning in reading.notes.iter().chain(&reading.lints) {
        let _ = writeln!(out, "<div class=\"warning\">{}</div>", escape(warning));
    }
}

fn steps(reading: &Reading, out: &mut String) {
    if !reading.rows.is_empty() {
        out.push_str("<h2>Steps</h2>\n");
    }
    for row in &reading.rows {
        step(row, out);
    }
    if !reading.guards.is_empty() {
        out.push_str("<h2>Guards of the next apply</h2>\n");
        fields(&reading.guards, out);
    }
}

fn step(row: &Row, out: &mut String) {
    if let Some(why) = &row.no_return {
        let _ = writeln!(out, "<div class=\"no-return\">Point of no return: {}</div>", escape(why));
    }
    let number = row.number.map_or("–".to_owned(), |it| it.to_string());
    let _ = write!(
        out,
        "<div class=\"step\"><span class=\"number\">{number}</span><code>{}</code>\
         <span class=\"action {}\">{}</span>{}",
        escape(&row.target),
        class(row.action),
        row.action,
        escape(&row.what.join(" · ")),
    );
    if let Some(back) = &row.back {
        let _ = write!(out, " <span class=\"care\">· {}</span>", escape(back));
    }
    if let Some(takes) = &row.takes {
        let _ = write!(out, " <span class=\"dim\">{}</span>", escape(takes));
    }
    fields(&row.fields, out);
    out.push_str("</div>\n");
}

fn class(action: Action) -> &'static str {
    match action {
        Action::Keep => "dim",
        Action::Create | Action::Start => "good",
        Action::Update => "care",
        Action::Replace | Action::Delete | Action::Stop => "bad",
        Action::Adopt | Action::Forget | Action::Run => "note",
    }
}

fn fields(rows: &[FieldRow], out: &mut String) {
    let mut open = false;
    for row in rows {
        match &row.change {
            FieldChange::Lines(lines) => {
                close(&mut open, out);
                let notes = escape(&row.notes.join(" · "));
                let field = escape(&row.field);
                let _ = writeln!(
                    out,
                    "<table><tr><td><code>{field}</code></td><td class=\"care\">{notes}</td></tr></table>"
                );
                diff(lines, out);
            }
            change => {
                if !open {
                    out.push_str("\n<table>\n");
                    open = true;
                }
                field(row, change, out);
            }
        }
    }
    close(&mut open, out);
}

fn close(open: &mut bool, out: &mut String) {
    if std::mem::take(open) {
        out.push_str("</table>\n");
    }
}

fn field(row: &FieldRow, change: &FieldChange, out: &mut String) {
    let value = match change {
        FieldChange::Is(value) => format!("<span>{}</span>", escape(value)),
        FieldChange::Set(value) => format!("<span class=\"good\">+ {}</span>", escape(value)),
        FieldChange::Reset(value) => format!("<span class=\"bad\">- {}</span>", escape(value)),
        FieldChange::FromTo(before, after) => format!(
            "<span class=\"bad\">{}</span> → <span class=\"good\">{}</span>",
            escape(before),
            escape(after)
        ),
        FieldChange::Lines(_) => String::new(),
    };
    let _ = writeln!(
        out,
        "<tr><td><code>{}</code></td><td class=\"value\">{value}</td><td class=\"care\">{}</td></tr>",
        escape(&row.field),
        escape(&row.notes.join(" · ")),
    );
}

fn diff(lines: &[(Sign, String)], out: &mut String) {
    out.push_str("<pre>");
    for (sign, line) in lines {
        let class = match sign {
            Sign::Header => "dim",
            Sign::Same => "same",
            Sign::Gone => "bad",
            Sign::New => "good",
        };
        let _ = writeln!(out, "<span class=\"{class}\">{}{}</span>", sign.mark(), escape(line));
    }
    out.push_str("</pre>\n");
}

fn way_back(reading: &Reading, out: &mut String) {
    for (heading, entries) in &reading.way_back {
        let mut capital = heading.clone();
        if let Some(first) = capital.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        list(&capital, entries, out);
    }
}

fn list(heading: &str, items: &[String], out: &mut String) {
    if items.is_empty() {
        return;
    }
    let _ = writeln!(out, "<h2>{}</h2>\n<ul>", escape(heading));
    for item in items {
        let _ = writeln!(out, "<li>{}</li>", escape(item));
    }
    out.push_str("</ul>\n");
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::{adversarial, golden, migrating, release};

    #[test]
    fn a_release() {
        golden("plan/release.html", &html(&release(), &About::default()));
        golden("plan/migrating.html", &html(&migrating(), &About::default()));
    }

    #[test]
    fn it_loads_nothing_and_runs_nothing() {
        let page = html(&adversarial(), &About::default());
        golden("plan/adversarial.html", &page);
        for bad in ["<script", "<img", "<link", "<iframe", "src=\"", "href=", "url(", "@import"] {
            assert!(!page.contains(bad), "{bad}");
        }
        assert!(page.contains("&lt;script&gt;"));
        assert!(!page.contains('\u{1b}') && !page.contains('\u{202e}'));
        let text = page.replace("&lt;", "").replace("&gt;", "");
        assert_eq!(text.matches('<').count(), text.matches('>').count(), "every tag is ours");
    }
}
