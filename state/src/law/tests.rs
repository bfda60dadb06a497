use super::*;
use crate::samples::{begin, closed, done, entry, opened};
use crate::{Entry, samples};
use hive_contract::mark::Way;
use hive_contract::{Event, FailureKind, Token};

fn failed(step: u32, remains: Remains) -> Record {
    let failure = Failure::new(FailureKind::Unhealthy, "it is unwell").remains(remains);
    Record::Failed { step, failure }
}

fn undo_begin(step: u32, attempt: u32) -> Record {
    let token = Token::new(&samples::plan(), "a", step, Way::Back, attempt);
    Record::UndoBegin(Begun { step, attempt, token, expected: None, secrets: SecretPrints::new() })
}

fn undo_failed(step: u32) -> Record {
    Record::UndoFailed { step, failure: Failure::new(FailureKind::Taken, "no") }
}

fn undo_done(step: u32) -> Record {
    Record::UndoDone { step, outcome: Outcome::nothing(), secrets: SecretPrints::new() }
}

fn back() -> Record {
    Record::Back { why: "step 1 failed".to_owned() }
}

/// One record of every sort about one step.
fn every(step: u32, attempt: u32) -> Vec<Record> {
    let why = || "it was not started".to_owned();
    vec![
        opened("a").record,
        begin(step, attempt).record,
        done(step).record,
        failed(step, Remains::Nothing),
        failed(step, Remains::Unsure),
        failed(step, Remains::Left(Box::new(Outcome::nothing()))),
        Record::Void { step, why: why() },
        Record::Unsealed { step, why: why() },
        Record::Settled { step, outcome: Outcome::nothing() },
        back(),
        undo_begin(step, attempt),
        undo_done(step),
        undo_failed(step),
        Record::UndoVoid { step, why: why() },
        Record::Event { step: Some(step), event: Event::info("half of it is done") },
        Record::Sealed { epoch: 2, by: "you@there".to_owned() },
        closed(None).record,
    ]
}

fn after(records: &[Record]) -> Replay {
    let mut replay = Replay::default();
    for record in records {
        replay.record(record, 1).unwrap_or_else(|illegal| panic!("{illegal}"));
    }
    replay
}

/// The words of what may follow, out of one record of every sort.
fn may_follow(records: &[Record], attempt: u32) -> Vec<&'static str> {
    let replay = after(records);
    let legal = |record: &Record| replay.clone().record(record, 2).is_ok();
    let mut words: Vec<_> =
        every(1, attempt).iter().filter(|it| legal(it)).map(Record::word).collect();
    words.dedup();
    words
}

/// What may always follow once a journal is open and not closed.
const ALWAYS: [&str; 4] = ["back", "event", "sealed", "closed"];

fn check(records: &[Record], attempt: u32, more: &[&str]) {
    let found = may_follow(records, attempt);
    let mut wanted: Vec<&str> = ALWAYS.iter().chain(more).copied().collect();
    wanted.sort_unstable();
    let mut sorted = found.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, wanted, "after {:?}", records.iter().map(Record::word).collect::<Vec<_>>());
}

#[test]
fn nothing_comes_before_the_first_record_and_little_after_the_last() {
    assert_eq!(may_follow(&[], 1), ["opened", "sealed"]);
    let ended = [opened("a").record, closed(None).record];
    assert_eq!(may_follow(&ended, 1), ["event", "sealed"]);
}

#[test]
fn the_way_there() {
    let o = opened("a").record;
    let b = begin(1, 1).record;
    let ends = ["done", "failed", "void", "unsealed"];
    check(std::slice::from_ref(&o), 1, &["begin"]);
    check(std::slice::from_ref(&o), 2, &[]);
    check(&[o.clone(), b.clone()], 1, &ends);
    check(&[o.clone(), b.clone(), done(1).record], 1, &[]);
    check(&[o.clone(), b.clone(), failed(1, Remains::Nothing)], 1, &[]);
    check(&[o.clone(), b.clone(), failed(1, Remains::Unsure)], 1, &["settled"]);
    let void = every(1, 1).remove(6);
    check(&[o.clone(), b.clone(), void.clone()], 2, &["begin"]);
    check(&[o.clone(), b.clone(), void.clone()], 1, &[]);
    check(&[o, b, void, begin(1, 2).record], 2, &ends);
}

#[test]
fn the_way_back() {
    let start = [opened("a").record, begin(1, 1).record];
    let with = |more: &[Record]| [&start[..], more].concat();
    let ends = ["undo-done", "undo-failed", "undo-void", "unsealed"];
    check(&with(&[done(1).record, back()]), 1, &["undo-begin"]);
    check(&with(&[failed(1, Remains::Nothing), back()]), 1, &["undo-begin"]);
    check(&with(&[failed(1, Remains::Unsure), back()]), 1, &["settled"]);
    check(&with(&[done(1).record, back(), undo_begin(1, 1)]), 1, &ends);
    check(&with(&[done(1).record, back(), undo_begin(1, 1), undo_done(1)]), 2, &[]);
    let failed_once = with(&[done(1).record, back(), undo_begin(1, 1), undo_failed(1)]);
    check(&failed_once, 2, &["undo-begin"]);
    check(&failed_once, 1, &[]);
    // Nothing new begins, and a check of the way back needs no way there.
    check(&[opened("a").record, back()], 1, &["undo-begin"]);
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut replay = after(&[opened("a").record, begin(1, 1).record]);
    let before = replay.clone();
    let illegal = replay.record(&begin(1, 1).record, 9).expect_err("twice");
    assert_eq!(illegal.to_string(), "begin of step 1 may not follow begin");
    assert_eq!(replay, before);
}

#[test]
fn a_step_remembers_what_it_left() {
    let start = [opened("a").record, begin(1, 1).record];
    let left = |record: Record| after(&[&start[..], &[record]].concat()).steps[&1].clone();
    assert!(left(done(1).record).left.is_some());
    assert_eq!(left(failed(1, Remains::Nothing)).left, None);
    assert!(left(failed(1, Remains::Unsure)).unsure);
    let unsealed = left(every(1, 1).remove(7));
    assert_eq!(unsealed.unsealed.len(), 1);
    assert_eq!(unsealed.unsealed[0].0, Way::There);
}

/// A number generator that gives the same numbers for the same seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % most as u64).expect("small")
    }
}

/// Any sequence that recording takes is taken by replay as well and comes to the same, also
/// from its JSON, and what recording refuses, replay refuses.
#[test]
fn replay_comes_to_what_recording_came_to() {
    let (mut taken, mut refused, mut deepest) = (0, 0, 0);
    for seed in 1..=3000 {
        let mut numbers = Numbers(seed);
        let mut recorded = Replay::default();
        let mut entries: Vec<Entry> = vec![opened("a")];
        recorded.record(&entries[0].record, 1).expect("the first");
        for _ in 0..40 {
            let step = 1 + u32::try_from(numbers.below(3)).expect("small");
            let attempt = 1 + u32::try_from(numbers.below(2)).expect("small");
            let mut choices = every(step, attempt);
            // Nearly never the last, or nothing would be seen of what is before it.
            let last = choices.len() - usize::from(numbers.below(20) != 0);
            let record = choices.swap_remove(numbers.below(last));
            let before = recorded.clone();
            match recorded.record(&record, 7) {
                Ok(()) => {
                    taken += 1;
                    entries.push(Entry { at_ms: 7, record });
                }
                Err(_) => {
                    refused += 1;
                    assert_eq!(recorded, before, "seed {seed}");
                }
            }
        }
        entries[0].at_ms = 1;
        deepest = entries.len().max(deepest);
        let json = serde_json::to_string(&entries).expect("writes");
        let read: Vec<Entry> = serde_json::from_str(&json).expect("reads");
        assert_eq!(read, entries, "seed {seed}");
        let mut replayed = Replay::default();
        for entry in &read {
            replayed.record(&entry.record, entry.at_ms).expect("was legal");
        }
        assert_eq!(replayed, recorded, "seed {seed}");
    }
    assert!(taken > 20_000 && refused > 20_000 && deepest > 18, "{taken} {refused} {deepest}");
    let sealed = entry(Record::Sealed { epoch: 3, by: String::new() });
    assert_eq!(sealed.record.word(), "sealed");
}
