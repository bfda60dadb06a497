//! Compares one part three ways and judges what has to happen to it.

use super::compare::{self, Views};
use super::decide::{Decision, Held, Wanted};
use super::fill::{Choice, Known, has_choice};
use super::marks;
use super::model::Command;
use super::question::{Asked, PlanError};
use super::survey::{Subject, Survey, held};
use super::verbs::LoweredPart;
use hive_contract::{
    Action, Declared, Difference, Facts, FieldPath, Fields, Ignore, Live, Reason, ReplaceOrder,
    Sort, Target, Value,
};
use hive_state::Part;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// One subject being decided about.
pub(super) struct Judge<'s, 'a> {
    pub(super) survey: &'s Survey<'a>,
    pub(super) subject: &'s Subject<'a>,
}

impl<'a> Judge<'_, 'a> {
    /// The names of all of its parts, each once.
    pub(super) fn parts(&self) -> BTreeSet<&'a str> {
        let desired = self.subject.desired.into_iter().flat_map(|it| it.parts.keys());
        let recorded = self.subject.recorded.into_iter().flat_map(|it| it.parts.keys());
        desired.chain(recorded).map(String::as_str).collect()
    }

    pub(super) fn target(&self, part: &str) -> Target {
        Target { address: self.subject.address.clone(), part: part.to_owned() }
    }

    pub(super) fn part(
        &self,
        name: &str,
        known: &mut Known,
    ) -> Result<Option<Decision<'a>>, PlanError> {
        let target = self.target(name);
        let wanted = self.subject.desired.and_then(|it| it.parts.get(name));
        let wanted = wanted.filter(|it| it.lowered.sort == Sort::Object);
        let held = match held(self.subject, name) {
            Some(part) => Some(self.in_todays_form(&target, part, wanted)?),
            None => None,
        };
        match (wanted, held) {
            (Some(wanted), Some(held)) => self.both(target, wanted, held, known).map(Some),
            (Some(wanted), None) => self.unrecorded(target, wanted, known).map(Some),
            (None, Some(held)) => self.leave(target, held).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// One recorded part as it is recorded and live, whatever is declared.
    pub(super) fn as_recorded(&self, name: &str) -> Result<Option<Decision<'a>>, PlanError> {
        let target = self.target(name);
        let Some(part) = held(self.subject, name) else { return Ok(None) };
        let wanted = self.subject.desired.and_then(|it| it.parts.get(name));
        let held = self.in_todays_form(&target, part, wanted)?;
        let live = self.survey.live(&held.part.place, &target)?;
        if let Some(live) = live {
            marks::may_change(self.survey.question, self.subject, &target, live)?;
        }
        Ok(Some(Decision {
            target,
            sort: Sort::Object,
            action: Action::Keep,
            effect: false,
            reasons: Vec::new(),
            differences: Vec::new(),
            wanted: None,
            held: Some(held),
            live,
            order: ReplaceOrder::default(),
            run: None,
            halted: None,
        }))
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
    fn unrecorded(
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
        if self.only_recorded() {
            let wanted = self.wanted(part, None, live, known)?;
            return Ok(self.record_alone(target, Action::Create, wanted));
        }
        let Some(live) = live else {
            if adopts {
                return Err(PlanError::NothingToAdopt(target.address));
            }
            let wanted = self.wanted(part, None, None, known)?;
            let decision = self.decision(target, Action::Create, vec![Reason::Declared], wanted);
            return Ok(self.doing(decision));
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
        Ok(self.doing(decision))
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
        if self.only_recorded() {
            let wanted = self.wanted(part, Some(&held.fields), live, known)?;
            let same = compare::same_record(&wanted.fields, &held.fields, self.ignore());
            let action = if same { Action::Keep } else { Action::Update };
            let decision = self.record_alone(target, action, wanted);
            return Ok(Decision { held: Some(held), live, ..decision });
        }
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
        let meant = matches!(self.subject.asked, Some(Asked::Do(_) | Asked::Replace));
        if part.lowered.holds_data && !meant {
            return Err(PlanError::Lost { target, backup: None });
        }
        let wanted = self.wanted(part, Some(&held.fields), None, known)?;
        let same = *wanted.fields == *held.fields;
        let reasons =
            if same { vec![Reason::Drift] } else { vec![Reason::Declared, Reason::Drift] };
        let mut decision = self.decision(target, Action::Create, reasons, wanted);
        decision.held = Some(held);
        Ok(self.doing(decision))
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
        let there = match elsewhere {
            true => self.survey.live(&part.place, &target)?,
            false => self.survey.beside(&part.place, &target)?,
        };
        if let Some(there) = there {
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
        // Two systems hold two objects: the new one is there before the other goes. On one system
        // both may want the same port or the same file.
        let two = elsewhere && !self.on_one_system(&held.part.place, &part.place);
        decision.order = if two { ReplaceOrder::CreateFirst } else { order };
        decision.held = Some(held);
        match live {
            Some(live) => {
                self.may_take_away(&decision.target, Action::Replace, live)?;
                decision.live = Some(live);
            }
            None => decision.action = Action::Create,
        }
        Ok(self.doing(decision))
    }

    fn on_one_system(&self, one: &str, other: &str) -> bool {
        let question = self.survey.question;
        let recorded = question.recorded.map(|it| &it.places);
        let place =
            |id: &str| question.places.get(id).or_else(|| recorded.and_then(|it| it.get(id)));
        let system = |id: &str| place(id).map(|it| (&it.provider, &it.system));
        system(one).is_some() && system(one) == system(other)
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
        let unverified = !held.part.is_verified();
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
            _ if !differences.is_empty() || !secrets.is_empty() || unverified => Action::Update,
            _ => Action::Keep,
        };
        asked.extend(self.asked_words(action).map(|command| Reason::Asked { command }));
        let mut reasons = reasons(asked, &differences);
        let fixed = differences.iter().filter(|it| fixes(part, &it.field));
        reasons.extend(fixed.map(|it| Reason::Forced { field: it.field.clone() }));
        reasons.extend(secrets);
        if unverified && action == Action::Update {
            reasons.push(Reason::Unverified);
        }
        if action == Action::Replace {
            self.may_take_away(&target, action, live)?;
        }
        // Live is as declared, and the record says something else: only the record changes.
        let stale = action == Action::Keep
            && !compare::same_record(&wanted.fields, &held.fields, self.ignore());
        let action = if stale { Action::Update } else { action };
        if stale {
            reasons.push(Reason::Declared);
        }
        let mut decision = self.decision(target, action, reasons, wanted);
        decision.effect = !stale && action != Action::Keep;
        decision.differences = differences;
        decision.held = Some(held);
        decision.live = Some(live);
        Ok(self.doing(decision))
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
            effect: live.is_some() && !self.only_recorded(),
            reasons,
            differences: Vec::new(),
            wanted: None,
            held: Some(held),
            live,
            order: ReplaceOrder::default(),
            run: None,
            halted: None,
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
        if let Some(ahead) = live.and_then(|live| self.ahead(part, live)) {
            fields = Cow::Owned(ahead);
        }
        fields = compare::keeping_ignored(fields, before, live, self.ignore());
        Ok(Wanted { part, form: part.form, fields, ports })
    }

    /// What is live and newer than what is declared stays, unless the record declares it: then
    /// somebody took it out, and its provider says whether that may be. A snapshot that comes back
    /// is older by design.
    fn ahead(&self, part: &LoweredPart, live: &Live) -> Option<Fields> {
        if self.only_recorded() {
            return None;
        }
        let question = self.survey.question;
        let recorded = self.subject.recorded.map(|it| &it.declared);
        let recorded = recorded.filter(|_| !question.command.goes_back());
        question.verbs.ahead(&part.place, &part.lowered, recorded, live)
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
    pub(super) fn record_differs(&self) -> bool {
        let Some(recorded) = self.subject.recorded else { return true };
        !self.declared_as_recorded() || recorded.edges != self.subject.edges
    }

    /// The first output that a gate is made of and that is not as recorded.
    pub(super) fn moved_outputs(&self, known: &Known) -> Option<Reason> {
        let mut moved = None;
        self.subject.desired?.visit_outputs(&mut |reference| {
            let now = known.get(reference);
            if moved.is_none() && (now.is_none() || now != self.survey.recorded_output(reference)) {
                moved = Some(Reason::Dependency { address: reference.address.clone() });
            }
        });
        moved
    }

    pub(super) fn forgotten(&self) -> bool {
        matches!(self.subject.asked, Some(Asked::Forget))
    }

    /// Why something is declared no more, or its record changes.
    pub(super) fn because(&self) -> Reason {
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

    pub(super) fn recorded_only(&self, action: Action, reasons: Vec<Reason>) -> Decision<'a> {
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
            run: None,
            halted: None,
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
            run: None,
            halted: None,
        }
    }

    /// Whether something else in this plan makes it as it is declared.
    fn only_recorded(&self) -> bool {
        matches!(self.subject.asked, Some(Asked::Record))
    }

    /// Only its record becomes what is declared.
    fn record_alone(&self, target: Target, action: Action, wanted: Wanted<'a>) -> Decision<'a> {
        let command = self.survey.question.command.to_string();
        let decision = self.decision(target, action, vec![Reason::Asked { command }], wanted);
        Decision { effect: false, ..decision }
    }

    /// The same with what a person asked of its provider. What runs in front of its users is made
    /// as it is declared first; of anything else that is all that happens.
    fn doing(&self, mut decision: Decision<'a>) -> Decision<'a> {
        let Some(Asked::Do(run)) = self.subject.asked else { return decision };
        let first = decision.wanted.as_ref().is_some_and(|it| it.part.lowered.before_users);
        let makes = matches!(decision.action, Action::Create | Action::Update | Action::Adopt);
        let alone = match decision.action {
            Action::Keep => true,
            // Its record alone differs, and is made right by the run too.
            Action::Update if !decision.effect => true,
            _ => makes && !first,
        };
        if alone {
            decision.action = Action::Run;
        }
        let command = self.survey.question.command.to_string();
        decision.reasons.insert(0, Reason::Asked { command });
        decision.effect = true;
        decision.run = Some(run.clone());
        decision
    }
}

/// Every recorded part's fields at a place.
fn recorded_fields<'s>(survey: &'s Survey<'_>, place: &str) -> impl Iterator<Item = &'s Fields> {
    let recorded = survey.question.recorded.into_iter().flat_map(|it| it.resources.values());
    let parts = recorded.flat_map(|it| it.parts.values());
    let place = place.to_owned();
    parts.filter(move |part| part.place == place).map(|part| &part.fields)
}

pub(super) fn filled<'a>(known: &Known, fields: &'a Fields) -> Cow<'a, Fields> {
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
