//! An interrupted apply: on, back, closed; and what it says to whoever wants to apply meanwhile.

use super::bed::{Bed, chain, declare};
use crate::apply::{ApplyError, Settle, folded};
use hive_contract::testing::{KillSwitch, World};
use hive_contract::{Declared, Fields, Value};
use hive_state::memory::MemoryStore;
use hive_state::{Ending, StepState};
use serde_json::json;

/// A bed on which an apply of `declared` died at the first boundary whose name contains `at`.
async fn died(world: World, declared: &[Declared], at: &str) -> Bed {
    let mut trial = Bed::of(world.copy(), MemoryStore::new());
    let switch = KillSwitch::never();
    trial.arm(&switch);
    trial.apply(declared).await.expect("applies");
    let boundary = switch.log().iter().position(|it| it.contains(at)).expect("reaches it") + 1;
    let mut bed = Bed::of(world, MemoryStore::new());
    let switch = KillSwitch::at(boundary as u64);
    bed.arm(&switch);
    tokio::select! {
        biased;
        () = switch.dead() => {}
        report = bed.apply(declared) => panic!("lived: {report:?}"),
    }
    bed.arm(&KillSwitch::never());
    bed
}

#[tokio::test(start_paused = true)]
async fn an_open_apply_goes_on_in_every_state_that_its_effect_may_be_in() {
    let fields = json!({ "weight": 1, "writes": 2, "settle_ms": 1000 });
    let declared = [declare("thing.a", fields, &[]), declare("thing.b", json!({}), &["thing.a"])];
    for at in
        ["before create half of", "after create half of", "after create dev/thing.a", "settling"]
    {
        for same_plan in [true, false] {
            let bed = died(World::new(), &declared, at).await;
            let open = folded(&bed.ledger).await.expect("folds").expect("is open");
            assert_eq!((open.who.as_str(), open.back), ("ann@desk", None), "{at}");
            let report = match same_plan {
                true => {
                    let plan = crate::apply::open_plan(&bed.ledger).await.expect("reads");
                    bed.run(&plan.expect("is open")).await.expect("goes on")
                }
                false => bed.recover(Settle::On).await.expect("recovers").expect("was open"),
            };
            assert_eq!(report.ending, Ending::Applied, "{at}");
            assert_eq!(report.apply, open.apply, "{at}: the same apply");
            bed.converged(&declared, at).await;
        }
    }
}

/// Something made of a secret, whose apply died at a boundary; and what was declared.
async fn died_with_a_secret(at: &str) -> (Bed, [Declared; 1]) {
    let fields = json!({ "pw": { "$secret": { "env": "PW" } }, "writes": 2 });
    let declared = [declare("thing.a", fields, &[])];
    let world = World::new();
    let mut bed = Bed::of(world.copy(), MemoryStore::new());
    bed.vault.set("PW", "one");
    let switch = KillSwitch::never();
    bed.arm(&switch);
    bed.apply(&declared).await.expect("applies");
    let boundary = switch.log().iter().position(|it| it.contains(at)).expect("reaches it") + 1;
    let mut bed = Bed::of(world, MemoryStore::new());
    bed.vault.set("PW", "one");
    let switch = KillSwitch::at(boundary as u64);
    bed.arm(&switch);
    tokio::select! {
        biased;
        () = switch.dead() => {}
        report = bed.apply(&declared) => panic!("lived: {report:?}"),
    }
    bed.arm(&KillSwitch::never());
    (bed, declared)
}

#[tokio::test(start_paused = true)]
async fn a_recovery_records_the_secret_that_the_effect_was_made_of() {
    let (bed, declared) = died_with_a_secret("after create dev/thing.a").await;
    bed.vault.set("PW", "two");
    let report = bed.recover(Settle::On).await.expect("recovers").expect("was open");
    assert_eq!(report.ending, Ending::Applied);
    let plan = bed.plan(&declared).await;
    assert_eq!(plan.steps.len(), 1, "what is live was made of another value: {plan:#?}");
    bed.run(&plan).await.expect("applies");
    bed.converged(&declared, "the value of today").await;
}

#[tokio::test(start_paused = true)]
async fn to_look_up_what_is_done_takes_no_secret() {
    let (bed, _) = died_with_a_secret("after create dev/thing.a").await;
    bed.vault.unset("PW");
    let report = bed.recover(Settle::On).await.expect("recovers").expect("was open");
    assert_eq!(report.ending, Ending::Applied);

    let (bed, declared) = died_with_a_secret("after create half of").await;
    bed.vault.unset("PW");
    let error = bed.recover(Settle::On).await.expect_err("it cannot be completed without");
    assert!(error.to_string().contains("env:PW"), "{error}");
    bed.vault.set("PW", "one");
    let report = bed.recover(Settle::On).await.expect("recovers").expect("was open");
    assert_eq!(report.ending, Ending::Applied);
    bed.converged(&declared, "completed").await;
}

#[tokio::test(start_paused = true)]
async fn another_plan_is_refused_while_one_is_open() {
    let bed = died(World::new(), &chain("ab", 1), "after create dev/thing.a").await;
    let other = bed.plan(&chain("cd", 1)).await;
    let error = bed.run(&other).await.expect_err("is refused");
    assert!(matches!(error, ApplyError::Open { .. }), "{error}");
    assert!(error.to_string().contains("hive recover"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn back_takes_back_what_was_begun() {
    for at in ["before create dev/thing.b", "after create dev/thing.b"] {
        let bed = died(World::new(), &chain("abc", 1), at).await;
        let report = bed.recover(Settle::Back).await.expect("recovers").expect("was open");
        assert_eq!(report.ending, Ending::RolledBack, "{at}");
        assert!(bed.world.objects().is_empty(), "{at}");
        bed.converged(&[], at).await;
    }
}

#[tokio::test(start_paused = true)]
async fn back_is_refused_behind_the_point_of_no_return() {
    let declared = [
        declare("thing.a", json!({ "oneway": true }), &[]),
        declare("thing.b", json!({}), &["thing.a"]),
    ];
    let bed = died(World::new(), &declared, "after create dev/thing.a").await;
    let error = bed.recover(Settle::Back).await.expect_err("is refused");
    assert!(matches!(error, ApplyError::Refused(_)), "{error}");
    assert!(error.to_string().contains("point of no return"), "{error}");
    let report = bed.recover(Settle::On).await.expect("recovers").expect("was open");
    assert_eq!(report.ending, Ending::Applied);
    bed.converged(&declared, "on, where there is no way back").await;
}

#[tokio::test(start_paused = true)]
async fn close_looks_and_stops() {
    for (at, there) in [("before create dev/thing.b", 1), ("after create dev/thing.b", 2)] {
        let bed = died(World::new(), &chain("abc", 1), at).await;
        let report = bed.recover(Settle::Close).await.expect("recovers").expect("was open");
        assert_eq!(report.ending, Ending::ClosedByHand, "{at}");
        let head = bed.head().await.expect("a head");
        assert_eq!((head.whole, head.resources.len()), (false, there), "{at}");
        assert_eq!(bed.world.objects().len(), there, "{at}");
        bed.apply(&chain("abc", 1)).await.expect("applies");
        bed.converged(&chain("abc", 1), at).await;
    }
}

#[tokio::test(start_paused = true)]
async fn close_records_what_is_half_done_as_it_is() {
    let declared = [declare("thing.a", json!({ "weight": 1, "writes": 2 }), &[])];
    let bed = died(World::new(), &declared, "after create half of").await;
    let report = bed.recover(Settle::Close).await.expect("recovers").expect("was open");
    assert_eq!(report.ending, Ending::ClosedByHand);
    assert_eq!(bed.head().await.expect("a head").resources.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn something_foreign_stays_open_until_a_person_closes_it() {
    for settle in [Settle::On, Settle::Back] {
        let bed = died(World::new(), &chain("ab", 1), "after create dev/thing.a").await;
        let weight = Fields::from([("weight".to_owned(), Value::from(7))]);
        bed.world.meddle(&bed.spot("thing.a"), "mallory", weight);
        let error = bed.recover(settle).await.expect_err("a person must look");
        assert!(matches!(error, ApplyError::Unsettled { step: 1, .. }), "{error}");
        let open = bed.ledger.open_journal().await.expect("reads").expect("is open");
        assert!(matches!(open.read.replay.state(1), StepState::Begun(_)));
        let report = bed.recover(Settle::Close).await.expect("recovers").expect("was open");
        assert_eq!(report.ending, Ending::ClosedByHand);
        assert!(bed.ledger.open_journal().await.expect("reads").is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_now_is_not_guessed() {
    let bed = died(World::new(), &chain("ab", 1), "after create dev/thing.a").await;
    let trouble = hive_contract::Failure::new(hive_contract::FailureKind::Unavailable, "gone");
    bed.world.trouble("*", trouble);
    let error = bed.recover(Settle::On).await.expect_err("cannot be read");
    assert!(matches!(error, ApplyError::Unreadable { .. }), "{error}");
    bed.world.calm();
    let report = bed.recover(Settle::On).await.expect("recovers").expect("was open");
    assert_eq!(report.ending, Ending::Applied);
    bed.converged(&chain("ab", 1), "after trouble").await;
}

#[tokio::test(start_paused = true)]
async fn a_freeze_stops_what_goes_on_and_not_what_goes_back() {
    let frozen = hive_state::Freeze { who: "bob".into(), why: "an audit".into(), at_ms: 0 };
    let bed = died(World::new(), &chain("ab", 1), "after create dev/thing.a").await;
    bed.ledger.set_freeze(Some(&frozen)).await.expect("freezes");
    let error = bed.recover(Settle::On).await.expect_err("is refused");
    assert!(matches!(error, ApplyError::Refused(_)), "{error}");
    let report = bed.recover(Settle::Back).await.expect("recovers").expect("was open");
    assert_eq!((report.ending, report.frozen), (Ending::RolledBack, true));
}

#[tokio::test(start_paused = true)]
async fn a_world_without_tokens_is_compared_with_old_and_new() {
    let bed = died(World::forgetful(), &chain("ab", 1), "before create dev/thing.a").await;
    let report = bed.recover(Settle::On).await.expect("recovers").expect("was open");
    assert_eq!(report.ending, Ending::Applied);
    assert!(bed.words().await.iter().any(|it| it.contains("unsealed 1, begin 1")));
    bed.converged(&chain("ab", 1), "unsealed").await;

    let bed = died(World::forgetful(), &chain("ab", 1), "before create dev/thing.a").await;
    let report = bed.recover(Settle::Close).await.expect("recovers").expect("was open");
    assert_eq!((report.ending, report.snapshot), (Ending::ClosedByHand, None));
}

#[tokio::test(start_paused = true)]
async fn nothing_open_is_nothing_to_recover() {
    let bed = Bed::new();
    assert!(bed.recover(Settle::On).await.expect("looks").is_none());
    assert!(folded(&bed.ledger).await.expect("looks").is_none());
    bed.apply(&chain("a", 1)).await.expect("applies");
    assert!(bed.recover(Settle::Back).await.expect("looks").is_none());
}
