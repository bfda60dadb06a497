//! Ctrl-C once and twice; the lease lost on the way.

use super::bed::{Bed, chain, declare};
use crate::apply::{ApplyError, Settle};
use hive_contract::testing::Fault;
use hive_state::{Ending, LedgerError};
use serde_json::json;
use std::time::Duration;

fn slow(weight: i64) -> Vec<hive_contract::Declared> {
    vec![
        declare("thing.a", json!({ "weight": weight, "settle_ms": 60_000 }), &[]),
        declare("thing.b", json!({ "weight": weight }), &["thing.a"]),
        declare("gate.wait", json!({ "gate": true, "watches": "nothing" }), &[]),
    ]
}

#[tokio::test(start_paused = true)]
async fn once_waits_for_what_runs_and_begins_nothing_more() {
    let bed = Bed::new();
    let plan = bed.plan(&slow(1)).await;
    let press = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bed.interrupt.press();
        std::future::pending::<()>().await;
    };
    let report = tokio::select! {
        report = bed.run(&plan) => report.expect("comes to an end"),
        () = press => unreachable!(),
    };
    assert_eq!((report.ending, report.snapshot), (Ending::Interrupted, Some(1)));
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    let words = bed.words().await.join(" | ");
    assert!(words.contains("void") && words.ends_with("closed"), "{words}");
    assert_eq!(bed.world.objects().len(), 1, "what ran was waited for");
    let head = bed.head().await.expect("a head");
    assert!(!head.whole);
    assert_eq!(head.resources.len(), 1);

    let next = Bed::of(bed.world.clone(), bed.store.clone());
    let rest = &slow(1)[..2];
    next.apply(rest).await.expect("applies");
    next.converged(rest, "after an interrupt").await;
}

#[tokio::test(start_paused = true)]
async fn once_before_anything_began_records_nothing() {
    let bed = Bed::new();
    bed.interrupt.press();
    let report = bed.apply(&chain("ab", 1)).await.expect("comes to an end");
    assert_eq!((report.ending, report.snapshot), (Ending::Interrupted, None));
    assert!(bed.world.log().is_empty());
    assert_eq!(bed.words().await, ["opened", "closed"]);
    assert!(bed.ledger.open_journal().await.expect("reads").is_none());
}

#[tokio::test(start_paused = true)]
async fn once_ends_the_wait_before_another_attempt() {
    let bed = Bed::new();
    bed.world.script("dev/thing.a", [Fault::Throttle]);
    let plan = bed.plan(&chain("a", 1)).await;
    let press = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        bed.interrupt.press();
        std::future::pending::<()>().await;
    };
    let report = tokio::select! {
        report = bed.run(&plan) => report.expect("comes to an end"),
        () = press => unreachable!(),
    };
    assert_eq!(report.ending, Ending::Interrupted);
    assert_eq!(bed.words().await, ["opened", "begin 1", "void 1", "closed"]);
    assert!(bed.clock.began_ms() < 200);
}

#[tokio::test(start_paused = true)]
async fn once_on_the_way_back_stops_there() {
    let bed = Bed::new();
    bed.apply(&chain("abc", 1)).await.expect("applies");
    let refused = hive_contract::Failure::new(hive_contract::FailureKind::Forbidden, "no");
    bed.world.script("dev/thing.b", [Fault::Pass, Fault::Wait { before_ms: 5_000, after_ms: 0 }]);
    bed.world.script("dev/thing.c", [Fault::Refuse(refused)]);
    let plan = bed.plan(&chain("abc", 2)).await;
    let press = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bed.interrupt.press();
        std::future::pending::<()>().await;
    };
    let report = tokio::select! {
        report = bed.run(&plan) => report.expect("comes to an end"),
        () = press => unreachable!(),
    };
    assert_eq!(report.ending, Ending::Interrupted);
    let words = bed.words().await.join(" | ");
    assert!(words.contains("undo-done 2") && !words.contains("undo-begin 1"), "{words}");
    assert!(!bed.head().await.expect("a head").whole);
    let next = Bed::of(bed.world.clone(), bed.store.clone());
    next.apply(&chain("abc", 2)).await.expect("applies");
    next.converged(&chain("abc", 2), "after an interrupted way back").await;
}

#[tokio::test(start_paused = true)]
async fn twice_leaves_at_once_and_the_next_one_settles_it() {
    let bed = Bed::new();
    let declared = &slow(1)[..2];
    let plan = bed.plan(declared).await;
    let press = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bed.interrupt.press();
        bed.interrupt.press();
        std::future::pending::<()>().await;
    };
    let error = tokio::select! {
        report = bed.run(&plan) => report.expect_err("leaves"),
        () = press => unreachable!(),
    };
    assert!(matches!(error, ApplyError::LeftAtOnce), "{error}");
    assert_eq!(bed.clock.began_ms(), 1_000);
    assert!(bed.ledger.open_journal().await.expect("reads").is_some());

    let next = Bed::of(bed.world.clone(), bed.store.clone());
    let report = next.recover(Settle::On).await.expect("recovers").expect("was open");
    assert_eq!(report.ending, Ending::Applied);
    next.converged(declared, "after leaving at once").await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_broken_ends_the_apply_and_fences_it() {
    let bed = Bed::new();
    let declared = &slow(1)[..2];
    let plan = bed.plan(declared).await;
    let other = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bed.ledger.break_lease(&bed.clock, "bob@desk").await.expect("breaks");
        std::future::pending::<()>().await;
    };
    let error = tokio::select! {
        report = bed.run(&plan) => report.expect_err("is over"),
        () = other => unreachable!(),
    };
    let over =
        matches!(error, ApplyError::Expired(_) | ApplyError::Ledger(LedgerError::Fenced { .. }));
    assert!(over, "{error}");
    let next = Bed::of(bed.world.clone(), bed.store.clone());
    let report = next.recover(Settle::On).await.expect("recovers").expect("was open");
    assert_eq!(report.ending, Ending::Applied);
    next.converged(declared, "after a broken lease").await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_for_as_long_as_it_takes() {
    let bed = Bed::new();
    let declared = [declare("thing.a", json!({ "settle_ms": 250_000 }), &[])];
    let report = bed.apply(&declared).await.expect("applies");
    assert_eq!(report.ending, Ending::Applied);
    let lease = bed.ledger.lease_now().await.expect("reads").expect("there was one");
    assert!(lease.holder.is_none() && lease.renewals >= 24, "{lease:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_takes_no_renewal_ends_it_before_somebody_else_may_write() {
    let bed = Bed::new();
    let declared = [declare("thing.a", json!({ "settle_ms": 250_000 }), &[])];
    let plan = bed.plan(&declared).await;
    bed.store.fault(hive_state::memory::Fault::FailWritesTo("nowhere".to_owned()));
    let full = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bed.store.fault(hive_state::memory::Fault::DiskFull);
        std::future::pending::<()>().await;
    };
    let error = tokio::select! {
        report = bed.run(&plan) => report.expect_err("is over"),
        () = full => unreachable!(),
    };
    assert!(matches!(error, ApplyError::Expired(_)), "{error}");
    assert!(bed.clock.began_ms() < 30_000, "{}", bed.clock.began_ms());
}

#[tokio::test(start_paused = true)]
async fn a_second_apply_is_told_who_holds_the_lease() {
    let bed = Bed::new();
    let plan = bed.plan(&slow(1)[..2]).await;
    let other = Bed::of(bed.world.clone(), bed.store.clone());
    let other_plan = other.plan(&chain("x", 1)).await;
    let impatient = other.impatient();
    let second = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let error = impatient.run(&other_plan).await.expect_err("is refused");
        let held = matches!(error, ApplyError::Ledger(LedgerError::Held { .. }));
        assert!(held && error.to_string().contains("ann@desk"), "{error}");
        let error = impatient.recover(Settle::Back).await.expect_err("is refused");
        assert!(matches!(error, ApplyError::Ledger(LedgerError::Held { .. })), "{error}");
    };
    let (report, ()) = tokio::join!(bed.run(&plan), second);
    assert_eq!(report.expect("applies").ending, Ending::Applied);
    bed.converged(&slow(1)[..2], "two at once").await;
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_wakes_up_after_it_was_taken_over_has_no_effect() {
    let bed = Bed::new();
    let declared = chain("ab", 1);
    let plan = bed.plan(&declared).await;
    bed.world.script("dev/thing.a", [Fault::Wait { before_ms: 1_000, after_ms: 0 }]);
    let mut late = std::pin::pin!(bed.run(&plan));
    tokio::select! {
        ended = &mut late => panic!("ended: {ended:?}"),
        () = tokio::time::sleep(Duration::from_millis(500)) => {}
    }
    // It sleeps between Begin and effect, and so does its lease.
    let next = Bed::of(bed.world.clone(), bed.store.clone());
    let report = next.recover(Settle::On).await.expect("recovers").expect("was open");
    assert_eq!(report.ending, Ending::Applied);
    let effects = bed.world.log().len();
    let error = late.await.expect_err("is over");
    let over =
        matches!(error, ApplyError::Expired(_) | ApplyError::Ledger(LedgerError::Fenced { .. }));
    assert!(over, "{error}");
    assert_eq!(bed.world.log().len(), effects);
    next.converged(&declared, "a late holder").await;
}
