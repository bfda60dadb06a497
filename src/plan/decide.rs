//! Decides what happens to each part of one resource, and why.

use super::compare;
use super::fill::Known;
use super::judge::{Judge, filled};
use super::learn::learn;
use super::question::PlanError;
use super::survey::Survey;
use super::verbs::LoweredPart;
use hive_contract::{
    Action, Address, Difference, FieldPath, Fields, Ignore, Live, OutputRef, Reason, ReplaceOrder,
    Sort, Target,
};
use hive_state::Part;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// What is decided about one part.
pub(super) struct Decision<'a> {
    /// Which part.
    pub(super) target: Target,
    /// What sort of thing it is.
    pub(super) sort: Sort,
    /// What happens.
    pub(super) action: Action,
    /// Whether it has steps, or only its record changes.
    pub(super) effect: bool,
    /// Why, most telling first.
    pub(super) reasons: Vec<Reason>,
    /// Field by field.
    pub(super) differences: Vec<Difference>,
    /// What is declared of it.
    pub(super) wanted: Option<Wanted<'a>>,
    /// What is recorded of it.
    pub(super) held: Option<Held<'a>>,
    /// What is live of it: where it is recorded, else where it is declared.
    pub(super) live: Option<&'a Live>,
    /// In which order a replacement goes.
    pub(super) order: ReplaceOrder,
    /// What is asked of its provider beyond that, in the provider's own words.
    pub(super) run: Option<Fields>,
    /// What it is stopped around; none where it may run.
    pub(super) halted: Option<Address>,
}

/// A declared part, filled in as far as it is known.
pub(super) struct Wanted<'a> {
    /// As lowered.
    pub(super) part: &'a LoweredPart,
    /// The form of the fields: today's, or the record's where nothing changed since.
    pub(super) form: u32,
    /// The fields: choices made, known outputs filled in, ignored fields as they are live.
    pub(super) fields: Cow<'a, Fields>,
    /// Ports that were chosen and must be free.
    pub(super) ports: BTreeSet<u16>,
}

/// A recorded part in today's form.
pub(super) struct Held<'a> {
    /// As recorded.
    pub(super) part: &'a Part,
    /// Its fields in today's form.
    pub(super) fields: Cow<'a, Fields>,
}

/// What is decided about one resource.
pub(super) enum Verdict<'a> {
    /// It stays, and so does its record.
    Keep,
    /// At least its record changes: every part, also those that stay.
    Touch(Vec<Decision<'a>>),
    /// Nothing can be decided.
    Wrong(Vec<PlanError>),
}

impl Verdict<'_> {
    /// Whether nothing happens.
    pub(super) fn keeps(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// Whether something happens in the world.
    pub(super) fn has_effect(&self) -> bool {
        matches!(self, Self::Touch(parts) if parts.iter().any(|it| it.effect))
    }
}

impl Decision<'_> {
    /// The fields that fingerprints of this part are over.
    pub(super) fn managed(&self, ignore: &[Ignore]) -> Vec<FieldPath> {
        let wanted = self.wanted.as_ref().map(|it| &*it.fields);
        compare::managed(wanted, self.held.as_ref().map(|it| &*it.fields), ignore)
    }

    /// Whether its two halves are two live objects, so that the new one can be there first.
    pub(super) fn apart(&self) -> bool {
        match (&self.wanted, &self.held) {
            (Some(wanted), Some(held)) => {
                wanted.part.place != held.part.place
                    || wanted.part.lowered.identity != held.part.identity
            }
            _ => false,
        }
    }
}

/// Decides about one object, and says which of its outputs are known.
pub(super) fn decide<'a>(
    survey: &Survey<'a>,
    wanted_outputs: &BTreeSet<&'a OutputRef>,
    known: &mut Known,
    at: usize,
) -> Verdict<'a> {
    by(&Judge { survey, subject: &survey.subjects[at] }, wanted_outputs, known)
}

/// The same by a judge.
pub(super) fn by<'a>(
    judge: &Judge<'_, 'a>,
    wanted_outputs: &BTreeSet<&'a OutputRef>,
    known: &mut Known,
) -> Verdict<'a> {
    let mut decisions = Vec::new();
    let mut errors = Vec::new();
    for name in judge.parts() {
        match judge.part(name, known) {
            Ok(Some(decision)) => decisions.push(decision),
            Ok(None) => {}
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Verdict::Wrong(errors);
    }
    for decision in &decisions {
        learn(judge.survey, wanted_outputs, known, decision);
    }
    let touched = decisions.iter().any(|it| it.action != Action::Keep);
    if touched {
        return Verdict::Touch(decisions);
    }
    if !judge.record_differs() {
        return Verdict::Keep;
    }
    if let Some(first) = decisions.first_mut() {
        first.action = Action::Update;
        first.reasons = vec![Reason::Declared];
    }
    Verdict::Touch(decisions)
}

/// Decides about one resource that has nothing live and no step: only its record can change.
pub(super) fn decide_notice<'a>(survey: &Survey<'a>, at: usize) -> Verdict<'a> {
    let subject = &survey.subjects[at];
    let judge = Judge { survey, subject };
    let action = match (subject.desired, subject.recorded) {
        (Some(_), None) => Action::Create,
        (Some(_), Some(_)) if judge.record_differs() => Action::Update,
        (None, Some(_)) if judge.forgotten() => Action::Forget,
        (None, Some(recorded)) if recorded.declared.protect => {
            let (address, action) = (subject.address.clone(), Action::Delete);
            return Verdict::Wrong(vec![PlanError::Protected { address, action }]);
        }
        (None, Some(_)) => Action::Delete,
        _ => return Verdict::Keep,
    };
    Verdict::Touch(vec![judge.recorded_only(action, vec![judge.because()])])
}

/// Decides about one gate: it runs where it is new or changed, or where `needed`: what uses it, or
/// what it verifies, has a step.
pub(super) fn decide_gate<'a>(
    survey: &Survey<'a>,
    known: &Known,
    at: usize,
    needed: Option<&'a Address>,
) -> Verdict<'a> {
    let subject = &survey.subjects[at];
    let judge = Judge { survey, subject };
    let Some(desired) = subject.desired else { return decide_notice(survey, at) };
    let mut reasons = Vec::new();
    if subject.recorded.is_none() || judge.record_differs() {
        reasons.push(Reason::Declared);
    }
    reasons.extend(judge.moved_outputs(known));
    if let Some(address) = needed {
        reasons.push(Reason::Dependency { address: address.clone() });
    }
    if reasons.is_empty() {
        return Verdict::Keep;
    }
    let decisions = desired.parts.values().map(|part| Decision {
        target: judge.target(&part.part),
        sort: part.lowered.sort,
        action: Action::Run,
        effect: part.lowered.sort == Sort::Gate,
        reasons: reasons.clone(),
        differences: Vec::new(),
        wanted: Some(Wanted {
            part,
            form: part.form,
            fields: filled(known, &part.lowered.fields),
            ports: BTreeSet::new(),
        }),
        held: None,
        live: None,
        order: ReplaceOrder::default(),
        run: None,
        halted: None,
    });
    Verdict::Touch(decisions.collect())
}
