//! Two applies at once, and a holder that was stopped and wakes up late.

use super::scenario::shop;
use crate::lab::{Lab, Ran, ended, kill, until};
use std::collections::BTreeMap;
use std::fs;

#[test]
fn a_hundred_racing_applies_run_one_at_a_time() {
    let lab = Lab::new(&shop("a"));
    let children: Vec<_> = (0..100).map(|_| lab.spawn(&["apply", "-y"])).collect();
    let mut ends = BTreeMap::<i32, usize>::new();
    for child in children {
        let ran: Ran = ended(child);
        *ends.entry(ran.code).or_default() += 1;
        match ran.code {
            0 => {}
            4 => {
                ran.says("tester").says("pid");
            }
            _ => panic!("a racing apply ended with {ran}"),
        }
    }
    println!("racing applies by exit code: {ends:?}");
    assert!(ends.contains_key(&0), "nobody won: {ends:?}");
    assert!(ends.contains_key(&4), "nobody was turned away: {ends:?}");
    let world = lab.world();
    assert_eq!(world.keys().filter(|it| it.starts_with("process")).count(), 3, "{world:?}");
    assert_eq!(lab.starts(), 3, "each replica started once");
    lab.check_starts();
    lab.expect(0, &["plan", "--exit-code"]);
    lab.expect(0, &["history"]);
}

#[test]
fn a_stopped_holder_has_no_effect_after_the_takeover() {
    let slow = shop("a").replace("START_LOG", "SLOW_MS = \"300\", START_LOG")
        + "\n[state]\nlease = \"6s\"\n";
    let lab = Lab::new(&slow);
    let holder = lab.spawn(&["apply", "-y"]);
    // Stopped once its first Begin is durable: somewhere between it and the effect's end.
    until("a journal is there", || {
        let journals = fs::read_dir(lab.path(".hive/dev/journal")).into_iter().flatten().flatten();
        journals.filter_map(|it| fs::read_dir(it.path()).ok()).any(|it| it.count() > 1)
    });
    kill(holder.id(), "STOP");
    // The next waits until it has seen the lease unchanged for its whole duration.
    let taken = lab.hive(&["recover", "--wait"]);
    assert_eq!(taken.code, 0, "{taken}");
    let settled = lab.world();
    kill(holder.id(), "CONT");
    let late = ended(holder);
    assert_ne!(late.code, 0, "the late holder must not think that it succeeded\n{late}");
    assert_eq!(lab.world(), settled, "the late holder had an effect");
    let processes = settled.keys().filter(|it| it.starts_with("process")).count();
    assert_eq!(processes, 3, "{settled:?}");
    assert!(!settled.keys().any(|it| it.contains("#2")), "{settled:?}");
    lab.expect(0, &["plan", "--exit-code"]);
}
