//! The server dies while one of its own programs works for hive: in a dump, and in a restore.

use crate::data::damage;
use crate::data::kills::data_or_again;
use crate::data::shop::Shop;
use crate::lab::{Ran, ended, kill, pause, until};
use hive_parts::alive;
use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

/// hive's own child of this name that moves data, held still where it is; none where hive ended
/// before one was seen.
fn held_still(hive: &mut Child, program: &str) -> Option<u32> {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        for pid in children(hive.id()) {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<&str> = line.split('\0').collect();
            // The same programs are also asked for their version.
            if words[0].ends_with(program) && words.contains(&"--format=custom") {
                kill(pid, "STOP");
                let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                if state.rsplit_once(')').is_some_and(|it| it.1.trim_start().starts_with('T')) {
                    return Some(pid);
                }
            }
        }
        if matches!(hive.try_wait(), Ok(Some(_))) {
            return None;
        }
        assert!(Instant::now() < end, "`{program}` never runs, and hive never ends");
        pause(1);
    }
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks
        .flat_map(|task| {
            let list = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            list.split_whitespace().filter_map(|it| it.parse().ok()).collect::<Vec<u32>>()
        })
        .collect()
}

/// Runs a command and kills the server inside the program; it is back at once, or when hive has
/// ended.
#[track_caller]
fn killed_inside(shop: &Shop, arguments: &[&str], program: &str, back_at_once: bool) -> Ran {
    let mut hive = shop.lab.spawn(arguments);
    let Some(child) = held_still(&mut hive, program) else {
        panic!("`{program}` was never seen at work: {}", ended(hive));
    };
    shop.kill_server();
    if back_at_once {
        shop.restart_server();
    }
    kill(child, "CONT");
    let ran = ended(hive);
    if !back_at_once {
        shop.restart_server();
    }
    assert!(!alive(child), "`{program}` outlives hive\n{ran}");
    // It may go on by itself where the server is there again in time.
    let codes: &[i32] = if back_at_once { &[0, 1, 5] } else { &[1, 5] };
    assert!(codes.contains(&ran.code), "{program}, back at once: {back_at_once}\n{ran}");
    assert!(!ran.all().contains("panicked"), "{ran}");
    if ran.code != 0 {
        ran.says("server");
    }
    ran
}

/// A shop whose dump takes longer than a look at it.
fn large() -> Shop {
    let shop = Shop::own_postgres().with_orders();
    shop.sql(
        "INSERT INTO orders (id, item) SELECT n, repeat(md5(n::text), 8) \
         FROM generate_series(1000, 60000) n",
    );
    shop
}

#[test]
fn a_server_that_dies_inside_a_dump_leaves_no_backup_that_is_none() {
    let shop = large();
    shop.expect(0, &["backup", "run", "-y"]);
    let data = shop.data();
    for back_at_once in [true, false] {
        let good = shop.backups();
        let ran = killed_inside(&shop, &["backup", "run", "-y"], "pg_dump", back_at_once);
        let new = usize::from(ran.code == 0);
        assert_eq!(shop.backups().len(), good.len() + new, "what broke off is listed\n{ran}");
        shop.expect(0, &["backup", "verify", "-y"]);
        assert_eq!(shop.data(), data);
        let settled = shop.hive(&["recover"]);
        assert!([0, 5].contains(&settled.code), "{ran}\n{settled}");
        shop.expect(0, &["backup", "run", "-y"]);
        shop.expect(0, &["backup", "verify", "-y"]);
        shop.is_settled(1, &data);
    }
}

#[test]
fn a_server_that_dies_inside_a_proof_says_nothing_against_the_backup() {
    let shop = large();
    shop.expect(0, &["backup", "run", "-y"]);
    let (good, data) = (shop.backups(), shop.data());
    for back_at_once in [true, false] {
        let ran = killed_inside(&shop, &["backup", "verify", "-y"], "pg_restore", back_at_once);
        assert_eq!((shop.backups(), shop.data()), (good.clone(), data.clone()), "{ran}");
        let settled = shop.hive(&["recover"]);
        assert!([0, 5].contains(&settled.code), "{ran}\n{settled}");
        shop.expect(0, &["backup", "verify", "-y"]);
        assert_eq!(shop.leftovers(), Vec::<String>::new(), "a scratch database is left\n{ran}");
        shop.expect(0, &["backup", "list", "--check"]);
    }
    shop.is_settled(1, &data);
    // And one that is damaged is still told from a server that is gone.
    damage::flip(&damage::object(good.last().expect("a backup")));
    shop.expect(2, &["backup", "verify", "-y"]);
}

#[test]
fn a_server_that_dies_inside_a_migration_has_it_once_or_not_at_all() {
    let shop = Shop::own_postgres().with_orders();
    for (back_at_once, name) in [(true, "0002_slow"), (false, "0003_slow")] {
        let data = shop.data();
        let row = format!("INSERT INTO changes (what) VALUES ('{name}');\n");
        let up = format!("{row}SELECT pg_sleep(2);\n");
        shop.migration(name, &up, &format!("DELETE FROM changes WHERE what = '{name}';\n"));
        let apply = shop.lab.spawn(&["apply", "-y", "--no-rehearse"]);
        let inside = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(2)%' AND \
                      wait_event = 'PgSleep'";
        until("the migration is under way", || shop.ask(inside) == "1");
        shop.kill_server();
        if back_at_once {
            shop.restart_server();
        }
        let ran = ended(apply);
        if !back_at_once {
            shop.restart_server();
            assert_eq!(shop.data(), data, "half of it is there\n{ran}");
            assert_ne!(ran.code, 0, "{ran}");
        }
        assert!([0, 1, 5].contains(&ran.code), "{ran}");
        let settled = shop.hive(&["recover"]);
        assert!([0, 5].contains(&settled.code), "{ran}\n{settled}");
        shop.expect(0, &["apply", "-y", "--no-rehearse"]);
        let count = format!("SELECT count(*) FROM changes WHERE what = '{name}'");
        assert_eq!(shop.ask(&count), "1", "{ran}\n{settled}");
        shop.is_settled(1, &shop.data());
    }
}

/// Killed in the safety copy and in the restore itself, and again in the second try.
#[test]
fn a_server_that_dies_inside_a_restore_leaves_old_or_new() {
    let shop = large();
    let old = shop.data();
    shop.stage(2);
    shop.expect(0, &["apply", "-y"]);
    let restore = &["restore", "1", "--with-data", "-y"][..];
    for program in ["pg_dump", "pg_restore"] {
        for back_at_once in [true, false] {
            shop.order(100, 120);
            let now = shop.data();
            assert_ne!(now, old);
            let mut told = String::new();
            for _ in 0..2 {
                let ran = killed_inside(&shop, restore, program, back_at_once);
                told += &ran.all();
                if let Some(data) = shop.data_where_it_can_be_asked() {
                    assert!(data == now || data == old, "neither old nor new\n{ran}");
                }
                let settled = shop.hive(&["recover"]);
                assert!([0, 5].contains(&settled.code), "{ran}\n{settled}");
                told += &settled.all();
                let _ = shop.hive(&["unfreeze"]);
            }
            let data = data_or_again(&shop, &told);
            assert!(data == now || data == old, "neither old nor new\n{told}");
            println!(
                "{program}, back at once: {back_at_once}: the data of {}",
                if data == old { "then" } else { "now" }
            );
            // Undisturbed it comes through, and forward again.
            shop.expect(0, restore);
            assert_eq!(shop.data(), old, "{told}");
            shop.expect(0, &["unfreeze"]);
            shop.expect(0, &["apply", "-y"]);
            shop.is_settled(2, &shop.data());
        }
    }
}
