//! A plan as JSON: the plan itself, and what a program would otherwise have to work out.
//!
//! Shape: `docs/commands.md`. Members are added, never changed; `format` counts what breaks.

use super::reading::About;
use crate::plan::Plan;
use hive_contract::Action;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The version of every JSON result.
pub const FORMAT: u32 = 1;

#[derive(Serialize)]
struct PlanResult<'a> {
    format: u32,
    digest: String,
    empty: bool,
    counts: BTreeMap<Action, u64>,
    unchanged: u32,
    base_at_ms: Option<u64>,
    notes: &'a [String],
    saved: &'a Option<String>,
    plan: &'a Plan,
}

#[derive(Serialize)]
struct SummaryLine<'a> {
    format: u32,
    is: &'static str,
    digest: String,
    empty: bool,
    counts: BTreeMap<Action, u64>,
    unchanged: u32,
    notes: &'a [String],
    saved: &'a Option<String>,
}

/// What a plan comes to, as one line of JSON: the first line of an apply with `--format json`.
pub fn summary(plan: &Plan, about: &About) -> String {
    line(&SummaryLine {
        format: FORMAT,
        is: "planned",
        digest: plan.digest().to_string(),
        empty: plan.is_empty(),
        counts: counts(plan),
        unchanged: plan.kept,
        notes: &about.notes,
        saved: &about.saved,
    })
}

fn counts(plan: &Plan) -> BTreeMap<Action, u64> {
    let mut counts = BTreeMap::new();
    for change in &plan.changes {
        *counts.entry(change.action).or_default() += 1;
    }
    counts
}

/// The plan as one JSON document with a line end.
pub fn json(plan: &Plan, about: &About) -> String {
    document(&PlanResult {
        format: FORMAT,
        digest: plan.digest().to_string(),
        empty: plan.is_empty(),
        counts: counts(plan),
        unchanged: plan.kept,
        base_at_ms: about.base_at_ms,
        notes: &about.notes,
        saved: &about.saved,
        plan,
    })
}

/// Anything as one JSON document with a line end.
pub fn document<T: Serialize>(content: &T) -> String {
    with_end(serde_json::to_string_pretty(content))
}

/// Anything as one line of JSON.
pub fn line<T: Serialize>(content: &T) -> String {
    with_end(serde_json::to_string(content))
}

/// That there is nothing to say, as one line of JSON.
pub fn nothing(why: &str) -> String {
    line(&serde_json::json!({ "format": FORMAT, "is": "nothing", "why": why }))
}

fn with_end(written: serde_json::Result<String>) -> String {
    // Only a map with keys that are not text cannot be written, and no result has one.
    let mut text = written.unwrap_or_else(|error| {
        serde_json::json!({ "format": FORMAT, "error": error.to_string() }).to_string()
    });
    text.push('\n');
    unhide(text)
}

/// The same document with everything escaped that a terminal or an editor would act on. Outside
/// of strings JSON has nothing of the kind but line ends.
fn unhide(text: String) -> String {
    let acts = |c: char| c != '\n' && super::clean::hides(c);
    if !text.contains(acts) {
        return text;
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::{adversarial, golden, release};

    #[test]
    fn a_release() {
        golden("plan/release.json", &json(&release(), &About::default()));
    }

    #[test]
    fn it_is_one_document_that_holds_the_plan() {
        let plan = adversarial();
        let text = json(&plan, &About::default());
        assert!(!text.contains(|c| c != '\n' && crate::render::clean::hides(c)), "all is escaped");
        let read: serde_json::Value = serde_json::from_str(&text).expect("is JSON");
        assert_eq!(read["format"], 1);
        assert_eq!(read["digest"], plan.digest().as_str());
        assert_eq!(serde_json::from_value::<Plan>(read["plan"].clone()).expect("a plan"), plan);
    }
}
