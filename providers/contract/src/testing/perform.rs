//! Effects on the in-memory world, one token one effect.

use super::effect::{changed, completed, doomed, halve, mark_in, rolls_out};
use super::lower::unfilled;
use super::provider::WorldProvider;
use super::script::Fault;
use super::world::{Became, HEALTHY, Object, Spot, World};
use crate::event::Event;
use crate::fingerprint::Fingerprint;
use crate::mark::Mark;
use crate::outcome::{Failure, FailureKind, Outcome, Remains};
use crate::provider::{Context, Perform};
use crate::value::{Value, secrets_in};
use secrecy::ExposeSecret;
use std::collections::BTreeMap;

/// How long a gate waits between two looks, in milliseconds.
const EVERY_MS: u64 = 100;

/// One call, with everything that its helpers need.
struct Call<'a> {
    world: &'a World,
    spot: Spot,
    request: &'a Perform,
    context: &'a Context<'a>,
    fault: Fault,
    /// What is left of the deadline.
    left_ms: u64,
}

pub(super) async fn perform(
    provider: &WorldProvider,
    request: &Perform,
    context: &Context<'_>,
) -> Result<Outcome, Failure> {
    let fault = arrive(&provider.world, request)?;
    let mut call = Call {
        world: &provider.world,
        spot: (provider.place.clone(), request.identity.clone()),
        request,
        context,
        fault,
        left_ms: request.operation.deadline_ms,
    };
    if request.operation.verb == "look" {
        return call.look().await;
    }
    let became = provider.world.became(&call.spot, request);
    match became {
        Some(Became::Void) => {
            let message = format!("{} was given up: its token is void", request.target);
            Err(Failure::new(FailureKind::Expired, message))
        }
        Some(Became::Done(outcome)) => Ok(outcome),
        Some(Became::Failed(failure)) => Err(failure),
        Some(Became::Running) => call.settle().await,
        Some(Became::Partly) => {
            call.second_write().await?;
            call.settle().await
        }
        None => {
            call.writes().await?;
            call.settle().await
        }
    }
}

/// Counts the call, and fails where the script says that it does not get through.
fn arrive(world: &World, request: &Perform) -> Result<Fault, Failure> {
    let mut inside = world.inside();
    inside.count("perform", &[&request.identity], 1);
    if let Some(failure) = inside.script.troubled(&request.identity) {
        return Err(failure.clone());
    }
    match inside.script.next(&request.identity) {
        Fault::Refuse(failure) => Err(failure),
        Fault::Throttle => {
            let message = format!("{} asks to slow down", request.identity);
            Err(Failure::new(FailureKind::Unavailable, message).retryable())
        }
        Fault::Lost { effect: false } => Err(lost(request)),
        fault => Ok(fault),
    }
}

fn lost(request: &Perform) -> Failure {
    let message = format!("the answer about {} was lost", request.identity);
    Failure::new(FailureKind::Unavailable, message).remains(Remains::Unsure)
}

impl World {
    /// What became of a token.
    pub(super) fn became(&self, spot: &Spot, request: &Perform) -> Option<Became> {
        let inside = self.inside();
        let object = inside.objects.get(spot);
        if !inside.forgets_tokens {
            return inside.tokens.get(&request.token).cloned();
        }
        match object {
            None if request.operation.verb == "delete" => Some(Became::Done(Outcome::nothing())),
            Some(object) if object.token.as_ref() == Some(&request.token) => {
                Some(object.became(spot, request))
            }
            _ => None,
        }
    }
}

impl Object {
    /// What became of the token that it carries, by its looks alone.
    fn became(&self, spot: &Spot, request: &Perform) -> Became {
        match () {
            () if self.half => Became::Partly,
            () if self.broken => Became::Failed(unhealthy(request, self, spot)),
            () if !self.ready() && rolls_out(request) => Became::Running,
            () => Became::Done(Outcome::live(self.live(spot))),
        }
    }
}

fn unhealthy(request: &Perform, object: &Object, spot: &Spot) -> Failure {
    Failure::new(FailureKind::Unhealthy, format!("{} does not work", request.target))
        .remains(Remains::Left(Box::new(Outcome::live(object.live(spot)))))
        .diagnosis("its last words: I was never meant to be")
}

impl Call<'_> {
    /// A gate: looks until it holds.
    async fn look(&mut self) -> Result<Outcome, Failure> {
        self.filled()?;
        self.secrets()?;
        let never = self.fault == Fault::Unhealthy;
        let mut late_ms = match self.fault {
            Fault::Wait { before_ms, after_ms } => before_ms + after_ms,
            _ => 0,
        };
        loop {
            if self.context.cancelled() {
                let message = format!("{} was cut short", self.request.target);
                return Err(Failure::new(FailureKind::Cancelled, message));
            }
            if late_ms == 0 && !never && self.holds() {
                return Ok(Outcome { live: None, kept: "it holds\n".to_owned() });
            }
            if !self.wait(EVERY_MS).await {
                let message = format!("{} does not hold", self.request.target);
                return Err(Failure::new(FailureKind::Unhealthy, message));
            }
            late_ms = late_ms.saturating_sub(EVERY_MS);
        }
    }

    /// Whether what a gate watches is ready. One that watches nothing holds.
    fn holds(&self) -> bool {
        let payload = &self.request.operation.payload;
        if payload.contains_key("doomed") {
            return false;
        }
        let Some(watched) = payload.get("watches").and_then(Value::as_text) else { return true };
        let inside = self.world.inside();
        let spot = (self.spot.0.clone(), watched.to_owned());
        inside.objects.get(&spot).is_some_and(Object::ready)
    }

    /// Waits, or for as long as the deadline allows: then says no.
    async fn wait(&mut self, ms: u64) -> bool {
        let waits = ms.min(self.left_ms);
        self.world.sleep(waits).await;
        self.left_ms -= waits;
        self.left_ms > 0
    }

    /// Checks what is live, then writes on the condition that it is still that.
    async fn writes(&mut self) -> Result<(), Failure> {
        self.filled()?;
        if let Fault::Wait { before_ms, .. } = self.fault
            && !self.wait(before_ms).await
        {
            let message = format!("{} was too slow to begin", self.request.target);
            return Err(Failure::new(FailureKind::TimedOut, message));
        }
        let secrets = self.secrets()?;
        let seen = self.read()?;
        let operation = &self.request.operation;
        self.context.event(Event::info(format!("{} {}", operation.verb, self.spot.1)));
        if let Fault::Meddle(fields) = &self.fault {
            self.world.meddle(&self.spot, "somebody", fields.clone());
        }
        let first = self.two_writes().then(|| format!("{} half of", operation.verb));
        let name = first.unwrap_or_else(|| operation.verb.clone());
        self.world.boundary(&format!("before {name} {}", self.spot.1)).await;
        if self.context.cancelled() {
            let message = format!("{} was cut short before its effect", self.request.target);
            return Err(Failure::new(FailureKind::Cancelled, message));
        }
        self.context.guard.may_write()?;
        self.write(seen, secrets)?;
        self.world.boundary(&format!("after {name} {}", self.spot.1)).await;
        if self.two_writes() {
            self.second_write().await?;
        }
        Ok(())
    }

    /// Whether the executor filled every placeholder in.
    fn filled(&self) -> Result<(), Failure> {
        match unfilled(&self.request.operation.payload) {
            None => Ok(()),
            Some(it) => Err(self.invalid(&format!("has a value that was never filled in: {it:?}"))),
        }
    }

    /// The live version, where the step may act on it.
    fn read(&self) -> Result<Option<u64>, Failure> {
        let inside = self.world.inside();
        let object = inside.objects.get(&self.spot);
        self.request.check_expected(object.map(|it| &it.fields))?;
        if let Some(object) = object {
            self.check_mark(object)?;
        }
        Ok(object.map(|it| it.version))
    }

    /// Whose object a step may act on: its own; an update, nobody's too, for a mark that is gone
    /// comes back with it; an adopt, whose the plan saw that it is.
    fn check_mark(&self, object: &Object) -> Result<(), Failure> {
        let operation = &self.request.operation;
        let ours = object.mark.as_ref() == Some(&self.request.mark);
        let may = match operation.verb.as_str() {
            "adopt" => object.mark == mark_in(&operation.payload, "was"),
            "update" => ours || object.mark.is_none(),
            _ => ours,
        };
        if may {
            return Ok(());
        }
        let owner = object.mark.as_ref().map_or_else(|| "nobody's".to_owned(), Mark::to_string);
        let message = format!("{} is somebody else's: it is {owner}", self.request.identity);
        Err(Failure::new(FailureKind::Taken, message))
    }

    /// A hash of the value of every secret in the payload.
    fn secrets(&self) -> Result<BTreeMap<String, Fingerprint>, Failure> {
        let named = secrets_in(&self.request.operation.payload);
        let hashed = named.into_iter().map(|reference| {
            let value = self.context.secrets.text(&Value::Secret(reference.clone()));
            let value = value.map_err(|error| self.invalid(&error.to_string()))?;
            let hash = Fingerprint::of_bytes(value.expose_secret().as_bytes());
            Ok((reference.to_string(), hash))
        });
        hashed.collect()
    }

    fn invalid(&self, why: &str) -> Failure {
        Failure::new(FailureKind::Invalid, format!("{} {why}", self.request.target))
    }

    /// The effect, or the first half of it, with what the world will remember of its token: both or
    /// neither.
    fn write(
        &self,
        seen: Option<u64>,
        secrets: BTreeMap<String, Fingerprint>,
    ) -> Result<(), Failure> {
        let request = self.request;
        let mut inside = self.world.inside();
        let before = inside.objects.get(&self.spot).cloned();
        if before.as_ref().map(|it| it.version) != seen {
            drop(inside);
            self.read()?;
            let message = format!("{} was changed while it was read", request.target);
            return Err(Failure::new(FailureKind::Moved, message));
        }
        let mut after =
            changed(request, before.as_ref(), &secrets).map_err(|why| self.invalid(&why))?;
        let mut verb = request.operation.verb.clone();
        if let Some(object) = &mut after {
            object.token = Some(request.token.clone());
            object.broken = self.fault == Fault::Unhealthy || doomed(request, "unhealthy");
            if object.broken || (rolls_out(request) && object.settle_ms() > 0) {
                object.fields.insert(HEALTHY.to_owned(), Value::Bool(false));
            }
            if self.two_writes() {
                halve(object, before.as_ref());
                verb = format!("{verb} half");
            }
        }
        let became = match &after {
            None => Became::Done(Outcome::nothing()),
            Some(object) if object.half => Became::Partly,
            Some(object) if !object.ready() && rolls_out(request) => Became::Running,
            Some(object) => Became::Done(Outcome::live(object.live(&self.spot))),
        };
        inside.put(&self.spot, &verb, Some(&request.token), after);
        inside.tokens.insert(request.token.clone(), became);
        Ok(())
    }

    /// Whether the effect is made of two writes.
    fn two_writes(&self) -> bool {
        let operation = &self.request.operation;
        let table = ["fields", "set"].iter().find_map(|key| operation.payload.get(*key));
        let writes = table.and_then(Value::as_map).and_then(|it| it.get("writes"));
        matches!(operation.verb.as_str(), "create" | "update") && writes == Some(&Value::Int(2))
    }

    /// Completes what the first of two writes began.
    async fn second_write(&mut self) -> Result<(), Failure> {
        let request = self.request;
        let verb = &request.operation.verb;
        let secrets = self.secrets()?;
        self.world.boundary(&format!("before {verb} {}", self.spot.1)).await;
        self.context.guard.may_write()?;
        {
            let mut inside = self.world.inside();
            let half = inside.objects.get(&self.spot).cloned();
            let Some(half) = half.filter(|it| it.half && it.token.as_ref() == Some(&request.token))
            else {
                return Err(Failure::moved(&request.target.to_string(), None, None));
            };
            let mut whole = completed(request, &half, &secrets);
            whole.half = false;
            if whole.broken || whole.settle_ms() > 0 {
                whole.fields.insert(HEALTHY.to_owned(), Value::Bool(false));
            }
            let became = match whole.ready() {
                true => Became::Done(Outcome::live(whole.live(&self.spot))),
                false => Became::Running,
            };
            inside.put(&self.spot, verb, Some(&request.token), Some(whole));
            inside.tokens.insert(request.token.clone(), became);
        }
        self.world.boundary(&format!("after {verb} {}", self.spot.1)).await;
        Ok(())
    }

    /// Waits until the thing itself says that it works.
    async fn settle(&mut self) -> Result<Outcome, Failure> {
        let object = self.world.inside().objects.get(&self.spot).cloned();
        let unready = object.filter(|it| !it.ready() && rolls_out(self.request));
        let settles = unready.map_or(0, |it| it.settle_ms());
        if settles > 0 {
            self.context.event(Event::info(format!("{} gets ready", self.spot.1)).progress(0, 1));
            let in_time = self.wait(settles).await;
            self.world.boundary(&format!("settling {}", self.spot.1)).await;
            if !in_time {
                return Err(self.remember_failure(FailureKind::TimedOut, "was too slow"));
            }
        }
        self.become_ready();
        let slow = match self.fault {
            Fault::Wait { after_ms, .. } => !self.wait(after_ms).await,
            _ => false,
        };
        match (&self.fault, self.world.became(&self.spot, self.request)) {
            (_, Some(Became::Failed(failure))) => Err(failure),
            _ if slow => Err(self.remember_failure(FailureKind::TimedOut, "was too slow")),
            (Fault::FailAfter(kind), _) => {
                let kind = *kind;
                Err(self.remember_failure(kind, "failed after its effect"))
            }
            (Fault::Lost { .. }, _) => Err(lost(self.request)),
            (_, Some(Became::Done(outcome))) => Ok(outcome),
            (_, became) => Err(self.invalid(&format!("ended as {became:?}"))),
        }
    }

    /// The world's own doing: what was started works now, or never will.
    fn become_ready(&self) {
        let token = &self.request.token;
        let mut inside = self.world.inside();
        let Some(mut object) = inside.objects.get(&self.spot).cloned() else { return };
        let ours = object.token.as_ref() == Some(token);
        if !ours || object.ready() || !rolls_out(self.request) {
            return;
        }
        if object.broken {
            let failure = unhealthy(self.request, &object, &self.spot);
            inside.tokens.insert(token.clone(), Became::Failed(failure));
            return;
        }
        object.fields.insert(HEALTHY.to_owned(), Value::Bool(true));
        let outcome = Outcome::live(object.live(&self.spot));
        inside.put(&self.spot, "ready", Some(token), Some(object));
        inside.tokens.insert(token.clone(), Became::Done(outcome));
    }

    /// A failure that stays one, with what it left.
    fn remember_failure(&self, kind: FailureKind, what: &str) -> Failure {
        let mut inside = self.world.inside();
        let left = inside.objects.get(&self.spot).map(|it| it.live(&self.spot));
        let failure = Failure::new(kind, format!("{} {what}", self.request.target))
            .remains(Remains::Left(Box::new(Outcome { live: left, kept: String::new() })));
        inside.tokens.insert(self.request.token.clone(), Became::Failed(failure.clone()));
        failure
    }
}
