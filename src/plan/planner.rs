//! The planner: a question in, a plan out.

use super::around;
use super::decide::{self, Decision, Verdict};
use super::fill::Known;
use super::guards;
use super::lints::lints;
use super::model::{
    BoundFile, Command, FORMAT, Plan, PlannedChange, PlannedRecord, SecretSeen, Step,
};
use super::question::{Asked, PlanError, Question, Scope};
use super::reads::reads;
use super::records::records;
use super::rollback::{point_of_no_return, rollback};
use super::scope::{Selection, missing};
use super::steps::Drafts;
use super::survey::Survey;
use hive_contract::{
    Action, Address, Change, Fields, OutputRef, Place, Reason, Sort, Target, Value,
};
use std::collections::{BTreeMap, BTreeSet};

/// Makes the plan: what would happen, in which order, and the way back.
///
/// # Errors
/// Everything that speaks against it, at once.
pub fn plan(question: &Question<'_>) -> Result<Plan, Vec<PlanError>> {
    let survey = Survey::new(question)?;
    let (considered, drafts) = drafted(&survey)?;
    let Considered { verdicts, selection, known } = &considered;
    let ways = drafts.ways();
    let steps = match drafts.is_empty() {
        true => Vec::new(),
        false => {
            let order = drafts.order(&survey).map_err(|error| vec![error])?;
            drafts.into_steps(&order)
        }
    };
    let guards = changed_guards(question);
    let guarded_by = guarded_by(question);
    let records = records(&survey, verdicts, selection, known);
    let mut plan = Plan {
        format: FORMAT,
        hive: env!("CARGO_PKG_VERSION").to_owned(),
        command: question.command.clone(),
        stack: question.owner.stack.clone(),
        environment: question.owner.environment.clone(),
        store: Some(question.owner.store.clone()).filter(|it| !it.is_empty()),
        base: question.recorded.map(|it| it.number),
        on_failure: guards::on_failure(&guarded_by).unwrap_or(question.on_failure),
        guarded_by,
        variables: question.variables.clone(),
        parallel: question.parallel,
        freezes: question.freezes,
        places: places(question, &steps, &records)?,
        reads: reads(&survey, verdicts, selection, known, guards.is_some()),
        guards_before: guards_before(question, guards.as_ref()),
        guards,
        changes: changes(question, &considered, &steps),
        kept: kept(&survey, &considered),
        covers_all: question.scope == Scope::All,
        rollback: rollback(&survey, &steps),
        point_of_no_return: point_of_no_return(&steps),
        ways,
        files: files(&survey, &steps),
        lints: Vec::new(),
        left_out: selection.left_out.clone(),
        secrets: secrets(&survey, &considered),
        records,
        steps,
    };
    plan.lints = lints(&survey, &plan);
    // What takes nothing back leaves nothing behind that the TOML would undo.
    plan.freezes &= !plan.is_empty();
    Ok(plan)
}

/// The changes that trying beforehand tells something of, with their places: what comes of trying
/// goes into [`Question::rehearsals`], and the question is asked again.
///
/// # Errors
/// Everything that speaks against a plan, at once.
pub fn to_rehearse(question: &Question<'_>) -> Result<Vec<(String, Change)>, Vec<PlanError>> {
    let survey = Survey::new(question)?;
    let (_, drafts) = drafted(&survey)?;
    Ok(drafts.rehearsable())
}

/// What was decided, and what it takes.
fn drafted<'a>(survey: &Survey<'a>) -> Result<(Considered<'a>, Drafts), Vec<PlanError>> {
    let mut considered = consider(survey)?;
    let errors = objections(survey, &considered);
    if !errors.is_empty() {
        return Err(errors);
    }
    let drafts = around::drafts(survey, &mut considered)?;
    let errors = unsaid(survey, &considered, &drafts);
    if errors.is_empty() { Ok((considered, drafts)) } else { Err(errors) }
}

/// Operations that are made of an output which no step says, such as the id of a backup.
fn unsaid(survey: &Survey<'_>, considered: &Considered<'_>, drafts: &Drafts) -> Vec<PlanError> {
    let said = |on: &OutputRef| {
        let at = survey.at(&on.address)?;
        let parts = &survey.subjects[at].desired?.parts;
        let named = parts.values().any(|it| it.lowered.outputs.contains_key(&on.output));
        (named && drafts.have(at)).then_some(())
    };
    let outputs = drafts.outputs().into_iter();
    let unsaid = outputs.filter(|(_, on)| considered.known.get(on).is_none() && said(on).is_none());
    unsaid
        .map(|(address, on)| PlanError::NoOutput {
            address: address.clone(),
            on: on.address,
            output: on.output,
        })
        .collect()
}

/// What was decided, and what of it the plan holds.
pub(super) struct Considered<'a> {
    /// By subject.
    pub(super) verdicts: Vec<Verdict<'a>>,
    /// What the plan holds.
    pub(super) selection: Selection,
    /// The outputs that are known without a step.
    pub(super) known: Known,
}

/// Decides about every resource, dependencies first; then about the gates, users first.
pub(super) fn consider<'a>(survey: &Survey<'a>) -> Result<Considered<'a>, Vec<PlanError>> {
    let order = survey.dependencies_first().map_err(|error| vec![error])?;
    let named = named_outputs(survey);
    let mut known = as_recorded(survey, &named);
    let mut verdicts: Vec<Verdict<'a>> = survey.subjects.iter().map(|_| Verdict::Keep).collect();
    let leaves = (0..survey.subjects.len()).filter(|at| survey.subjects[*at].desired.is_none());
    for at in order.iter().copied().chain(leaves) {
        let subject = &survey.subjects[at];
        if subject.excluded || subject.moved_to {
            continue;
        }
        verdicts[at] = match subject.sort {
            Sort::Object => decide::decide(survey, &named, &mut known, at),
            Sort::Notice => decide::decide_notice(survey, at),
            Sort::Gate => Verdict::Keep,
        };
    }
    // A gate that is new or changed differs by itself; whether others run depends on the choice.
    let gates: Vec<usize> =
        order.into_iter().rev().filter(|at| survey.subjects[*at].sort == Sort::Gate).collect();
    for at in &gates {
        if !survey.subjects[*at].excluded {
            verdicts[*at] = decide::decide_gate(survey, &known, *at, None);
        }
    }
    let selection = Selection::new(survey, &verdicts);
    run_needed(survey, &gates, &selection, &known, &mut verdicts);
    let selection = selection.running(&verdicts, &gates);
    Ok(Considered { verdicts, selection, known })
}

/// A gate also runs where something that uses it, or that it verifies, has a step.
fn run_needed<'a>(
    survey: &Survey<'a>,
    gates: &[usize],
    selection: &Selection,
    known: &Known,
    verdicts: &mut [Verdict<'a>],
) {
    let mut asks: Vec<Vec<usize>> = survey.declared_users();
    for (at, subject) in survey.subjects.iter().enumerate() {
        for check in subject.verified_by.iter().filter_map(|it| survey.at(it)) {
            asks[check].push(at);
        }
    }
    // Users first, so that a gate that another gate uses runs too.
    for gate in gates {
        let subject = &survey.subjects[*gate];
        let changed = !verdicts[*gate].keeps() || subject.recorded.is_none();
        if subject.excluded && changed {
            continue;
        }
        let runs = |at: &&usize| {
            let gate = survey.subjects[**at].sort == Sort::Gate;
            (selection.chosen[**at] || gate) && verdicts[**at].has_effect()
        };
        let mut needing = asks[*gate].iter().filter(runs);
        if let Some(needing) = needing.next() {
            let address = survey.subjects[*needing].address;
            verdicts[*gate] = decide::decide_gate(survey, known, *gate, Some(address));
        }
    }
}

/// The outputs that somebody is made of: no other is worth keeping.
fn named_outputs<'a>(survey: &Survey<'a>) -> BTreeSet<&'a OutputRef> {
    let mut named = BTreeSet::new();
    for desired in survey.subjects.iter().filter_map(|it| it.desired) {
        desired.visit_outputs(&mut |reference| {
            named.insert(reference);
        });
    }
    named
}

/// What is outside of the plan says what it said.
fn as_recorded(survey: &Survey<'_>, named: &BTreeSet<&OutputRef>) -> Known {
    let mut known = Known::default();
    for reference in named {
        let outside = survey.get(&reference.address).is_some_and(|it| it.excluded);
        if let (true, Some(value)) = (outside, survey.recorded_output(reference)) {
            known.output((*reference).clone(), value.clone());
        }
    }
    known
}

/// Everything that speaks against the plan.
fn objections(survey: &Survey<'_>, considered: &Considered<'_>) -> Vec<PlanError> {
    let Considered { verdicts, selection, known } = considered;
    let mut errors = Vec::new();
    for (at, verdict) in verdicts.iter().enumerate() {
        if let (Verdict::Wrong(wrong), true) = (verdict, selection.chosen[at]) {
            errors.extend(wrong.iter().cloned());
        }
    }
    for subject in survey.subjects.iter().filter(|it| it.sort != Sort::Object) {
        match (subject.asked, subject.sort) {
            (Some(Asked::Adopt { .. }), _) if survey.question.command == Command::Adopt => {
                errors.push(PlanError::NothingToAdopt(subject.address.clone()));
            }
            (Some(Asked::Run | Asked::Do(_)), Sort::Gate | Sort::Notice) => {
                errors.push(PlanError::NothingToRun(subject.address.clone()));
            }
            (Some(Asked::Replace), _) => {
                errors.push(PlanError::NothingToReplace(subject.address.clone()));
            }
            _ => {}
        }
    }
    // What could not be decided hides what depends on it.
    if errors.is_empty() {
        errors.extend(missing(survey, verdicts, selection));
    }
    if errors.is_empty() {
        for (at, subject) in survey.subjects.iter().enumerate() {
            if selection.chosen[at] && !verdicts[at].keeps() {
                errors.extend(unanswered(survey, considered, subject, known));
            }
        }
    }
    errors
}

/// References to outputs that neither are known nor will be.
fn unanswered(
    survey: &Survey<'_>,
    considered: &Considered<'_>,
    subject: &super::survey::Subject<'_>,
    known: &Known,
) -> Vec<PlanError> {
    let mut errors = BTreeMap::new();
    let Some(desired) = subject.desired else { return Vec::new() };
    desired.visit_outputs(&mut |reference| {
        let will_be = || {
            let at = survey.at(&reference.address)?;
            let parts = &survey.subjects[at].desired?.parts;
            let named = parts.values().any(|it| it.lowered.outputs.contains_key(&reference.output));
            let steps = considered.selection.chosen[at] && considered.verdicts[at].has_effect();
            (named && steps).then_some(())
        };
        if known.get(reference).is_none() && will_be().is_none() {
            errors.insert(
                reference,
                PlanError::NoOutput {
                    address: subject.address.clone(),
                    on: reference.address.clone(),
                    output: reference.output.clone(),
                },
            );
        }
    });
    errors.into_values().collect()
}

fn changes(
    question: &Question<'_>,
    considered: &Considered<'_>,
    steps: &[Step],
) -> Vec<PlannedChange> {
    let because = |reason: &Reason| match (&question.command, reason) {
        // The stack may declare the opposite: it is the snapshot that says so.
        (
            command
            @ (Command::Restore { .. } | Command::Rollback { .. } | Command::Rebuild { .. }),
            Reason::Declared,
        ) => Reason::Asked { command: command.to_string() },
        _ => reason.clone(),
    };
    let mut numbers: BTreeMap<(&Target, bool), Vec<u32>> = BTreeMap::new();
    for step in steps {
        let stops = step.action == Action::Stop;
        numbers.entry((&step.target, stops)).or_default().push(step.number);
    }
    let steps_of = |it: &Decision<'_>, stops: bool| {
        numbers.get(&(&it.target, stops)).cloned().unwrap_or_default()
    };
    let mut changes = Vec::new();
    for (at, verdict) in considered.verdicts.iter().enumerate() {
        let Verdict::Touch(decisions) = verdict else { continue };
        if !considered.selection.chosen[at] {
            continue;
        }
        for decision in decisions {
            if let Some(address) = &decision.halted {
                let reasons = vec![Reason::Dependency { address: address.clone() }];
                let stopped = steps_of(decision, true);
                changes.extend(one_of(decision, Action::Stop, &reasons, stopped));
                if decision.action == Action::Keep {
                    let started = steps_of(decision, false);
                    changes.extend(one_of(decision, Action::Start, &reasons, started));
                }
            }
            if decision.action != Action::Keep {
                changes.push(PlannedChange {
                    target: decision.target.clone(),
                    action: decision.action,
                    reasons: decision.reasons.iter().map(because).collect(),
                    differences: decision.differences.clone(),
                    steps: steps_of(decision, false),
                });
            }
        }
    }
    changes
}

/// What is stopped around something else, or started behind it.
fn one_of(
    decision: &Decision<'_>,
    action: Action,
    reasons: &[Reason],
    steps: Vec<u32>,
) -> Option<PlannedChange> {
    (!steps.is_empty()).then(|| PlannedChange {
        target: decision.target.clone(),
        action,
        reasons: reasons.to_vec(),
        differences: Vec::new(),
        steps,
    })
}

fn kept(survey: &Survey<'_>, considered: &Considered<'_>) -> u32 {
    let keeps = |(at, verdict): &(usize, &Verdict<'_>)| {
        let subject = &survey.subjects[*at];
        verdict.keeps() && subject.desired.is_some() && subject.recorded.is_some()
    };
    considered.verdicts.iter().enumerate().filter(keeps).count() as u32
}

/// The guards to record, where the stack changes them. A plan of some resources changes none.
fn changed_guards(question: &Question<'_>) -> Option<Fields> {
    let nothing = Fields::new();
    let recorded = question.recorded.map_or(&nothing, |it| &it.guards);
    let changes = question.scope == Scope::All && recorded != &question.guards;
    changes.then(|| question.guards.clone())
}

/// The recorded guards, where they change and there are any.
fn guards_before(question: &Question<'_>, changed: Option<&Fields>) -> Option<Fields> {
    changed?;
    question.recorded.map(|it| it.guards.clone()).filter(|it| !it.is_empty())
}

fn guarded_by(question: &Question<'_>) -> Fields {
    let nothing = Fields::new();
    let recorded = question.recorded.map_or(&nothing, |it| &it.guards);
    guards::stricter(recorded, &question.guards)
}

fn places(
    question: &Question<'_>,
    steps: &[Step],
    records: &BTreeMap<Address, Option<PlannedRecord>>,
) -> Result<BTreeMap<String, Place>, Vec<PlanError>> {
    let parts = records.values().flatten().flat_map(|it| it.parts.values().map(|it| &it.place));
    let ids: BTreeSet<&String> = parts.chain(steps.iter().map(|it| &it.place)).collect();
    let place = |id: &String| {
        let recorded = question.recorded.and_then(|it| it.places.get(id));
        question.places.get(id).or(recorded).cloned()
    };
    let mut places = BTreeMap::new();
    let mut errors = Vec::new();
    for id in ids {
        match place(id) {
            Some(place) => drop(places.insert(id.clone(), place)),
            None => {
                let target = steps.iter().find(|it| &it.place == id).map(|it| it.target.clone());
                let record = records.iter().find(|(_, record)| {
                    record.iter().any(|it| it.parts.values().any(|it| &it.place == id))
                });
                let target = target.or(record.map(|(it, _)| Target::main(it.clone())));
                errors
                    .extend(target.map(|it| PlanError::NoPlace { target: it, place: id.clone() }));
            }
        }
    }
    if errors.is_empty() { Ok(places) } else { Err(errors) }
}

/// The files that the plan's steps run. One that no resource names is bound with every step.
fn files(survey: &Survey<'_>, steps: &[Step]) -> Vec<BoundFile> {
    let question = survey.question;
    if steps.is_empty() || question.files.is_empty() {
        return Vec::new();
    }
    let with_step: BTreeSet<&Address> = steps.iter().map(|it| &it.target.address).collect();
    let (mut used, mut elsewhere) = (BTreeSet::new(), BTreeSet::new());
    for (address, desired) in &question.desired {
        let texts = if with_step.contains(address) { &mut used } else { &mut elsewhere };
        hive_contract::value::visit_fields(&desired.declared.fields, &mut |value| {
            if let Value::Text(text) = value
                && text.len() >= 64
            {
                texts.insert(&text[text.ceil_char_boundary(text.len() - 64)..]);
            }
        });
    }
    let binds = |file: &&BoundFile| {
        let digest = file.digest.as_str();
        used.contains(digest) || !elsewhere.contains(digest)
    };
    let bound: BTreeSet<BoundFile> = question.files.iter().filter(binds).cloned().collect();
    bound.into_iter().collect()
}

/// Every secret of what the plan is about, and whether its value could be seen.
fn secrets(survey: &Survey<'_>, considered: &Considered<'_>) -> BTreeMap<String, SecretSeen> {
    let mut seen = BTreeMap::new();
    for (at, subject) in survey.subjects.iter().enumerate() {
        let (Some(desired), true) = (subject.desired, considered.selection.chosen[at]) else {
            continue;
        };
        for part in desired.parts.values() {
            let recorded = super::survey::held(subject, &part.part).map(|it| &it.secrets);
            hive_contract::value::visit_fields(&part.lowered.fields, &mut |value| {
                let Value::Secret(secret) = value else { return };
                let reference = secret.to_string();
                let now = survey.question.secrets.get(&reference).and_then(Option::as_ref);
                let last = recorded.and_then(|it| it.get(&reference));
                let is = match (now, last) {
                    (None, _) => SecretSeen::Unseen,
                    (Some(_), None) => SecretSeen::New,
                    (Some(now), Some(last)) if now == last => SecretSeen::Same,
                    (Some(_), Some(_)) => SecretSeen::Moved,
                };
                let before = seen.entry(reference).or_insert(is);
                if tells_more(is, *before) {
                    *before = is;
                }
            });
            for secret in hive_contract::value::secrets_in(&part.lowered.access) {
                let reference = secret.to_string();
                let is = match survey.question.secrets.get(&reference).and_then(Option::as_ref) {
                    None => SecretSeen::Unseen,
                    Some(now) => given_on(survey, &reference, now),
                };
                seen.entry(reference).or_insert(is);
            }
        }
    }
    seen
}

/// A secret that gives hive access may also be given on, as a database's url is by its output: then
/// what uses it has recorded the value that it was given.
fn given_on(survey: &Survey<'_>, reference: &str, now: &str) -> SecretSeen {
    let recorded = survey.question.recorded.into_iter().flat_map(|it| it.resources.values());
    let parts = recorded.flat_map(|it| it.parts.values());
    let last: BTreeSet<&str> =
        parts.filter_map(|it| it.secrets.get(reference)).map(String::as_str).collect();
    match (last.contains(now), last.len()) {
        (_, 0) => SecretSeen::Access,
        (true, 1) => SecretSeen::Same,
        _ => SecretSeen::Moved,
    }
}

/// One reference in many parts: that it moved for one of them tells more than that it did not.
fn tells_more(is: SecretSeen, before: SecretSeen) -> bool {
    let telling = |seen: SecretSeen| match seen {
        SecretSeen::Access => 0,
        SecretSeen::Same => 1,
        SecretSeen::New => 2,
        SecretSeen::Moved => 3,
        SecretSeen::Unseen => 4,
    };
    telling(is) > telling(before)
}
