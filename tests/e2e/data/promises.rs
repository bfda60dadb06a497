//! P1 to P8 for a service, its database, its migrations and its backups.

use super::shop::Shop;
use std::fs;

pub fn p1_a_plan_is_refused_when_the_schema_moved(shop: Shop) {
    let shop = shop.with_orders();
    shop.stage(2);
    shop.expect(0, &["plan", "-o", "plan.json"]);
    shop.sql("ALTER TABLE orders ADD COLUMN by_hand integer");
    let before = shop.data();
    shop.expect(3, &["apply", "plan.json", "-y"]).says("migrations.main");
    assert_eq!(shop.data(), before, "nothing was touched");
    assert_eq!(shop.running(), ["1"]);
    // And the plan names what somebody added.
    shop.expect(2, &["plan", "--exit-code"]).says("by_hand");
}

pub fn p1_a_plan_is_refused_when_its_migration_was_applied_meanwhile(shop: Shop) {
    let shop = shop.with_orders();
    shop.stage(2);
    shop.expect(0, &["plan", "-o", "plan.json"]);
    shop.expect(0, &["apply", "-y"]);
    let data = shop.data();
    shop.expect(3, &["apply", "plan.json", "-y"]).says("migrations.main");
    shop.is_settled(2, &data);
}

pub fn p1_the_newest_applied_file_that_is_removed_is_named(shop: Shop) {
    let shop = shop.with_orders();
    shop.stage(2);
    shop.expect(0, &["apply", "-y"]);
    let data = shop.data();
    for end in ["up", "down"] {
        let file = format!("migrations/0002_add_status.{end}.sql");
        fs::remove_file(shop.lab.path(&file)).expect("removes");
    }
    for words in [&["plan"][..], &["apply", "-y"]] {
        shop.expect(1, words).says("`0002_add_status` is applied").says("bring the file back");
    }
    shop.stage(2);
    shop.is_settled(2, &data);
}

pub fn p1_rows_written_meanwhile_do_not_refuse_a_plan(shop: Shop) {
    let shop = shop.with_orders();
    shop.stage(2);
    shop.expect(0, &["plan", "-o", "plan.json"]);
    shop.order(21, 25);
    shop.expect(0, &["apply", "plan.json", "-y"]);
    assert_eq!(shop.ask("SELECT count(*) FROM orders"), "25");
    assert_eq!(shop.ask("SELECT count(*) FROM changes"), "1");
    assert_eq!(shop.running(), ["2"]);
}

pub fn p3_a_statement_that_fails_leaves_the_schema_as_it_was(shop: Shop) {
    let shop = shop.with_orders();
    let before = shop.data();
    shop.stage(2);
    shop.migration(
        "0003_breaks",
        "CREATE TABLE half (n integer);\nINSERT INTO half VALUES (1);\nINSERT INTO nowhere VALUES (1);\n",
        "DROP TABLE half;\n",
    );
    // What can be tried on a copy is not let near the living.
    let ran = shop.hive(&["apply", "-y", "--no-rehearse"]);
    assert!([1, 5].contains(&ran.code), "{ran}");
    ran.says("0003_breaks").says("nowhere");
    let tables = shop.data();
    assert!(!tables.contains("half"), "{tables}");
    assert_eq!(shop.running(), ["1"], "no service is updated over a failed migration");
    assert_eq!(shop.ask("SELECT count(*) FROM orders"), "20");
    // Mended, it goes on where it stood, and nothing runs twice.
    shop.migration("0003_breaks", "CREATE TABLE half (n integer);\n", "DROP TABLE half;\n");
    shop.expect(0, &["apply", "-y"]);
    assert_eq!(shop.ask("SELECT count(*) FROM changes"), "1");
    assert_eq!(shop.running(), ["2"]);
    assert_ne!(shop.data(), before);
    shop.expect(0, &["plan", "--exit-code"]);
}

pub fn p3_half_a_file_that_stays_is_no_rollback(shop: Shop) {
    let shop = shop.with_orders();
    shop.migration(
        "0002_half",
        "-- hive: no-transaction\nCREATE TABLE half (n integer);\nINSERT INTO half VALUES (1);\n\
         INSERT INTO nowhere VALUES (1);\nINSERT INTO half VALUES (2);\n",
        "DROP TABLE half;\n",
    );
    let ran = shop.expect(1, &["apply", "-y", "--no-rehearse"]);
    ran.says("2 of 4 statements of `0002_half` are applied").says("failed midway, and stays");
    assert!(!ran.all().contains("all that was begun is as before"), "{ran}");
    assert_eq!(shop.ask("SELECT count(*) FROM half"), "1");
    let ran = shop.expect(0, &["migrate", "rehearse"]);
    ran.says("`0002_half` ended after 2 of 4 statements");
    assert!(!ran.all().contains("nothing is pending"), "{ran}");
    // Mended behind what ran, it goes on there.
    shop.migration(
        "0002_half",
        "-- hive: no-transaction\nCREATE TABLE half (n integer);\nINSERT INTO half VALUES (1);\n\
         INSERT INTO half VALUES (3);\nINSERT INTO half VALUES (2);\n",
        "DROP TABLE half;\n",
    );
    shop.expect(0, &["apply", "-y"]);
    assert_eq!(shop.ask("SELECT count(*) FROM half"), "3");
    shop.expect(0, &["plan", "--exit-code"]);
}

pub fn p3_a_backup_that_cannot_be_read_back_is_no_success(shop: Shop) {
    let shop = shop.with_orders();
    shop.expect(0, &["backup", "run", "-y"]);
    shop.expect(0, &["backup", "verify", "-y"]);
    let newest = shop.backups().pop().expect("a backup");
    super::damage::flip(&super::damage::object(&newest));
    let ran = shop.expect(2, &["backup", "verify", "-y"]);
    assert!(!ran.all().contains("rolled back"), "there is nothing to take back\n{ran}");
    ran.says(&newest.file_name().unwrap_or_default().to_string_lossy());
    shop.expect(1, &["backup", "list", "--check"]);
}

pub fn p4_a_failed_release_takes_the_service_back_and_the_expand_stays(shop: Shop) {
    let shop = shop.with_orders();
    shop.stage_with(2, true, "");
    shop.expect(0, &["plan"]).says("way back").says("0002_add_status");
    shop.expect(5, &["apply", "-y"]).says("service.api");
    assert_eq!(shop.running(), ["1"], "the version before runs on");
    assert_eq!(shop.ask("SELECT count(status) FROM orders"), "0", "and the column stays");
    assert_eq!(shop.ask("SELECT count(*) FROM orders"), "20");
    shop.stage(2);
    shop.expect(0, &["apply", "-y"]);
    assert_eq!(shop.ask("SELECT count(*) FROM changes"), "1", "it did not run twice");
    shop.expect(0, &["plan", "--exit-code"]);
}

pub fn p4_with_rollback_all_the_down_script_runs_too(shop: Shop) {
    let shop = shop.with_orders();
    let before = (shop.rows(), shop.ask("SELECT count(*) FROM orders"));
    shop.stage_with(2, true, "\n[environment]\nrollback = \"all\"\n");
    shop.expect(5, &["apply", "-y"]).says("service.api");
    assert_eq!(shop.running(), ["1"]);
    assert_eq!((shop.rows(), shop.ask("SELECT count(*) FROM orders")), before);
    assert!(!shop.schema().contains("orders_status"), "{}", shop.schema());
}

pub fn p4_on_an_empty_database_nothing_is_past_the_point_of_no_return(shop: Shop) {
    shop.stage(3);
    let plan = shop.expect(0, &["plan"]);
    plan.says("0003_drop_item");
    assert!(!plan.out.contains("point of no return"), "{plan}");
    // So what fails behind its contract is taken back.
    shop.stage_with(3, true, "");
    shop.expect(5, &["apply", "-y"]).says("service.api");
    shop.stage(3);
    shop.expect(0, &["apply", "-y"]);
    assert_eq!(shop.running(), ["3"]);
}

pub fn p4_a_contract_stands_behind_the_point_of_no_return(shop: Shop) {
    let shop = shop.with_orders();
    shop.stage(2);
    shop.expect(0, &["apply", "-y"]);
    shop.stage(3);
    let plan = shop.expect(0, &["plan"]);
    plan.says("point of no return").says("0003_drop_item").says("backup");
    // The service comes first: the version before still reads what the contract takes.
    let order = |word: &str| plan.out.find(word).unwrap_or_else(|| panic!("{word}\n{plan}"));
    assert!(order("service.api") < order("0003_drop_item"), "{plan}");
    shop.expect(0, &["apply", "-y"]);
    assert_eq!(shop.running(), ["3"]);
    assert!(!shop.schema().contains("item"), "{}", shop.schema());
    shop.expect(0, &["plan", "--exit-code"]);
}

pub fn p5_a_snapshot_comes_back_with_its_data_and_without_its_files(shop: Shop) {
    let shop = shop.with_orders();
    let old = shop.data();
    for stage in [2, 3] {
        shop.stage(stage);
        shop.expect(0, &["apply", "-y"]);
    }
    assert_ne!(shop.data(), old);
    fs::remove_file(shop.lab.path("stack.toml")).expect("removes");
    fs::remove_dir_all(shop.lab.path("migrations")).expect("removes");
    shop.expect(0, &["restore", "1", "--with-data", "-y"]);
    assert_eq!(shop.data(), old);
    assert_eq!(shop.running(), ["1"]);
    assert_eq!(shop.leftovers(), Vec::<String>::new());
    // Frozen: the stack still says what was just taken back.
    shop.stage(1);
    shop.expect(0, &["unfreeze"]);
    shop.is_settled(1, &old);
    // What was replaced is not lost either: it was backed up first.
    assert!(
        shop.backups().iter().any(|it| {
            fs::read_to_string(it.join("manifest.json")).unwrap_or_default().contains("safety")
        }),
        "no safety copy among {:?}",
        shop.backups()
    );
}

pub fn p5_a_rollback_with_data_brings_back_what_was_before(shop: Shop) {
    let shop = shop.with_orders();
    let old = shop.data();
    shop.stage(2);
    shop.expect(0, &["apply", "-y"]);
    shop.order(100, 110);
    shop.expect(0, &["rollback", "--with-data", "-y"]);
    assert_eq!(shop.data(), old);
    assert_eq!(shop.running(), ["1"]);
}

pub fn p5_a_rollback_by_down_scripts_loses_no_row(shop: Shop) {
    let shop = shop.with_orders();
    let old = shop.rows();
    shop.stage(2);
    shop.expect(0, &["apply", "-y"]);
    shop.sql("UPDATE orders SET status = 'sent'");
    // The scripts are those of the snapshot: the folder has none any more.
    fs::remove_dir_all(shop.lab.path("migrations")).expect("removes");
    shop.expect(0, &["rollback", "--down", "-y"]);
    assert_eq!(shop.rows(), old);
    assert_eq!(shop.running(), ["1"]);
}

/// Nothing that hive wrote or printed holds the canaries.
#[track_caller]
pub fn p6_nothing_holds(shop: &Shop, canaries: &[&str], printed: &str) {
    for canary in canaries {
        assert!(!printed.contains(canary), "`{canary}` was printed");
    }
    let mut open = vec![shop.lab.path("")];
    let mut looked = 0;
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("lists").flatten() {
            let path = entry.path();
            if path.is_dir() {
                if !path.ends_with("secret") {
                    open.push(path);
                }
                continue;
            }
            let bytes = fs::read(&path).unwrap_or_default();
            looked += 1;
            for canary in canaries {
                let held = bytes.windows(canary.len()).any(|it| it == canary.as_bytes());
                assert!(!held, "`{canary}` stands in {}", path.display());
            }
        }
    }
    assert!(looked > 10, "only {looked} files were looked at");
}

pub fn p6_an_encrypted_backup_shows_no_row_and_no_key(shop: Shop) {
    let identity = super::damage::KEYS.1;
    shop.lab.write("secret/key", identity);
    let encrypt = super::damage::encrypt();
    shop.stage_with(1, false, &encrypt);
    let mut printed = shop.expect(0, &["apply", "-y"]).all();
    shop.sql("INSERT INTO orders (id, item) VALUES (1, 'canary-row-7f3a')");
    let old = shop.data();
    printed += &shop.expect(0, &["backup", "run", "-y"]).all();
    printed += &shop.expect(0, &["backup", "verify", "-y"]).all();
    for backup in shop.backups() {
        for entry in fs::read_dir(&backup).expect("lists").flatten() {
            let bytes = fs::read(entry.path()).expect("reads");
            let held = bytes.windows(10).any(|it| it == b"canary-row");
            assert!(!held, "a row can be read in {}", entry.path().display());
        }
    }
    shop.sql("DELETE FROM orders");
    printed += &shop.expect(0, &["backup", "restore", "backup.main", "-y"]).all();
    assert_eq!(shop.data(), old);
    p6_nothing_holds(&shop, &[identity], &printed);
}

/// The service goes back and the migration stays, which nobody declared: the snapshot is partial.
/// Declared as it is, there is nothing to do but to record that.
pub fn p8_what_a_failed_release_left_becomes_whole(shop: Shop) {
    let shop = shop.with_orders();
    shop.stage_with(2, true, "");
    shop.expect(5, &["apply", "-y"]);
    shop.expect(0, &["status"]).says(", partial");
    shop.stage(2);
    shop.lab.stack(&shop.toml(1, false, ""));
    shop.expect(0, &["plan", "--exit-code"]).says("is partial").says("nothing to do");
    let (data, starts) = (shop.data(), shop.lab.starts());
    shop.expect(0, &["apply", "-y"]);
    assert_eq!((shop.data(), shop.lab.starts()), (data, starts), "nothing was touched");
    for again in [&["plan", "--exit-code"][..], &["apply", "-y"], &["backup", "run", "-y"]] {
        shop.expect(0, again);
        let status = shop.expect(0, &["status"]);
        assert!(!status.out.contains("partial"), "{status}");
    }
    shop.expect(0, &["restore", "3", "--with-data", "-y"]);
}

pub fn p8_every_way_ends_with_an_empty_plan(shop: Shop) {
    let shop = shop.with_orders();
    for stage in [1, 2, 3] {
        shop.stage(stage);
        shop.expect(0, &["apply", "-y"]);
        shop.expect(0, &["plan", "--exit-code"]);
        // Nothing to do is nothing done: no backup, no step.
        let backups = shop.backups().len();
        shop.expect(0, &["apply", "-y"]);
        assert_eq!(shop.backups().len(), backups);
    }
    shop.expect(0, &["backup", "run", "-y"]);
    shop.expect(0, &["plan", "--exit-code"]);
    shop.expect(0, &["backup", "verify", "-y"]);
    shop.expect(0, &["plan", "--exit-code"]);
}

pub fn p8_an_older_snapshot_without_its_data_ends_with_an_empty_plan(shop: Shop) {
    let shop = shop.with_orders();
    shop.stage(2);
    shop.expect(0, &["apply", "-y"]);
    let data = shop.data();
    let ran = shop.expect(0, &["restore", "1", "-y"]);
    ran.says("`0002_add_status` is newer than its files, and stays applied");
    assert!(!ran.all().contains("count"), "nothing of the list becomes another\n{ran}");
    shop.expect(0, &["unfreeze"]);
    shop.stage(1);
    shop.is_settled(1, &data);
    shop.expect(0, &["drift", "--exit-code"]);
    shop.stage(2);
    shop.expect(0, &["apply", "-y"]);
    shop.is_settled(2, &data);
}

/// Everything is lost but the store and the backups; one command brings it back.
pub fn the_drill(shop: Shop, lose: impl FnOnce(&Shop)) {
    let shop = shop.with_orders();
    shop.stage(2);
    shop.expect(0, &["apply", "-y"]);
    shop.order(100, 199);
    shop.expect(0, &["backup", "run", "-y"]);
    let data = shop.data();
    shop.expect(0, &["rebuild", "--drill", "-y"]).says("backup.main");
    assert_eq!(shop.data(), data, "an exercise touches nothing");
    super::rebuilds::lost(&shop, lose);
    let began = std::time::Instant::now();
    let ran = shop.expect(0, &["rebuild", "-y"]);
    println!("the drill: RTO {} ms\n{}", began.elapsed().as_millis(), ran.out);
    assert_eq!(shop.data(), data);
    assert_eq!(shop.running(), ["2"]);
    ran.says("database.main").says("proven").says("recovered in");
    shop.stage(2);
    let _ = shop.hive(&["unfreeze"]);
    shop.expect(0, &["plan", "--exit-code"]);
}
