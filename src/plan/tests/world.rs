//! A tiny pure world: its verbs, its objects, and applies that are played and not run.

use crate::plan::{
    Command, Desired, Expected, LoweredPart, OnFailure, Outputs, Plan, Question, Scope, Step,
    Verbs, check, desire, file, fold, plan,
};
use hive_contract::outcome::{Remains, Upgraded};
use hive_contract::value::Format;
use hive_contract::{
    Action, Address, Change, Declared, Expects, Facts, Failure, FailureKind, FieldPath, Fields,
    Fingerprint, Invalid, Live, Lowered, Mark, Observed, Operation, Outcome, Output, Phase, Pick,
    Place, Rehearsal, ReplaceOrder, Reversible, Sort, StackMark, Status, Target, Token, Undo,
    Value, WayBack,
};
use hive_state::{Begun, Ending, Record, Replay, Snapshot};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const HERE: &str = "tiny-here";
pub(super) const THERE: &str = "tiny-there";

/// An address from its text.
pub(super) fn a(text: &str) -> Address {
    text.parse().expect("address")
}

/// A resource from its address and its fields in JSON. `@kind.name.output` is a reference.
pub(super) fn declared(address: &str, json: &str) -> Declared {
    let fields: Fields = serde_json::from_str(json).expect("fields");
    let fields = fields.into_iter().map(|(key, value)| (key, reference(value))).collect();
    let address = a(address);
    Declared { address, fields, uses: BTreeSet::new(), protect: false, ignore: Vec::new() }
}

fn reference(value: Value) -> Value {
    let Some(text) = value.as_text().and_then(|it| it.strip_prefix('@')) else { return value };
    let (address, output) = text.rsplit_once('.').expect("reference");
    Value::Output(hive_contract::OutputRef { address: a(address), output: output.to_owned() })
}

/// The fields of the tiny language that mean something:
/// `fixed` cannot change, `first` makes the new one before the old one goes, `port` asks for a
/// port, `there` holds it at the other place, `final` cannot be taken back, `still` does not run,
/// `sweep` prunes, what `runs` can be stopped, and `access` is how hive
/// reaches it.
///
/// A `backup` runs in front of its users and says its `id`. A `list` has material: `kept` names the
/// backup that its operations are made of, `sees` whose live object it looks at, `contract` takes
/// away at the end what only a backup brings back, `quiet` is done while nobody uses it,
/// `backwards` takes away first, `tried` can be rehearsed, and `refused` says why it cannot be.
#[derive(Clone, Copy)]
pub(super) struct Tiny {
    pub(super) form: u32,
}

const MATERIAL: [&str; 7] = ["kept", "sees", "contract", "quiet", "backwards", "tried", "refused"];

impl Verbs for Tiny {
    fn lower(&self, declared: &Declared) -> Result<Vec<LoweredPart>, Vec<Invalid>> {
        let sort = match declared.address.kind() {
            "check" => Sort::Gate,
            "notify" => Sort::Notice,
            _ => Sort::Object,
        };
        let mut fields = declared.fields.clone();
        fields.remove("rollout");
        let mut material = Fields::new();
        for key in MATERIAL {
            let value = (declared.address.kind() == "list").then(|| fields.remove(key)).flatten();
            material.extend(value.map(|value| (key.to_owned(), value)));
        }
        let sees = material.get("sees").and_then(Value::as_text).map(a);
        let place = if fields.remove("there").is_some() { THERE } else { HERE };
        let name = fields.remove("name").and_then(|it| it.scalar());
        let access = fields.remove("access").map(|it| ("url".to_owned(), it)).into_iter().collect();
        let first = fields.remove("first").is_some();
        let holds_data = fields.remove("holds").is_some();
        let was_there = fields.contains_key("baseline");
        if fields.remove("port").is_some() {
            let key = format!("{}/0", declared.address);
            fields.insert("listen".to_owned(), Value::Pick(Pick::Port { key }));
        }
        if self.form > 1 {
            fields.entry("added".to_owned()).or_insert(Value::from("default"));
        }
        let listen = fields.get("listen").cloned().unwrap_or(Value::Int(0));
        let url = Format {
            template: "http://h:{port}".to_owned(),
            values: Fields::from([("port".to_owned(), listen)]),
        };
        let output =
            |made_of: &str, value| Output { made_of: vec![FieldPath::parse(made_of)], value };
        let mut outputs = BTreeMap::from([
            ("url".to_owned(), output("listen", Some(Value::Format(url)))),
            ("text".to_owned(), output("text", None)),
        ]);
        let keeps = declared.address.kind() == "backup";
        if keeps {
            outputs.insert("id".to_owned(), Output { made_of: Vec::new(), value: None });
        }
        let lowered = Lowered {
            sort,
            identity: format!("dev/{}{}", declared.address, name.unwrap_or_default()),
            fields,
            outputs,
            access,
            immutable: BTreeSet::from([FieldPath::parse("fixed")]),
            replace: if first { ReplaceOrder::CreateFirst } else { ReplaceOrder::DeleteFirst },
            material,
            before_users: keeps,
            holds_data,
            was_there,
            looks_at: sees.into_iter().collect(),
        };
        Ok(vec![LoweredPart {
            part: "main".to_owned(),
            provider: "tiny".to_owned(),
            form: self.form,
            place: place.to_owned(),
            lowered,
        }])
    }

    fn objections(&self, _place: &str, change: &Change) -> Vec<Invalid> {
        let refused = change.desired.as_ref().and_then(|it| it.material.get("refused"));
        let why = refused.and_then(Value::as_text);
        why.map(|why| Invalid::at("refused", why)).into_iter().collect()
    }

    fn ahead(
        &self,
        _place: &str,
        desired: &Lowered,
        recorded: Option<&Declared>,
        live: &Live,
    ) -> Option<Fields> {
        let newer = |fields: &Fields| fields.get("newer").cloned();
        let more = newer(&live.fields)?;
        if recorded.and_then(|it| newer(&it.fields)).is_some() {
            return None;
        }
        let mut fields = desired.fields.clone();
        fields.insert("newer".to_owned(), more);
        Some(fields)
    }

    fn remarks(
        &self,
        _place: &str,
        desired: &Declared,
        _recorded: Option<&Declared>,
        live: Option<&Live>,
    ) -> Vec<String> {
        let live = live.is_some_and(|it| it.fields.contains_key("newer"));
        let stays = live && !desired.fields.contains_key("newer");
        stays.then(|| "something newer stays".to_owned()).into_iter().collect()
    }

    fn can_rehearse(&self, _place: &str, change: &Change) -> bool {
        change.desired.as_ref().is_some_and(|it| it.material.contains_key("tried"))
    }

    fn ways_back(
        &self,
        place: &str,
        change: &Change,
        rehearsal: Option<&Rehearsal>,
    ) -> Vec<WayBack> {
        if !self.can_rehearse(place, change) {
            return Vec::new();
        }
        let way = rehearsal.and_then(|it| it.facts.get("took")).cloned();
        let loses = "nothing".to_owned();
        vec![WayBack { way: way.unwrap_or_default(), not_because: None, loses, takes_ms: None }]
    }

    fn stop(&self, _place: &str, change: &Change) -> Vec<Operation> {
        let live = change.observed.as_ref().map(|it| it.fields.clone()).unwrap_or_default();
        if live.get("runs") != Some(&Value::Bool(true)) {
            return Vec::new();
        }
        let mut stopped = live.clone();
        stopped.insert("runs".to_owned(), Value::Bool(false));
        vec![op(change, "stop", Expects::Content, &stopped).undone_by(op(
            change,
            "start",
            Expects::Content,
            &live,
        ))]
    }

    fn start(&self, _place: &str, change: &Change) -> Vec<Operation> {
        let desired = change.desired.as_ref().map(|it| it.fields.clone());
        let fields = desired.or(change.recorded.clone()).unwrap_or_default();
        let mut stopped = change.recorded.clone().unwrap_or_default();
        stopped.insert("runs".to_owned(), Value::Bool(false));
        vec![op(change, "start", Expects::Content, &fields).undone_by(op(
            change,
            "stop",
            Expects::Content,
            &stopped,
        ))]
    }

    fn steps(
        &self,
        _place: &str,
        change: &Change,
        _rehearsal: Option<&Rehearsal>,
    ) -> Vec<Operation> {
        let desired = change.desired.as_ref();
        let gate = desired.is_some_and(|it| it.sort == Sort::Gate);
        let to = desired.map(|it| it.fields.clone()).unwrap_or_default();
        let was = change.observed.as_ref().map(|it| it.fields.clone()).unwrap_or_default();
        let op = |verb: &str, expects, fields: &Fields| op(change, verb, expects, fields);
        let content = Expects::Content;
        let main = match change.action {
            Action::Run if to.contains_key("still") => return Vec::new(),
            Action::Run if gate => op("look", Expects::Anything, &to),
            Action::Run if change.target.address.kind() == "backup" => {
                let mut keep = op("keep", Expects::Anything, &to);
                keep.payload.extend(change.run.clone().unwrap_or_default());
                if keep.payload.get("due") == Some(&Value::Bool(true)) {
                    return Vec::new();
                }
                return vec![keep];
            }
            Action::Create => {
                op("create", Expects::Absent, &to).undone_by(op("delete", content, &to))
            }
            Action::Update | Action::Run => {
                op("set", content, &to).undone_by(op("set", content, &was))
            }
            Action::Adopt => op("set", content, &to).undone_by(op("release", content, &was)),
            Action::Forget => op("release", content, &was).undone_by(op("set", content, &was)),
            Action::Delete => {
                op("delete", content, &was).undone_by(op("create", Expects::Absent, &was))
            }
            _ => return Vec::new(),
        };
        let mut operations = vec![main];
        if to.contains_key("final") {
            let why = "it is final".to_owned();
            operations[0].reversible = Reversible::Irreversible { why: why.clone() };
            operations[0].undo = Undo::None { why };
        }
        if to.contains_key("sweep") && change.action == Action::Update {
            let mut sweep = op("sweep", content, &to);
            sweep.phase = Phase::Prune;
            operations.push(sweep);
        }
        let makes = matches!(change.action, Action::Create | Action::Update);
        match desired.map(|it| &it.material).filter(|it| makes && !it.is_empty()) {
            Some(material) => listed(change, material, operations),
            None => operations,
        }
    }

    fn upgrade(&self, _provider: &str, _form: u32, fields: Fields) -> Upgraded {
        Ok(fields)
    }
}

/// The operations of a `list`.
fn listed(change: &Change, material: &Fields, mut operations: Vec<Operation>) -> Vec<Operation> {
    let to = change.desired.as_ref().map(|it| it.fields.clone()).unwrap_or_default();
    if material.contains_key("contract") {
        let mut contract = op(change, "contract", Expects::Content, &to);
        contract.phase = Phase::Prune;
        contract.undo = Undo::None { why: "it is gone".to_owned() };
        let from = material.get("kept").and_then(Value::as_text).unwrap_or("nothing").to_owned();
        let loses = "what was written since".to_owned();
        contract.reversible = Reversible::Restorable { from, loses };
        operations.push(contract);
    }
    if material.contains_key("backwards") {
        operations.reverse();
    }
    for operation in &mut operations {
        if let Some(kept) = material.get("kept").and_then(Value::as_text) {
            let id = hive_contract::OutputRef { address: a(kept), output: "id".to_owned() };
            operation.payload.insert("backup".to_owned(), Value::Output(id));
        }
        if material.contains_key("quiet") {
            operation.phase = Phase::Stopped;
        }
        operation.notes.extend(change.related.keys().map(|it| format!("sees {it}")));
        let before = change.before.as_ref().map(|it| it.material.keys().cloned());
        operation.notes.extend(before.into_iter().flatten().map(|it| format!("had {it}")));
    }
    operations
}

fn op(change: &Change, verb: &str, expects: Expects, fields: &Fields) -> Operation {
    let payload = Fields::from([("fields".to_owned(), Value::Map(fields.clone()))]);
    Operation::new(verb, format!("{verb} {}", change.target), expects, payload)
}

/// What there is, by place and identity.
pub(super) type Objects = BTreeMap<(String, String), Live>;

/// A stack, its store and its world.
#[derive(Clone)]
pub(super) struct World {
    pub(super) objects: Objects,
    pub(super) head: Option<Snapshot>,
    pub(super) verbs: Tiny,
    pub(super) store: String,
    pub(super) ports_taken: BTreeSet<u16>,
    pub(super) secrets: BTreeMap<String, Option<String>>,
    applies: u64,
}

pub(super) type Declaration = BTreeMap<Address, Declared>;

/// A stack of these resources.
pub(super) fn stack(resources: impl IntoIterator<Item = Declared>) -> Declaration {
    resources.into_iter().map(|it| (it.address.clone(), it)).collect()
}

/// How an apply is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Play {
    /// To its end.
    On,
    /// This step fails and leaves nothing; then back.
    Back(u32),
    /// This step fails and leaves nothing; then it is left as it is.
    Halt(u32),
    /// This step has its effect and fails; then it is left as it is.
    Leave(u32),
    /// hive dies after this step's effect, before its record.
    Die(u32),
}

impl World {
    /// Nothing, in a new store.
    pub(super) fn new() -> Self {
        Self {
            objects: BTreeMap::new(),
            head: None,
            verbs: Tiny { form: 1 },
            store: "s1".to_owned(),
            ports_taken: BTreeSet::new(),
            secrets: BTreeMap::new(),
            applies: 0,
        }
    }

    pub(super) fn owner(&self) -> StackMark {
        StackMark {
            store: self.store.clone(),
            stack: "tiny".to_owned(),
            environment: "dev".to_owned(),
        }
    }

    fn observed(
        &self,
        desired: &BTreeMap<Address, Desired>,
    ) -> BTreeMap<(String, Target), Result<Observed, Failure>> {
        let mut asks: BTreeMap<(String, Target), String> = BTreeMap::new();
        for (address, wanted) in desired {
            for part in wanted.parts.values().filter(|it| it.lowered.sort == Sort::Object) {
                let target = Target { address: address.clone(), part: part.part.clone() };
                asks.insert((part.place.clone(), target), part.lowered.identity.clone());
            }
        }
        for (address, held) in self.head.iter().flat_map(|it| &it.resources) {
            for (part, held) in &held.parts {
                let target = Target { address: address.clone(), part: part.clone() };
                asks.insert((held.place.clone(), target), held.identity.clone());
            }
        }
        let look = |place: &String, identity: &String| match self
            .objects
            .get(&(place.clone(), identity.clone()))
        {
            Some(live) => Observed::Present(live.clone()),
            None => Observed::Absent,
        };
        asks.into_iter()
            .map(|((place, target), identity)| {
                let seen = look(&place, &identity);
                ((place, target), Ok(seen))
            })
            .collect()
    }

    /// What is there under the new identity of what is recorded under another one.
    fn beside(
        &self,
        desired: &BTreeMap<Address, Desired>,
    ) -> BTreeMap<(String, Target), Result<Observed, Failure>> {
        let mut beside = BTreeMap::new();
        let recorded = |address: &Address| self.head.as_ref()?.resources.get(address);
        for (address, wanted) in desired {
            for part in wanted.parts.values() {
                let held = recorded(address).and_then(|it| it.parts.get(&part.part));
                let identity = &part.lowered.identity;
                if held.is_some_and(|it| it.place == part.place && it.identity != *identity) {
                    let target = Target { address: address.clone(), part: part.part.clone() };
                    let live = self.objects.get(&(part.place.clone(), identity.clone()));
                    let seen = live.cloned().map_or(Observed::Absent, Observed::Present);
                    beside.insert((part.place.clone(), target), Ok(seen));
                }
            }
        }
        beside
    }

    /// The question of an apply of this stack; `change` makes it another one.
    pub(super) fn ask<T>(
        &self,
        declared: &Declaration,
        change: impl FnOnce(&mut Question<'_>),
        then: impl FnOnce(&Question<'_>) -> T,
    ) -> T {
        let desired = desire(declared, &self.verbs).expect("lowers");
        let taken_ports = self.ports_taken.iter().map(|it| (*it, "somebody".to_owned())).collect();
        let facts = Facts { ports: Some((100, 199)), taken_ports };
        let place = |system: &str| Place {
            provider: "tiny".to_owned(),
            settings: Fields::new(),
            system: system.to_owned(),
        };
        let mut question = Question {
            command: Command::Apply,
            owner: self.owner(),
            recorded: self.head.as_ref(),
            observed: self.observed(&desired),
            beside: self.beside(&desired),
            facts: BTreeMap::from([(HERE.to_owned(), facts.clone()), (THERE.to_owned(), facts)]),
            places: [HERE, THERE].map(|it| (it.to_owned(), place(it))).into(),
            verbs: &self.verbs,
            secrets: self.secrets.clone(),
            guards: Fields::new(),
            variables: BTreeMap::new(),
            files: Vec::new(),
            foreign: Vec::new(),
            parallel: 4,
            on_failure: OnFailure::Rollback,
            freezes: false,
            scope: Scope::All,
            rehearsals: BTreeMap::new(),
            asked: BTreeMap::new(),
            desired,
        };
        change(&mut question);
        then(&question)
    }

    /// The plan of this stack, checked, and read back from its file.
    pub(super) fn plan_of(
        &self,
        declared: &Declaration,
        change: impl FnOnce(&mut Question<'_>),
    ) -> Result<Plan, Vec<crate::plan::PlanError>> {
        let made = self.ask(declared, change, plan)?;
        check::verify(&made).expect("the plan holds");
        let bytes = file::write(&made);
        let read = file::read(&bytes).expect("its file is read");
        assert_eq!(read, made, "a plan file holds the whole plan");
        assert_eq!(file::write(&read), bytes, "the same plan, the same bytes");
        Ok(made)
    }

    /// The plan of a whole stack, which has one.
    pub(super) fn plan(&self, declared: &Declaration) -> Plan {
        self.plan_of(declared, |_| {}).expect("a plan")
    }

    /// Plays an apply of this stack to its end, and says what its plan was.
    pub(super) fn apply(&mut self, declared: &Declaration) -> Plan {
        let plan = self.plan(declared);
        self.play(&plan, Play::On);
        plan
    }

    /// Plays a plan and records what came of it.
    pub(super) fn play(&mut self, plan: &Plan, play: Play) {
        self.applies += 1;
        let apply = format!("apply-{}", self.applies);
        let mut playing = Playing {
            plan,
            head: self.head.clone(),
            owner: self.owner(),
            objects: std::mem::take(&mut self.objects),
            replay: Replay::default(),
            apply,
        };
        let ending = playing.played(play);
        let Playing { objects, replay, .. } = playing;
        self.objects = objects;
        let snapshot = fold(self.head.as_ref(), plan, &replay, ending, self.applies);
        self.head = Some(snapshot.expect("folds"));
    }
}

/// One apply being played.
struct Playing<'p> {
    plan: &'p Plan,
    head: Option<Snapshot>,
    owner: StackMark,
    objects: Objects,
    replay: Replay,
    apply: String,
}

impl Playing<'_> {
    fn played(&mut self, play: Play) -> Ending {
        self.record(Record::Opened {
            plan: self.plan.digest(),
            apply: self.apply.clone(),
            command: "apply".to_owned(),
            who: "ann".to_owned(),
            epoch: 1,
        });
        for step in &self.plan.steps {
            assert!(
                step.needs.iter().all(|it| *it < step.number),
                "steps run one by one in the plan's order"
            );
            let begun = self.begun(step.number, 1);
            self.record(Record::Begin(begun));
            match play {
                Play::Back(number) if number == step.number => {
                    self.fails(step.number);
                    return self.back();
                }
                Play::Halt(number) if number == step.number => {
                    self.fails(step.number);
                    return Ending::Halted;
                }
                _ => {}
            }
            let outcome = self.perform(step, &step.operation, true);
            match play {
                Play::Die(number) if number == step.number => return Ending::ClosedByHand,
                Play::Leave(number) if number == step.number => {
                    let failure = Failure::new(FailureKind::Unhealthy, "it does not work");
                    let failure = failure.remains(Remains::Left(Box::new(outcome)));
                    self.record(Record::Failed { step: number, failure });
                    return Ending::Halted;
                }
                _ => {}
            }
            self.record(Record::Done {
                step: step.number,
                outcome,
                secrets: secrets_of(&step.operation.payload),
            });
        }
        match play {
            // The step is not in this plan: it is taken back from its end.
            Play::Back(_) => self.back(),
            Play::Halt(_) | Play::Leave(_) => Ending::Halted,
            Play::On | Play::Die(_) => Ending::Applied,
        }
    }

    fn fails(&mut self, step: u32) {
        let failure = Failure::new(FailureKind::Unhealthy, "it does not work");
        self.record(Record::Failed { step, failure });
    }

    /// The undo of what was begun, and the checks of the way back.
    fn back(&mut self) -> Ending {
        self.record(Record::Back { why: "it failed".to_owned() });
        let mut taken = BTreeSet::new();
        let after = self.plan.point_of_no_return;
        let begun = |it: &u32| self.replay.steps.contains_key(it);
        if after.as_ref().is_some_and(begun) {
            return Ending::Halted;
        }
        for undo in &self.plan.rollback {
            let step = self.plan.step(undo.of).expect("a step").clone();
            let state = self.replay.state(undo.of);
            let runs = match step.only_looks() {
                true => undo.needs.iter().any(|it| taken.contains(it)),
                false => state == hive_state::StepState::Done,
            };
            if !runs {
                continue;
            }
            let begun = self.begun(undo.of, 1);
            self.record(Record::UndoBegin(begun));
            let outcome = self.perform(&step, &undo.operation, false);
            taken.insert(undo.of);
            let secrets = secrets_of(&undo.operation.payload);
            self.record(Record::UndoDone { step: undo.of, outcome, secrets });
        }
        Ending::RolledBack
    }

    fn begun(&self, step: u32, attempt: u32) -> Begun {
        let token = Token::from_text(&format!("{}/{step}/{attempt}", self.apply));
        Begun { step, attempt, token, expected: None, secrets: BTreeMap::new() }
    }

    fn record(&mut self, record: Record) {
        self.replay.record(&record, 0).expect("the law");
    }

    fn perform(&mut self, step: &Step, operation: &Operation, there: bool) -> Outcome {
        let mut payload = operation.payload.clone();
        if !payload.values().all(Value::is_known) {
            let outputs = Outputs::new(self.head.as_ref(), self.plan, &self.replay);
            payload = outputs.fill(&payload);
        }
        assert!(payload.values().all(Value::is_known), "everything is known by then: {payload:?}");
        let fields = payload["fields"].as_map().expect("fields").clone();
        let key = (step.place.clone(), step.identity.clone());
        let found = self.objects.get(&key);
        if operation.verb == "keep" {
            let mut live = found.expect("it is there").clone();
            live.outputs.insert("id".to_owned(), format!("of {}", self.apply).into());
            self.objects.insert(key, live.clone());
            return Outcome::live(live);
        }
        match operation.expects {
            Expects::Anything => return Outcome::nothing(),
            Expects::Absent => assert!(found.is_none(), "{} is there already", step.target),
            Expects::Content => assert!(found.is_some(), "{} is not there", step.target),
        }
        if let (Expected::Observed(expected), true) = (&step.expected, there) {
            let found = found.map(|it| Fingerprint::of_managed(&it.fields, &step.managed));
            assert_eq!(&found, expected, "{} is as the plan saw it", step.target);
        }
        if operation.verb == "delete" {
            self.objects.remove(&key);
            return Outcome::nothing();
        }
        let mark = (operation.verb != "release")
            .then(|| Mark { owner: self.owner.clone(), address: step.target.address.clone() });
        let live = live(&step.identity, fields, mark);
        self.objects.insert(key, live.clone());
        Outcome::live(live)
    }
}

fn secrets_of(payload: &Fields) -> BTreeMap<String, String> {
    let named = hive_contract::value::secrets_in(payload).into_iter();
    named.map(|it| (it.to_string(), "print-1".to_owned())).collect()
}

/// A live object as this world has them.
pub(super) fn live(identity: &str, fields: Fields, mark: Option<Mark>) -> Live {
    let listen = fields.get("listen").and_then(Value::as_int).unwrap_or(0);
    let mut outputs = BTreeMap::from([("url".to_owned(), format!("http://h:{listen}").into())]);
    let text = fields.get("text").and_then(Value::scalar).unwrap_or_default();
    outputs.insert("text".to_owned(), Value::from(text));
    Live {
        identity: identity.to_owned(),
        fields,
        outputs,
        mark,
        token: None,
        moved_by: BTreeMap::new(),
        ended: BTreeMap::new(),
        status: Status::default(),
    }
}

/// The actions of a plan, by address, in the order of its steps.
pub(super) fn done(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|it| format!("{} {}", it.operation.verb, it.target)).collect()
}

pub(super) fn actions(plan: &Plan) -> Vec<(String, Action)> {
    plan.changes.iter().map(|it| (it.target.to_string(), it.action)).collect()
}

pub(super) fn needs(plan: &Plan, step: u32) -> Vec<u32> {
    plan.step(step).expect("a step").needs.iter().copied().collect()
}

pub(super) fn set(these: &[&str]) -> BTreeSet<Address> {
    these.iter().map(|it| a(it)).collect()
}

pub(super) fn object<'w>(world: &'w mut World, identity: &str) -> &'w mut hive_contract::Live {
    world.objects.get_mut(&(HERE.to_owned(), identity.to_owned())).expect("it is there")
}

pub(super) fn drift(world: &mut World, identity: &str, key: &str, value: impl Into<Value>) {
    object(world, identity).fields.insert(key.to_owned(), value.into());
}
