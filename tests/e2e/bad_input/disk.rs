//! A full disk, on a small real tmpfs, filled before, during and at the end of each write.

use crate::lab::{Lab, Ran, command};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tmpfs of a few pages; unmounted at the end.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn of(at: &Path, pages: u32) -> Self {
        fs::create_dir_all(at).expect("a folder");
        let size = format!("size={}k,mode=0700", pages * 4);
        let done =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "hive-test"]).arg(at).output();
        let done = done.expect("mount starts");
        assert!(
            done.status.success(),
            "a small tmpfs is needed to try a full disk, and mount says: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        Self(at.to_owned())
    }

    /// Changes how many pages it has.
    fn resize(&self, pages: u32) {
        let size = format!("remount,size={}k", pages * 4);
        let done = Command::new("mount").args(["-o", &size]).arg(&self.0).output().expect("mount");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

fn hive(folder: &Path, arguments: &[&str]) -> Ran {
    Ran::of(command(folder, arguments).output().expect("hive starts"))
}

/// Applies with every size of disk from nothing free to enough: each try either ends well or says
/// that the disk is full, and with space again everything is as if nothing had happened.
#[test]
fn a_disk_that_is_full_at_any_write() {
    let lab = Lab::new("");
    let full = Tmpfs::of(&lab.path("disk"), 4_000);
    let stack = |content: &str| {
        format!(
            "[stack]\nname = \"{}\"\n\n[config.a]\ncontent = \"{content}\"\n\n[config.b]\ncontent = \"{content}\"\nuses = [\"config.a\"]\n",
            lab.name
        )
    };
    let folder = lab.path("disk");
    fs::write(folder.join("stack.toml"), stack("one")).expect("writes");
    let first = hive(&folder, &["apply", "-y"]);
    assert_eq!(first.code, 0, "{first}");
    let (mut refused, mut done) = (0, 0);
    for free in 0..60 {
        fs::write(folder.join("stack.toml"), stack(&format!("try {free}"))).expect("writes");
        full.resize(used(&folder) + free);
        let ran = hive(&folder, &["apply", "-y"]);
        assert!(!ran.all().contains("panicked"), "{ran}");
        match ran.code {
            0 => done += 1,
            1 | 5 => {
                refused += 1;
                ran.says("no space left");
            }
            _ => panic!("with {free} pages free: {ran}"),
        }
        full.resize(4_000);
        let again = hive(&folder, &["apply", "-y"]);
        assert_eq!(
            again.code, 0,
            "with {free} pages free, then with space: {again}\nbefore: {ran}"
        );
        for name in ["a", "b"] {
            let text =
                fs::read_to_string(folder.join(".hive-run/dev/config").join(name)).expect("reads");
            assert_eq!(text, format!("try {free}"));
        }
        let plan = hive(&folder, &["plan", "--exit-code"]);
        assert_eq!(plan.code, 0, "{plan}");
    }
    println!("full disk: {refused} refused, {done} done");
    assert!(refused > 5 && done > 5, "refused {refused}, done {done}: the sizes miss the point");
}

/// How many pages are in use.
fn used(folder: &Path) -> u32 {
    let stat = rustix::fs::statvfs(folder).expect("stat");
    u32::try_from((stat.f_blocks - stat.f_bfree) * stat.f_frsize / 4096).expect("small")
}
