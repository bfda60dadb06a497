//! How applies end: applied, rolled back, halted; and what each leaves.

use super::bed::{Bed, chain, declare};
use crate::apply::{ApplyError, Progress};
use crate::plan::OnFailure;
use hive_contract::testing::Fault;
use hive_contract::{Action, Expects, Failure, FailureKind, Fields, Undo, Value};
use hive_state::{Ending, Record};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_done_goes_out_with_the_begins_that_it_allows() {
    let bed = Bed::new();
    let declared = chain("abc", 1);
    let report = bed.apply(&declared).await.expect("applies");
    assert_eq!((report.ending, report.snapshot, report.frozen), (Ending::Applied, Some(1), false));
    assert_eq!(
        bed.words().await,
        ["opened", "begin 1", "done 1, begin 2", "done 2, begin 3", "done 3", "closed"]
    );
    bed.converged(&declared, "three in a row").await;
    let head = bed.head().await.expect("a head");
    assert!(head.whole);
    let mark = bed.world.objects()[&bed.spot("thing.a")].mark.clone().expect("a mark");
    assert_eq!(Some(mark.owner.store), bed.ledger.store_id().await.expect("reads"));
}

#[tokio::test(start_paused = true)]
async fn independent_steps_run_together_up_to_the_limit() {
    let mut bed = Bed::new();
    bed.parallel = 2;
    let declared: Vec<_> = "abcd"
        .chars()
        .map(|it| declare(&format!("thing.{it}"), json!({ "settle_ms": 1000 }), &[]))
        .collect();
    bed.apply(&declared).await.expect("applies");
    assert_eq!(
        bed.words().await,
        [
            "opened",
            "begin 1, begin 2",
            "done 1, done 2, begin 3, begin 4",
            "done 3, done 4",
            "closed"
        ]
    );
    bed.converged(&declared, "four beside each other").await;
}

#[tokio::test(start_paused = true)]
async fn what_a_step_says_of_itself_is_filled_in_for_those_behind_it() {
    let bed = Bed::new();
    let url = json!({ "$output": { "address": "thing.a", "output": "url" } });
    let of = |weight: i64| {
        vec![
            declare("thing.a", json!({ "weight": weight }), &[]),
            declare("thing.b", json!({ "to": url.clone() }), &[]),
        ]
    };
    bed.apply(&of(1)).await.expect("applies");
    let to = |bed: &Bed| bed.world.objects()[&bed.spot("thing.b")].fields["to"].clone();
    assert!(to(&bed).as_text().is_some_and(|it| it.ends_with("thing.a/1")), "{:?}", to(&bed));
    bed.apply(&of(2)).await.expect("applies");
    assert!(to(&bed).as_text().is_some_and(|it| it.ends_with("thing.a/2")), "{:?}", to(&bed));
    bed.converged(&of(2), "an output that moved").await;
}

#[tokio::test(start_paused = true)]
async fn every_failure_ends_where_the_apply_began() {
    let refused = Failure::new(FailureKind::Forbidden, "no");
    let faults = [
        Fault::Refuse(refused),
        Fault::FailAfter(FailureKind::TimedOut),
        Fault::Unhealthy,
        Fault::Lost { effect: true },
        Fault::Lost { effect: false },
    ];
    for fault in faults {
        for (first, whose) in [(true, "a"), (true, "c"), (false, "a"), (false, "b"), (false, "c")] {
            let bed = Bed::new();
            let why = format!("{fault:?} at {whose}, first: {first}");
            let before = chain("abc", 1);
            if !first {
                bed.apply(&before).await.expect("applies");
            }
            let picture = bed.picture();
            let number = bed.head().await.map(|it| it.number);
            bed.world.script(&format!("dev/thing.{whose}"), [fault.clone()]);
            let report = bed.apply(&chain("abc", 2)).await.expect("comes to an end");
            assert_eq!(report.ending, Ending::RolledBack, "{why}: {report:#?}");
            assert_eq!(report.failures.len(), 1, "{why}");
            assert_eq!(bed.picture(), picture, "{why}");
            assert!(!report.frozen, "{why}");
            match first {
                true => assert!(bed.world.objects().is_empty(), "{why}"),
                false => bed.converged(&before, &why).await,
            }
            let untouched = whose == "a" && matches!(fault, Fault::Refuse(_));
            if untouched {
                assert_eq!(bed.head().await.map(|it| it.number), number, "{why}");
            }
            bed.apply(&chain("abc", 2)).await.expect("applies");
            bed.converged(&chain("abc", 2), &why).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn deletes_and_replacements_are_taken_back_too() {
    let bed = Bed::new();
    let before = vec![
        declare("thing.a", json!({ "weight": 1 }), &[]),
        declare("thing.b", json!({ "immutable": { "size": 1 } }), &[]),
        declare("thing.c", json!({ "replace": "create-first", "immutable": { "size": 1 } }), &[]),
        declare("thing.z", json!({ "weight": 1 }), &["thing.b", "thing.c"]),
    ];
    bed.apply(&before).await.expect("applies");
    let picture = bed.picture();
    let after = vec![
        declare("thing.b", json!({ "immutable": { "size": 2 } }), &[]),
        declare("thing.c", json!({ "replace": "create-first", "immutable": { "size": 2 } }), &[]),
        declare("thing.z", json!({ "weight": 2, "doomed": "unhealthy" }), &["thing.b", "thing.c"]),
    ];
    let report = bed.apply(&after).await.expect("comes to an end");
    assert_eq!(report.ending, Ending::RolledBack, "{report:#?}");
    assert_eq!(bed.picture(), picture);
    bed.converged(&before, "a delete and two replacements, taken back").await;
}

#[tokio::test(start_paused = true)]
async fn a_throttled_step_is_tried_again_with_a_new_token() {
    let bed = Bed::new();
    bed.world.script("dev/thing.a", [Fault::Throttle, Fault::Throttle]);
    let report = bed.apply(&chain("a", 1)).await.expect("applies");
    assert_eq!(report.ending, Ending::Applied);
    assert_eq!(
        bed.words().await,
        ["opened", "begin 1", "void 1, begin 1", "void 1, begin 1", "done 1", "closed"]
    );
    assert_eq!(bed.clock.began_ms(), 200 + 400);
    bed.converged(&chain("a", 1), "throttled twice").await;

    bed.world.script("dev/thing.a", [Fault::Throttle, Fault::Throttle, Fault::Throttle]);
    let report = bed.apply(&chain("a", 2)).await.expect("comes to an end");
    assert_eq!(report.ending, Ending::RolledBack, "the schedule has three attempts");
    bed.converged(&chain("a", 1), "throttled three times").await;
}

#[tokio::test(start_paused = true)]
async fn the_same_plan_applied_again_makes_new_tokens() {
    let bed = Bed::new();
    let plan = bed.plan(&chain("ab", 1)).await;
    bed.world.script("dev/thing.b", [Fault::Unhealthy]);
    let report = bed.run(&plan).await.expect("comes to an end");
    assert_eq!(report.ending, Ending::RolledBack);
    let report = bed.run(&plan).await.expect("nothing that it reads has moved");
    let log = bed.world.log();
    let made = log.iter().filter(|it| it.verb == "create" && it.identity == "dev/thing.a");
    assert_eq!(made.count(), 2, "a token of the first apply was used by the second");
    assert_eq!(report.ending, Ending::Applied);
    bed.converged(&chain("ab", 1), "applied again").await;
}

#[tokio::test(start_paused = true)]
async fn halt_leaves_it_as_it_is_and_records_that() {
    let mut bed = Bed::new();
    bed.on_failure = OnFailure::Halt;
    bed.world.script("dev/thing.b", [Fault::Unhealthy]);
    let report = bed.apply(&chain("abc", 1)).await.expect("comes to an end");
    assert_eq!((report.ending, report.snapshot, report.frozen), (Ending::Halted, Some(1), false));
    assert!(report.halted_because.is_some_and(|it| it.contains("on_failure")));
    let head = bed.head().await.expect("a head");
    assert!(!head.whole);
    let names: Vec<_> = head.resources.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["thing.a", "thing.b"]);
    bed.apply(&chain("abc", 2)).await.expect("applies");
    bed.converged(&chain("abc", 2), "after a halt").await;
}

#[tokio::test(start_paused = true)]
async fn behind_the_point_of_no_return_it_halts_and_freezes() {
    let bed = Bed::new();
    let declared = vec![
        declare("thing.a", json!({ "weight": 1, "oneway": true }), &[]),
        declare("thing.b", json!({ "doomed": "unhealthy" }), &["thing.a"]),
    ];
    let report = bed.apply(&declared).await.expect("comes to an end");
    assert_eq!((report.ending, report.frozen), (Ending::Halted, true), "{report:#?}");
    assert!(bed.world.objects().contains_key(&bed.spot("thing.a")));
    let freeze = bed.ledger.freeze().await.expect("reads").expect("frozen");
    assert!(freeze.why.contains("point of no return"), "{}", freeze.why);
    // One that had no effect does not count.
    let bed = Bed::new();
    bed.world.script("dev/thing.a", [Fault::Lost { effect: false }]);
    let report = bed.apply(&declared).await.expect("comes to an end");
    assert_eq!((report.ending, report.frozen), (Ending::RolledBack, false), "{report:#?}");
}

#[tokio::test(start_paused = true)]
async fn what_loses_nothing_and_has_no_undo_stays_when_the_rest_goes_back() {
    let bed = Bed::new();
    let declared = vec![
        declare("thing.a", json!({ "weight": 1 }), &[]),
        declare("thing.b", json!({ "weight": 1 }), &["thing.a"]),
        declare("thing.c", json!({ "doomed": "unhealthy" }), &["thing.b"]),
    ];
    let mut plan = bed.plan(&declared).await;
    let step = plan.steps.iter_mut().find(|it| it.target.address.name() == "b").expect("a step");
    step.operation.undo = Undo::None { why: "it may stay".to_owned() };
    let number = step.number;
    let waits = |undo: &mut crate::plan::UndoStep| {
        if undo.needs.remove(&number) {
            undo.needs.insert(3);
        }
    };
    plan.rollback.retain(|it| it.of != number);
    plan.rollback.iter_mut().for_each(waits);
    let report = bed.run(&plan).await.expect("comes to an end");
    assert_eq!((report.ending, report.frozen), (Ending::RolledBack, false), "{report:#?}");
    let left: Vec<_> = bed.world.objects().into_keys().map(|(_, identity)| identity).collect();
    assert_eq!(left, ["dev/thing.b"]);
    let head = bed.head().await.expect("a head");
    let recorded: Vec<_> = head.resources.keys().map(ToString::to_string).collect();
    assert_eq!((recorded, head.whole), (vec!["thing.b".to_owned()], false));
}

#[tokio::test(start_paused = true)]
async fn it_does_not_go_back_over_what_is_not_known() {
    let bed = Bed::new();
    let mut declared = chain("ab", 1);
    declared[1] = declare("thing.b", json!({ "settle_ms": 1000 }), &["thing.a"]);
    bed.world.script("dev/thing.b", [Fault::Lost { effect: true }]);
    let plan = bed.plan(&declared).await;
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let gone = Failure::new(FailureKind::Unavailable, "cannot be reached");
        bed.world.trouble("dev/thing.b", gone);
    };
    let (report, ()) = tokio::join!(bed.run(&plan), meanwhile);
    let report = report.expect("comes to an end");
    assert_eq!((report.ending, report.frozen), (Ending::Halted, true), "{report:#?}");
    assert!(report.halted_because.is_some_and(|it| it.contains("step 2")));
    let head = bed.head().await.expect("a head");
    assert!(!head.whole);
    assert!(head.resources[&"thing.b".parse().unwrap()].parts["main"].unsure, "{head:#?}");
    bed.world.calm();
    bed.ledger.set_freeze(None).await.expect("lifts");
    bed.apply(&declared).await.expect("applies");
    bed.converged(&declared, "after a person looked").await;
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_fails_halts_and_freezes() {
    let bed = Bed::new();
    bed.apply(&chain("abc", 1)).await.expect("applies");
    let refused = Failure::new(FailureKind::Forbidden, "no");
    bed.world.script("dev/thing.b", [Fault::Pass, Fault::Refuse(refused)]);
    bed.world.script("dev/thing.c", [Fault::Unhealthy]);
    let report = bed.apply(&chain("abc", 2)).await.expect("comes to an end");
    assert_eq!((report.ending, report.frozen), (Ending::Halted, true));
    assert_eq!(report.undo_failures.len(), 1);
    assert!(report.halted_because.is_some_and(|it| it.contains("taken back")));
    assert!(!bed.head().await.expect("a head").whole);
    bed.ledger.set_freeze(None).await.expect("lifts");
    bed.apply(&chain("abc", 3)).await.expect("applies");
    bed.converged(&chain("abc", 3), "after a failed way back").await;
}

#[tokio::test(start_paused = true)]
async fn a_throttled_undo_is_tried_again() {
    let bed = Bed::new();
    bed.apply(&chain("ab", 1)).await.expect("applies");
    bed.world.script("dev/thing.a", [Fault::Pass, Fault::Throttle]);
    bed.world.script("dev/thing.b", [Fault::Unhealthy]);
    let report = bed.apply(&chain("ab", 2)).await.expect("comes to an end");
    assert_eq!(report.ending, Ending::RolledBack);
    let words = bed.words().await.join(" | ");
    assert!(words.contains("undo-void 1, undo-begin 1 | undo-done 1"), "{words}");
    bed.converged(&chain("ab", 1), "an undo that was throttled").await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_cannot_loosen_what_a_failure_leads_to() {
    let mut bed = Bed::new();
    let guards = json!({ "on_failure": "rollback" });
    bed.guards = serde_json::from_value(guards).expect("guards");
    bed.apply(&chain("ab", 1)).await.expect("applies");
    let mut plan = bed.plan(&chain("ab", 2)).await;
    plan.on_failure = OnFailure::Halt;
    bed.world.script("dev/thing.b", [Fault::Unhealthy]);
    let report = bed.run(&plan).await.expect("comes to an end");
    assert_eq!(report.ending, Ending::RolledBack);
}

#[tokio::test(start_paused = true)]
async fn a_failure_cuts_gates_and_waits_for_effects() {
    let bed = Bed::new();
    let declared = vec![
        declare("gate.long", json!({ "gate": true, "watches": "nothing" }), &[]),
        declare("thing.slow", json!({ "settle_ms": 5000 }), &[]),
        declare("thing.bad", json!({ "doomed": "refused" }), &[]),
        declare("thing.behind", json!({}), &["gate.long"]),
    ];
    let report = bed.apply(&declared).await.expect("comes to an end");
    assert_eq!(report.ending, Ending::RolledBack);
    let words = bed.words().await.join(" | ");
    assert!(words.contains("void"), "the gate was cut: {words}");
    assert!(words.contains("done") && words.contains("undo-done"), "{words}");
    assert!(bed.clock.began_ms() < 6_000, "nobody waited for the gate");
    assert!(bed.world.objects().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_restore_freezes_before_head_moves() {
    let mut bed = Bed::new();
    bed.freezes = true;
    let report = bed.apply(&chain("a", 1)).await.expect("applies");
    assert!(report.frozen);
    assert!(bed.ledger.freeze().await.expect("reads").is_some());
}

#[tokio::test(start_paused = true)]
async fn events_are_said_at_once_and_written_with_the_next_record() {
    let bed = Bed::new();
    bed.apply(&chain("a", 1)).await.expect("applies");
    let said = bed.said.lock().unwrap().clone();
    let events = said.iter().filter(|it| matches!(it, Progress::Said { .. })).count();
    let groups = bed.groups().await;
    let written = groups.iter().flatten().filter(|it| matches!(it, Record::Event { .. })).count();
    assert!(events > 0 && events == written, "{events} said, {written} written");
    assert!(matches!(said.first(), Some(Progress::Opened { resumed: false, steps: 1, .. })));
    assert!(matches!(said.last(), Some(Progress::Closed { snapshot: Some(1), .. })));
}

#[tokio::test(start_paused = true)]
async fn secrets_are_read_late_hashed_once_and_never_said() {
    let bed = Bed::new();
    bed.vault.set("PW", "canary-of-today");
    let of = |weight: i64| {
        let fields = json!({ "weight": weight, "pw": { "$secret": { "env": "PW" } } });
        vec![declare("thing.a", fields.clone(), &[]), declare("thing.b", fields, &[])]
    };
    bed.apply(&of(1)).await.expect("applies");
    assert_eq!(bed.vault.prints.load(Ordering::SeqCst), 1, "one value, one slow hash");
    let head = bed.head().await.expect("a head");
    let part = &head.resources[&"thing.a".parse().unwrap()].parts["main"];
    assert!(part.secrets.contains_key("env:PW"), "{part:?}");

    let plan = bed.plan(&of(2)).await;
    bed.vault.set("PW", "canary-of-tomorrow");
    let report = bed.run(&plan).await.expect("applies");
    assert_eq!(report.moved_secrets, ["env:PW"]);
    bed.converged(&of(2), "a secret that moved").await;
    for key in bed.store.keys() {
        let bytes = bed.store.peek(&key).expect("there");
        assert!(!String::from_utf8_lossy(&bytes).contains("canary"), "{key}");
    }
    assert!(!format!("{:?}", bed.said.lock().unwrap()).contains("canary"));
}

#[tokio::test(start_paused = true)]
async fn a_secret_without_a_value_refuses_before_anything_begins() {
    let bed = Bed::new();
    bed.vault.set("PW", "canary");
    let fields = json!({ "pw": { "$secret": { "env": "PW" } } });
    let plan = bed.plan(&[declare("thing.a", fields, &[])]).await;
    let other = Bed::of(bed.world.clone(), bed.store.clone());
    let refused = other.run(&plan).await.expect_err("is refused");
    assert!(matches!(&refused, ApplyError::Refused(why) if why.contains("env:PW")), "{refused}");
    assert!(other.world.objects().is_empty());
    assert!(other.ledger.journals().await.expect("reads").is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_adopt_is_taken_back_whatever_its_undo_expects() {
    let bed = Bed::new();
    bed.apply(&chain("z", 1)).await.expect("applies");
    bed.world.meddle(&bed.spot("thing.a"), "somebody", Fields::new());
    let (picture, head) = (bed.picture(), bed.head().await.expect("a head"));
    let doomed = declare("thing.b", json!({ "doomed": "unhealthy" }), &["thing.a"]);
    let mut declared = chain("z", 1);
    declared.extend([declare("thing.a", json!({}), &[]), doomed]);
    let mut plan = bed.adopting("thing.a", &declared).await;
    let loose = |undo: &mut hive_contract::Operation| undo.expects = Expects::Anything;
    let adopt = plan.steps.iter_mut().find(|it| it.action == Action::Adopt).expect("an adopt");
    let Undo::By(undo) = &mut adopt.operation.undo else { panic!("it can be taken back") };
    loose(undo);
    let of = adopt.number;
    let undo = plan.rollback.iter_mut().find(|it| it.of == of).expect("an undo");
    loose(&mut undo.operation);
    let report = bed.run(&plan).await.expect("comes to an end");
    assert_eq!(report.ending, Ending::RolledBack, "{report:#?}");
    assert_eq!(bed.picture(), picture, "no mark stays behind");
    let after = bed.head().await.expect("a head");
    assert_eq!(after.resources, head.resources, "nothing is recorded of it");
}

#[tokio::test(start_paused = true)]
async fn a_mark_of_an_adopt_whose_answer_was_lost_is_taken_off_again() {
    let bed = Bed::new();
    bed.world.meddle(&bed.spot("thing.a"), "somebody", Fields::new());
    let picture = bed.picture();
    let declared = [declare("thing.a", json!({}), &[])];
    let plan = bed.adopting("thing.a", &declared).await;
    bed.world.script("dev/thing.a", [Fault::Lost { effect: true }]);
    let report = bed.run(&plan).await.expect("comes to an end");
    assert_eq!(report.ending, Ending::RolledBack, "{report:#?}");
    assert_eq!(bed.picture(), picture, "no mark stays behind");
    assert!(bed.head().await.is_none_or(|it| it.resources.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_check_of_the_way_back_runs_behind_what_it_looks_at() {
    let bed = Bed::new();
    let of = |weight: i64, doomed: bool| {
        let mut fields = json!({ "weight": weight, "rollout": { "verify": ["gate.smoke"] } });
        if doomed {
            fields["doomed"] = json!("unhealthy");
        }
        vec![
            declare("thing.a", fields, &[]),
            declare("gate.smoke", json!({ "gate": true, "watches": "dev/thing.a" }), &[]),
        ]
    };
    bed.apply(&of(1, false)).await.expect("applies");
    let picture = bed.picture();
    let report = bed.apply(&of(2, true)).await.expect("comes to an end");
    assert_eq!(report.ending, Ending::RolledBack, "{report:#?}");
    assert_eq!(bed.picture(), picture);
    let words = bed.words().await;
    let last = words.iter().rposition(|it| it.contains("undo-begin")).expect("an undo");
    assert!(words[last].starts_with("undo-done 1"), "the check comes last: {words:?}");
    bed.converged(&of(1, false), "verified on the way back").await;

    let smoke = "dev/gate.smoke";
    bed.world.script(smoke, [Fault::Unhealthy]);
    let report = bed.apply(&of(2, true)).await.expect("comes to an end");
    assert_eq!((report.ending, report.frozen), (Ending::Halted, true), "not healthy: {report:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_never_ends_is_given_up_at_its_deadline() {
    let bed = Bed::new();
    let declared = [declare("thing.a", json!({ "deadline_ms": 1000 }), &[])];
    bed.world.lend_sleeper(std::sync::Arc::new(|_| Box::pin(std::future::pending())));
    bed.world.script("dev/thing.a", [Fault::Wait { before_ms: 1, after_ms: 0 }]);
    let report = bed.apply(&declared).await.expect("comes to an end");
    assert_eq!(report.ending, Ending::RolledBack, "{report:#?}");
    assert_eq!(report.failures[0].2.kind, FailureKind::TimedOut);
    assert!(bed.world.objects().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_update_that_would_change_nothing_has_no_effect() {
    let bed = Bed::new();
    let url = json!({ "$output": { "address": "thing.a", "output": "url" } });
    let of = |name: &str| {
        vec![
            declare("thing.a", json!({ "weight": 1, "immutable": { "name": name } }), &[]),
            declare("thing.b", json!({ "to": url.clone() }), &[]),
        ]
    };
    bed.apply(&of("x")).await.expect("applies");
    let before = bed.world.objects()[&bed.spot("thing.b")].clone();
    // The replaced one will say a url again that the plan cannot know: it turns out to be the same.
    let plan = bed.plan(&of("y")).await;
    let report = bed.run(&plan).await.expect("applies");
    assert_eq!(report.ending, Ending::Applied);
    let updates = plan.steps.iter().filter(|it| it.target.address.name() == "b").count();
    assert_eq!(updates, 1, "the plan cannot know");
    assert_eq!(bed.world.objects()[&bed.spot("thing.b")], before, "no effect");
    bed.converged(&of("y"), "an update that changed nothing").await;
}

#[tokio::test(start_paused = true)]
async fn an_update_that_would_change_nothing_looks_before_it_says_so() {
    let bed = Bed::new();
    let url = json!({ "$output": { "address": "thing.a", "output": "url" } });
    let of = |name: &str| {
        let fixed = json!({ "weight": 1, "immutable": { "name": name }, "settle_ms": 1000 });
        vec![declare("thing.a", fixed, &[]), declare("thing.b", json!({ "to": url.clone() }), &[])]
    };
    bed.apply(&of("x")).await.expect("applies");
    let plan = bed.plan(&of("y")).await;
    let meddles = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let moved = Fields::from([("to".to_owned(), Value::text("elsewhere"))]);
        bed.world.meddle(&bed.spot("thing.b"), "a passer-by", moved);
    };
    let (report, ()) = tokio::join!(bed.run(&plan), meddles);
    let report = report.expect("comes to an end");
    assert_ne!(report.ending, Ending::Applied, "what is live is not as declared: {report:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_stops_it_and_the_next_one_settles_it() {
    let bed = Bed::new();
    let plan = bed.plan(&chain("abc", 1)).await;
    for write in 1..40 {
        let copy = bed.copy();
        copy.store.fault(hive_state::memory::Fault::FailWrite(write));
        let ended = copy.run(&plan).await;
        copy.store.heal();
        if let Err(error) = &ended {
            assert!(error.to_string().contains("it failed"), "{error}");
        }
        copy.run(&plan)
            .await
            .or_else(|error| match error {
                // It was applied, and only the lease was not given back.
                crate::apply::ApplyError::Stale(_) if ended.is_ok() => Ok(ended.unwrap()),
                other => Err(other),
            })
            .unwrap_or_else(|error| panic!("write {write}: {error}"));
        copy.converged(&chain("abc", 1), &format!("write {write} failed")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_of_records_alone_has_a_journal_too() {
    let bed = Bed::new();
    bed.apply(&chain("ab", 1)).await.expect("applies");
    let mut declared = chain("ab", 1);
    declared[1].uses.clear();
    let plan = bed.plan(&declared).await;
    assert!(plan.steps.is_empty() && !plan.changes.is_empty(), "{:?}", plan.changes);
    let report = bed.run(&plan).await.expect("applies");
    assert_eq!((report.ending, report.snapshot), (Ending::Applied, Some(2)));
    assert_eq!(bed.words().await, ["opened", "closed"]);
    bed.converged(&declared, "records alone").await;
    let value = Value::from(1);
    assert_eq!(bed.world.objects()[&bed.spot("thing.b")].fields["weight"], value);
}
