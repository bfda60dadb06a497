//! A system in memory: objects, what was done to them by whom, and what goes wrong.

use super::kill::KillSwitch;
use super::script::{Fault, Script};
use crate::fingerprint::Fingerprint;
use crate::live::{Live, Status};
use crate::mark::{Mark, Token};
use crate::outcome::{Failure, Outcome};
use crate::path::FieldPath;
use crate::provider::Task;
use crate::value::{Fields, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Waits some milliseconds, on whatever clock the test has.
pub type Sleeper = Arc<dyn Fn(u64) -> Task<'static, ()> + Send + Sync>;

/// Where an object is: the id of its place, and its identity there.
pub type Spot = (String, String);

/// A system in memory. Clones are the same world; it outlives every hive that acts on it.
#[derive(Clone, Default)]
pub struct World(Arc<Mutex<Inside>>);

#[derive(Default)]
pub(super) struct Inside {
    pub(super) objects: BTreeMap<Spot, Object>,
    pub(super) tokens: BTreeMap<Token, Became>,
    pub(super) script: Script,
    effects: Vec<Effect>,
    calls: Calls,
    switch: KillSwitch,
    sleeper: Option<Sleeper>,
    taken_ports: BTreeMap<u16, String>,
    versions: u64,
    pub(super) forgets_tokens: bool,
}

/// One live object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// Its content. A secret's field holds its reference.
    pub fields: Fields,
    /// Whose it is.
    pub mark: Option<Mark>,
    /// The step that last changed it.
    pub token: Option<Token>,
    /// Another one after every write.
    pub version: u64,
    /// Whether it runs: `stop` and `start` move it.
    pub running: bool,
    /// Things that a rollout leaves behind until its prune operation.
    pub leftovers: u32,
    /// How many rollouts without a change it had.
    pub runs: u32,
    /// How many copies it kept in front of its users.
    pub kept: u32,
    /// The copy that was kept in front of its last change.
    pub made_with: Option<String>,
    /// A hash of the value of each secret that went into it, by reference.
    pub secrets: BTreeMap<String, Fingerprint>,
    /// Who else set a field.
    pub moved_by: BTreeMap<FieldPath, String>,
    /// Whether only the first of two writes was made.
    pub half: bool,
    /// Whether it will never work.
    pub broken: bool,
}

/// One thing that really happened. The log of these is what tests judge by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The id of the place.
    pub place: String,
    /// On which object.
    pub identity: String,
    /// What: the operation's verb; `ready` where a rollout settles; `meddle` for somebody else's.
    pub verb: String,
    /// By which step; none for somebody else's.
    pub token: Option<Token>,
    /// The object before.
    pub before: Option<Object>,
    /// The object after.
    pub after: Option<Object>,
}

/// What the world remembers of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a test's world holds a handful")]
pub(super) enum Became {
    /// Looked up before it had an effect: it can never have one.
    Void,
    /// The first of its two writes was made.
    Partly,
    /// Its write was made, and the object is not ready yet.
    Running,
    /// It is done.
    Done(Outcome),
    /// It failed for good.
    Failed(Failure),
}

/// How often the world was called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Calls by verb: `observe`, `rehearse`, `perform`, `resolve`.
    pub verbs: BTreeMap<String, u64>,
    /// Round trips that `observe` took: one for each batch.
    pub batches: u64,
    /// Calls that named an object, by verb and identity.
    pub objects: BTreeMap<(String, String), u64>,
}

/// What a person would see of one object: everything but tokens and versions, which differ between
/// two applies that end alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its content.
    pub fields: Fields,
    /// Whose it is.
    pub mark: Option<Mark>,
    /// Whether it runs.
    pub running: bool,
    /// What a rollout left behind.
    pub leftovers: u32,
    /// How many copies it kept.
    pub kept: u32,
    /// The copy that was kept in front of its last change.
    pub made_with: Option<String>,
    /// Hashes of its secrets' values.
    pub secrets: BTreeMap<String, Fingerprint>,
    /// Whether only the first of two writes was made.
    pub half: bool,
}

/// The field by which an object says whether it works.
pub const HEALTHY: &str = "healthy";

impl World {
    /// An empty world, in which nothing goes wrong.
    pub fn new() -> Self {
        Self::default()
    }

    /// A world that remembers no token beyond the one on an object, so that `resolve` must compare
    /// live with old and new, and cannot seal.
    pub fn forgetful() -> Self {
        let world = Self::default();
        world.inside().forgets_tokens = true;
        world
    }

    /// A world of its own that is as this one, under no switch and with no call counted.
    #[must_use]
    pub fn copy(&self) -> Self {
        let inside = self.inside();
        Self(Arc::new(Mutex::new(Inside {
            objects: inside.objects.clone(),
            tokens: inside.tokens.clone(),
            script: inside.script.clone(),
            effects: inside.effects.clone(),
            sleeper: inside.sleeper.clone(),
            taken_ports: inside.taken_ports.clone(),
            versions: inside.versions,
            forgets_tokens: inside.forgets_tokens,
            ..Inside::default()
        })))
    }

    /// Puts the boundaries of every effect from now on under this switch.
    pub fn arm(&self, switch: KillSwitch) {
        self.inside().switch = switch;
    }

    /// Lends a way to wait. Without one, waits end at once.
    pub fn lend_sleeper(&self, sleeper: Sleeper) {
        self.inside().sleeper = Some(sleeper);
    }

    /// Says what goes wrong in the next calls of `perform` on one object, one fault a call.
    pub fn script(&self, identity: &str, faults: impl IntoIterator<Item = Fault>) {
        self.inside().script.add(identity, faults);
    }

    /// Makes every call on one object (`*`: on all) fail like this, until [`Self::calm`].
    pub fn trouble(&self, identity: &str, failure: Failure) {
        self.inside().script.trouble(identity, failure);
    }

    /// Nothing goes wrong any more.
    pub fn calm(&self) {
        self.inside().script.calm();
    }

    /// Somebody else listens on a port.
    pub fn take_port(&self, port: u16, who: &str) {
        self.inside().taken_ports.insert(port, who.to_owned());
    }

    /// Somebody else sets fields of an object, or makes it where there is none.
    pub fn meddle(&self, spot: &Spot, who: &str, fields: Fields) {
        let mut inside = self.inside();
        let mut object = inside.objects.get(spot).cloned().unwrap_or_else(Object::strange);
        for field in crate::path::leaves(&fields) {
            object.moved_by.insert(field.clone(), who.to_owned());
            if let Some(value) = crate::path::get(&fields, &field) {
                crate::path::set(&mut object.fields, &field, value.clone());
            }
        }
        inside.put(spot, "meddle", None, Some(object));
    }

    /// Somebody else takes an object away.
    pub fn wreck(&self, spot: &Spot) {
        self.inside().put(spot, "meddle", None, None);
    }

    /// Somebody else changes whose an object is.
    pub fn remark(&self, spot: &Spot, mark: Option<Mark>) {
        let mut inside = self.inside();
        if let Some(mut object) = inside.objects.get(spot).cloned() {
            object.mark = mark;
            inside.put(spot, "meddle", None, Some(object));
        }
    }

    /// The objects as they are.
    pub fn objects(&self) -> BTreeMap<Spot, Object> {
        self.inside().objects.clone()
    }

    /// The objects without what differs between two applies that end alike.
    pub fn picture(&self) -> BTreeMap<Spot, Picture> {
        let inside = self.inside();
        inside.objects.iter().map(|(spot, it)| (spot.clone(), it.picture())).collect()
    }

    /// Everything that happened, in order: the witness.
    pub fn log(&self) -> Vec<Effect> {
        self.inside().effects.clone()
    }

    /// How often it was called so far.
    pub fn calls(&self) -> Calls {
        self.inside().calls.clone()
    }

    /// Begins to count calls anew.
    pub fn forget_calls(&self) {
        self.inside().calls = Calls::default();
    }

    /// What is wrong with the log: a token with two effects, or an effect on something else than
    /// the effect before it left. Nothing, if providers and the world are right.
    pub fn log_faults(&self) -> Vec<String> {
        let inside = self.inside();
        let mut last: BTreeMap<Spot, Option<&Object>> = BTreeMap::new();
        let mut made = BTreeSet::new();
        let mut faults = Vec::new();
        for effect in &inside.effects {
            let spot = (effect.place.clone(), effect.identity.clone());
            if last.get(&spot).copied().flatten() != effect.before.as_ref() {
                faults.push(format!("{} of {} saw another object", effect.verb, effect.identity));
            }
            last.insert(spot, effect.after.as_ref());
            if let Some(token) = &effect.token
                && !made.insert((token.clone(), effect.verb.clone()))
            {
                faults.push(format!("token {token} did {} twice", effect.verb));
            }
        }
        for (spot, object) in &inside.objects {
            if last.get(spot).copied().flatten() != Some(object) {
                faults.push(format!("{} is not as its last effect left it", spot.1));
            }
        }
        faults
    }

    pub(super) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One point at which a death is possible.
    pub(super) async fn boundary(&self, name: &str) {
        let switch = self.inside().switch.clone();
        switch.boundary(name).await;
    }

    /// Waits, where a way to wait was lent.
    pub(super) async fn sleep(&self, ms: u64) {
        let sleeper = self.inside().sleeper.clone();
        if let Some(sleeper) = sleeper
            && ms > 0
        {
            sleeper(ms).await;
        }
    }

    /// Whether tokens are remembered only on objects.
    pub(super) fn forgets(&self) -> bool {
        self.inside().forgets_tokens
    }
}

impl Inside {
    /// Makes an object be as said (none: gone), and writes it down.
    pub(super) fn put(
        &mut self,
        spot: &Spot,
        verb: &str,
        token: Option<&Token>,
        after: Option<Object>,
    ) {
        self.versions += 1;
        let version = self.versions;
        let after = after.map(|object| Object { version, ..object });
        let before = match &after {
            Some(object) => self.objects.insert(spot.clone(), object.clone()),
            None => self.objects.remove(spot),
        };
        self.effects.push(Effect {
            place: spot.0.clone(),
            identity: spot.1.clone(),
            verb: verb.to_owned(),
            token: token.cloned(),
            before,
            after,
        });
    }

    /// Counts one call.
    pub(super) fn count(&mut self, verb: &str, identities: &[&str], batch: u64) {
        *self.calls.verbs.entry(verb.to_owned()).or_default() += 1;
        self.calls.batches +=
            (identities.len() as u64).div_ceil(batch.max(1)) * u64::from(verb == "observe");
        for identity in identities {
            *self.calls.objects.entry((verb.to_owned(), (*identity).to_owned())).or_default() += 1;
        }
    }

    /// Ports that somebody listens on.
    pub(super) fn ports(&self) -> BTreeMap<u16, String> {
        let mut ports = self.taken_ports.clone();
        for ((_, identity), object) in &self.objects {
            let listen = object.fields.get("listen").and_then(Value::as_map);
            for port in listen.into_iter().flat_map(Fields::values).filter_map(Value::as_int) {
                if let Ok(port) = u16::try_from(port) {
                    ports.insert(port, identity.clone());
                }
            }
        }
        ports
    }
}

impl Object {
    /// Something that somebody else made.
    fn strange() -> Self {
        Self { running: true, ..Self::default() }
    }

    /// Whether it does what it is for.
    pub fn ready(&self) -> bool {
        self.running && self.fields.get(HEALTHY).and_then(Value::as_bool) != Some(false)
    }

    fn picture(&self) -> Picture {
        Picture {
            fields: self.fields.clone(),
            mark: self.mark.clone(),
            running: self.running,
            leftovers: self.leftovers,
            kept: self.kept,
            made_with: self.made_with.clone(),
            secrets: self.secrets.clone(),
            half: self.half,
        }
    }

    /// What a provider says of it.
    pub(super) fn live(&self, spot: &Spot) -> Live {
        let summary = if self.ready() { "ready" } else { "not ready" };
        Live {
            identity: spot.1.clone(),
            fields: self.fields.clone(),
            outputs: self.outputs(spot),
            mark: self.mark.clone(),
            token: self.token.clone(),
            moved_by: self.moved_by.clone(),
            ended: BTreeMap::new(),
            status: Status {
                ready: self.ready(),
                summary: summary.to_owned(),
                details: BTreeSet::new(),
            },
        }
    }

    /// Each key of its `outputs` table, its first port, and a `url` that only the world knows.
    fn outputs(&self, (place, identity): &Spot) -> BTreeMap<String, Value> {
        let said = self.fields.get("outputs").and_then(Value::as_map).cloned();
        let mut outputs = said.unwrap_or_default();
        let listen = self.fields.get("listen").and_then(Value::as_map);
        if let Some(port) = listen.and_then(|it| it.values().next()) {
            outputs.insert("port".to_owned(), port.clone());
        }
        if super::data::is_front(&self.fields) {
            outputs.insert("id".to_owned(), Value::Text(format!("copy {}", self.kept)));
        }
        let weight = self.fields.get("weight").and_then(Value::scalar).unwrap_or_default();
        outputs.insert("url".to_owned(), Value::Text(format!("mem://{place}/{identity}/{weight}")));
        outputs
    }
}
