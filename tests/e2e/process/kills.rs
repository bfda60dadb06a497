//! Real SIGKILLs of the binary at random moments of apply, rollback and restore.

use super::scenario::shop;
use crate::lab::{Lab, Ran, ended, kill, pause};
use crate::seed::Seed;
use std::collections::BTreeMap;
use std::time::Instant;

/// How many kills; the issue of the test is at least a hundred.
const KILLS: usize = 102;

#[test]
fn p2_killed_at_random_moments_the_world_ends_as_undisturbed() {
    let mut seed = Seed::from_environment("kills");
    let lab = Lab::new(&shop("a"));
    let began = Instant::now();
    lab.expect(0, &["apply", "-y"]);
    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(2_000).clamp(300, 4_000);
    let a = lab.world();
    lab.stack(&shop("b"));
    lab.expect(0, &["apply", "-y"]);
    let b = lab.world();
    assert_ne!(a, b);

    let mut hit = BTreeMap::<&str, usize>::new();
    for number in 0..KILLS {
        let way = ["apply", "rollback", "restore"][number % 3];
        let (toml, wanted) = if number % 2 == 0 { (shop("a"), &a) } else { (shop("b"), &b) };
        lab.stack(&toml);
        let killed = match way {
            "apply" => disturb(&lab, &["apply", "-y"], seed.below(took)),
            // Back to what the last apply left behind, whatever it was.
            "rollback" => disturb(&lab, &["rollback", "-y"], seed.below(took)),
            _ => disturb(&lab, &["restore", "1", "-y"], seed.below(took)),
        };
        if killed {
            *hit.entry(way).or_default() += 1;
        }
        let settled = lab.hive(&["recover"]);
        assert_eq!(settled.code, 0, "kill {number} of {way}\n{settled}");
        if way == "restore" && journalled(&lab) {
            assert_eq!(lab.world(), a, "kill {number} of a restore");
        }
        lab.hive(&["unfreeze"]);
        lab.expect(0, &["apply", "-y"]);
        assert_eq!(&lab.world(), wanted, "kill {number} of {way}");
        lab.check_starts();
        lab.expect(0, &["plan", "--exit-code"]);
    }
    println!("{KILLS} disturbed runs, killed before their end: {hit:?}");
    assert!(hit.values().sum::<usize>() >= KILLS / 2, "too few were killed in time: {hit:?}");
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
