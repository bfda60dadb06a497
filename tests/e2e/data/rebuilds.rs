//! Everything is lost but store and backups, and how it comes back.

use super::damage;
use super::shop::Shop;
use crate::lab::{Ran, kill};
use serde_json::Value;
use std::fs;

/// The machine is gone: processes, files; `lose` takes the database.
pub fn lost(shop: &Shop, lose: impl FnOnce(&Shop)) {
    for process in shop.lab.processes() {
        kill(process.pid, "KILL");
    }
    for lost in ["stack.toml", ".hive-run/dev", "starts.log"] {
        let path = shop.lab.path(lost);
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
    }
    let _ = fs::remove_dir_all(shop.lab.path("migrations"));
    lose(shop);
}

/// The last line of what a command prints as JSON.
#[track_caller]
fn report(ran: &Ran) -> Value {
    let last = ran.out.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}\n{ran}"))
}

/// Two backups, the second with ten orders more, and the data of each.
fn two_backups(shop: Shop) -> (Shop, [String; 2], [String; 2]) {
    let shop = shop.with_orders();
    let mut data = Vec::new();
    for from in [21, 31] {
        shop.order(from, from + 9);
        shop.expect(0, &["backup", "run", "-y"]);
        data.push(shop.data());
    }
    let id = |back: usize| {
        let all = shop.backups();
        all[all.len() - back].file_name().unwrap_or_default().to_string_lossy().into_owned()
    };
    let ids = [id(2), id(1)];
    (shop, ids, [data.remove(0), data.remove(0)])
}

fn flip(shop: &Shop, id: &str) {
    damage::flip(&damage::object(&shop.lab.path("backups").join(id)));
}

/// Rows equal, and the measured time stands beside what was promised, at an exercise and in truth.
pub fn every_row_comes_back_in_the_time_that_is_told(shop: Shop, lose: impl FnOnce(&Shop)) {
    let shop = shop.with_orders();
    shop.stage_with(2, false, "");
    let toml = shop.toml(2, false, "").replace("keep = {", "rto = \"10m\"\nkeep = {");
    shop.lab.stack(&toml);
    shop.expect(0, &["apply", "-y"]);
    shop.order(100, 199);
    shop.expect(0, &["backup", "run", "-y"]);
    let (data, starts) = (shop.data(), shop.lab.starts());
    let drill = shop.expect(0, &["rebuild", "--drill", "-y", "--format", "json"]);
    let told = report(&drill);
    assert_eq!(told["is"], "drilled", "{drill}");
    // The orders, and what the second migration wrote.
    let item = &told["items"][0];
    assert_eq!((&item["ok"], &item["rows"]), (&Value::Bool(true), &Value::from(121)), "{drill}");
    assert!(item["restore_ms"].is_u64() && item["rto_ms"] == 600_000, "{drill}");
    assert_eq!(shop.data(), data, "an exercise touches nothing");
    assert_eq!(shop.lab.starts(), starts);
    assert_eq!(shop.leftovers(), Vec::<String>::new());
    lost(&shop, lose);
    let rebuilt = shop.expect(0, &["rebuild", "-y", "--format", "json"]);
    let told = report(&rebuilt);
    assert_eq!((&told["is"], &told["whole"]), (&"rebuilt".into(), &true.into()), "{rebuilt}");
    assert!(told["took_ms"].as_u64().is_some_and(|it| it > 0), "{rebuilt}");
    println!("recovered in {} ms", told["took_ms"]);
    assert_eq!(shop.data(), data);
    assert_eq!(shop.running(), ["2"]);
    // There was nothing left to do: a second one says so, and does nothing.
    shop.expect(0, &["rebuild", "-y"]).says("nothing is gone");
}

/// The newest backup is damaged and nobody knew: a rebuild leaves nothing of it, and names the one
/// before, which then brings the rest back.
pub fn a_damaged_newest_is_named_with_the_one_before(shop: Shop, lose: impl FnOnce(&Shop)) {
    let (shop, [older, newest], [before, _]) = two_backups(shop);
    flip(&shop, &newest);
    lost(&shop, lose);
    let ran = shop.hive(&["rebuild", "-y"]);
    assert!([1, 5].contains(&ran.code), "{ran}");
    ran.says("not all of it is there").says(&newest).says("damaged");
    ran.says(&format!("the newest good one besides is backup {older}"));
    ran.says(&format!("`hive backup restore backup.main {older}`"));
    ran.says("not recovered, after");
    assert!(!ran.out.contains("rto"), "what failed has no time to be proud of: {ran}");
    assert_eq!(shop.running(), Vec::<String>::new(), "no service over a database that is none");
    assert_eq!(shop.leftovers(), Vec::<String>::new(), "{ran}");
    shop.expect(0, &["backup", "restore", "backup.main", &older, "-y"]);
    shop.expect(0, &["rebuild", "-y"]).says("service.api").says("recovered in");
    assert_eq!(shop.data(), before);
    assert_eq!(shop.running(), ["1"]);
}

/// An exercise finds the damage out, says which is good besides, and from then on nobody takes the
/// damaged one.
pub fn an_exercise_finds_a_damaged_newest_out(shop: Shop, lose: impl FnOnce(&Shop)) {
    let (shop, [older, newest], [before, now]) = two_backups(shop);
    flip(&shop, &newest);
    let ran = shop.expect(2, &["rebuild", "--drill", "-y"]);
    ran.says(&newest).says("damaged").says(&format!("besides is backup {older}"));
    assert_eq!(shop.data(), now, "an exercise touches nothing");
    shop.expect(1, &["backup", "list", "--check"]).says(&newest);
    let again = shop.expect(2, &["rebuild", "--drill", "-y"]);
    again.says("an older backup").says(&older).says(&format!("newer, and damaged: {newest}"));
    lost(&shop, lose);
    shop.expect(0, &["rebuild", "-y"]).says(&older).says("all of it is proven");
    assert_eq!(shop.data(), before);
    assert_eq!(shop.running(), ["1"]);
}

/// Orders are lost and come back. What was put aside then is a copy that nobody takes unless it is
/// named, and a snapshot stands for what was restored into it, not for what was made in between.
pub fn what_was_put_aside_never_comes_back_by_itself(shop: Shop, lose: impl FnOnce(&Shop)) {
    let shop = shop.with_orders();
    shop.expect(0, &["backup", "run", "-y"]);
    let (good, chosen) = (shop.data(), newest_backup(&shop));
    shop.order(21, 30);
    shop.expect(0, &["backup", "run", "-y"]);
    shop.sql("DELETE FROM orders");
    let first = shop.expect(0, &["backup", "restore", "backup.main", &chosen, "-y"]);
    first.says(&chosen).says("20 rows");
    assert_eq!(shop.data(), good);
    let restored = newest_snapshot(&shop);
    shop.sql("DELETE FROM orders");
    // The newest of all are the copies of what was put aside.
    shop.expect(0, &["restore", &restored, "--with-data", "-y"]).says(&chosen);
    assert_eq!(shop.data(), good, "the snapshot that a restore made is what was restored");
    shop.expect(0, &["unfreeze"]);
    shop.sql("DELETE FROM orders");
    shop.expect(0, &["backup", "restore", "backup.main", "-y"]).says(&chosen);
    assert_eq!(shop.data(), good);
    shop.expect(0, &["rebuild", "--drill", "-y"]).says(&chosen);
    // Where it is named, a copy comes back too, and is called what it is.
    let copy = newest_backup(&shop);
    shop.expect(0, &["backup", "restore", "backup.main", &copy, "-y"]).says("safety copy");
    assert_eq!(shop.ask("SELECT count(*) FROM orders"), "0");
    shop.expect(0, &["backup", "restore", "backup.main", &chosen, "-y"]);
    lost(&shop, lose);
    shop.expect(0, &["rebuild", "-y"]).says(&chosen).says("20 rows");
    assert_eq!(shop.data(), good);
}

fn newest_backup(shop: &Shop) -> String {
    let newest = shop.backups().pop().expect("a backup");
    newest.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn newest_snapshot(shop: &Shop) -> String {
    let ran = shop.expect(0, &["status", "--format", "json"]);
    let status: Value = serde_json::from_str(&ran.out).unwrap_or_else(|it| panic!("{it}\n{ran}"));
    status["snapshot"].as_u64().unwrap_or_else(|| panic!("{status}")).to_string()
}

/// The database alone is gone, and so is whoever used it.
fn lost_alone(shop: &Shop, lose: impl FnOnce(&Shop)) {
    for process in shop.lab.processes() {
        kill(process.pid, "KILL");
    }
    lose(shop);
}

/// No plan makes a lost database anew by itself: what is gone, what brings it back and how to give
/// it up is said, and both ways work.
pub fn a_lost_database_is_not_quietly_made_anew(shop: Shop, lose: impl Fn(&Shop)) {
    let (shop, [_, newest], [_, data]) = two_backups(shop);
    lost_alone(&shop, &lose);
    for arguments in [&["plan"][..], &["apply", "-y"], &["restore", "1", "-y"]] {
        let ran = shop.expect(1, arguments);
        ran.says("the data of `database.main` is gone").says(&newest).says("`hive rebuild`");
        ran.says("`hive apply --replace database.main`");
    }
    assert!(!shop.is_there(), "nothing is made");
    shop.expect(0, &["rebuild", "-y"]).says("all of it is proven");
    assert_eq!(shop.data(), data);
    shop.expect(0, &["plan", "--exit-code"]);

    lost_alone(&shop, &lose);
    shop.expect(0, &["restore", "1", "--with-data", "-y"]);
    shop.expect(0, &["unfreeze"]);
    assert_eq!(shop.running(), ["1"]);
}

/// Given up by name, it begins empty; what is destroyed need not be there.
pub fn a_lost_database_is_given_up_by_name(shop: Shop, lose: impl Fn(&Shop)) {
    let shop = shop.with_orders();
    lost_alone(&shop, &lose);
    shop.expect(0, &["apply", "-y", "--replace", "database.main"]);
    assert_eq!(shop.ask("SELECT count(*) FROM orders"), "0", "it was given up");
    assert_eq!(shop.running(), ["1"]);
    shop.expect(0, &["plan", "--exit-code"]);

    lost_alone(&shop, &lose);
    shop.expect(0, &["destroy", "-y"]);
}

/// Somebody has made an empty one where it was: a restore takes its place. One that holds something
/// is refused before anything begins, and stays as it is. What is said of creating does not matter:
/// a restore is asked for.
pub fn an_empty_one_is_taken_and_a_full_one_is_not(
    shop: Shop,
    lose: impl Fn(&Shop),
    make: impl Fn(&Shop),
) {
    let shop = shop.with_orders();
    shop.lab.stack(&shop.toml(1, false, "").replace("create = true", "create = false"));
    shop.expect(0, &["apply", "-y"]);
    shop.expect(0, &["backup", "run", "-y"]);
    let data = shop.data();
    lost_alone(&shop, &lose);
    shop.expect(1, &["plan"]).says("`hive rebuild` brings it back");
    make(&shop);
    shop.sql("CREATE TABLE theirs (n integer)");
    let theirs = shop.data();
    for arguments in [&["rebuild", "-y"][..], &["restore", "2", "--with-data", "-y"]] {
        let ran = shop.expect(1, arguments);
        ran.says("theirs`").says("takes the place of an empty");
        assert_eq!(shop.data(), theirs, "{ran}");
    }
    assert_eq!(shop.leftovers(), Vec::<String>::new());
    shop.sql("DROP TABLE theirs");
    shop.expect(0, &["rebuild", "-y"]).says("all of it is proven");
    assert_eq!(shop.data(), data);
    assert_eq!(shop.running(), ["1"]);
    assert_eq!(shop.leftovers(), Vec::<String>::new());
    lost_alone(&shop, &lose);
    // Nothing of it is there, and nobody may make it but a restore.
    shop.expect(0, &["rebuild", "-y"]).says("all of it is proven");
    assert_eq!(shop.data(), data);
    shop.expect(0, &["plan", "--exit-code"]);
}

/// What a restore has put aside is no restore that did not end: it keeps nobody from coming back.
pub fn what_is_lost_behind_a_restore_comes_back(shop: Shop, lose: impl Fn(&Shop)) {
    let shop = shop.with_orders();
    shop.expect(0, &["backup", "run", "-y"]);
    let data = shop.data();
    shop.expect(0, &["restore", "1", "--with-data", "-y"]);
    shop.expect(0, &["unfreeze"]);
    lost_alone(&shop, &lose);
    let status = shop.hive(&["status"]);
    assert!(!status.all().contains("did not end"), "{status}");
    shop.expect(0, &["rebuild", "-y"]).says("all of it is proven");
    assert_eq!(shop.data(), data);
    shop.expect(0, &["plan", "--exit-code"]);
}
