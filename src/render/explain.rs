//! Why one resource is touched or not, what it waits for, and who waits for it.

use super::clean::clean;
use super::line::Line;
use super::plan_json::{FORMAT, document};
use super::reading::{About, Row, read};
use super::style::{Paint, Style};
use super::{plan_text, words};
use crate::plan::explain::{StepName, Untouched, Waiting};
use crate::plan::{Explanation, Plan, PlannedChange, SecretSeen};
use hive_contract::{Address, FieldPath, Ignore, Place, Target};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// As a person reads it.
pub fn text(of: &Explanation, plan: &Plan, style: Style) -> String {
    let mut out = String::new();
    Line::new()
        .with(Paint::Bold, of.address.to_string())
        .plain(format!("  {}", standing(of)))
        .write(&mut out, style, 2);
    match &of.untouched {
        Some(why) => {
            Line::new().plain(untouched(why, of)).write(&mut out, style, 2);
        }
        None => changes(of, plan, style, &mut out),
    }
    of.steps.iter().for_each(|it| waiting(it, style, &mut out));
    facts(of, style, &mut out);
    out
}

fn standing(of: &Explanation) -> String {
    let standing = match (of.declared, of.recorded) {
        (true, true) => "declared and recorded",
        (true, false) => "declared, not recorded yet",
        (false, true) => "recorded, no longer declared",
        (false, false) => "neither declared nor recorded",
    };
    let protected = if of.protected { ", protected from delete and replace" } else { "" };
    format!("{standing}{protected}")
}

fn untouched(why: &Untouched, of: &Explanation) -> String {
    let address = &of.address;
    match why {
        Untouched::Same => {
            "it is not touched: live is as recorded, and recorded as declared".into()
        }
        Untouched::LeftOut(action) => format!(
            "it is left out: it would be a {action}, and the plan was asked about others; \
             plan without `--only`, or with `--only {address}`"
        ),
        Untouched::NotAsked => {
            "it is not touched: the plan was asked about others, and nobody looked".into()
        }
        Untouched::NotNeeded => "it is not run: nothing that needs it has a step".into(),
        Untouched::Unknown => {
            format!("there is no `{address}`: it is neither declared nor recorded")
        }
    }
}

fn changes(of: &Explanation, plan: &Plan, style: Style, out: &mut String) {
    for change in &of.changes {
        let because: Vec<String> =
            change.reasons.iter().map(|it| clean(&words::reason(it))).collect();
        let mut line = Line::new().plain(format!("{}", change.action));
        if !because.is_empty() {
            line = line.plain(": ").plain(because.join(", "));
        }
        line.write(out, style, 2);
    }
    let rows: Vec<Row> = read(plan, &About::default()).rows;
    for row in
        rows.iter().filter(|row| of.changes.iter().any(|it| it.target.to_string() == row.target))
    {
        plan_text::fields(&row.fields, style, out);
    }
}

fn waiting(waiting: &Waiting, style: Style, out: &mut String) {
    let name = |it: &StepName| format!("{} {}", it.number, it.target);
    let names = |all: &[StepName]| all.iter().map(name).collect::<Vec<_>>().join(", ");
    let Waiting { step, waits_for, waited_for_by } = waiting;
    out.push('\n');
    Line::new()
        .with(Paint::Dim, format!("step {}  ", step.number))
        .plain(clean(&step.title))
        .write(out, style, 8);
    let mut say = |what: &str, text: String| {
        Line::indented(2).with(Paint::Dim, what).plain(text).write(out, style, 4);
    };
    match waits_for.is_empty() {
        true => say("waits for nothing", String::new()),
        false => say("waits for ", names(waits_for)),
    }
    if !waited_for_by.is_empty() {
        say("before ", names(waited_for_by));
    }
}

fn facts(of: &Explanation, style: Style, out: &mut String) {
    let mut lines: Vec<(String, String)> = Vec::new();
    let list = |all: &BTreeSet<Address>| {
        all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    if !of.depends_on.is_empty() {
        lines.push(("depends on".into(), list(&of.depends_on)));
    }
    if !of.used_by.is_empty() {
        lines.push(("used by".into(), list(&of.used_by)));
    }
    for (place, identity) in of.held_at.values() {
        lines.push(("is".into(), format!("{} of {}", clean(identity), clean(&place.provider))));
    }
    for fields in of.managed.values().filter(|it| !it.is_empty()) {
        let fields: Vec<String> = fields.iter().map(|it| clean(&it.to_string())).collect();
        lines.push(("managed".into(), fields.join(", ")));
    }
    for Ignore { field, reason } in &of.ignored {
        let text = format!("{}: {}", clean(&field.to_string()), clean(reason));
        lines.push(("ignored".into(), text));
    }
    for (reference, seen) in &of.secrets {
        lines.push(("secret".into(), super::reading::secret(reference, *seen)));
    }
    if !lines.is_empty() {
        out.push('\n');
    }
    for (what, text) in lines {
        Line::new().with(Paint::Dim, format!("{what:<12}")).plain(text).write(out, style, 12);
    }
}

#[derive(Serialize)]
struct ExplanationJson<'a> {
    format: u32,
    address: &'a Address,
    declared: bool,
    recorded: bool,
    protected: bool,
    untouched: Option<&'static str>,
    changes: &'a [PlannedChange],
    steps: Vec<StepJson<'a>>,
    held_at: BTreeMap<&'a String, HeldJson<'a>>,
    depends_on: &'a BTreeSet<Address>,
    used_by: &'a BTreeSet<Address>,
    managed: &'a BTreeMap<String, Vec<FieldPath>>,
    ignored: &'a [Ignore],
    secrets: &'a BTreeMap<String, SecretSeen>,
}

#[derive(Serialize)]
struct StepJson<'a> {
    step: u32,
    target: &'a Target,
    title: &'a str,
    waits_for: Vec<u32>,
    waited_for_by: Vec<u32>,
}

#[derive(Serialize)]
struct HeldJson<'a> {
    place: &'a Place,
    identity: &'a str,
}

/// As one JSON document.
pub fn json(of: &Explanation) -> String {
    let numbers = |all: &[StepName]| all.iter().map(|it| it.number).collect::<Vec<u32>>();
    let steps = of
        .steps
        .iter()
        .map(|it| StepJson {
            step: it.step.number,
            target: &it.step.target,
            title: &it.step.title,
            waits_for: numbers(&it.waits_for),
            waited_for_by: numbers(&it.waited_for_by),
        })
        .collect();
    document(&ExplanationJson {
        format: FORMAT,
        address: &of.address,
        declared: of.declared,
        recorded: of.recorded,
        protected: of.protected,
        untouched: of.untouched.as_ref().map(untouched_word),
        changes: &of.changes,
        steps,
        held_at: of
            .held_at
            .iter()
            .map(|(part, (place, identity))| (part, HeldJson { place, identity }))
            .collect(),
        depends_on: &of.depends_on,
        used_by: &of.used_by,
        managed: &of.managed,
        ignored: &of.ignored,
        secrets: &of.secrets,
    })
}

fn untouched_word(why: &Untouched) -> &'static str {
    match why {
        Untouched::Same => "same",
        Untouched::LeftOut(_) => "left-out",
        Untouched::NotAsked => "not-asked",
        Untouched::NotNeeded => "not-needed",
        Untouched::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::{golden, release};

    fn explanation() -> Explanation {
        let plan = release();
        let name = |number: u32| {
            let step = plan.step(number).expect("a step");
            let title = step.operation.title.clone();
            StepName { number, target: step.target.clone(), title }
        };
        let address: Address = "service.api".parse().expect("an address");
        Explanation {
            changes: plan
                .changes
                .iter()
                .filter(|it| it.target.address == address)
                .cloned()
                .collect(),
            steps: vec![Waiting {
                step: name(3),
                waits_for: vec![name(1), name(2)],
                waited_for_by: vec![name(4)],
            }],
            address,
            declared: true,
            recorded: true,
            untouched: None,
            held_at: BTreeMap::new(),
            depends_on: ["config.api".parse().expect("an address")].into(),
            used_by: BTreeSet::new(),
            managed: [("main".to_owned(), vec![FieldPath::parse("replicas")])].into(),
            ignored: vec![Ignore {
                field: FieldPath::parse("replicas"),
                reason: "somebody scales it".to_owned(),
            }],
            secrets: [("env:TOKEN".to_owned(), SecretSeen::Unseen)].into(),
            protected: true,
        }
    }

    #[test]
    fn touched_and_not() {
        let of = explanation();
        let mut shown = text(&of, &release(), Style::PLAIN);
        for why in [Untouched::Same, Untouched::NotAsked, Untouched::NotNeeded, Untouched::Unknown]
        {
            let of = Explanation { untouched: Some(why), steps: Vec::new(), ..of.clone() };
            shown.push_str(&text(&of, &release(), Style::PLAIN));
        }
        golden("explain/explanations.txt", &shown);
        golden("explain/explanation.json", &json(&of));
    }
}
