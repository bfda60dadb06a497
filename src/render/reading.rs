//! What a reviewer reads of a plan, as plain text pieces: text, markdown and HTML show the same.
//!
//! Everything here has passed [`clean`]; nothing is escaped for a format yet.

use super::clean::{clean, clean_lines};
use super::site::Site;
use super::value;
use super::way_back;
use super::words;
use crate::plan::{Command, OnFailure, Plan, PlannedChange, SecretSeen, Step};
use hive_contract::path::{get, leaves};
use hive_contract::{Action, Address, Difference, FieldPath, Fields, OutputRef, Reason, Value};
use std::collections::BTreeMap;

/// What is known about a plan beside the plan itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// When the snapshot it was compared with was made.
    pub base_at_ms: Option<u64>,
    /// Now.
    pub now_ms: u64,
    /// Where it was saved: `saved to plan.json`, `saved in the store`.
    pub saved: Option<String>,
    /// What stands on top: an open journal folded in, a freeze.
    pub notes: Vec<String>,
    /// Where a person stands.
    pub site: Site,
}

/// A plan as a reviewer reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// `hiver`, `production`, `process`, `against snapshot 41 (2 days ago)`.
    pub header: Vec<String>,
    /// What stands on top.
    pub notes: Vec<String>,
    /// Steps, and changes of the record alone, in order.
    pub rows: Vec<Row>,
    /// What guards the next apply, where that changes.
    pub guards: Vec<FieldRow>,
    /// The way back, once for each side of the point of no return; then of each change that says
    /// some, which ways there are.
    pub way_back: Vec<(String, Vec<String>)>,
    /// What a reviewer should know.
    pub lints: Vec<String>,
    /// What `--only` left out.
    pub left_out: Vec<String>,
    /// The secrets and whether they were seen.
    pub secrets: Vec<String>,
    /// Files that the steps run, bound by content.
    pub files: Vec<String>,
    /// `3 updates`, `38 unchanged`.
    pub counts: Vec<String>,
    /// All 64 digits.
    pub digest: String,
    /// The first eight digits in groups of four.
    pub short_digest: String,
    /// Where it was saved.
    pub saved: Option<String>,
}

/// One step, or one change of the record alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// None where only the record changes.
    pub number: Option<u32>,
    /// Whose.
    pub target: String,
    /// What.
    pub action: Action,
    /// The operation in the provider's words, and why.
    pub what: Vec<String>,
    /// `about 2 min`.
    pub takes: Option<String>,
    /// What cannot simply be taken back.
    pub back: Option<String>,
    /// Field by field.
    pub fields: Vec<FieldRow>,
    /// Where it is the first without a way back: why.
    pub no_return: Option<String>,
}

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRow {
    /// Which.
    pub field: String,
    /// Before and after.
    pub change: FieldChange,
    /// Drift, who moved it, why.
    pub notes: Vec<String>,
}

/// Before and after of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldChange {
    /// It is so.
    Is(String),
    /// It is set where it was not.
    Set(String),
    /// It is no longer declared.
    Reset(String),
    /// From one value to another.
    FromTo(String, String),
    /// Text of many lines, as the lines of a unified diff without a file header.
    Lines(Vec<(Sign, String)>),
}

/// What a line of a diff is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Where the next lines are.
    Header,
    /// On both sides.
    Same,
    /// Only before.
    Gone,
    /// Only after.
    New,
}

impl Sign {
    /// What stands before the line.
    pub fn mark(self) -> &'static str {
        match self {
            Self::Header => "",
            Self::Same => " ",
            Self::Gone => "-",
            Self::New => "+",
        }
    }
}

/// Reads a plan.
pub fn read(plan: &Plan, about: &About) -> Reading {
    let digest = plan.digest();
    Reading {
        header: header(plan, about),
        notes: about.notes.iter().map(|it| clean(it)).collect(),
        rows: rows(plan),
        guards: guards(plan),
        way_back: way_back::read(plan),
        lints: lints(plan).iter().map(|it| about.site.complete(it)).collect(),
        left_out: plan.left_out.iter().map(|(it, action)| format!("{it} ({action})")).collect(),
        secrets: plan.secrets.iter().map(|(it, seen)| secret(it, *seen)).collect(),
        files: plan
            .files
            .iter()
            .map(|it| format!("{} {}", clean(&it.path), it.digest.short()))
            .collect(),
        counts: counts(plan),
        short_digest: words::digest_groups(&digest),
        digest: digest.as_str().to_owned(),
        saved: about.saved.as_deref().map(clean),
    }
}

fn header(plan: &Plan, about: &About) -> Vec<String> {
    let mut header = vec![clean(&plan.stack), clean(&plan.environment)];
    if plan.command != Command::Apply {
        header.push(plan.command.to_string());
    }
    let mut providers: Vec<String> = plan.places.values().map(|it| clean(&it.provider)).collect();
    providers.sort();
    providers.dedup();
    if !providers.is_empty() {
        header.push(providers.join(", "));
    }
    header.push(match (plan.base, about.base_at_ms) {
        (None, _) => "nothing recorded yet".to_owned(),
        (Some(base), None) => format!("against snapshot {base}"),
        (Some(base), Some(at)) => {
            format!("against snapshot {base} ({})", words::ago(at, about.now_ms))
        }
    });
    header
}

fn rows(plan: &Plan) -> Vec<Row> {
    let first_of: BTreeMap<u32, &PlannedChange> = plan
        .changes
        .iter()
        .filter_map(|change| Some((change.steps.iter().min().copied()?, change)))
        .collect();
    let fields_at: BTreeMap<u32, &PlannedChange> = plan
        .changes
        .iter()
        .filter_map(|change| Some((shows_fields(plan, change)?, change)))
        .collect();
    let replaced: Vec<&PlannedChange> =
        plan.changes.iter().filter(|it| it.action == Action::Replace).collect();
    let last_of: BTreeMap<&Address, u32> =
        plan.steps.iter().map(|step| (&step.target.address, step.number)).collect();
    let knows = |output: &OutputRef| last_of.get(&output.address).copied();
    let mut rows: Vec<Row> = plan
        .steps
        .iter()
        .map(|step| {
            let change = first_of.get(&step.number).copied();
            let replaces = replaced.iter().any(|it| it.steps.contains(&step.number));
            let mut row = step_row(plan, step, change, replaces);
            let shown = fields_at.get(&step.number);
            row.fields = shown.map(|it| fields(plan, it, &knows)).unwrap_or_default();
            row
        })
        .collect();
    let records = plan.changes.iter().filter(|it| it.steps.is_empty());
    rows.extend(records.map(|change| {
        Row {
            number: None,
            target: change.target.to_string(),
            action: change.action,
            what: std::iter::once("only what hive records".to_owned())
                .chain(telling_reasons(change))
                .collect(),
            takes: None,
            back: None,
            fields: fields(plan, change, &knows),
            no_return: None,
        }
    }));
    rows
}

/// The step below which the fields of a change stand: the one that makes, where one takes away
/// first.
fn shows_fields(plan: &Plan, change: &PlannedChange) -> Option<u32> {
    let makes = |number: &&u32| plan.step(**number).is_some_and(|it| it.action == Action::Create);
    let made = change.steps.iter().filter(makes).min();
    let made = made.filter(|_| change.action == Action::Replace);
    made.or(change.steps.iter().min()).copied()
}

fn step_row(plan: &Plan, step: &Step, change: Option<&PlannedChange>, replaces: bool) -> Row {
    let mut what = vec![clean(&step.operation.title)];
    what.extend(step.operation.notes.iter().map(|it| clean(it)));
    what.retain(|words| !words.is_empty());
    what.extend(change.into_iter().flat_map(telling_reasons));
    Row {
        number: Some(step.number),
        target: step.target.to_string(),
        action: if replaces { Action::Replace } else { step.action },
        what,
        takes: step.operation.takes_ms.map(|ms| format!("about {}", words::span(ms))),
        back: way_back::hard(plan, step),
        fields: Vec::new(),
        no_return: (plan.point_of_no_return == Some(step.number))
            .then(|| way_back::why_none(plan, step)),
    }
}

/// The reasons of a change, each once, without the one that everybody assumes.
fn telling_reasons(change: &PlannedChange) -> Vec<String> {
    let assumed = match change.action {
        Action::Create | Action::Delete | Action::Run => Some(Reason::Declared),
        _ => None,
    };
    let mut told: Vec<String> = Vec::new();
    for reason in change.reasons.iter().filter(|it| Some(*it) != assumed.as_ref()) {
        let words = clean(&words::reason(reason));
        if !told.contains(&words) {
            told.push(words);
        }
    }
    told
}

fn fields(plan: &Plan, change: &PlannedChange, knows: value::Knows<'_>) -> Vec<FieldRow> {
    if change.differences.is_empty() && matches!(change.action, Action::Create | Action::Replace) {
        return made_fields(plan, change, knows);
    }
    // Where only the record changes nobody looked at anything live.
    let looked = !change.steps.is_empty();
    change.differences.iter().map(|it| field(plan, it, looked, knows)).collect()
}

/// The fields of what is made anew.
fn made_fields(plan: &Plan, change: &PlannedChange, knows: value::Knows<'_>) -> Vec<FieldRow> {
    let record = plan.records.get(&change.target.address).and_then(Option::as_ref);
    let part = record.and_then(|it| Some((it, it.parts.get(&change.target.part)?)));
    part.map_or_else(Vec::new, |(record, part)| {
        all_set(&declared_only(&record.declared.fields, &part.fields), knows)
    })
}

/// Of what a provider makes of a declaration, only what stands in it: defaults that nobody wrote are
/// in the plan's JSON, and are nothing that a reviewer decides about.
fn declared_only(declared: &Fields, made: &Fields) -> Fields {
    let declared: Vec<FieldPath> = leaves(declared);
    let mut kept = Fields::new();
    for path in leaves(made) {
        let Some(value) = get(made, &path) else { continue };
        if !is_assumed(&path, value) && declared.iter().any(|it| says(it, &path)) {
            set_at(&mut kept, path.keys(), value.clone());
        }
    }
    kept
}

/// What hive adds to a declaration, and what is so wherever a stack says nothing.
fn is_assumed(path: &FieldPath, value: &Value) -> bool {
    match path.keys() {
        [first, ..] if first == "program" => true,
        [key] if key == "replicas" => value.as_int() == Some(1),
        [key] if key == "mode" => value.as_text() == Some("0644"),
        _ => false,
    }
}

/// Whether a declared field is what a provider's field comes from: `process.command` is `command`,
/// `severity` is `labels.severity`, and `ports.http` is `listen.http.0`.
fn says(declared: &FieldPath, made: &FieldPath) -> bool {
    let (declared, made) = (declared.keys(), made.keys());
    let listens = |ports: &str, name: &String| {
        ports == "ports"
            && made.first().is_some_and(|it| it == "listen")
            && made.get(1) == Some(name)
    };
    match declared {
        [] => false,
        [only] => made.contains(only),
        [ports, name] if listens(ports, name) => true,
        _ => declared.ends_with(made) || made.ends_with(declared),
    }
}

fn set_at(fields: &mut Fields, keys: &[String], value: Value) {
    match keys {
        [] => {}
        [last] => {
            fields.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let below = fields.entry(first.clone()).or_insert_with(|| Value::Map(Fields::new()));
            if let Value::Map(below) = below {
                set_at(below, rest, value);
            }
        }
    }
}

fn all_set(fields: &Fields, knows: value::Knows<'_>) -> Vec<FieldRow> {
    leaves(fields)
        .into_iter()
        .filter_map(|path| {
            let value = get(fields, &path)?;
            if value.as_map().is_some_and(Fields::is_empty) {
                return None;
            }
            let value = value::readable(&path, value);
            Some(FieldRow {
                field: clean(&path.to_string()),
                change: set(&value, knows),
                notes: Vec::new(),
            })
        })
        .collect()
}

/// The fields of one table.
pub fn field_rows(fields: &Fields) -> Vec<FieldRow> {
    all_set(fields, &|_| None)
}

/// What differs between two tables, field by field.
pub fn between(before: &Fields, after: &Fields) -> Vec<FieldRow> {
    let mut paths = leaves(before);
    paths.extend(leaves(after));
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .filter(|path| get(before, path) != get(after, path))
        .map(|path| {
            let readable = |fields: &Fields| {
                let value = get(fields, &path)?;
                Some(value::readable(&path, value))
            };
            let (before, after) = (readable(before), readable(after));
            FieldRow {
                field: clean(&path.to_string()),
                change: before_after(before.as_ref(), after.as_ref(), &|_| None),
                notes: Vec::new(),
            }
        })
        .collect()
}

fn set(value: &Value, knows: value::Knows<'_>) -> FieldChange {
    match value::many_lines(Some(value)) {
        Some(text) => FieldChange::Lines(diff("", text)),
        None => FieldChange::Set(value::show(value, knows)),
    }
}

fn field(plan: &Plan, difference: &Difference, looked: bool, knows: value::Knows<'_>) -> FieldRow {
    let Difference { field, reason, moved_by, .. } = difference;
    let readable = |it: &Option<Value>| it.as_ref().map(|value| value::readable(field, value));
    let (recorded, observed, desired) = (
        readable(&difference.recorded),
        readable(&difference.observed),
        readable(&difference.desired),
    );
    let drift = matches!(reason, Reason::Drift | Reason::Ended { .. });
    let before = if drift { &observed } else { &recorded };
    let mut notes = Vec::new();
    let moved = looked && recorded.is_some() && recorded != observed;
    if moved && !matches!(reason, Reason::Ended { .. }) {
        let who = moved_by.as_deref().map_or("someone else".to_owned(), clean);
        let since = plan.base.map(|base| format!(" since snapshot {base}")).unwrap_or_default();
        let live = observed.as_ref().map_or("nothing".to_owned(), |it| brief(it, knows));
        match drift {
            true => notes.push(format!("changed by {who}{since}")),
            false => notes.push(format!("live has {live}: changed by {who}{since}")),
        }
    } else if recorded.is_none() && observed.is_some() && desired.is_some() {
        let live = observed.as_ref().map(|it| brief(it, knows)).unwrap_or_default();
        notes.push(format!("live has {live}"));
    }
    if !matches!(reason, Reason::Declared | Reason::Drift) {
        notes.push(clean(&words::reason(reason)));
    }
    FieldRow {
        field: clean(&field.to_string()),
        change: before_after(before.as_ref(), desired.as_ref(), knows),
        notes,
    }
}

/// A value inside a sentence.
fn brief(value: &Value, knows: value::Knows<'_>) -> String {
    match value::many_lines(Some(value)) {
        Some(text) => {
            format!("other text of {}", words::count(text.lines().count() as u64, "line", "lines"))
        }
        None => value::show(value, knows),
    }
}

fn before_after(
    before: Option<&Value>,
    after: Option<&Value>,
    knows: value::Knows<'_>,
) -> FieldChange {
    if value::many_lines(before).or(value::many_lines(after)).is_some() {
        let text = |it: Option<&Value>| match it {
            None => String::new(),
            Some(Value::Text(text)) => text.clone(),
            Some(other) => value::show(other, knows),
        };
        return FieldChange::Lines(diff(&text(before), &text(after)));
    }
    match (before, after) {
        (Some(before), Some(after)) => {
            let (before, after) = value::show_pair(before, after, knows);
            FieldChange::FromTo(before, after)
        }
        (None, Some(after)) => set(after, knows),
        (Some(before), None) => FieldChange::Reset(value::show(before, knows)),
        (None, None) => FieldChange::Reset("nothing".to_owned()),
    }
}

/// A unified diff with three lines of context.
pub fn diff(before: &str, after: &str) -> Vec<(Sign, String)> {
    use similar::{ChangeTag, TextDiff};
    let (before, after) = (clean_lines(before), clean_lines(after));
    let diff = TextDiff::from_lines(before.as_str(), after.as_str());
    let mut lines = Vec::new();
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        if !before.is_empty() && !after.is_empty() {
            lines.push((Sign::Header, hunk.header().to_string().trim_end().to_owned()));
        }
        for change in hunk.iter_changes() {
            let sign = match change.tag() {
                ChangeTag::Equal => Sign::Same,
                ChangeTag::Delete => Sign::Gone,
                ChangeTag::Insert => Sign::New,
            };
            lines.push((sign, change.value().trim_end_matches('\n').to_owned()));
            if change.missing_newline() {
                lines.push((Sign::Header, "\\ no line end at the end".to_owned()));
            }
        }
    }
    lines
}

fn guards(plan: &Plan) -> Vec<FieldRow> {
    let Some(next) = &plan.guards else { return Vec::new() };
    let nothing = Fields::new();
    let mut rows = between(plan.guards_before.as_ref().unwrap_or(&nothing), next);
    if rows.is_empty() {
        rows.push(FieldRow {
            field: "guards".to_owned(),
            change: FieldChange::Set("none".to_owned()),
            notes: Vec::new(),
        });
    }
    rows
}

fn lints(plan: &Plan) -> Vec<String> {
    let said = plan.lints.iter().map(|lint| match &lint.address {
        Some(address) => format!("{address}: {}", clean(&lint.message)),
        None => clean(&lint.message),
    });
    let mut lints: Vec<String> = said.collect();
    if plan.on_failure == OnFailure::Halt && !plan.steps.is_empty() {
        lints.push("on a failure it halts: nothing is taken back by itself".to_owned());
    }
    if plan.freezes {
        lints.push("the environment is frozen afterwards, until `hive unfreeze`".to_owned());
    }
    lints
}

/// A secret and whether it was seen.
pub(super) fn secret(reference: &str, seen: SecretSeen) -> String {
    let seen = match seen {
        SecretSeen::Same => "seen, the same as last used",
        SecretSeen::Moved => "seen, another than last used",
        SecretSeen::New => "seen, not used before",
        SecretSeen::Unseen => "has no value here, so not compared",
        SecretSeen::Access => "seen, gives hive access, not compared",
    };
    format!("{} {seen}", clean(reference))
}

fn counts(plan: &Plan) -> Vec<String> {
    let mut by_action: BTreeMap<Action, u64> = BTreeMap::new();
    for change in &plan.changes {
        *by_action.entry(change.action).or_default() += 1;
    }
    let mut counts: Vec<String> = by_action
        .into_iter()
        .filter(|(action, _)| *action != Action::Keep)
        .map(|(action, number)| {
            let (one, many) = noun(action);
            words::count(number, one, many)
        })
        .collect();
    if plan.guards.is_some() {
        counts.push("guards change".to_owned());
    }
    if counts.is_empty() {
        counts.push("nothing to do".to_owned());
    }
    counts.push(format!("{} unchanged", words::thousands(u64::from(plan.kept))));
    counts
}

/// An action counted.
fn noun(action: Action) -> (&'static str, &'static str) {
    match action {
        Action::Keep => ("unchanged", "unchanged"),
        Action::Create => ("create", "creates"),
        Action::Update => ("update", "updates"),
        Action::Replace => ("replacement", "replacements"),
        Action::Delete => ("delete", "deletes"),
        Action::Adopt => ("adoption", "adoptions"),
        Action::Forget => ("forgotten", "forgotten"),
        Action::Run => ("run", "runs"),
        Action::Stop => ("stop", "stops"),
        Action::Start => ("start", "starts"),
    }
}
