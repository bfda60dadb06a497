//! Decides what happens to each part of one resource, and why.

use super::compare::{self, Views};
use super::fill::{Choice, Known, has_choice, output_value};
use super::marks;
use super::model::Command;
use super::question::{Asked, PlanError};
use super::survey::{Subject, Survey, held};
use super::verbs::LoweredPart;
use hive_contract::{
    Action, Declared, Difference, Facts, FieldPath, Fields, Ignore, Live, OutputRef, Reason,
    ReplaceOrder, Sort, Target, Value, path,
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
    let subject = &survey.subjects[at];
    let judge = Judge { survey, subject };
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
        learn(survey, wanted_outputs, known, decision);
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
    needed: Option<&'a hive_contract::Address>,
) -> Verdict<'a> {
    let subject = &survey.subjects[at];
    let judge = Judge { survey, subject };
    let Some(desired) = subject.desired else { return decide_notice(survey, at) };
    let mut reasons = Vec::new();
    if matches!(subject.asked, Some(Asked::Run)) {
        reasons.push(Reason::Asked { command: "restart".to_owned() });
    }
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
    });
    Verdict::Touch(decisions.collect())
}

/// One subject being decided about.
struct Judge<'s, 'a> {
    survey: &'s Survey<'a>,
    subject: &'s Subject<'a>,
}

impl<'a> Judge<'_, 'a> {
    /// The names of all of its parts, each once.
    fn parts(&self) -> BTreeSet<&'a str> {
        let desired = self.subject.desired.into_iter().flat_map(|it| it.parts.keys());
        let recorded = self.subject.recorded.into_iter().flat_map(|it| it.parts.keys());
        desired.chain(recorded).map(String::as_str).collect()
    }

    fn target(&self, part: &str) -> Target {
        Target { address: self.subject.address.clone(), part: part.to_owned() }
    }

    fn part(&self, name: &str, known: &mut Known) -> Result<Option<Decision<'a>>, PlanError> {
        let target = self.target(name);
        let wanted = self.subject.desired.and_then(|it| it.parts.get(name));
        let wanted = wanted.filter(|it| it.lowered.sort == Sort::Object);
        let held = match held(self.subject, name) {
            Some(part) => Some(self.in_todays_form(&target, part, wanted)?),
            None => None,
        };
        match (wanted, held) {
            (Some(wanted), Some(held)) => self.both(target, wanted, held, known).map(Some),
            (Some(wanted), None) => self.new(target, wanted, known).map(Some),
            (None, Some(held)) => self.leave(target, held).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn in_todays_form(
        &self,
        target: &Target,
        part: &'a Part,
        wanted: Option<&LoweredPart>,
    ) -> Result<Held<'a>, PlanError> {
        if wanted.is_some_and(|it| it.provider == part.provider && it.form == part.form) {
            return Ok(Held { part, fields: Cow::Borrowed(&part.fields) });
        }
        let verbs = self.survey.question.verbs;
        match verbs.upgrade(&part.provider, part.form, part.fields.clone()) {
            Ok(fields) => Ok(Held { part, fields: Cow::Owned(fields) }),
            Err(why) => Err(PlanError::Form { target: target.clone(), why: why.to_string() }),
        }
    }

    /// Declared and never recorded: made, or taken into hive.
    fn new(
        &self,
        target: Target,
        part: &'a LoweredPart,
        known: &mut Known,
    ) -> Result<Decision<'a>, PlanError> {
        let live = self.survey.live(&part.place, &target)?;
        let adopts = self.must_adopt();
        if matches!(self.subject.asked, Some(Asked::Run)) {
            return Err(PlanError::NothingToRun(target.address));
        }
        let Some(live) = live else {
            if adopts {
                return Err(PlanError::NothingToAdopt(target.address));
            }
            let wanted = self.wanted(part, None, None, known)?;
            return Ok(self.decision(target, Action::Create, vec![Reason::Declared], wanted));
        };
        marks::may_take(self.survey.question, self.subject, &target, live)?;
        let wanted = self.wanted(part, Some(&live.fields), Some(live), known)?;
        let differences = self.differences(&wanted, None, live);
        if let Some(fixed) = forced(&wanted, &differences) {
            return Err(PlanError::Fixed { target, field: fixed });
        }
        let reason = match adopts {
            true => Reason::Asked { command: "adopt".to_owned() },
            false => Reason::Declared,
        };
        let reasons = reasons(vec![reason], &differences);
        let mut decision = self.decision(target, Action::Adopt, reasons, wanted);
        decision.differences = differences;
        decision.live = Some(live);
        Ok(decision)
    }

    /// Declared and recorded.
    fn both(
        &self,
        target: Target,
        part: &'a LoweredPart,
        held: Held<'a>,
        known: &mut Known,
    ) -> Result<Decision<'a>, PlanError> {
        let live = self.held_live(&held, &target)?;
        if let Some(live) = live {
            marks::may_change(self.survey.question, self.subject, &target, live)?;
        }
        let elsewhere = part.place != held.part.place;
        let renamed = self.subject.moved_from.is_none()
            && part.lowered.identity != held.part.lowered_identity;
        if elsewhere || renamed {
            return self.over(target, part, held, live, known);
        }
        let Some(live) = live else { return self.gone(target, part, held, known) };
        self.compared(target, part, held, live, known)
    }

    /// What is live of a recorded part: observed under the address it was recorded under.
    fn held_live(&self, held: &Held<'_>, target: &Target) -> Result<Option<&'a Live>, PlanError> {
        let Some(from) = self.subject.moved_from else {
            return self.survey.live(&held.part.place, target);
        };
        let target = Target { address: from.clone(), part: target.part.clone() };
        self.survey.live(&held.part.place, &target)
    }

    /// Recorded, and not there any more.
    fn gone(
        &self,
        target: Target,
        part: &'a LoweredPart,
        held: Held<'a>,
        known: &mut Known,
    ) -> Result<Decision<'a>, PlanError> {
        match (self.subject.asked, self.subject.moved_from) {
            (Some(Asked::Run), _) => return Err(PlanError::NothingToRun(target.address)),
            _ if self.must_adopt() => return Err(PlanError::NothingToAdopt(target.address)),
            (_, Some(from)) => {
                let why = "there is nothing live".to_owned();
                return Err(PlanError::Move { from: from.clone(), to: target.address, why });
            }
            _ => {}
        }
        let wanted = self.wanted(part, Some(&held.fields), None, known)?;
        let same = *wanted.fields == *held.fields;
        let reasons =
            if same { vec![Reason::Drift] } else { vec![Reason::Declared, Reason::Drift] };
        let mut decision = self.decision(target, Action::Create, reasons, wanted);
        decision.held = Some(held);
        Ok(decision)
    }

    /// At another place or under another identity: there anew, and here no more.
    fn over(
        &self,
        target: Target,
        part: &'a LoweredPart,
        held: Held<'a>,
        live: Option<&'a Live>,
        known: &mut Known,
    ) -> Result<Decision<'a>, PlanError> {
        let elsewhere = part.place != held.part.place;
        if elsewhere && let Some(there) = self.survey.live(&part.place, &target)? {
            marks::may_take(self.survey.question, self.subject, &target, there)?;
            let identity = there.identity.clone();
            let owner = there.mark.as_ref().map(ToString::to_string);
            return Err(PlanError::Exists { target, identity, owner });
        }
        let reason = match elsewhere {
            true => Reason::Moved { from: held.part.place.clone() },
            false => Reason::Forced { field: FieldPath::new(["identity"]) },
        };
        let wanted = self.wanted(part, None, None, known)?;
        let order = part.lowered.replace;
        let mut decision = self.decision(target, Action::Replace, vec![reason], wanted);
        // Two places hold two objects: the new one is there before the other goes.
        decision.order = if elsewhere { ReplaceOrder::CreateFirst } else { order };
        decision.held = Some(held);
        match live {
            Some(live) => {
                self.may_take_away(&decision.target, Action::Replace, live)?;
                decision.live = Some(live);
            }
            None => decision.action = Action::Create,
        }
        Ok(decision)
    }

    /// Declared, recorded and live.
    fn compared(
        &self,
        target: Target,
        part: &'a LoweredPart,
        held: Held<'a>,
        live: &'a Live,
        known: &mut Known,
    ) -> Result<Decision<'a>, PlanError> {
        let question = self.survey.question;
        let mut wanted = self.wanted(part, Some(&held.fields), Some(live), known)?;
        let mut differences = self.differences(&wanted, Some(&held), live);
        // A default that a newer form adds is nobody's change.
        if held.part.form != part.form && self.declared_as_recorded() {
            let fields = compare::without_new_defaults(&wanted.fields, &held.fields);
            let full = std::mem::replace(&mut wanted.fields, Cow::Owned(fields));
            if self.differences(&wanted, Some(&held), live).is_empty() {
                differences.clear();
                (wanted.fields, wanted.form) = (held.fields.clone(), held.part.form);
            } else {
                wanted.fields = full;
            }
        }
        let secrets = compare::moved_secrets(&wanted.fields, &held.part.secrets, &question.secrets);
        let taken_over = marks::taken_over(question, self.subject, live);
        let forced = forced(&wanted, &differences);
        let mut asked = Vec::new();
        let action = match self.subject.asked {
            _ if taken_over => Action::Adopt,
            _ if self.must_adopt() => return Err(PlanError::AlreadyHeld(target.address)),
            Some(Asked::MovedFrom(from)) => match forced {
                Some(field) => {
                    let why = format!("`{field}` differs and cannot be changed");
                    return Err(PlanError::Move { from: from.clone(), to: target.address, why });
                }
                None => Action::Adopt,
            },
            Some(Asked::Replace) => Action::Replace,
            _ if forced.is_some() => Action::Replace,
            Some(Asked::Run) => Action::Run,
            _ if !differences.is_empty() || !secrets.is_empty() => Action::Update,
            _ => Action::Keep,
        };
        asked.extend(self.asked_words(action).map(|command| Reason::Asked { command }));
        let mut reasons = reasons(asked, &differences);
        let fixed = differences.iter().filter(|it| fixes(part, &it.field));
        reasons.extend(fixed.map(|it| Reason::Forced { field: it.field.clone() }));
        reasons.extend(secrets);
        if action == Action::Replace {
            self.may_take_away(&target, action, live)?;
        }
        // Live is as declared, and the record says something else: only the record changes.
        let stale = action == Action::Keep
            && (held.part.unsure
                || !compare::same_record(&wanted.fields, &held.fields, self.ignore()));
        let action = if stale { Action::Update } else { action };
        if stale {
            reasons.push(Reason::Declared);
        }
        let mut decision = self.decision(target, action, reasons, wanted);
        decision.effect = !stale && action != Action::Keep;
        decision.differences = differences;
        decision.held = Some(held);
        decision.live = Some(live);
        Ok(decision)
    }

    /// Recorded and declared no more: taken away, or let go.
    fn leave(&self, target: Target, held: Held<'a>) -> Result<Decision<'a>, PlanError> {
        let live = self.survey.live(&held.part.place, &target)?;
        let action = if self.forgotten() { Action::Forget } else { Action::Delete };
        match live {
            // What is somebody else's by now has no mark of hive's that could be removed.
            Some(live) if action == Action::Forget => {
                let question = self.survey.question;
                marks::may_change(question, self.subject, &target, live)?;
            }
            Some(live) => self.may_take_away(&target, action, live)?,
            None => {}
        }
        let mut reasons = vec![self.because()];
        if live.is_none() {
            reasons.push(Reason::Drift);
        }
        Ok(Decision {
            target,
            sort: Sort::Object,
            action,
            effect: live.is_some(),
            reasons,
            differences: Vec::new(),
            wanted: None,
            held: Some(held),
            live,
            order: ReplaceOrder::default(),
        })
    }

    fn may_take_away(&self, target: &Target, action: Action, live: &Live) -> Result<(), PlanError> {
        let recorded = self.subject.recorded.map(|it| it.declared.protect);
        let desired = self.subject.desired.map(|it| it.declared.protect);
        // The stricter holds: a plan cannot loosen its own guard.
        if recorded == Some(true) || desired == Some(true) {
            return Err(PlanError::Protected { address: target.address.clone(), action });
        }
        marks::may_delete(self.survey.question, self.subject, target, live)
    }

    /// The declared fields with choices made and what is known filled in.
    fn wanted(
        &self,
        part: &'a LoweredPart,
        before: Option<&Fields>,
        live: Option<&Live>,
        known: &mut Known,
    ) -> Result<Wanted<'a>, PlanError> {
        let mut fields = Cow::Borrowed(&part.lowered.fields);
        let mut ports = BTreeSet::new();
        if has_choice(&fields) {
            let nothing = Facts::default();
            let facts = self.survey.question.facts.get(&part.place).unwrap_or(&nothing);
            let place = part.place.as_str();
            if !known.knows(place) {
                known.reserve(place, recorded_fields(self.survey, place));
            }
            let choice = Choice { place, facts, before, absent: live.is_none() };
            let chosen = known.choose(&fields, &choice)?;
            fields = Cow::Owned(chosen.fields);
            ports = chosen.ports;
        }
        if has_output(&fields) {
            fields = Cow::Owned(known.fill(&fields));
        }
        fields = compare::keeping_ignored(fields, live, self.ignore());
        Ok(Wanted { part, form: part.form, fields, ports })
    }

    fn differences(
        &self,
        wanted: &Wanted<'_>,
        held: Option<&Held<'_>>,
        live: &Live,
    ) -> Vec<Difference> {
        compare::differences(&Views {
            desired: Some(&wanted.fields),
            symbolic: Some(&wanted.part.lowered.fields),
            recorded: held.map(|it| &*it.fields),
            live,
            ignore: self.ignore(),
            unchanged: self.declared_as_recorded(),
        })
    }

    fn ignore(&self) -> &'a [Ignore] {
        match (self.subject.desired, self.subject.recorded) {
            (Some(desired), _) => &desired.declared.ignore,
            (None, Some(recorded)) => &recorded.declared.ignore,
            (None, None) => &[],
        }
    }

    fn declared(&self) -> Option<(&'a Declared, &'a Declared)> {
        Some((&self.subject.desired?.declared, &self.subject.recorded?.declared))
    }

    fn declared_as_recorded(&self) -> bool {
        self.declared().is_some_and(|(desired, recorded)| desired == recorded)
    }

    /// Whether the record says something else than the stack, beside its parts.
    fn record_differs(&self) -> bool {
        let Some(recorded) = self.subject.recorded else { return true };
        !self.declared_as_recorded() || recorded.edges != self.subject.edges
    }

    /// The first output that a gate is made of and that is not as recorded.
    fn moved_outputs(&self, known: &Known) -> Option<Reason> {
        let mut moved = None;
        self.subject.desired?.visit_outputs(&mut |reference| {
            let now = known.get(reference);
            if moved.is_none() && (now.is_none() || now != self.survey.recorded_output(reference)) {
                moved = Some(Reason::Dependency { address: reference.address.clone() });
            }
        });
        moved
    }

    fn forgotten(&self) -> bool {
        matches!(self.subject.asked, Some(Asked::Forget))
    }

    /// Why something is declared no more, or its record changes.
    fn because(&self) -> Reason {
        match &self.survey.question.command {
            _ if self.forgotten() => Reason::Asked { command: "forget".to_owned() },
            Command::Destroy => Reason::Asked { command: "destroy".to_owned() },
            _ => Reason::Declared,
        }
    }

    /// Whether a person asked for nothing but to take it into hive; `--take-over` beside another
    /// command only allows it.
    fn must_adopt(&self) -> bool {
        matches!(self.subject.asked, Some(Asked::Adopt { .. }))
            && self.survey.question.command == Command::Adopt
    }

    /// What a person asked for, where it is what happens.
    fn asked_words(&self, action: Action) -> Option<String> {
        let words = match (self.subject.asked?, action) {
            (Asked::Replace, Action::Replace) => "--replace",
            (Asked::Run, Action::Run) => "restart",
            (Asked::Adopt { .. }, Action::Adopt) => "--take-over",
            (Asked::MovedFrom(_), Action::Adopt) => "move",
            _ => return None,
        };
        Some(words.to_owned())
    }

    fn recorded_only(&self, action: Action, reasons: Vec<Reason>) -> Decision<'a> {
        let part = self.parts().into_iter().next().unwrap_or(hive_contract::address::MAIN);
        Decision {
            target: self.target(part),
            sort: Sort::Notice,
            action,
            effect: false,
            reasons,
            differences: Vec::new(),
            wanted: None,
            held: None,
            live: None,
            order: ReplaceOrder::default(),
        }
    }

    fn decision(
        &self,
        target: Target,
        action: Action,
        reasons: Vec<Reason>,
        wanted: Wanted<'a>,
    ) -> Decision<'a> {
        Decision {
            target,
            sort: Sort::Object,
            action,
            effect: action != Action::Keep,
            reasons,
            differences: Vec::new(),
            order: wanted.part.lowered.replace,
            wanted: Some(wanted),
            held: None,
            live: None,
        }
    }
}

/// Every recorded part's fields at a place.
fn recorded_fields<'s>(survey: &'s Survey<'_>, place: &str) -> impl Iterator<Item = &'s Fields> {
    let recorded = survey.question.recorded.into_iter().flat_map(|it| it.resources.values());
    let parts = recorded.flat_map(|it| it.parts.values());
    let place = place.to_owned();
    parts.filter(move |part| part.place == place).map(|part| &part.fields)
}

fn filled<'a>(known: &Known, fields: &'a Fields) -> Cow<'a, Fields> {
    if has_output(fields) { Cow::Owned(known.fill(fields)) } else { Cow::Borrowed(fields) }
}

fn has_output(fields: &Fields) -> bool {
    let mut found = false;
    hive_contract::value::visit_fields(fields, &mut |value| {
        found |= matches!(value, Value::Output(_));
    });
    found
}

/// The first difference in a field that a live object cannot change.
fn forced(wanted: &Wanted<'_>, differences: &[Difference]) -> Option<FieldPath> {
    let found = differences.iter().find(|it| fixes(wanted.part, &it.field));
    found.map(|it| it.field.clone())
}

fn fixes(part: &LoweredPart, field: &FieldPath) -> bool {
    part.lowered.immutable.iter().any(|it| it.covers(field) || field.covers(it))
}

/// What was asked, then the reasons of the differences, each once.
fn reasons(mut first: Vec<Reason>, differences: &[Difference]) -> Vec<Reason> {
    let more: BTreeSet<&Reason> = differences.iter().map(|it| &it.reason).collect();
    for reason in more {
        if !first.contains(reason) {
            first.push(reason.clone());
        }
    }
    first
}

/// Says which outputs of a part are known without a step: those that `lower` can say, and those
/// none of whose fields change.
fn learn<'a>(
    survey: &Survey<'a>,
    wanted_outputs: &BTreeSet<&OutputRef>,
    known: &mut Known,
    decision: &Decision<'a>,
) {
    let Some(wanted) = &decision.wanted else { return };
    for (name, output) in &wanted.part.lowered.outputs {
        let reference =
            OutputRef { address: decision.target.address.clone(), output: name.clone() };
        if !wanted_outputs.contains(&reference) {
            continue;
        }
        let value = match &output.value {
            Some(value) => {
                let value = output_value(value, &wanted.part.lowered.fields, &wanted.fields);
                Some(known.fill_value(&value)).filter(Value::is_known)
            }
            None => unmoved_output(survey, decision, &reference, &output.made_of).cloned(),
        };
        if let Some(value) = value {
            known.output(reference, value);
        }
    }
}

/// The value of an output that no step moves: the recorded one where what it is made of is declared
/// as it was recorded, the live one where that is live already.
pub(super) fn unmoved_output<'a>(
    survey: &Survey<'a>,
    decision: &Decision<'a>,
    reference: &OutputRef,
    made_of: &[FieldPath],
) -> Option<&'a Value> {
    let (wanted, live) = (decision.wanted.as_ref()?, decision.live?);
    if matches!(decision.action, Action::Replace | Action::Create | Action::Delete) {
        return None;
    }
    let same = |fields: &Fields| {
        made_of.iter().all(|field| path::get(fields, field) == path::get(&wanted.fields, field))
    };
    let says = live.outputs.get(&reference.output);
    match &decision.held {
        Some(held) if !held.part.unsure && same(&held.fields) => {
            survey.recorded_output(reference).or(says)
        }
        _ if same(&live.fields) => says,
        _ => None,
    }
}
