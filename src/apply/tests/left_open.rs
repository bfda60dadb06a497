//! What leaves an apply open: a system out of reach on the way back, an interrupt in the quiet; and
//! that it goes on from there.

use super::bed::{Bed, chain, declare};
use crate::apply::{ApplyError, Settle};
use hive_contract::testing::Fault;
use hive_contract::{Declared, Failure, FailureKind, Fields, Value};
use hive_state::Ending;
use serde_json::json;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn an_undo_that_cannot_reach_its_system_leaves_the_apply_open() {
    let bed = Bed::new();
    bed.apply(&chain("abc", 1)).await.expect("applies");
    let before = bed.picture();
    let fails = |kind, why: &str| Fault::Refuse(Failure::new(kind, why));
    bed.world.script("dev/thing.c", [fails(FailureKind::Forbidden, "no")]);
    let gone = fails(FailureKind::Unavailable, "the server is out of reach");
    bed.world.script("dev/thing.b", [Fault::Pass, gone]);
    let error = bed.apply(&chain("abc", 2)).await.expect_err("is left open");
    assert!(matches!(&error, ApplyError::Unreadable { .. }), "{error}");
    assert!(error.to_string().contains("out of reach"), "{error}");
    assert!(bed.ledger.open_journal().await.expect("reads").is_some(), "it is open");
    assert!(bed.ledger.freeze().await.expect("reads").is_none(), "nobody gave it up");

    let next = Bed::of(bed.world.clone(), bed.store.clone());
    let report = next.recover(Settle::On).await.expect("recovers").expect("was open");
    assert_eq!(report.ending, Ending::RolledBack, "{report:?}");
    assert_eq!(next.picture(), before);
    next.converged(&chain("abc", 1), "after the server came back").await;
}

/// Two that are changed while nobody uses them, and who uses both.
fn quiet(weight: i64) -> Vec<Declared> {
    let idle = json!({ "weight": weight, "idle": true, "steps": "quiet" });
    vec![
        declare("thing.a", idle.clone(), &[]),
        declare("thing.b", idle, &["thing.a"]),
        declare("thing.user", json!({}), &["thing.a", "thing.b"]),
    ]
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_in_the_quiet_leaves_the_apply_open() {
    for settle in [Settle::On, Settle::Back] {
        let mut bed = Bed::new();
        bed.parallel = 1;
        bed.apply(&quiet(1)).await.expect("applies");
        let before = bed.picture();
        let plan = bed.plan(&quiet(2)).await;
        bed.world.script("dev/thing.a", [Fault::Wait { before_ms: 5_000, after_ms: 0 }]);
        let press = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            bed.interrupt.press();
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! {
            ended = bed.run(&plan) => ended,
            () = press => unreachable!(),
        };
        let error = ended.expect_err("what is quiet is no state to be recorded");
        assert!(matches!(error, ApplyError::LeftOpen), "{error}");
        assert!(bed.ledger.open_journal().await.expect("reads").is_some(), "it is open");

        let next = Bed::of(bed.world.clone(), bed.store.clone());
        let report = next.recover(settle).await.expect("recovers").expect("was open");
        match settle {
            Settle::Back => {
                assert_eq!(report.ending, Ending::RolledBack);
                assert_eq!(next.picture(), before);
                next.converged(&quiet(1), "taken back").await;
            }
            _ => {
                assert_eq!(report.ending, Ending::Applied);
                next.converged(&quiet(2), "gone on with").await;
            }
        }
        let users = next.picture();
        assert!(users[&next.spot("thing.user")].running, "who was stopped runs again");
    }
}

/// What lies in what is changed has no step of its own, and moves with it: the history of a database
/// that is restored. It is no reason to refuse to go on.
#[tokio::test(start_paused = true)]
async fn what_lies_in_what_was_changed_moves_along() {
    let of = |weight: i64, protect: bool| {
        let mut all = quiet(weight);
        let lies = declare("thing.lies", json!({ "weight": 1, "idle": true }), &["thing.a"]);
        all.push(Declared { protect, ..lies });
        all
    };
    for settle in [Settle::On, Settle::Back] {
        let mut bed = Bed::new();
        bed.parallel = 1;
        bed.apply(&of(1, false)).await.expect("applies");
        let plan = bed.plan(&of(2, true)).await;
        let lies = bed.spot("thing.lies");
        assert!(plan.changes.iter().any(|it| it.target.address.name() == "lies"));
        assert!(plan.steps.iter().all(|it| it.target.address.name() != "lies"));
        bed.world.script("dev/thing.b", [Fault::Wait { before_ms: 60_000, after_ms: 0 }]);
        let dies = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            bed.interrupt.press();
            bed.interrupt.press();
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! {
            ended = bed.run(&plan) => ended,
            () = dies => unreachable!(),
        };
        assert!(matches!(ended, Err(ApplyError::LeftAtOnce)), "{ended:?}");
        let weight = Fields::from([("weight".to_owned(), Value::Int(7))]);
        bed.world.meddle(&lies, "the restore", weight);

        let next = Bed::of(bed.world.clone(), bed.store.clone());
        let report = next.recover(settle).await.expect("it is recoverable").expect("was open");
        let ending = if settle == Settle::On { Ending::Applied } else { Ending::RolledBack };
        assert_eq!(report.ending, ending, "{report:?}");
    }
}
