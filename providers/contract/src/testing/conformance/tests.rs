//! The suite on the in-memory world, and on providers that break one law each.

use super::{Fixtures, Trouble, run};
use crate::Secrets;
use crate::outcome::Upgraded;
use crate::provider::{Context as Lent, Unguarded};
use crate::testing::{FORM, Fault, Spot, World, WorldProvider};
use crate::{
    Ask, Change, Declared, Event, Failure, FailureKind, Fields, Fingerprint, Invalid, LowerScope,
    Lowered, Observation, Observed, Operation, Outcome, Perform, Place, Provider, Rehearsal,
    Resolution, SecretRef, StackMark, Task, Token, Value,
};
use secrecy::ExposeSecret;
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

struct Things {
    world: World,
    fields: Fields,
    second: Fields,
}

impl Things {
    fn new(world: World, extra: &[(&str, Value)]) -> Self {
        let mut fields = Fields::from([
            ("weight".to_owned(), Value::Int(1)),
            ("label".to_owned(), "one".into()),
            ("replace".to_owned(), "create-first".into()),
            ("ports".to_owned(), Value::List(vec!["http".into()])),
            (
                "immutable".to_owned(),
                Value::Map(Fields::from([("size".to_owned(), Value::Int(1))])),
            ),
        ]);
        fields.extend(extra.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        let mut second = fields.clone();
        second.insert("weight".to_owned(), Value::Int(2));
        second.remove("label");
        Self { world, fields, second }
    }

    fn declare(&self, fields: Fields) -> Declared {
        Declared {
            address: "thing.a".parse().expect("address"),
            fields,
            uses: BTreeSet::new(),
            protect: false,
            ignore: Vec::new(),
        }
    }

    fn spot(&self) -> Option<Spot> {
        self.world.objects().into_keys().next()
    }
}

impl Fixtures for Things {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(WorldProvider::new(self.world.clone(), "world", Fields::new()))
    }

    fn owner(&self) -> StackMark {
        let text = str::to_owned;
        StackMark { store: text("s1"), stack: text("demo"), environment: text("dev") }
    }

    fn declared(&self, version: u32) -> Declared {
        self.declare(if version == 2 { self.second.clone() } else { self.fields.clone() })
    }

    fn replaced(&self) -> Option<Declared> {
        let mut fields = self.fields.clone();
        let size = Fields::from([("size".to_owned(), Value::Int(2))]);
        fields.insert("immutable".to_owned(), Value::Map(size));
        Some(self.declare(fields))
    }

    fn with_secret(&self) -> Option<Declared> {
        let mut fields = self.fields.clone();
        fields.insert("password".to_owned(), Value::Secret(SecretRef::env("PASSWORD")));
        Some(self.declare(fields))
    }

    fn forms(&self) -> Vec<(u32, Fields, Fields)> {
        let form_1 = Fields::from([("size".to_owned(), Value::Int(7))]);
        let today = Fields::from([("weight".to_owned(), Value::Int(7))]);
        vec![(1, form_1, today)]
    }

    fn trouble(&self, trouble: Trouble) -> Option<Task<'_, ()>> {
        let always = |kind| self.world.trouble("*", Failure::new(kind, "not today").retryable());
        let spot = self.spot()?;
        match trouble {
            Trouble::Forbidden => always(FailureKind::Forbidden),
            Trouble::Unavailable => always(FailureKind::Unavailable),
            Trouble::Malformed => always(FailureKind::Malformed),
            Trouble::Slow => {
                self.world.script(&spot.1, [Fault::Wait { before_ms: 0, after_ms: 500 }]);
            }
            Trouble::Unhealthy => self.world.script(&spot.1, [Fault::Unhealthy]),
            Trouble::Meddled => {
                let fields = Fields::from([("weight".to_owned(), Value::Int(99))]);
                self.world.meddle(&spot, "a passer-by", fields);
            }
            Trouble::Gone => self.world.wreck(&spot),
        }
        Some(Box::pin(async {}))
    }

    fn calm(&self) -> Task<'_, ()> {
        self.world.calm();
        Box::pin(async {})
    }

    fn witness(&self) -> Option<Task<'_, String>> {
        Some(Box::pin(async { format!("{:?}", self.world.picture()) }))
    }
}

/// Runs a future that waits for nothing but a few polls of its own.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
    panic!("it waits for something that never comes")
}

/// A way to wait that takes one more poll and no time.
fn one_poll(_ms: u64) -> Task<'static, ()> {
    let mut polled = false;
    Box::pin(std::future::poll_fn(move |context| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }))
}

fn sleepy(world: World) -> World {
    world.lend_sleeper(Arc::new(one_poll));
    world
}

#[test]
fn the_world_conforms() {
    let world = World::new();
    assert_eq!(block_on(run(&Things::new(world.clone(), &[]))), Ok(vec![]));
    assert_eq!(world.log_faults(), Vec::<String>::new());
    assert!(world.objects().is_empty(), "the suite leaves nothing");
}

#[test]
fn the_world_conforms_where_everything_takes_long() {
    let extra =
        [("settle_ms", Value::Int(50)), ("writes", Value::Int(2)), ("steps", Value::Int(2))];
    let world = sleepy(World::new());
    assert_eq!(block_on(run(&Things::new(world.clone(), &extra))), Ok(vec![]));
    assert_eq!(world.log_faults(), Vec::<String>::new());
}

#[test]
fn the_forgetful_world_conforms_and_seals_nothing() {
    let extra = [("settle_ms", Value::Int(50)), ("writes", Value::Int(2))];
    let world = sleepy(World::forgetful());
    assert_eq!(block_on(run(&Things::new(world.clone(), &extra))), Ok(vec!["sealed"]));
    assert_eq!(world.log_faults(), Vec::<String>::new());
}

#[test]
fn a_gate_of_the_world_conforms() {
    let mut things = Things::new(World::new(), &[("gate", Value::Bool(true))]);
    things.second.insert("doomed".to_owned(), "unhealthy".into());
    let wrong = block_on(run(&things));
    assert_eq!(wrong, Ok(vec![]));
    assert_eq!(FORM, 2, "a new form needs its fixture here");
}

#[test]
fn a_notice_of_the_world_conforms() {
    let things = Things::new(World::new(), &[("notice", Value::Bool(true))]);
    assert_eq!(block_on(run(&things)), Ok(vec![]));
}

/// A law that a provider breaks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Breaks {
    TellsSecrets,
    IgnoresTokens,
    IgnoresTheGuard,
    IgnoresWhatIsLive,
    CallsTheUnreadableAbsent,
    GivesUpWithoutSealing,
    SucceedsTooSoon,
}

/// The world's provider, less one law.
struct Lawless(WorldProvider, Breaks);

impl Provider for Lawless {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn place(&self) -> Place {
        self.0.place()
    }

    fn form(&self) -> u32 {
        self.0.form()
    }

    fn upgrade(&self, form: u32, fields: Fields) -> Upgraded {
        self.0.upgrade(form, fields)
    }

    fn lower(&self, declared: &Declared, scope: &LowerScope) -> Result<Lowered, Vec<Invalid>> {
        self.0.lower(declared, scope)
    }

    fn steps(&self, change: &Change, rehearsal: Option<&Rehearsal>) -> Vec<Operation> {
        self.0.steps(change, rehearsal)
    }

    fn observe<'a>(
        &'a self,
        ask: &'a Ask,
        secrets: &'a Secrets,
    ) -> Task<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let mut observation = self.0.observe(ask, secrets).await?;
            if self.1 == Breaks::CallsTheUnreadableAbsent {
                for found in observation.found.values_mut().filter(|found| found.is_err()) {
                    *found = Ok(Observed::Absent);
                }
            }
            Ok(observation)
        })
    }

    fn perform<'a>(
        &'a self,
        request: &'a Perform,
        context: &'a Lent<'a>,
    ) -> Task<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            let mut request = request.clone();
            let mut guard = context.guard;
            match self.1 {
                Breaks::TellsSecrets => {
                    for reference in context.secrets.references() {
                        let value = context.secrets.text(&Value::Secret(reference.clone()));
                        let value = value.map(|it| it.expose_secret().to_owned());
                        context.event(Event::info(format!("with {value:?}")));
                    }
                }
                Breaks::IgnoresTokens => {
                    let count = self.0.world().log().len();
                    request.token = Token::from_text(&format!("{}-{count}", request.token));
                    let live = self.0.world().objects().into_values().next();
                    request.expected = live
                        .as_ref()
                        .map(|it| Fingerprint::of_managed(&it.fields, &request.managed));
                }
                Breaks::IgnoresTheGuard => guard = &Unguarded,
                Breaks::IgnoresWhatIsLive => {
                    let live = self.0.world().objects().into_values().next();
                    request.expected = live
                        .as_ref()
                        .map(|it| Fingerprint::of_managed(&it.fields, &request.managed));
                }
                _ => {}
            }
            let context = Lent {
                secrets: context.secrets,
                guard,
                events: context.events,
                cancel: context.cancel,
            };
            let result = self.0.perform(&request, &context).await;
            match result {
                Err(failure)
                    if self.1 == Breaks::SucceedsTooSoon
                        && failure.kind == FailureKind::Unhealthy =>
                {
                    Ok(Outcome::nothing())
                }
                result => result,
            }
        })
    }

    fn resolve<'a>(
        &'a self,
        request: &'a Perform,
        context: &'a Lent<'a>,
    ) -> Task<'a, Result<Resolution, Failure>> {
        Box::pin(async move {
            if self.1 == Breaks::GivesUpWithoutSealing {
                return Ok(Resolution::NotStarted { sealed: true });
            }
            self.0.resolve(request, context).await
        })
    }
}

struct LawlessThings(Things, Breaks);

impl Fixtures for LawlessThings {
    fn provider(&self) -> Arc<dyn Provider> {
        let provider = WorldProvider::new(self.0.world.clone(), "world", Fields::new());
        Arc::new(Lawless(provider, self.1))
    }

    fn owner(&self) -> StackMark {
        self.0.owner()
    }

    fn declared(&self, version: u32) -> Declared {
        self.0.declared(version)
    }

    fn with_secret(&self) -> Option<Declared> {
        self.0.with_secret()
    }

    fn forms(&self) -> Vec<(u32, Fields, Fields)> {
        self.0.forms()
    }

    fn trouble(&self, trouble: Trouble) -> Option<Task<'_, ()>> {
        self.0.trouble(trouble)
    }

    fn calm(&self) -> Task<'_, ()> {
        self.0.calm()
    }

    fn witness(&self) -> Option<Task<'_, String>> {
        self.0.witness()
    }
}

#[test]
fn every_broken_law_is_found_by_the_check_that_is_named_for_it() {
    for (breaks, check) in [
        (Breaks::TellsSecrets, "no secret shown: "),
        (Breaks::IgnoresTokens, "same token twice: "),
        (Breaks::IgnoresTheGuard, "guarded update: it wrote without asking the guard"),
        (Breaks::IgnoresWhatIsLive, "stale: a stale update was done"),
        (Breaks::CallsTheUnreadableAbsent, "forbidden: `observe` says Ok(Absent)"),
        (Breaks::GivesUpWithoutSealing, "sealed: a step that was resolved as not started"),
        (Breaks::SucceedsTooSoon, "unhealthy: what does not work says Ok"),
    ] {
        let things = LawlessThings(Things::new(World::new(), &[]), breaks);
        let wrong = block_on(run(&things)).expect_err("a broken law is found");
        assert!(wrong.iter().any(|it| it.starts_with(check)), "{breaks:?}: {wrong:#?}");
    }
}
