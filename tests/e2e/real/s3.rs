//! Backups in an S3, and on a way there that fails.

use crate::data::promises;
use crate::data::shop::Shop;
use crate::lab::Ran;
use hive_parts::{Fault, Minio, Proxy};
use std::time::{Duration, Instant};

/// A shop whose backups go to an S3, through a proxy that can fail.
struct Far {
    shop: Shop,
    minio: Minio,
    proxy: Proxy,
}

impl Far {
    fn new() -> Self {
        let minio = Minio::start();
        let proxy = Proxy::to(minio.port());
        let far = Self { shop: Shop::sqlite(), minio, proxy };
        far.shop.lab.write("secret/access", Minio::ACCESS_KEY);
        far.shop.lab.write("secret/secret", Minio::SECRET_KEY);
        far.stage(1);
        far.shop.expect(0, &["apply", "-y"]);
        far.shop.order(1, 20);
        far
    }

    fn stage(&self, stage: usize) {
        self.stage_with(stage, "");
    }

    fn stage_with(&self, stage: usize, more: &str) {
        let s3 = format!(
            "\n[backup.main.s3]\nendpoint = \"{}\"\nregion = \"{}\"\npath_style = true\n\
             access_key = {{ file = \"secret/access\" }}\nsecret_key = {{ file = \"secret/secret\" }}\n{more}",
            self.proxy.endpoint(),
            Minio::REGION,
        );
        self.shop.stage_with(stage, false, &s3);
        let toml = self.shop.toml(stage, false, &s3);
        let far = format!("\"s3://{}/shop\"", Minio::BUCKET);
        self.shop.lab.stack(&toml.replace("\"backups\"", &far));
    }

    fn manifests(&self) -> Vec<String> {
        let keys = self.minio.keys("shop/");
        keys.into_iter().filter(|it| it.ends_with("/manifest.json")).collect()
    }
}

#[test]
fn a_backup_goes_there_and_comes_back() {
    let far = Far::new();
    let mut printed = far.shop.expect(0, &["backup", "run", "-y"]).all();
    printed += &far.shop.expect(0, &["backup", "verify", "-y"]).all();
    let held = far.shop.data();
    far.shop.order(21, 30);
    printed += &far.shop.expect(0, &["backup", "restore", "backup.main", "-y"]).all();
    assert_eq!(far.shop.data(), held);
    printed += &far.shop.expect(0, &["backup", "list", "--check"]).all();
    promises::p6_nothing_holds(&far.shop, &[Minio::SECRET_KEY], &printed);
    // Nor does what lies there hold a key.
    for key in far.minio.keys("") {
        let bytes = far.minio.get(&key);
        let secret = Minio::SECRET_KEY.as_bytes();
        assert!(!bytes.windows(secret.len()).any(|it| it == secret), "the key stands in {key}");
    }
    assert!(far.minio.open_uploads().is_empty(), "{:?}", far.minio.open_uploads());
}

#[test]
fn a_way_that_fails_for_a_moment_is_tried_again() {
    let far = Far::new();
    for fault in [Fault::Status { code: 503, times: 2 }, Fault::Status { code: 500, times: 2 }] {
        let before = far.manifests().len();
        far.proxy.set(fault.clone());
        far.shop.expect(0, &["backup", "run", "-y"]);
        assert!(far.proxy.faults() > 0, "{fault:?} never took place");
        far.proxy.set(Fault::None);
        assert_eq!(far.manifests().len(), before + 1, "{fault:?}");
    }
    far.proxy.set(Fault::Slow(Duration::from_millis(100)));
    far.shop.expect(0, &["backup", "run", "-y"]);
}

#[test]
fn a_way_that_fails_for_good_is_told_and_loses_nothing() {
    let far = Far::new();
    far.shop.expect(0, &["backup", "run", "-y"]);
    let good = far.manifests();
    let data = far.shop.data();
    let faults = [
        Fault::Status { code: 503, times: u64::MAX },
        Fault::Status { code: 500, times: u64::MAX },
        Fault::Refused,
        Fault::CutAfter(600),
        Fault::CutAnswerAfter(60),
    ];
    for fault in faults {
        far.proxy.set(fault.clone());
        let began = Instant::now();
        let ran = far.shop.hive(&["backup", "run", "-y"]);
        assert!([1, 3, 5].contains(&ran.code), "{fault:?}\n{ran}");
        assert!(!ran.all().contains("panicked"), "{ran}");
        ran.says("backup.main");
        // What is not backed up is not migrated.
        far.stage(2);
        let ran = far.shop.hive(&["apply", "-y"]);
        assert!([1, 3, 5].contains(&ran.code), "{fault:?}\n{ran}");
        assert_eq!(far.shop.data(), data, "{fault:?}");
        assert!(began.elapsed() < Duration::from_secs(150), "{fault:?}: {:?}", began.elapsed());
        far.proxy.set(Fault::None);
        far.stage(1);
        let now = far.manifests();
        assert!(good.iter().all(|it| now.contains(it)), "{fault:?}: {good:?} {now:?}");
        far.shop.expect(0, &["apply", "-y"]);
    }
    far.shop.expect(0, &["backup", "run", "-y"]);
    far.shop.expect(0, &["backup", "verify", "-y"]);
    assert!(far.minio.open_uploads().is_empty(), "{:?}", far.minio.open_uploads());
}

#[test]
fn a_restore_over_a_way_that_is_cut_leaves_what_lives() {
    let far = Far::new();
    far.shop.expect(0, &["backup", "run", "-y"]);
    let held = far.shop.data();
    far.shop.order(21, 30);
    let now = far.shop.data();
    for fault in [Fault::CutAnswerAfter(2_000), Fault::Status { code: 500, times: u64::MAX }] {
        far.proxy.set(fault.clone());
        let ran = far.shop.hive(&["backup", "restore", "backup.main", "-y"]);
        far.proxy.set(Fault::None);
        assert!([1, 3, 5].contains(&ran.code), "{fault:?}\n{ran}");
        assert_eq!(far.shop.data(), now, "{fault:?}\n{ran}");
        let _ = far.shop.hive(&["recover"]);
        let _ = far.shop.hive(&["unfreeze"]);
    }
    far.shop.expect(0, &["backup", "restore", "backup.main", "-y"]);
    assert_eq!(far.shop.data(), held);
}

#[test]
fn objects_that_are_damaged_there() {
    let far = Far::new();
    far.shop.expect(0, &["backup", "run", "-y"]);
    far.shop.order(21, 30);
    let now = far.shop.data();
    let manifest = far.manifests().pop().expect("a backup");
    let id = manifest.split('/').nth(1).expect("an id").to_owned();
    let key = far
        .minio
        .keys(&format!("shop/{id}/"))
        .into_iter()
        .find(|it| it.contains("/data"))
        .expect("its data");
    let good = far.minio.get(&key);
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for bad in [&flipped[..], &good[..good.len() / 2], &b""[..]] {
        far.minio.put(&key, bad);
        let ran = far.shop.hive(&["backup", "restore", "backup.main", &id, "-y"]);
        assert!([1, 3, 5].contains(&ran.code), "{ran}");
        ran.says(&id);
        let _ = far.shop.hive(&["recover"]);
        let _ = far.shop.hive(&["unfreeze"]);
        assert_eq!(far.shop.data(), now, "{ran}");
    }
    far.minio.delete(&key);
    let ran = far.shop.expect(2, &["backup", "verify", "backup.main", &id, "-y"]);
    ran.says(&id);
}

#[test]
fn a_wrong_key_and_a_bucket_that_is_not_there() {
    let far = Far::new();
    far.shop.lab.write("secret/secret", "canary-wrong-key");
    let ran = far.shop.hive(&["backup", "run", "-y"]);
    assert!([1, 3].contains(&ran.code), "{ran}");
    assert!(!ran.all().contains("canary-wrong-key"), "{ran}");
    far.shop.lab.write("secret/secret", Minio::SECRET_KEY);
    far.shop.expect(0, &["backup", "run", "-y"]);
    let toml = far.shop.lab.read("stack.toml").replace("s3://backups/", "s3://no-such-bucket/");
    far.shop.lab.write("stack.toml", &toml);
    let ran = far.shop.hive(&["apply", "-y"]);
    assert!([1, 3, 5].contains(&ran.code), "{ran}");
    ran.says("no-such-bucket");
}

#[test]
fn a_server_that_is_killed_in_the_middle_of_a_backup() {
    let mut far = Far::new();
    far.shop.sql("CREATE TABLE noise (n blob)");
    far.shop.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
         INSERT INTO noise SELECT randomblob(8192) FROM n",
    );
    far.shop.expect(0, &["apply", "-y"]);
    let good = far.manifests();
    let child = far.shop.lab.spawn(&["backup", "run", "-y"]);
    crate::lab::pause(400);
    far.minio.kill();
    let ran = crate::lab::ended(child);
    far.minio.restart();
    assert!([0, 1, 5].contains(&ran.code), "{ran}");
    let now = far.manifests();
    assert!(good.iter().all(|it| now.contains(it)), "{good:?} {now:?}");
    let _ = far.shop.hive(&["recover"]);
    far.shop.expect(0, &["backup", "run", "-y"]);
    far.shop.expect(0, &["backup", "verify", "-y"]);
}

/// A shop with a good backup and 12 MB of noise, whose hive waits so long where nothing moves.
fn impatient(patience: &str) -> Far {
    let far = Far::new();
    far.stage_with(1, &format!("patience = \"{patience}\"\n"));
    far.shop.sql("CREATE TABLE noise (n blob)");
    far.shop.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
         INSERT INTO noise SELECT randomblob(8192) FROM n",
    );
    far.shop.expect(0, &["apply", "-y"]);
    far.shop.expect(0, &["backup", "run", "-y"]);
    far
}

/// Runs it over a way that fails so. It ends by itself and says what, where and why.
#[track_caller]
fn ends(far: &Far, fault: Fault, arguments: &[&str]) -> Ran {
    let before = far.proxy.faults();
    far.proxy.set(fault.clone());
    let began = Instant::now();
    let ran = far.shop.hive(arguments);
    // Five tries of a second or two each, of a few calls; and a machine that is loaded.
    assert!(began.elapsed() < Duration::from_secs(90), "{fault:?}: {:?}\n{ran}", began.elapsed());
    assert!(far.proxy.faults() > before, "{fault:?} never took place\n{ran}");
    far.proxy.set(Fault::None);
    ran.says("backup.main").says("s3://backups/shop").says("nothing moved on the connection");
    ran
}

#[test]
fn a_server_that_accepts_and_never_answers() {
    let far = impatient("1s");
    let (good, data) = (far.manifests(), far.shop.data());
    let ran = ends(&far, Fault::Silent, &["backup", "run", "-y"]);
    ran.says("`s3.patience`");
    assert_eq!(ran.code, 1, "{ran}");
    for arguments in [&["backup", "verify", "-y"][..], &["backup", "restore", "backup.main", "-y"]]
    {
        let ran = ends(&far, Fault::Silent, arguments);
        assert_eq!(ran.code, 1, "{ran}");
    }
    assert_eq!((far.manifests(), far.shop.data()), (good, data));
    far.shop.expect(0, &["backup", "run", "-y"]);
    far.shop.expect(0, &["backup", "verify", "-y"]);
}

#[test]
fn an_upload_and_a_download_that_stop_in_the_middle() {
    let far = impatient("1s");
    let (good, data) = (far.manifests(), far.shop.data());
    let ran = ends(&far, Fault::StallAfter(300_000), &["backup", "run", "-y"]);
    ran.says("`s3.patience`");
    assert_eq!(ran.code, 5, "failed, and everything is as before\n{ran}");
    assert_eq!(far.manifests(), good, "what is not whole is not listed");
    let stops = Fault::StallAnswerAfter(300_000);
    let ran = ends(&far, stops.clone(), &["backup", "verify", "-y"]);
    ran.says("`s3.patience`");
    assert_eq!(ran.code, 1, "{ran}");
    let ran = ends(&far, stops, &["backup", "restore", "backup.main", "-y"]);
    assert!([1, 5].contains(&ran.code), "{ran}");
    let _ = far.shop.hive(&["recover"]);
    let _ = far.shop.hive(&["unfreeze"]);
    // The restore has made its safety copy, and nothing that was there is gone.
    let now = far.manifests();
    assert!(good.iter().all(|it| now.contains(it)), "{good:?} {now:?}");
    assert_eq!(far.shop.data(), data);
    assert_eq!(far.shop.running(), ["1"]);
    far.shop.expect(0, &["backup", "run", "-y"]);
    far.shop.expect(0, &["backup", "verify", "-y"]);
    far.shop.expect(0, &["backup", "restore", "backup.main", "-y"]);
    // Over such a way its upload could not even be given up: the sweep takes it after a day.
    let open = far.minio.open_uploads();
    assert!(open.len() <= 1, "{open:?}");
}

#[test]
fn a_way_that_is_slow_and_moves_is_waited_for() {
    let far = impatient("3s");
    far.proxy.set(Fault::Slow(Duration::from_millis(8)));
    let began = Instant::now();
    far.shop.expect(0, &["backup", "run", "-y"]);
    assert!(began.elapsed() > Duration::from_secs(4), "{:?}", began.elapsed());
    far.shop.expect(0, &["backup", "verify", "-y"]);
}
