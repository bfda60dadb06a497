use super::*;
use crate::lease::Patience;
use crate::samples::{
    Paused, alive, begin, closed, done, elsewhere, gone, ledger, opened, patient, snapshot,
};
use crate::{Fault, MemoryStore};

const A: &str = "aaaa";

async fn lease(store: &MemoryStore, apply: &str) -> Lease {
    ledger(store).acquire(&Paused::new(), alive("me@here"), apply).await.expect("is free")
}

/// A journal with three groups: opened, a begin, and its end with the next begin.
async fn written(store: &MemoryStore) -> (Lease, Journal) {
    let lease = lease(store, A).await;
    let mut journal = Journal::create(&ledger(store), &lease, A).await.expect("is new");
    journal.append(&[opened(A)]).await.expect("appends");
    journal.append(&[begin(1, 1)]).await.expect("appends");
    journal.append(&[done(1), begin(2, 1)]).await.expect("appends");
    (lease, journal)
}

fn key(sequence: u64) -> String {
    format!("dev/journal/{A}/{sequence:08}.json")
}

fn check(error: LedgerError) -> Check {
    match error {
        LedgerError::Damaged(damage) => damage.check,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_was_appended_is_read() {
    let store = MemoryStore::new();
    let (_lease, journal) = written(&store).await;
    let read = ledger(&store).journal(A).await.expect("reads");
    assert_eq!(read.entries, [opened(A), begin(1, 1), done(1), begin(2, 1)]);
    assert_eq!(&read.replay, journal.replay());
    assert_eq!((read.next, read.epoch, read.apply.as_str()), (4, 1, A));
    assert_eq!(ledger(&store).journals().await.expect("lists"), [A]);
}

#[tokio::test]
async fn a_group_costs_one_sync_and_no_read() {
    let store = MemoryStore::new();
    let (_lease, mut journal) = written(&store).await;
    let before = store.counts();
    let group: Vec<Entry> = (3..103).map(|step| begin(step, 1)).collect();
    journal.append(&group).await.expect("appends");
    journal.append(&[]).await.expect("nothing to do");
    let after = store.counts();
    assert_eq!(after.syncs - before.syncs, 1);
    assert_eq!((after.reads, after.lists), (before.reads, before.lists));
}

#[tokio::test]
async fn what_the_law_forbids_is_not_written() {
    let store = MemoryStore::new();
    let (_lease, mut journal) = written(&store).await;
    let (before, keys) = (journal.replay().clone(), store.keys());
    // The first of the two is legal: neither is taken.
    let error = journal.append(&[done(2), done(1)]).await.expect_err("is illegal");
    assert!(matches!(error, LedgerError::Illegal(_)), "{error}");
    assert_eq!((journal.replay(), store.keys()), (&before, keys));
    journal.append(&[done(2)]).await.expect("goes on");
}

#[tokio::test]
async fn after_a_failed_write_the_same_may_be_appended_again() {
    for fault in [Fault::FailWrite(1), Fault::LieAboutWrite(1), Fault::DiskFull] {
        let store = MemoryStore::new();
        let (_lease, mut journal) = written(&store).await;
        let before = journal.replay().clone();
        store.fault(fault.clone());
        let error = journal.append(&[done(2), begin(3, 1)]).await.expect_err("fails");
        assert!(matches!(error, LedgerError::Store(_)), "{fault:?}: {error}");
        assert_eq!(journal.replay(), &before, "{fault:?}");
        store.heal();
        journal.append(&[done(2), begin(3, 1)]).await.expect("goes on");
        let read = ledger(&store).journal(A).await.expect("reads");
        assert_eq!(&read.replay, journal.replay(), "{fault:?}");
        assert_eq!(read.entries.len(), 6, "{fault:?}");
    }
}

#[tokio::test]
async fn a_group_that_was_cut_off_last_was_never_written() {
    let store = MemoryStore::new();
    let (lease, _journal) = written(&store).await;
    let bytes = store.peek(&key(3)).expect("is there");
    for length in 0..bytes.len() {
        let store = store.copy();
        store.poke(&key(3), &bytes[..length]);
        let read = ledger(&store).journal(A).await.expect("reads");
        assert_eq!(read.entries, [opened(A), begin(1, 1)], "{length}");
        let mut journal = Journal::resume(&ledger(&store), &lease, A).await.expect("resumes");
        journal.append(&[done(1)]).await.expect("appends");
        let read = ledger(&store).journal(A).await.expect("reads");
        assert_eq!(read.entries, [opened(A), begin(1, 1), done(1)], "{length}");
    }
}

#[tokio::test]
async fn every_other_byte_anywhere_is_damage() {
    let store = MemoryStore::new();
    written(&store).await;
    for sequence in 1..=3 {
        let bytes = store.peek(&key(sequence)).expect("is there");
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1 + u8::try_from(at % 255).expect("small");
            let store = store.copy();
            store.poke(&key(sequence), &altered);
            let error = ledger(&store).journal(A).await.expect_err("is damaged");
            let check = check(error);
            let named = matches!(check, Check::Checksum | Check::NotJson);
            assert!(named, "group {sequence}, byte {at}: {check}");
            assert!(ledger(&store).open_journal().await.is_err(), "group {sequence}, byte {at}");
        }
    }
}

#[tokio::test]
async fn a_group_cut_off_before_the_last_is_damage() {
    let store = MemoryStore::new();
    written(&store).await;
    for sequence in 1..=2 {
        let bytes = store.peek(&key(sequence)).expect("is there");
        for length in 0..bytes.len() {
            let store = store.copy();
            store.poke(&key(sequence), &bytes[..length]);
            let error = ledger(&store).journal(A).await.expect_err("is damaged");
            let wanted = if length == 0 { Check::Empty } else { Check::Truncated };
            assert_eq!(check(error), wanted, "group {sequence}, {length} bytes");
        }
    }
}

#[tokio::test]
async fn a_hole_a_swap_and_a_stranger_are_damage() {
    let store = MemoryStore::new();
    written(&store).await;
    for sequence in 1..=2 {
        let holed = store.copy();
        holed.lose(&key(sequence));
        let error = ledger(&holed).journal(A).await.expect_err("is damaged");
        assert!(matches!(check(error), Check::Missing { .. }), "group {sequence}");
    }
    let swapped = store.copy();
    swapped.poke(&key(2), &store.peek(&key(3)).expect("is there"));
    let error = ledger(&swapped).journal(A).await.expect_err("is damaged");
    assert!(matches!(check(error), Check::Digest { .. }));
    // Another journal's second group, renamed and made whole again.
    let stranger = store.copy();
    let body = group_bytes(A, 2, 1, Some(&Fingerprint::of_bytes(b"other")), &[begin(1, 1)]);
    stranger.poke(&key(2), &body);
    let error = ledger(&stranger).journal(A).await.expect_err("is damaged");
    assert!(matches!(check(error), Check::Rule(_)));
    let illegal = store.copy();
    let first = Fingerprint::of_bytes(&store.peek(&key(1)).expect("is there"));
    illegal.poke(&key(2), &group_bytes(A, 2, 1, Some(&first), &[done(1)]));
    let error = ledger(&illegal).journal(A).await.expect_err("is damaged");
    let check = check(error).to_string();
    assert!(check.contains("done of step 1 may not follow waiting"), "{check}");
}

#[tokio::test]
async fn an_unreadable_journal_is_an_error_and_not_absent() {
    let store = MemoryStore::new();
    written(&store).await;
    store.fault(Fault::FailReadsOf("journal/".to_owned()));
    assert!(matches!(ledger(&store).open_journal().await, Err(LedgerError::Store(_))));
    assert!(matches!(ledger(&store).journal(A).await, Err(LedgerError::Store(_))));
    store.heal();
    let missing = ledger(&store).journal("other").await.expect_err("there is none");
    assert!(matches!(check(missing), Check::Missing { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_was_taken_over_is_fenced() {
    let store = MemoryStore::new();
    let clock = Paused::new();
    let ours = ledger(&store).acquire(&clock, gone("late@here"), A).await.expect("is free");
    let mut late = Journal::create(&ledger(&store), &ours, A).await.expect("is new");
    late.append(&[opened(A), begin(1, 1)]).await.expect("appends");
    let theirs = ledger(&store).acquire(&clock, alive("new@here"), A).await.expect("takes over");
    let error = late.append(&[done(1)]).await.expect_err("is fenced");
    assert_eq!(error, LedgerError::Fenced { apply: A.to_owned(), sequence: 2 });
    let mut on = Journal::resume(&ledger(&store), &theirs, A).await.expect("resumes");
    on.append(&[done(1), begin(2, 1)]).await.expect("appends");
    assert!(matches!(late.append(&[done(1)]).await, Err(LedgerError::Fenced { .. })));
    assert_eq!(on.replay().epoch, 2);
    assert!(ours.renew(&clock).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_empty_journal_is_sealed_as_well() {
    let store = MemoryStore::new();
    let clock = Paused::new();
    let ours = ledger(&store).acquire(&clock, gone("late@here"), A).await.expect("is free");
    let mut late = Journal::create(&ledger(&store), &ours, A).await.expect("is new");
    ledger(&store).acquire(&clock, alive("new@here"), "bbbb").await.expect("takes over");
    let error = late.append(&[opened(A)]).await.expect_err("is fenced");
    assert_eq!(error, LedgerError::Fenced { apply: A.to_owned(), sequence: 1 });
    // It was never begun: nothing is open, and no history shows it.
    assert!(ledger(&store).open_journal().await.expect("reads").is_none());
    assert_eq!(ledger(&store).journals().await.expect("lists"), Vec::<String>::new());
    assert!(Journal::create(&ledger(&store), &ours, A).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn whoever_dies_between_taking_over_and_sealing_leaves_that_to_the_next() {
    let store = MemoryStore::new();
    let clock = Paused::new();
    let ours = ledger(&store).acquire(&clock, gone("late@here"), A).await.expect("is free");
    let mut late = Journal::create(&ledger(&store), &ours, A).await.expect("is new");
    // The first contender gets the lease and cannot seal; then it is gone as well.
    store.fault(Fault::FailWritesTo("journal/".to_owned()));
    let failed = ledger(&store).acquire(&clock, gone("second@here"), "bbbb").await;
    assert!(matches!(failed.err(), Some(LedgerError::Store(_))));
    store.heal();
    let body = ledger(&store).lease_now().await.expect("reads").expect("is there");
    assert_eq!((body.apply.as_str(), body.epoch), ("bbbb", 2));
    ledger(&store).acquire(&clock, alive("third@here"), "cccc").await.expect("takes over");
    assert!(matches!(late.append(&[opened(A)]).await, Err(LedgerError::Fenced { .. })));
    let body = ledger(&store).lease_now().await.expect("reads").expect("is there");
    assert!(body.unsealed.is_empty(), "{body:?}");
}

#[tokio::test(start_paused = true)]
async fn resuming_fences_whoever_wrote_before() {
    let store = MemoryStore::new();
    let clock = Paused::new();
    let (ours, mut late) = written(&store).await;
    ours.release().await.expect("releases");
    let next = ledger(&store).acquire(&clock, alive("next@here"), "bbbb").await.expect("is free");
    let on = Journal::resume(&ledger(&store), &next, A).await.expect("resumes");
    assert!(matches!(late.append(&[done(2)]).await, Err(LedgerError::Fenced { .. })));
    assert_eq!(on.replay().epoch, 2);
    // With an older lease nobody goes on.
    assert!(Journal::resume(&ledger(&store), &ours, A).await.is_err());
}

#[tokio::test]
async fn a_journal_is_open_until_head_is_where_it_says() {
    let store = MemoryStore::new();
    let it = ledger(&store);
    assert!(it.open_journal().await.expect("reads").is_none());
    let (lease, mut journal) = written(&store).await;
    let open = it.open_journal().await.expect("reads").expect("is open");
    assert_eq!((open.read.apply.as_str(), &open.read.replay), (A, journal.replay()));
    let snapshot = snapshot(None, A, 2);
    journal.append(&[done(2), closed(Some(&snapshot))]).await.expect("appends");
    let open = it.open_journal().await.expect("reads").expect("head has not moved");
    assert!(open.read.replay.closed.is_some());
    it.advance(&lease, None, &snapshot).await.expect("moves");
    assert!(it.open_journal().await.expect("reads").is_none());
    lease.release().await.expect("releases");
    // The next apply was named and has not begun.
    let next = it.acquire(&Paused::new(), alive("me@here"), "bbbb").await.expect("is free");
    assert!(it.open_journal().await.expect("reads").is_none());
    let mut journal = Journal::create(&it, &next, "bbbb").await.expect("is new");
    journal.append(&[opened("bbbb")]).await.expect("appends");
    let open = it.open_journal().await.expect("reads").expect("is open");
    assert_eq!(open.read.apply, "bbbb");
    journal.append(&[closed(None)]).await.expect("appends");
    assert!(it.open_journal().await.expect("reads").is_none(), "it moves no head");
    assert_eq!(it.journals().await.expect("lists"), [A, "bbbb"]);
}

#[tokio::test]
async fn an_open_journal_is_found_behind_a_lease_that_began_nothing() {
    let store = MemoryStore::new();
    let it = ledger(&store);
    let (lease, _journal) = written(&store).await;
    lease.release().await.expect("releases");
    for apply in ["bbbb", "cccc"] {
        let next = it.acquire(&Paused::new(), alive("me@here"), apply).await.expect("is free");
        next.release().await.expect("releases");
        let open = it.open_journal().await.expect("reads").expect("is open");
        assert_eq!(open.read.apply, A);
    }
    // And without any lease file, by its age.
    store.lose("dev/lease.json");
    let open = it.open_journal().await.expect("reads").expect("is open");
    assert_eq!(open.read.apply, A);
}

#[tokio::test]
async fn a_journal_that_lost_its_end_is_damage() {
    let store = MemoryStore::new();
    let it = ledger(&store);
    let (lease, mut journal) = written(&store).await;
    let snapshot = snapshot(None, A, 1);
    journal.append(&[done(2), closed(Some(&snapshot))]).await.expect("appends");
    it.advance(&lease, None, &snapshot).await.expect("moves");
    store.lose(&key(4));
    let error = it.open_journal().await.expect_err("head says that it was closed");
    assert!(error.to_string().contains("the last group"), "{error}");
}

#[tokio::test]
async fn finding_what_is_open_does_not_read_what_is_closed() {
    let store = MemoryStore::new();
    let it = ledger(&store);
    let (lease, mut journal) = written(&store).await;
    for step in 3..300 {
        journal.append(&[begin(step, 1)]).await.expect("appends");
        journal.append(&[done(step)]).await.expect("appends");
    }
    let snapshot = snapshot(None, A, 1);
    journal.append(&[closed(Some(&snapshot))]).await.expect("appends");
    it.advance(&lease, None, &snapshot).await.expect("moves");
    let before = store.counts();
    assert!(it.open_journal().await.expect("reads").is_none());
    let reads = store.counts().reads - before.reads;
    assert!(reads <= 6, "{reads} reads");
}

#[tokio::test(start_paused = true)]
async fn a_takeover_after_the_last_record_leaves_it_closed() {
    let store = MemoryStore::new();
    let it = patient(&store, Patience::UpTo(60_000));
    let clock = Paused::new();
    let ours = it.acquire(&clock, elsewhere("late@there"), A).await.expect("is free");
    let mut journal = Journal::create(&it, &ours, A).await.expect("is new");
    let snapshot = snapshot(None, A, 1);
    journal.append(&[opened(A), closed(Some(&snapshot))]).await.expect("appends");
    let next = it.acquire(&clock, alive("new@here"), "bbbb").await.expect("takes over");
    let open = it.open_journal().await.expect("reads").expect("head has not moved");
    assert!(open.read.replay.closed.is_some());
    it.advance(&next, None, &snapshot).await.expect("moves");
    assert!(it.open_journal().await.expect("reads").is_none());
}
