//! Backups in an S3, and on a way there that fails.

use crate::data::promises;
use crate::data::shop::Shop;
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
        let s3 = format!(
            "\n[backup.main.s3]\nendpoint = \"{}\"\nregion = \"{}\"\npath_style = true\n\
             access_key = {{ file = \"secret/access\" }}\nsecret_key = {{ file = \"secret/secret\" }}\n",
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
