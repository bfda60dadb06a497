//! P1 and P3 to P8 on the in-memory world. P2 is in `kills.rs`.

use super::lab::{CANARY, Lab, Wish, field, paused, said_by};
use super::scenario::{self, base};
use super::thing::{Stack, address, gate, stack, thing};
use hive::apply::{ApplyError, Progress, Settle};
use hive::plan::{self, Command, Plan};
use hive_contract::testing::{Fault, Picture, Spot, World};
use hive_contract::{FailureKind, Fields, Mark, Provider, Value};
use hive_state::Ending;
use std::collections::BTreeMap;

/// What a refused apply must be, and that it did nothing.
async fn refused(lab: &Lab, plan: &Plan, names: &str) {
    let before = lab.world.log().len();
    let head = said_by(lab.head().await.as_ref());
    match lab.apply(plan).await {
        Err(ApplyError::Stale(why)) => {
            let why = why.join("; ");
            assert!(why.contains(names), "it names `{names}`: {why}");
        }
        other => panic!("a stale plan: {other:?}"),
    }
    assert_eq!(lab.world.log().len(), before, "nothing was begun");
    assert_eq!(said_by(lab.head().await.as_ref()), head, "nothing was recorded");
    assert!(lab.ledger().open_journal().await.expect("readable").is_none(), "nothing is open");
}

/// Two things that have nothing to do with each other, at these weights.
fn two(a: i64, b: i64) -> Stack {
    stack([thing("a").with("weight", a), thing("b").with("weight", b)])
}

#[test]
fn p1_a_plan_with_any_byte_changed_is_not_read() {
    paused(async {
        let lab = Lab::new();
        let plan = lab.planned(&Wish::apply(stack(base()))).await;
        let bytes = plan::file::write(&plan);
        assert_eq!(plan::file::read(&bytes).expect("whole").digest(), plan.digest());
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(plan::file::read(&changed).is_err(), "byte {at} of {}", bytes.len());
        }
        for length in 0..bytes.len() - 1 {
            assert!(plan::file::read(&bytes[..length]).is_err(), "cut to {length}");
        }
    });
}

#[test]
fn p1_a_live_object_that_moved_is_refused_before_the_first_effect() {
    paused(async {
        let lab = Lab::new();
        lab.run(&Wish::apply(two(1, 1))).await;
        let plan = lab.planned(&Wish::apply(two(2, 2))).await;
        let moved = Fields::from([("weight".to_owned(), Value::Int(99))]);
        lab.world.meddle(&lab.spot("thing.b"), "a passer-by", moved);
        refused(&lab, &plan, "thing.b").await;
    });
}

#[test]
fn p1_a_live_object_that_came_or_went_is_refused_before_the_first_effect() {
    paused(async {
        let lab = Lab::new();
        let plan = lab.planned(&Wish::apply(two(1, 1))).await;
        lab.world.meddle(&lab.spot("thing.a"), "somebody", Fields::new());
        refused(&lab, &plan, "thing.a").await;
        let lab = Lab::new();
        lab.run(&Wish::apply(two(1, 1))).await;
        let plan = lab.planned(&Wish::apply(two(2, 1))).await;
        lab.world.wreck(&lab.spot("thing.a"));
        refused(&lab, &plan, "thing.a").await;
    });
}

#[test]
fn p1_a_second_identity_that_is_taken_is_refused_before_the_first_effect() {
    paused(async {
        let sized = |size| {
            let body = thing("body").fixed(size).with("replace", "create-first");
            Wish::apply(stack([thing("a").with("weight", size), body]))
        };
        let lab = Lab::new();
        lab.run(&sized(1)).await;
        let plan = lab.planned(&sized(2)).await;
        let new = plan.steps.iter().find(|it| it.operation.verb == "create").expect("a create");
        let spot = (new.place.clone(), new.identity.clone());
        lab.world.meddle(&spot, "somebody", Fields::new());
        refused(&lab, &plan, "thing.body").await;
        lab.world.wreck(&spot);
        let report = lab.apply(&plan).await.expect("it is free again");
        assert_eq!(report.ending, Ending::Applied);
    });
}

#[test]
fn p1_a_record_that_moved_is_refused_before_the_first_effect() {
    paused(async {
        let lab = Lab::new();
        lab.run(&Wish::apply(two(1, 1))).await;
        let plan = lab.planned(&Wish::apply(two(2, 1))).await;
        lab.run(&Wish::apply(two(3, 1))).await;
        refused(&lab, &plan, "thing.a").await;
    });
}

#[test]
fn p1_another_owner_is_refused_before_the_first_effect() {
    paused(async {
        let lab = Lab::new();
        lab.run(&Wish::apply(two(1, 1))).await;
        let plan = lab.planned(&Wish::apply(two(2, 1))).await;
        let spot = lab.spot("thing.a");
        let mark = lab.world.objects()[&spot].mark.clone().expect("a mark");
        let owner = hive_contract::StackMark { store: "another".to_owned(), ..mark.owner.clone() };
        lab.world.remark(&spot, Some(Mark { owner, ..mark }));
        refused(&lab, &plan, "thing.a").await;
    });
}

#[test]
fn p1_what_moved_elsewhere_does_not_matter() {
    paused(async {
        let lab = Lab::new();
        lab.run(&Wish::apply(two(1, 1))).await;
        let plan = lab.planned(&Wish::apply(two(2, 1))).await;
        lab.run(&Wish::apply(two(1, 7))).await;
        let moved = Fields::from([("weight".to_owned(), Value::Int(99))]);
        lab.world.meddle(&lab.spot("thing.b"), "a passer-by", moved);
        let report = lab.apply(&plan).await.expect("still good");
        assert_eq!(report.ending, Ending::Applied);
        let a = &lab.picture()[&lab.spot("thing.a")];
        assert_eq!(field(a, "weight"), Some(&Value::Int(2)));
    });
}

#[test]
fn p1_what_is_done_is_what_the_plan_says() {
    paused(async {
        for scenario in scenario::all().iter().filter(|it| it.ending == Ending::Applied) {
            let lab = scenario.set_up(World::new()).await;
            let plan = lab.planned(&scenario.wish(&lab).await).await;
            let (before, picture) = (lab.world.log().len(), lab.picture());
            lab.apply(&plan).await.expect("it ends");
            let mut done: Vec<(String, String)> = lab.world.log()[before..]
                .iter()
                .filter(|it| it.verb != "ready" && !it.verb.ends_with(" half"))
                .map(|it| (it.verb.clone(), it.identity.clone()))
                .collect();
            // A step whose filled fields equal what is live ends without effect.
            let now = lab.picture();
            let moved = |step: &plan::Step| {
                let spot = (step.place.clone(), step.identity.clone());
                step.operation.verb != "update" || picture.get(&spot) != now.get(&spot)
            };
            let mut said: Vec<(String, String)> = plan
                .steps
                .iter()
                .filter(|it| it.operation.verb != "look" && moved(it))
                .map(|it| (it.operation.verb.clone(), it.identity.clone()))
                .collect();
            done.sort();
            said.sort();
            assert_eq!(done, said, "{}", scenario.name);
        }
    });
}

#[test]
fn p3_what_does_not_work_is_never_a_success() {
    paused(async {
        for fault in [
            Fault::Unhealthy,
            Fault::FailAfter(FailureKind::Unhealthy),
            Fault::Lost { effect: true },
            Fault::Lost { effect: false },
        ] {
            let lab = Lab::new();
            lab.run(&Wish::apply(two(1, 1))).await;
            let before = lab.picture();
            lab.world.script("dev/thing.b", [fault.clone()]);
            let plan = lab.planned(&Wish::apply(two(2, 2))).await;
            let report = lab.apply(&plan).await.expect("it ends");
            assert_eq!(report.ending, Ending::RolledBack, "{fault:?}: {report:?}");
            assert_eq!(lab.picture(), before, "{fault:?}");
        }
    });
}

#[test]
fn p3_what_is_too_slow_is_never_a_success() {
    paused(async {
        let lab = Lab::new();
        lab.run(&Wish::apply(two(1, 1))).await;
        let before = lab.picture();
        let late = || thing("b").with("weight", 2).with("deadline_ms", 100);
        lab.world.script("dev/thing.b", [Fault::Wait { before_ms: 0, after_ms: 5_000 }]);
        let plan = lab.planned(&Wish::apply(stack([thing("a").with("weight", 1), late()]))).await;
        let report = lab.apply(&plan).await.expect("it ends");
        assert_eq!(report.ending, Ending::RolledBack, "{report:?}");
        assert_eq!(report.failures[0].2.kind, FailureKind::TimedOut);
        assert_eq!(lab.picture(), before);
    });
}

/// The world and the record; copies stay, whatever is taken back.
async fn apart_from_copies(lab: &Lab) -> (BTreeMap<Spot, Picture>, String) {
    let mut picture = lab.picture();
    let mut kept = Vec::new();
    for object in picture.values_mut() {
        object.made_with = None;
        kept.push(std::mem::take(&mut object.kept));
    }
    let mut recorded = said_by(lab.head().await.as_ref());
    for number in kept.into_iter().filter(|it| *it > 0) {
        recorded = recorded.replace(&format!("copy {number}"), "a copy");
    }
    (picture, recorded)
}

#[test]
fn p4_a_failed_apply_takes_back_exactly_what_it_had_begun() {
    paused(async {
        for scenario in scenario::all().iter().filter(|it| it.ending == Ending::RolledBack) {
            let lab = scenario.set_up(World::new()).await;
            let (picture, recorded) = apart_from_copies(&lab).await;
            let plan = lab.planned(&scenario.wish(&lab).await).await;
            let before = lab.world.log().len();
            let report = lab.apply(&plan).await.expect("it ends");
            assert_eq!(report.ending, Ending::RolledBack, "{}: {report:?}", scenario.name);
            let (after, now) = apart_from_copies(&lab).await;
            assert_eq!(after, picture, "{}", scenario.name);
            assert_eq!(now, recorded, "{}", scenario.name);
            assert!(lab.world.log().len() > before, "{}: it began something", scenario.name);
            assert_eq!(lab.world.log_faults(), Vec::<String>::new(), "{}", scenario.name);
        }
    });
}

#[test]
fn p4_every_plan_has_its_way_back() {
    paused(async {
        for scenario in scenario::all() {
            let lab = scenario.set_up(World::new()).await;
            let plan = lab.planned(&scenario.wish(&lab).await).await;
            for step in plan.steps.iter().filter(|it| it.operation.verb != "look") {
                let none = ["run", "keep", "contract"].contains(&step.operation.verb.as_str());
                let has = plan.undo(step.number).is_some() || none;
                assert!(has, "{}: step {} ({})", scenario.name, step.number, step.operation.title);
            }
        }
    });
}

#[test]
fn p4_behind_the_point_of_no_return_it_halts_and_freezes() {
    paused(async {
        let lab = Lab::new();
        let wish = Wish::apply(stack([
            thing("a").with("weight", 1),
            thing("b").with("oneway", true).uses("thing.a"),
            thing("c").with("doomed", "unhealthy").uses("thing.b"),
        ]));
        let plan = lab.planned(&wish).await;
        let last = plan.steps.iter().find(|it| it.target.address == address("thing.b"));
        assert_eq!(plan.point_of_no_return, last.map(|it| it.number));
        let report = lab.apply(&plan).await.expect("it ends");
        assert_eq!(report.ending, Ending::Halted, "{report:?}");
        assert!(report.frozen, "{report:?}");
        let there: Vec<String> = lab.picture().into_keys().map(|spot| spot.1).collect();
        assert_eq!(there, ["dev/thing.a", "dev/thing.b", "dev/thing.c"]);
        assert!(!lab.head().await.expect("a head").whole, "the snapshot is partial");
        assert!(lab.ledger().freeze().await.expect("readable").is_some());
        match lab.apply(&lab.planned(&wish).await).await {
            Err(ApplyError::Refused(_)) => {}
            other => panic!("an apply while frozen: {other:?}"),
        }
    });
}

#[test]
fn p4_before_the_point_of_no_return_it_goes_back() {
    paused(async {
        let lab = Lab::new();
        let wish = Wish::apply(stack([
            thing("a").with("doomed", "unhealthy"),
            thing("b").with("oneway", true).uses("thing.a"),
        ]));
        let report = lab.run(&wish).await.expect("steps");
        assert_eq!(report.ending, Ending::RolledBack, "{report:?}");
        assert!(lab.picture().is_empty());
    });
}

#[test]
fn p4_an_undo_that_fails_halts_and_freezes() {
    paused(async {
        let lab = Lab::new();
        let wish = Wish::apply(stack([
            thing("a").with("weight", 1),
            thing("b").with("doomed", "unhealthy").uses("thing.a"),
        ]));
        let plan = lab.planned(&wish).await;
        let no = hive_contract::Failure::new(FailureKind::Forbidden, "not any more");
        lab.world.script("dev/thing.a", [Fault::Pass, Fault::Refuse(no)]);
        let report = lab.apply(&plan).await.expect("it ends");
        assert_eq!(report.ending, Ending::Halted, "{report:?}");
        assert!(report.frozen && !report.undo_failures.is_empty(), "{report:?}");
        assert!(!lab.head().await.expect("a head").whole);
    });
}

#[test]
fn p5_every_snapshot_can_be_brought_back() {
    paused(async {
        let lab = Lab::new();
        let stacks = [
            stack(base()),
            two(1, 2),
            stack([
                thing("a").fixed(1).with("replace", "create-first").secret("password", "ONE"),
                thing("b").from("up", "thing.a", "url").with("steps", 2).with("writes", 2),
            ]),
            stack([thing("a").fixed(2).with("replace", "create-first"), gate("g")]),
        ];
        let mut pictures = Vec::new();
        for stack in &stacks {
            lab.run(&Wish::apply(stack.clone())).await;
            let number = lab.head().await.expect("a head").number;
            pictures.push((number, lab.picture(), said_by(lab.head().await.as_ref())));
        }
        for (number, picture, recorded) in pictures.iter().rev().chain(&pictures) {
            lab.ledger().set_freeze(None).await.expect("writable");
            let wish = lab.restore(*number).await;
            let report = lab.run(&wish).await;
            assert!(report.is_none_or(|it| it.ending == Ending::Applied));
            assert_eq!(&lab.picture(), picture, "live is as in snapshot {number}");
            assert_eq!(&said_by(lab.head().await.as_ref()), recorded, "snapshot {number}");
            let own = Wish { freezes: false, command: Command::Apply, ..wish };
            assert!(lab.planned(&own).await.is_empty(), "the stack of snapshot {number}");
        }
    });
}

#[test]
fn p5_a_restore_freezes() {
    paused(async {
        let lab = Lab::new();
        lab.run(&Wish::apply(two(1, 1))).await;
        lab.run(&Wish::apply(two(2, 2))).await;
        let report = lab.run(&lab.restore(1).await).await.expect("steps");
        assert!(report.frozen);
        match lab.apply(&lab.planned(&Wish::apply(two(2, 2))).await).await {
            Err(ApplyError::Refused(_)) => {}
            other => panic!("an apply while frozen: {other:?}"),
        }
    });
}

#[test]
fn p6_a_secret_stands_nowhere() {
    paused(async {
        for fault in [None, Some(Fault::Unhealthy), Some(Fault::Lost { effect: true })] {
            let lab = Lab::new();
            let wish = Wish::apply(stack([
                thing("a").secret("password", "ONE"),
                thing("b").around("up", "thing.a", "url").secret("token", "TWO"),
                gate("g").secret("key", "THREE").uses("thing.b"),
            ]));
            lab.world.script("dev/thing.b", fault);
            let plan = lab.planned(&wish).await;
            let report = lab.apply(&plan).await.expect("it ends");
            let again = lab.planned(&wish).await;
            for (key, bytes) in lab.written() {
                let text = String::from_utf8_lossy(&bytes);
                assert!(!text.contains(CANARY), "{key}");
            }
            let said =
                format!("{report:?} {plan:?} {again:?} {:?}", lab.said.lock().expect("said"));
            assert!(!said.contains(CANARY), "{said}");
            assert!(!format!("{:?}", lab.world.objects()).contains(CANARY));
        }
    });
}

#[test]
fn p6_another_value_behind_a_reference_is_an_update() {
    paused(async {
        let mut lab = Lab::new();
        let wish = Wish::apply(stack([thing("a").secret("password", "ONE")]));
        lab.run(&wish).await;
        assert!(lab.planned(&wish).await.is_empty(), "the same value");
        let first = lab.picture();
        lab.secrets.insert("ONE".to_owned(), "another".to_owned());
        let report = lab.run(&wish).await.expect("an update");
        assert_eq!(report.ending, Ending::Applied);
        assert_ne!(lab.picture(), first, "the new value is there");
        assert!(lab.planned(&wish).await.is_empty());
    });
}

fn many(count: u32, changed: u32) -> Stack {
    stack((0..count).map(|it| thing(&format!("t{it}")).with("weight", i64::from(it < changed))))
}

#[test]
fn p7_an_unchanged_object_costs_no_call_of_its_own() {
    paused(async {
        let lab = Lab::new();
        lab.run(&Wish::apply(many(250, 0))).await;
        lab.world.forget_calls();
        assert!(lab.planned(&Wish::apply(many(250, 0))).await.is_empty());
        let calls = lab.world.calls();
        assert_eq!(calls.verbs.get("observe"), Some(&1), "one question");
        assert_eq!(calls.batches, 3, "250 objects in batches of 100");
        assert_eq!(calls.verbs.len(), 1, "and nothing else: {:?}", calls.verbs);
    });
}

#[test]
fn p7_a_change_costs_what_it_changes() {
    paused(async {
        let mut costs = Vec::new();
        for count in [20, 200] {
            let lab = Lab::new();
            lab.run(&Wish::apply(many(count, 0))).await;
            let plan = lab.planned(&Wish::apply(many(count, 3))).await;
            lab.world.forget_calls();
            let before = lab.store.counts();
            lab.apply(&plan).await.expect("it ends");
            let calls = lab.world.calls();
            assert_eq!(calls.verbs.get("perform"), Some(&3));
            let looked: u64 = calls
                .objects
                .iter()
                .filter(|((verb, _), _)| verb == "observe")
                .map(|(_, times)| times)
                .sum();
            assert!(looked <= 3, "only what is in the read set is looked at: {looked}");
            costs.push(lab.store.counts().syncs - before.syncs);
        }
        assert_eq!(costs[0], costs[1], "as many syncs in a small stack as in a large one");
    });
}

#[test]
fn p8_every_scenario_converges() {
    paused(async {
        for scenario in scenario::all().iter().filter(|it| it.ending == Ending::Applied) {
            let lab = scenario.set_up(World::new()).await;
            let wish = scenario.wish(&lab).await;
            lab.run(&wish).await;
            if wish.command == Command::Forget {
                continue;
            }
            let again = lab.planned(&Wish::apply(wish.stack)).await;
            assert!(again.is_empty(), "{}: {:?}", scenario.name, again.changes);
        }
    });
}

#[test]
fn p8_a_record_of_the_form_before_plans_nothing() {
    paused(async {
        let lab = Lab::new();
        lab.run(&Wish::apply(two(1, 1))).await;
        let head = lab.head().await.expect("a head");
        let forms: Vec<u32> =
            head.resources.values().flat_map(|it| it.parts.values()).map(|it| it.form).collect();
        assert_eq!(forms, [2, 2]);
        let upgraded = lab.provider().upgrade(1, Fields::from([("size".to_owned(), 1.into())]));
        assert_eq!(upgraded, Ok(Fields::from([("weight".to_owned(), 1.into())])));
    });
}

#[test]
fn a_second_apply_settles_nothing_that_is_not_open() {
    paused(async {
        let lab = Lab::new();
        lab.run(&Wish::apply(two(1, 1))).await;
        assert!(lab.recover(Settle::On).await.expect("readable").is_none());
        let noted = lab.said.lock().expect("said");
        assert!(noted.iter().any(|it| matches!(it, Progress::Closed { .. })));
    });
}
