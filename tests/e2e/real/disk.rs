//! The disk of a PostgreSQL is full: in a migration, and in a restore.

use crate::data::disk::Tmpfs;
use crate::data::kills::data_or_again;
use crate::data::shop::Shop;
use crate::lab::Ran;
use hive_parts::Postgres;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};

/// A server whose databases lie on a small disk of their own, and its log elsewhere.
fn on_a_small_disk() -> (Shop, Tmpfs) {
    let server = Postgres::start();
    let at = server.folder().join("small");
    let disk = Tmpfs::of(at.clone(), 200_000);
    let owner = fs::metadata(server.data()).expect("is there");
    chown(&at, Some(owner.uid()), Some(owner.gid())).expect("gives");
    server.psql("postgres", &format!("CREATE TABLESPACE small LOCATION '{}'", at.display()));
    // Every new database is where the one is that it is made of.
    for template in ["template0", "template1"] {
        server.psql("postgres", &format!("ALTER DATABASE {template} SET TABLESPACE small"));
    }
    (Shop::in_postgres(server), disk)
}

/// In the words of hive, or in those of PostgreSQL's programs.
#[track_caller]
fn says_full(ran: &Ran) {
    let words = ["the server's disk is full", "No space left", "could not extend file"];
    assert!(words.iter().any(|it| ran.all().contains(it)), "{ran}");
}

#[test]
fn a_full_disk_of_the_server_leaves_old_or_new() {
    let (shop, disk) = on_a_small_disk();
    let shop = shop.with_orders();
    let old = shop.data();
    shop.migration(
        "0002_noise",
        "CREATE TABLE noise (n text);\n\
         ALTER TABLE noise ALTER COLUMN n SET STORAGE EXTERNAL;\n\
         INSERT INTO noise SELECT repeat(md5(n::text), 100) || n FROM generate_series(1, 6000) n;\n",
        "DROP TABLE noise;\n",
    );
    disk.resize(disk.used() + 400);
    let ran = shop.hive(&["apply", "-y", "--no-rehearse"]);
    assert!([1, 5].contains(&ran.code), "{ran}");
    ran.says("0002_noise").says("the server's disk is full");
    assert_eq!((shop.data(), shop.running()), (old.clone(), vec!["1".to_owned()]), "{ran}");
    disk.resize(200_000);
    shop.expect(0, &["apply", "-y", "--no-rehearse"]);
    let now = shop.data();
    assert_ne!(now, old);

    // A backup for whose proof there is no space is none that is damaged.
    shop.expect(0, &["backup", "run", "-y"]);
    for free in [100, 9_000, 9_004, 12_000] {
        disk.resize(disk.used() + free);
        let ran = shop.expect(1, &["backup", "verify", "-y"]);
        says_full(&ran);
        disk.resize(200_000);
        shop.expect(0, &["backup", "list", "--check"]);
    }
    shop.expect(0, &["backup", "verify", "-y"]);
    assert_eq!((shop.data(), shop.leftovers()), (now.clone(), Vec::new()));

    // What is restored is made beside: there is no space for it, and what lives lives on.
    for free in [100, 9_000] {
        disk.resize(disk.used() + free);
        let ran = shop.hive(&["backup", "restore", "backup.main", "-y"]);
        assert!([1, 5].contains(&ran.code), "with {free} kB free\n{ran}");
        says_full(&ran);
        disk.resize(200_000);
        let settled = shop.hive(&["recover"]);
        assert!([0, 5].contains(&settled.code), "{ran}\n{settled}");
        let _ = shop.hive(&["unfreeze"]);
        let data = data_or_again(&shop, &format!("{ran}\n{settled}"));
        assert_eq!(data, now, "with {free} kB free\n{ran}\n{settled}");
        assert_eq!(shop.running(), ["1"], "{ran}\n{settled}");
        assert_eq!(shop.leftovers(), Vec::<String>::new(), "{ran}\n{settled}");
    }
    shop.expect(0, &["restore", "1", "--with-data", "-y"]);
    assert_eq!(shop.data(), old);
}
