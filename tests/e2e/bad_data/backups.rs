//! Backups that are damaged, foreign, missing, or from the future.

use crate::data::damage::{self, KEYS, WRONG_IDENTITY};
use crate::data::shop::Shop;
use hive_sql::manifest::Manifest;
use std::fs;
use std::path::Path;

/// A shop with two backups, the data that the first holds, and more orders since.
fn shop() -> (Shop, String) {
    let shop = Shop::sqlite().with_orders();
    shop.expect(0, &["backup", "run", "-y"]);
    let held = shop.data();
    shop.order(21, 30);
    (shop, held)
}

fn id(backup: &Path) -> String {
    backup.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Restoring this backup fails and says what of it is wrong; the living data stays.
#[track_caller]
fn refused(shop: &Shop, backup: &Path, words: &[&str]) {
    let data = shop.data();
    let name = id(backup);
    let ran = shop.hive(&["backup", "restore", "backup.main", &name, "-y"]);
    assert!([1, 3, 5].contains(&ran.code), "{ran}");
    assert!(!ran.all().contains("panicked"), "{ran}");
    for word in words {
        ran.says(word);
    }
    let _ = shop.hive(&["recover"]);
    let _ = shop.hive(&["unfreeze"]);
    assert_eq!(shop.data(), data, "what lives is not lost\n{ran}");
    assert_eq!(shop.running(), ["1"]);
    assert_eq!(shop.leftovers(), Vec::<String>::new(), "{ran}");
}

#[test]
fn a_good_one_comes_back_to_show_that_the_others_could() {
    let (shop, held) = shop();
    let newest = shop.backups().pop().expect("a backup");
    shop.expect(0, &["backup", "restore", "backup.main", &id(&newest), "-y"]);
    assert_eq!(shop.data(), held);
}

#[test]
fn a_flipped_bit() {
    let (shop, _) = shop();
    let newest = shop.backups().pop().expect("a backup");
    damage::flip(&damage::object(&newest));
    refused(&shop, &newest, &[&id(&newest)]);
}

#[test]
fn a_truncated_object() {
    let (shop, _) = shop();
    let newest = shop.backups().pop().expect("a backup");
    damage::truncate(&damage::object(&newest));
    refused(&shop, &newest, &[&id(&newest)]);
}

#[test]
fn an_object_that_is_missing() {
    let (shop, _) = shop();
    let newest = shop.backups().pop().expect("a backup");
    fs::remove_file(damage::object(&newest)).expect("removes");
    refused(&shop, &newest, &[&id(&newest)]);
}

#[test]
fn an_object_of_another_backup() {
    let (shop, _) = shop();
    shop.expect(0, &["backup", "run", "-y"]);
    let all = shop.backups();
    let (newest, other) = (&all[all.len() - 1], &all[all.len() - 2]);
    fs::copy(damage::object(other), damage::object(newest)).expect("copies");
    refused(&shop, newest, &[&id(newest)]);
}

#[test]
fn a_manifest_that_is_missing_or_damaged() {
    let (shop, held) = shop();
    shop.expect(0, &["backup", "run", "-y"]);
    let newest = shop.backups().pop().expect("a backup");
    fs::write(newest.join("manifest.json"), "{ \"format\": 1").expect("writes");
    let ran = shop.hive(&["backup", "list", "--check"]);
    assert_eq!(ran.code, 1, "{ran}");
    ran.says(&id(&newest));
    // What has none does not exist, and the one before does. That it was made is recorded.
    fs::remove_file(newest.join("manifest.json")).expect("removes");
    let gone = format!("the backup {} was made and is not there any more", id(&newest));
    shop.expect(0, &["backup", "list"]).says(&gone);
    shop.expect(1, &["backup", "list", "--check"]);
    shop.expect(1, &["status"]).says(&gone);
    shop.expect(0, &["backup", "restore", "backup.main", "-y"]);
    assert_eq!(shop.data(), held);
}

/// A marker that is gone, alone or with all the rest: nothing of it counts, and that is said. Applied
/// again, what lies there counts again.
#[test]
fn a_place_that_lost_its_marker() {
    let (shop, _) = shop();
    shop.expect(0, &["backup", "run", "-y"]);
    let newest = id(&shop.backups().pop().expect("a backup"));
    let (place, aside) = (shop.lab.path("backups"), shop.lab.path("elsewhere"));
    fs::rename(&place, &aside).expect("moves");
    shop.expect(1, &["status"]).says("has lost its marker `hive.json`");
    shop.expect(1, &["backup", "list", "--check"]);
    fs::rename(&aside, &place).expect("moves");
    shop.expect(0, &["status"]);
    fs::remove_file(place.join("hive.json")).expect("removes");
    shop.expect(1, &["status"]).says("has lost its marker `hive.json`");
    shop.expect(0, &["apply", "-y"]);
    shop.expect(0, &["status"]);
    shop.expect(0, &["backup", "list"]).says(&newest);
}

#[test]
fn a_manifest_that_was_edited() {
    let (shop, _) = shop();
    let newest = shop.backups().pop().expect("a backup");
    let path = newest.join("manifest.json");
    let text = fs::read_to_string(&path).expect("reads");
    let edited = text.replace("\"rows\": 20", "\"rows\": 21");
    assert_ne!(edited, text);
    fs::write(&path, edited).expect("writes");
    refused(&shop, &newest, &[&id(&newest)]);
}

#[test]
fn a_manifest_that_lies_about_its_rows_under_its_own_seal() {
    let (shop, _) = shop();
    let newest = shop.backups().pop().expect("a backup");
    sealed_anew(&newest, &newest, |manifest| {
        for table in &mut manifest.tables {
            table.rows += 1;
        }
    });
    refused(&shop, &newest, &["rows"]);
}

/// Writes the manifest of one backup, changed and with a digest that is right, for another.
fn sealed_anew(from: &Path, to: &Path, change: impl FnOnce(&mut Manifest)) {
    let bytes = fs::read(from.join("manifest.json")).expect("reads");
    let mut manifest = Manifest::from_json(&bytes).expect("a manifest");
    change(&mut manifest);
    fs::write(to.join("manifest.json"), manifest.to_json().expect("JSON")).expect("writes");
}

#[test]
fn a_backup_of_somebody_else() {
    let (shop, _) = shop();
    let other = Shop::sqlite().with_orders();
    other.expect(0, &["backup", "run", "-y"]);
    let theirs = other.backups().pop().expect("a backup");
    let to = shop.lab.path("backups").join(id(&theirs));
    fs::create_dir(&to).expect("a folder");
    for entry in fs::read_dir(&theirs).expect("lists").flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copies");
    }
    refused(&shop, &to, &[&id(&theirs)]);
    // Nor does retention take away what hive did not put there.
    for _ in 0..6 {
        shop.expect(0, &["backup", "run", "-y"]);
    }
    assert!(to.join("manifest.json").is_file(), "a foreign backup was removed");
}

#[test]
fn a_destination_of_somebody_else() {
    let (shop, _) = shop();
    let other = Shop::sqlite();
    let toml = other
        .toml(1, false, "")
        .replace("\"backups\"", &format!("\"{}\"", shop.lab.path("backups").display()));
    other.stage(1);
    other.lab.stack(&toml);
    let ran = other.hive(&["apply", "-y"]);
    assert!([1, 3].contains(&ran.code), "{ran}");
    ran.says("backup.main");
}

#[test]
fn the_wrong_key_and_none() {
    let identity = KEYS.1;
    let shop = Shop::sqlite();
    let encrypt = damage::encrypt();
    shop.stage_with(1, false, &encrypt);
    shop.lab.write("secret/key", identity);
    shop.expect(0, &["apply", "-y"]);
    shop.order(1, 20);
    shop.expect(0, &["backup", "run", "-y"]);
    let newest = shop.backups().pop().expect("a backup");
    for wrong in [WRONG_IDENTITY, "no key at all"] {
        shop.lab.write("secret/key", wrong);
        refused(&shop, &newest, &[]);
        let ran = shop.expect(1, &["backup", "verify", "-y"]);
        assert!(!ran.all().contains(wrong), "it says the key\n{ran}");
    }
    // A backup needs no key to be made.
    shop.expect(0, &["backup", "run", "-y", "--no-verify"]);
    shop.lab.write("secret/key", identity);
    shop.expect(0, &["backup", "verify", "-y"]);
}

#[test]
fn an_alarm_is_not_a_place_that_is_out_of_reach() {
    let (shop, _) = shop();
    let newest = shop.backups().pop().expect("a backup");
    damage::flip(&damage::object(&newest));
    for arguments in [
        &["backup", "verify", "-y"][..],
        &["backup", "verify", "backup.main", &id(&newest), "-y", "--format", "json"],
    ] {
        shop.expect(2, arguments).says(&id(&newest));
    }
    // A plan of it that is applied later ends the same.
    shop.expect(0, &["backup", "verify", "backup.main", &id(&newest), "-o", "look.json"]);
    shop.expect(2, &["apply", "look.json", "-y"]).says("what is live was not touched");
    // Where none is good any more it is still an alarm, each time.
    for other in shop.backups() {
        fs::write(other.join("manifest.json"), "{").expect("writes");
    }
    for _ in 0..2 {
        shop.expect(2, &["backup", "verify", "-y"]).says("manifest");
    }
    fs::rename(shop.lab.path("backups"), shop.lab.path("away")).expect("moves");
    fs::write(shop.lab.path("backups"), "a file").expect("writes");
    shop.expect(1, &["backup", "verify", "-y"]).says("backups");
}

#[test]
fn a_recipient_that_is_none() {
    let shop = Shop::sqlite();
    shop.stage_with(1, false, "\n[backup.main.encrypt]\nrecipients = [\"age1nobody\"]\n");
    let ran = shop.hive(&["plan"]);
    assert_eq!(ran.code, 1, "{ran}");
    ran.says("backup.main");
}

#[test]
fn a_clock_that_went_back() {
    let (shop, held) = shop();
    let good = shop.backups().pop().expect("a backup");
    // The newest is from a time that is still to come: the clock was ahead when it was made.
    let future = shop.lab.path("backups/20990101T000000Z-ffffffff");
    fs::create_dir(&future).expect("a folder");
    fs::copy(
        damage::object(&good),
        future.join(damage::object(&good).file_name().expect("a name")),
    )
    .expect("copies");
    sealed_anew(&good, &future, |manifest| {
        manifest.id = id(&future);
        manifest.token = "of-the-future".to_owned();
        for time in [&mut manifest.snapshot_ms, &mut manifest.started_ms, &mut manifest.finished_ms]
        {
            *time = 4_102_444_800_000;
        }
    });
    // It does not push out a good one, and the next backup is made all the same.
    for n in 0..6 {
        shop.order(40 + n, 40 + n);
        shop.expect(0, &["backup", "run", "-y"]);
        shop.expect(0, &["backup", "verify", "-y"]);
    }
    let ran = shop.expect(0, &["backup", "list"]);
    assert!(shop.backups().len() >= 4, "{ran}");
    let verified = shop.backups().iter().filter(|it| **it != future).any(|it| {
        let entries = fs::read_dir(it).expect("lists").flatten();
        entries.map(|it| it.file_name()).any(|it| it.to_string_lossy().starts_with("verified"))
    });
    assert!(verified, "no verified backup is left: {:?}", shop.backups());
    assert_ne!(shop.data(), held);
}

#[test]
fn a_dump_that_is_far_smaller_than_the_last_is_an_alarm() {
    let shop = Shop::sqlite().with_orders();
    shop.order(1_000, 4_000);
    for _ in 0..2 {
        shop.expect(0, &["backup", "run", "-y"]);
    }
    let before = shop.backups();
    shop.sql("DELETE FROM orders WHERE id > 5");
    shop.hive(&["backup", "run", "-y"]).says("not counted as good");
    for one in before {
        assert!(one.join("manifest.json").is_file(), "{} was pushed out", one.display());
    }
    shop.expect(0, &["backup", "list"]).says("far smaller").says("stays: ");
    // A person who has looked says that it is right, and from then on it is.
    let ran = shop.expect(2, &["backup", "run", "-y"]);
    ran.says("hive backup run backup.main --accept-smaller");
    shop.expect(0, &["backup", "run", "backup.main", "--accept-smaller", "-y"]);
    shop.expect(0, &["backup", "run", "-y"]);
    shop.expect(0, &["backup", "verify", "-y"]);
}
