use super::*;
use crate::samples::{Paused, alive, elsewhere, gone, ledger, patient};
use crate::{Fault, MemoryStore};
use std::time::Duration;
use tokio::time::advance;

const DURATION: u64 = 30_000;

async fn acquire(ledger: &Ledger, clock: &Paused, holder: Holder) -> Result<Lease, LedgerError> {
    ledger.acquire(clock, holder, "aaaa").await
}

fn held(result: Result<Lease, LedgerError>) -> (Holder, String) {
    match result {
        Err(LedgerError::Held { holder, apply, .. }) => (*holder, apply),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the lease was given twice"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_free_lease_is_given_once() {
    let store = MemoryStore::new();
    let (it, clock) = (patient(&store, Patience::None), Paused::new());
    let lease = acquire(&it, &clock, alive("me@here")).await.expect("is free");
    assert_eq!((lease.epoch(), lease.apply().as_str(), lease.duration_ms()), (1, "aaaa", DURATION));
    let (holder, apply) = held(it.acquire(&clock, alive("you@here"), "bbbb").await);
    assert_eq!((holder.who.as_str(), apply.as_str()), ("me@here", "aaaa"));
    lease.release().await.expect("releases");
    assert!(matches!(lease.release().await, Err(LedgerError::Lost(_))));
    assert!(matches!(lease.renew(&clock).await, Err(LedgerError::Lost(_))));
    let next = it.acquire(&clock, alive("you@here"), "bbbb").await.expect("is free");
    assert_eq!(next.epoch(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_holds_it_is_named() {
    let store = MemoryStore::new();
    let (it, clock) = (patient(&store, Patience::None), Paused::new());
    let holder = Holder { host: "box".to_owned(), pid: 77, ..elsewhere("me@box") };
    acquire(&it, &clock, holder).await.expect("is free");
    let error = it.acquire(&clock, alive("you@here"), "bbbb").await.err().expect("is held");
    let wanted = "me@box on box holds the lease since 2023-11-14T22:13:20Z (pid 77, apply aaaa)";
    assert_eq!(error.to_string(), wanted);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_taken_at_once_from_a_process_that_is_gone() {
    let store = MemoryStore::new();
    let (it, clock) = (patient(&store, Patience::None), Paused::new());
    acquire(&it, &clock, gone("late@here")).await.expect("is free");
    let lease = acquire(&it, &clock, alive("new@here")).await.expect("takes over");
    assert_eq!((lease.epoch(), clock.ticks_ms()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_a_holder_is_told() {
    let store = MemoryStore::new();
    let (it, clock) = (patient(&store, Patience::None), Paused::new());
    acquire(&it, &clock, gone("late@here")).await.expect("is free");
    let body = it.lease_now().await.expect("reads").expect("is there");
    assert_eq!(body.hold(body.renewed_ms), Hold::Gone);
    let body = LeaseBody { holder: Some(elsewhere("far@there")), ..body };
    assert_eq!(body.hold(body.renewed_ms + DURATION), Hold::Live);
    assert_eq!(body.hold(body.renewed_ms + DURATION + 1), Hold::Silent);
    assert_eq!(LeaseBody { holder: None, ..body }.hold(0), Hold::Free);
}

#[tokio::test(start_paused = true)]
async fn a_silent_holder_elsewhere_is_watched_for_the_whole_duration() {
    let store = MemoryStore::new();
    let (it, clock) = (patient(&store, Patience::UpTo(0)), Paused::new());
    acquire(&it, &clock, elsewhere("late@there")).await.expect("is free");
    // However old the lease looks, it is watched from now on.
    advance(Duration::from_millis(DURATION * 100)).await;
    let began = clock.ticks_ms();
    let lease = acquire(&it, &clock, alive("new@here")).await.expect("takes over");
    assert_eq!(lease.epoch(), 2);
    let watched = clock.ticks_ms() - began;
    assert!((DURATION..DURATION * 2).contains(&watched), "watched for {watched} ms");
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_renews_keeps_its_lease() {
    for patience in [Patience::UpTo(DURATION * 4), Patience::IfStale] {
        let store = MemoryStore::new();
        let (it, clock) = (patient(&store, patience), Paused::new());
        let lease = acquire(&it, &clock, elsewhere("alive@there")).await.expect("is free");
        let renews = async {
            loop {
                clock.sleep(DURATION / 3).await;
                lease.renew(&clock).await.expect("is ours");
            }
        };
        let contender = tokio::select! {
            () = renews => unreachable!("renews for ever"),
            contender = acquire(&it, &clock, alive("new@here")) => contender,
        };
        assert_eq!(held(contender).0.who, "alive@there", "{patience:?}");
        lease.renew(&clock).await.expect("is still ours");
    }
}

#[tokio::test(start_paused = true)]
async fn a_contender_waits_for_a_release() {
    let store = MemoryStore::new();
    let (it, clock) = (patient(&store, Patience::UpTo(DURATION * 10)), Paused::new());
    let lease = acquire(&it, &clock, elsewhere("alive@there")).await.expect("is free");
    let works = async {
        for _ in 0..9 {
            clock.sleep(DURATION / 3).await;
            lease.renew(&clock).await.expect("is ours");
        }
        lease.release().await.expect("releases");
    };
    let ((), next) = tokio::join!(works, acquire(&it, &clock, alive("new@here")));
    assert_eq!(next.expect("gets it").epoch(), 2);
}

#[tokio::test(start_paused = true)]
async fn only_what_looks_stale_is_watched_where_no_patience_is_asked_for() {
    let store = MemoryStore::new();
    let (it, clock) = (ledger(&store), Paused::new());
    acquire(&it, &clock, elsewhere("late@there")).await.expect("is free");
    held(acquire(&it, &clock, alive("new@here")).await);
    assert_eq!(clock.ticks_ms(), 0, "it did not wait");
    advance(Duration::from_millis(DURATION + 1)).await;
    acquire(&it, &clock, alive("new@here")).await.expect("takes over");
}

#[tokio::test(start_paused = true)]
async fn without_patience_nothing_is_watched() {
    let store = MemoryStore::new();
    let (it, clock) = (patient(&store, Patience::None), Paused::new());
    acquire(&it, &clock, elsewhere("late@there")).await.expect("is free");
    advance(Duration::from_millis(DURATION * 10)).await;
    held(acquire(&it, &clock, alive("new@here")).await);
}

#[tokio::test(start_paused = true)]
async fn the_guard_says_no_after_half_of_the_lease() {
    let store = MemoryStore::new();
    let (it, clock) = (ledger(&store), Paused::new());
    let lease = acquire(&it, &clock, alive("me@here")).await.expect("is free");
    assert_eq!(lease.guard(&clock).may_write(), Ok(()));
    advance(Duration::from_millis(DURATION / 2)).await;
    assert_eq!(lease.guard(&clock).may_write(), Ok(()));
    advance(Duration::from_millis(1)).await;
    let failure = lease.guard(&clock).may_write().expect_err("is too old");
    assert_eq!(failure.kind, FailureKind::Expired);
    lease.renew(&clock).await.expect("is still ours");
    assert_eq!(lease.guard(&clock).may_write(), Ok(()));
    // A renewal that fails counts for nothing, and one more may succeed.
    advance(Duration::from_millis(DURATION / 2 + 1)).await;
    store.fault(Fault::DiskFull);
    assert!(matches!(lease.renew(&clock).await, Err(LedgerError::Store(_))));
    assert!(lease.guard(&clock).may_write().is_err());
    store.heal();
    lease.renew(&clock).await.expect("is still ours");
    lease.release().await.expect("releases");
    assert_eq!(lease.guard(&clock).may_write().expect_err("is over").kind, FailureKind::Expired);
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_lost_it_finds_out_when_it_renews_or_releases() {
    let store = MemoryStore::new();
    let (it, clock) = (ledger(&store), Paused::new());
    let late = acquire(&it, &clock, gone("late@here")).await.expect("is free");
    let lease = acquire(&it, &clock, alive("new@here")).await.expect("takes over");
    assert!(matches!(late.renew(&clock).await, Err(LedgerError::Lost(_))));
    assert_eq!(late.guard(&clock).may_write().expect_err("is lost").kind, FailureKind::Expired);
    assert!(matches!(late.release().await, Err(LedgerError::Lost(_))));
    lease.renew(&clock).await.expect("is ours");
    assert_eq!(it.lease_now().await.expect("reads").expect("is there").renewals, 2);
}

#[tokio::test(start_paused = true)]
async fn renewing_twice_at_once_is_no_loss() {
    let store = MemoryStore::new();
    let (it, clock) = (ledger(&store), Paused::new());
    let lease = acquire(&it, &clock, alive("me@here")).await.expect("is free");
    // Whatever was renewed without this process having seen it is its own all the same.
    store.fault(Fault::LieAboutWrite(1));
    assert!(lease.renew(&clock).await.is_err());
    store.heal();
    let (one, other) = tokio::join!(lease.renew(&clock), lease.renew(&clock));
    assert_eq!((one, other), (Ok(()), Ok(())));
    lease.release().await.expect("releases");
}

#[tokio::test(start_paused = true)]
async fn of_many_contenders_one_takes_over() {
    let store = MemoryStore::new();
    let (it, clock) = (patient(&store, Patience::UpTo(DURATION * 2)), Paused::new());
    acquire(&it, &clock, elsewhere("late@there")).await.expect("is free");
    let once = patient(&store, Patience::UpTo(DURATION + DURATION / 2));
    let (a, b, c) = tokio::join!(
        acquire(&once, &clock, alive("a@here")),
        acquire(&once, &clock, alive("b@here")),
        acquire(&once, &clock, alive("c@here")),
    );
    let winners = [&a, &b, &c].iter().filter(|it| it.is_ok()).count();
    assert_eq!(winners, 1);
    for loser in [a, b, c].into_iter().filter(Result::is_err) {
        held(loser);
    }
}

#[tokio::test(start_paused = true)]
async fn breaking_seals_first_and_then_frees() {
    let store = MemoryStore::new();
    let (it, clock) = (ledger(&store), Paused::new());
    assert_eq!(it.break_lease(&clock, "you@here").await, Ok(None));
    let lease = acquire(&it, &clock, alive("me@here")).await.expect("is free");
    let mut journal = crate::Journal::create(&it, &lease, "aaaa").await.expect("is new");
    journal.append(&[crate::samples::opened("aaaa")]).await.expect("appends");
    let was = it.break_lease(&clock, "you@here").await.expect("breaks").expect("was held");
    assert_eq!(was.holder.expect("was held").who, "me@here");
    let late = journal.append(&[crate::samples::begin(1, 1)]).await;
    assert!(matches!(late, Err(LedgerError::Fenced { .. })));
    assert!(matches!(lease.renew(&clock).await, Err(LedgerError::Lost(_))));
    assert_eq!(it.break_lease(&clock, "you@here").await, Ok(None));
    let next = acquire(&it, &clock, alive("new@here")).await.expect("is free");
    assert_eq!(next.epoch(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_lease_is_refused_and_can_be_broken() {
    let store = MemoryStore::new();
    let (it, clock) = (ledger(&store), Paused::new());
    let lease = acquire(&it, &clock, alive("me@here")).await.expect("is free");
    let mut journal = crate::Journal::create(&it, &lease, "aaaa").await.expect("is new");
    journal.append(&[crate::samples::opened("aaaa")]).await.expect("appends");
    let bytes = store.peek("dev/lease.json").expect("is there");
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        store.poke("dev/lease.json", &altered);
        let refused = it.lease_now().await;
        assert!(matches!(refused, Err(LedgerError::Damaged(_))), "byte {at}");
    }
    assert!(matches!(
        acquire(&it, &clock, alive("new@here")).await.err(),
        Some(LedgerError::Damaged(_))
    ));
    it.break_lease(&clock, "you@here").await.expect("breaks").expect("was there");
    let late = journal.append(&[crate::samples::begin(1, 1)]).await;
    assert!(matches!(late, Err(LedgerError::Fenced { .. })));
    acquire(&it, &clock, alive("new@here")).await.expect("is free");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_lease_of_nobody_is_mended_by_breaking_it() {
    let store = MemoryStore::new();
    let (it, clock) = (ledger(&store), Paused::new());
    let lease = acquire(&it, &clock, alive("me@here")).await.expect("is free");
    lease.release().await.expect("releases");
    store.poke("dev/lease.json", b"{ half");
    it.break_lease(&clock, "you@here").await.expect("breaks").expect("was there");
    assert!(it.lease_now().await.is_ok(), "it can be read again");
    acquire(&it, &clock, alive("new@here")).await.expect("is free");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_removed_starts_behind_what_was() {
    let store = MemoryStore::new();
    let (it, clock) = (ledger(&store), Paused::new());
    for _ in 0..3 {
        let lease = acquire(&it, &clock, alive("me@here")).await.expect("is free");
        lease.release().await.expect("releases");
    }
    let lease = acquire(&it, &clock, alive("me@here")).await.expect("is free");
    let mut journal = crate::Journal::create(&it, &lease, "aaaa").await.expect("is new");
    journal.append(&[crate::samples::opened("aaaa")]).await.expect("appends");
    store.lose("dev/lease.json");
    let next = it.acquire(&clock, alive("new@here"), "bbbb").await.expect("is free");
    assert_eq!(next.epoch(), 5);
    let late = journal.append(&[crate::samples::begin(1, 1)]).await;
    assert!(matches!(late, Err(LedgerError::Fenced { .. })));
    assert!(matches!(lease.renew(&clock).await, Err(LedgerError::Lost(_))));
    let open = it.open_journal().await.expect("reads").expect("is open");
    assert_eq!(open.read.apply, "aaaa");
}
