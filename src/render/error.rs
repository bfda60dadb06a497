//! What ended a command without its result: what, where, why, and what to do.

use super::clean::{clean, clean_lines};
use super::line::Line;
use super::plan_json;
use super::site::Site;
use super::style::{Paint, Style};
use serde::Serialize;

/// One thing that ended a command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// What happened: a lower-case fragment.
    pub message: String,
    /// More of it: every single thing where there are many.
    pub details: Vec<String>,
    /// What to do, each something that a person can do now.
    pub hints: Vec<String>,
}

impl Trouble {
    /// What happened.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// The same with one more detail.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    /// The same with something to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl Trouble {
    /// The same with command lines that can be typed as they are.
    #[must_use]
    pub fn at(self, site: &Site) -> Self {
        let complete = |texts: Vec<String>| texts.iter().map(|it| site.complete(it)).collect();
        Self {
            message: site.complete(&self.message),
            details: complete(self.details),
            hints: complete(self.hints),
        }
    }
}

/// As a person reads it.
pub fn text(trouble: &Trouble, style: Style) -> String {
    let mut out = String::new();
    Line::new()
        .with(Paint::Bad, "error: ")
        .plain(clean(&trouble.message))
        .write(&mut out, style, 7);
    for detail in &trouble.details {
        let detail = clean_lines(detail);
        let mut lines = detail.lines();
        let first = lines.next().unwrap_or_default();
        Line::indented(2).with(Paint::Dim, "- ").plain(first).write(&mut out, style, 4);
        for line in lines {
            Line::indented(4).plain(line).write(&mut out, style, 4);
        }
    }
    for hint in &trouble.hints {
        Line::new().with(Paint::Note, "hint: ").plain(clean(hint)).write(&mut out, style, 6);
    }
    out
}

#[derive(Serialize)]
struct TroubleJson<'a> {
    format: u32,
    is: &'static str,
    exit: u8,
    #[serde(flatten)]
    trouble: &'a Trouble,
}

/// As one line of JSON, with the exit code.
pub fn json(trouble: &Trouble, exit: u8) -> String {
    plan_json::line(&TroubleJson { format: plan_json::FORMAT, is: "error", exit, trouble })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::{EVIL, golden};

    fn trouble() -> Trouble {
        Trouble::new("the plan is stale")
            .detail("`service.api` moved")
            .detail(EVIL)
            .hint("plan again: `hive plan -o plan.json`")
    }

    #[test]
    fn message_details_and_hints() {
        golden("error/stale.txt", &text(&trouble(), Style::PLAIN));
        golden("error/stale.jsonl", &json(&trouble(), 3));
    }
}
