//! Files of migrations that are wrong.

use crate::data::shop::Shop;
use std::fs;

/// Plan and apply are refused and name the file; the database is as it was, and what runs runs on.
#[track_caller]
fn refused(shop: &Shop, words: &[&str]) {
    let (data, running) = (shop.data(), shop.running());
    for arguments in [&["plan", "--no-rehearse"][..], &["apply", "-y"][..]] {
        let ran = shop.hive(arguments);
        assert!([1, 3].contains(&ran.code), "{arguments:?}\n{ran}");
        assert!(!ran.all().contains("panicked"), "{ran}");
        for word in words {
            ran.says(word);
        }
    }
    assert_eq!((shop.data(), shop.running()), (data, running));
    // Mended, everything agrees again.
    shop.stage(1);
    shop.expect(0, &["plan", "--exit-code"]);
}

fn shop() -> Shop {
    Shop::sqlite().with_orders()
}

#[test]
fn an_applied_file_that_was_edited() {
    let shop = shop();
    shop.migration("0001_create_orders", "CREATE TABLE orders (id integer);\n", "");
    refused(&shop, &["0001_create_orders", "migrations.main"]);
}

#[test]
fn an_applied_file_whose_white_space_alone_was_edited_is_the_same() {
    let shop = shop();
    let path = "migrations/0001_create_orders.up.sql";
    let windows = shop.lab.read(path).replace('\n', "\r\n");
    shop.lab.write(path, &format!("\u{feff}{windows}  \r\n"));
    // A snapshot holds the text as it is: only what hive records changes.
    let plan = shop.expect(0, &["plan"]);
    plan.says("only what hive records").says("1 update, 3 unchanged");
    shop.expect(0, &["apply", "-y"]);
    shop.expect(0, &["plan", "--exit-code"]);
}

#[test]
fn an_up_file_that_is_empty() {
    for nothing in ["", "-- later\n"] {
        let shop = shop();
        shop.migration("0002_nothing", nothing, "SELECT 1;\n");
        refused(&shop, &["0002_nothing.up.sql", "without a statement"]);
    }
}

#[test]
fn an_applied_file_that_is_missing() {
    let shop = shop();
    shop.stage(2);
    shop.expect(0, &["apply", "-y"]);
    for way in ["up", "down"] {
        fs::remove_file(shop.lab.path(&format!("migrations/0001_create_orders.{way}.sql")))
            .expect("removes");
    }
    let ran = shop.hive(&["plan"]);
    assert!([1, 3].contains(&ran.code), "{ran}");
    ran.says("0001_create_orders");
}

#[test]
fn a_file_that_comes_behind_what_is_applied() {
    let shop = shop();
    shop.migration("0000_late", "CREATE TABLE late (n integer);\n", "DROP TABLE late;\n");
    refused(&shop, &["0000_late"]);
}

#[test]
fn two_files_of_one_version() {
    let shop = shop();
    shop.migration("0002_one", "CREATE TABLE one (n integer);\n", "DROP TABLE one;\n");
    shop.migration("0002_two", "CREATE TABLE two (n integer);\n", "DROP TABLE two;\n");
    refused(&shop, &["0002_one", "0002_two"]);
}

#[test]
fn an_empty_down_file() {
    let shop = shop();
    shop.migration("0002_one", "CREATE TABLE one (n integer);\n", "-- nothing\n");
    refused(&shop, &["0002_one.down.sql"]);
}

#[test]
fn a_file_that_is_not_utf_8() {
    let shop = shop();
    fs::write(shop.lab.path("migrations/0002_one.up.sql"), b"CREATE TABLE \xff\xfe (n integer);")
        .expect("writes");
    refused(&shop, &["0002_one.up.sql"]);
}

#[test]
fn a_name_that_is_none() {
    let shop = shop();
    shop.lab.write("migrations/add status.sql", "CREATE TABLE one (n integer);\n");
    refused(&shop, &["add status.sql"]);
}

#[test]
fn a_statement_that_cannot_run_in_a_transaction() {
    let shop = shop();
    shop.migration("0002_vacuum", "VACUUM;\n", "VACUUM;\n");
    refused(&shop, &["0002_vacuum", "VACUUM", "no-transaction"]);
}

#[test]
fn a_statement_that_is_hives_to_say() {
    let shop = shop();
    shop.migration(
        "0002_begin",
        "BEGIN;\nCREATE TABLE one (n integer);\nCOMMIT;\n",
        "DROP TABLE one;\n",
    );
    refused(&shop, &["0002_begin", "BEGIN"]);
    shop.migration("0002_attach", "ATTACH 'other.db' AS other;\n", "DETACH other;\n");
    refused(&shop, &["0002_attach", "ATTACH"]);
}

#[test]
fn sql_that_does_not_parse() {
    let shop = shop();
    shop.migration("0002_one", "CREATE TABLE one (n integer;\n", "DROP TABLE one;\n");
    let data = shop.data();
    let ran = shop.hive(&["apply", "-y"]);
    assert!([1, 3, 5].contains(&ran.code), "{ran}");
    ran.says("0002_one");
    assert_eq!(shop.data(), data);
    assert_eq!(shop.running(), ["1"]);
}
