//! Folders, there and back.

use super::{Desk, declared, look, owner};
use crate::lay;
use hive_contract::{FailureKind, LowerScope, Provider, Resolution, Value};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};

fn mode(path: &std::path::Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("sets");
}

/// A folder with everything that is easily lost.
fn fill(desk: &Desk) {
    let root = desk.path("data");
    let long = "n".repeat(120);
    fs::create_dir_all(root.join("etc/deep").join(&long).join(&long)).expect("makes");
    fs::create_dir(root.join("empty")).expect("makes");
    fs::write(root.join("etc/app.toml"), "a = 1\n").expect("writes");
    fs::write(root.join("nothing"), "").expect("writes");
    fs::write(root.join("etc/deep").join(&long).join(&long).join("x"), "deep").expect("writes");
    let large: Vec<u8> =
        (0..3_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    fs::write(root.join("large"), large).expect("writes");
    fs::write(root.join("naïve name\nwith a line"), "odd").expect("writes");
    symlink("../nowhere", root.join("etc/broken")).expect("links");
    symlink("app.toml", root.join("etc/link")).expect("links");
    symlink(format!("/{long}/{long}"), root.join("far")).expect("links");
    fs::hard_link(root.join("large"), root.join("same")).expect("links");
    mode(&root.join("etc/app.toml"), 0o640);
    mode(&root.join("nothing"), 0o4711);
    mode(&root.join("empty"), 0o1777);
    mode(&root.join("etc"), 0o500);
    mode(&root, 0o711);
    // Hive's own are not of it.
    for own in [".hive", "etc-run/.hive-run"] {
        fs::create_dir_all(root.join(own)).expect("makes");
        fs::write(root.join(own).join("head.json"), "{}").expect("writes");
    }
}

/// What `look` sees, less what is not backed up.
fn seen(desk: &Desk, folder: &str) -> Vec<String> {
    let mut all = look(&desk.path(folder));
    all.retain(|one| !one.contains(".hive"));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_comes_back_as_it_was() {
    let desk = Desk::new("folder").await;
    fill(&desk);
    let before = seen(&desk, "data");
    let id = desk.back_up().await.expect("backs up");
    let tables = desk.manifest(&id).tables;
    let rows = |name: &str| tables.iter().find(|one| one.name == name).map(|one| one.rows);
    assert_eq!((rows("files"), rows("links")), (Some(6), Some(3)));
    desk.verify(&id).await.expect("is equal");
    let step = desk.unpack(&id, "back/again").await;
    desk.perform(&step).await.expect("unpacks");
    assert_eq!(seen(&desk, "back/again"), before);
    assert!(!desk.path("back/again/.hive").exists());
    desk.assert_swept();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backups_are_not_backed_up() {
    let desk = Desk::new("folder").await;
    let scope = LowerScope { owner: owner() };
    let lowered = desk.provider.lower(&declared("folder", ".", "backups"), &scope).expect("lowers");
    let desk = Desk { lowered, ..desk };
    fs::create_dir(desk.path("data")).expect("makes");
    fs::write(desk.path("data/x"), "x").expect("writes");
    let first = desk.back_up().await.expect("backs up");
    let second = desk.back_up().await.expect("backs up");
    assert_eq!(desk.manifest(&first).tables[0].rows, 1);
    assert_eq!(desk.manifest(&second).tables[0].rows, 1);
    desk.verify(&second).await.expect("is equal");
    let same = desk.provider.lower(&declared("folder", "./backups", "backups"), &scope);
    assert_eq!(same.expect_err("is itself")[0].field.to_string(), "destination");
}

#[tokio::test(flavor = "multi_thread")]
async fn unpacking_needs_a_free_place() {
    let desk = Desk::new("folder").await;
    fs::create_dir(desk.path("data")).expect("makes");
    fs::write(desk.path("data/x"), "x").expect("writes");
    let id = desk.back_up().await.expect("backs up");
    fs::create_dir(desk.path("empty")).expect("makes");
    desk.perform(&desk.unpack(&id, "empty").await).await.expect("unpacks");
    assert_eq!(seen(&desk, "empty"), seen(&desk, "data"));
    fs::create_dir(desk.path("full")).expect("makes");
    fs::write(desk.path("full/mine"), "y").expect("writes");
    let failure = desk.perform(&desk.unpack(&id, "full").await).await.expect_err("is taken");
    assert_eq!(failure.kind, FailureKind::Taken);
    assert_eq!(failure.message, "`full` is there and is not empty");
    assert_eq!(fs::read(desk.path("full/mine")).expect("reads"), b"y");
    fs::write(desk.path("file"), "y").expect("writes");
    let failure = desk.perform(&desk.unpack(&id, "file").await).await.expect_err("is taken");
    assert!(matches!(failure.kind, FailureKind::Taken | FailureKind::Malformed), "{failure:?}");
    assert_eq!(fs::read(desk.path("file")).expect("reads"), b"y");
    desk.assert_swept();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_unpacked_is_taken_back_as_long_as_it_is_the_same() {
    let desk = Desk::new("folder").await;
    fill(&desk);
    let id = desk.back_up().await.expect("backs up");
    let step = desk.unpack(&id, "new").await;
    desk.perform(&step).await.expect("unpacks");
    let hive_contract::Undo::By(undo) = &step.undo else { panic!("no undo") };
    fs::write(desk.path("new/nothing"), "work").expect("writes");
    let failure = desk.perform(undo).await.expect_err("was changed");
    assert_eq!(failure.kind, FailureKind::Moved);
    assert!(desk.path("new/large").exists());
    lay::clear(&desk.path("new")).expect("clears");
    let step = desk.unpack(&id, "new").await;
    desk.perform(&step).await.expect("unpacks");
    let request = desk.request(undo);
    desk.call(&request, None).await.expect("ends").expect("takes away");
    assert!(!desk.path("new").exists());
    assert!(matches!(desk.resolve(&request).await, Resolution::Done(_)));
    desk.assert_swept();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_anywhere_it_goes_on_with_the_same_token() {
    let desk = Desk::new("folder").await;
    fill(&desk);
    let before = seen(&desk, "data");
    let id = desk.back_up().await.expect("backs up");
    let mut cut = 0;
    for polls in [0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 21, 34] {
        let to = format!("k{polls}");
        let request = desk.request(&desk.unpack(&id, &to).await);
        if desk.call(&request, Some(polls)).await.is_none() {
            cut += 1;
        }
        match desk.resolve(&request).await {
            Resolution::Done(_) | Resolution::NotStarted { .. } | Resolution::Partly { .. } => {}
            other => panic!("{other:?}"),
        }
        for _ in 0..2 {
            desk.call(&request, None).await.expect("ends").expect("unpacks");
        }
        assert_eq!(seen(&desk, &to), before, "after {polls} polls");
        assert!(matches!(desk.resolve(&request).await, Resolution::Done(_)));
        lay::clear(&desk.path(&to)).expect("clears");
    }
    assert!(cut > 2, "it was cut off {cut} times");
    desk.assert_swept();
    // A backup that was cut off is made once.
    let steps = desk.steps(&[("verb", "run"), ("kind", "safety")]).await;
    for polls in [0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 21] {
        let request = desk.request(&steps[0]);
        desk.call(&request, Some(polls)).await;
        let done = desk.call(&request, None).await.expect("ends").expect("backs up");
        let again = desk.call(&request, None).await.expect("ends").expect("was made");
        let id = |it: &hive_contract::Outcome| it.live.as_ref().map(|it| it.outputs["id"].clone());
        assert_eq!(id(&done), id(&again));
    }
    let live = desk.live().await;
    let rows = live.fields["backups"].as_list().map(<[Value]>::len);
    assert_eq!(rows, Some(13));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_damage_is_found_and_nothing_is_written() {
    let desk = Desk::new("folder").await;
    fill(&desk);
    let id = desk.back_up().await.expect("backs up");
    let path = desk.data(&id);
    let whole = fs::read(&path).expect("reads");
    let half = whole.len() / 2;
    let mut flipped = whole.clone();
    flipped[half] ^= 4;
    let mut longer = whole.clone();
    longer.push(0);
    for (bytes, word) in [
        (Some(whole[..half].to_vec()), "truncated"),
        (Some(flipped), "damaged"),
        (Some(longer), "longer"),
        (Some(Vec::new()), "truncated"),
        (None, "gone"),
    ] {
        match &bytes {
            Some(bytes) => fs::write(&path, bytes).expect("writes"),
            None => fs::remove_file(&path).expect("removes"),
        }
        let failure = desk.verify(&id).await.expect_err(word);
        assert!(failure.message.contains(word), "{word}: {}", failure.message);
        let failure = desk.perform(&desk.unpack(&id, "back").await).await.expect_err(word);
        assert!(failure.message.contains(word), "{word}: {}", failure.message);
        assert!(!desk.path("back").exists());
        fs::write(&path, &whole).expect("writes");
    }
    // Another backup's data is whole, and is not this one's.
    fs::write(desk.path("data/large"), "now small").expect("writes");
    let other = desk.back_up().await.expect("backs up");
    fs::copy(desk.data(&other), &path).expect("copies");
    assert!(desk.verify(&id).await.is_err());
    fs::write(&path, &whole).expect("writes");
    desk.verify(&id).await.expect("is whole again");
    desk.assert_swept();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_an_error_and_no_backup() {
    let desk = Desk::new("folder").await;
    let failure = desk.back_up().await.expect_err("no folder");
    assert_eq!(failure.kind, FailureKind::Invalid);
    assert!(failure.message.starts_with("cannot read the folder `data`"), "{}", failure.message);
    fs::write(desk.path("data"), "a file").expect("writes");
    assert!(desk.back_up().await.is_err());
    fs::remove_file(desk.path("data")).expect("removes");
    fs::create_dir(desk.path("data")).expect("makes");
    let id = desk.back_up().await.expect("backs up");
    desk.verify(&id).await.expect("is equal");
    assert_eq!(desk.live().await.fields["backups"].as_list().map(<[Value]>::len), Some(1));
}

/// Takes a stream, and appends to a file so many times while it does.
struct Meddler {
    file: std::path::PathBuf,
    times: u32,
    bytes: Vec<u8>,
}

impl Write for Meddler {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // Content, and no head of an entry.
        if bytes.len() > 512 && self.times > 0 {
            self.times -= 1;
            let mut file = fs::OpenOptions::new().append(true).open(&self.file)?;
            file.write_all(b"x")?;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_changes_while_it_is_read_is_read_again_and_then_an_error() {
    let folder = tempfile::tempdir().expect("folder");
    let root = folder.path().join("data");
    fs::create_dir(&root).expect("makes");
    let file = root.join("log");
    let pack = |times| {
        fs::write(&file, vec![b'a'; 1000]).expect("writes");
        crate::pack::pack(&root, None, Meddler { file: file.clone(), times, bytes: Vec::new() })
    };
    let (packed, stream) = pack(2).expect("holds still at last");
    let back = folder.path().join("back");
    lay::lay(&back, &mut stream.bytes.as_slice()).expect("lays");
    assert_eq!(fs::read(back.join("log")).expect("reads").len(), 1002);
    assert_eq!(crate::pack::tally(&back).expect("counts"), packed.tally);
    match pack(u32::MAX) {
        Err(crate::pack::Broken::Restless(path)) => assert_eq!(path.to_str(), Some("log")),
        other => panic!("{:?}", other.map(|(packed, _)| packed)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_never_leads_out_of_its_folder() {
    let folder = tempfile::tempdir().expect("folder");
    let mut entries: Vec<(&str, &str, tar::EntryType)> = vec![
        ("../out", "", tar::EntryType::Regular),
        ("/out", "", tar::EntryType::Regular),
        ("a/../../out", "", tar::EntryType::Regular),
        ("hard", "../../out", tar::EntryType::Link),
        ("pipe", "", tar::EntryType::Fifo),
    ];
    entries.push(("dev", "", tar::EntryType::Block));
    for (at, (path, to, sort)) in entries.into_iter().enumerate() {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(sort);
        header.set_size(0);
        header.set_mode(0o644);
        header.set_mtime(0);
        // What the library itself would refuse to write.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..to.len()].copy_from_slice(to.as_bytes());
        header.set_cksum();
        let mut tar = tar::Builder::new(Vec::new());
        tar.append(&header, std::io::empty()).expect("appends");
        let bytes = tar.into_inner().expect("ends");
        let root = folder.path().join(format!("in{at}"));
        assert!(lay::lay(&root, &mut bytes.as_slice()).is_err(), "{path}");
        assert!(!folder.path().join("out").exists(), "{path}");
    }
    // A link that leads out is laid, and nothing is written through it.
    let mut tar = tar::Builder::new(Vec::new());
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    link.set_mode(0o777);
    link.set_mtime(0);
    tar.append_link(&mut link, "way", folder.path()).expect("appends");
    let mut file = tar::Header::new_gnu();
    file.set_size(1);
    file.set_mode(0o644);
    file.set_mtime(0);
    tar.append_data(&mut file, "way/out", &b"x"[..]).expect("appends");
    let bytes = tar.into_inner().expect("ends");
    assert!(lay::lay(&folder.path().join("last"), &mut bytes.as_slice()).is_err());
    assert!(!folder.path().join("out").exists());
}

/// Somebody else, who need not exist.
const OTHER: (u32, u32) = (4_711, 4_712);

/// A stream of a folder, a file that takes rights with it, and a link, all of somebody else.
fn foreign_stream() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, sort, mode) in [
        ("./", tar::EntryType::Directory, 0o755),
        ("tool", tar::EntryType::Regular, 0o6755),
        ("link", tar::EntryType::Symlink, 0o777),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(sort);
        header.set_mode(mode);
        header.set_uid(OTHER.0.into());
        header.set_gid(OTHER.1.into());
        header.set_size(0);
        header.set_mtime(1_000_000_000);
        match sort {
            tar::EntryType::Symlink => tar.append_link(&mut header, path, "tool"),
            _ => tar.append_data(&mut header, path, std::io::empty()),
        }
        .expect("appends");
    }
    tar.into_inner().expect("ends")
}

/// Who owns each of these three, and the mode of the file.
fn owned(root: &std::path::Path) -> (Vec<(u32, u32)>, u32) {
    use std::os::unix::fs::MetadataExt;
    let meta = |path: &str| root.join(path).symlink_metadata().expect("is there");
    let owners = ["", "tool", "link"].map(meta).iter().map(|it| (it.uid(), it.gid())).collect();
    (owners, meta("tool").mode() & 0o7777)
}

#[test]
fn root_gives_entries_their_owners_back_and_others_say_how_many_are_theirs() {
    let folder = tempfile::tempdir().expect("folder");
    let root = folder.path().join("laid");
    let others = lay::lay(&root, &mut foreign_stream().as_slice()).expect("lays");
    let (owners, mode) = owned(&root);
    assert_eq!(mode, 0o6755, "the owner comes before the mode, whose bits it would take");
    if rustix::process::geteuid().is_root() {
        assert_eq!((others, owners), (0, vec![OTHER; 3]));
    } else {
        // Nobody but root may give a file away: tried, so that the count means something.
        let give = std::os::unix::fs::lchown(root.join("tool"), Some(OTHER.0), Some(OTHER.1));
        assert_eq!(give.expect_err("is refused").kind(), std::io::ErrorKind::PermissionDenied);
        let me = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        assert_eq!((others, owners), (3, vec![me; 3]));
    }
}

/// Where we are root: the same test again as an unprivileged user, in a process of its own.
#[test]
fn the_same_as_an_unprivileged_user() {
    use std::os::unix::process::CommandExt;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    mode(folder.path(), 0o777);
    // A copy: the way to the test itself may be root's alone.
    let copy = folder.path().join("tests");
    fs::copy(std::env::current_exe().expect("is one"), &copy).expect("copies");
    mode(&copy, 0o755);
    let name =
        "tests::folders::root_gives_entries_their_owners_back_and_others_say_how_many_are_theirs";
    let mut command = std::process::Command::new(&copy);
    command.args([name, "--exact"]).env("TMPDIR", folder.path()).uid(65_534).gid(65_534);
    let ran = command.output().expect("runs");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}
