//! Real SIGKILLs of the binary at random moments of apply, rollback and restore.

use super::scenario::shop;
use crate::lab::{Lab, Ran, ended, kill, pause};
use crate::seed::Seed;
use std::collections::BTreeMap;
use std::time::Instant;

/// How many labs are disturbed at once, and how many kills each takes before its commands end.
const LABS: u64 = 6;
const KILLS_EACH: usize = 17;

type Hits = BTreeMap<&'static str, usize>;

#[test]
fn p2_killed_at_random_moments_the_world_ends_as_undisturbed() {
    let mut seed = Seed::from_environment("kills");
    let seeds: Vec<u64> = (0..LABS).map(|_| seed.next()).collect();
    let hits: Vec<(usize, Hits)> = std::thread::scope(|scope| {
        let labs: Vec<_> = seeds.into_iter().map(|it| scope.spawn(move || disturbed(it))).collect();
        labs.into_iter().map(|it| it.join().expect("a lab ends well")).collect()
    });
    let mut all = Hits::new();
    for (way, count) in hits.iter().flat_map(|(_, hits)| hits) {
        *all.entry(way).or_default() += count;
    }
    let runs: usize = hits.iter().map(|(runs, _)| runs).sum();
    println!("{runs} disturbed runs, SIGKILLs before their end: {all:?}");
    assert!(all.values().sum::<usize>() >= 100, "{all:?}");
}

/// One lab, disturbed until it was killed often enough.
fn disturbed(seed: u64) -> (usize, Hits) {
    let mut seed = Seed::new(seed);
    let lab = Lab::new(&shop("a"));
    lab.expect(0, &["apply", "-y"]);
    let a = lab.world();
    lab.stack(&shop("b"));
    let began = Instant::now();
    lab.expect(0, &["apply", "-y"]);
    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(2_000).clamp(300, 4_000);
    let b = lab.world();
    assert_ne!(a, b);

    let mut hits = Hits::new();
    let mut runs = 0;
    while hits.values().sum::<usize>() < KILLS_EACH {
        assert!(runs < KILLS_EACH * 4, "too few were killed in time: {hits:?}");
        let way = ["apply", "rollback", "restore"][runs % 3];
        let (toml, wanted) = if runs.is_multiple_of(2) { (shop("a"), &a) } else { (shop("b"), &b) };
        lab.stack(&toml);
        let arguments: &[&str] = match way {
            "apply" => &["apply", "-y"],
            "rollback" => &["rollback", "-y"],
            _ => &["restore", "1", "-y"],
        };
        if disturb(&lab, arguments, seed.below(took)) {
            *hits.entry(way).or_default() += 1;
        }
        runs += 1;
        // An apply is settled by the next one by itself; a way back by `recover`.
        if way != "apply" {
            let settled = lab.hive(&["recover"]);
            assert_eq!(settled.code, 0, "run {runs}, {way}\n{settled}");
            if way == "restore" && journalled(&lab) {
                assert_eq!(lab.world(), a, "run {runs}: a restore");
            }
            lab.hive(&["unfreeze"]);
        }
        lab.expect(0, &["apply", "-y"]);
        assert_eq!(&lab.world(), wanted, "run {runs}, {way}");
        lab.check_starts();
        lab.expect(0, &["plan", "--exit-code"]);
    }
    (runs, hits)
}

/// Whether the last restore got as far as its journal: then its end must be the snapshot.
fn journalled(lab: &Lab) -> bool {
    let history = lab.hive(&["history", "--format", "json"]);
    let newest = history
        .out
        .find("\"command\"")
        .map(|at| history.out[at..].chars().take(40).collect::<String>());
    newest.is_some_and(|it| it.contains("restore 1"))
}

/// Runs a command and kills it after so many milliseconds; whether it was still running.
fn disturb(lab: &Lab, arguments: &[&str], after_ms: u64) -> bool {
    let mut child = lab.spawn(arguments);
    let end = Instant::now() + std::time::Duration::from_millis(after_ms);
    while Instant::now() < end {
        if let Ok(Some(_)) = child.try_wait() {
            let ran: Ran = ended(child);
            assert!([0, 3].contains(&ran.code), "{arguments:?}\n{ran}");
            return false;
        }
        pause(1);
    }
    kill(child.id(), "KILL");
    let ran = ended(child);
    ran.code == 137
}
