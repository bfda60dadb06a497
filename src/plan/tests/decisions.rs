//! What happens to one resource, and why: one story a test.

use super::world::{
    HERE, Play, THERE, Tiny, World, a, actions, declared, done, drift, live, needs, object, set,
    stack,
};
use crate::plan::{Asked, Command, Expected, PlanError, Read, Scope, SecretSeen};
use hive_contract::mark::Way;
use hive_contract::{
    Action, FieldPath, Fields, Fingerprint, Ignore, Live, Mark, OutputRef, Reason, SecretRef,
    StackMark, Target, Token, Value,
};
use std::collections::BTreeMap;

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
fn at_another_place_of_one_system_the_old_goes_first() {
    let mut world = World::new();
    world.apply(&stack([declared("thing.a", "{}")]));
    let resources = stack([declared("thing.a", r#"{"there":true}"#)]);
    let plan = world
        .plan_of(&resources, |question| {
            let system = question.places[HERE].system.clone();
            question.places.get_mut(THERE).expect("there").system = system;
        })
        .expect("a plan");
    assert_eq!(done(&plan), ["delete thing.a", "create thing.a"]);
}

#[test]
fn another_identity_that_is_taken_is_refused_by_the_plan() {
    let mut world = World::new();
    world.apply(&stack([declared("thing.a", "{}")]));
    let theirs = live("dev/thing.a-b", Fields::new(), None);
    world.objects.insert((HERE.to_owned(), theirs.identity.clone()), theirs);
    let renamed = stack([declared("thing.a", r#"{"name":"-b"}"#)]);
    let refused = world.plan_of(&renamed, |_| {}).expect_err("refused");
    let target = Target::main(a("thing.a"));
    let identity = "dev/thing.a-b".to_owned();
    assert_eq!(refused, [PlanError::Exists { target, identity: identity.clone(), owner: None }]);
    world.objects.remove(&(HERE.to_owned(), identity));
    assert_eq!(done(&world.apply(&renamed)), ["delete thing.a", "create thing.a"]);
}

#[test]
fn a_protected_check_or_notice_is_not_deleted() {
    for address in ["check.a", "notify.a"] {
        let mut world = World::new();
        let mut kept = declared(address, "{}");
        kept.protect = true;
        world.apply(&stack([kept]));
        let deleted = world.plan_of(&stack([]), |_| {}).expect_err("refused");
        let error = PlanError::Protected { address: a(address), action: Action::Delete };
        assert_eq!(deleted, [error]);
        let plan = world.plan_of(&stack([]), |question| {
            question.scope = Scope::Exactly([a(address)].into());
            question.asked = BTreeMap::from([(a(address), Asked::Forget)]);
            question.command = Command::Forget;
        });
        assert!(plan.is_ok(), "to forget it is no delete");
    }
}

#[test]
fn take_over_beside_only_asks_for_no_more_than_was_named() {
    let world = World::new();
    let resources = stack([declared("thing.a", "{}"), declared("thing.b", "{}")]);
    let plan = world
        .plan_of(&resources, |question| {
            question.scope = Scope::Only([a("thing.a")].into());
            let asked = Asked::Adopt { take_over: true };
            question.asked = [a("thing.a"), a("thing.b")].map(|it| (it, asked.clone())).into();
        })
        .expect("a plan");
    assert_eq!(done(&plan), ["create thing.a"]);
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
fn what_a_declaration_says_was_there_before_is_taken_where_hive_never_touched_it() {
    let mut world = World::new();
    let resources = stack([declared("thing.a", r#"{"text":"x","baseline":"y"}"#)]);
    let fields = Fields::from([("text".to_owned(), "y".into())]);
    let key = (HERE.to_owned(), "dev/thing.a".to_owned());
    let there = live("dev/thing.a", fields.clone(), None);
    world.objects.insert(key.clone(), there.clone());
    let plan = world.plan(&resources);
    assert_eq!(plan.changes[0].action, Action::Adopt);
    // What a person has let go is nobody's again, and not what was there before.
    let token = Token::new(&Fingerprint::of("x"), "x", 0, Way::There, 1);
    world.objects.insert(key.clone(), Live { token: Some(token), ..there });
    let refused = world.plan_of(&resources, |_| {}).expect_err("refused");
    assert!(matches!(&refused[..], [PlanError::Exists { owner: None, .. }]), "{refused:?}");
    // Somebody else's is theirs.
    let foreign = Mark {
        owner: StackMark { stack: "other".to_owned(), ..world.owner() },
        address: a("thing.a"),
    };
    world.objects.insert(key, live("dev/thing.a", fields, Some(foreign)));
    let refused = world.plan_of(&resources, |_| {}).expect_err("refused");
    assert!(matches!(&refused[..], [PlanError::Foreign { .. }]), "{refused:?}");
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
fn a_pinned_secret_is_bound_also_in_a_check_and_not_before_there_is_a_key() {
    let mut world = World::new();
    let mut check = declared("check.a", "{}");
    let pinned = Value::Secret(SecretRef { pin: true, ..SecretRef::env("PW") });
    check.fields.insert("pw".to_owned(), pinned);
    let resources = stack([check]);
    let print = |value: &str| BTreeMap::from([("env:PW".to_owned(), Some(value.to_owned()))]);
    world.secrets = print("print-1");
    let bound = Read::Pinned { reference: "env:PW".to_owned(), print: "print-1".to_owned() };
    assert!(world.plan(&resources).reads.contains(&bound));
    world.secrets = print("");
    let plan = world.plan(&resources);
    assert_eq!(plan.secrets["env:PW"], SecretSeen::New);
    assert!(!plan.reads.iter().any(|it| matches!(it, Read::Pinned { .. })), "{:?}", plan.reads);
}

#[test]
fn a_secret_that_gives_access_is_listed_and_never_compared() {
    let mut world = World::new();
    let mut thing = declared("thing.a", "{}");
    thing.fields.insert("access".to_owned(), Value::Secret(SecretRef::env("URL")));
    let resources = stack([thing]);
    let print = |value: &str| BTreeMap::from([("env:URL".to_owned(), Some(value.to_owned()))]);
    world.secrets = print("print-1");
    assert_eq!(world.apply(&resources).secrets["env:URL"], SecretSeen::Access);
    world.secrets = print("print-2");
    let plan = world.plan(&resources);
    assert!(plan.is_empty(), "{:?}", plan.changes);
    assert_eq!(plan.secrets["env:URL"], SecretSeen::Access);
    world.secrets = BTreeMap::from([("env:URL".to_owned(), None)]);
    assert_eq!(world.plan(&resources).secrets["env:URL"], SecretSeen::Unseen);
}

#[test]
fn a_secret_that_gives_access_and_is_given_on_is_compared_where_it_is_used() {
    let mut world = World::new();
    let mut thing = declared("thing.a", "{}");
    thing.fields.insert("access".to_owned(), Value::Secret(SecretRef::env("URL")));
    let mut user = declared("thing.b", "{}");
    user.fields.insert("pw".to_owned(), Value::Secret(SecretRef::env("URL")));
    let (both, alone) = (stack([thing.clone(), user]), stack([thing]));
    let print = |value: &str| BTreeMap::from([("env:URL".to_owned(), Some(value.to_owned()))]);
    world.secrets = print("print-1");
    world.apply(&both);
    assert_eq!(world.plan(&both).secrets["env:URL"], SecretSeen::Same);
    assert_eq!(world.plan(&alone).secrets["env:URL"], SecretSeen::Same);
    world.secrets = print("print-2");
    assert_eq!(world.plan(&both).secrets["env:URL"], SecretSeen::Moved);
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
    assert!(plan.lints.is_empty(), "the plan says it once, beside its secrets");
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
    let (how, users) = ("forgotten", set(&["thing.user"]));
    assert_eq!(refused, [PlanError::InUse { address: a("thing.a"), how, users }]);
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
