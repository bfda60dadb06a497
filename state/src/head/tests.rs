use super::*;
use crate::samples::{Paused, alive, gone, ledger, snapshot};
use crate::{Broken, Fault, MemoryStore};
use hive_contract::testing::KillSwitch;

async fn lease(store: &MemoryStore) -> Lease {
    ledger(store).acquire(&Paused::new(), gone("me@here"), "aaaa").await.expect("is free")
}

/// A store with this many snapshots.
async fn with(snapshots: u64) -> (MemoryStore, Vec<Snapshot>) {
    let store = MemoryStore::new();
    let lease = lease(&store).await;
    let mut head = None;
    let mut made: Vec<Snapshot> = Vec::new();
    for number in 1..=snapshots {
        let apply = format!("apply{number}");
        let next = snapshot(made.last(), &apply, 2);
        head = Some(ledger(&store).advance(&lease, head.as_ref(), &next).await.expect("moves"));
        made.push(next);
    }
    (store, made)
}

fn check(error: LedgerError) -> Check {
    match error {
        LedgerError::Damaged(damage) => damage.check,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn head_moves_from_snapshot_to_snapshot() {
    let (store, made) = with(3).await;
    let it = ledger(&store);
    let (head, newest) = it.head().await.expect("reads").expect("is there");
    assert_eq!((head.number, &head.digest), (3, &made[2].digest()));
    assert_eq!((head.apply.as_str(), head.epoch), ("apply3", 1));
    assert_eq!(newest, made[2]);
    assert_eq!(it.snapshots().await.expect("lists"), [1, 2, 3]);
    for number in 1..=3u64 {
        let found = it.snapshot(number).await.expect("reads").expect("is there");
        assert_eq!(found, made[usize::try_from(number).expect("small") - 1]);
    }
    for number in [0, 4] {
        assert_eq!(it.snapshot(number).await.expect("reads"), None);
    }
}

#[tokio::test]
async fn before_the_first_snapshot_there_is_a_head_that_names_nothing() {
    let store = MemoryStore::new();
    let it = ledger(&store);
    assert_eq!(it.head().await.expect("reads"), None);
    lease(&store).await;
    assert_eq!(it.head().await.expect("reads"), None);
    assert_eq!(it.snapshots().await.expect("lists"), Vec::<u64>::new());
    // So one that is gone is seen to be gone, also before the first snapshot.
    store.lose("dev/head.json");
    assert!(matches!(check(it.head().await.expect_err("is gone")), Check::Missing { .. }));
}

#[tokio::test]
async fn advancing_twice_is_advancing_once() {
    let (store, made) = with(1).await;
    let lease = lease(&store).await;
    let it = ledger(&store);
    let first = it.head_only().await.expect("reads").expect("is there");
    let next = snapshot(made.last(), "apply2", 3);
    let head = it.advance(&lease, Some(&first), &next).await.expect("moves");
    let before = store.counts();
    assert_eq!(it.advance(&lease, Some(&first), &next).await, Ok(head));
    assert_eq!(store.counts().writes, before.writes);
}

#[tokio::test]
async fn head_is_not_moved_from_where_it_is_not() {
    let (store, made) = with(2).await;
    let lease = lease(&store).await;
    let it = ledger(&store);
    let next = snapshot(made.first(), "other", 1);
    let stale = Head { number: 1, digest: made[0].digest(), epoch: 1, apply: "apply1".to_owned() };
    for before in [Some(&stale), None] {
        let refused = it.advance(&lease, before, &next).await;
        assert!(matches!(refused, Err(LedgerError::Lost(_))), "{refused:?}");
    }
    let head = it.head_only().await.expect("reads").expect("is there");
    let refused = it.advance(&lease, Some(&head), &next).await;
    assert_eq!(refused, Err(LedgerError::Broken(Broken::Parent(2))));
    assert_eq!(it.snapshots().await.expect("lists"), [1, 2]);
}

#[tokio::test]
async fn a_holder_that_was_taken_over_does_not_move_head() {
    let (store, made) = with(1).await;
    let late = lease(&store).await;
    let it = ledger(&store);
    let head = it.head_only().await.expect("reads").expect("is there");
    it.acquire(&Paused::new(), alive("new@here"), "bbbb").await.expect("takes over");
    let next = snapshot(made.last(), "aaaa", 1);
    let refused = it.advance(&late, Some(&head), &next).await;
    assert!(matches!(refused, Err(LedgerError::Lost(_))), "{refused:?}");
    assert_eq!(it.head_only().await.expect("reads"), Some(head));
}

#[tokio::test]
async fn a_snapshot_that_breaks_a_rule_is_not_recorded() {
    let store = MemoryStore::new();
    let lease = lease(&store).await;
    let it = ledger(&store);
    let mut nowhere = snapshot(None, "aaaa", 1);
    nowhere.places.clear();
    let refused = it.advance(&lease, None, &nowhere).await;
    assert!(matches!(refused, Err(LedgerError::Broken(Broken::Place { .. }))), "{refused:?}");
    let mut other = snapshot(None, "aaaa", 1);
    other.stack = "garden".to_owned();
    let refused = it.advance(&lease, None, &other).await;
    assert!(matches!(refused, Err(LedgerError::OtherStack { .. })), "{refused:?}");
    let mut other = snapshot(None, "aaaa", 1);
    other.environment = "staging".to_owned();
    assert!(it.advance(&lease, None, &other).await.is_err());
    assert!(!store.keys().iter().any(|key| key.contains("snapshots")), "{:?}", store.keys());
}

#[tokio::test]
async fn another_stack_is_told_whose_the_store_is() {
    let (store, made) = with(1).await;
    let other = Ledger::new(std::sync::Arc::new(store.clone()), "garden", "dev");
    let error = other.head().await.expect_err("is refused");
    assert!(error.to_string().contains("holds the stack `shop`, not `garden`"), "{error}");
    assert_eq!(other.store_id().await.expect_err("is refused"), error);
    let any = Ledger::of_any_stack(std::sync::Arc::new(store.clone()), "dev");
    assert_eq!(any.head().await.expect("reads").map(|it| it.1), made.into_iter().next());
    // A copy of one environment is not another environment.
    for key in store.keys() {
        let copy = key.replace("dev/", "staging/");
        store.poke(&copy, &store.peek(&key).expect("is there"));
    }
    let copied = Ledger::new(std::sync::Arc::new(store.clone()), "shop", "staging");
    assert!(matches!(check(copied.head().await.expect_err("is refused")), Check::Rule(_)));
}

#[tokio::test]
async fn every_byte_and_every_length_of_head_and_snapshot_counts() {
    let (store, made) = with(1).await;
    let it = ledger(&store);
    let snapshot = format!("dev/snapshots/1-{}.json", made[0].digest());
    for key in ["dev/head.json", &snapshot] {
        let bytes = store.peek(key).expect("is there");
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1 + u8::try_from(at % 255).expect("small");
            store.poke(key, &altered);
            let error = it.head().await.expect_err("is damaged");
            assert!(error.to_string().contains(&format!("memory/{key}")), "{error}");
            store.poke(key, &bytes[..at]);
            let wanted = if at == 0 { Check::Empty } else { Check::Truncated };
            assert_eq!(check(it.head().await.expect_err("is cut off")), wanted, "{key}: {at}");
        }
        store.poke(key, &bytes);
    }
    assert!(it.head().await.expect("reads").is_some());
}

#[tokio::test]
async fn what_is_named_and_gone_is_damage() {
    let (store, made) = with(3).await;
    let it = ledger(&store);
    let key = |number: usize| format!("dev/snapshots/{number}-{}.json", made[number - 1].digest());
    for lost in ["dev/head.json".to_owned(), key(3)] {
        let store = store.copy();
        store.lose(&lost);
        let error = ledger(&store).head().await.expect_err("is gone");
        assert!(error.to_string().contains(&lost), "{error}");
        assert!(matches!(check(error), Check::Missing { .. }));
    }
    let middle = store.copy();
    middle.lose(&key(2));
    let error = ledger(&middle).snapshot(2).await.expect_err("is gone");
    assert!(matches!(check(error), Check::Missing { .. }));
    assert!(ledger(&middle).verify_all().await.is_err());
    assert!(it.verify_all().await.is_ok());
    // A whole snapshot in the place of another.
    store.poke(&key(3), &store.peek(&key(2)).expect("is there"));
    assert!(matches!(check(it.head().await.expect_err("another")), Check::Digest { .. }));
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_and_not_nothing() {
    let (store, _) = with(1).await;
    for part in ["dev/head.json", "dev/snapshots", "store.json"] {
        store.fault(Fault::FailReadsOf(part.to_owned()));
        let it = ledger(&store);
        let refused = match part {
            "store.json" => it.store_id().await.map(|_| ()),
            _ => it.head().await.map(|_| ()),
        };
        assert!(matches!(refused, Err(LedgerError::Store(_))), "{part}: {refused:?}");
        store.heal();
    }
}

#[tokio::test]
async fn a_snapshot_left_by_an_apply_that_died_is_not_mistaken_for_the_one_that_counts() {
    let (store, made) = with(3).await;
    let orphan = snapshot(Some(&made[0]), "orphan", 5);
    let bytes = sealed::seal("snapshot", FORMAT, orphan.parent.as_ref(), &orphan, false);
    store.poke(&format!("dev/snapshots/2-{}.json", orphan.digest()), &bytes);
    let it = ledger(&store);
    assert_eq!(it.snapshot(2).await.expect("reads").as_ref(), Some(&made[1]));
    assert_eq!(it.snapshots().await.expect("lists"), [1, 2, 3]);
    let ahead = snapshot(Some(&made[2]), "orphan", 5);
    let bytes = sealed::seal("snapshot", FORMAT, ahead.parent.as_ref(), &ahead, false);
    store.poke(&format!("dev/snapshots/4-{}.json", ahead.digest()), &bytes);
    assert_eq!(it.snapshots().await.expect("lists"), [1, 2, 3]);
    assert_eq!(it.snapshot(4).await.expect("reads"), None);
    it.verify_all().await.expect("is whole");
}

#[tokio::test]
async fn a_snapshot_cut_off_by_a_crash_is_written_again() {
    let (store, made) = with(1).await;
    let lease = lease(&store).await;
    let it = ledger(&store);
    let head = it.head_only().await.expect("reads").expect("is there");
    let next = snapshot(made.last(), "aaaa", 2);
    store.poke(&format!("dev/snapshots/2-{}.json", next.digest()), b"{\"check");
    it.advance(&lease, Some(&head), &next).await.expect("moves");
    assert_eq!(it.head().await.expect("reads").expect("is there").1, next);
}

/// Dies at every boundary of the first two applies' store writes; the next process finishes, and
/// ends where an undisturbed one ends.
#[tokio::test]
async fn a_death_at_any_boundary_is_finished_by_the_next() {
    async fn apply(store: &MemoryStore, id: &str) -> Result<(), LedgerError> {
        let it = ledger(store);
        let lease = it.acquire(&Paused::new(), gone("me@here"), id).await?;
        let open = it.open_journal().await?;
        let before = it.head().await?;
        let (id, mut journal) = match open {
            Some(open) => {
                let id = open.read.apply.clone();
                (id.clone(), crate::Journal::resume(&it, &lease, &id).await?)
            }
            None => (id.to_owned(), crate::Journal::create(&it, &lease, id).await?),
        };
        let next = snapshot(before.as_ref().map(|it| &it.1), &id, 1);
        if journal.replay().opened.is_none() {
            journal.append(&[crate::samples::opened(&id)]).await?;
        }
        if journal.replay().closed.is_none() {
            journal.append(&[crate::samples::closed(Some(&next))]).await?;
        }
        it.advance(&lease, before.as_ref().map(|it| &it.0), &next).await?;
        lease.release().await
    }

    let counting = KillSwitch::never();
    let undisturbed = MemoryStore::new().with_switch(counting.clone());
    apply(&undisturbed, "aaaa").await.expect("applies");
    apply(&undisturbed, "bbbb").await.expect("applies");
    let boundaries = counting.count();
    assert!(boundaries > 20, "{:?}", counting.log());
    for at in 1..=boundaries {
        let store = MemoryStore::new();
        let switch = KillSwitch::at(at);
        let dying = store.with_switch(switch.clone());
        let died = tokio::select! {
            biased;
            () = switch.dead() => true,
            _ = async { apply(&dying, "aaaa").await?; apply(&dying, "bbbb").await } => false,
        };
        assert!(died, "boundary {at}");
        // Recover what is open, as `hive apply` does, and then apply until there are two.
        let it = ledger(&store);
        let mut tries = 0;
        while it.head_only().await.expect("reads").map_or(0, |it| it.number) < 2 {
            tries += 1;
            apply(&store, &format!("next{tries}")).await.expect("goes on");
        }
        assert!(it.open_journal().await.expect("reads").is_none(), "boundary {at}");
        it.verify_all().await.unwrap_or_else(|wrong| panic!("boundary {at}: {wrong:?}"));
        assert_eq!(it.snapshots().await.expect("lists"), [1, 2], "boundary {at}");
    }
}
