//! A backup made, listed, read back and pruned, in a folder.

use hive_backup::{ALARM, BackupId, Contents, Marker, Order, Repository, Settings, failure_of};
use hive_contract::provider::Unguarded;
use hive_contract::{
    Failure, FailureKind, Fields, Mark, SecretRef, Secrets, StackMark, Token, Value,
};
use hive_sql::manifest::{Depth, Kind, Manifest, Table, Verified};
use hive_sql::surroundings::{Setting, Surroundings};
use secrecy::SecretString;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

const IDENTITY: &str = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";
const RECIPIENT: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";

struct Desk {
    folder: tempfile::TempDir,
    secrets: Secrets,
    encrypted: bool,
}

impl Desk {
    fn new(encrypted: bool) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let mut secrets = Secrets::default();
        secrets.insert(SecretRef::env("KEY"), SecretString::from(IDENTITY));
        Self { folder, secrets, encrypted }
    }

    async fn open(&self) -> Repository {
        let mut fields = Fields::from([("destination".to_owned(), Value::from("backups"))]);
        if self.encrypted {
            let encrypt = Fields::from([
                ("recipients".to_owned(), Value::List(vec![Value::from(RECIPIENT)])),
                ("identity".to_owned(), Value::Secret(SecretRef::env("KEY"))),
            ]);
            fields.insert("encrypt".to_owned(), Value::Map(encrypt));
        }
        let settings = Settings::read(&fields).expect("reads");
        settings.connect(self.folder.path(), &self.secrets).await.expect("connects")
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.path().join("backups").join(key)
    }
}

fn mark(name: &str) -> Mark {
    let owner = StackMark {
        store: "store-1".to_owned(),
        stack: "shop".to_owned(),
        environment: "dev".to_owned(),
    };
    Mark { owner, address: name.parse().expect("address") }
}

fn content(length: usize) -> Vec<u8> {
    // Without order, so that it does not compress away.
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(next).collect()
}

async fn publish(
    repository: &Repository,
    token: &str,
    bytes: Vec<u8>,
    previous: &[Manifest],
) -> Result<Manifest, Failure> {
    let mark = mark("backup.main");
    let token = Token::from_text(token);
    let order = Order { previous, ..Order::new(&mark, &token, Kind::Run, &Unguarded) };
    let dump = |mut sink: hive_backup::Sink| async move {
        let rows = bytes.len() as u64 / 10;
        let written = tokio::task::spawn_blocking(move || {
            sink.write_all(&bytes).and_then(|()| sink.end_blocking())
        });
        written.await.expect("ends").map_err(|error| {
            Failure::new(FailureKind::Unavailable, format!("cannot dump: {error}"))
        })?;
        let table = Table { name: "orders".to_owned(), rows, ..Table::default() };
        Ok(Contents {
            tables: vec![table],
            surroundings: Some(surroundings()),
            ..Contents::default()
        })
    };
    repository.publish(&order, dump).await
}

/// One setting that an application has made up, and may be anything.
fn surroundings() -> Surroundings {
    let (name, value) = ("app.key".to_owned(), Some("canary-app-key".to_owned()));
    let settings = vec![Setting { role: None, name, value }];
    Surroundings { owner: "app".to_owned(), settings, ..Surroundings::default() }
}

async fn read(repository: &Repository, manifest: &Manifest) -> Result<Vec<u8>, Failure> {
    let mut plain = repository.open(manifest).await?;
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        plain.read_to_end(&mut bytes).map(|_| bytes)
    });
    let read = read.await.expect("ends");
    read.map_err(|error| failure_of(&error).expect("carries a failure").clone())
}

fn data(desk: &Desk, manifest: &Manifest) -> PathBuf {
    desk.path(&manifest.id).join(&manifest.objects[0].key)
}

fn damage(path: &Path, with: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("reads");
    with(&mut bytes);
    fs::write(path, bytes).expect("writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_in_comes_out_and_is_listed() {
    for encrypted in [false, true] {
        let desk = Desk::new(encrypted);
        let repository = desk.open().await;
        for length in [0, 1, 300_000, 3_000_000] {
            let manifest = publish(&repository, &format!("t{length}"), content(length), &[])
                .await
                .expect("made");
            assert_eq!(manifest.bytes(), length as u64);
            assert_eq!(read(&repository, &manifest).await.expect("reads"), content(length));
            let found = repository.find_by_token(&Token::from_text(&format!("t{length}"))).await;
            assert_eq!(found.expect("looks"), Some(manifest.clone()));
            let stored = fs::read(data(&desk, &manifest)).expect("reads");
            assert_eq!(stored.starts_with(b"age-encryption.org/v1"), encrypted);
            let written = fs::read_to_string(desk.path(&manifest.id).join("manifest.json"));
            let said = written.expect("reads").contains("canary-app-key");
            assert_ne!(said, encrypted, "beside what is encrypted it is not said");
        }
        let listing = repository.list(Some(&mark("backup.main"))).await.expect("lists");
        assert_eq!(
            (listing.backups.len(), listing.damaged.len(), listing.garbage.len()),
            (4, 0, 0)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_damage_has_its_own_words() {
    for encrypted in [false, true] {
        let desk = Desk::new(encrypted);
        let repository = desk.open().await;
        let manifest = publish(&repository, "t1", content(3_000_000), &[]).await.expect("made");
        let path = data(&desk, &manifest);
        let whole = fs::read(&path).expect("reads");
        let said = async |with: &dyn Fn(&mut Vec<u8>)| {
            damage(&path, with);
            let failure = read(&repository, &manifest).await.expect_err("is damaged");
            fs::write(&path, &whole).expect("writes");
            failure.message
        };
        assert!(said(&|it| it.truncate(1000)).await.contains("truncated: 1000 bytes"));
        assert!(said(&|it| it.push(0)).await.contains("longer than it was"));
        for at in [0, 40, whole.len() / 2, whole.len() - 1] {
            let said = said(&|it| it[at] ^= 1).await;
            assert!(said.contains("another checksum"), "{at} of {}: {said}", whole.len());
        }
        fs::remove_file(&path).expect("removes");
        let gone = read(&repository, &manifest).await.expect_err("is gone");
        assert!(gone.message.contains("is gone"), "{gone}");
        let listing = repository.list(None).await.expect("lists");
        assert!(listing.backups[0].wrong[0].contains("is gone"));
        assert!(!listing.backups[0].kept().whole);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_does_not_open_it_and_none_says_so() {
    let mut desk = Desk::new(true);
    let manifest = publish(&desk.open().await, "t1", content(1000), &[]).await.expect("made");
    let other = age::x25519::Identity::generate().to_string();
    desk.secrets.insert(SecretRef::env("KEY"), other);
    let wrong = read(&desk.open().await, &manifest).await.expect_err("is another key");
    assert!(
        wrong.message.contains("does not open") && wrong.message.contains(RECIPIENT),
        "{wrong}"
    );
    desk.secrets = Secrets::default();
    let none = read(&desk.open().await, &manifest).await.expect_err("has no key");
    assert!(none.message.contains("has no value here"), "{none}");
    desk.secrets.insert(SecretRef::env("KEY"), SecretString::from("hunter2"));
    let bad = read(&desk.open().await, &manifest).await.expect_err("is no key");
    assert!(bad.message.contains("no age identity") && !bad.message.contains("hunter2"), "{bad}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_fails_or_forgets_its_end_is_no_backup() {
    let desk = Desk::new(false);
    let repository = desk.open().await;
    let mark = mark("backup.main");
    let token = Token::from_text("t1");
    let order = Order::new(&mark, &token, Kind::Run, &Unguarded);
    let failed = repository.publish(&order, |mut sink| async move {
        sink.send(&[1; 700_000]).await.expect("takes");
        Err(Failure::new(FailureKind::Unavailable, "the server went away"))
    });
    assert_eq!(failed.await.expect_err("fails").message, "the server went away");
    let listing = repository.list(None).await.expect("lists");
    assert!(listing.backups.is_empty(), "what is not whole is listed");
    let late = repository.publish(&order, |mut sink| async move {
        sink.send(&[1; 700_000]).await.expect("takes");
        sink.end().await.expect("ends");
        Err(Failure::new(FailureKind::Unavailable, "the server says that it failed"))
    });
    assert_eq!(late.await.expect_err("fails").message, "the server says that it failed");
    let forgotten = repository.publish(&order, |mut sink| async move {
        sink.send(&[1; 700_000]).await.expect("takes");
        drop(sink);
        Ok(Contents::default())
    });
    let said = forgotten.await.expect_err("fails").message;
    assert!(said.contains("without saying that it was at its end"), "{said}");
    let listing = repository.list(None).await.expect("lists");
    assert!(listing.backups.is_empty() && listing.garbage.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marker_keeps_others_out() {
    let desk = Desk::new(false);
    let repository = desk.open().await;
    let (ours, theirs) = (mark("backup.main"), mark("backup.other"));
    let marker = |mark: &Mark, token: &str| {
        let of = "database.main".to_owned();
        Marker::new(Some(mark.clone()), Token::from_text(token), of, false)
    };
    let made = marker(&ours, "t1");
    repository.write_marker(&made, None).await.expect("registers");
    repository.write_marker(&made, None).await.expect("is one effect");
    let refused =
        repository.write_marker(&marker(&theirs, "t2"), None).await.expect_err("is taken");
    assert_eq!(refused.kind, FailureKind::Taken);
    assert!(refused.message.contains("backup.main of stack shop"), "{refused}");
    assert_eq!(repository.check_owner(&ours).await, Ok(made));
    assert!(repository.release(&theirs).await.is_err());
    let stale = repository.write_marker(&marker(&theirs, "t2"), Some("other")).await;
    assert_eq!(stale.expect_err("was read by nobody").kind, FailureKind::Taken);
    repository.release(&ours).await.expect("releases");
    repository.release(&ours).await.expect("is released");
    assert_eq!(repository.marker().await, Ok(None));
    fs::write(desk.path("hive.json"), "{").expect("writes");
    let damaged = repository.check_owner(&ours).await.expect_err("is damaged");
    assert!(damaged.message.contains("is damaged"), "{damaged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shrunken_dump_alarms_and_a_clock_set_back_keeps_the_order() {
    let desk = Desk::new(false);
    let repository = desk.open().await;
    let mut previous = Vec::new();
    for round in 0..3 {
        let made = publish(&repository, &format!("t{round}"), content(100_000), &previous).await;
        previous.push(made.expect("made"));
    }
    let small = publish(&repository, "small", content(1000), &previous).await.expect("made");
    assert!(small.notes[ALARM].contains("the last 3 held"), "{:?}", small.notes);
    previous.push(small);
    let again = publish(&repository, "again", content(1000), &previous).await.expect("made");
    assert!(again.notes.contains_key(ALARM), "what has shrunk does not lower the bar");

    let mut ahead = previous[0].clone();
    ahead.finished_ms += 60_000;
    let after =
        publish(&repository, "after", content(100_000), &[ahead.clone()]).await.expect("made");
    assert!(after.finished_ms > ahead.finished_ms && after.notes["clock"].contains(&ahead.id));
    ahead.finished_ms += 365 * 86_400_000;
    let sane =
        publish(&repository, "sane", content(100_000), &[ahead.clone()]).await.expect("made");
    assert!(sane.finished_ms < ahead.finished_ms && sane.notes.contains_key("clock"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_stay_is_not_pruned_and_pruning_goes_on_where_it_died() {
    let desk = Desk::new(false);
    let repository = desk.open().await;
    let mut ids = Vec::new();
    for round in 0..3 {
        let made =
            publish(&repository, &format!("t{round}"), content(1000), &[]).await.expect("made");
        ids.push(BackupId::parse(&made.id).expect("an id"));
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    }
    let newest = repository.prune(&ids[2..], &Unguarded).await.expect_err("must stay");
    assert!(newest.message.contains("is the newest backup"), "{newest}");
    let mut result = Verified {
        format: 1,
        id: ids[1].to_string(),
        token: "v1".to_owned(),
        depth: Depth::Restored,
        at_ms: 1,
        took_ms: 5,
        restore_ms: Some(4),
        ok: true,
        wrong: Vec::new(),
        version: "3".to_owned(),
    };
    repository.record_verified(&result).await.expect("records");
    let listing = repository.list(None).await.expect("lists");
    assert!(listing.get(ids[1].as_str()).expect("is there").kept().verified);
    let proven = repository.prune(&ids[..2], &Unguarded).await.expect_err("must stay");
    assert!(proven.message.contains("newest verified"), "{proven}");
    assert_eq!(repository.list(None).await.expect("lists").backups.len(), 3, "nothing is gone");

    // It died after the manifest.
    fs::remove_file(desk.path(&ids[0].key("manifest.json"))).expect("removes");
    let listing = repository.list(None).await.expect("lists");
    assert_eq!((listing.backups.len(), listing.garbage.len()), (2, 1));
    assert_eq!(repository.still_there(&ids[..1]).await.expect("looks"), ids[..1]);
    repository.prune(&ids[..1], &Unguarded).await.expect("goes on");
    assert!(repository.still_there(&ids[..1]).await.expect("looks").is_empty());
    assert!(!desk.path(ids[0].as_str()).exists());

    result.ok = false;
    result.wrong.push("orders has 1 row".to_owned());
    repository.record_verified(&result).await.expect("records");
    let listing = repository.list(None).await.expect("lists");
    let held = listing.get(ids[1].as_str()).expect("is there");
    assert!(held.proof().is_none() && !held.is_good(), "the last look counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_collected_late_and_only_hives_own() {
    let desk = Desk::new(false);
    let repository = desk.open().await;
    publish(&repository, "t1", content(1000), &[]).await.expect("made");
    let write = |key: &str| {
        let path = desk.path(key);
        fs::create_dir_all(path.parent().expect("has one")).expect("makes");
        fs::write(&path, "x").expect("writes");
        path
    };
    let old = write("20200101T000000Z-ab12cd34/data.zst");
    let young = write("20991231T000000Z-ab12cd34/data.zst");
    let foreign = write("photos/data.zst");
    assert_eq!(repository.collect(&Unguarded).await.expect("collects"), 0, "written just now");
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
    for path in [&old, &young, &foreign] {
        let file = fs::File::options().write(true).open(path).expect("opens");
        file.set_modified(long_ago).expect("sets");
    }
    assert_eq!(repository.collect(&Unguarded).await.expect("collects"), 1);
    assert!(!old.exists() && young.exists() && foreign.exists());
    assert_eq!(repository.list(None).await.expect("lists").backups.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_or_foreign_manifest_is_named() {
    let desk = Desk::new(false);
    let repository = desk.open().await;
    let first = publish(&repository, "t1", content(1000), &[]).await.expect("made");
    let second = publish(&repository, "t2", content(1000), &[]).await.expect("made");
    damage(&desk.path(&format!("{}/manifest.json", first.id)), |it| it.truncate(30));
    let listing = repository.list(Some(&mark("backup.main"))).await.expect("lists");
    let said = listing.damaged.values().next().expect("is named");
    assert!(listing.backups.len() == 1 && said.contains("damaged"), "{said}");
    assert!(listing.garbage.is_empty());
    let listing = repository.list(Some(&mark("backup.other"))).await.expect("lists");
    assert_eq!(listing.backups.len(), 1, "it was made before a move of the address");
    let mut stranger = mark("backup.main");
    stranger.owner.stack = "hiver".to_owned();
    let listing = repository.list(Some(&stranger)).await.expect("lists");
    let second = BackupId::parse(&second.id).expect("an id");
    assert!(listing.damaged[&second].contains("somebody else's: backup.main"));
    assert!(repository.find_by_token(&Token::from_text("t1")).await.is_err(), "it may be the one");
}
