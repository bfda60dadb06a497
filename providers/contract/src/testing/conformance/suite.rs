//! What the checks share: a very small planner and executor over one resource.

use super::{CANARY, Checked, Fixtures, Verdict};
use crate::address::Target;
use crate::change::{Action, Change, Difference, Reason};
use crate::declared::Declared;
use crate::event::Event;
use crate::fingerprint::Fingerprint;
use crate::live::{Ask, AskOne, Facts, Live, Observed};
use crate::lowered::Lowered;
use crate::mark::{Mark, StackMark, Token, Way};
use crate::operation::{Expects, Operation, Undo};
use crate::outcome::{Failure, Outcome, Resolution};
use crate::path::{self, FieldPath};
use crate::provider::{Context, Guard, LowerScope, Perform, Provider, Unguarded};
use crate::secret::Secrets;
use crate::value::{Fields, Pick, Value, secrets_in};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

pub(super) struct Suite<'a> {
    pub(super) fixtures: &'a dyn Fixtures,
    tokens: AtomicU32,
    /// How each identity that was lowered is reached.
    access: Mutex<BTreeMap<String, Fields>>,
    /// Everything that the provider ever said.
    said: Mutex<String>,
}

/// How one call of `perform` is made.
pub(super) struct How<'a> {
    pub(super) guard: &'a dyn Guard,
    pub(super) cancel: bool,
    pub(super) hand_over: bool,
    /// After how many polls it is dropped.
    pub(super) polls: Option<u32>,
}

impl Default for How<'_> {
    fn default() -> Self {
        Self { guard: &Unguarded, cancel: false, hand_over: true, polls: None }
    }
}

/// One change with its operations, ready to be performed one by one.
pub(super) struct Run {
    pub(super) change: Change,
    pub(super) operations: Vec<Operation>,
    pub(super) managed: Vec<FieldPath>,
    pub(super) mark: Mark,
}

impl<'a> Suite<'a> {
    pub(super) fn new(fixtures: &'a dyn Fixtures) -> Self {
        Self {
            fixtures,
            tokens: AtomicU32::new(0),
            access: Mutex::default(),
            said: Mutex::new(String::new()),
        }
    }

    /// What is there, changed: by an update, else by a delete where no field of it can change.
    pub(super) fn touch(&self) -> Action {
        if self.fixtures.changes() { Action::Update } else { Action::Delete }
    }

    pub(super) fn provider(&self) -> Arc<dyn Provider> {
        self.fixtures.provider()
    }

    pub(super) fn mark(&self) -> Mark {
        let address = self.fixtures.declared(1).address;
        Mark { owner: self.fixtures.owner(), address }
    }

    /// The mark of the same stack in another store.
    pub(super) fn foreign_mark(&self) -> Mark {
        let owner = StackMark { store: "another-store".to_owned(), ..self.fixtures.owner() };
        Mark { owner, ..self.mark() }
    }

    pub(super) fn token(&self) -> Token {
        let count = self.tokens.fetch_add(1, Ordering::SeqCst);
        Token::new(&Fingerprint::of("conformance"), "suite", count, Way::There, 1)
    }

    pub(super) fn hear(&self, what: &impl Debug) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.push_str(&format!("{what:?}\n"));
    }

    fn hear_json(&self, what: &impl Serialize) {
        self.hear(&serde_json::to_string(what).unwrap_or_default());
    }

    /// Whether a secret's value stands anywhere in what the provider said.
    pub(super) fn no_canary(&self) -> Checked {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        match said.find(CANARY) {
            None => Ok(Verdict::Holds),
            Some(at) => {
                let from = said[..at].char_indices().rev().nth(80).map_or(0, |(at, _)| at);
                Err(format!("the value of a secret is in: {}…", &said[from..at]))
            }
        }
    }

    pub(super) fn lower(&self, declared: &Declared) -> Result<Lowered, String> {
        let scope = LowerScope { owner: self.fixtures.owner() };
        let lowered = self.provider().lower(declared, &scope);
        self.hear(&lowered);
        if let Ok(lowered) = &lowered {
            let mut access = self.access.lock().unwrap_or_else(PoisonError::into_inner);
            access.insert(lowered.identity.clone(), lowered.access.clone());
        }
        lowered.map_err(|wrong| format!("`lower` refuses the fixture: {wrong:?}"))
    }

    /// How an identity is reached, as the planner would know from what it lowered.
    pub(super) fn access(&self, identity: &str) -> Fields {
        let access = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        access.get(identity).cloned().unwrap_or_default()
    }

    /// A version of the resource with the planner's choices made.
    pub(super) async fn desired(
        &self,
        declared: &Declared,
        recorded: Option<&Fields>,
    ) -> Result<Lowered, String> {
        let mut lowered = self.lower(declared)?;
        let ask = Ask { facts: true, ..Ask::default() };
        let observation =
            self.provider().observe(&ask, &Secrets::default()).await.map_err(|it| said(&it))?;
        let mut chosen = BTreeSet::new();
        let fields = Value::Map(lowered.fields.clone());
        let before = recorded.cloned().map(Value::Map);
        let filled = choose(&fields, before.as_ref(), &observation.facts, &mut chosen);
        lowered.fields = filled.as_map().cloned().unwrap_or_default();
        Ok(lowered)
    }

    pub(super) async fn look(&self, identity: &str) -> Result<Observed, Failure> {
        let target = Target::main(self.mark().address);
        let one = AskOne {
            target: target.clone(),
            identity: identity.to_owned(),
            access: self.access(identity),
        };
        let ask = Ask { parts: vec![one], ..Ask::default() };
        let observation = self.provider().observe(&ask, &Secrets::default()).await;
        self.hear(&observation);
        let missing = || {
            Failure::new(
                crate::outcome::FailureKind::Malformed,
                format!("`observe` gave no answer for {target}"),
            )
        };
        observation?.found.remove(&target).unwrap_or_else(|| Err(missing()))
    }

    pub(super) async fn live(&self, identity: &str) -> Result<Live, String> {
        match self.look(identity).await {
            Ok(Observed::Present(live)) => Ok(live),
            Ok(Observed::Absent) => Err(format!("nothing is there by `{identity}`")),
            Err(failure) => Err(said(&failure)),
        }
    }

    pub(super) async fn absent(&self, identity: &str) -> Result<(), String> {
        match self.look(identity).await {
            Ok(Observed::Absent) => Ok(()),
            other => Err(format!("something is there by `{identity}`: {other:?}")),
        }
    }

    /// Checks that what is live is as desired and ours, and says what it says of itself.
    pub(super) async fn as_desired(&self, desired: &Lowered) -> Result<Live, String> {
        let live = self.live(&desired.identity).await?;
        if let Some(field) = first_difference(&desired.fields, &live.fields) {
            let (wanted, found) =
                (path::get(&desired.fields, &field), path::get(&live.fields, &field));
            return Err(format!("`{field}` should be {wanted:?} and is {found:?}"));
        }
        if live.mark != Some(self.mark()) {
            return Err(format!("its mark is {:?}", live.mark));
        }
        if let Some(output) = desired.outputs.keys().find(|it| !live.outputs.contains_key(*it)) {
            return Err(format!("`lower` names the output `{output}`, and live has none"));
        }
        Ok(live)
    }

    /// What is there, told by the witness, else by `observe`.
    pub(super) async fn picture(&self, identity: &str) -> Result<String, String> {
        match self.fixtures.witness() {
            Some(witness) => Ok(witness.await),
            None => {
                let observed = self.look(identity).await.map_err(|it| said(&it))?;
                let fields = observed.live().map(|live| (&live.fields, &live.mark));
                Ok(serde_json::to_string(&fields).unwrap_or_default())
            }
        }
    }

    /// A change, as the planner would make it.
    pub(super) async fn plan(
        &self,
        action: Action,
        desired: Option<&Lowered>,
        recorded: Option<&Lowered>,
    ) -> Result<Run, String> {
        let known = desired.or(recorded).ok_or("neither desired nor recorded")?;
        let identity = known.identity.clone();
        let observed = self.look(&identity).await.map_err(|it| said(&it))?.live().cloned();
        let managed = managed(desired, recorded);
        let change = Change {
            desired: desired.cloned(),
            recorded: recorded.map(|it| it.fields.clone()),
            differences: differences(desired, recorded, observed.as_ref(), &managed),
            observed,
            before: recorded.cloned().map(Box::new),
            ..Change::new(Target::main(self.mark().address), action, identity)
        };
        let provider = self.provider();
        let operations = provider.steps(&change, None);
        has_effects(&operations)?;
        if operations != provider.steps(&change, None) {
            return Err(format!("`steps` says something else each time for {action}"));
        }
        self.hear_json(&operations);
        Ok(Run { change, operations, managed, mark: self.mark() })
    }

    /// Plans and performs a change to its end.
    pub(super) async fn change(
        &self,
        action: Action,
        desired: Option<&Lowered>,
        recorded: Option<&Lowered>,
    ) -> Result<Done, String> {
        let run = self.plan(action, desired, recorded).await?;
        if run.operations.is_empty() {
            return Err(format!("`steps` has no operation for {action}"));
        }
        self.perform_all(run).await
    }

    pub(super) async fn perform_all(&self, run: Run) -> Result<Done, String> {
        let mut left = run.change.observed.as_ref().map(|live| live.fields.clone());
        let mut requests = Vec::new();
        for operation in run.operations.clone() {
            let request = run.request(operation, left.as_ref(), self.token());
            let outcome = self.perform(&request, How::default()).await;
            let outcome = outcome.map_err(|it| format!("{}: {}", run.change.action, said(&it)))?;
            left = outcome.live.as_ref().map(|live| live.fields.clone());
            requests.push((request, outcome));
        }
        Ok(Done { run, requests })
    }

    /// Takes back what was performed, last first.
    pub(super) async fn undo(&self, done: &Done) -> Result<(), String> {
        let mut left = done.requests.last().and_then(|(_, it)| it.live.clone()).map(|it| it.fields);
        for (request, _) in done.requests.iter().rev() {
            match &request.operation.undo {
                Undo::Nothing => {}
                Undo::None { why } => return Err(format!("nothing takes it back: {why}")),
                Undo::By(undo) => {
                    let request = done.run.request((**undo).clone(), left.as_ref(), self.token());
                    let outcome = self.perform(&request, How::default()).await;
                    let outcome = outcome.map_err(|it| format!("undo: {}", said(&it)))?;
                    left = outcome.live.map(|live| live.fields);
                }
            }
        }
        Ok(())
    }

    /// One call of `perform` that is let run to its end.
    pub(super) async fn perform(
        &self,
        request: &Perform,
        how: How<'_>,
    ) -> Result<Outcome, Failure> {
        match self.try_perform(request, how).await {
            Some(result) => result,
            None => Err(Failure::new(crate::outcome::FailureKind::TimedOut, "it was cut off")),
        }
    }

    /// One call of `perform` on a new connection; none where it was dropped half-way.
    pub(super) async fn try_perform(
        &self,
        request: &Perform,
        how: How<'_>,
    ) -> Option<Result<Outcome, Failure>> {
        let provider = self.provider();
        let secrets = self.secrets(request, how.hand_over);
        let cancel = AtomicBool::new(how.cancel);
        let events = |event: Event| self.hear_json(&event);
        let context =
            Context { secrets: &secrets, guard: how.guard, events: &events, cancel: &cancel };
        let mut task = provider.perform(request, &context);
        let mut polls = 0;
        let result = poll_fn(|waker| {
            if how.polls == Some(polls) {
                return Poll::Ready(None);
            }
            polls += 1;
            match task.as_mut().poll(waker) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending if how.polls == Some(polls) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        drop(task);
        self.hear(&result);
        result
    }

    pub(super) async fn resolve(&self, request: &Perform) -> Result<Resolution, String> {
        let provider = self.provider();
        let secrets = self.secrets(request, true);
        let cancel = AtomicBool::new(false);
        let events = |event: Event| self.hear_json(&event);
        let context =
            Context { secrets: &secrets, guard: &Unguarded, events: &events, cancel: &cancel };
        let resolution = provider.resolve(request, &context).await;
        self.hear(&resolution);
        resolution.map_err(|it| format!("resolve: {}", said(&it)))
    }

    fn secrets(&self, request: &Perform, hand_over: bool) -> Secrets {
        let mut secrets = Secrets::default();
        if hand_over {
            for reference in secrets_in(&request.operation.payload) {
                secrets.insert(reference, CANARY.into());
            }
        }
        secrets
    }

    /// Takes away whatever a check left, whosever it is.
    pub(super) async fn clear(&self) -> Result<(), String> {
        self.fixtures.calm().await;
        let mut versions = vec![self.fixtures.declared(1), self.fixtures.declared(2)];
        versions.extend(self.fixtures.replaced());
        versions.extend(self.fixtures.with_secret());
        let mut identities = BTreeMap::new();
        for declared in versions {
            let lowered = self.lower(&declared)?;
            identities.insert(lowered.identity.clone(), lowered);
        }
        for (identity, lowered) in identities {
            let Some(live) = self.look(&identity).await.map_err(|it| said(&it))?.live().cloned()
            else {
                continue;
            };
            let mark = match live.mark.clone() {
                Some(mark) => mark,
                None => {
                    let there = Lowered { fields: live.fields.clone(), ..lowered.clone() };
                    self.change(Action::Adopt, Some(&there), None).await?;
                    self.mark()
                }
            };
            let recorded = Lowered { fields: live.fields, ..lowered };
            let mut run = self.plan(Action::Delete, None, Some(&recorded)).await?;
            run.mark = mark;
            self.perform_all(run).await?;
        }
        self.fixtures.wipe().await;
        Ok(())
    }
}

/// A change that was performed, each request with what came of it.
pub(super) struct Done {
    pub(super) run: Run,
    pub(super) requests: Vec<(Perform, Outcome)>,
}

impl Run {
    pub(super) fn request(
        &self,
        operation: Operation,
        live: Option<&Fields>,
        token: Token,
    ) -> Perform {
        let expected = match operation.expects {
            Expects::Content => live.map(|it| Fingerprint::of_managed(it, &self.managed)),
            Expects::Absent | Expects::Anything => None,
        };
        Perform {
            target: self.change.target.clone(),
            identity: self.change.identity.clone(),
            mark: self.mark.clone(),
            operation,
            expected,
            managed: self.managed.clone(),
            token,
            facts: BTreeMap::new(),
        }
    }

    /// The first operation as a request against what is live now.
    pub(super) fn first(&self, token: Token) -> Result<Perform, String> {
        let operation = self.operations.first().cloned();
        let operation = operation
            .ok_or_else(|| format!("`steps` has no operation for {}", self.change.action))?;
        Ok(self.request(operation, self.change.observed.as_ref().map(|it| &it.fields), token))
    }
}

/// What an object's operation or its undo expects is the content that was seen, or nothing: only a
/// check expects anything.
fn has_effects(operations: &[Operation]) -> Result<(), String> {
    let undos = operations.iter().filter_map(|it| match &it.undo {
        Undo::By(undo) => Some(&**undo),
        _ => None,
    });
    match operations.iter().chain(undos).find(|it| it.expects == Expects::Anything) {
        Some(it) => Err(format!("`{}` has an effect and would meet anything", it.verb)),
        None => Ok(()),
    }
}

/// A failure in words, with its sort.
pub(super) fn said(failure: &Failure) -> String {
    format!("{:?}: {failure}", failure.kind)
}

fn managed(desired: Option<&Lowered>, recorded: Option<&Lowered>) -> Vec<FieldPath> {
    let fields = [desired, recorded].into_iter().flatten().map(|it| &it.fields);
    let paths: BTreeSet<FieldPath> = fields.flat_map(path::leaves).collect();
    let mut kept: Vec<FieldPath> = Vec::new();
    for path in paths {
        if kept.last().is_none_or(|last| !last.covers(&path)) {
            kept.push(path);
        }
    }
    kept
}

fn differences(
    desired: Option<&Lowered>,
    recorded: Option<&Lowered>,
    observed: Option<&Live>,
    managed: &[FieldPath],
) -> Vec<Difference> {
    let (Some(desired), Some(live)) = (desired, observed) else { return Vec::new() };
    let differs = managed.iter().filter_map(|field| {
        let wanted = path::get(&desired.fields, field);
        let found = path::get(&live.fields, field);
        (wanted != found).then(|| Difference {
            field: field.clone(),
            recorded: recorded.and_then(|it| path::get(&it.fields, field)).cloned(),
            observed: found.cloned(),
            desired: wanted.cloned(),
            reason: Reason::Declared,
            moved_by: None,
        })
    });
    differs.collect()
}

fn first_difference(desired: &Fields, live: &Fields) -> Option<FieldPath> {
    let nothing = |value: Option<&Value>| match value {
        None => true,
        Some(value) => value.as_map().is_some_and(Fields::is_empty),
    };
    path::leaves(desired).into_iter().find(|field| {
        let (wanted, found) = (path::get(desired, field), path::get(live, field));
        wanted != found && !(nothing(wanted) && nothing(found))
    })
}

fn choose(
    value: &Value,
    before: Option<&Value>,
    facts: &Facts,
    chosen: &mut BTreeSet<u16>,
) -> Value {
    match value {
        Value::Pick(Pick::Port { .. }) => match before {
            Some(Value::Int(port)) => Value::Int(*port),
            _ => {
                let (from, to) = facts.ports.unwrap_or((20_000, 29_999));
                let free =
                    |port: &u16| !facts.taken_ports.contains_key(port) && !chosen.contains(port);
                let port = (from..=to).find(free).unwrap_or_default();
                chosen.insert(port);
                Value::Int(i64::from(port))
            }
        },
        Value::Map(fields) => {
            let before = before.and_then(Value::as_map);
            let filled = fields.iter().map(|(key, value)| {
                let before = before.and_then(|it| it.get(key));
                (key.clone(), choose(value, before, facts, chosen))
            });
            Value::Map(filled.collect())
        }
        Value::List(values) => {
            let before = before.and_then(Value::as_list).unwrap_or_default();
            let filled = values
                .iter()
                .enumerate()
                .map(|(at, value)| choose(value, before.get(at), facts, chosen));
            Value::List(filled.collect())
        }
        other => other.clone(),
    }
}
