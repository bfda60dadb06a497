//! Every pair of kinds of failure in the way back: it ends in old or new, and never between.

use super::damage;
use super::kills::{data_or_again, every, journals, written};
use super::shop::Shop;
use crate::lab::{Ran, ended, kill, pause};
use crate::seed::Seed;
use std::fs;
use std::time::{Duration, Instant};

/// What goes wrong while data is brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// hive is killed.
    Killed,
    /// A person interrupts it.
    Interrupted,
    /// The server is killed.
    ServerKilled,
    /// The backup is damaged.
    Damaged,
    /// The place of the backups cannot be reached.
    Unreachable,
    /// Somebody holds the database.
    Held,
}

impl Failure {
    /// The kinds that an engine knows.
    pub fn all(server: bool) -> Vec<Self> {
        let mut all =
            vec![Self::Killed, Self::Interrupted, Self::Damaged, Self::Unreachable, Self::Held];
        if server {
            all.push(Self::ServerKilled);
        }
        all
    }
}

/// Tries pairs of failures, one after another in the same way back, and then lets it end.
/// `hold` takes the database for a while in a session of its own and returns what lets go of it.
pub fn each_pair<H>(shop: Shop, server: bool, of: usize, hold: impl Fn(&Shop) -> H) {
    let mut seed = Seed::from_environment("pairs");
    let shop = shop.with_orders();
    let old = shop.data();
    shop.stage(2);
    shop.expect(0, &["apply", "-y"]);
    shop.order(100, 120);
    let mut pairs: Vec<(Failure, Failure)> = Vec::new();
    for first in Failure::all(server) {
        pairs.extend(Failure::all(server).into_iter().map(|second| (first, second)));
    }
    let count = pairs.len();
    while !every() && pairs.len() > of {
        let at = usize::try_from(seed.below(pairs.len() as u64)).unwrap_or_default();
        pairs.remove(at);
    }
    println!("pairs: {} of {count}", pairs.len());
    let (mut olds, mut news) = (0, 0);
    for (first, second) in pairs {
        let now = shop.data();
        let what = format!("{first:?} then {second:?}");
        let restore = &["restore", "1", "--with-data", "-y"][..];
        let before = journals(&shop.lab);
        let one = fail(&shop, first, &mut seed, restore, &hold);
        between(&shop, &[&old, &now], &format!("{what}: after the first\n{one}"));
        // What was cut off is gone on with; what ended is tried again.
        let _ = shop.hive(&["unfreeze"]);
        let open = one.code == 137 || one.all().contains("`hive recover` goes on with it");
        let cut = open && journals(&shop.lab) != before;
        let again = if cut { &["recover"][..] } else { restore };
        let two = fail(&shop, second, &mut seed, again, &hold);
        between(&shop, &[&old, &now], &format!("{what}: after the second\n{one}\n{two}"));
        let last = shop.hive(&["recover"]);
        assert!([0, 5].contains(&last.code), "{what}\n{one}\n{two}\n{last}");
        let end = data_or_again(&shop, &format!("{what}\n{one}\n{two}\n{last}"));
        assert!(
            end == old || end == now,
            "{what}: neither old nor new\n{one}\n{two}\n{last}\n{end}"
        );
        // What was interrupted, or halted, leaves what it had made beside.
        let closed = [&one, &two, &last].iter().any(|it| it.code == 130 || it.says_halted());
        if !closed {
            assert_eq!(shop.leftovers(), Vec::<String>::new(), "{what}\n{one}\n{two}\n{last}");
        }
        let ended = if end == old { "then" } else { "now" };
        println!("{what}: exits {}, {}, {}: the data of {ended}", one.code, two.code, last.code);
        if end == old {
            olds += 1;
        } else {
            news += 1;
        }
        let _ = shop.hive(&["unfreeze"]);
        shop.expect(0, &["apply", "-y"]);
        shop.expect(0, &["plan", "--exit-code"]);
        shop.sql("DELETE FROM orders WHERE id >= 100");
        shop.sql("INSERT INTO orders (id, item) SELECT id + 100, item FROM orders");
    }
    println!("pairs: {olds} ended in the data of then, {news} in the data of now");
    assert!(olds > 0, "no way back ever came through");
}

/// In between, the data may be out of reach (its database is closed), and is never a mixture.
fn between(shop: &Shop, among: &[&String], what: &str) {
    let Some(data) = shop.data_where_it_can_be_asked() else { return };
    assert!(among.contains(&&data), "{what}\na mixture:\n{data}");
}

/// Runs a command into one failure, and takes the failure away again.
fn fail<H>(
    shop: &Shop,
    failure: Failure,
    seed: &mut Seed,
    arguments: &[&str],
    hold: &impl Fn(&Shop) -> H,
) -> Ran {
    let backups = shop.lab.path("backups");
    let away = shop.lab.path("backups-away");
    let mut flipped = Vec::new();
    let mut held = None;
    match failure {
        Failure::Damaged => {
            for backup in shop.backups() {
                let object = damage::object(&backup);
                damage::flip(&object);
                flipped.push(object);
            }
        }
        Failure::Unreachable => {
            fs::rename(&backups, &away).expect("moves");
            // Not even a folder can be made there.
            fs::write(&backups, "in the way").expect("writes");
        }
        Failure::Held => held = Some(hold(shop)),
        _ => {}
    }
    let before = journals(&shop.lab);
    let mut child = shop.lab.spawn(arguments);
    if matches!(failure, Failure::Killed | Failure::Interrupted | Failure::ServerKilled) {
        let groups = usize::try_from(seed.below(12)).unwrap_or_default();
        let wait = seed.below(60);
        let end = Instant::now() + Duration::from_secs(30);
        let running = |child: &mut std::process::Child| matches!(child.try_wait(), Ok(None));
        while running(&mut child) && written(&shop.lab, &before) < groups && Instant::now() < end {
            pause(1);
        }
        pause(wait);
        if running(&mut child) {
            match failure {
                Failure::Killed => kill(child.id(), "KILL"),
                Failure::Interrupted => kill(child.id(), "INT"),
                _ => {
                    shop.kill_server();
                    let ran = ended(child);
                    shop.restart_server();
                    return ran;
                }
            }
        }
    }
    let ran = ended(child);
    drop(held);
    for object in flipped.iter().filter(|it| it.is_file()) {
        damage::flip(object);
    }
    if failure == Failure::Unreachable {
        fs::remove_file(&backups).expect("removes");
        fs::rename(&away, &backups).expect("moves back");
    }
    ran
}
