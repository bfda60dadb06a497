//! Databases and disks that do not let hive do what it should.

use crate::data::disk::Tmpfs;
use crate::data::kills::journals;
use crate::data::shop::Shop;
use crate::lab::Lab;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

#[test]
fn a_database_that_another_session_holds() {
    let shop = Shop::sqlite().with_orders();
    shop.stage(2);
    let file = shop.open();
    file.execute_batch("BEGIN IMMEDIATE").expect("it is free");
    let ran = shop.hive(&["apply", "-y", "--no-rehearse"]);
    assert!([1, 5].contains(&ran.code), "{ran}");
    ran.says("lock");
    file.execute_batch("ROLLBACK").expect("lets go");
    assert_eq!(shop.ask("SELECT count(*) FROM changes"), "0");
    assert_eq!(shop.running(), ["1"]);
    shop.expect(0, &["apply", "-y"]);
    assert_eq!(shop.ask("SELECT count(*) FROM changes"), "1");
}

#[test]
fn a_database_that_is_read_while_it_is_restored() {
    let shop = Shop::sqlite().with_orders();
    let old = shop.data();
    shop.stage(2);
    shop.expect(0, &["apply", "-y"]);
    let new = shop.data();
    // A reader with an open transaction sees what it saw until it ends it.
    let file = shop.open();
    file.execute_batch("BEGIN").expect("begins");
    let count = || file.query_row("SELECT count(*) FROM changes", [], |row| row.get::<_, i64>(0));
    assert_eq!(count().expect("reads"), 1);
    let ran = shop.hive(&["restore", "1", "--with-data", "-y"]);
    assert_eq!(count().expect("reads on"), 1);
    file.execute_batch("COMMIT").expect("ends");
    if ran.code != 0 {
        // A reader may be in the way: then it says so, nothing is lost, and it is done again.
        ran.says("lock");
        assert_eq!(shop.data(), new, "{ran}");
        let _ = shop.hive(&["unfreeze"]);
        shop.expect(0, &["restore", "1", "--with-data", "-y"]);
    }
    assert_eq!(shop.data(), old);
}

#[test]
fn a_file_that_is_no_database() {
    let shop = Shop::sqlite();
    shop.stage(1);
    shop.lab.write("data/shop.db", &"this is no database".repeat(100));
    let ran = shop.hive(&["apply", "-y"]);
    assert!([1, 5].contains(&ran.code), "{ran}");
    ran.says("data/shop.db");
    assert!(shop.lab.read("data/shop.db").starts_with("this is no database"));
}

#[test]
fn a_database_that_is_absent_and_not_to_be_made() {
    let shop = Shop::sqlite();
    shop.stage(1);
    shop.lab.stack(&shop.toml(1, false, "").replace("create = true", "create = false"));
    let ran = shop.hive(&["apply", "-y"]);
    assert!([1, 3].contains(&ran.code), "{ran}");
    ran.says("database.main").says("there is no database").says("create = true");
    assert!(!shop.file().exists());
}

#[test]
fn a_folder_of_backups_that_may_not_be_written() {
    let shop = Shop::sqlite().with_orders();
    shop.stage(2);
    let before = journals(&shop.lab);
    let data = shop.data();
    fs::rename(shop.lab.path("backups"), shop.lab.path("away")).expect("moves");
    fs::write(shop.lab.path("backups"), "a file").expect("writes");
    let ran = shop.hive(&["apply", "-y"]);
    assert!([1, 3, 5].contains(&ran.code), "{ran}");
    ran.says("backups");
    assert_eq!(shop.data(), data, "what is not backed up is not migrated");
    assert_eq!(shop.running(), ["1"]);
    fs::remove_file(shop.lab.path("backups")).expect("removes");
    fs::rename(shop.lab.path("away"), shop.lab.path("backups")).expect("moves");
    shop.expect(0, &["apply", "-y"]);
    assert_eq!(shop.running(), ["2"]);
    assert!(journals(&shop.lab).len() > before.len());
}

#[test]
fn a_database_that_may_not_be_written() {
    let shop = Shop::sqlite().with_orders();
    shop.stage(2);
    let root = rustix::process::geteuid().is_root();
    if root {
        // Root writes everything: a flag of the file system says no to it too.
        let done = Command::new("chattr").args(["+i"]).arg(shop.file()).output().expect("chattr");
        assert!(
            done.status.success(),
            "a file that root may not write is needed, and chattr says: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    } else {
        fs::set_permissions(shop.file(), fs::Permissions::from_mode(0o444)).expect("closes");
    }
    let ran = shop.hive(&["apply", "-y", "--no-rehearse"]);
    if root {
        let done = Command::new("chattr").args(["-i"]).arg(shop.file()).output().expect("chattr");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    } else {
        fs::set_permissions(shop.file(), fs::Permissions::from_mode(0o644)).expect("opens");
    }
    assert!([1, 3, 5].contains(&ran.code), "{ran}");
    assert_eq!(shop.ask("SELECT count(*) FROM changes"), "0");
    shop.expect(0, &["apply", "-y"]);
    assert_eq!(shop.ask("SELECT count(*) FROM changes"), "1");
}

/// The disk of the backups is full: no backup is listed that is none, the last good one stays, and
/// what is not backed up is not migrated.
#[test]
fn a_disk_of_backups_that_is_full() {
    let shop = Shop::sqlite();
    let disk = Tmpfs::of(shop.lab.path("backups"), 8_000);
    let shop = shop.with_orders();
    shop.sql("CREATE TABLE noise (n blob)");
    shop.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
         INSERT INTO noise SELECT randomblob(4096) FROM n",
    );
    // What was added by hand is taken as it is.
    shop.expect(0, &["apply", "-y"]);
    shop.expect(0, &["backup", "run", "-y"]);
    let (good, data) = (shop.backups(), shop.data());
    for free in [0, 100, 300] {
        disk.resize(disk.used() + free);
        let ran = shop.hive(&["backup", "run", "-y"]);
        assert!([1, 5].contains(&ran.code), "{ran}");
        ran.says("no space");
        for one in &good {
            assert!(one.join("manifest.json").is_file(), "{} is gone", one.display());
        }
        assert_eq!(shop.backups(), good, "what failed is listed");
        shop.stage(2);
        let ran = shop.hive(&["apply", "-y"]);
        assert!([1, 5].contains(&ran.code), "{ran}");
        assert_eq!(shop.data(), data);
        assert_eq!(shop.running(), ["1"]);
        shop.stage(1);
        disk.resize(8_000);
        shop.expect(0, &["apply", "-y"]);
    }
    shop.expect(0, &["backup", "run", "-y"]);
    shop.expect(0, &["backup", "verify", "-y"]);
}

/// The disk of the database is full in the middle of a migration and of a restore.
#[test]
fn a_disk_of_data_that_is_full() {
    let shop = Shop::sqlite();
    let disk = Tmpfs::of(shop.lab.path("data"), 8_000);
    let shop = shop.with_orders();
    let old = shop.data();
    shop.stage(1);
    shop.migration(
        "0002_noise",
        "CREATE TABLE noise (n blob);\n\
         INSERT INTO noise WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)\n\
         SELECT zeroblob(4096) FROM n;\n",
        "DROP TABLE noise;\n",
    );
    disk.resize(disk.used() + 100);
    let ran = shop.hive(&["apply", "-y", "--no-rehearse"]);
    assert!([1, 5].contains(&ran.code), "{ran}");
    disk.resize(8_000);
    assert_eq!(shop.data(), old);
    shop.expect(0, &["apply", "-y"]);
    let new = shop.data();
    // A backup for whose proof there is no space is none that is damaged.
    shop.expect(0, &["backup", "run", "-y"]);
    disk.resize(disk.used() + 4);
    let ran = shop.hive(&["backup", "verify", "-y"]);
    assert!([0, 1].contains(&ran.code), "{ran}");
    shop.expect(0, &["backup", "list", "--check"]);
    let ran = shop.hive(&["restore", "1", "--with-data", "-y"]);
    let data = shop.data();
    assert!(data == new || data == old, "{ran}\n{data}");
    disk.resize(8_000);
    if ran.code != 0 {
        let _ = shop.hive(&["recover"]);
        let _ = shop.hive(&["unfreeze"]);
    }
    let data = shop.data();
    assert!(data == new || data == old, "{ran}\n{data}");
    assert_eq!(shop.leftovers(), Vec::<String>::new(), "{ran}");
}

/// The disk is full where a folder and a repository are laid out to be proven: no backup is called
/// damaged for that.
#[test]
fn a_disk_that_is_full_where_files_are_proven() {
    let lab = Lab::new(
        "[stack]\nname = \"{name}\"\n\n\
         [backup.files]\nfolder = \"files\"\ndestination = \"backups/files\"\n\n\
         [backup.code]\nrepository = \"code\"\ndestination = \"backups/code\"\n",
    );
    // What nothing makes smaller.
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    })
    .take(600_000)
    .collect();
    for folder in ["files", "code"] {
        fs::create_dir(lab.path(folder)).expect("a folder");
        fs::write(lab.path(folder).join("noise"), &noise).expect("writes");
    }
    let user = ["-c", "user.name=a", "-c", "user.email=a@example.invalid"];
    for arguments in [&["init", "-q"][..], &["add", "."], &["commit", "-qm", "all of it"]] {
        let mut git = Command::new("git");
        let done = git.arg("-C").arg(lab.path("code")).args(user).args(arguments).output();
        assert!(done.expect("git starts").status.success(), "{arguments:?}");
    }
    lab.expect(0, &["apply", "-y"]);
    lab.expect(0, &["backup", "run", "-y"]);
    let disk = Tmpfs::of(lab.path(".hive-run/_archive"), 8_000);
    // In the copy of what was stored, and in what is made of it.
    for (backup, free) in
        [("backup.files", 40), ("backup.files", 400), ("backup.code", 40), ("backup.code", 1_000)]
    {
        disk.resize(disk.used() + free);
        let ran = lab.hive(&["backup", "verify", backup, "-y"]);
        assert_eq!(ran.code, 1, "{backup} with {free} kB free\n{ran}");
        assert!(ran.all().to_lowercase().contains("space"), "{backup}, {free} kB free\n{ran}");
        disk.resize(8_000);
        lab.expect(0, &["backup", "list", "--check"]);
    }
    lab.expect(0, &["backup", "verify", "-y"]);
}
