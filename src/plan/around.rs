//! What a plan does because of its other steps: who is stopped around them, and what runs in front
//! of them.

use super::decide::{self, Decision, Verdict};
use super::judge::Judge;
use super::planner::Considered;
use super::question::{Asked, PlanError};
use super::steps::{Around, Drafts};
use super::survey::{Subject, Survey};
use hive_contract::{Action, Address, Change, Fields, Invalid, Reason, Sort, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The drafts of everything that was decided, and of what that takes beside it.
///
/// # Errors
/// What the providers find wrong, and what was asked for and has no operation.
pub(super) fn drafts<'a>(
    survey: &Survey<'a>,
    considered: &mut Considered<'a>,
) -> Result<Drafts, Vec<PlanError>> {
    let mut drafts = draft(survey, considered, Around::default())?;
    if idle(survey, considered, &drafts)? {
        drafts = draft(survey, considered, Around::default())?;
    }
    let around = stopped(survey, &drafts);
    let fronts = fronts(survey, considered, &drafts, &around);
    if around.is_empty() && fronts.is_empty() {
        return Ok(drafts);
    }
    let mut errors = Vec::new();
    for (on, users) in &around {
        for user in users {
            errors.extend(halt(survey, considered, *user, *on).err());
        }
    }
    for (front, user) in fronts {
        errors.extend(run(survey, considered, front, user).err().into_iter().flatten());
    }
    match errors.is_empty() {
        true => draft(survey, considered, around),
        false => Err(errors),
    }
}

fn draft(
    survey: &Survey<'_>,
    considered: &Considered<'_>,
    around: Around,
) -> Result<Drafts, Vec<PlanError>> {
    let Considered { verdicts, selection, .. } = considered;
    let drafts = Drafts::new(survey, verdicts, selection, around);
    let mut errors = drafts.wrong().to_vec();
    errors.extend(drafts.cannot_run(survey, selection));
    if errors.is_empty() { Ok(drafts) } else { Err(errors) }
}

/// What runs in front of its users may have nothing to do when a person asks, as a backup that is
/// not due: it is as if nobody had asked. Says whether there was any.
fn idle<'a>(
    survey: &Survey<'a>,
    considered: &mut Considered<'a>,
    drafts: &Drafts,
) -> Result<bool, Vec<PlanError>> {
    let mut idle = false;
    let mut errors = Vec::new();
    for (at, subject) in survey.subjects.iter().enumerate() {
        let asked = matches!(subject.asked, Some(Asked::Do(_))) && considered.selection.chosen[at];
        if !asked || drafts.have(at) || !considered.verdicts[at].has_effect() {
            continue;
        }
        if !runs_in_front(subject) {
            let invalid = Invalid::at("", "there is nothing that could be done of what was asked");
            errors.push(PlanError::Invalid { address: subject.address.clone(), invalid });
            continue;
        }
        let unasked = Subject { asked: None, ..subject.clone() };
        let judge = Judge { survey, subject: &unasked };
        considered.verdicts[at] = decide::by(&judge, &BTreeSet::new(), &mut considered.known);
        idle = true;
    }
    if errors.is_empty() { Ok(idle) } else { Err(errors) }
}

fn runs_in_front(subject: &Subject<'_>) -> bool {
    let parts = subject.desired.into_iter().flat_map(|it| it.parts.values());
    parts.into_iter().any(|it| it.lowered.before_users)
}

/// By resource with an operation during which nobody may use it, who uses it and runs: also through
/// others that do not run themselves.
fn stopped(survey: &Survey<'_>, drafts: &Drafts) -> Around {
    let needing = drafts.needing_quiet();
    if needing.is_empty() {
        return Around::default();
    }
    let declared_users = survey.declared_users();
    let users = |at: usize| {
        let recorded = survey.users(survey.subjects[at].address).iter();
        let recorded = recorded.filter_map(|it| survey.at(it));
        declared_users[at].iter().copied().chain(recorded).collect::<Vec<_>>()
    };
    let mut around = Around::default();
    for on in needing {
        let mut stop = BTreeSet::new();
        let mut seen = BTreeSet::from([on]);
        let mut next = vec![on];
        while let Some(at) = next.pop() {
            for user in users(at).into_iter().filter(|it| seen.insert(*it)) {
                match survey.subjects[user].sort {
                    Sort::Object if runs(survey, user) => drop(stop.insert(user)),
                    Sort::Object => next.push(user),
                    Sort::Gate | Sort::Notice => {}
                }
            }
        }
        around.insert(on, stop);
    }
    around
}

/// Whether something of it runs, as far as its provider can tell.
fn runs(survey: &Survey<'_>, at: usize) -> bool {
    let subject = &survey.subjects[at];
    let judge = Judge { survey, subject };
    let parts = subject.recorded.into_iter().flat_map(|it| it.parts.keys());
    let mut held = parts.filter_map(|it| judge.as_recorded(it).ok().flatten());
    let verbs = survey.question.verbs;
    held.any(|decision| {
        let (Some(held), Some(live)) = (&decision.held, decision.live) else { return false };
        let change = Change {
            recorded: Some(held.fields.clone().into_owned()),
            observed: Some(live.clone()),
            ..Change::new(decision.target.clone(), Action::Stop, &held.part.identity)
        };
        !verbs.stop(&held.part.place, &change).is_empty()
    })
}

/// One that runs is stopped, and started behind it. One that goes is taken away before it instead.
fn halt<'a>(
    survey: &Survey<'a>,
    considered: &mut Considered<'a>,
    user: usize,
    on: usize,
) -> Result<(), PlanError> {
    let because = survey.subjects[on].address;
    let chosen = considered.selection.chosen[user];
    if let (Verdict::Touch(decisions), true) = (&mut considered.verdicts[user], chosen) {
        let stays = |it: &&mut Decision<'_>| it.held.is_some() && it.action != Action::Delete;
        for decision in decisions.iter_mut().filter(stays) {
            halt_one(decision, because);
        }
        return Ok(());
    }
    let judge = Judge { survey, subject: &survey.subjects[user] };
    let parts = judge.subject.recorded.into_iter().flat_map(|it| it.parts.keys());
    let mut decisions = Vec::new();
    for part in parts {
        decisions.extend(judge.as_recorded(part)?);
    }
    decisions.iter_mut().for_each(|it| halt_one(it, because));
    considered.verdicts[user] = Verdict::Touch(decisions);
    considered.selection.chosen[user] = true;
    Ok(())
}

fn halt_one(decision: &mut Decision<'_>, because: &Address) {
    if decision.halted.is_none() && decision.live.is_some() {
        decision.halted = Some(because.clone());
        decision.effect = true;
    }
}

/// What runs in front of its users, where one of these has steps; and which.
fn fronts(
    survey: &Survey<'_>,
    considered: &Considered<'_>,
    drafts: &Drafts,
    around: &Around,
) -> BTreeMap<usize, usize> {
    let halts = |at: usize| around.values().any(|it| it.contains(&at));
    let mut fronts = BTreeMap::new();
    for (user, subject) in survey.subjects.iter().enumerate() {
        if !drafts.have(user) && !halts(user) {
            continue;
        }
        for on in subject.edges.iter().filter_map(|it| survey.at(it)) {
            let front = &survey.subjects[on];
            let wrong = matches!(considered.verdicts[on], Verdict::Wrong(_));
            let runs_already = matches!(front.asked, Some(Asked::Do(_) | Asked::Record));
            if runs_in_front(front) && !wrong && !runs_already {
                fronts.entry(on).or_insert(user);
            }
        }
    }
    fronts
}

/// It runs in front of a user, after it is made as it is declared.
fn run<'a>(
    survey: &Survey<'a>,
    considered: &mut Considered<'a>,
    front: usize,
    user: usize,
) -> Result<(), Vec<PlanError>> {
    let because = survey.subjects[user].address;
    let judge = Judge { survey, subject: &survey.subjects[front] };
    let chosen = considered.selection.chosen[front];
    if considered.verdicts[front].keeps() || !chosen {
        let mut decisions = Vec::new();
        let mut errors = Vec::new();
        for part in judge.parts() {
            match judge.part(part, &mut considered.known) {
                Ok(decision) => decisions.extend(decision),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        considered.verdicts[front] = Verdict::Touch(decisions);
        considered.selection.chosen[front] = true;
        considered.selection.left_out.remove(judge.subject.address);
    }
    let Verdict::Touch(decisions) = &mut considered.verdicts[front] else { return Ok(()) };
    let anew = begins_anew(survey, judge.subject);
    let in_front = |it: &&mut Decision<'_>| {
        it.wanted.as_ref().is_some_and(|wanted| wanted.part.lowered.before_users)
    };
    for decision in decisions.iter_mut().filter(in_front) {
        if !decision.effect {
            decision.action = Action::Run;
        }
        decision.reasons.push(Reason::Dependency { address: because.clone() });
        decision.effect = true;
        decision.run = Some(before(because, anew));
    }
    Ok(())
}

/// Whether the data of what a front keeps was given up: it holds less from now on, on purpose.
fn begins_anew(survey: &Survey<'_>, front: &Subject<'_>) -> bool {
    let given_up = |it: &Subject<'_>| {
        let mut parts = it.desired.into_iter().flat_map(|it| it.parts.values());
        matches!(it.asked, Some(Asked::Replace)) && parts.any(|part| part.lowered.holds_data)
    };
    front.edges.iter().filter_map(|it| survey.at(it)).any(|at| given_up(&survey.subjects[at]))
}

fn before(user: &Address, anew: bool) -> Fields {
    let mut fields = vec![
        ("verb", Value::from("run")),
        ("kind", Value::from("run")),
        ("reason", Value::from(format!("before {user}"))),
        ("due", Value::Bool(false)),
    ];
    fields.extend(anew.then_some(("smaller", Value::Bool(true))));
    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
