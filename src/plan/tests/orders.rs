//! In which order, of how much, and what is left when it stops: one story a test.

use super::world::{Play, World, a, declared, done, drift, needs, set, stack};
use crate::plan::{
    Asked, Command, Expected, Plan, PlanError, Read, Scope, Untouched, explain, guards,
};
use hive_contract::{Action, Fields, Reason, Value};
use std::collections::{BTreeMap, BTreeSet};

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
    let (how, users) = ("taken away", set(&["thing.user"]));
    assert_eq!(refused, [PlanError::InUse { address: a("thing.b"), how, users }]);
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
fn what_does_not_run_is_not_restarted_and_what_makes_nothing_is_not_replaced() {
    let mut world = World::new();
    let resources =
        stack([declared("thing.a", r#"{"still":true}"#), declared("check.a", r#"{"http":"x"}"#)]);
    world.apply(&resources);
    let restart = |question: &mut crate::plan::Question<'_>| {
        question.command = Command::Restart;
        question.asked = BTreeMap::from([(a("thing.a"), Asked::Run)]);
    };
    let refused = world.plan_of(&resources, restart).expect_err("refused");
    assert_eq!(refused, [PlanError::NothingToRun(a("thing.a"))]);
    let replace = |question: &mut crate::plan::Question<'_>| {
        question.asked = BTreeMap::from([(a("check.a"), Asked::Replace)]);
    };
    let refused = world.plan_of(&resources, replace).expect_err("refused");
    assert_eq!(refused, [PlanError::NothingToReplace(a("check.a"))]);
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
fn two_replacements_that_halt_halfway_forget_nothing_either() {
    let mut world = World::new();
    world.apply(&stack([declared("thing.a", r#"{"fixed":1,"first":true}"#)]));
    let sized = |size: u8, name: &str| {
        let fields = format!(r#"{{"fixed":{size},"name":"{name}","first":true}}"#);
        stack([declared("thing.a", &fields)])
    };
    let plan = world.plan(&sized(2, "-b"));
    world.play(&plan, Play::Halt(2));
    let next = sized(3, "-c");
    let plan = world.plan(&next);
    assert_eq!(done(&plan)[0], "create thing.a", "{:?}", done(&plan));
    world.play(&plan, Play::Halt(2));
    assert_eq!(world.objects.len(), 3);
    let parts = &world.head.as_ref().expect("head").resources[&a("thing.a")].parts;
    assert_eq!(parts.keys().collect::<Vec<_>>(), ["main", "main-before", "main-before-2"]);
    world.apply(&next);
    assert_eq!(world.objects.len(), 1, "the next plan takes the others away");
    assert!(world.plan(&next).is_empty());
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
    assert_eq!(done(&plan), ["set thing.a", "create thing.b"], "nobody saw the first succeed");
    assert!(world.plan(&resources).is_empty());
}

#[test]
fn what_failed_and_is_as_declared_is_not_taken_for_done() {
    let mut world = World::new();
    let resources = stack([
        declared("thing.a", r#"{"text":"a"}"#),
        declared("thing.b", r#"{"text":"@thing.a.text"}"#),
    ]);
    let plan = world.plan(&resources);
    world.play(&plan, Play::Leave(1));
    let verified = |world: &World| {
        let head = world.head.as_ref().expect("head");
        head.resources[&a("thing.a")].parts["main"].is_verified()
    };
    for _ in 0..2 {
        assert!(!verified(&world));
        let plan = world.plan(&resources);
        assert_eq!(done(&plan), ["set thing.a", "create thing.b"]);
        let change = &plan.changes[0];
        assert_eq!(
            (change.action, &change.reasons[..]),
            (Action::Update, &[Reason::Unverified][..])
        );
        assert!(change.differences.is_empty() && needs(&plan, 2) == [1], "its user waits");
        // However often it fails, and whether it leaves something or not.
        world.play(&plan, Play::Leave(1));
        let plan = world.plan(&resources);
        world.play(&plan, Play::Back(1));
        assert!(!verified(&world), "a failure that leaves nothing verifies nothing");
    }
    world.apply(&resources);
    assert!(verified(&world));
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
