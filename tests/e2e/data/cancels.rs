//! Ctrl-C and TERM, again and again, in a long backup and in a migration without an end: hive leaves,
//! nothing half done counts, and the next run works.

use super::kills::{journals, written};
use super::shop::Shop;
use crate::lab::{Ran, ended, kill, pause};

/// Interrupts a command, once a group of records is there, until it leaves.
fn interrupted(shop: &Shop, arguments: &[&str], signal: &str, behind: usize) -> Ran {
    let known = journals(&shop.lab);
    let mut child = shop.lab.spawn(arguments);
    let pid = child.id();
    let mut is_over = || child.try_wait().expect("can be asked").is_some();
    while !is_over() && written(&shop.lab, &known) < behind {
        pause(1);
    }
    while !is_over() {
        kill(pid, signal);
        // Two signals at once are one: each must have been heard.
        pause(200);
    }
    ended(child)
}

pub fn a_backup_that_is_interrupted_is_none_or_whole(shop: Shop) {
    let shop = shop.with_orders();
    shop.sql(
        "CREATE TABLE noise (n blob);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8000)
         INSERT INTO noise SELECT randomblob(4096) FROM n",
    );
    shop.expect(0, &["apply", "-y"]);
    for signal in ["INT", "TERM"] {
        let before = shop.backups().len();
        let ran = interrupted(&shop, &["backup", "run", "-y", "--no-verify"], signal, 2);
        assert!([0, 130].contains(&ran.code), "{ran}");
        // What is listed is whole, and there is one at most, which the next one completes.
        assert!(shop.backups().len() <= before + 1, "{ran}");
        shop.expect(0, &["backup", "list"]);
        shop.expect(0, &["recover"]);
        assert_eq!(shop.backups().len(), before + 1, "{ran}");
        shop.expect(0, &["recover"]).says("nothing is open");
        assert_eq!(shop.leftovers(), Vec::<String>::new(), "{ran}");
    }
    shop.expect(0, &["backup", "run", "-y"]);
    shop.expect(0, &["backup", "verify", "-y"]);
    shop.expect(0, &["plan", "--exit-code"]);
}

pub fn a_migration_that_is_interrupted_leaves_nothing(shop: Shop) {
    let shop = shop.with_orders();
    let before = shop.data();
    for signal in ["INT", "TERM"] {
        let endless = "CREATE TABLE noise (n integer);\n\
             INSERT INTO noise WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)\n\
             SELECT i FROM n WHERE i < 0;\n";
        shop.migration("0002_noise", endless, "DROP TABLE noise;\n");
        // Opened; the backup in front begun; it is done, and the file begun.
        let ran = interrupted(&shop, &["apply", "-y", "--no-rehearse"], signal, 3);
        assert_eq!(ran.code, 130, "{ran}");
        assert_eq!(shop.running(), ["1"], "{ran}");
        shop.expect(0, &["recover", "--back"]);
        assert_eq!(shop.data(), before, "{ran}");
        assert_eq!(shop.leftovers(), Vec::<String>::new(), "{ran}");
        shop.expect(0, &["recover"]).says("nothing is open");
    }
    shop.migration("0002_noise", "CREATE TABLE noise (n integer);\n", "DROP TABLE noise;\n");
    shop.expect(0, &["apply", "-y"]);
    assert_eq!(shop.ask("SELECT count(*) FROM noise"), "0");
    shop.expect(0, &["plan", "--exit-code"]);
}
