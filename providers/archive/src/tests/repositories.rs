//! Git repositories, there and back.

use super::Desk;
use hive_contract::{FailureKind, Resolution};
use std::fs;
use std::path::Path;
use std::process::Command;

fn git(folder: &Path, arguments: &[&str]) -> String {
    let done = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"])
        .args(["-c", "protocol.file.allow=always"])
        .args(arguments)
        .output()
        .expect("git runs");
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text")
}

/// A repository with a branch, a tag, a note, a stash, and a commit that only `HEAD` leads to.
async fn desk() -> Desk {
    let desk = Desk::new("repository").await;
    let root = desk.path("data");
    fs::create_dir(&root).expect("makes");
    git(&root, &["init", "-q"]);
    for n in 0..5 {
        fs::write(root.join("file"), format!("{n}\n").repeat(2000 * n)).expect("writes");
        git(&root, &["add", "."]);
        git(&root, &["commit", "-qm", &format!("change {n}")]);
    }
    git(&root, &["tag", "-a", "v1", "-m", "first"]);
    git(&root, &["branch", "other", "HEAD~2"]);
    git(&root, &["notes", "add", "-m", "noted"]);
    fs::write(root.join("file"), "stashed").expect("writes");
    git(&root, &["stash"]);
    git(&root, &["checkout", "-q", "--detach"]);
    git(&root, &["commit", "-q", "--allow-empty", "-m", "on no branch"]);
    desk
}

fn refs(folder: &Path) -> String {
    let listed = git(folder, &["for-each-ref", "--format=%(objectname) %(refname)"]);
    format!("{listed}{}", git(folder, &["rev-parse", "HEAD"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_comes_back_with_all_refs() {
    let desk = desk().await;
    let before = refs(&desk.path("data"));
    let id = desk.back_up().await.expect("backs up");
    let tables = desk.manifest(&id).tables;
    assert_eq!((tables[1].name.as_str(), tables[1].rows), ("refs", 6));
    desk.verify(&id).await.expect("is equal");
    let request = desk.request(&desk.unpack(&id, "back.git").await);
    for _ in 0..2 {
        desk.call(&request, None).await.expect("ends").expect("unpacks");
    }
    let back = desk.path("back.git");
    assert_eq!(refs(&back), before);
    assert!(git(&back, &["remote"]).is_empty());
    assert!(matches!(desk.resolve(&request).await, Resolution::Done(_)));
    git(&back, &["fsck", "--full"]);
    // It is what it was: with its files, on no branch.
    assert_eq!(git(&back, &["rev-parse", "--abbrev-ref", "HEAD"]).trim(), "HEAD");
    assert_eq!(fs::read(back.join("file")).ok(), fs::read(desk.path("data/file")).ok());
    assert!(git(&back, &["status", "--porcelain", "--ignored"]).is_empty());
    desk.assert_swept();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_comes_back_as_what_it_was() {
    let desk = desk().await;
    let root = desk.path("data");
    // Two branches on one commit: the bundle does not say which of them it was.
    git(&root, &["checkout", "-q", "-b", "zebra"]);
    git(&root, &["branch", "ant"]);
    let id = desk.back_up().await.expect("backs up");
    let step = desk.unpack(&id, "back").await;
    desk.perform(&step).await.expect("unpacks");
    let back = desk.path("back");
    assert_eq!(git(&back, &["symbolic-ref", "HEAD"]).trim(), "refs/heads/zebra");
    // Work in it is not taken back with it.
    fs::write(back.join("new"), "work").expect("writes");
    let hive_contract::Undo::By(undo) = &step.undo else { panic!("no undo") };
    let failure = desk.perform(undo).await.expect_err("was changed");
    assert_eq!(failure.kind, FailureKind::Moved);
    fs::remove_file(back.join("new")).expect("removes");
    desk.perform(undo).await.expect("takes away");
    assert!(!back.exists());
    // A folder inside of the repository itself is not taken for a repository.
    fs::create_dir(root.join("inside")).expect("makes");
    fs::write(root.join("inside/x"), "x").expect("writes");
    let failure = desk.perform(&desk.unpack(&id, "data/inside").await).await;
    assert_eq!(failure.expect_err("is taken").kind, FailureKind::Taken);
    fs::remove_dir_all(root.join("inside")).expect("removes");
    git(desk.folder.path(), &["clone", "-q", "--mirror", "data", "bare"]);
    fs::rename(&root, desk.path("kept")).expect("moves");
    fs::rename(desk.path("bare"), &root).expect("moves");
    let id = desk.back_up().await.expect("backs up");
    desk.verify(&id).await.expect("is equal");
    desk.perform(&desk.unpack(&id, "back.git").await).await.expect("unpacks");
    let bare = git(&desk.path("back.git"), &["rev-parse", "--is-bare-repository"]);
    assert_eq!(bare.trim(), "true");
    desk.assert_swept();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_git_itself_calls_good_is_not_enough() {
    let desk = desk().await;
    let id = desk.back_up().await.expect("backs up");
    let path = desk.data(&id);
    let whole = fs::read(&path).expect("reads");
    let mut flipped = whole.clone();
    let at = whole.len() - 40;
    flipped[at] ^= 1;
    for bytes in [flipped, whole[..whole.len() / 2].to_vec()] {
        fs::write(&path, bytes).expect("writes");
        assert!(desk.verify(&id).await.is_err());
        assert!(desk.perform(&desk.unpack(&id, "back.git").await).await.is_err());
        assert!(!desk.path("back.git").exists());
    }
    fs::write(&path, whole).expect("writes");
    desk.verify(&id).await.expect("is whole again");
    desk.assert_swept();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_not_whole_is_refused() {
    let desk = desk().await;
    let from = format!("file://{}", desk.path("data").display());
    git(desk.folder.path(), &["clone", "-q", "--depth=1", &from, "shallow"]);
    fs::rename(desk.path("data"), desk.path("kept")).expect("moves");
    fs::rename(desk.path("shallow"), desk.path("data")).expect("moves");
    let failure = desk.back_up().await.expect_err("is shallow");
    assert_eq!(failure.kind, FailureKind::Invalid);
    assert_eq!(failure.message, "`data` is a shallow clone: its history is elsewhere");
    fs::remove_dir_all(desk.path("data")).expect("removes");
    fs::create_dir(desk.path("data")).expect("makes");
    git(&desk.path("data"), &["init", "-q"]);
    let failure = desk.back_up().await.expect_err("is empty");
    assert_eq!(failure.message, "`data` has no commit yet");
    fs::remove_dir_all(desk.path("data")).expect("removes");
    let failure = desk.back_up().await.expect_err("is not there");
    assert_eq!(failure.kind, FailureKind::Invalid);
    assert!(failure.message.starts_with("`git` refuses: cannot change to"), "{}", failure.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_missing_is_found_when_it_is_bundled() {
    let desk = desk().await;
    let root = desk.path("data");
    let blob = git(&root, &["rev-parse", "other:file"]);
    let (folder, file) = blob.trim().split_at(2);
    fs::remove_file(root.join(".git/objects").join(folder).join(file)).expect("removes");
    let failure = desk.back_up().await.expect_err("is not whole");
    assert_eq!(failure.kind, FailureKind::Invalid);
    assert_eq!(
        desk.live().await.fields["backups"].as_list().map(<[hive_contract::Value]>::len),
        Some(0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_anywhere_it_goes_on_with_the_same_token() {
    let desk = desk().await;
    let before = refs(&desk.path("data"));
    let id = desk.back_up().await.expect("backs up");
    for polls in [0, 1, 2, 3, 5, 8, 13, 21, 34] {
        let to = format!("k{polls}.git");
        let request = desk.request(&desk.unpack(&id, &to).await);
        desk.call(&request, Some(polls)).await;
        desk.call(&request, None).await.expect("ends").expect("unpacks");
        assert_eq!(refs(&desk.path(&to)), before, "after {polls} polls");
    }
    desk.assert_swept();
}
