//! One story a test: what is declared, what is there, and what the plan says.

use super::world::{HERE, Play, THERE, Tiny, World, a, declared, live, stack};
use crate::plan::{
    Asked, Command, Expected, Plan, PlanError, Read, Scope, SecretSeen, Untouched, explain, guards,
};
use hive_contract::{
    Action, Address, FieldPath, Fields, Ignore, Mark, OutputRef, Reason, SecretRef, StackMark,
    Target, Value,
};
use std::collections::{BTreeMap, BTreeSet};

/// The actions of a plan, by address, in the order of its steps.
fn done(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|it| format!("{} {}", it.operation.verb, it.target)).collect()
}

fn actions(plan: &Plan) -> Vec<(String, Action)> {
    plan.changes.iter().map(|it| (it.target.to_string(), it.action)).collect()
}

fn needs(plan: &Plan, step: u32) -> Vec<u32> {
    plan.step(step).expect("a step").needs.iter().copied().collect()
}

fn set(these: &[&str]) -> BTreeSet<Address> {
    these.iter().map(|it| a(it)).collect()
}

fn object<'w>(world: &'w mut World, identity: &str) -> &'w mut hive_contract::Live {
    world.objects.get_mut(&(HERE.to_owned(), identity.to_owned())).expect("it is there")
}

fn drift(world: &mut World, identity: &str, key: &str, value: impl Into<Value>) {
    object(world, identity).fields.insert(key.to_owned(), value.into());
}

#[test]
fn a_service_is_before_its_users_and_after_what_it_uses() {
    let mut world = World::new();
    let mut web = declared("thing.web", r#"{"text":"@thing.api.url"}"#);
    web.uses.insert(a("check.kafka"));
    let declared = stack([
        declared("thing.api", r#"{"port":true,"text":"@config.api.text"}"#),
        declared("config.api", r#"{"text":"a"}"#),
        declared("check.kafka", r#"{"tcp":"x"}"#),
        web,
    ]);
    let plan = world.plan(&declared);
    let order = ["look check.kafka", "create config.api", "create thing.api", "create thing.web"];
    assert_eq!(done(&plan), order);
    assert_eq!(needs(&plan, 4), [1, 3]);
    assert_eq!(needs(&plan, 3), [2]);
    assert!(needs(&plan, 2).is_empty());
    let back: Vec<u32> = plan.rollback.iter().map(|it| it.of).collect();
    assert_eq!(back, [4, 3, 2], "deletes in reverse, and nothing for the gate");
    assert_eq!(plan.rollback[1].needs, BTreeSet::from([4]));
    world.play(&plan, Play::On);
    assert!(world.plan(&declared).is_empty(), "a plan of what was just applied is empty");
}

#[test]
fn what_is_not_known_is_known_after_a_step_and_what_can_be_said_is_said() {
    let mut world = World::new();
    let mut resources = stack([
        declared("config.a", r#"{"text":"one"}"#),
        declared("thing.api", r#"{"port":true,"text":"x"}"#),
        declared("thing.web", r#"{"url":"@thing.api.url","note":"@config.a.text"}"#),
    ]);
    let plan = world.apply(&resources);
    let web = plan.steps.iter().find(|it| it.target.address == a("thing.web")).expect("a step");
    let fields = web.operation.payload["fields"].as_map().expect("fields");
    assert!(matches!(fields["note"], Value::Output(_)), "known only from the live object");
    let port =
        plan.records[&a("thing.api")].as_ref().expect("a record").parts["main"].fields["listen"]
            .as_int()
            .expect("a port");
    assert_eq!(fields["url"], Value::from(format!("http://h:{port}")), "known from the choice");
    let recorded = &world.head.as_ref().expect("head").resources[&a("thing.web")];
    assert_eq!(recorded.parts["main"].fields["note"], Value::from("one"), "filled at the fold");
    // A release of the api that moves neither port nor anything else that web is made of.
    resources.insert(a("thing.api"), declared("thing.api", r#"{"port":true,"text":"y"}"#));
    let plan = world.apply(&resources);
    assert_eq!(actions(&plan), [("thing.api".to_owned(), Action::Update)]);
    // A change of what web is made of.
    resources.insert(a("config.a"), declared("config.a", r#"{"text":"two"}"#));
    let plan = world.apply(&resources);
    assert_eq!(done(&plan), ["set config.a", "set thing.web"]);
    let reason = Reason::Dependency { address: a("config.a") };
    assert_eq!(plan.changes[1].reasons, [reason]);
    assert!(world.plan(&resources).is_empty());
}

#[test]
fn drift_names_what_moved_and_who_moved_it() {
    let mut world = World::new();
    let resources = stack([declared("thing.a", r#"{"text":"one","size":3}"#)]);
    world.apply(&resources);
    drift(&mut world, "dev/thing.a", "size", 7);
    drift(&mut world, "dev/thing.a", "nobodys", "noise");
    object(&mut world, "dev/thing.a").moved_by =
        BTreeMap::from([(FieldPath::parse("size"), "ann".to_owned())]);
    let plan = world.apply(&resources);
    let change = &plan.changes[0];
    assert_eq!((change.action, &change.reasons[..]), (Action::Update, &[Reason::Drift][..]));
    let difference = &change.differences[0];
    assert_eq!(difference.moved_by.as_deref(), Some("ann"));
    assert_eq!(difference.observed, Some(Value::Int(7)));
    assert!(world.plan(&resources).is_empty());
}

#[test]
fn what_is_gone_comes_back_and_a_removed_key_is_a_reset() {
    let mut world = World::new();
    let mut resources = stack([declared("thing.a", r#"{"text":"one","size":3}"#)]);
    world.apply(&resources);
    world.objects.clear();
    let plan = world.apply(&resources);
    assert_eq!(plan.changes[0].action, Action::Create);
    assert_eq!(plan.changes[0].reasons, [Reason::Drift]);
    resources.insert(a("thing.a"), declared("thing.a", r#"{"text":"one"}"#));
    let plan = world.apply(&resources);
    assert_eq!(plan.changes[0].differences[0].desired, None);
    assert!(!object(&mut world, "dev/thing.a").fields.contains_key("size"));
    assert!(world.plan(&resources).is_empty());
}

#[test]
fn a_live_object_that_is_as_declared_already_changes_only_the_record() {
    let mut world = World::new();
    world.apply(&stack([declared("thing.a", r#"{"text":"one"}"#)]));
    drift(&mut world, "dev/thing.a", "text", "two");
    let resources = stack([declared("thing.a", r#"{"text":"two"}"#)]);
    let plan = world.apply(&resources);
    assert_eq!((plan.steps.len(), plan.changes.len()), (0, 1));
    assert!(!plan.is_empty());
    assert!(world.plan(&resources).is_empty());
}

#[test]
fn a_field_that_cannot_change_replaces_in_either_order() {
    let mut world = World::new();
    let user = || declared("thing.user", r#"{"text":"@thing.a.text"}"#);
    world.apply(&stack([declared("thing.a", r#"{"fixed":1}"#), user()]));
    let resources = stack([declared("thing.a", r#"{"fixed":2}"#), user()]);
    let plan = world.apply(&resources);
    assert_eq!(done(&plan), ["delete thing.a", "create thing.a", "set thing.user"]);
    assert_eq!(plan.steps[1].expected, Expected::After(1));
    let forced = Reason::Forced { field: FieldPath::parse("fixed") };
    assert!(plan.changes[0].reasons.contains(&forced));
    // Under another name both can be there.
    let renamed = declared("thing.a", r#"{"fixed":2,"name":"-b","first":true}"#);
    let resources = stack([renamed, user()]);
    let plan = world.apply(&resources);
    assert_eq!(done(&plan), ["create thing.a", "set thing.user", "delete thing.a"]);
    assert_eq!(needs(&plan, 3), [1, 2], "users move over to the new one, then the other goes");
    assert!(matches!(plan.steps[2].expected, Expected::Observed(Some(_))));
    assert_eq!(world.objects.len(), 2);
    assert!(world.plan(&resources).is_empty());
}

#[test]
fn a_moved_place_is_a_delete_there_and_a_create_here() {
    let mut world = World::new();
    world.apply(&stack([declared("thing.a", "{}")]));
    let resources = stack([declared("thing.a", r#"{"there":true}"#)]);
    let plan = world.apply(&resources);
    assert_eq!(done(&plan), ["create thing.a", "delete thing.a"]);
    assert_eq!(plan.changes[0].reasons, [Reason::Moved { from: HERE.to_owned() }]);
    assert_eq!(plan.places.len(), 2);
    let places: Vec<&str> = world.objects.keys().map(|(place, _)| place.as_str()).collect();
    assert_eq!(places, [THERE]);
    assert!(world.plan(&resources).is_empty());
}

#[test]
fn an_unrecorded_object_is_nobodys_until_it_is_adopted() {
    let mut world = World::new();
    let resources = stack([declared("thing.a", r#"{"text":"x"}"#)]);
    let fields = Fields::from([("text".to_owned(), "y".into())]);
    let key = (HERE.to_owned(), "dev/thing.a".to_owned());
    world.objects.insert(key.clone(), live("dev/thing.a", fields.clone(), None));
    let refused = world.plan_of(&resources, |_| {}).expect_err("refused");
    assert!(matches!(&refused[..], [PlanError::Exists { owner: None, .. }]), "{refused:?}");
    let adopt = |take_over| {
        move |question: &mut crate::plan::Question<'_>| {
            question.command = Command::Adopt;
            question.asked = BTreeMap::from([(a("thing.a"), Asked::Adopt { take_over })]);
        }
    };
    let plan = world.plan_of(&resources, adopt(false)).expect("adopted");
    assert_eq!(plan.changes[0].action, Action::Adopt);
    // Somebody else's is not adopted without being asked to take it over.
    let foreign = Mark {
        owner: StackMark { stack: "other".to_owned(), ..world.owner() },
        address: a("thing.a"),
    };
    world.objects.insert(key.clone(), live("dev/thing.a", fields.clone(), Some(foreign)));
    let refused = world.plan_of(&resources, adopt(false)).expect_err("refused");
    assert!(matches!(&refused[..], [PlanError::Foreign { .. }]), "{refused:?}");
    let plan = world.plan_of(&resources, adopt(true)).expect("taken over");
    world.play(&plan, Play::On);
    assert!(world.plan(&resources).is_empty());
    let again = world.plan_of(&resources, adopt(false)).expect_err("refused");
    assert_eq!(again, [PlanError::AlreadyHeld(a("thing.a"))]);
    // Taken away from us again: refused, unless it is taken over once more, also by `apply`.
    let foreign = Mark {
        owner: StackMark { store: "s9".to_owned(), ..world.owner() },
        address: a("thing.a"),
    };
    object(&mut world, "dev/thing.a").mark = Some(foreign);
    let refused = world.plan_of(&resources, |_| {}).expect_err("refused");
    assert!(matches!(&refused[..], [PlanError::Foreign { .. }]), "{refused:?}");
    let plan = world
        .plan_of(&resources, |question| {
            let asked = Asked::Adopt { take_over: true };
            question.asked = BTreeMap::from([(a("thing.a"), asked)]);
        })
        .expect("taken over");
    world.play(&plan, Play::On);
    assert!(world.plan(&resources).is_empty());
}

#[test]
fn a_lost_store_finds_its_own_by_their_marks() {
    let mut world = World::new();
    let resources = stack([declared("thing.a", r#"{"port":true,"text":"x"}"#)]);
    world.apply(&resources);
    let before = world.objects.clone();
    // The record of it was lost, the store was not: taken back without being asked.
    let mut forgetful = world.clone();
    forgetful.head = None;
    let plan = forgetful.apply(&resources);
    assert_eq!(plan.changes[0].action, Action::Adopt);
    // The whole store was lost: `adopt` is enough.
    world.head = None;
    world.store = "s2".to_owned();
    let refused = world.plan_of(&resources, |_| {}).expect_err("refused");
    assert!(matches!(&refused[..], [PlanError::Exists { owner: Some(_), .. }]), "{refused:?}");
    let plan = world
        .plan_of(&resources, |question| {
            question.command = Command::Adopt;
            let asked = Asked::Adopt { take_over: false };
            question.asked = BTreeMap::from([(a("thing.a"), asked)]);
        })
        .expect("adopted");
    assert_eq!(plan.changes[0].differences, [], "its port is the one it has");
    world.play(&plan, Play::On);
    let fields = |objects: &super::world::Objects| {
        objects.values().map(|it| it.fields.clone()).collect::<Vec<_>>()
    };
    assert_eq!(fields(&world.objects), fields(&before));
    assert!(world.plan(&resources).is_empty());
}

#[test]
fn what_lost_its_mark_is_not_deleted() {
    let mut world = World::new();
    let resources = stack([declared("thing.a", r#"{"text":"x"}"#)]);
    world.apply(&resources);
    object(&mut world, "dev/thing.a").mark = None;
    assert!(world.plan(&resources).is_empty());
    let refused = world.plan_of(&stack([]), |_| {}).expect_err("refused");
    assert_eq!(refused, [PlanError::Unmarked { target: Target::main(a("thing.a")) }]);
    drift(&mut world, "dev/thing.a", "text", "y");
    let plan = world.apply(&resources);
    assert!(plan.lints.iter().any(|it| it.message.contains("mark")), "{:?}", plan.lints);
    assert!(object(&mut world, "dev/thing.a").mark.is_some(), "the next change puts it back");
}

#[test]
fn what_is_protected_is_neither_deleted_nor_replaced() {
    let mut world = World::new();
    let mut thing = declared("thing.a", r#"{"fixed":1}"#);
    thing.protect = true;
    world.apply(&stack([thing]));
    let deleted = world.plan_of(&stack([]), |_| {}).expect_err("refused");
    let error = |action| PlanError::Protected { address: a("thing.a"), action };
    assert_eq!(deleted, [error(Action::Delete)]);
    // Not even by the plan that takes the protection away.
    let loosened = stack([declared("thing.a", r#"{"fixed":2}"#)]);
    let replaced = world.plan_of(&loosened, |_| {}).expect_err("refused");
    assert_eq!(replaced, [error(Action::Replace)]);
    let loosened = stack([declared("thing.a", r#"{"fixed":1}"#)]);
    let plan = world.apply(&loosened);
    assert!(plan.steps.is_empty() && plan.changes.len() == 1, "only the record changes");
    assert_eq!(done(&world.apply(&stack([]))), ["delete thing.a"]);
}

#[test]
fn an_ignored_field_is_somebody_elses() {
    let mut world = World::new();
    let mut thing = declared("thing.a", r#"{"text":"x","size":1}"#);
    let reason = "the autoscaler's".to_owned();
    thing.ignore.push(Ignore { field: FieldPath::parse("size"), reason });
    world.apply(&stack([thing.clone()]));
    drift(&mut world, "dev/thing.a", "size", 9);
    assert!(world.plan(&stack([thing.clone()])).is_empty());
    thing.fields.insert("text".to_owned(), "y".into());
    let plan = world.apply(&stack([thing.clone()]));
    assert_eq!(plan.changes[0].differences.len(), 1);
    assert_eq!(object(&mut world, "dev/thing.a").fields["size"], Value::Int(9));
    assert!(!plan.steps[0].managed.contains(&FieldPath::parse("size")));
    assert!(world.plan(&stack([thing])).is_empty());
}

#[test]
fn a_secret_that_moved_is_used_anew_and_one_unseen_compares_nothing() {
    let mut world = World::new();
    let mut thing = declared("thing.a", "{}");
    thing
        .fields
        .insert("pw".to_owned(), Value::Secret(SecretRef { pin: true, ..SecretRef::env("PW") }));
    let resources = stack([thing]);
    let print = |value: &str| BTreeMap::from([("env:PW".to_owned(), Some(value.to_owned()))]);
    world.secrets = print("print-1");
    let plan = world.apply(&resources);
    assert_eq!(plan.secrets["env:PW"], SecretSeen::New);
    let pinned = Read::Pinned { reference: "env:PW".to_owned(), print: "print-1".to_owned() };
    assert!(plan.reads.contains(&pinned));
    let plan = world.plan(&resources);
    assert!(plan.is_empty());
    assert_eq!(plan.secrets["env:PW"], SecretSeen::Same);
    world.secrets = print("print-2");
    let plan = world.plan(&resources);
    assert_eq!(plan.changes[0].reasons, [Reason::Secret { reference: "env:PW".to_owned() }]);
    world.secrets = BTreeMap::from([("env:PW".to_owned(), None)]);
    let plan = world.plan(&resources);
    assert!(plan.is_empty());
    assert_eq!(plan.secrets["env:PW"], SecretSeen::Unseen);
    assert!(plan.lints.iter().any(|it| it.message.contains("env:PW")));
}

#[test]
fn a_gate_runs_for_what_needs_it_and_never_otherwise() {
    let mut world = World::new();
    let resources = |text: &str, check: &str| {
        let mut user = declared("thing.user", &format!(r#"{{"text":"{text}"}}"#));
        user.uses.insert(a("check.before"));
        stack([
            user,
            declared("check.before", &format!(r#"{{"tcp":"{check}"}}"#)),
            declared("check.alone", r#"{"tcp":"y"}"#),
            declared("thing.other", r#"{"text":"1"}"#),
        ])
    };
    let plan = world.apply(&resources("a", "x"));
    assert_eq!(plan.steps.len(), 4, "a new gate runs");
    assert!(world.plan(&resources("a", "x")).is_empty());
    assert_eq!(done(&world.plan(&resources("b", "x"))), ["look check.before", "set thing.user"]);
    assert_eq!(done(&world.plan(&resources("a", "y"))), ["look check.before"], "a changed one");
    drift(&mut world, "dev/thing.other", "text", "2");
    assert_eq!(done(&world.plan(&resources("a", "x"))), ["set thing.other"]);
}

#[test]
fn a_rollout_is_ready_then_verified_then_used_then_pruned() {
    let mut world = World::new();
    let resources = |text: &str| {
        let api =
            format!(r#"{{"text":"{text}","sweep":true,"rollout":{{"verify":["check.smoke"]}}}}"#);
        stack([
            declared("service.api", &api),
            declared("check.smoke", r#"{"http":"@service.api.url"}"#),
            declared("alert.api", r#"{"service":"api","expr":"@service.api.text"}"#),
            declared("thing.web", r#"{"text":"@service.api.text"}"#),
        ])
    };
    let plan = world.apply(&resources("a"));
    let order = ["create service.api", "look check.smoke", "create alert.api", "create thing.web"];
    assert_eq!(done(&plan), order);
    assert_eq!(needs(&plan, 4), [1, 2], "the users wait for the check too");
    let plan = world.plan(&resources("b"));
    let order = [
        "set service.api",
        "look check.smoke",
        "set alert.api",
        "set thing.web",
        "sweep service.api",
    ];
    assert_eq!(done(&plan), order);
    assert_eq!(needs(&plan, 5), [1, 2, 3, 4], "pruned when everybody moved off");
    assert_eq!(plan.steps[4].expected, Expected::After(1));
    // The way back: users first, and at its end the check that held before.
    let back: Vec<u32> = plan.rollback.iter().map(|it| it.of).collect();
    assert_eq!(back, [4, 3, 1, 2]);
    assert_eq!(plan.rollback[3].needs, BTreeSet::from([1]));
    assert_eq!(plan.rollback[2].needs, BTreeSet::from([3, 4]), "through the gate");
    world.play(&plan, Play::Back(3));
    assert!(world.plan(&resources("a")).is_empty(), "it ends where it began");
    // A service is removed after what watches it and after its users.
    let plan = world.plan(&stack([]));
    let order = ["delete alert.api", "delete thing.web", "delete service.api"];
    assert_eq!(done(&plan), order);
    let names = |it: &crate::plan::PlannedChange| it.target.to_string();
    assert!(plan.changes.iter().map(names).any(|it| it == "check.smoke"), "its record goes");
    world.play(&plan, Play::On);
    assert!(world.objects.is_empty());
    assert!(world.head.expect("head").resources.is_empty());
}

#[test]
fn a_check_that_never_held_runs_again() {
    let mut world = World::new();
    let resources = |text: &str| {
        let api = format!(r#"{{"text":"{text}","rollout":{{"verify":["check.smoke"]}}}}"#);
        stack([
            declared("service.api", &api),
            declared("check.smoke", r#"{"http":"@service.api.url"}"#),
        ])
    };
    world.apply(&resources("a"));
    let plan = world.plan(&resources("b"));
    world.play(&plan, Play::Halt(2));
    let head = world.head.as_ref().expect("head");
    assert!(!head.whole);
    assert_eq!(done(&world.plan(&resources("b"))), ["look check.smoke"]);
    world.apply(&resources("b"));
    assert!(world.head.as_ref().expect("head").whole);
    assert!(world.plan(&resources("b")).is_empty());
}

#[test]
fn a_delete_waits_for_its_users_to_move_off() {
    let mut world = World::new();
    let old = [
        declared("thing.a", r#"{"text":"a"}"#),
        declared("thing.user", r#"{"text":"@thing.a.text"}"#),
        declared("thing.zoo", r#"{"text":"@thing.a.text"}"#),
    ];
    world.apply(&stack(old));
    let resources = stack([
        declared("thing.b", r#"{"text":"b"}"#),
        declared("thing.user", r#"{"text":"@thing.b.text"}"#),
    ]);
    let plan = world.plan(&resources);
    let order = ["create thing.b", "set thing.user", "delete thing.zoo", "delete thing.a"];
    assert_eq!(done(&plan), order);
    assert_eq!(needs(&plan, 4), [2, 3]);
    let users = Read::Users { address: a("thing.a"), users: set(&["thing.user", "thing.zoo"]) };
    assert!(plan.reads.contains(&users));
    world.play(&plan, Play::On);
    assert!(world.plan(&resources).is_empty());
    // A user that stays refuses.
    let left = stack([declared("thing.user", r#"{"text":"@thing.b.text"}"#)]);
    let refused = world.plan_of(&left, |_| {}).expect_err("refused");
    assert_eq!(refused, [PlanError::Missing { address: a("thing.user"), on: a("thing.b") }]);
}

#[test]
fn a_replacement_that_would_wait_for_itself_gives_way() {
    let mut world = World::new();
    let mut z = declared("thing.z", "{}");
    z.uses.insert(a("thing.m"));
    let mut m = declared("thing.m", "{}");
    m.uses.insert(a("thing.r"));
    world.apply(&stack([declared("thing.r", r#"{"fixed":1}"#), m, z]));
    let z = declared("thing.z", r#"{"text":"@thing.r.text"}"#);
    let resources = stack([declared("thing.r", r#"{"fixed":2}"#), z]);
    let plan = world.apply(&resources);
    let order = ["delete thing.r", "create thing.r", "set thing.z", "delete thing.m"];
    assert_eq!(done(&plan), order);
    assert!(world.plan(&resources).is_empty());
}

#[test]
fn a_cycle_is_told_by_its_path() {
    let world = World::new();
    let resources = stack([
        declared("thing.a", r#"{"text":"@thing.b.text"}"#),
        declared("thing.b", r#"{"text":"@thing.c.text"}"#),
        declared("thing.c", r#"{"text":"@thing.a.text"}"#),
    ]);
    let errors = world.plan_of(&resources, |_| {}).expect_err("refused");
    let [PlanError::Cycle(path)] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(path, &["thing.a", "thing.b", "thing.c", "thing.a"]);
    // A check that waits for a user of what it verifies.
    let mut check = declared("check.smoke", "{}");
    check.uses.insert(a("thing.user"));
    let resources = stack([
        declared("thing.api", r#"{"rollout":{"verify":["check.smoke"]}}"#),
        declared("thing.user", r#"{"text":"@thing.api.text"}"#),
        check,
    ]);
    let errors = world.plan_of(&resources, |_| {}).expect_err("refused");
    let [PlanError::Cycle(path)] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(path, &["check.smoke", "thing.user", "thing.api", "check.smoke"]);
}

#[test]
fn an_output_that_nobody_names_is_refused() {
    let world = World::new();
    let resources = stack([
        declared("thing.a", "{}"),
        declared("thing.b", r#"{"x":"@thing.a.nope"}"#),
        declared("thing.c", r#"{"x":"@thing.none.url"}"#),
    ]);
    let errors = world.plan_of(&resources, |_| {}).expect_err("refused");
    assert_eq!(errors, [PlanError::Missing { address: a("thing.c"), on: a("thing.none") }]);
    let mut resources = resources;
    resources.remove(&a("thing.c"));
    let errors = world.plan_of(&resources, |_| {}).expect_err("refused");
    let (address, on, output) = (a("thing.b"), a("thing.a"), "nope".to_owned());
    assert_eq!(errors, [PlanError::NoOutput { address, on, output }]);
}

#[test]
fn only_takes_what_it_needs_and_says_what_it_leaves_out() {
    let mut world = World::new();
    let resources = |text: &str| {
        let config = format!(r#"{{"text":"{text}"}}"#);
        stack([
            declared("config.a", &config),
            declared("config.other", &config),
            declared("thing.api", r#"{"text":"@config.a.text"}"#),
            declared("thing.web", r#"{"text":"@thing.api.text"}"#),
        ])
    };
    world.apply(&resources("one"));
    let plan = world
        .plan_of(&resources("two"), |question| {
            question.scope = Scope::Only(set(&["thing.api"]));
        })
        .expect("a plan");
    assert_eq!(done(&plan), ["set config.a", "set thing.api"]);
    let left: Vec<_> = plan.left_out.keys().map(ToString::to_string).collect();
    assert_eq!(left, ["config.other", "thing.web"]);
    assert!(!plan.covers_all);
    world.play(&plan, Play::On);
    let plan = world.apply(&resources("two"));
    assert_eq!(done(&plan), ["set config.other", "set thing.web"]);
    assert!(world.plan(&resources("two")).is_empty());
}

#[test]
fn exactly_takes_nothing_else_and_reads_the_rest_as_recorded() {
    let mut world = World::new();
    let resources = |text: &str| {
        stack([
            declared("config.a", &format!(r#"{{"text":"{text}"}}"#)),
            declared("thing.api", &format!(r#"{{"text":"@config.a.text","n":"{text}"}}"#)),
        ])
    };
    let exactly = |question: &mut crate::plan::Question<'_>| {
        question.scope = Scope::Exactly(set(&["thing.api"]));
    };
    let refused = world.plan_of(&resources("one"), exactly).expect_err("refused");
    assert_eq!(refused, [PlanError::Missing { address: a("thing.api"), on: a("config.a") }]);
    world.apply(&resources("one"));
    let plan = world.plan_of(&resources("two"), exactly).expect("a plan");
    assert_eq!(done(&plan), ["set thing.api"]);
    let fields = plan.steps[0].operation.payload["fields"].as_map().expect("fields");
    assert_eq!(fields["text"], Value::from("one"));
    let output =
        |read: &&Read| matches!(read, Read::Output { address, .. } if *address == a("config.a"));
    assert_eq!(plan.reads.iter().filter(output).count(), 1);
    world.play(&plan, Play::On);
    world.apply(&resources("two"));
    assert!(world.plan(&resources("two")).is_empty());
}

#[test]
fn a_restart_runs_and_is_verified() {
    let mut world = World::new();
    let resources = stack([
        declared("service.api", r#"{"text":"a","rollout":{"verify":["check.smoke"]}}"#),
        declared("check.smoke", r#"{"http":"@service.api.url"}"#),
    ]);
    let restart = |question: &mut crate::plan::Question<'_>| {
        question.command = Command::Restart;
        question.scope = Scope::Exactly(set(&["service.api"]));
        question.asked = BTreeMap::from([(a("service.api"), Asked::Run)]);
    };
    let refused = world.plan_of(&resources, restart).expect_err("refused");
    assert_eq!(refused, [PlanError::NothingToRun(a("service.api"))]);
    world.apply(&resources);
    let plan = world.plan_of(&resources, restart).expect("a plan");
    assert_eq!(done(&plan), ["set service.api", "look check.smoke"]);
    assert_eq!(plan.changes[1].reasons[0], Reason::Asked { command: "restart".to_owned() });
    world.play(&plan, Play::On);
    assert!(world.plan(&resources).is_empty());
}

#[test]
fn forget_lets_go_and_leaves_it_as_it_is() {
    let mut world = World::new();
    let resources = stack([
        declared("thing.a", r#"{"text":"a"}"#),
        declared("thing.user", r#"{"text":"@thing.a.text"}"#),
    ]);
    world.apply(&resources);
    let forget = |these: &'static [&'static str]| {
        move |question: &mut crate::plan::Question<'_>| {
            question.command = Command::Forget;
            question.scope = Scope::Exactly(set(these));
            let asked = these.iter().map(|it| (a(it), Asked::Forget));
            question.asked = asked.collect();
        }
    };
    let refused = world.plan_of(&resources, forget(&["thing.a"])).expect_err("refused");
    assert_eq!(refused, [PlanError::Missing { address: a("thing.user"), on: a("thing.a") }]);
    let plan = world.plan_of(&resources, forget(&["thing.user"])).expect("a plan");
    assert_eq!(actions(&plan), [("thing.user".to_owned(), Action::Forget)]);
    world.play(&plan, Play::On);
    assert_eq!(world.objects.len(), 2);
    assert!(object(&mut world, "dev/thing.user").mark.is_none());
    assert_eq!(world.head.as_ref().expect("head").resources.len(), 1);
    let unknown = world.plan_of(&resources, forget(&["thing.user"])).expect_err("refused");
    assert_eq!(unknown, [PlanError::Unknown(a("thing.user"))]);
}

#[test]
fn a_move_keeps_the_object_and_takes_its_users_along() {
    let mut world = World::new();
    world.apply(&stack([
        declared("thing.a", r#"{"port":true,"text":"a"}"#),
        declared("thing.user", r#"{"text":"@thing.a.url"}"#),
    ]));
    let resources = stack([
        declared("thing.b", r#"{"port":true,"text":"a"}"#),
        declared("thing.user", r#"{"text":"@thing.b.url"}"#),
    ]);
    let move_to = |question: &mut crate::plan::Question<'_>| {
        question.command = Command::Move;
        question.scope = Scope::Exactly(set(&["thing.a", "thing.b"]));
        question.asked = BTreeMap::from([(a("thing.b"), Asked::MovedFrom(a("thing.a")))]);
    };
    let plan = world.plan_of(&resources, move_to).expect("a plan");
    assert_eq!(done(&plan), ["set thing.b"]);
    // Taken back, it is where it was.
    let mut back = world.clone();
    back.play(&plan, Play::Back(1));
    assert!(back.head.as_ref().expect("head").resources.contains_key(&a("thing.a")));
    world.play(&plan, Play::On);
    let head = world.head.as_ref().expect("head");
    assert_eq!(head.resources.keys().collect::<Vec<_>>(), [&a("thing.b"), &a("thing.user")]);
    assert_eq!(head.resources[&a("thing.b")].parts["main"].identity, "dev/thing.a");
    assert_eq!(world.objects.len(), 2);
    assert!(world.plan(&resources).is_empty());
    let again = world.plan_of(&resources, move_to).expect_err("refused");
    assert!(
        matches!(&again[..], [PlanError::Unknown(_) | PlanError::Move { .. }, ..]),
        "{again:?}"
    );
}

#[test]
fn a_port_is_kept_and_a_new_one_must_be_free() {
    let mut world = World::new();
    let resources = stack([declared("thing.a", r#"{"port":true}"#)]);
    let plan = world.apply(&resources);
    let ports: Vec<u16> = plan
        .reads
        .iter()
        .filter_map(|read| match read {
            Read::PortFree { port, .. } => Some(*port),
            _ => None,
        })
        .collect();
    let [port] = ports[..] else { panic!("one port: {ports:?}") };
    world.ports_taken.insert(port);
    assert!(world.plan(&resources).is_empty(), "its own port is taken by itself");
    // Gone, and somebody else has its port by now.
    world.objects.clear();
    let plan = world.apply(&resources);
    let record = plan.records[&a("thing.a")].as_ref().expect("a record");
    assert_ne!(record.parts["main"].fields["listen"], Value::Int(i64::from(port)));
}

#[test]
fn a_newer_hive_alone_plans_nothing() {
    let mut world = World::new();
    let mut resources = stack([declared("thing.a", r#"{"text":"x"}"#), declared("thing.b", "{}")]);
    world.apply(&resources);
    world.verbs = Tiny { form: 2 };
    assert!(world.plan(&resources).is_empty(), "a new default is nobody's change");
    resources.insert(a("thing.a"), declared("thing.a", r#"{"text":"y"}"#));
    let plan = world.apply(&resources);
    assert_eq!(plan.changes.len(), 1);
    assert_eq!(plan.changes[0].differences.len(), 2, "it counts from the next change");
    assert!(world.plan(&resources).is_empty());
}

#[test]
fn the_point_of_no_return_is_last_and_told() {
    let mut world = World::new();
    let mut resources = stack([
        declared("thing.a", r#"{"final":true}"#),
        declared("thing.b", "{}"),
        declared("thing.c", "{}"),
    ]);
    let plan = world.plan(&resources);
    assert_eq!(done(&plan), ["create thing.b", "create thing.c", "create thing.a"]);
    assert_eq!(plan.point_of_no_return, Some(3));
    assert!(plan.lints.iter().any(|it| it.message.contains("cannot be taken back")));
    resources.insert(a("thing.c"), declared("thing.c", r#"{"text":"@thing.a.text"}"#));
    let plan = world.plan(&resources);
    assert_eq!(plan.point_of_no_return, Some(2));
    assert!(plan.lints.iter().any(|it| it.message.contains("behind the point of no return")));
    world.play(&plan, Play::Back(3));
    assert!(!world.head.as_ref().expect("head").whole, "it halts instead of going back");
    world.apply(&resources);
    assert!(world.plan(&resources).is_empty());
}

#[test]
fn guards_are_recorded_and_the_stricter_holds() {
    let mut world = World::new();
    let resources = stack([declared("thing.a", "{}")]);
    let guarded = |json: &str| {
        let guards: Fields = serde_json::from_str(json).expect("guards");
        move |question: &mut crate::plan::Question<'_>| question.guards = guards.clone()
    };
    let plan = world.plan_of(&resources, guarded(r#"{"protected":true}"#)).expect("a plan");
    assert!(plan.reads.contains(&Read::Guards { fingerprint: None }));
    world.play(&plan, Play::On);
    assert_eq!(world.head.as_ref().expect("head").guards, plan.guards.expect("guards"));
    let plan = world.plan_of(&resources, guarded("{}")).expect("a plan");
    assert!(guards::protected(&plan.guarded_by), "a plan cannot loosen its own guard");
    assert!(!plan.is_empty() && plan.steps.is_empty());
    world.play(&plan, Play::On);
    assert!(world.plan_of(&resources, guarded("{}")).expect("a plan").is_empty());
}

#[test]
fn a_replacement_that_halts_halfway_forgets_nothing() {
    let mut world = World::new();
    world.apply(&stack([declared("thing.a", r#"{"fixed":1,"first":true}"#)]));
    let resources = stack([declared("thing.a", r#"{"fixed":2,"name":"-b","first":true}"#)]);
    let plan = world.plan(&resources);
    assert_eq!(done(&plan), ["create thing.a", "delete thing.a"]);
    world.play(&plan, Play::Halt(2));
    assert_eq!(world.objects.len(), 2);
    let parts = &world.head.as_ref().expect("head").resources[&a("thing.a")].parts;
    assert_eq!(parts.keys().collect::<Vec<_>>(), ["main", "main-before"]);
    world.apply(&resources);
    assert_eq!(world.objects.len(), 1, "the next plan takes the other one away");
    assert!(world.plan(&resources).is_empty());
}

#[test]
fn an_interrupted_apply_is_unsure_and_the_next_plan_looks() {
    let mut world = World::new();
    let resources = stack([
        declared("thing.a", r#"{"text":"a"}"#),
        declared("thing.b", r#"{"text":"@thing.a.text"}"#),
    ]);
    let plan = world.plan(&resources);
    world.play(&plan, Play::Die(1));
    let head = world.head.as_ref().expect("head");
    assert!(head.resources[&a("thing.a")].parts["main"].unsure);
    assert!(!head.whole);
    let plan = world.apply(&resources);
    assert_eq!(done(&plan), ["create thing.b"], "what died after its effect is found");
    assert!(world.plan(&resources).is_empty());
}

#[test]
fn explain_says_why_and_what_it_waits_for() {
    let mut world = World::new();
    let resources = |text: &str| {
        stack([
            declared("config.a", &format!(r#"{{"text":"{text}"}}"#)),
            declared("thing.api", r#"{"text":"@config.a.text"}"#),
            declared("thing.other", "{}"),
            declared("check.x", "{}"),
        ])
    };
    world.apply(&resources("one"));
    let explained = |address: &str| {
        world.ask(
            &resources("two"),
            |_| {},
            |question| {
                let plan = crate::plan::plan(question).expect("a plan");
                explain(question, &plan, &a(address))
            },
        )
    };
    let api = explained("thing.api");
    assert_eq!(api.changes[0].reasons, [Reason::Dependency { address: a("config.a") }]);
    assert_eq!(api.steps[0].waits_for[0].title, "set config.a");
    assert_eq!(explained("config.a").steps[0].waited_for_by[0].number, 2);
    assert_eq!(explained("config.a").used_by, set(&["thing.api"]));
    assert_eq!(explained("thing.other").untouched, Some(Untouched::Same));
    assert_eq!(explained("check.x").untouched, Some(Untouched::NotNeeded));
    assert_eq!(explained("thing.nope").untouched, Some(Untouched::Unknown));
    let held = &explained("thing.other").held_at["main"];
    assert_eq!(held.1, "dev/thing.other");
}

#[test]
fn two_plans_that_touch_nothing_in_common_read_nothing_in_common() {
    let mut world = World::new();
    let resources = |a_text: &str, b_text: &str| {
        stack([
            declared("config.a", &format!(r#"{{"text":"{a_text}"}}"#)),
            declared("thing.a", r#"{"text":"@config.a.text"}"#),
            declared("config.b", &format!(r#"{{"text":"{b_text}"}}"#)),
            declared("thing.b", r#"{"text":"@config.b.text"}"#),
        ])
    };
    world.apply(&resources("1", "1"));
    let first = world.plan(&resources("2", "1"));
    let second = world.plan(&resources("1", "2"));
    let reads = |plan: &Plan| plan.reads.iter().cloned().collect::<BTreeSet<_>>();
    assert!(reads(&first).is_disjoint(&reads(&second)));
    let mut other_way = world.clone();
    world.play(&first, Play::On);
    world.play(&second, Play::On);
    other_way.play(&second, Play::On);
    other_way.play(&first, Play::On);
    assert_eq!(world.objects, other_way.objects);
    assert!(world.plan(&resources("2", "2")).is_empty());
    assert!(other_way.plan(&resources("2", "2")).is_empty());
}

#[test]
fn one_changed_byte_of_a_plan_file_is_found() {
    let world = World::new();
    let plan = world.plan(&stack([declared("thing.a", r#"{"text":"a"}"#)]));
    let bytes = crate::plan::file::write(&plan);
    for at in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(crate::plan::file::read(&changed).is_err(), "byte {at}");
        assert!(crate::plan::file::read(&bytes[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn an_output_of_a_secret_stays_its_expression() {
    let mut world = World::new();
    let mut thing = declared("thing.a", "{}");
    thing.fields.insert("text".to_owned(), Value::Secret(SecretRef::env("PW")));
    let reference = OutputRef { address: a("thing.a"), output: "text".to_owned() };
    assert_eq!(declared("x.y", r#"{"v":"@thing.a.text"}"#).fields["v"], Value::Output(reference));
    let resources = stack([thing]);
    let plan = world.apply(&resources);
    let text = String::from_utf8(crate::plan::file::write(&plan)).expect("text");
    assert!(text.contains("$secret"));
    assert!(world.plan(&resources).is_empty());
}
