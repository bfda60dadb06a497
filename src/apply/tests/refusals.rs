//! What is refused before anything begins, and what it says.

use super::bed::{Bed, chain, declare};
use crate::apply::ApplyError;
use crate::plan::Plan;
use hive_contract::{Fields, Value};
use hive_state::Freeze;
use serde_json::json;

/// The plan is refused, and neither the world nor the journals have heard of it.
async fn refused(bed: &Bed, plan: &Plan) -> ApplyError {
    let before = (bed.world.log().len(), bed.ledger.journals().await.expect("lists"));
    let error = bed.run(plan).await.expect_err("is refused");
    assert_eq!((bed.world.log().len(), bed.ledger.journals().await.expect("lists")), before);
    let lease = bed.ledger.lease_now().await.expect("reads");
    assert!(lease.is_none_or(|it| it.holder.is_none()), "the lease was given back");
    error
}

fn stale(error: ApplyError) -> Vec<String> {
    match error {
        ApplyError::Stale(moved) => moved,
        other => panic!("not stale: {other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn everything_that_moved_is_named_at_once() {
    let bed = Bed::new();
    bed.apply(&chain("abc", 1)).await.expect("applies");
    let plan = bed.plan(&chain("abc", 2)).await;
    let weight = Fields::from([("weight".to_owned(), Value::from(7))]);
    bed.world.meddle(&bed.spot("thing.a"), "mallory", weight);
    bed.world.wreck(&bed.spot("thing.c"));
    let moved = stale(refused(&bed, &plan).await);
    assert_eq!(moved, ["`thing.a` moved: weight", "`thing.c` moved: it is gone"]);
}

#[tokio::test(start_paused = true)]
async fn a_change_elsewhere_does_not_make_a_plan_stale() {
    let bed = Bed::new();
    let of = |a: i64, b: i64| {
        vec![
            declare("thing.a", json!({ "weight": a }), &[]),
            declare("thing.b", json!({ "weight": b }), &[]),
        ]
    };
    bed.apply(&of(1, 1)).await.expect("applies");
    let first = bed.plan(&of(2, 1)).await;
    let second = bed.plan(&of(1, 2)).await;
    bed.run(&first).await.expect("applies");
    bed.run(&second).await.expect("applies as well");
    bed.converged(&of(2, 2), "two plans that do not touch").await;
    let again = stale(refused(&bed, &first).await);
    assert!(again.iter().any(|it| it.contains("thing.a")), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_moved_makes_it_stale() {
    let bed = Bed::new();
    let plan = bed.plan(&chain("ab", 1)).await;
    bed.run(&plan).await.expect("applies");
    let moved = stale(refused(&bed, &plan).await);
    assert!(moved.contains(&"the record of `thing.a` moved".to_owned()), "{moved:?}");
    assert!(moved.contains(&"`thing.a` moved: it exists by now".to_owned()), "{moved:?}");
}

#[tokio::test(start_paused = true)]
async fn a_port_that_was_taken_makes_it_stale() {
    let bed = Bed::new();
    let plan = bed.plan(&[declare("thing.a", json!({ "ports": ["http"] }), &[])]).await;
    for port in 20_000..=20_009 {
        bed.world.take_port(port, "nginx");
    }
    let moved = stale(refused(&bed, &plan).await);
    assert_eq!(moved.len(), 1, "{moved:?}");
    assert!(moved[0].contains("nginx"), "{moved:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pinned_secret_and_a_bound_file_that_moved_make_it_stale() {
    let bed = Bed::new();
    bed.vault.set("PW", "one");
    let fields = json!({ "pw": { "$secret": { "env": "PW", "pin": true } } });
    let plan = bed.plan(&[declare("thing.a", fields, &[])]).await;
    bed.vault.set("PW", "two");
    bed.around.moved.lock().unwrap().push("the file `smoke.sh` moved".to_owned());
    let moved = stale(refused(&bed, &plan).await);
    assert_eq!(moved, ["the file `smoke.sh` moved", "the pinned secret env:PW moved"]);
}

#[tokio::test(start_paused = true)]
async fn frozen_protected_and_shut_are_refused() {
    let mut bed = Bed::new();
    let plan = bed.plan(&chain("a", 1)).await;
    let freeze = Freeze { who: "bob".to_owned(), why: "an audit".to_owned(), at_ms: 0 };
    bed.ledger.set_freeze(Some(&freeze)).await.expect("freezes");
    let error = refused(&bed, &plan).await;
    assert!(matches!(error, ApplyError::Refused(_)), "{error}");
    assert!(error.to_string().contains("frozen by bob: an audit"), "{error}");
    bed.ledger.set_freeze(None).await.expect("lifts");

    bed.guards = Fields::from([("protected".to_owned(), Value::from(true))]);
    let plan = bed.plan(&chain("a", 1)).await;
    let error = refused(&bed, &plan).await;
    assert!(error.to_string().contains("protected"), "{error}");

    let window = json!({ "window": { "days": ["Sun"], "from": "09:00", "to": "16:00" } });
    bed.guards = serde_json::from_value(window).expect("guards");
    let plan = bed.plan(&chain("a", 1)).await;
    let error = refused(&bed, &plan).await;
    assert!(error.to_string().contains("now it is Tue 08:31 UTC"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_the_plan_takes_away_still_holds_for_it() {
    let mut bed = Bed::new();
    bed.guards = serde_json::from_value(json!({ "window": { "days": ["Tue"] } })).expect("guards");
    bed.apply(&chain("a", 1)).await.expect("applies");
    bed.guards = Fields::new();
    let mut plan = bed.plan(&chain("a", 2)).await;
    plan.guarded_by = Fields::new();
    tokio::time::advance(std::time::Duration::from_secs(24 * 3600)).await;
    let error = refused(&bed, &plan).await;
    assert!(error.to_string().contains("now it is Wed"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_plan_of_something_else_is_not_trusted() {
    let bed = Bed::new();
    let plan = bed.plan(&chain("ab", 1)).await;
    let untrusted = async |plan: &Plan| {
        let error = refused(&bed, plan).await;
        assert!(matches!(error, ApplyError::Untrusted(_)), "{error}");
        error.to_string()
    };
    let other = Plan { stack: "blog".to_owned(), ..plan.clone() };
    assert!(untrusted(&other).await.contains("`blog`"));
    let other = Plan { store: Some("0123".to_owned()), ..plan.clone() };
    assert!(untrusted(&other).await.contains("another store"));
    let other = Plan { format: 99, ..plan.clone() };
    assert!(untrusted(&other).await.contains("format 99"));
    let mut other = plan.clone();
    other.steps[0].needs.insert(2);
    assert!(untrusted(&other).await.contains("breaks a rule: step 1"));
    let mut other = plan;
    let place = other.places.values().next().expect("a place").clone();
    other.places.insert("nowhere".to_owned(), place);
    other.steps[0].place = "nowhere".to_owned();
    assert!(matches!(refused(&bed, &other).await, ApplyError::NoPlace(_)));
}

#[tokio::test(start_paused = true)]
async fn something_that_cannot_be_read_is_not_taken_for_absent() {
    let bed = Bed::new();
    let plan = bed.plan(&chain("ab", 1)).await;
    let trouble = hive_contract::Failure::new(hive_contract::FailureKind::Forbidden, "no");
    bed.world.trouble("dev/thing.b", trouble);
    let error = refused(&bed, &plan).await;
    assert!(matches!(error, ApplyError::Unreadable { .. }), "{error}");
    assert!(error.to_string().contains("thing.b"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_another_hive_made_in_another_form_is_made_anew() {
    let bed = Bed::new();
    let mut plan = bed.plan(&chain("a", 1)).await;
    plan.hive = "0.0.1".to_owned();
    for record in plan.records.values_mut().flatten() {
        record.parts.values_mut().for_each(|part| part.form = 1);
    }
    let error = refused(&bed, &plan).await;
    assert!(matches!(error, ApplyError::Untrusted(_)), "{error}");
    assert!(error.to_string().contains("plan again"), "{error}");
}
