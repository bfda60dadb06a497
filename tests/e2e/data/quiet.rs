//! A migration with `during = "stopped"`: nobody who uses the database runs while it does.

use super::kills::journals;
use super::shop::Shop;
use crate::lab::{ended, kill, until};

/// A stage whose migrations run in the quiet, however long they wait for a lock.
fn quiet(shop: &Shop, stage: usize, version: usize, broken: bool) {
    shop.stage_with(stage, broken, "");
    let toml = shop
        .toml(version, broken, "")
        .replace("lock_timeout = \"200ms\"", "during = \"stopped\"\nlock_timeout = \"60s\"");
    shop.lab.stack(&toml);
}

/// The pids that live, and what version each says it runs.
fn lives(shop: &Shop) -> Vec<(u32, String)> {
    shop.lab.processes().into_iter().map(|it| (it.pid, it.version)).collect()
}

/// `hold` takes what the migration needs, in a session of its own, and returns what lets go of it.
pub fn nobody_runs_while_it_does<H>(shop: Shop, hold: impl Fn(&Shop) -> H) {
    let shop = shop.with_orders();
    let before = lives(&shop);
    // The service itself is as it was: it is stopped, and started as it is.
    quiet(&shop, 2, 1, false);
    shop.expect(2, &["plan", "--exit-code"]).says("stop").says("0002_add_status").says("start");
    let held = hold(&shop);
    let apply = shop.lab.spawn(&["apply", "-y", "--no-rehearse"]);
    until("the service is stopped", || lives(&shop).is_empty());
    // The migration waits for the lock, and the service for the migration.
    for _ in 0..20 {
        assert_eq!(lives(&shop), [], "it runs beside the migration");
        assert_eq!(shop.ask("SELECT count(*) FROM changes"), "0");
        crate::lab::pause(20);
    }
    drop(held);
    let ran = ended(apply);
    assert_eq!(ran.code, 0, "{ran}");
    assert_eq!(shop.ask("SELECT count(*) FROM changes"), "1");
    let after = lives(&shop);
    assert_eq!(shop.running(), ["1"], "{ran}");
    assert_ne!(after, before, "it is the same process: it was never stopped");
    assert_eq!(shop.lab.starts(), 2, "{}", shop.lab.read("starts.log"));
    shop.is_settled(1, &shop.data());
    // What is not pending stops nobody.
    shop.expect(0, &["apply", "-y"]);
    assert_eq!(lives(&shop), after);
}

pub fn one_that_changes_too_is_started_in_its_new_form(shop: Shop) {
    let shop = shop.with_orders();
    quiet(&shop, 2, 2, false);
    shop.expect(0, &["apply", "-y"]);
    assert_eq!(shop.ask("SELECT count(*) FROM changes"), "1");
    assert_eq!(shop.lab.starts(), 2, "the old form is not started in between");
    shop.is_settled(2, &shop.data());
}

/// It fails in the middle: the service runs again, on the data that it had.
pub fn one_that_fails_leaves_the_service_on_the_data_of_before(shop: Shop) {
    let shop = shop.with_orders();
    let (data, before) = (shop.data(), lives(&shop));
    quiet(&shop, 1, 1, false);
    let down = "DROP TABLE half;\n";
    shop.migration(
        "0002_breaks",
        "CREATE TABLE half (n integer);\nINSERT INTO orders (id, item) VALUES (999, 'half');\n\
         INSERT INTO nowhere VALUES (1);\n",
        down,
    );
    let ran = shop.expect(5, &["apply", "-y", "--no-rehearse"]);
    ran.says("0002_breaks").says("nowhere");
    assert_eq!(shop.data(), data, "{ran}");
    assert_eq!(shop.running(), ["1"], "{ran}");
    assert_ne!(lives(&shop), before, "it was stopped for it");
    shop.lab.check_starts();
    // Mended, it goes through.
    shop.migration("0002_breaks", "CREATE TABLE half (n integer);\n", down);
    shop.expect(0, &["apply", "-y"]);
    shop.is_settled(1, &shop.data());
    assert!(shop.schema().contains("half"));
}

/// The new form is never healthy: the old one runs again, on rows that nobody lost.
pub fn a_release_that_fails_behind_it_is_taken_back(shop: Shop) {
    let shop = shop.with_orders();
    quiet(&shop, 2, 2, true);
    let ran = shop.expect(5, &["apply", "-y"]);
    assert_eq!(shop.running(), ["1"], "{ran}");
    assert_eq!(shop.ask("SELECT count(*) FROM orders"), "20");
    quiet(&shop, 2, 2, false);
    shop.expect(0, &["apply", "-y"]);
    assert_eq!(shop.ask("SELECT count(*) FROM changes"), "1");
    shop.is_settled(2, &shop.data());
}

/// Killed in the quiet, with nobody running: the next one ends it, and the service runs again.
pub fn killed_in_the_quiet_it_is_ended_by_the_next<H>(shop: Shop, hold: impl Fn(&Shop) -> H) {
    let shop = shop.with_orders();
    quiet(&shop, 2, 1, false);
    let held = hold(&shop);
    let known = journals(&shop.lab);
    let apply = shop.lab.spawn(&["apply", "-y", "--no-rehearse"]);
    until("the service is stopped", || lives(&shop).is_empty());
    kill(apply.id(), "KILL");
    let ran = ended(apply);
    assert_eq!(ran.code, 128 + 9, "{ran}");
    drop(held);
    assert_ne!(journals(&shop.lab), known, "nothing was begun");
    shop.expect(0, &["recover"]);
    assert_eq!(shop.ask("SELECT count(*) FROM changes"), "1");
    shop.is_settled(1, &shop.data());
}

/// An expand behind a contract has no order that keeps the running version alive.
pub fn an_expand_behind_a_contract_is_refused_or_runs_in_the_quiet(shop: Shop) {
    let shop = shop.with_orders();
    let before = shop.data();
    let added = "0004_add_note";
    let add = || {
        shop.migration(
            added,
            "ALTER TABLE orders ADD COLUMN note text;\n",
            "ALTER TABLE orders DROP COLUMN note;\n",
        );
    };
    shop.stage(3);
    add();
    for arguments in [&["plan"][..], &["apply", "-y"]] {
        let ran = shop.hive(arguments);
        assert!([1, 3].contains(&ran.code), "{ran}");
        ran.says(added).says("0003_drop_item").says("stopped");
    }
    assert_eq!((shop.data(), shop.running()), (before, vec!["1".to_owned()]));
    quiet(&shop, 3, 3, false);
    add();
    shop.expect(0, &["apply", "-y"]);
    assert!(shop.schema().contains("note") && !shop.schema().contains("item"));
    assert_eq!(shop.lab.starts(), 2);
    shop.is_settled(3, &shop.data());
}
