//! A damaged store: exit 1, naming file and check; never "nothing exists".

use crate::lab::Lab;
use std::fs;
use std::path::{Path, PathBuf};

fn applied() -> Lab {
    let lab = Lab::new("[stack]\nname = \"{name}\"\n\n[config.a]\ncontent = \"x\\n\"\n");
    lab.expect(0, &["apply", "-y"]);
    lab
}

/// The files that the next plan must read: all but what is only kept for people.
fn read_files(lab: &Lab) -> Vec<PathBuf> {
    let store = lab.path(".hive");
    ["store.json", "dev/head.json"]
        .iter()
        .map(|it| store.join(it))
        .chain(
            fs::read_dir(store.join("dev/snapshots"))
                .expect("snapshots")
                .flatten()
                .map(|it| it.path()),
        )
        .collect()
}

#[track_caller]
fn refused(lab: &Lab, path: &Path) {
    for command in [&["plan"][..], &["apply", "-y"][..], &["destroy", "-y"][..]] {
        let ran = lab.expect(1, command);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        ran.says(&name);
        assert!(!ran.all().contains("panicked"), "{ran}");
    }
    assert_eq!(lab.world().len(), 1, "the world is as it was");
}

#[test]
fn a_byte_changed_anywhere() {
    let lab = applied();
    for path in read_files(&lab) {
        let good = fs::read(&path).expect("reads");
        for at in (0..good.len()).step_by(good.len() / 12 + 1) {
            let mut bad = good.clone();
            bad[at] ^= 2;
            fs::write(&path, &bad).expect("writes");
            refused(&lab, &path);
        }
        fs::write(&path, &good).expect("writes");
    }
    lab.expect(0, &["plan", "--exit-code"]);
}

#[test]
fn a_file_cut_to_any_length_or_empty() {
    let lab = applied();
    for path in read_files(&lab) {
        let good = fs::read(&path).expect("reads");
        for length in (0..good.len()).step_by(good.len() / 6 + 1) {
            fs::write(&path, &good[..length]).expect("writes");
            refused(&lab, &path);
        }
        fs::write(&path, &good).expect("writes");
    }
    lab.expect(0, &["plan", "--exit-code"]);
}

#[test]
fn a_snapshot_or_a_head_that_is_gone_is_not_nothing() {
    let lab = applied();
    for path in read_files(&lab).into_iter().filter(|it| !it.ends_with("store.json")) {
        let good = fs::read(&path).expect("reads");
        fs::remove_file(&path).expect("removes");
        let ran = lab.expect(1, &["plan"]);
        assert!(ran.all().contains("head.json") || ran.all().contains("snapshots"), "{ran}");
        fs::write(&path, &good).expect("writes");
    }
    lab.expect(0, &["plan", "--exit-code"]);
}

#[test]
fn a_store_of_a_newer_version() {
    let lab = applied();
    let path = lab.path(".hive/dev/head.json");
    let text = fs::read_to_string(&path).expect("reads");
    let newer = text.replacen("\"format\":1", "\"format\":99", 1);
    assert_ne!(newer, text);
    fs::write(&path, newer).expect("writes");
    refused(&lab, &path);
}

#[test]
fn files_of_the_store_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let lab = applied();
    let mut open = vec![lab.path(".hive"), lab.path(".hive-run")];
    let mut seen = 0;
    while let Some(folder) = open.pop() {
        if folder.starts_with(lab.path(".hive")) || folder == lab.path(".hive-run") {
            let mode = fs::metadata(&folder).expect("is there").permissions().mode() & 0o777;
            assert_eq!(mode, 0o700, "{}", folder.display());
        }
        for entry in fs::read_dir(&folder).expect("lists").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if !path.ends_with("config/a") {
                let mode = fs::metadata(&path).expect("is there").permissions().mode() & 0o777;
                assert_eq!(mode, 0o600, "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 5);
}
